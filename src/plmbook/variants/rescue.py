"""Second-site substitutions that may rescue a variant: the exhaustive scan on the background of each variant.

For a variant at i every substitution (j, a) at another position j is scored, from one forward pass of the variant's
background B and one of the wild type S:

    score_background = ln p_B(a at j) - ln p_B(S_j at j)
    score_wild_type  = ln p_S(a at j) - ln p_S(S_j at j)
    epistasis        = score_background - score_wild_type

score_background is what the published scan (Soylemez et al. 2022) reported; it is high for every substitution that the
model likes anyway, on any background.  Epistasis is what the variant adds; it may be high where the score is hopeless
on either.  So *candidates* are the best of a variant by the one or by the other.  Where a window without the variant
answers for a position, the epistasis is exactly 0.  An *ensemble* is the mean of the members' scores.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, join_mutations
from plmbook.core.structures import Structure
from plmbook.engine import scan
from plmbook.variants import alignment, distances, effects
from plmbook.variants.rescue_tables import BY_POSITION, RESCUE, Rescue, quantise

TOP = 50  # candidates of a variant by each of the two scores
ENSEMBLE = "mean"  # what the mean over several models is called, as in `effects.add_mean`

_LETTERS = np.array(list(AMINO_ACIDS))

Variant = Sequence[Mutation]


class Block(NamedTuple):
    """Scores of b backgrounds of one protein, columns in the order of `AMINO_ACIDS`: 0 in the wild type's column, also
    at the variant's position; NaN rows as in `plmbook.engine.scan.backgrounds`.
    """

    where: slice  # of the variants; the slices of a scan follow one another and cover them
    score_background: np.ndarray  # float32 (b, L, 20)
    score_wild_type: np.ndarray  # float32 (L, 20), the same in every block
    epistasis: np.ndarray  # float32 (b, L, 20)


class Job(NamedTuple):
    """One protein with its variants, and its structure and alignment where these are known."""

    id: str
    sequence: str  # L residues
    variants: list[tuple[Mutation, ...]]
    structure: Structure | None = None
    orthologs: np.ndarray | None = None  # int (n_species, L), as of `alignment.ortholog_residues`

    def check(self) -> None:
        """Make sure that all of it fits together, and that each variant comes once (`InputError`)."""
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
        if self.structure is not None:
            distances.check_structure(self.structure, self.sequence, self.id)
        if self.orthologs is not None and self.orthologs.shape[1:] != (len(self.sequence),):
            raise InputError(f"{of}the alignment is {self.orthologs.shape}, expected (n_species, {len(self.sequence)})")


def scores(
    model, sequence: str, variants: Sequence[Variant], *, long: str = "window", progress: bool = False
) -> Iterator[Block]:
    """Score every second-site substitution of each variant of a protein, block by block.

    Parameters
    ----------
    model, sequence : Model or sequence of Model, str
        Several are an ensemble, whose scores are the mean of the members'; the wild type, L residues.
    variants : sequence of n sequences of Mutation
        One substitution each, or several at distinct positions; one without any is the wild type.
    long, progress
        As in `plmbook.engine.scan.backgrounds`; so are the errors.

    Yields
    ------
    Block
        float32 (b, L, 20): score_background and epistasis of b variants in their order, and score_wild_type (L, 20).
    """
    found = _blocks(members(model), sequence, variants, long=long, progress=progress)
    return map(itemgetter(-1), found)


def second_sites(sequence: str, variant: Variant) -> np.ndarray:
    """Second sites of a variant, bool (L, 20): not wild-type letters, its own positions or those outside the 20."""
    own = scan.columns(sequence)
    sites = np.ones((len(sequence), 20), dtype=bool)
    sites[np.arange(len(sequence)), own] = False
    sites[own < 0] = False
    sites[[mutation.position - 1 for mutation in variant]] = False
    return sites


def rank_of(scores: np.ndarray, sites: np.ndarray, second: Mutation) -> tuple[int, int]:
    """Rank (1 = highest, ties share the better) of `second` among the `second_sites`, their number; else InputError."""
    place = second.position - 1, AMINO_ACIDS.index(second.alt)
    sites = sites & ~np.isnan(scores)  # what a model does not score is no candidate
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
    progress: bool = False,
) -> Rescue:
    """Scan the background of each variant of a protein.

    Parameters
    ----------
    model, long, progress
        As in `scores`; of several models the answer is that of the ensemble.
    sequence, id : str
        The wild type, L residues, and what the tables call it.
    variants : sequence of n sequences of Mutation
        Each with a substitution or several; each once.
    structure, orthologs : Structure, int array (n_species, L), optional
        Of this very sequence, for the distances; of `plmbook.variants.alignment.ortholog_residues`, for `cpd`.
    top, maps : int, bool
        Candidates of a variant by each score; keep the whole map of each variant as int8, n x 20 L bytes.

    Returns
    -------
    Rescue

    Raises
    ------
    InputError
        Before any forward: as `scores`; a variant that comes twice or is empty; a structure or alignment that misfits.
    """
    job = Job(id, sequence, [tuple(sorted(variant)) for variant in variants], structure, orthologs)
    return scan_job(model, job, top=top, maps=maps, long=long, progress=progress)[-1]


def jobs(
    proteins: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
    orthologs: Mapping[str, np.ndarray] | None = None,
) -> list[Job]:
    """The variants of a table by protein, in order of appearance, checked; structures and orthologs by protein."""
    pairs = effects.pair_up(proteins, variants)
    key = effects.key_columns(proteins, variants)[1]
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
    model, job: Job, *, top: int = TOP, maps: bool = False, long: str = "window", progress: bool = False
) -> list[Rescue]:
    """A `Rescue` a model and, of several, that of their mean at the end; options and errors as in `scan_protein`."""
    job.check()
    check_top(top)
    models = members(model)
    names = [each.name for each in models] + [ENSEMBLE] * (len(models) > 1)
    reducers = [_Reducer(job, top=top, maps=maps) for _ in names]
    for blocks in _blocks(models, job.sequence, job.variants, long=long, progress=progress):
        for one, reducer in zip(blocks, reducers, strict=True):
            reducer.add(one)
    return [reducer.result(name) for name, reducer in zip(names, reducers, strict=True)]


def check_top(top: int) -> None:
    """Make sure that at least one candidate is asked for (`InputError`)."""
    if top < 1:
        raise InputError(f"top {top}: expected at least one candidate")


def members(model) -> list:
    """The models of an ensemble, of different names (`InputError`); of one model a list of it."""
    models = list(model) if isinstance(model, Iterable) else [model]
    names = [each.name for each in models]
    if len({each.can("likelihood") for each in models}) > 1:
        raise InputError(f"{', '.join(names)}: some read both sides of a residue and some one; scan them apart")
    if not models or len({*names, ENSEMBLE}) != len(names) + 1:
        raise InputError(f"an ensemble needs models of different names, found {', '.join(names) or 'none'}")
    return models


# --- the published score ---------------------------------------------------------------------------------


def published_means(score_background: np.ndarray, variants: Sequence[Variant]) -> np.ndarray:
    """What the published study standardises, float64 (n, L): the mean over a of ln p_B(a at j) - ln p_B(B_j at j), a
    not B_j, where the background B has the variant's residue at its own position.
    """
    means = score_background.sum(axis=2, dtype=np.float64) / 19  # against S_j, whose own term is 0
    for row, variant in enumerate(variants):
        for mutation in variant:
            j = mutation.position - 1
            against = float(score_background[row, j, AMINO_ACIDS.index(mutation.alt)])
            means[row, j] -= 20 / 19 * against
    return means


def published_z(means: np.ndarray) -> np.ndarray:
    """The published score: standardised over the variants of a gene (Soylemez et al. 2022).

    Parameters
    ----------
    means : float array (n, L)
        Of `published_means`, all n variants of the gene.

    Returns
    -------
    float64 array (n, L)
        (m - mean) / sd over the variants with a mean at the position, ddof 0; NaN where all are equal.
    """
    # Where no background reaches, the means are equal: the spread of their rounding is none.
    known = ~np.isnan(means)
    same = means.max(axis=0, initial=-np.inf, where=known) == means.min(axis=0, initial=np.inf, where=known)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a position that no background has
        z = (means - means.mean(axis=0, where=known)) / means.std(axis=0, where=known)
    z[:, same] = np.nan
    return z


# --- pieces ----------------------------------------------------------------------------------------------


def _blocks(models, sequence, variants, *, long, progress) -> Iterator[list[Block]]:
    """The blocks of each model and, of several, their mean at the end; inputs are checked at once."""
    options = {"long": long, "block": max(1, scan.BLOCK // len(models)), "progress": progress}
    # The wild type is the first background: where a window holds no substitution both have the very same numbers.
    scans = [_against_wild_type(scan.backgrounds(model, sequence, [(), *variants], **options)) for model in models]
    if len(scans) == 1:  # `map` does not hold a block while the next is computed, as `zip` would
        return map(lambda block: [block], scans[0])
    return ([*blocks, _mean(blocks)] for blocks in zip(*scans, strict=True))


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

    def mean(name: str) -> np.ndarray:
        return np.stack([getattr(block, name) for block in blocks]).mean(axis=0, dtype=np.float64).astype(np.float32)

    return Block(blocks[0].where, *map(mean, Block._fields[1:]))


def _best(values: np.ndarray, k: int) -> np.ndarray:
    """Places of the k highest values; of equal ones at the last place the first."""
    least = np.partition(values, -k)[-k]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")][:k]


def _ranks(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """1 + how many values are higher than that at each place."""
    return 1 + len(values) - np.searchsorted(np.sort(values), values[places], side="right")


class _Reducer:
    """Reduces the blocks of one protein and model to a `Rescue`: it grows by candidates and by n x L numbers."""

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
            sites = second_sites(self.job.sequence, variant) & ~np.isnan(epistasis)
            self._positions(number, sites, background, epistasis)
            self._candidates(variant, sites, background, epistasis)
            if self.maps is not None and self.scales is not None:
                shown = np.where(sites.any(axis=1)[:, None], epistasis, np.nan)
                self.maps[number], self.scales[number] = quantise(shown)

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
                "distance_angstrom": distances.to_variant(self.job.structure, self.job.sequence, variant)[j],
                "cpd": self._carriers_with(variant, j, column),
            }
        )

    def _carriers_with(self, variant, j, column) -> np.ndarray:
        """float64 (k,): orthologs with the variant's residues and this one; NaN without an alignment."""
        if self.job.orthologs is None:
            return np.full(len(j), np.nan)
        rows = self.job.orthologs[alignment.carriers(self.job.orthologs, variant)]
        return (rows[:, j] == column).sum(axis=0).astype(np.float64)

    def result(self, model: str) -> Rescue:
        names = [name for name in RESCUE.names if name not in ("id", "model")]
        columns = {name: np.concatenate([[], *(each[name] for each in self.found)]) for name in names}
        kinds = {column.name: column.kind for column in RESCUE.columns}
        table = pd.DataFrame(columns).assign(id=self.job.id, model=model)[list(RESCUE.names)].astype(kinds)
        self.arrays["z"] = published_z(self.means).astype(np.float32)
        mutations = tuple(join_mutations(variant) for variant in self.job.variants)
        about = (self.job.id, model, self.job.sequence, mutations)
        return Rescue(*about, self.wild, table, self.arrays, self.maps, self.scales)
