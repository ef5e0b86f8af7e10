"""Compile two tables of cases: known suppressors of TP53 variants, and several nucleotides changed in one codon.

Writes suppressors.tsv: pairs named in the literature, each with what was read of it.  The pairs are those of a list of
leads (`tp53_second_site_suppressors.tsv`) and of abstracts found since; what was read stands in `READ` below.
Writes same_codon.tsv: multi-nucleotide variants of gnomAD that lie in one codon of the genes, with the two changes that
make them up.  Codons, letters and the wild types of the gene's sequence are checked.

Usage: python data/make/cases.py --from DIR [--out data]
DIR holds the folders rescue and rescue_literature; data/README.md names the files.
"""

from pathlib import Path

import door
import pandas as pd
from bundled import place_variants, write

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import THREE_LETTER, join_mutations, parse_mutations
from plmbook.core.text import read_csv
from plmbook.sources import fetch, multiz
from plmbook.sources.record import tar_members

JOERGER = "10.1074/jbc.M500179200"
SUAD = "10.1016/j.jmb.2008.10.063"
BRACHMANN, NIKOLOVA = "PMC1170532", "PMC24508"
ELDAR = "10.1093/nar/gkt630"
ONE_OF_TWO = (
    "the abstract of Brachmann 1998 names the variant as rescued, without its suppressors; that of Nikolova 1998 "
    "calls N239Y and N268D known suppressors, without their variants; the pair itself was not read"
)
SIMULATED = (
    "the abstract of a simulation of the pair (University of Antwerp, nanorefs 3278) says that the suppressor restores "
    "the variant's activity; that of Eldar 2013 that second-site suppressors reactivate R273H and R273C, not which "
    "ones; the experiment itself was not read"
)
CONTACT = SIMULATED + "; the abstract of Wieczorek 1996: T284R rescues three of the seven most common mutants"
# (variant, suppressor) -> status, evidence, doi, construct
READ = {
    ("R249S", "H168R"): (
        "verified",
        "abstracts read: Joerger 2005 calls H168R a specific intragenic suppressor of R249S, both loops restored; Suad "
        "2009: it partially restores transactivation",
        f"{JOERGER}; {SUAD}",
        "core domain: Joerger 2005 in a stabilised one (M133L:V203A:N239Y:N268D), Suad 2009 in the natural one",
    ),
    ("R249S", "T123A:H168R"): (
        "verified",
        "abstract read: Suad 2009: T123A amplifies the partial rescue by H168R; Joerger 2005 names the structure",
        f"{SUAD}; {JOERGER}",
        "core domain: Suad 2009 in the natural one, Joerger 2005 in a stabilised one (M133L:V203A:N239Y:N268D)",
    ),
    ("G245S", "N239Y"): ("lead", ONE_OF_TWO, f"{BRACHMANN}; {NIKOLOVA}", ""),
    ("V143A", "N268D"): ("lead", ONE_OF_TWO, f"{BRACHMANN}; {NIKOLOVA}", ""),
    ("R273H", "T284R"): ("second-hand", CONTACT, ELDAR, ""),
    ("R273C", "T284R"): ("second-hand", CONTACT, ELDAR, ""),
    ("R273H", "S240R"): ("second-hand", SIMULATED, ELDAR, ""),
}
CODONS = dict(
    zip(
        (a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
)
ONE_LETTER = {three: one for one, three in THREE_LETTER.items()} | {"Ter": "*"}


def make_suppressors(path: Path) -> pd.DataFrame:
    """The pairs with residues, each with what was read; pairs of the list that `READ` does not know are refused."""
    leads = read_csv(path, dtype=str, keep_default_na=False)
    listed = [
        (row.background, join_mutations(parse_mutations(row.suppressor.replace("+", ":"))))
        for row in leads.itertuples()
        if row.combined
    ]
    if unknown := [pair for pair in listed if pair not in READ]:
        raise InputError(f"{path}: {unknown[0]}: expected a note of what was read of it")
    print(f"suppressors: {len(leads)} leads, {len(listed)} name residues; {len(READ) - len(listed)} pairs found since")
    sequence = tables.load("genes").set_index("gene").loc["TP53", "sequence"]
    rows = []
    for (variant, suppressor), (status, evidence, doi, construct) in READ.items():
        for mutation in parse_mutations(f"{variant}:{suppressor}"):
            mutation.check(sequence)
        rows.append(("TP53", variant, suppressor, status, evidence, doi, construct))
    return pd.DataFrame(rows, columns=list(tables.schema_of("suppressors").names))


def translated(codons: str) -> tuple[str, str]:
    """The residues before and after, of a change such as `cAc/cGc`."""
    before, after = (CODONS[codon.upper()] for codon in codons.split("/"))
    return before, after


def one_letter(change: str) -> str:
    """`His244Arg` as H244R, `Glu236Ter` as E236*; silent changes as V76V."""
    return ONE_LETTER[change[:3]] + change[3:-3] + ONE_LETTER[change[-3:]]


def make_same_codon(path: Path, bare: Path) -> pd.DataFrame:
    """One row a variant; `bare` is the same list without classes, and must agree."""
    raw, again = (read_csv(p, dtype=str, keep_default_na=False) for p in (path, bare))
    if not raw[list(again.columns)].equals(again):
        raise InputError(f"{path}: expected the rows of {bare}, found others")
    table = pd.DataFrame({"gene": raw["gene_name"], "transcript": raw["transcript_id"], "category": raw["categ"]})
    for which in "12":
        changes = [one_letter(text) for text in raw[f"protein_change_{which}"]]
        for change, codons in zip(changes, raw[f"snv{which}_codons"], strict=True):
            if translated(codons) != (change[0], change[-1]):
                raise InputError(f"{path}: {change}: its codons {codons} say {translated(codons)}")
        table[f"change{which}"] = changes
    combined = [translated(codons) for codons in raw["mnv_codons"]]
    table["position"] = table["change1"].str[1:-1].astype("int64")
    table["ref"], table["alt"] = [a for a, _ in combined], [b for _, b in combined]
    table["mutation"] = table["ref"] + table["position"].astype(str) + table["alt"]
    if not (table["change1"].str[:-1] == table["change2"].str[:-1]).all():
        raise InputError(f"{path}: expected both changes at one residue")
    for ours, theirs in (("class1", "clinvar1"), ("class2", "clinvar2"), ("class_combined", "clinvar_mnv")):
        table[ours] = raw[theirs].replace("n/a", "")
    for which in "12":
        table = with_frequency(table, which)
    table["genomic"] = raw["mnv"]
    table = placed(table)
    table = table.sort_values(["gene", "position", "alt", "genomic"], ignore_index=True)
    return table[list(tables.schema_of("same_codon").names)]


def with_frequency(table: pd.DataFrame, which: str) -> pd.DataFrame:
    """gnomAD's frequency of one of the two changes where it is among the missense variants."""
    variants = tables.load("variants").set_index(["gene", "mutation"])["allele_frequency"]
    keys = pd.MultiIndex.from_arrays([table["gene"], table[f"change{which}"]])
    return table.assign(**{f"allele_frequency{which}": variants.reindex(keys).to_numpy()})


def placed(table: pd.DataFrame) -> pd.DataFrame:
    """`matches` and `aligned_position`, as of the variants: through the transcript in which gnomAD counts."""
    alignments = {gene: multiz.read_alignments(handle) for gene, handle in tar_members(fetch("multiz"))}
    sequences = tables.load("genes").set_index("gene")["sequence"]
    parts = []
    for (gene, transcript), rows in table.groupby(["gene", "transcript"]):
        known = alignments[gene]
        part = place_variants(rows, sequences[gene], {transcript: known[transcript]} if transcript in known else known)
        parts.append(part.set_index(rows.index))
    return table.join(pd.concat(parts)[["matches", "aligned_position"]]).astype({"aligned_position": "int64"})


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="rescue_literature")
    rescue = args.source / "rescue"
    made = {
        "suppressors": make_suppressors(args.source / "rescue_literature" / "tp53_second_site_suppressors.tsv"),
        "same_codon": make_same_codon(
            rescue / "clinvar_gnomad_subset_same_codon.txt", rescue / "gnomad_mvn_coding.clinvar.tsv"
        ),
    }
    for name, table in made.items():
        file, schema = tables.BUNDLED[name]
        write(table, schema, args.out / file)
        print(f"{file}: {len(table)} rows, {(args.out / file).stat().st_size} bytes")
    report(made["suppressors"], made["same_codon"])


def report(suppressors: pd.DataFrame, codon: pd.DataFrame) -> None:
    """Print the counts that data/README.md states."""
    print("status", suppressors["status"].value_counts().to_dict())
    print(codon["category"].value_counts().to_dict(), "genes", codon["gene"].nunique())
    silent = [any(change[0] == change[-1] for change in pair) for pair in codon[["change1", "change2"]].to_numpy()]
    print("one of the two silent", sum(silent))
    elsewhere = codon[~codon["matches"] | (codon["position"] != codon["aligned_position"])]
    print(elsewhere[["gene", "mutation", "matches", "aligned_position"]].to_string())
    names = ["allele_frequency1", "allele_frequency2", "class1", "class2", "class_combined"]
    print("given", {name: int((codon[name].notna() & (codon[name] != "")).sum()) for name in names})


if __name__ == "__main__":
    main()
