"""Two proteomes as points: what the embeddings of proteins put near each other, and what a map in two dimensions keeps.

A *space* is a way to compare proteins: vectors with a similarity. An embedding is one, and so are the shares of the
amino acids, the counts of 3-mers and the length alone, the baselines. Everything here is asked of a space in the same
way: who the nearest neighbours are, whether they are of the same family, and which protein of another species is
nearest. Nothing is trained, and any number of species may be in the table.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.kmers import kmer_counts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import neighbours
from plmbook.stats import bootstrap, metrics
from plmbook.stats.bootstrap import Estimate

FORMS = ("as it is", "centred", "standardised", "whitened")
METRICS = ("cosine", "distance")
CHUNK = 1000  # rows whose similarities to all others are in memory together
K = 3  # residues of a k-mer
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
    """A way to compare proteins.

    Attributes
    ----------
    vectors : float64 array or sparse array (n, d)
        A row a protein.
    metric : {"cosine", "distance"}
        Alike are proteins with a large cosine, or with a small Euclidean distance (dense arrays only).
    """

    vectors: np.ndarray | sparse.csr_array
    metric: str = "cosine"


def embedding_space(vectors: np.ndarray, form: str = "centred") -> Space:
    """The space of embeddings, compared by cosine.

    Parameters
    ----------
    vectors : float array (n, d)
    form : {"as it is", "centred", "standardised", "whitened"}
        Take off the mean of all proteins, also divide each dimension by its standard deviation, or turn to the
        principal components and divide these by theirs.

    Returns
    -------
    Space

    Raises
    ------
    InputError
        If the array has not two dimensions, a number is not finite, or the form is unknown.

    Examples
    --------
    >>> embedding_space(np.array([[1.0, 5.0], [3.0, 5.0]]), "standardised").vectors.tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    if form not in FORMS:
        raise InputError(f"form {form!r}: expected one of {', '.join(FORMS)}{did_you_mean(form, FORMS)}")
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
    """What can be compared without a model.

    Returns
    -------
    dict of str -> Space
        "3-mers": how often each occurs, by cosine; "composition": shares of the amino acids, centred, by cosine;
        "length": the logarithm of the number of residues, by distance.

    Examples
    --------
    >>> {name: space.vectors.shape for name, space in baseline_spaces(["MKVL", "MKVA"]).items()}
    {'3-mers': (2, 3), 'composition': (2, 20), 'length': (2, 1)}
    """
    lengths = np.log([[len(sequence)] for sequence in sequences])
    return {
        f"{K}-mers": Space(kmer_counts(sequences, K)),
        "composition": embedding_space(neighbours.composition(sequences)),
        "length": Space(lengths, "distance"),
    }


