"""Who may be trained on and who is the test: random, by homology, and across species.

A split is a Series of str, "train", "validation" or "test", named `split`, with the index `id` in the order given.
"""

import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from plmbook.core.errors import InputError, need, one_of
from plmbook.core.kmers import kmer_counts
from plmbook.core.machine import cores
from plmbook.core.text import read_csv

PARTS = ("train", "validation", "test")
FRACTIONS = (0.7, 0.1, 0.2)  # of the proteins, in the order of PARTS
IDENTITY, COVERAGE, E_VALUE = 0.3, 0.5, 1e-3  # two proteins this alike are relatives; coverage is of both
_ALIGNED = ("-c", COVERAGE, "--cov-mode", 0, "-e", E_VALUE)
K, SHARED = 5, 0.1  # of `kmer_clusters`
_COMMON = 200  # a k-mer of more proteins than this says nothing of kinship, and would cost its square
_RARE = 5  # positives for each part below which a label does not steer the stratification


def random_split(ids: Sequence[str], *, fractions: Sequence[float] = FRACTIONS, seed: int = 0) -> pd.Series:
    """Split proteins at random, relatives or not.

    Parameters
    ----------
    ids : sequence of str, shape (n,)
        Distinct.
    fractions : three floats
        Of training, validation and test; their sum is 1.
    seed : int

    Returns
    -------
    Series of str, shape (n,)
        Name `split`, index `id`.

    Raises
    ------
    InputError
        If an id repeats, the fractions are not three that sum to 1, or a part that should have proteins gets none.
    """
    index = _distinct(ids)
    bounds = np.round(np.cumsum(_checked(fractions)) * len(index)).astype(int)
    places = np.random.default_rng(seed).permutation(len(index))
    parts = np.repeat(PARTS, np.diff(bounds, prepend=0))
    found = pd.Series(parts[np.argsort(places)], index=index, name="split", dtype="str")
    return _complete(found, fractions)


def cluster_split(
    table: pd.DataFrame, *, labels: pd.DataFrame | None = None, fractions: Sequence[float] = FRACTIONS, seed: int = 0
) -> pd.Series:
    """Split proteins by whole clusters: no test protein has a relative of its cluster in training.

    Clusters are taken in a seeded order, so that large ones come to each part alike; each goes to the part with room
    for it that is farthest below its share of the proteins and of the positives of the cluster's labels (a greedy form,
    for groups, of the iterative stratification of Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10).

    Parameters
    ----------
    table : DataFrame
        `id` (distinct) and `cluster`, as in `go_proteins`.
    labels : DataFrame, shape (n, n_labels), optional
        0 and 1, a row a protein, indexed by id. Labels with fewer than 15 positives do not count.
    fractions : three floats
        Of training, validation and test; their sum is 1.
    seed : int

    Returns
    -------
    Series of str, shape (n,)
        Name `split`, index `id`. Invariant: one part a cluster.

    Raises
    ------
    InputError
        A column is missing, an id repeats, a cluster is empty, labels lack a protein, or clusters are too few.
    """
    need(table, ["id", "cluster"], "proteins")
    index, clusters = _distinct(table["id"]), table["cluster"].to_numpy()
    if (unnamed := pd.isna(clusters) | (clusters == "")).any():
        raise InputError(f"clusters: {index[unnamed][0]!r} has none; expected a cluster for each protein")
    shares = _checked(fractions)
    names, members = np.unique(clusters.astype(str), return_inverse=True)
    counts = _cluster_counts(index, members, len(names), labels)  # (n_clusters, 1 + n_labels)
    open_parts = np.flatnonzero(shares)
    wanted = shares[open_parts, None] * counts.sum(0)  # (n_parts, 1 + n_labels)
    filled = np.zeros_like(wanted)
    chosen = np.zeros(len(names), dtype=int)
    for cluster in np.random.default_rng(seed).permutation(len(names)):
        weights = counts[cluster] / counts.sum(0)  # a rare label of the cluster weighs more than a common one
        lack = (1 - filled / wanted) @ weights
        fits = filled[:, 0] + counts[cluster, 0] <= wanted[:, 0] + 0.5
        part = int(np.argmax(np.where(fits, lack, -np.inf) if fits.any() else lack))
        chosen[cluster] = open_parts[part]
        filled[part] += counts[cluster]
    found = pd.Series(np.array(PARTS)[chosen[members]], index=index, name="split", dtype="str")
    return _complete(found, fractions)


