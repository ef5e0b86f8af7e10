"""Compile two labelled tasks: secondary structure by residue, and localisation by protein.

Writes secondary_structure.parquet and localisation.parquet, and prints the counts of data/README.md.

Secondary structure: the tests are the CB513 chains with the DSSP states that NetSurfP-2.0 gave them; several CB513
domains of one chain are one row, and a chain of which no residue counts is none.  The training proteins are a seeded
draw from NetSurfP-2.0's training set as FLIP holds it, less what MMseqs2 finds related to a CB513 chain (25 % identity,
over half of the shorter one, E < 1e-3: the rule of that split, checked again).
Localisation: DeepLoc 1.0.  The tests are a seeded draw from its test set, the same share of each class; the training
proteins are those of its training set that the authors of Light Attention set aside for validation.  A protein counts
where the label in its header is the one of DeepLoc's own list, which has one of ten classes for each protein.

Usage: python data/make/tasks.py --from DIR [--out data]
DIR holds the folders secondary_structure and localization; data/README.md names the files.
"""

import random
from collections import Counter
from pathlib import Path

import door
import pandas as pd
from alike import relatives, search
from bundled import write
from door import read_rows

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.text import read_records

SEED = 20221121
N_TRAIN = 600  # proteins, secondary structure
SHORTEST, LONGEST = 40, 500  # residues of such a protein
IDENTITY = 0.25  # of a relative
N_TEST = 700  # proteins, localisation
LOCALISED = (40, 1022)  # residues, least and most
NETSURFP_TRAIN = "SET=train VALIDATION=False"  # of a header of FLIP


def read_netsurfp(folder: Path) -> pd.DataFrame:
    """NetSurfP-2.0's training proteins of FLIP: id (PDB chain), sequence, dssp3, resolved."""
    sequences, states, masks = (
        read_records(folder / f"flip_ss_{name}.fasta.gz") for name in ("sequences", "sampled", "mask")
    )  # labels and masks are written as sequences
    rows = []
    for (name, sequence), (header, dssp3), (masked, resolved) in zip(sequences, states, masks, strict=True):
        found, split = header.split(" ", 1)
        if not (name == found == masked and len(sequence) == len(dssp3) == len(resolved)):
            raise InputError(f"flip_ss: expected three records of {name} of one length, found {found} and {masked}")
        if split == NETSURFP_TRAIN:
            rows.append((name, sequence, dssp3, resolved))
    return pd.DataFrame(rows, columns=["id", "sequence", "dssp3", "resolved"])


def read_cb513(path: Path) -> pd.DataFrame:
    """The chains of CB513: id, sequence, dssp3, dssp8, resolved, counted (in any of the chain's domains, resolved).

    A chain without a counted residue is left out.
    """
    chains: dict[str, dict] = {}
    for number, row in enumerate(read_rows(path), start=1):
        resolved = as_mask(row["disorder"])  # 1.0 where there are coordinates
        domain = as_mask(row["cb513_mask"])
        chain = chains.setdefault(
            row["input"],
            {"id": f"CB513_{number:03d}", "sequence": row["input"], "dssp3": row["dssp3"], "dssp8": row["dssp8"]}
            | {"resolved": resolved, "domain": "0" * len(domain)},
        )
        if (chain["dssp3"], chain["dssp8"], chain["resolved"]) != (row["dssp3"], row["dssp8"], resolved):
            raise InputError(f"{path}: row {number} has the sequence of {chain['id']} and other states")
        chain["domain"] = either(chain["domain"], domain)
    table = pd.DataFrame(chains.values())
    table = table.assign(counted=list(map(both, table["domain"], table["resolved"]))).drop(columns="domain")
    scored = table["counted"].str.contains("1")
    print(
        f"secondary structure: {number} records of CB513 in {len(table)} chains, {int((~scored).sum())} never counted"
    )
    return table[scored]


def as_mask(text: str) -> str:
    """`1.0 0.0 1.0` as `101`."""
    return "".join(str(int(float(word))) for word in text.split())


def either(first: str, second: str) -> str:
    return "".join("1" if "1" in pair else "0" for pair in zip(first, second, strict=True))


def both(first: str, second: str) -> str:
    return "".join("1" if pair == ("1", "1") else "0" for pair in zip(first, second, strict=True))


