"""Compile the samples of the downstream tasks that the localisation and CB513 tables do not hold.

Writes task_secondary_structure.parquet, task_remote_homology.parquet, task_solubility.parquet,
task_fluorescence.parquet, task_proteins.tsv, task_cath.parquet and task_contacts.parquet, and prints the counts of
data/README.md.  The samples are so small that a learner trains on one in a minute.

A protein has a *relative* in a set where MMseqs2 aligns it with one at 25 % identity (20 % for CATH) over at least half
of the shorter of the two, E < 1e-3.  Draws are seeded, and the rows to draw from are in the order of the source.

Secondary structure: the tests are the chains of CASP12 and CASP14 as they are; training and validation proteins are
drawn from CB6133 (filtered), without relatives in CASP12, CASP14 and CB513, those for training without one in
validation.
Remote homology: TAPE's splits, cut to the 55 folds of its test that are most common in training; a training or
validation domain with a relative in the test leaves.
Solubility: DeepSol's test, and its validation set to train on, without relatives in the whole test.
Fluorescence: avGFP's missense genotypes, up to three mutations to train on and more for the test, as TAPE has it.
CATH: ProtTucker's 219 queries, and a lookup of domains that are whole chains, none of them a relative of a query.
Contacts: the C-alpha atoms of the chains of CASP13 and CASP14.

Usage: python data/make/downstream.py --from DIR [--out data]
DIR holds the folders secondary_structure, remote_homology, solubility, fluorescence, cath and dms; data/README.md names
the files.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import door
import numpy as np
import pandas as pd
from alike import relatives, search
from bundled import write
from door import read_rows

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import UNKNOWN, join_mutations, parse_mutations
from plmbook.core.text import open_text, read_records
from tasks import read_netsurfp

SEED = 20230116
IDENTITY = 0.25  # of a relative
ORDER = {"train": 0, "validation": 1, "test": 2, "lookup": 0, "query": 1}  # of the rows of a table

THREE_OF_EIGHT = dict(zip("HGIEBTSC", "HHHEECCC", strict=True))
N_STRUCTURES = {"validation": 80, "train": 600}  # proteins of CB6133
DRAWN = 2_000  # of CB6133, of which those with relatives leave
STRUCTURE_LENGTH = (40, 500)  # residues, least and most

FOLDS = 55
OF_A_FOLD = {"train": 20, "validation": 3}  # proteins at most
LONGEST_DOMAIN = 512

N_SOLUBLE = {"train": 1_100, "validation": 150, "test": 600}
SOLUBLE_DRAWN = 2_000  # of those for training, of which the ones with relatives leave
SOLUBLE_LENGTH = (40, 512)

N_GENOTYPES = {"train": 900, "validation": 120, "test": 900}  # the wild type is one of those for training
FEW = 3  # mutations at most of a genotype for training
WILD_TYPE = "GFP_AEQVI_Sarkisyan_2016"  # row of ProteinGym's list
GFP_OFFSET = 2  # UniProt's position minus that in the file
GFP = "avGFP"

CATH_IDENTITY = 0.20
LONGEST_LOOKUP = 600
LOOKUP = (2_500, 380_000)  # domains and residues at most
OF_A_TOPOLOGY = 5  # domains, where no domain has the superfamily of the query

C_ALPHA = ("ca_x", "ca_y", "ca_z")


# --- what the tables share ---


def numbers(text: str) -> np.ndarray:
    """The numbers of `1.0 0.0` or of the list `[1.0, 0.0]`, nested or not, in order."""
    return np.array(text.translate(str.maketrans("[],", "   ")).split(), dtype=float)


def related(sequences: Iterable[str], others: Iterable[str], identity: float = IDENTITY) -> np.ndarray:
    """Which of the sequences have a relative among the others: bool, one a sequence."""
    sequences = list(sequences)
    hits = relatives(search(sequences, others, identity=identity, sensitivity=7.5))
    return np.isin(np.arange(len(sequences)), hits["query"].unique())


def draw(table: pd.DataFrame, n: int, by: str, shares: pd.Series | None = None) -> pd.DataFrame:
    """Draw n rows in which each value of a column has its share, to the nearest row (largest remainder).

    The shares are those of the table, or of the values in `shares`.  The drawn rows are in the order of the table.
    """
    counts = (table[by] if shares is None else shares).map(str).value_counts().sort_index()
    exact = n * counts / counts.sum()
    quota = np.floor(exact).astype(int)
    for value in (exact - quota).sort_values(ascending=False, kind="stable").index[: n - int(quota.sum())]:
        quota[value] += 1
    parts = [table[table[by].map(str) == value].sample(quota[value], random_state=SEED) for value in quota.index]
    return pd.concat(parts).sort_index()


def finished(parts: list[pd.DataFrame], schema: tables.Schema) -> pd.DataFrame:
    """Join the parts in the order of splits and ids, with lengths, in the columns of the schema."""
    table = pd.concat(parts, ignore_index=True)
    if "sequence" in table:
        twice = table.loc[table["sequence"].duplicated(), "id"]
        if len(twice):
            raise InputError(f"{schema.name}: {len(twice)} sequences occur twice, the first again as {twice.iloc[0]}")
        table["length"] = table["sequence"].str.len()
    part = "role" if "role" in table else "split"
    rest = [name for name in schema.key if name in table]
    table = table.assign(order=table[part].map(ORDER)).sort_values(["order", *rest], ignore_index=True)
    return table[list(schema.names)]


# --- secondary structure and contacts ---


def read_casp(path: Path) -> pd.DataFrame:
    """The chains of a CASP: id (CASP and number), source, sequence, dssp3, dssp8, counted (1 = has coordinates), and,
    where the file has them, xyz (float array, shape (length, 3), angstrom; NaN where there are none).
    """
    rows = []
    for number, row in enumerate(read_rows(path), start=1):
        resolved = numbers(row["disorder"]) == 1  # 1.0 where there are coordinates
        states = {name: row[name] for name in ("dssp3", "dssp8")}
        if not len(row["input"]) == len(row["dssp3"]) == len(row["dssp8"]) == len(resolved):
            raise InputError(f"{path}: row {number}: expected as many states and flags as residues")
        chain = {"id": f"{path.stem}_{number:02d}", "source": path.stem, "sequence": row["input"], **states}
        chain["counted"] = "".join(np.where(resolved, "1", "0"))
        if "xyz_coordinates" in row:
            xyz = numbers(row["xyz_coordinates"])
            if xyz.size != 3 * len(resolved):
                raise InputError(f"{path}: row {number}: expected 3 coordinates a residue, found {xyz.size} in all")
            xyz = xyz.reshape(-1, 3)
            if ((xyz != 0).any(axis=1) != resolved).any():
                raise InputError(f"{path}: row {number}: expected 0, 0, 0 where disorder is 0.0, and only there")
            chain["xyz"] = np.where(resolved[:, None], xyz, np.nan)
        rows.append(chain)
    return pd.DataFrame(rows)


def read_cb6133(path: Path) -> pd.DataFrame:
    """CB6133, each sequence once: id (CB6133 and its number), source, sequence, dssp3, dssp8, counted (all 1)."""
    rows = pd.DataFrame(read_rows(path))
    wrong = rows["input"].str.len() != rows["expected"].str.len()
    if wrong.any():
        raise InputError(f"{path}: protein {rows.loc[wrong, 'id'].iloc[0]}: expected a state for each residue")
    states = rows["expected"].str.replace("L", "C")
    table = pd.DataFrame({"id": "CB6133_" + rows["id"].str.zfill(4), "source": "CB6133", "sequence": rows["input"]})
    table["dssp3"] = states.map(three_states)
    table["dssp8"] = states
    table["counted"] = states.str.replace(".", "1", regex=True)
    print(f"secondary structure: {len(table)} proteins of CB6133, {table['sequence'].nunique()} sequences")
    return table[~table["sequence"].duplicated()].reset_index(drop=True)


def print_agreement(proteins: pd.DataFrame, others: pd.DataFrame) -> None:
    """Where both sets have a sequence: how often their three states agree, of the residues that the other resolves."""
    both = proteins.merge(others, on="sequence", suffixes=("", "_other"))
    columns = ("dssp3", "dssp3_other", "resolved")
    residues = zip(*("".join(both[name]) for name in columns), strict=True)
    pairs = Counter(ours == theirs for ours, theirs, resolved in residues if resolved == "1")
    print(f"secondary structure: {len(both)} sequences of CB6133 are NetSurfP-2.0's too; states agree {dict(pairs)}")


def three_states(dssp8: str) -> str:
    """H, G and I as H; E and B as E; T, S and none as C."""
    return "".join(map(THREE_OF_EIGHT.__getitem__, dssp8))


def make_secondary_structure(folder: Path) -> pd.DataFrame:
    test = pd.concat([read_casp(folder / f"{name}.csv") for name in ("CASP12", "CASP14")], ignore_index=True)
    cb513 = {row["input"] for row in read_rows(folder / "CB513.csv.gz")}
    proteins = read_cb6133(folder / "cb6133filtered_q8.csv.gz")
    print_agreement(proteins, read_netsurfp(folder))
    fitting = proteins[proteins["sequence"].str.len().between(*STRUCTURE_LENGTH)]
    drawn = fitting.sample(DRAWN, random_state=SEED)
    leave = related(drawn["sequence"], [*test["sequence"], *sorted(cb513)])
    print(f"secondary structure: {leave.sum()} of {DRAWN} drawn have a relative in CASP12, CASP14 or CB513")
    drawn = drawn[~leave]
    validation, others = drawn.head(N_STRUCTURES["validation"]), drawn.iloc[N_STRUCTURES["validation"] :]
    leave = related(others["sequence"], validation["sequence"])
    print(f"secondary structure: {leave.sum()} of the other {len(others)} have one in validation")
    train = others[~leave].head(N_STRUCTURES["train"])
    parts = [
        train.assign(split="train"),
        validation.assign(split="validation"),
        test.drop(columns="xyz").assign(split="test"),
    ]
    return finished(parts, tables.schema_of("task_secondary_structure"))


def make_contacts(folder: Path) -> pd.DataFrame:
    chains = pd.concat([read_casp(folder / f"{name}.csv") for name in ("CASP13", "CASP14")])
    kept = tables.load("kept_structures").groupby("id")["residue"].agg("".join)
    found = related(chains["sequence"], kept).sum()
    print(f"contacts: {found} of {len(chains)} chains have a relative in kept_structures")
    parts = []
    for chain in chains.itertuples():
        part = pd.DataFrame(chain.xyz.astype("float32"), columns=C_ALPHA)
        part = part.assign(residue=list(chain.sequence), position=np.arange(1, len(part) + 1))
        parts.append(part.assign(id=chain.id, split="test", source=chain.source))
    return finished(parts, tables.schema_of("task_contacts"))


# --- remote homology ---


def read_tape(path: Path, name: str) -> pd.DataFrame:
    """Domains of one of TAPE's splits, each sequence once: id (its name and the row), sequence, fold."""
    rows = pd.DataFrame(read_rows(path))
    table = pd.DataFrame({"id": [f"{name}_{row:05d}" for row in range(1, len(rows) + 1)]})
    table = table.assign(sequence=rows["seq"], fold=rows["label"])
    return table[~table["sequence"].duplicated() & (table["sequence"].str.len() <= LONGEST_DOMAIN)]


