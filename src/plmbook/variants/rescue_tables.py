"""What a scan for rescues keeps of a protein (`Rescue`), and the columns of the tables that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plmbook.core.residues import AMINO_ACIDS
from plmbook.tables import schema_of

ABSENT = -128  # code of what is no second site in a map of int8

RESCUE, RESCUE_MAPS, RESCUE_WILD_TYPE = map(schema_of, ("rescue", "rescue_maps", "rescue_wild_type"))


BY_POSITION = (
    *("mean_epistasis", "max_epistasis", "mean_abs_epistasis"),
    *("mean_score_background", "max_score_background", "z"),
)
"""The numbers of each variant and position, over the 19 substitutions there; see `Rescue`."""


@dataclass(frozen=True)
class Rescue:
    """What is kept of the scan of one protein by one model.

    Attributes
    ----------
    id, model, sequence : str
        L residues.
    mutations : tuple of str
        The n variants, such as "R175H".
    score_wild_type : float32 array (L, 20)
    candidates : DataFrame
        Columns of `RESCUE`: of each variant the `top` best by epistasis and by score_background, each once; variants in
        order, epistasis falling.  Equal scores share the better rank; the first position, then letter, is kept.
    by_position : dict of str -> float32 array (n, L)
        `BY_POSITION`: means and maxima over the 19 substitutions at a position, NaN at the variant's own; and `z`
        (`rescue.published_z`), which exists there too, and is NaN where all variants agree.
    maps, scales : int8 array (n, L, 20), float32 array (n,), or None
        Epistasis as `quantise` writes it, `ABSENT` where there is no second site; nats of a step of each map.
    """

    id: str
    model: str
    sequence: str
    mutations: tuple[str, ...]
    score_wild_type: np.ndarray
    candidates: pd.DataFrame
    by_position: Mapping[str, np.ndarray]
    maps: np.ndarray | None = None
    scales: np.ndarray | None = None

    @property
    def position_table(self) -> pd.DataFrame:
        """A row a variant and position: id, mutation, model (str), position (int64), the columns of `BY_POSITION`."""
        n, length = len(self.mutations), len(self.sequence)
        columns = {
            "id": self.id,
            "mutation": np.repeat(self.mutations, length),
            "model": self.model,
            "position": np.tile(np.arange(1, length + 1), n),
        }
        return pd.DataFrame(columns | {name: self.by_position[name].reshape(-1) for name in BY_POSITION})

    @property
    def map_table(self) -> pd.DataFrame:
        """A row a variant with its map, the columns of `RESCUE_MAPS`; none where the maps were not kept."""
        if self.maps is None:
            return pd.DataFrame(columns=list(RESCUE_MAPS.names))
        codes = [each.tobytes() for each in self.maps]
        table = pd.DataFrame({"mutation": self.mutations, "scale": self.scales, "epistasis": codes})
        return table.assign(id=self.id, model=self.model)[list(RESCUE_MAPS.names)]

    @property
    def wild_type_table(self) -> pd.DataFrame:
        """A row a position with score_wild_type of the 20 residues, the columns of `RESCUE_WILD_TYPE`."""
        table = pd.DataFrame(self.score_wild_type, columns=list(AMINO_ACIDS)).assign(id=self.id, model=self.model)
        table = table.assign(position=np.arange(1, len(table) + 1), ref=list(self.sequence))
        return table[list(RESCUE_WILD_TYPE.names)]


def quantise(epistasis: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """A map (L, 20) as int8 codes, -127 to 127, `ABSENT` for NaN, and the scale: nats of a step, largest / 127."""
    scale = np.float32(np.nan_to_num(np.abs(epistasis)).max(initial=0.0) / 127)
    steps = np.divide(epistasis, scale, out=np.zeros(epistasis.shape), where=scale > 0)
    return np.where(np.isnan(epistasis), ABSENT, np.clip(np.rint(steps), -127, 127)).astype(np.int8), scale
