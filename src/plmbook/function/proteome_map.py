"""Two proteomes as points: what the embeddings of proteins put near each other, and what a map in two dimensions keeps.

A *space* is a way to compare proteins: vectors with a similarity, such as an embedding or a baseline. Of each is asked
who the nearest neighbours are, whether they are of one family, and which protein of another species is nearest. Nothing
is trained, and any number of species may be in the table.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.preprocessing import normalize

from plmbook.core.errors import InputError, one_of
from plmbook.core.kmers import kmer_counts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import neighbours
from plmbook.stats import metrics

FORMS = ("as it is", "centred", "standardised", "whitened")
_CHUNK = 1000  # rows whose similarities to all others are in memory together
_K = 3  # residues of a k-mer
UNKNOWN, SEVERAL, OTHER = "not known", "several", "other"

# The classes of DeepLoc 1.0 that an animal cell has, and the term of GO that means each. The cytoplasm of GO contains
# the organelles, so the cytosol stands for it.
COMPARTMENTS = {
    "Nucleus": "GO:0005634",
    "Cytoplasm": "GO:0005829",
    "Mitochondrion": "GO:0005739",
    "Endoplasmic reticulum": "GO:0005783",
    "Golgi apparatus": "GO:0005794",
    "Lysosome/Vacuole": "GO:0005773",
    "Peroxisome": "GO:0005777",
    "Cell membrane": "GO:0005886",
    "Extracellular": "GO:0005576",
}


# --- spaces ----------------------------------------------------------------------------------------------


class Space(NamedTuple):
    """A way to compare proteins."""

    vectors: np.ndarray | sparse.csr_array  # float64 (n, d), a row a protein
    metric: str = "cosine"  # alike: a large "cosine", or a small Euclidean "distance" (dense arrays only)


def embedding_space(vectors: np.ndarray, form: str = "centred") -> Space:
    """The space of embeddings, float (n, d), by cosine; `form`: "as it is", "centred", "standardised", or "whitened"
    (principal components, each divided by its deviation)."""
    one_of("form", form, FORMS)
    vectors = _finite(vectors)
    if form == "as it is":
        return Space(vectors)
    centred = vectors - vectors.mean(axis=0)
    if form == "whitened":
        left, size, _ = np.linalg.svd(centred, full_matrices=False)
        return Space(left[:, size > 1e-10 * size.max(initial=0)] * np.sqrt(len(vectors)))
    deviation = centred.std(axis=0) if form == "standardised" else np.ones(centred.shape[1])
    return Space(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0))


def baseline_spaces(sequences: Sequence[str]) -> dict[str, Space]:
    """What can be compared without a model, by name: "3-mers", how often each occurs, by cosine; "composition", shares
    of the amino acids, centred, by cosine; "length", the logarithm of the number of residues, by distance."""
    lengths = np.log([[len(sequence)] for sequence in sequences])
    return {
        f"{_K}-mers": Space(kmer_counts(sequences, _K)),
        "composition": embedding_space(neighbours.composition(sequences)),
        "length": Space(lengths, "distance"),
    }


def nearest(space: Space, *, k: int = 10, groups: Sequence | None = None) -> np.ndarray:
    """The k nearest neighbours of each protein among the others, by exact search.

    Parameters
    ----------
    space : Space
        n proteins.
    k : int
    groups : sequence, shape (n,), optional
        Labels, such as clusters: proteins of one label are not each other's neighbours. Default: each protein its own.

    Returns
    -------
    int64 array (n, k)
        Places, nearest first.

    Raises
    ------
    InputError
        Where a protein has fewer than k others to choose from.
    """
    n = space.vectors.shape[0]
    group = _codes(groups, n)
    most = n - int(np.bincount(group).max(initial=0))
    if not 1 <= k <= most:
        raise InputError(f"k {k}: expected 1 to {most}, the proteins that each has to choose from")
    found = np.empty((n, k), dtype=np.int64)
    for chunk, alike in _similarities(space, np.arange(n), np.arange(n)):
        alike[group[chunk, None] == group] = -np.inf
        some = np.sort(np.argpartition(-alike, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(alike, some, axis=1), axis=1, kind="stable")
        found[chunk] = np.take_along_axis(some, order, axis=1)
    return found


def neighbour_table(space: Space, ids: Sequence[str], *, k: int = 10) -> pd.DataFrame:
    """The nearest neighbours of each protein: id, rank (from 1), neighbour (id), cosine; k rows a protein."""
    places, units, names = nearest(space, k=k), normalize(space.vectors), np.asarray(ids, dtype=object)
    cosines = [units[near] @ units[row] for row, near in enumerate(places)]
    return pd.DataFrame(
        {
            "id": np.repeat(names, k),
            "rank": np.tile(np.arange(1, k + 1), len(names)),
            "neighbour": names[places.ravel()],
            "cosine": np.round(np.concatenate(cosines), neighbours.DECIMALS),
        }
    )


def _similarities(space: Space, rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """A chunk of `rows` after another, and how alike these are to `columns`: float64 (chunk, columns)."""
    one_of("metric", space.metric, ("cosine", "distance"))
    vectors = normalize(space.vectors) if space.metric == "cosine" else space.vectors
    others = vectors[columns]
    squares = (others**2).sum(axis=1) if space.metric == "distance" else None
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        products = vectors[rows[chunk]] @ others.T
        products = products.toarray() if sparse.issparse(products) else products
        # what differs by less than rounding is a tie, whatever the order in which a processor adds up
        products = np.round(products if squares is None else 2 * products - squares, neighbours.DECIMALS)
        yield chunk, products


# --- labels ----------------------------------------------------------------------------------------------


def compartments(
    annotations: pd.DataFrame, ids: Sequence[str], ancestors: Mapping[str, frozenset[str]]
) -> tuple[pd.Series, pd.DataFrame]:
    """Where proteins are, by their terms of cellular component and the `Ontology.ancestors` of these: a Series of str
    by id (a key of `COMPARTMENTS` for a protein with terms of that one alone, else "several" or "not known"), and a
    table of id, compartment with each pair once."""
    names = {term: name for name, term in COMPARTMENTS.items()}
    means = {term: sorted(names[each] for each in {term, *ancestors.get(term, ())} & set(names))
             for term in set(annotations["go_id"])}  # fmt: skip
    rows = annotations[annotations["id"].isin(set(ids))]
    every = rows[["id"]].assign(compartment=rows["go_id"].map(means)).explode("compartment")
    every = every.dropna().drop_duplicates().sort_values(["id", "compartment"], ignore_index=True)
    one = every.drop_duplicates("id", keep=False).set_index("id")["compartment"]
    index = pd.Index(ids, name="id")
    found = pd.Series(np.where(index.isin(set(every["id"])), SEVERAL, UNKNOWN), index=index, dtype="str")
    found.update(one)
    return found.rename("compartment"), every


def families(
    proteins: pd.DataFrame, annotations: pd.DataFrame, names: Mapping[str, str], *, n: int = 10
) -> pd.DataFrame:
    """The n largest clusters (of id, gene, cluster): cluster, size, family (the stem that most gene symbols share, else
    the cluster's name), term, share (of the members that have it). The term has the highest F1 as a rule for being in
    the cluster: common in it and rare outside. `names`: term -> its name."""
    counts = proteins["cluster"].value_counts().rename_axis("cluster").reset_index(name="size")
    largest = counts.sort_values(["size", "cluster"], ascending=[False, True]).head(n)
    pairs = annotations[annotations["id"].isin(set(proteins["id"]))][["id", "go_id"]].drop_duplicates()
    pairs = pairs.assign(cluster=pairs["id"].map(proteins.set_index("id")["cluster"]))
    everywhere = pairs["go_id"].value_counts()
    rows = []
    for cluster, size in largest.itertuples(index=False):
        inside = pairs.loc[pairs["cluster"] == cluster, "go_id"].value_counts().sort_index()
        agreement = 2 * inside / (size + everywhere[inside.index])
        best = agreement.idxmax() if len(agreement) else None
        stem = _symbol_stem(proteins.loc[proteins["cluster"] == cluster, "gene"])
        term = names.get(best, best) if best else ""
        rows.append((cluster, size, stem or cluster, term, float(inside[best] / size) if best else 0.0))
    return pd.DataFrame(rows, columns=["cluster", "size", "family", "term", "share"])


def _symbol_stem(symbols: Sequence[str]) -> str:
    """What most gene symbols of a family begin with, in capitals: letters times symbols is largest.

    >>> _symbol_stem(["SERPINA1", "Serpinb7", "", "SERPINC1"]), _symbol_stem(["TAS2R38", "TAS2R4", "VN1R1"])
    ('SERPIN', 'TAS2R')
    """
    known = [str(symbol).upper() for symbol in symbols if symbol]
    starts = Counter(symbol[:size] for symbol in known for size in range(2, len(symbol) + 1))
    shared = {start: len(start) * times for start, times in sorted(starts.items()) if times > 1}
    if not shared:
        return min(known, default="")
    best = max(shared, key=shared.__getitem__)
    return re.sub(r"\d+$", "", best) or best


# --- maps ------------------------------------------------------------------------------------------------


class Components(NamedTuple):
    """Principal components."""

    scores: np.ndarray  # float64 (n, c), the longer tail (third moment) on the positive side
    shares: np.ndarray  # float64 (c,), of the variance, falling


def components(vectors: np.ndarray, n: int = 10) -> Components:
    """The first n principal components of vectors (n, d); scikit-learn's differ in the last bits."""
    vectors = _finite(vectors)
    left, size, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    scores = left * size
    signs = np.where((scores**3).sum(axis=0) < 0, -1, 1)
    shares = size**2 / (size**2).sum()
    return Components((scores * signs)[:, :n], shares[:n])


def umap(space: Space, *, seed: int, k: int = 15, min_dist: float = 0.1) -> np.ndarray:
    """A map of two dimensions that keeps neighbours together (McInnes et al. 2018, doi:10.21105/joss.00861).

    Parameters
    ----------
    space : Space
        n proteins, by cosine.
    seed : int
    k : int
        Neighbours that the map should keep, the protein itself among them; found by exact search.
    min_dist : float
        How near points may come, as in umap-learn.

    Returns
    -------
    float64 array (n, 2)
        The same on one machine for the same seed; another processor may draw another map.
    """
    import warnings

    if space.metric != "cosine":
        raise InputError(f"metric {space.metric!r}: expected cosine")
    n = space.vectors.shape[0]
    others = nearest(space, k=k - 1)
    units = normalize(space.vectors)
    places = np.column_stack([np.arange(n), others])
    distances = np.array([1 - units[row] @ units[near].T for row, near in enumerate(places)]).clip(0)
    distances[:, 0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that these neighbours cannot place further points: none will come
        from umap import UMAP

        known = (places.astype(np.int32), distances.astype(np.float32), None)
        options = {"n_neighbors": k, "min_dist": min_dist, "metric": "cosine", "precomputed_knn": known, "init": "pca"}
        made = UMAP(**options, random_state=seed, n_jobs=1).fit_transform(space.vectors)
    return made.astype(np.float64)


def property_correlations(scores: np.ndarray, sequences: Sequence[str]) -> pd.DataFrame:
    """What principal components (n, c) go with: component (from 1), property ("length" or an amino acid), spearman,
    r_squared (of that component on the length's logarithm and the shares of all amino acids, a linear fit; the same in
    each row of a component)."""
    shares, lengths = neighbours.composition(sequences), np.array([len(sequence) for sequence in sequences])
    known = {"length": lengths, **dict(zip(AMINO_ACIDS, shares.T, strict=True))}
    r_squared = explained(np.column_stack([np.log(lengths), shares]), scores)
    rows = [
        (number, name, metrics.spearman(column, values), fit)
        for number, (column, fit) in enumerate(zip(scores.T, r_squared, strict=True), start=1)
        for name, values in known.items()
    ]
    return pd.DataFrame(rows, columns=["component", "property", "spearman", "r_squared"])


def explained(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Share of the variance of each target (n, c) that is linear in the features (n, f); 0 of a constant target."""
    design = features - features.mean(axis=0)
    centred = targets - targets.mean(axis=0)
    fitted = design @ np.linalg.lstsq(design, centred, rcond=None)[0]
    total = (centred**2).sum(axis=0)
    return np.divide((fitted**2).sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)


def neighbours_kept(space: Space, layout: np.ndarray, *, k: int = 10) -> float:
    """Share of the k nearest in a space that are among the k nearest on a map (n, c); chance is k / (n - 1)."""
    true, seen = nearest(space, k=k), nearest(Space(np.asarray(layout, dtype=np.float64), "distance"), k=k)
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(true, seen, strict=True)]) / k)


def distances_kept(space: Space, layout: np.ndarray, *, n: int = 100_000, seed: int = 0) -> float:
    """Rank correlation of the distances of random pairs in a space and on a map."""
    one, other = np.random.default_rng(seed).integers(len(layout), size=(2, n))
    one, other = one[one != other], other[one != other]
    units = normalize(space.vectors)
    apart = 1 - (units[one] * units[other]).sum(axis=1)
    return metrics.spearman(apart, np.linalg.norm(layout[one] - layout[other], axis=1))


# --- neighbours ------------------------------------------------------------------------------------------


def label_agreement(places: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """For each protein the share of its neighbours, from `nearest`, with its own label, float64 (m,)."""
    codes = _codes(labels, len(labels))
    return (codes[places] == codes[:, None]).mean(axis=1)


def chance_agreement(labels: Sequence[str], groups: Sequence | None = None) -> float:
    """The mean of `label_agreement` for neighbours drawn at random from the others, `groups` as in `nearest`."""
    table = pd.DataFrame({"label": _codes(labels, len(labels)), "group": _codes(groups, len(labels))})
    label, group, both = (table.groupby(by)["label"].transform("size") for by in ("label", "group", ["label", "group"]))
    return float(((label - both) / (len(table) - group)).to_numpy().mean())


def _codes(labels: Sequence | None, n: int) -> np.ndarray:
    """Labels as numbers from 0; without any each of n is alone."""
    return np.arange(n) if labels is None else pd.factorize(np.asarray(labels))[0]


# --- orthologs -------------------------------------------------------------------------------------------


def ortholog_pairs(proteins: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Proteins of two species joined by the column `ortholog`, each once at most: first, second (ids), cluster (of the
    first)."""
    for name in (first, second):
        one_of("species", name, sorted(set(proteins["species"])))
    if first == second:
        raise InputError(f"species {first!r} twice: expected two")
    one, other = (proteins[proteins["species"] == name] for name in (first, second))
    there, back = one[["id", "ortholog"]], other[["ortholog", "id"]]
    pairs = pd.concat([each.set_axis(["first", "second"], axis=1) for each in (there, back)])
    pairs = pairs[pairs["first"].isin(set(one["id"])) & pairs["second"].isin(set(other["id"]))]
    pairs = pairs.drop_duplicates().drop_duplicates("first").drop_duplicates("second")
    if not len(pairs):
        raise InputError(f"{first} and {second}: the table names no orthologs; clusters by k-mers have none")
    pairs = pairs.sort_values("first", ignore_index=True)
    return pairs.assign(cluster=pairs["first"].map(proteins.set_index("id")["cluster"]))


def retrieve(space: Space, proteins: pd.DataFrame, pairs: pd.DataFrame, *, among: str) -> pd.DataFrame:
    """Where the ortholog of each protein stands among all of the species `among`, a row a pair: query, target (ids),
    nearer (number more alike to the query), tied (as alike, itself among them), found (id of the most alike), kin
    (bool: that is of the query's cluster). `proteins` (id, species, cluster) are in the order of the space."""
    if space.vectors.shape[0] != len(proteins):
        raise InputError(f"{space.vectors.shape[0]} vectors for {len(proteins)} proteins")
    place = pd.Series(range(len(proteins)), index=proteins["id"])
    if missing := sorted({*pairs["first"], *pairs["second"]} - set(place.index)):
        raise InputError(f"{missing[0]}: in a pair and not in the table ({len(missing)} such)")
    species, clusters = proteins["species"].to_numpy(), proteins["cluster"].to_numpy()
    columns = np.flatnonzero(species == among)
    swap = species[place[pairs["second"]]] != among
    first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    queries, targets = np.where(swap, second, first), np.where(swap, first, second)
    if (wrong := (species[place[targets]] != among) | (species[place[queries]] == among)).any():
        raise InputError(f"{queries[wrong][0]}, {targets[wrong][0]}: expected one protein of {among!r} in each pair")
    at = pd.Series(range(len(columns)), index=proteins["id"].to_numpy()[columns])
    rows, goal = place[queries].to_numpy(), at[targets].to_numpy()
    nearer, tied, found = np.empty((3, len(rows)), dtype=np.int64)
    for chunk, alike in _similarities(space, rows, columns):
        own = np.take_along_axis(alike, goal[chunk, None], axis=1)
        nearer[chunk], tied[chunk] = (alike > own).sum(axis=1), (alike == own).sum(axis=1)
        found[chunk] = columns[alike.argmax(axis=1)]
    table = pd.DataFrame({"query": queries, "target": targets, "nearer": nearer, "tied": tied})
    return table.assign(found=proteins["id"].to_numpy()[found], kin=clusters[found] == clusters[rows])


def recall(retrieved: pd.DataFrame, k: int) -> np.ndarray:
    """Chance of each query to have its ortholog among the first k, where ties are in random order, float64 (n,)."""
    return np.clip((k - retrieved["nearer"]) / retrieved["tied"], 0, 1).to_numpy(dtype=np.float64)


def identities(pairs: pd.DataFrame, sequences: pd.Series) -> np.ndarray:
    """Identical residues of each pair as a share of the shorter sequence, float64 (n,), by global alignment: BLOSUM62,
    10 to open a gap and 1 to extend it; letters of the 20 amino acids, U, O, B, Z and X."""
    import biotite.sequence as seq
    import biotite.sequence.align as align

    matrix = align.SubstitutionMatrix.std_protein_matrix()
    found = np.empty(len(pairs))
    for row, (first, second) in enumerate(zip(pairs["first"], pairs["second"], strict=True)):
        one, other = (
            seq.ProteinSequence(sequences[name].replace("U", "C").replace("O", "K")) for name in (first, second)
        )
        best = align.align_optimal(one, other, matrix, gap_penalty=(-10, -1), max_number=1)[0]
        found[row] = align.get_sequence_identity(best, mode="shortest")
    return found


def _finite(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or not len(vectors):
        raise InputError(f"expected vectors of the shape (n, d), found {vectors.shape}")
    if (bad := ~np.isfinite(vectors).all(axis=1)).any():
        raise InputError(f"an embedding holds a number that is not finite: row {np.flatnonzero(bad)[0] + 1}")
    return vectors