def make_remote_homology(folder: Path) -> pd.DataFrame:
    files = {"train": "train.csv.gz", "validation": "valid.csv", "test": "test.csv"}
    splits = {
        split: read_tape(folder / f"tape_remote_homology.{file}", file.split(".")[0]) for split, file in files.items()
    }
    counts = splits["train"]["fold"].value_counts()
    counts = counts[counts.index.isin(splits["test"]["fold"])].rename("n").reset_index()
    folds = counts.sort_values(["n", "fold"], ascending=[False, True])["fold"].head(FOLDS)
    of_folds = {split: table[table["fold"].isin(folds)] for split, table in splits.items()}
    parts = []
    for split, table in of_folds.items():
        print(f"remote homology, {split}: {len(splits[split])} domains, {len(table)} in {FOLDS} folds")
        if split != "test":
            leave = related(table["sequence"], of_folds["test"]["sequence"])
            print(f"remote homology: {leave.sum()} of them have a relative in the test")
            table = table[~leave]
            table = table.sample(len(table), random_state=SEED).groupby("fold").head(OF_A_FOLD[split])
        parts.append(table.assign(split=split))
    return finished(parts, tables.schema_of("task_remote_homology"))


# --- solubility ---


def read_deepsol(folder: Path, name: str) -> pd.DataFrame:
    """Proteins of one of DeepSol's sets: id (its name and the line), sequence, soluble."""
    with open_text(folder / f"deepsol_{name}_src.txt.gz") as handle:
        sequences = handle.read().split()
    labels = (folder / f"deepsol_{name}_tgt.txt").read_text().split()
    if len(sequences) != len(labels) or not set(labels) <= {"0", "1"}:
        raise InputError(f"{folder}: deepsol_{name}: expected a label 0 or 1 for each of {len(sequences)} sequences")
    table = pd.DataFrame({"id": [f"{name}_{line:04d}" for line in range(1, len(labels) + 1)]})
    return table.assign(sequence=sequences, soluble=[label == "1" for label in labels])