def species_split(
    table: pd.DataFrame, train: str, test: str, *, validation: float = 0.1, seed: int = 0, related: bool = True
) -> pd.Series:
    """Train on the proteins of one species, test on those of another.

    Parameters
    ----------
    table : DataFrame
        `id`, `species`, `cluster`.
    train, test : str
        Two of its species; proteins of others are not in the answer.
    validation : float
        Share of the training species' proteins that choose thresholds and when to stop; whole clusters.
    seed : int
    related : bool
        False leaves out each test protein whose cluster has a training or validation protein.

    Returns
    -------
    Series of str
        Name `split`, index `id`; proteins left out are missing.

    Raises
    ------
    InputError
        If a species is not in the table, both are one, or nothing is left to test.
    """
    need(table, ["id", "species", "cluster"], "proteins")
    species = table["species"]
    for name in (train, test):
        if name not in set(species):
            raise InputError(f"species {name!r}: not in the table; expected one of {', '.join(sorted(set(species)))}")
    if train == test:
        raise InputError(f"species {train!r} to train and to test: expected two")
    learned = table[species == train]
    split = cluster_split(learned, fractions=(1 - validation, validation, 0), seed=seed)
    tested = table[species == test]
    if not related:
        tested = tested[~tested["cluster"].isin(set(learned["cluster"]))]
    if not len(tested):
        raise InputError(f"every protein of {test!r} has a relative of {train!r}; none is left to test")
    others = pd.Series("test", index=pd.Index(tested["id"], name="id"), name="split", dtype="str")
    both = pd.concat([split, others])
    return both.reindex(table.loc[table["id"].isin(both.index), "id"])


def species_pairs(table: pd.DataFrame, *, both_ways: bool = False) -> list[tuple[str, str]]:
    """Every two species of a table, those with the most proteins first; `both_ways`: each pair and its reverse.

    >>> table = pd.DataFrame({"species": ["mouse", "human", "human"]})
    >>> species_pairs(table), species_pairs(table, both_ways=True)
    ([('human', 'mouse')], [('human', 'mouse'), ('mouse', 'human')])
    """
    counts = table["species"].value_counts()
    pairs = itertools.combinations(sorted(counts.index, key=lambda name: (-counts[name], name)), 2)
    return [pair for one, other in pairs for pair in [(one, other), (other, one)][: 1 + both_ways]]


def leakage(split: pd.Series, table: pd.DataFrame) -> dict[str, float]:
    """How much of the test has a relative in training, by the `cluster` of each `id` in a table: n_test, n_related
    (test proteins with a training protein in the same cluster), share; where the table has the column ortholog (an id,
    or ""), n_ortholog (test proteins whose ortholog is in training)."""
    need(table, ["id", "cluster"], "proteins")
    rows = table.set_index(_distinct(table["id"]))
    if len(unknown := split.index.difference(rows.index)):
        raise InputError(f"the table has no cluster of {unknown[0]!r} and {len(unknown) - 1} more of the split")
    rows = rows.loc[split.index]
    train, test = (split == "train").to_numpy(), (split == "test").to_numpy()
    n_test, related = int(test.sum()), int(rows.loc[test, "cluster"].isin(set(rows.loc[train, "cluster"])).sum())
    found = {"n_test": n_test, "n_related": related, "share": related / n_test if n_test else float("nan")}
    if "ortholog" in rows:
        found["n_ortholog"] = int(rows.loc[test, "ortholog"].isin(set(rows.index[train])).sum())
    return found


def kmer_clusters(ids: Sequence[str], sequences: Sequence[str]) -> pd.Series:
    """Cluster proteins that share k-mers, for those without MMseqs2: Series of str, each cluster its first protein.
    It joins two that share at least `SHARED` of the distinct k-mers of the one with fewer, and all that are so
    connected. Close relatives (about half of the residues identical) are found, distant ones are not."""
    index = _distinct(ids)
    has = (kmer_counts(sequences, K) > 0).astype(np.int32)
    distinct = has.sum(1)
    has = has[:, has.sum(0) <= _COMMON]
    common = (has @ has.T).tocoo()
    near = common.data >= SHARED * np.minimum(distinct[common.row], distinct[common.col])
    return _linked(index, [(common.row[near], common.col[near])])


def mmseqs_clusters(ids: Sequence[str], sequences: Sequence[str]) -> pd.Series:
    """Connected components of MMseqs2's alignments (`easy-cluster --cluster-mode 1`), as `kmer_clusters` gives them."""
    index = _distinct(ids)
    rule = ["--min-seq-id", IDENTITY, *_ALIGNED, "--cluster-mode", 1]
    pairs = _mmseqs("easy-cluster", [sequences], "found_cluster.tsv", ["representative", "member"], rule)
    return _linked(index, [(pairs["representative"].to_numpy(), pairs["member"].to_numpy())])


def _reciprocal_best_hits(first: pd.Series, second: pd.Series) -> pd.DataFrame:
    """Pairs of two species (sequences by id) that find each other first (`mmseqs easy-rbh`), most often orthologs:
    first, second (ids, each at most once)."""
    columns = ["query", "target", "bits"]
    rule = [*_ALIGNED, "--format-output", ",".join(columns)]
    hits = _mmseqs("easy-rbh", [first, second], "found", columns, rule)
    # equal scores make several firsts: the first by place is taken
    hits = hits.sort_values(["bits", "query", "target"], ascending=[False, True, True])
    hits = hits.drop_duplicates("query").drop_duplicates("target").sort_values("query")
    return pd.DataFrame({"first": first.index[hits["query"]], "second": second.index[hits["target"]]}, dtype="str")


