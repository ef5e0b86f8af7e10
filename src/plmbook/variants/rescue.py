"""Second-site substitutions that may make good a first one: the exhaustive scan on the background of each variant.

For a variant at i every substitution (j, a) at another position j is scored, from one forward pass of the variant's
background B and one of the wild type S:

    score_background = ln p_B(a at j) - ln p_B(S_j at j)
    score_wild_type  = ln p_S(a at j) - ln p_S(S_j at j)
    epistasis        = score_background - score_wild_type

score_background is what the published scan reported.  It is high for every substitution that the model likes anyway,
on any background; epistasis is what the variant adds, and it may be high where the score is hopeless on either.  So
*candidates* are the best of a variant by the one or by the other, sorted by epistasis, with both ranks.

Nothing of the size variants x 20 L is kept: `scores` yields blocks, `scan_protein` reduces each block to the best
candidates and a few numbers a position.  A protein that is longer than the model takes is read in windows; where a
position is answered by a window that does not hold the variant, the model has not seen the variant, and the epistasis
there is exactly 0.  An *ensemble* is the mean of the members' scores (of log ratios: the geometric mean of the odds),
member by member on the same block.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK, Mutation, join_mutations
from plmbook.core.structures import Structure
from plmbook.engine import scan
from plmbook.tables import Column, Schema
from plmbook.variants import effects

TOP = 50  # candidates of a variant by each of the two scores
ENSEMBLE = "mean"  # what the mean over several models is called, as in `effects.add_mean`
ABSENT = -128  # code of what is no second site in a map of int8
NEAREST = 10  # positions of about the same separation among which `matched_random` draws

_ONE_OF_20 = tuple(AMINO_ACIDS)
_LETTERS = np.array(_ONE_OF_20)

RESCUE = Schema(
    "rescue",
    (
        Column("id", "str", meaning="the protein: id of the FASTA record, or gene"),
        Column("mutation", "str", meaning="the variant whose background is scanned, such as R175H; 1-based"),
        Column("model", "str", meaning="name of a model card, or the mean of an ensemble"),
        Column(
            "rank", "int64", minimum=1, meaning="by epistasis among all second sites of the variant, 1 is the highest"
        ),
        Column("position", "int64", minimum=1, meaning="of the second site, 1-based"),
        Column("ref", "str", allowed=_ONE_OF_20, meaning="wild-type residue there"),
        Column("alt", "str", allowed=_ONE_OF_20, meaning="residue that replaces it"),
        Column("score_background", "float32", meaning="natural-log likelihood ratio on the variant's background"),
        Column("score_wild_type", "float32", meaning="the same on the wild type"),
        Column("epistasis", "float32", meaning="score_background - score_wild_type"),
        Column("rank_background", "int64", minimum=1, meaning="rank by score_background"),
        Column(
            "distance_angstrom",
            "float64",
            nullable=True,
            minimum=0,
            meaning="between C-beta atoms, to the nearest substituted residue; missing without a structure",
        ),
        Column(
            "cpd",
            "float64",
            nullable=True,
            minimum=0,
            meaning="orthologs that have the variant's residue and this one; missing without an alignment",
        ),
    ),
    key=("id", "mutation", "model", "position", "alt"),
)

RESCUE_MAPS = Schema(
    "rescue_maps",
    (
        Column("id", "str", meaning="the protein: id of the FASTA record, or gene"),
        Column("mutation", "str", meaning="the variant whose background is scanned"),
        Column("model", "str", meaning="name of a model card, or the mean of an ensemble"),
        Column("scale", "float32", minimum=0, meaning="nats of a step"),
        Column("epistasis", "bytes", meaning="int8 (L, 20), row by row, as `quantise` writes it"),
    ),
    key=("id", "mutation", "model"),
)

RESCUE_WILD_TYPE = Schema(
    "rescue_wild_type",
    (
        Column("id", "str", meaning="the protein: id of the FASTA record, or gene"),
        Column("position", "int64", minimum=1, meaning="1-based"),
        Column("ref", "str", meaning="wild-type residue there"),
        *(Column(a, "float32", nullable=True, meaning="score_wild_type of this residue") for a in AMINO_ACIDS),
        Column("model", "str", meaning="name of a model card, or the mean of an ensemble"),
    ),
    key=("id", "position", "model"),
)

BY_POSITION = (
    *("mean_epistasis", "max_epistasis", "mean_abs_epistasis"),
    *("mean_score_background", "max_score_background", "z"),
)
"""The numbers of each variant and position, over the 19 substitutions there; see `Rescue`."""

Variant = Sequence[Mutation]


class Block(NamedTuple):
    """Scores of some backgrounds of one protein.

    Attributes
    ----------
    where : slice
        Of the variants; the slices of a scan follow one another and cover them.
    score_background : float32 array (b, L, 20)
        Columns in the order of `AMINO_ACIDS`; that of the wild type's residue is 0, also at the variant's own position.
        Rows are NaN where the wild type is none of the 20, and where "truncate" cut the protein off.
    score_wild_type : float32 array (L, 20)
        The same in every block.
    epistasis : float32 array (b, L, 20)
    """

    where: slice
    score_background: np.ndarray
    score_wild_type: np.ndarray
    epistasis: np.ndarray


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
        Columns of `RESCUE`: of each variant the `top` best by epistasis and the `top` best by score_background, once
        where both lists have it; variants in their order, epistasis falling.  Equal scores share the better rank; where
        they compete for the last place of a list, the first position and then the first letter has it.
    by_position : dict of str -> float32 array (n, L)
        By the names of `BY_POSITION`: mean and maximum of epistasis, mean of its absolute value, mean and maximum of
        score_background over the 19 substitutions at a position; NaN at the variant's own positions, where there is no
        second site.  `z` is the published score: with m[v, j] the mean of ln p_B(a at j) - ln p_B(B_j at j) over the 19
        residues a other than the background's own, z[v, j] = (m[v, j] - mean) / sd over the n variants at j (ddof 0);
        it exists at the variant's own position too, and is NaN where all variants agree (as where there is one only).
    maps : int8 array (n, L, 20) or None
        Epistasis as `quantise` writes it; `ABSENT` where there is no second site.
    scales : float32 array (n,) or None
        Nats of a step of each map.
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
        table = pd.DataFrame(
            {
                "id": self.id,
                "mutation": np.repeat(np.array(self.mutations, dtype=object), length),
                "model": self.model,
                "position": np.tile(np.arange(1, length + 1), n),
            }
        ).astype({"id": "str", "mutation": "str", "model": "str"})
        return table.assign(**{name: self.by_position[name].reshape(-1) for name in BY_POSITION})

    @property
    def map_table(self) -> pd.DataFrame:
        """A row a variant with its map, the columns of `RESCUE_MAPS`; none where the maps were not kept."""
        kept = () if self.maps is None else zip(self.mutations, self.scales, self.maps, strict=True)
        rows = [(self.id, mutation, self.model, scale, codes.tobytes()) for mutation, scale, codes in kept]
        table = pd.DataFrame(rows, columns=list(RESCUE_MAPS.names))
        return table.astype({"id": "str", "mutation": "str", "model": "str", "scale": "float32"})

    @property
    def wild_type_table(self) -> pd.DataFrame:
        """A row a position with score_wild_type of the 20 residues, the columns of `RESCUE_WILD_TYPE`."""
        table = pd.DataFrame(self.score_wild_type, columns=_ONE_OF_20)
        table.insert(0, "id", self.id)
        table.insert(1, "position", np.arange(1, len(self.sequence) + 1))
        table.insert(2, "ref", list(self.sequence))
        return table.assign(model=self.model).astype({"id": "str", "ref": "str", "model": "str"})


# --- the scan --------------------------------------------------------------------------------------------


def scores(
    model,
    sequence: str,
    variants: Sequence[Variant],
    *,
    long: str = "window",
    block: int = scan.BLOCK,
    progress: bool = False,
) -> Iterator[Block]:
    """Score every second-site substitution of each variant of a protein, block by block.

    Parameters
    ----------
    model
        From `plmbook.models.load`, or a sequence of such: an ensemble, whose scores are the mean of the members'.
    sequence : str
        The wild type, L residues.
    variants : sequence of n sequences of Mutation
        One substitution each, or several at distinct positions; one without any is the wild type.
    long, progress
        As in `plmbook.engine.scan.backgrounds`.
    block : int
        Residues of a block: bounds the memory.

    Yields
    ------
    Block

    Raises
    ------
    InputError
        Before any forward: as `plmbook.engine.scan.backgrounds`.

    Notes
    -----
    One forward pass a background and one for the wild type, by each model.  Invariants: the epistasis of a background
    without substitutions is 0; so is that of every position which no window with a substitution answers.
    """
    models = members(model)
    scans = [
        _scores(each, sequence, variants, long=long, block=max(1, block // len(models)), progress=progress)
        for each in models
    ]
    return scans[0] if len(scans) == 1 else (_mean(blocks) for blocks in zip(*scans, strict=True))


def second_sites(sequence: str, variant: Variant) -> np.ndarray:
    """Which substitutions are second sites of a variant.

    Parameters
    ----------
    sequence : str
        L residues.
    variant : sequence of Mutation

    Returns
    -------
    bool array (L, 20)
        False in the wild type's column, at the variant's own positions, and where the wild type is none of the 20.

    Examples
    --------
    >>> second_sites("MKX", [Mutation(2, "K", "A")]).sum(axis=1).tolist()
    [19, 0, 0]
    """
    own = scan.columns(sequence)
    sites = np.ones((len(sequence), 20), dtype=bool)
    sites[np.arange(len(sequence)), own] = False
    sites[own < 0] = False
    sites[[mutation.position - 1 for mutation in variant]] = False
    return sites


def rank_of(scores: np.ndarray, sites: np.ndarray, second: Mutation) -> tuple[int, int]:
    """The place of one second-site substitution among all.

    Parameters
    ----------
    scores : float array (L, 20)
        Of one background, such as its epistasis.
    sites : bool array (L, 20)
        As `second_sites`.
    second : Mutation

    Returns
    -------
    rank, n : int
        1 is the highest score, equal scores share the better place; n = the second sites.

    Raises
    ------
    InputError
        Where the substitution is no second site.

    Examples
    --------
    >>> table = np.zeros((2, 20))
    >>> table[1, :3] = 3, 2, 1  # A, C, D at position 2
    >>> rank_of(table, second_sites("MK", [Mutation(1, "M", "L")]), Mutation(2, "K", "C"))
    (2, 19)
    """
    place = second.position - 1, AMINO_ACIDS.index(second.alt)
    if place[0] >= len(sites) or not sites[place]:
        raise InputError(f"{second} is no second site of this variant")
    return 1 + int(np.count_nonzero(scores[sites] > scores[place])), int(np.count_nonzero(sites))


def scan_protein(
    model,
    sequence: str,
    variants: Sequence[Variant],
    *,
    id: str = "",
    structure: Structure | None = None,
    orthologs: np.ndarray | None = None,
    top: int = TOP,
    maps: bool = False,
    long: str = "window",
    block: int = scan.BLOCK,
    progress: bool = False,
) -> Rescue:
    """Scan the background of each variant of a protein.

    Parameters
    ----------
    model
        From `plmbook.models.load`, or a sequence of such: the answer is that of the ensemble.
    sequence : str
        The wild type, L residues.
    variants : sequence of n sequences of Mutation
        Each with a substitution or several; each once.
    id : str
        Of the protein, for the tables.
    structure : Structure, optional
        Of this very sequence, for the distances.
    orthologs : int array (n_species, L), optional
        The column of the residue that each aligned sequence has there, -1 where none of the 20
        (`plmbook.variants.deviations.aligned`); for `cpd`.
    top : int
        Candidates of a variant by each score.
    maps : bool
        Keep the whole map of each variant as int8: n x 20 L bytes.
    long, block, progress
        As in `scores`.

    Returns
    -------
    Rescue

    Raises
    ------
    InputError
        Before any forward: as `scores`; a variant that comes twice or has no substitution; a structure or an alignment
        that does not fit the sequence.
    """
    job = Job(id, sequence, [tuple(sorted(variant)) for variant in variants], structure, orthologs)
    return scan_job(model, job, top=top, maps=maps, long=long, block=block, progress=progress)[-1]


def scan_table(
    model,
    proteins: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
    orthologs: Mapping[str, np.ndarray] | None = None,
    top: int = TOP,
    maps: bool = False,
    long: str = "window",
    block: int = scan.BLOCK,
    progress: bool = False,
) -> Iterator[tuple[str, Rescue]]:
    """Scan a table of variants, protein by protein.

    Parameters
    ----------
    model
        From `plmbook.models.load`, or a sequence of such: an ensemble.
    proteins, variants : DataFrame
        As in `plmbook.variants.effects.score_table`; each variant of a protein once.
    structures, orthologs : mapping, optional
        By id; a protein may be missing.
    top, maps, long, block, progress
        As in `scan_protein`.

    Yields
    ------
    id : str
        In order of appearance in `variants`.
    rescue : Rescue
        Of an ensemble one of each member and then their mean (`Rescue.model` tells), from the same forward passes.

    Raises
    ------
    InputError
        As `plmbook.variants.effects.pair_up` and `scan_protein`; of all proteins before any forward, except what
        `long` refuses: that comes with the protein.
    """
    check_top(top)
    models, asked = members(model), jobs(proteins, variants, structures=structures, orthologs=orthologs)
    options = {"top": top, "maps": maps, "long": long, "block": block, "progress": progress}
    return ((job.id, rescue) for job in asked for rescue in scan_job(models, job, **options))


class Job(NamedTuple):
    """One protein with its variants and what is known of it.

    Attributes
    ----------
    id, sequence : str
    variants : list of tuple of Mutation
    structure : Structure or None
    orthologs : int array (n_species, L) or None
    """

    id: str
    sequence: str
    variants: list[tuple[Mutation, ...]]
    structure: Structure | None = None
    orthologs: np.ndarray | None = None

    def check(self) -> None:
        """Make sure that all of it fits together.

        Raises
        ------
        InputError
            A variant that does not fit the sequence, comes twice or has no substitution; a structure or an alignment
            that is not of this sequence.

        Examples
        --------
        >>> variant = (Mutation(2, "K", "A"),)
        >>> Job("toy", "MKRL", [variant, variant]).check()
        Traceback (most recent call last):
        ...
        plmbook.core.errors.InputError: toy: variant 2, K2A: comes twice; expected each variant once
        """
        of = f"{self.id}: " if self.id else ""
        seen = set()
        for number, variant in enumerate(self.variants, start=1):
            scan.check_variant(self.sequence, variant)
            text = join_mutations(variant)
            if not text:
                raise InputError(f"{of}variant {number}: has no substitution; the wild type is no background")
            if text in seen:
                raise InputError(f"{of}variant {number}, {text}: comes twice; expected each variant once")
            seen.add(text)
        length = len(self.sequence)
        if self.structure is not None and self.structure.sequence != self.sequence:
            raise InputError(
                f"{of}the structure {self.structure.id} has another sequence ({len(self.structure.sequence)} "
                f"residues, expected these {length}); another isoform?"
            )
        if self.orthologs is not None and (self.orthologs.ndim != 2 or self.orthologs.shape[1] != length):
            raise InputError(f"{of}the alignment is {self.orthologs.shape}, expected (n_species, {length})")


def jobs(
    proteins: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
    orthologs: Mapping[str, np.ndarray] | None = None,
) -> list[Job]:
    """The variants of a table by protein, in order of appearance, everything checked.

    Parameters
    ----------
    proteins, variants, structures, orthologs
        As in `scan_table`.

    Returns
    -------
    list of Job

    Raises
    ------
    InputError
        As `plmbook.variants.effects.pair_up` and `Job.check`; where there is no variant.

    Examples
    --------
    >>> proteins = pd.DataFrame({"id": ["a"], "sequence": ["MKRL"]})
    >>> jobs(proteins, pd.DataFrame({"id": ["a"], "mutation": ["K2A"]}))[0].variants
    [(Mutation(position=2, ref='K', alt='A'),)]
    """
    pairs = effects.pair_up(proteins, variants)
    shared = [c for c in effects.KEYS if c in proteins.columns and c in variants.columns]
    key = (shared or [c for c in effects.KEYS if c in variants.columns])[0]
    found: dict[str, Job] = {}
    for name, (sequence, mutations) in zip(variants[key].astype(str), pairs, strict=True):
        if name not in found:
            found[name] = Job(name, sequence, [], (structures or {}).get(name), (orthologs or {}).get(name))
        found[name].variants.append(mutations)
    if not found:
        raise InputError("the table of variants has no rows")
    for job in found.values():
        job.check()
    return list(found.values())


def scan_job(
    model,
    job: Job,
    *,
    top: int = TOP,
    maps: bool = False,
    long: str = "window",
    block: int = scan.BLOCK,
    progress=False,
) -> list[Rescue]:
    """Scan one protein; of an ensemble keep the members' scans too.

    Parameters
    ----------
    model, top, maps, long, block, progress
        As in `scan_protein`.
    job : Job

    Returns
    -------
    list of Rescue
        One a model and, of several, that of their mean at the end; each background is run once by each model.

    Raises
    ------
    InputError
        As `scan_protein`.
    """
    job.check()
    check_top(top)
    models = members(model)
    names = [each.name for each in models] + [ENSEMBLE] * (len(models) > 1)
    kept = [_Kept(job, top=top, maps=maps) for _ in names]
    options = {"long": long, "block": max(1, block // len(models)), "progress": progress}
    scans = [_scores(each, job.sequence, job.variants, **options) for each in models]
    for blocks in zip(*scans, strict=True):
        blocks = [*blocks, _mean(blocks)] if len(models) > 1 else blocks
        for one, collector in zip(blocks, kept, strict=True):
            collector.add(one)
    return [collector.finish(name) for name, collector in zip(names, kept, strict=True)]


def check_top(top: int) -> None:
    """Make sure that at least one candidate is asked for (`InputError`)."""
    if top < 1:
        raise InputError(f"top {top}: expected at least one candidate")


def members(model) -> list:
    """The models of an ensemble; of one model a list of it.

    Raises
    ------
    InputError
        Where there is none, or two have one name.
    """
    models = list(model) if isinstance(model, Iterable) else [model]
    names = [each.name for each in models]
    if not models or len({*names, ENSEMBLE}) != len(names) + 1:
        raise InputError(f"an ensemble needs models of different names, found {', '.join(names) or 'none'}")
    return models


# --- maps of one byte a number ---------------------------------------------------------------------------


def quantise(epistasis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write maps in one byte a number.

    Parameters
    ----------
    epistasis : float array (n, L, 20)
        NaN where there is no number.

    Returns
    -------
    codes : int8 array (n, L, 20)
        -127 to 127, `ABSENT` for NaN.
    scales : float32 array (n,)
        The largest absolute value of each map / 127; 0 where all are 0.

    Notes
    -----
    `codes * scales` is within half a step, scales / 2, of the number: 0.4 % of the map's largest.

    Examples
    --------
    >>> codes, scales = quantise(np.array([[[2.54, -1.0, np.nan]]]))
    >>> codes.tolist(), round(float(scales[0]), 6)
    ([[[127, -50, -128]]], 0.02)
    """
    flat = np.abs(epistasis).reshape(len(epistasis), -1)
    largest = np.nan_to_num(flat).max(axis=1, initial=0.0)
    scales = (largest / 127).astype(np.float32)
    steps = np.divide(epistasis, scales[:, None, None], out=np.zeros(epistasis.shape), where=scales[:, None, None] > 0)
    codes = np.clip(np.rint(steps), -127, 127)
    return np.where(np.isnan(epistasis), ABSENT, codes).astype(np.int8), scales