def make_solubility(folder: Path) -> pd.DataFrame:
    test, train = read_deepsol(folder, "test"), read_deepsol(folder, "val")
    fitting = train[train["sequence"].str.len().between(*SOLUBLE_LENGTH)]
    pool = draw(fitting, SOLUBLE_DRAWN, "soluble").reset_index(drop=True)
    leave = related(pool["sequence"], test["sequence"])
    print(f"solubility: {len(fitting)} of {len(train)} of DeepSol's validation are of the right length")
    print(f"solubility: {leave.sum()} of {len(pool)} drawn have a relative among the {len(test)} proteins of the test")
    pool, shares = pool[~leave], fitting["soluble"]
    validation = draw(pool, N_SOLUBLE["validation"], "soluble", shares)
    others = pool.drop(validation.index)
    leave = related(others["sequence"], validation["sequence"])
    print(f"solubility: {leave.sum()} of the other {len(others)} have one in validation")
    tested = test[test["sequence"].str.len().between(*SOLUBLE_LENGTH)]
    print(f"solubility: {len(tested)} of {len(test)} of the test are of the right length")
    parts = [
        draw(others[~leave], N_SOLUBLE["train"], "soluble", shares).assign(split="train"),
        validation.assign(split="validation"),
        draw(tested, N_SOLUBLE["test"], "soluble").assign(split="test"),
    ]
    return finished(parts, tables.schema_of("task_solubility"))