def nearest(space: Space, *, k: int = 10, apart: Sequence | None = None) -> np.ndarray:
    """The k nearest neighbours of each protein among the others.

    Parameters
    ----------
    space : Space
        n proteins.
    k : int
    apart : sequence, shape (n,), optional
        Labels, such as clusters: proteins of one label are not each other's neighbours. Default: only the protein
        itself does not count.

    Returns
    -------
    int64 array (n, k)
        Places, nearest first.

    Raises
    ------
    InputError
        Where a protein has fewer than k others to choose from.

    Notes
    -----
    Exact search, as in `plmbook.probing.neighbours.nearest`, which says the same for a centred embedding.

    Examples
    --------
    >>> nearest(Space(np.array([[1.0], [2.0], [4.0]]), "distance"), k=1).ravel().tolist()
    [1, 0, 1]
    """
    n = space.vectors.shape[0]
    groups = np.arange(n) if apart is None else pd.factorize(np.asarray(apart))[0]
    most = n - int(np.bincount(groups).max(initial=0))
    if not 1 <= k <= most:
        raise InputError(f"k {k}: expected 1 to {most}, the proteins that each has to choose from")
    found = np.empty((n, k), dtype=np.int64)
    for rows, alike in _similarities(space, np.arange(n), np.arange(n)):
        alike[groups[rows, None] == groups] = -np.inf
        some = np.sort(np.argpartition(-alike, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(alike, some, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(some, order, axis=1)
    return found


def neighbour_table(space: Space, ids: Sequence[str], *, k: int = 10) -> pd.DataFrame:
    """The nearest neighbours of each protein, by name.

    Returns
    -------
    DataFrame
        id, rank (int64, from 1), neighbour (str, id), cosine (float64): k rows a protein, in the order of `ids`.

    Examples
    --------
    >>> space = Space(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    >>> neighbour_table(space, list("abc"), k=1).round(3).values.tolist()
    [['a', 1, 'b', 0.707], ['b', 1, 'a', 0.707], ['c', 1, 'b', 0.707]]
    """
    places, units, names = nearest(space, k=k), _units(space.vectors), np.asarray(ids, dtype=object)
    cosines = [units[near] @ units[row] for row, near in enumerate(places)]
    return pd.DataFrame(
        {
            "id": np.repeat(names, k),
            "rank": np.tile(np.arange(1, k + 1), len(names)),
            "neighbour": names[places.ravel()],
            "cosine": np.round(np.concatenate(cosines), neighbours.DECIMALS),
        }
    )


def _similarities(space: Space, rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some of `rows`, and how alike these are to `columns`: float64 (chunk, columns)."""
    if space.metric not in METRICS:
        raise InputError(f"metric {space.metric!r}: expected one of {', '.join(METRICS)}")
    vectors = _units(space.vectors) if space.metric == "cosine" else space.vectors
    others = vectors[columns]
    squares = (others**2).sum(axis=1) if space.metric == "distance" else None
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        products = vectors[part] @ others.T
        products = products.toarray() if sparse.issparse(products) else products
        # what differs by less than rounding is a tie, whatever the order in which a processor adds up
        products = np.round(products if squares is None else 2 * products - squares, neighbours.DECIMALS)
        yield part, products


def _units(vectors: np.ndarray | sparse.csr_array) -> np.ndarray | sparse.csr_array:
    """Rows of length 1; a row of zeros stays one."""
    if sparse.issparse(vectors):
        lengths = np.sqrt((vectors**2).sum(axis=1))
        return sparse.csr_array(sparse.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ vectors)
    return neighbours.units(vectors)


# --- labels ----------------------------------------------------------------------------------------------


def compartments(
    annotations: pd.DataFrame, ids: Sequence[str], ancestors: Mapping[str, frozenset[str]]
) -> tuple[pd.Series, pd.DataFrame]:
    """Where proteins are, by their terms of cellular component.

    Parameters
    ----------
    annotations : DataFrame
        id, go_id.
    ids : sequence of str, shape (n,)
        Distinct.
    ancestors : mapping
        Term -> its ancestors, from `plmbook.function.ontology.Ontology.ancestors`.

    Returns
    -------
    compartment : Series of str, shape (n,)
        Indexed by id: a key of `COMPARTMENTS` for a protein with terms of that one alone, else "several" or
        "not known".
    every : DataFrame
        id, compartment: each pair once.

    Examples
    --------
    >>> annotations = pd.DataFrame({"id": ["a", "b", "b"], "go_id": ["GO:0005634", "GO:0005634", "GO:0005829"]})
    >>> compartments(annotations, ["a", "b", "c"], {})[0].tolist()
    ['Nucleus', 'several', 'not known']
    """
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
    """The largest clusters, named by what their members have in common.

    Parameters
    ----------
    proteins : DataFrame
        id, gene, cluster.
    annotations : DataFrame
        id, go_id.
    names : mapping
        Term -> its name.
    n : int
        Clusters.

    Returns
    -------
    DataFrame
        The largest first: cluster (str), size (int64), family (str: the stem that most gene symbols share, as
        `symbol_stem`, or the cluster's name), term (str: the term that tells the cluster apart best), share (float64,
        of the members that have it).

    Notes
    -----
    The term is that with the highest F1 as a rule for being in the cluster: common in it and rare outside.
    """
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
        stem = symbol_stem(proteins.loc[proteins["cluster"] == cluster, "gene"])
        term = names.get(best, best) if best else ""
        rows.append((cluster, size, stem or cluster, term, float(inside[best] / size) if best else 0.0))
    return pd.DataFrame(rows, columns=["cluster", "size", "family", "term", "share"])


def symbol_stem(symbols: Sequence[str]) -> str:
    """What most gene symbols of a family begin with: letters times symbols is largest.

    Returns
    -------
    str
        In capitals, without digits at its end; the first symbol where none share a beginning, "" without any.


    Examples
    --------
    >>> symbol_stem(["SERPINA1", "Serpinb7", "", "SERPINC1"]), symbol_stem(["TAS2R38", "TAS2R4", "VN1R1"])
    ('SERPIN', 'TAS2R')
    """
    known = [str(symbol).upper() for symbol in symbols if symbol]
    starts: dict[str, int] = {}
    for symbol in known:
        for size in range(2, len(symbol) + 1):
            starts[symbol[:size]] = starts.get(symbol[:size], 0) + 1
    shared = {start: len(start) * times for start, times in sorted(starts.items()) if times > 1}
    if not shared:
        return min(known, default="")
    best = max(shared, key=shared.get)
    return re.sub(r"\d+$", "", best) or best


# --- maps ------------------------------------------------------------------------------------------------


class Components(NamedTuple):
    """Principal components.

    Attributes
    ----------
    scores : float64 array (n, c)
        Of the centred vectors, with the sign that has the longer tail (third moment) on the positive side.
    shares : float64 array (c,)
        Of the variance, falling.
    """

    scores: np.ndarray
    shares: np.ndarray


def components(vectors: np.ndarray, n: int = 10) -> Components:
    """Principal component analysis by singular value decomposition.

    Examples
    --------
    >>> found = components(np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]]), n=1)
    >>> found.scores.ravel().round(6).tolist(), found.shares.tolist()
    ([-1.0, -1.0, 2.0], [1.0])
    """
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
    units = _units(space.vectors)
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


def along(scores: np.ndarray, sequences: Sequence[str]) -> pd.DataFrame:
    """What the principal components go with.

    Parameters
    ----------
    scores : float array (n, c)
    sequences : sequence of str, shape (n,)

    Returns
    -------
    DataFrame
        A row a component and property: component (int64, from 1), property ("length" or an amino acid), spearman
        (float64, rank correlation), r_squared (float64: of that component on the length's logarithm and the shares of
        all amino acids, a linear fit; the same in each row of a component).
    """
    shares, lengths = neighbours.composition(sequences), np.array([len(sequence) for sequence in sequences])
    known = {"length": lengths, **dict(zip(AMINO_ACIDS, shares.T, strict=True))}
    r_squared = explained(np.column_stack([np.log(lengths), shares]), scores)
    return pd.DataFrame(
        [
            (number + 1, name, metrics.spearman(column, values), r_squared[number])
            for number, column in enumerate(scores.T)
            for name, values in known.items()
        ],
        columns=["component", "property", "spearman", "r_squared"],
    )


def explained(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Share of each column's variance that a linear function of the features explains, in the same rows.

    Parameters
    ----------
    features : float array (n, f)
    targets : float array (n, c)

    Returns
    -------
    float64 array (c,)
        0 to 1; 0 for a constant column.

    Examples
    --------
    >>> explained(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0, 0.0], [3.0, 1.0], [5.0, 0.0]])).round(6).tolist()
    [1.0, 0.0]
    """
    design = features - features.mean(axis=0)
    centred = targets - targets.mean(axis=0)
    fitted = design @ np.linalg.lstsq(design, centred, rcond=None)[0]
    total = (centred**2).sum(axis=0)
    return np.divide((fitted**2).sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)


def kept(space: Space, layout: np.ndarray, *, k: int = 10) -> float:
    """Share of the k nearest neighbours in a space that are among the k nearest on a map.

    Parameters
    ----------
    space : Space
        n proteins.
    layout : float array (n, c)
        The map, where near is a small Euclidean distance.
    k : int

    Returns
    -------
    float
        1: the map keeps all; k / (n - 1) is chance.
    """
    true, seen = nearest(space, k=k), nearest(Space(np.asarray(layout, dtype=np.float64), "distance"), k=k)
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(true, seen, strict=True)]) / k)


