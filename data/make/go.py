"""Compile the proteins, annotations and terms of the chapters on function.

Writes go_species.tsv, go_proteins.parquet, go_annotations.parquet, go_terms.tsv and go_relations.tsv, and prints the
counts of data/README.md.

The whole set are the human and mouse proteins with a term in the column of CAFA5.  The sample is drawn from those whose
sequence is at hand and has at most 500 residues, by whole homology clusters, so that relatives stay together: MMseqs2's
connected components (30 % identity over half of both proteins, E < 1e-3), joined where two proteins have one gene
symbol (case does not count) or are reciprocal best hits of the two species.  Of 500 seeded draws the one is kept whose
shares of proteins with each of the 20 published and the 20 most common terms, species by species, are nearest to those
of the whole set.

Usage: python data/make/go.py --from DIR [--out data]
DIR holds the folders go and human_mouse_seqs; data/README.md names the files.
"""

import json
from pathlib import Path

import door
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bundled import write

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.text import open_text, read_csv, read_records
from plmbook.function import ontology, splits
from plmbook.tables import bundled
from plmbook.tables.published import published

SEED = 20230101
DRAWS = 500
LONGEST = 500  # residues: the proteins of the CAFA5 column
RESIDUES = 1_500_000  # of the sample, at most
SPECIES = pd.DataFrame(
    [
        ("human", 9606, "Homo sapiens", "UP000005640", "HUMAN/goa_human"),
        ("mouse", 10090, "Mus musculus", "UP000000589", "MOUSE/goa_mouse"),
    ],
    columns=list(tables.schema_of("go_species").names),
)
COLUMNS = dict(
    zip(
        bundled.GO_COLUMNS,
        ("go_cafa5_propagated", "go_symbol_experimental_direct", "go_entrez_all_direct"),
        strict=True,
    )
)
ASPECTS = dict(zip("FPC", bundled.NAMESPACES, strict=True))
OF_2013 = {"mfo": "molecular_function", "bpo": "biological_process", "cco": "cellular_component"}


def read_joined(path: Path) -> pd.DataFrame:
    """The source's table: id, species, gene, stated (residues), then a column of GO ids joined by `;` a collection."""
    raw = read_csv(path, dtype=str, keep_default_na=False)
    table = pd.DataFrame({"id": raw["accession"], "gene": raw["gene"], "stated": raw["length"].astype(int)})
    taxa = dict(zip(SPECIES["taxon"].astype(str), SPECIES["species"], strict=True))
    table["species"] = raw["taxon"].map(taxa)
    return table.assign(**{ours: raw[theirs] for ours, theirs in COLUMNS.items()})


def read_sequences(folder: Path, wanted: set[str]) -> pd.DataFrame:
    """id, sequence of the wanted proteins, in the order of the files; an id may have several sequences."""
    rows = []
    for path in sorted(folder.glob("*.fasta.gz")):
        for header, sequence in read_records(path):
            if (name := header.split()[0]) in wanted:
                rows.append((name, sequence))
    return pd.DataFrame(rows, columns=["id", "sequence"])


def with_sequences(table: pd.DataFrame, sequences: pd.DataFrame) -> pd.DataFrame:
    """Add the sequence of the stated length, the first where there are two; say who has none."""
    sequences = sequences.assign(stated=sequences["sequence"].str.len())
    missing = ~table["id"].isin(sequences["id"])
    found = table.merge(sequences.drop_duplicates(["id", "stated"]), on=["id", "stated"])
    long = found["stated"] > LONGEST
    print(f"whole set: {len(table)} proteins {table['species'].value_counts().to_dict()}")
    other = len(table) - missing.sum() - len(found)
    print(f"  without a sequence {missing.sum()}, of another length than stated {other}")
    print(f"  over {LONGEST} residues {long.sum()}; drawn from: {(~long).sum()}")
    return found[~long].rename(columns={"stated": "length"}).reset_index(drop=True)


def report_homology(proteins: pd.DataFrame) -> None:
    """The clusters, and how many of the reciprocal best hits have one symbol, where both have any."""
    sizes = proteins["cluster"].value_counts()
    print(f"clusters: {len(sizes)}, the largest {sizes.head(3).tolist()}")
    genes = proteins.set_index("id")["gene"].str.upper()
    pairs = proteins[(proteins["ortholog"] != "") & (proteins["species"] == "human")]
    human, mouse = genes[pairs["id"]].to_numpy(), genes[pairs["ortholog"]].to_numpy()
    both = (human != "") & (mouse != "")
    same = (human == mouse)[both].sum()
    print(f"reciprocal best hits: {len(pairs)}; of {both.sum()} with two symbols the same one {same}")