def with_homology(proteins: pd.DataFrame, *, method: str = "mmseqs") -> pd.DataFrame:
    """Add clusters that join relatives (by `method`), one gene symbol (case does not count) and reciprocal best hits.
    `proteins` has id, species, gene ("" where unknown), sequence; added are cluster (its first protein) and ortholog
    (the reciprocal best hit in another species, the first by name of several, or ""; always "" with "kmer")."""
    one_of("method", method, ("mmseqs", "kmer"))
    need(proteins, ["id", "species", "gene", "sequence"], "proteins")
    ids, species = _distinct(proteins["id"]), proteins["species"].to_numpy()
    place = pd.Series(range(len(ids)), index=ids)
    sequences = pd.Series(proteins["sequence"].to_numpy(), index=ids)
    found = mmseqs_clusters(ids, sequences) if method == "mmseqs" else kmer_clusters(ids, sequences)
    symbols = proteins["gene"].str.upper().where(proteins["gene"] != "", proteins["id"])
    links = [(found, ids), (proteins["id"].groupby(symbols).transform("first"), ids)]
    partner = pd.Series("", index=ids)
    for one, other in itertools.combinations(sorted(set(species)), 2) if method == "mmseqs" else ():
        pairs = _reciprocal_best_hits(sequences[species == one], sequences[species == other])
        links.append((pairs["first"], pairs["second"]))
        for ours, theirs in (("first", "second"), ("second", "first")):
            new = pairs[(partner[pairs[ours]] == "").to_numpy()]
            partner[new[ours]] = new[theirs].to_numpy()
    clusters = _linked(ids, [(place[a].to_numpy(), place[b].to_numpy()) for a, b in links])
    return proteins.assign(cluster=clusters.to_numpy(), ortholog=partner.to_numpy())


def _linked(ids: Sequence[str], links: Sequence[tuple[np.ndarray, np.ndarray]]) -> pd.Series:
    """Connected components: Series of str by id, each component its first protein; links are pairs of places."""
    index = pd.Index(ids, name="id")
    rows, columns = (np.concatenate([np.asarray(pair[side], dtype=int) for pair in links]) for side in (0, 1))
    graph = sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(index), len(index)))
    _, component = connected_components(graph, directed=False)
    first = pd.Series(np.asarray(index)).groupby(component).first()
    return pd.Series(first.loc[component].to_numpy(), index=index, name="cluster", dtype="str")


def _mmseqs(
    command: str, sequences: Sequence[Sequence[str]], output: str, columns: list[str], rule: Sequence[object]
) -> pd.DataFrame:
    """What MMseqs2 finds, proteins by their place; its own last lines are in the message if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = [Path(folder) / f"{number}.fasta" for number in range(len(sequences))]
        for path, each in zip(inputs, sequences, strict=True):  # numbers for names: MMseqs2 rewrites ids that hold `|`
            path.write_text("".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(each)), encoding="ascii")
        line = ["mmseqs", command, *inputs, f"{folder}/found", f"{folder}/tmp", *rule, "--threads", cores(), "-v", 1]
        try:
            done = subprocess.run(list(map(str, line)), capture_output=True, text=True)
        except FileNotFoundError:
            raise InputError(
                "mmseqs: no such program; install MMseqs2 (conda-forge/bioconda or apt), or use kmer_clusters"
            ) from None
        if done.returncode:
            raise InputError(f"mmseqs {command} failed: {(done.stderr or done.stdout).strip()[-300:]}")
        return read_csv(Path(folder) / output, names=columns)


def _distinct(ids: Sequence[str]) -> pd.Index:
    index = pd.Index(ids, name="id")
    if not len(index):
        raise InputError("no proteins; expected some to split")
    if (missing := index.isna()).any():
        raise InputError(f"the id of protein {int(missing.argmax()) + 1} is missing; expected a name for each")
    if (repeated := index.duplicated()).any():
        raise InputError(f"id {index[repeated][0]!r} repeats; expected each protein once")
    return index


def _checked(fractions: Sequence[float]) -> np.ndarray:
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise InputError(f"fractions {tuple(fractions)}: expected three (train, validation, test) from 0, with sum 1")
    return shares


def _complete(split: pd.Series, fractions: Sequence[float]) -> pd.Series:
    """The split, unless a part that should have proteins has none."""
    for part, share in zip(PARTS, fractions, strict=True):
        if share > 0 and not (split == part).any():
            raise InputError(f"{part}: no protein, expected {share:.0%} of {len(split)}; too few proteins or clusters")
    return split


def _cluster_counts(index: pd.Index, members: np.ndarray, n: int, labels: pd.DataFrame | None) -> np.ndarray:
    """Proteins and positives of each label that is common enough, a row a cluster, float64."""
    columns = [np.ones(len(index))]
    if labels is not None:
        if len(unknown := index.difference(labels.index)):
            raise InputError(f"labels: no row of {unknown[0]!r} and {len(unknown) - 1} more")
        values = labels.loc[index].to_numpy(float)
        columns += list(values[:, values.sum(0) >= _RARE * len(PARTS)].T)
    return np.stack([np.bincount(members, weights=column, minlength=n) for column in columns], axis=1)