def distances_kept(space: Space, layout: np.ndarray, *, n: int = 100_000, seed: int = 0) -> float:
    """Rank correlation of the distances of random pairs in a space and on a map.

    Parameters
    ----------
    space : Space
        By cosine: the distance is 1 minus it.
    layout : float array (m, c)
    n : int
        Pairs.
    seed : int
        Of the draw.

    Returns
    -------
    float
        1: far on the map is far in the space.
    """
    one, other = np.random.default_rng(seed).integers(len(layout), size=(2, n))
    one, other = one[one != other], other[one != other]
    units = _units(space.vectors)
    return metrics.spearman(
        1 - (units[one] * units[other]).sum(axis=1), np.linalg.norm(layout[one] - layout[other], axis=1)
    )


# --- neighbours ------------------------------------------------------------------------------------------


def agreeing(places: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """For each protein the share of its neighbours with its own label.

    Parameters
    ----------
    places : int array (m, k)
        From `nearest`.
    labels : sequence of str, shape (m,)

    Returns
    -------
    float64 array (m,)

    Examples
    --------
    >>> agreeing(np.array([[1], [0], [0]]), list("aab")).tolist()
    [1.0, 1.0, 0.0]
    """
    codes = pd.factorize(np.asarray(labels))[0]
    return (codes[places] == codes[:, None]).mean(axis=1)


def chance(labels: Sequence[str], apart: Sequence | None = None) -> float:
    """What `agreeing` would be in the mean for neighbours drawn at random from the others.

    Parameters
    ----------
    labels : sequence of str, shape (m,)
    apart : sequence, shape (m,), optional
        As in `nearest`.

    Examples
    --------
    >>> round(chance(list("aabb")), 3), chance(list("aabb"), apart=list("xxyy"))
    (0.333, 0.0)
    """
    codes = pd.factorize(np.asarray(labels))[0]
    groups = np.arange(len(codes)) if apart is None else pd.factorize(np.asarray(apart))[0]
    together = pd.Series(1, index=pd.MultiIndex.from_arrays([codes, groups])).groupby(level=[0, 1]).transform("size")
    same = np.bincount(codes)[codes] - together.to_numpy()
    return float((same / (len(codes) - np.bincount(groups)[groups])).mean())


def resampled(values: np.ndarray, *, clusters: Sequence[str], n: int = 1000, seed: int = 0) -> Estimate:
    """The mean of some values with a 95 % interval from resampling whole clusters, as relatives resemble each other.

    Parameters
    ----------
    values : float array (m,)
        A value a protein, or a pair of them.
    clusters : sequence of str, shape (m,)
    n, seed : int
        Resamples, and their seed.

    Returns
    -------
    Estimate
        n = the values.

    Examples
    --------
    >>> resampled(np.array([0.0, 1.0]), clusters=["x", "x"], n=10)
    Estimate(value=0.5, low=0.5, high=0.5, n=2)
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise InputError("no protein to judge")
    return bootstrap.ratio(values, units=clusters, n=n, seed=seed)


# --- orthologs -------------------------------------------------------------------------------------------


def ortholog_pairs(proteins: pd.DataFrame, first: str, second: str, *, by: str = "ortholog") -> pd.DataFrame:
    """Proteins of two species that are each other's ortholog.

    Parameters
    ----------
    proteins : DataFrame
        id, species, gene, cluster, ortholog.
    first, second : str
        Two species of the table.
    by : {"ortholog", "gene"}
        As the column of that name says, in either protein's row; or one gene symbol, whatever its case, that one
        protein in each species has (clusters by k-mers come without orthologs).

    Returns
    -------
    DataFrame
        first, second (str, ids), cluster (str, of the first); each protein at most once.

    Raises
    ------
    InputError
        If a species is not in the table, both are one, or there is no pair.

    Examples
    --------
    >>> table = pd.DataFrame({"id": list("ab"), "species": ["human", "mouse"], "gene": ["TTR", "Ttr"]})
    >>> ortholog_pairs(table.assign(cluster="a", ortholog=""), "human", "mouse", by="gene").values.tolist()
    [['a', 'b', 'a']]
    """
    known = sorted(set(proteins["species"]))
    for name in (first, second):
        if name not in known:
            raise InputError(f"species {name!r}: expected one of {', '.join(known)}{did_you_mean(name, known)}")
    if first == second:
        raise InputError(f"species {first!r} twice: expected two")
    if by not in ("ortholog", "gene"):
        raise InputError(f"by {by!r}: expected ortholog or gene")
    one, other = (proteins[proteins["species"] == name] for name in (first, second))
    if by == "gene":
        symbols = [part.assign(key=part["gene"].str.upper()).query("key != ''") for part in (one, other)]
        symbols = [part.drop_duplicates("key", keep=False)[["id", "key"]] for part in symbols]
        pairs = symbols[0].merge(symbols[1], on="key", suffixes=("_first", "_second"))
        pairs = pairs.rename(columns={"id_first": "first", "id_second": "second"})
    else:
        pairs = pd.concat(
            [
                one[["id", "ortholog"]].set_axis(["first", "second"], axis=1),
                other[["ortholog", "id"]].set_axis(["first", "second"], axis=1),
            ]
        )
        pairs = pairs[pairs["first"].isin(set(one["id"])) & pairs["second"].isin(set(other["id"]))]
        pairs = pairs.drop_duplicates().drop_duplicates("first").drop_duplicates("second")
    if not len(pairs):
        raise InputError(f"{first} and {second}: the table names no orthologs; clusters by k-mers have none, see `by`")
    pairs = pairs[["first", "second"]].sort_values("first", ignore_index=True)
    return pairs.assign(cluster=pairs["first"].map(proteins.set_index("id")["cluster"]))


def retrieve(space: Space, proteins: pd.DataFrame, pairs: pd.DataFrame, *, among: str) -> pd.DataFrame:
    """Where the ortholog of each protein stands among all proteins of the other species.

    Parameters
    ----------
    space : Space
        Of the proteins, in their order.
    proteins : DataFrame
        id, species, cluster.
    pairs : DataFrame
        first, second (ids), as from `ortholog_pairs`; the species that is not `among` is the query.
    among : str
        The species that is searched.

    Returns
    -------
    DataFrame
        A row a pair, in their order: query, target (str, ids), nearer (int64: proteins that are more alike to the query
        than its ortholog), tied (int64: as alike, itself among them), found (str, id of the most alike), kin (bool:
        that is of the query's cluster).

    Raises
    ------
    InputError
        If a pair has no protein of that species, or one that the table lacks.
    """
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
    nearer, tied, best, start = [], [], [], 0
    for part, alike in _similarities(space, rows, columns):
        own = np.take_along_axis(alike, goal[start : start + len(part), None], axis=1)
        nearer.append((alike > own).sum(axis=1))
        tied.append((alike == own).sum(axis=1))
        best.append(columns[alike.argmax(axis=1)])
        start += len(part)
    found = np.concatenate(best)
    return pd.DataFrame(
        {
            "query": queries,
            "target": targets,
            "nearer": np.concatenate(nearer),
            "tied": np.concatenate(tied),
            "found": proteins["id"].to_numpy()[found],
            "kin": clusters[found] == clusters[rows],
        }
    )


def recall(retrieved: pd.DataFrame, k: int) -> np.ndarray:
    """Chance of each query to have its ortholog among the first k, where ties are in random order.

    Parameters
    ----------
    retrieved : DataFrame
        nearer, tied, as from `retrieve`.
    k : int

    Returns
    -------
    float64 array (n,)

    Examples
    --------
    >>> recall(pd.DataFrame({"nearer": [0, 0, 3], "tied": [1, 4, 1]}), 1).tolist()
    [1.0, 0.25, 0.0]
    """
    return np.clip((k - retrieved["nearer"]) / retrieved["tied"], 0, 1).to_numpy(dtype=np.float64)


def identities(pairs: pd.DataFrame, sequences: pd.Series) -> np.ndarray:
    """How alike two sequences are, by global alignment.

    Parameters
    ----------
    pairs : DataFrame
        first, second (ids).
    sequences : Series of str
        Indexed by id; letters of the 20 amino acids, B, Z and X.

    Returns
    -------
    float64 array (n,)
        Identical residues as a share of the shorter sequence; BLOSUM62, 10 to open a gap and 1 to extend it.

    Examples
    --------
    >>> pairs = pd.DataFrame({"first": ["a"], "second": ["b"]})
    >>> identities(pairs, pd.Series({"a": "MKVLAAGW", "b": "MKVLSAGW"})).tolist()
    [0.875]
    """
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