# --- fluorescence ---


def read_wild_type(path: Path) -> str:
    """The avGFP that was mutated, as ProteinGym's list of assays has it."""
    found = [row["target_seq"] for row in read_rows(path) if row["DMS_id"] == WILD_TYPE]
    if len(found) != 1:
        raise InputError(f"{path}: expected one row {WILD_TYPE}, found {len(found)}")
    return found[0]


def genotype(text: str, sequence: str) -> str | None:
    """`A108D,N144D` of the file in UniProt's numbering; None where a part is no missense change of the sequence."""
    changes = [(part[:1], part[1:-1], part[-1:]) for part in text.split(",")]
    if not all(place.isdigit() and new.isalpha() and old != new for old, place, new in changes):
        return None
    moved = [f"{old}{int(place) + GFP_OFFSET}{new}" for old, place, new in changes]
    mutations = parse_mutations(":".join(moved))
    if any(sequence[m.position - 1 : m.position] != m.ref for m in mutations):
        return None
    return join_mutations(mutations)


def read_genotypes(path: Path, sequence: str) -> pd.DataFrame:
    """avGFP's missense genotypes: mutations, n_mutations, log_fluorescence."""
    rows = read_rows(path, "\t")
    found = [(genotype(row["variant"], sequence), int(row["num_mutations"]), float(row["score"])) for row in rows]
    stops = sum("*" in row["variant"] for row in rows)
    table = pd.DataFrame(found, columns=["mutations", "n_mutations", "log_fluorescence"])
    fits = table["mutations"].notna()
    print(f"fluorescence: {len(table)} genotypes, {stops} with a stop, {(~fits).sum() - stops} others left out")
    table = table[fits].reset_index(drop=True)
    if (table["mutations"].str.count(":") + 1 != table["n_mutations"]).any():
        raise InputError(f"{path}: expected num_mutations to be the number of mutations of each variant")
    return table