def dequantise(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The numbers behind `quantise`: float32 (n, L, 20), NaN where `ABSENT`."""
    found = codes * np.asarray(scales, dtype=np.float32)[:, None, None]
    found[codes == ABSENT] = np.nan
    return found


# --- the published score ---------------------------------------------------------------------------------


def published_means(score_background: np.ndarray, variants: Sequence[Variant]) -> np.ndarray:
    """What the published study standardises: the mean of its scores at each position of each background.

    Parameters
    ----------
    score_background : float array (n, L, 20)
        Against the wild type's residue, as in `Block`.
    variants : sequence of n sequences of Mutation

    Returns
    -------
    float64 array (n, L)
        m[v, j] = mean over a other than B_j of ln p_B(a at j) - ln p_B(B_j at j), where B is the background of v: at
        the variant's own position the reference is the variant's residue.
    """
    means = score_background.sum(axis=2, dtype=np.float64) / 19  # against S_j, whose own term is 0
    for row, variant in enumerate(variants):
        for mutation in variant:
            j = mutation.position - 1
            against = float(score_background[row, j, AMINO_ACIDS.index(mutation.alt)])
            means[row, j] -= 20 / 19 * against
    return means


def published_z(means: np.ndarray) -> np.ndarray:
    """Standardise over the variants of a gene.

    Parameters
    ----------
    means : float array (n, L)
        Of `published_means`, all variants of the gene.

    Returns
    -------
    float64 array (n, L)
        (m - mean) / sd over the variants at each position, ddof 0; NaN where all are equal.

    Examples
    --------
    >>> published_z(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, nan], [1.0, nan]]
    """
    # Where no background reaches, the means are equal: the spread of their rounding is none.
    same = means.max(axis=0, initial=-np.inf) == means.min(axis=0, initial=np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (means - means.mean(axis=0)) / means.std(axis=0)
    z[:, same] = np.nan
    return z


# --- scored again ----------------------------------------------------------------------------------------


def matched_random(
    sequence: str, variant: Variant, candidates: pd.DataFrame, *, name: str = "", seed: int = 0
) -> pd.DataFrame:
    """Random second sites as far along the chain from the variant as the candidates are.

    For each candidate a position is drawn among the 10 whose separation from the variant is nearest to the candidate's
    and that no candidate has, and one of the 19 substitutions there.

    Parameters
    ----------
    sequence : str
        The wild type.
    variant : sequence of Mutation
    candidates : DataFrame
        position (int, 1-based).
    name : str
        Of the protein: what is drawn depends on the seed, the protein and the variant only.
    seed : int

    Returns
    -------
    DataFrame
        position (int64), alt (str), a row a candidate; positions may repeat, substitutions do not.

    Raises
    ------
    InputError
        Where all positions are taken by the variant and its candidates.

    Examples
    --------
    >>> drawn = matched_random("MKRLVAEDGH", [Mutation(1, "M", "L")], pd.DataFrame({"position": [9, 2]}))
    >>> len(drawn), set(drawn["position"]) & {1, 2, 9}
    (2, set())
    """
    own = [mutation.position for mutation in variant]
    sites = second_sites(sequence, variant)
    sites[candidates["position"].to_numpy() - 1] = False
    rng = np.random.default_rng([seed, zlib.crc32(f"{name} {join_mutations(variant)}".encode())])
    separation = np.abs(np.arange(1, len(sequence) + 1)[:, None] - own).min(axis=1)  # (L,)
    rows = []
    for position in candidates["position"]:
        free = np.flatnonzero(sites.any(axis=1))
        if not len(free):
            raise InputError(f"{name} {join_mutations(variant)}: no position is left for random second sites")
        order = np.argsort(np.abs(separation[free] - separation[position - 1]), kind="stable")
        j = int(rng.choice(free[order[:NEAREST]]))
        column = int(rng.choice(np.flatnonzero(sites[j])))
        sites[j, column] = False
        rows.append((j + 1, AMINO_ACIDS[column]))
    return pd.DataFrame(rows, columns=["position", "alt"]).astype({"position": "int64", "alt": "str"})


def rescore_comasked(
    model, sequence: str, variant: Variant, candidates: pd.DataFrame, *, long: str = "window"
) -> pd.DataFrame:
    """Score second sites again with both positions masked.

    With the variant's position i and the second site j both masked, the model says how it likes a at j when it does not
    see what stands at i; the same with only j masked, how it likes a when it sees the wild type at i:

        score_comasked     = ln p(a at j | S_(-i,-j)) - ln p(S_j at j | S_(-i,-j))
        score_masked       = ln p(a at j | S_(-j)) - ln p(S_j at j | S_(-j))
        epistasis_comasked = score_comasked - score_masked

    Two masked positions are answered independently of each other, so that these numbers know the variant's position and
    not its residue: what they show is how much the wild type at i speaks against a.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    sequence : str
        The wild type.
    variant : sequence of one Mutation
    candidates : DataFrame
        position (int, 1-based), alt; further columns are carried.
    long
        As in `scores`.

    Returns
    -------
    DataFrame
        `candidates` and the three columns (float64, natural log).

    Raises
    ------
    InputError
        A variant with several substitutions, or a candidate at its position.
    """
    if len(variant) != 1:
        raise InputError(f"{join_mutations(variant)}: co-masking takes one substitution and one second site")
    scan.check_variant(sequence, variant)
    positions = candidates["position"].to_numpy(dtype=np.int64)
    alt = np.array([AMINO_ACIDS.index(letter) for letter in candidates["alt"]], dtype=np.int64)
    ref = scan.columns(sequence).astype(np.int64)[positions - 1]
    pairs = np.column_stack([np.full(len(positions), variant[0].position), positions])
    both = scan.comasked(model, sequence, pairs, long=long)[:, 1].astype(np.float64)  # (n, 20) at j
    questions = [scan.Query(0, ((j - 1, MASK),), j - 1) for j in positions.tolist()]
    alone = np.empty_like(both)
    for which, table in scan.answers(model, [sequence], questions, long=long):
        alone[which] = table
    row = np.arange(len(positions))
    comasked, masked = (table[row, alt] - table[row, ref] for table in (both, alone))
    return candidates.assign(score_comasked=comasked, score_masked=masked, epistasis_comasked=comasked - masked)


def rescore_pseudo_likelihood(
    model, sequence: str, variant: Variant, candidates: pd.DataFrame, *, long: str = "window"
) -> pd.DataFrame:
    """Score double mutants by their pseudo-log-likelihood (PLL): every residue masked once, of every sequence.

    Parameters
    ----------
    model, sequence, variant, long
        As in `rescore_comasked`; the variant may have several substitutions.
    candidates : DataFrame
        position, alt; further columns are carried.

    Returns
    -------
    DataFrame
        `candidates` and (float64, natural log) pll_change = PLL(variant and second site) - PLL(variant): positive, the
        second site makes the variant's protein likelier; pll_variant = PLL(variant) - PLL(wild type), what is to be
        made good; pll_epistasis = pll_change - (PLL(second site) - PLL(wild type)).

    Raises
    ------
    InputError
        As `plmbook.engine.scan.pseudo_log_likelihood`.
    """
    seconds = [
        Mutation(int(position), sequence[position - 1], alt)
        for position, alt in zip(candidates["position"], candidates["alt"], strict=True)
    ]
    asked = [(), tuple(variant), *((second,) for second in seconds), *((*variant, second) for second in seconds)]
    totals = scan.pseudo_log_likelihood(model, sequence, asked, long=long)
    wild_type, background = totals[:2]
    single, double = totals[2:].reshape(2, -1)
    change = double - background
    return candidates.assign(
        pll_change=change, pll_variant=background - wild_type, pll_epistasis=change - (single - wild_type)
    )


# --- pieces ----------------------------------------------------------------------------------------------


def _scores(model, sequence, variants, *, long, block, progress) -> Iterator[Block]:
    # The wild type is the first background: where a window holds no substitution both have the very same numbers.
    found = scan.backgrounds(model, sequence, [(), *variants], long=long, block=block, progress=progress)
    return _against_wild_type(found)


def _against_wild_type(found: Iterator[tuple[slice, np.ndarray]]) -> Iterator[Block]:
    wild = None
    for where, tables in found:
        start = where.start - 1
        if wild is None:
            wild, tables, start = tables[0].copy(), tables[1:], 0
        if len(tables):
            yield Block(slice(start, start + len(tables)), tables, wild, tables - wild)


def _mean(blocks: Sequence[Block]) -> Block:
    """The ensemble's block; the members' are of the same variants."""
    background, wild, epistasis = (
        np.mean([block[field] for block in blocks], axis=0, dtype=np.float64).astype(np.float32) for field in (1, 2, 3)
    )
    return Block(blocks[0].where, background, wild, epistasis)


def _best(values: np.ndarray, k: int) -> np.ndarray:
    """Places of the k highest values; of equal ones at the last place the first."""
    least = np.partition(values, -k)[-k]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")][:k]


def _ranks(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """1 + how many values are higher than that at each place."""
    return 1 + len(values) - np.searchsorted(np.sort(values), values[places], side="right")


class _Kept:
    """What is kept of the blocks of one protein and model: it grows by candidates and by n x L numbers."""

    def __init__(self, job: Job, *, top: int, maps: bool):
        self.job, self.top = job, top
        self.own = scan.columns(job.sequence)
        n, length = len(job.variants), len(job.sequence)
        self.wild = np.full((length, 20), np.nan, dtype=np.float32)
        self.arrays = {name: np.full((n, length), np.nan, dtype=np.float32) for name in BY_POSITION}
        self.means = np.full((n, length), np.nan)
        self.maps = np.empty((n, length, 20), dtype=np.int8) if maps else None
        self.scales = np.empty(n, dtype=np.float32) if maps else None
        self.found: list[dict[str, np.ndarray]] = []  # the candidates of each variant, by column

    def add(self, block: Block) -> None:
        """Reduce a block, background by background: 20 L numbers stay in the cache."""
        self.wild = block.score_wild_type
        chosen = self.job.variants[block.where]
        self.means[block.where] = published_means(block.score_background, chosen)
        for number, variant, background, epistasis in zip(
            range(block.where.start, block.where.stop), chosen, block.score_background, block.epistasis, strict=True
        ):
            sites = second_sites(self.job.sequence, variant)
            sites &= ~np.isnan(epistasis)
            self._positions(number, sites, background, epistasis)
            self._candidates(variant, sites, background, epistasis)
            if self.maps is not None:
                shown = epistasis.copy()
                shown[~sites.any(axis=1)] = np.nan
                codes, scales = quantise(shown[None])
                self.maps[number], self.scales[number] = codes[0], scales[0]

    def _positions(self, number, sites, background, epistasis) -> None:
        inside = sites.any(axis=1)
        e, s, others = epistasis[inside], background[inside], sites[inside]
        for name, values in (
            ("mean_epistasis", e.sum(axis=1) / 19),  # the wild type's own term is 0
            ("max_epistasis", e.max(axis=1, where=others, initial=-np.inf)),
            ("mean_abs_epistasis", np.abs(e).sum(axis=1) / 19),
            ("mean_score_background", s.sum(axis=1) / 19),
            ("max_score_background", s.max(axis=1, where=others, initial=-np.inf)),
        ):
            self.arrays[name][number, inside] = values

    def _candidates(self, variant, sites, background, epistasis) -> None:
        by_epistasis = np.where(sites, epistasis, -np.inf).reshape(-1)
        by_background = np.where(sites, background, -np.inf).reshape(-1)
        k = min(self.top, int(np.count_nonzero(sites)))
        if not k:
            return
        places = np.union1d(_best(by_epistasis, k), _best(by_background, k))
        places = places[np.argsort(-by_epistasis[places], kind="stable")]
        j, column = np.divmod(places, 20)
        self.found.append(
            {
                "mutation": np.full(len(places), join_mutations(variant), dtype=object),
                "rank": _ranks(by_epistasis, places),
                "position": j + 1,
                "ref": _LETTERS[self.own[j]],
                "alt": _LETTERS[column],
                "score_background": by_background[places],
                "score_wild_type": self.wild.reshape(-1)[places],
                "epistasis": by_epistasis[places],
                "rank_background": _ranks(by_background, places),
                "distance_angstrom": self._distance(variant)[j],
                "cpd": self._shared(variant, j, column),
            }
        )

    def _distance(self, variant) -> np.ndarray:
        """float64 (L,): to the nearest substituted residue."""
        if self.job.structure is None:
            return np.full(len(self.own), np.nan)
        cb = self.job.structure.cb.astype(np.float64)
        own = cb[[mutation.position - 1 for mutation in variant]]
        return np.linalg.norm(cb[:, None] - own, axis=2).min(axis=1)

    def _shared(self, variant, j, column) -> np.ndarray:
        """float64 (k,): orthologs with the variant's residues and this one."""
        if self.job.orthologs is None:
            return np.full(len(j), np.nan)
        carriers = np.all([self.job.orthologs[:, m.position - 1] == AMINO_ACIDS.index(m.alt) for m in variant], axis=0)
        return (self.job.orthologs[carriers][:, j] == column).sum(axis=0).astype(np.float64)

    def finish(self, model: str) -> Rescue:
        names = [name for name in RESCUE.names if name not in ("id", "model")]
        columns = {name: np.concatenate([[], *(each[name] for each in self.found)]) for name in names}
        kinds = {column.name: column.kind for column in RESCUE.columns}
        table = pd.DataFrame(columns).assign(id=self.job.id, model=model)[list(RESCUE.names)].astype(kinds)
        self.arrays["z"] = published_z(self.means).astype(np.float32)
        mutations = tuple(join_mutations(variant) for variant in self.job.variants)
        about = (self.job.id, model, self.job.sequence, mutations)
        return Rescue(*about, self.wild, table, self.arrays, self.maps, self.scales)