def make_secondary_structure(folder: Path) -> pd.DataFrame:
    """600 training proteins and all chains of CB513."""
    test = read_cb513(folder / "CB513.csv.gz").assign(split="test", source="CB513")
    train = read_netsurfp(folder)
    train = train[train["sequence"].str.len().between(SHORTEST, LONGEST) & train["resolved"].str.contains("1")]
    drawn = train.sort_values("id").sample(N_TRAIN + 100, random_state=SEED)  # spare ones for those that leave
    hits = relatives(search(drawn["sequence"], test["sequence"], identity=IDENTITY, sensitivity=7.5))
    related = set(drawn["id"].iloc[hits["query"].unique()])
    print(f"secondary structure: {len(related)} of {len(drawn)} drawn proteins are related to a CB513 chain")
    train = drawn[~drawn["id"].isin(related)].head(N_TRAIN)
    train = train.assign(split="train", source="NetSurfP-2.0", dssp8="", counted=train["resolved"])
    table = pd.concat([train.sort_values("id"), test.sort_values("id")], ignore_index=True)
    table["length"] = table["sequence"].str.len()
    return table[list(tables.schema_of("secondary_structure").names)]


def read_deeploc(path: Path, listed: dict[str, str]) -> pd.DataFrame:
    """Proteins of a DeepLoc FASTA file whose label is that of the list: id, localisation, sequence."""
    rows, others = [], Counter()
    for header, sequence in read_records(path):
        name, label = header.split()[:2]
        label = label.rsplit("-", 1)[0]  # without the membrane label: `Nucleus-S`
        if listed.get(name) == label:
            rows.append((name, label.replace(".", " "), sequence))
        else:
            others[label] += 1
    print(f"localisation: {path.name}: {len(rows)} proteins, others left out {dict(others)}")
    return pd.DataFrame(rows, columns=["id", "localisation", "sequence"])


def make_localisation(folder: Path) -> pd.DataFrame:
    """Training proteins as they are, test proteins drawn by class."""
    rows = read_rows(folder / "deeploc_annotations.csv.gz")
    parts = []
    for split, file in (("train", "deeploc_our_val_set.fasta.gz"), ("test", "deeploc_test_set.fasta.gz")):
        of_split = {row["identifier"]: row["label"] for row in rows if (row["set"] or "train") == split}
        parts.append(read_deeploc(folder / file, of_split).assign(split=split))
    table = pd.concat(parts, ignore_index=True)
    table["length"] = table["sequence"].str.len()
    table = table[table["length"].between(*LOCALISED)].sort_values("id")
    share = N_TEST / int((table["split"] == "test").sum())
    chosen = []
    for (split, _), group in table.groupby(["split", "localisation"]):
        names = list(group["id"])
        n = len(names) if split == "train" else round(share * len(names))
        chosen += random.Random(SEED).sample(names, n)
    table = table[table["id"].isin(chosen)]
    twice = table.loc[table["sequence"].duplicated(), "id"]
    if len(twice):
        raise InputError(f"localisation: {len(twice)} sequences occur a second time, the first as {twice.iloc[0]}")
    order = table["split"].map({"train": 0, "test": 1}).rename("order")
    table = table.assign(order=order).sort_values(["order", "id"], ignore_index=True)
    return table[list(tables.schema_of("localisation").names)]


def report(name: str, table: pd.DataFrame) -> None:
    """Print the counts that data/README.md states."""
    for split, rows in table.groupby("split", sort=False):
        print(f"{name}, {split}: {len(rows)} proteins, {rows['length'].sum()} residues")
        if "localisation" in rows:
            print("  ", rows["localisation"].value_counts().to_dict())
        else:
            pairs = zip("".join(rows["dssp3"]), "".join(rows["counted"]), strict=True)
            print("   counted", dict(Counter(state for state, counts in pairs if counts == "1")))


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="secondary_structure")
    made = {
        "secondary_structure": make_secondary_structure(args.source / "secondary_structure"),
        "localisation": make_localisation(args.source / "localization"),
    }
    for name, table in made.items():
        file, schema = tables.BUNDLED[name]
        write(table, schema, args.out / file)
        report(name, table)
        print(f"{file}: {len(table)} rows, {(args.out / file).stat().st_size} bytes")


if __name__ == "__main__":
    main()