def read_brightness(path: Path) -> dict[str, float]:
    """The published table: genotype `A108D,N144D` (empty: the wild type) -> log10 of its median brightness."""
    rows = read_rows(path, "\t")
    return {
        ",".join(part[1:] for part in row["aaMutations"].split(":")): float(row["medianBrightness"]) for row in rows
    }


def make_fluorescence(folder: Path, proteins: pd.DataFrame) -> pd.DataFrame:
    sequence = proteins.set_index("id")["sequence"][GFP]
    table = read_genotypes(folder / "avgfp.tsv.gz", sequence)
    published = read_brightness(folder / "amino_acid_genotypes_to_brightness.tsv.gz")
    values = {genotype(text, sequence): value for text, value in published.items() if text}
    differ = (table["mutations"].map(values) - table["log_fluorescence"]).abs()
    if not (differ < 1e-6).all():
        raise InputError(f"{folder}: expected the published brightness of each genotype, found {differ.max()} off")
    few, many = table[table["n_mutations"] <= FEW], table[table["n_mutations"] > FEW]
    print(f"fluorescence: {len(few)} genotypes with up to {FEW} mutations, {len(many)} with more")
    validation = draw(few, N_GENOTYPES["validation"], "n_mutations")
    train = draw(few.drop(validation.index), N_GENOTYPES["train"] - 1, "n_mutations")
    wild_type = pd.DataFrame({"mutations": [""], "n_mutations": [0], "log_fluorescence": [published[""]]})
    parts = [
        pd.concat([wild_type, train]).assign(split="train"),
        validation.assign(split="validation"),
        draw(many, N_GENOTYPES["test"], "n_mutations").assign(split="test"),
    ]
    return finished([part.assign(id=GFP) for part in parts], tables.schema_of("task_fluorescence"))


def make_proteins(folder: Path) -> pd.DataFrame:
    sequence = read_wild_type(folder / "proteingym_DMS_substitutions.csv.gz")
    said = "green fluorescent protein of Aequorea victoria, F64L of UniProt P42212, as measured by Sarkisyan 2016"
    return pd.DataFrame({"id": [GFP], "description": [said], "length": [len(sequence)], "sequence": [sequence]})


# --- CATH ---


def make_cath(folder: Path) -> pd.DataFrame:
    with open_text(folder / "cath_v430_dom_seqs_S100_161121_labels.txt.gz") as handle:
        labels = dict(line.split(",") for line in handle.read().split())
    queries = pd.DataFrame(read_records(folder / "test219.fasta"), columns=["id", "sequence"])
    queries["cath"] = queries["id"].map(labels)
    if queries["cath"].isna().any():
        raise InputError(f"{folder}: {queries['cath'].isna().sum()} queries have no label")
    domains = pd.DataFrame(read_rows(folder / "cath43_wholechain_domains.tsv.gz", "\t"))
    domains = domains.rename(columns={"domain_id": "id"})
    if (domains["cath"] != domains["id"].map(labels)).any():
        raise InputError(f"{folder}: domains of cath43_wholechain_domains.tsv.gz have other labels than CATH's list")
    short = domains[domains["sequence"].str.len() <= LONGEST_LOOKUP]
    leave = related(short["sequence"], queries["sequence"], CATH_IDENTITY) | short["id"].isin(queries["id"]).to_numpy()
    print(f"CATH: {len(domains)} domains, {len(short)} short enough, {leave.sum()} of them relatives of a query")
    lookup = chosen_domains(short[~leave], queries)
    for level, name in enumerate(("class", "architecture", "topology", "superfamily"), start=1):
        known = upper(queries["cath"], level).isin(upper(lookup["cath"], level)).sum()
        print(f"CATH: {known} of {len(queries)} queries have their {name} in the lookup")
    return finished([lookup.assign(role="lookup"), queries.assign(role="query")], tables.schema_of("task_cath"))