def annotations_of(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """id, go_id of one collection, a row a pair."""
    rows = table.loc[table[column] != "", ["id", column]]
    return rows.assign(go_id=rows[column].str.split(";")).explode("go_id")[["id", "go_id"]]


def shares(pairs: pd.DataFrame, species: pd.Series, terms: list[str]) -> pd.DataFrame:
    """Share of the proteins of each species (columns) that have each of the terms (rows)."""
    pairs = pairs[pairs["go_id"].isin(terms) & pairs["id"].isin(species.index)]
    counts = pd.crosstab(pairs["go_id"], species[pairs["id"]].to_numpy()).reindex(terms, fill_value=0)
    return counts / species.value_counts()[counts.columns]


def draw(proteins: pd.DataFrame, pairs: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """The clusters whose proteins have at most `RESIDUES` residues and the shares of the terms nearest to the whole."""
    names, members = np.unique(proteins["cluster"], return_inverse=True)
    terms, species = list(whole.index), list(whole.columns)
    has = pd.crosstab(pairs["id"], pairs["go_id"]).reindex(index=proteins["id"], columns=terms, fill_value=0).to_numpy()
    of = (proteins["species"].to_numpy()[:, None] == species).astype(int)  # (n, 2)
    facts = np.column_stack([proteins["length"], of, *(has * of[:, [i]] for i in range(len(species)))])
    sums = np.zeros((len(names), facts.shape[1]), dtype=int)
    np.add.at(sums, members, facts)
    best, fewest = None, np.inf
    for seed in range(SEED, SEED + DRAWS):
        order = np.random.default_rng(seed).permutation(len(names))
        kept = order[np.cumsum(sums[order, 0]) <= RESIDUES]
        total = sums[kept].sum(0)
        found = total[3:].reshape(len(species), len(terms)).T / total[1:3]  # (terms, species)
        species_share = abs(total[1] / total[1:3].sum() - of[:, 0].mean())
        if (off := max(abs(found - whole.to_numpy()).max(), species_share)) < fewest:
            best, fewest = kept, off
    print(f"draw: the largest difference of a share is {fewest:.4f}")
    return proteins[np.isin(members, best)].sort_values(["species", "id"], ignore_index=True)


def read_2013(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The terms (go_id, name, namespace) and relations of CAFA2."""
    terms, relations = [], []
    for short, namespace in OF_2013.items():
        path = next(folder.glob(f"cafa2_{short}_term.txt*"))
        names = read_csv(path, names=["go_id", "name"], dtype=str)
        terms.append(names.assign(namespace=namespace))
        path = folder / f"cafa2_{short}_rel.txt.gz"
        relations.append(read_csv(path, names=["child", "relation", "parent"], dtype=str))
    return pd.concat(terms, ignore_index=True), pd.concat(relations, ignore_index=True)


def upward(terms: set[str], relations: pd.DataFrame) -> set[str]:
    """The terms and all their ancestors."""
    parents = relations.groupby("child")["parent"].agg(set).to_dict()
    found, new = set(terms), set(terms)
    while new := {parent for term in new for parent in parents.get(term, ())} - found:
        found |= new
    return found


def make_terms(folder: Path, whole: pd.DataFrame, sample: pd.DataFrame, species: pd.Series, used: set[str]) -> tuple:
    """go_terms and go_relations; `used` are the terms of the sample's annotations."""
    old, relations = read_2013(folder)
    with open_text(folder / "goterms.json.gz") as handle:
        current = json.load(handle)
    accretion = read_csv(folder / "cafa5_IA.txt.gz", names=["go_id", "value"], index_col=0)["value"]
    names_2013 = old.set_index("go_id")
    rows = []
    for term in sorted(upward(used, relations)):
        name, aspect = current["terms"].get(term, (None, None))
        if name is None and term not in names_2013.index:
            raise InputError(f"{term}: no name, neither in goterms.json nor in the terms of 2013")
        release = current["version"] if name else "2013"
        rows.append(
            (term, name or names_2013["name"][term], ASPECTS.get(aspect) or names_2013["namespace"][term], release)
        )
    table = pd.DataFrame(rows, columns=["go_id", "name", "namespace", "release"])
    table["in_2013"] = table["go_id"].isin(old["go_id"])
    for name in SPECIES["species"]:
        for pairs, ending in ((whole, ""), (sample, "_sample")):
            counts = pairs.loc[(species[pairs["id"]] == name).to_numpy(), "go_id"].value_counts()
            table[f"n_{name}{ending}"] = table["go_id"].map(counts).fillna(0).astype("int64")
    table["information_accretion"] = table["go_id"].map(accretion).clip(lower=0).round(4)
    table["published"] = table["go_id"].isin(published("go_terms")["go"])
    table["top20"] = table["go_id"].isin(most_common(whole))
    kept = relations[relations["child"].isin(table["go_id"])].sort_values(["child", "parent", "relation"])
    return table[list(tables.schema_of("go_terms").names)], kept[
        list(tables.schema_of("go_relations").names)
    ].reset_index(drop=True)


def most_common(pairs: pd.DataFrame, n: int = 20) -> list[str]:
    """The terms of most proteins; equal ones by id."""
    counts = pairs["go_id"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return list(counts.index[:n])


def write_dictionary(table: pd.DataFrame, schema: tables.Schema, path: Path) -> None:
    """As `write`, sorted by protein, with the three columns dictionary-encoded by Parquet."""
    table = tables.check(table, schema, where=path.name)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, path, compression="zstd", compression_level=19, use_dictionary=True)


def report(made: dict[str, pd.DataFrame], whole: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Print the counts that data/README.md states."""
    proteins, annotations, terms = made["go_proteins"], made["go_annotations"], made["go_terms"]
    print(proteins.groupby("species")["length"].agg(["size", "sum", "median"]).to_string())
    print(f"clusters {proteins['cluster'].nunique()}, largest {proteins['cluster'].value_counts().head(3).tolist()}")
    print({f"with {name}": int((proteins[name] != "").sum()) for name in ("ortholog", "gene")})
    species = proteins.set_index("id")["species"]
    for column, rows in annotations.groupby("column"):
        of = rows.assign(species=species[rows["id"]].to_numpy()).groupby("species")["id"]
        counts = of.agg(["size", "nunique"]).to_dict("index")
        print(f"{column}: {len(rows)} annotations, {rows['go_id'].nunique()} terms, by species {counts}")
    cafa5 = annotations[annotations["column"] == "cafa5"]
    found = shares(cafa5, species, list(expected.index))
    off = (found - expected).abs()
    print(f"largest difference of a share from the whole set: {off.max().max():.4f} of {off.stack().idxmax()}")
    print(f"largest ratio {np.exp(np.log(found / expected).abs().max().max()):.3f}")
    graph = ontology.read_relations(terms, made["go_relations"])
    for name, pairs in (("whole set", whole), ("sample", cafa5)):
        known = pairs[pairs["go_id"].isin(set(pairs["go_id"]) & set(graph.terms["go_id"]))]
        lacking = ontology.violations(known, graph)
        inside = lacking[lacking["parent"].isin(set(pairs["go_id"]))]
        for which, rows in (("all parents", lacking), ("parents that the column has", inside)):
            print(f"closed? {name}, {which}: {rows['n_lacking'].sum()} of {rows['n_proteins'].sum()} lack the parent")
    lost = ontology.lost_terms(terms)
    print(f"terms {len(terms)}, without annotations {((terms['n_human'] + terms['n_mouse']) == 0).sum()}")
    unknown = terms["information_accretion"].isna().sum()
    print(f"names of 2013 {(terms['release'] == '2013').sum()}, no accretion {unknown}")
    print(f"lost {len(lost)}, {lost[['n_human', 'n_mouse']].sum().to_dict()}")
    print("; ".join(f"{row.go_id} {row.name}" for row in lost.itertuples(index=False)))
    full = ontology.propagate(cafa5, graph)
    print(f"propagated: {len(full.annotations)} from {len(cafa5)}, left out {full.exclusions['n_annotations'].sum()}")


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="human_mouse_seqs")
    source, out = args.source, args.out
    out.mkdir(parents=True, exist_ok=True)
    joined = read_joined(source / "go" / "human_mouse_go_joined.tsv.gz")
    joined = joined[joined["cafa5"] != ""].reset_index(drop=True)
    species = joined.set_index("id")["species"]
    whole = annotations_of(joined, "cafa5")
    steered = sorted({*most_common(whole), *published("go_terms")["go"]})
    expected = shares(whole, species, steered)
    known = with_sequences(joined, read_sequences(source / "human_mouse_seqs", set(joined["id"])))
    known = splits.with_homology(known)
    report_homology(known)
    proteins = draw(known, whole, expected)

    terms_of_whole = set(whole["go_id"])
    parts = []
    for column in bundled.GO_COLUMNS:
        pairs = annotations_of(proteins, column)
        parts.append(pairs[pairs["go_id"].isin(terms_of_whole)].assign(column=column))
    annotations = pd.concat(parts).sort_values(["column", "id", "go_id"], ignore_index=True)
    sample = parts[0]
    terms, relations = make_terms(source / "go", whole, sample, species, terms_of_whole)
    made = {
        "go_species": SPECIES,
        "go_proteins": proteins[list(tables.schema_of("go_proteins").names)],
        "go_annotations": annotations,
        "go_terms": terms,
        "go_relations": relations,
    }
    for name, table in made.items():
        file, schema = tables.BUNDLED[name]
        (write_dictionary if name == "go_annotations" else write)(table, schema, out / file)
        print(f"{file}: {len(table)} rows, {(out / file).stat().st_size} bytes")
    report(made, whole, expected)


if __name__ == "__main__":
    main()