def upper(cath: pd.Series, level: int) -> pd.Series:
    """The first numbers of `3.40.50.720`: 3 its topology."""
    return cath.str.split(".").str[:level].str.join(".")


def chosen_domains(domains: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """All domains with the superfamily of a query; five of each topology of a query that then has none; others."""
    first = domains[domains["cath"].isin(queries["cath"])]
    rest = domains.drop(first.index).sample(len(domains) - len(first), random_state=SEED)
    topology = upper(rest["cath"], 3)
    lacking = set(upper(queries["cath"], 3)) - set(upper(first["cath"], 3))
    second = rest[topology.isin(lacking)].groupby(topology).head(OF_A_TOPOLOGY)
    rest = rest.drop(second.index)
    chosen = pd.concat([first, second, rest])
    room = (np.arange(1, len(chosen) + 1) <= LOOKUP[0]) & (chosen["sequence"].str.len().cumsum() <= LOOKUP[1])
    print(f"CATH: {len(first)} domains with a query's superfamily, {len(second)} with a topology that then lacks")
    return chosen[room]


def report(name: str, table: pd.DataFrame) -> None:
    """Print the counts that data/README.md states."""
    part = next((column for column in ("role", "split") if column in table), "id")
    for value, rows in table.groupby(part, sort=False):
        residues = f", {rows['length'].sum()} residues" if "length" in rows else ""
        print(f"{name}, {value}: {len(rows)} rows, {rows['id'].nunique()} ids{residues}")
        for column in ("source", "soluble", "n_mutations"):
            if column in rows:
                print("  ", column, rows[column].value_counts().sort_index().to_dict())
        if "fold" in rows:
            counts = rows["fold"].value_counts()
            print(f"   {len(counts)} folds of {counts.min()} to {counts.max()} domains")
        if "cath" in rows:
            print("  ", [upper(rows["cath"], level).nunique() for level in (1, 2, 3, 4)], "labels by level")
        if "ca_x" in rows:
            print(f"   {rows['ca_x'].notna().sum()} with coordinates", rows.groupby("source")["id"].nunique().to_dict())
        if "log_fluorescence" in rows:
            print(f"   median {rows['log_fluorescence'].median():.3f}")
        if "sequence" in rows:
            letters = Counter("".join(rows["sequence"]))
            print("   letters outside the 20:", {k: n for k, n in sorted(letters.items()) if k in UNKNOWN})
        if "dssp8" in rows:
            for states in ("dssp3", "dssp8"):
                pairs = zip("".join(rows[states]), "".join(rows["counted"]), strict=True)
                print("   counted", dict(Counter(state for state, counts in pairs if counts == "1").most_common()))


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="remote_homology")
    proteins = make_proteins(args.source / "dms")
    made = {
        "task_secondary_structure": make_secondary_structure(args.source / "secondary_structure"),
        "task_remote_homology": make_remote_homology(args.source / "remote_homology"),
        "task_solubility": make_solubility(args.source / "solubility"),
        "task_fluorescence": make_fluorescence(args.source / "fluorescence", proteins),
        "task_proteins": proteins,
        "task_cath": make_cath(args.source / "cath"),
        "task_contacts": make_contacts(args.source / "secondary_structure"),
    }
    for name, table in made.items():
        file, schema = tables.BUNDLED[name]
        write(table, schema, args.out / file)
        report(name, table)
        print(f"{file}: {len(table)} rows, {(args.out / file).stat().st_size} bytes")


if __name__ == "__main__":
    main()
