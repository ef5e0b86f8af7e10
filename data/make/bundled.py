"""Compile the bundled tables of the 53 genes from the sources' own files, and print the counts of data/README.md.

Writes genes.tsv, variants.parquet, published_effects.parquet, alignment.parquet, cpd.parquet, structures.parquet
and backbone.parquet.
Equal input and equal versions of pandas and pyarrow give equal bytes.

Usage: python data/make/bundled.py --from DIR [--out data]
DIR, or PLMBOOK_MIRROR, is the folder that holds the files; data/README.md names them.
"""

from collections import Counter
from io import StringIO
from pathlib import Path

import door
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.sources import alphafold, clinvar, fetch, gnomad, multiz, rescue, uniprot
from plmbook.sources.record import tar_members

RELEASE = "2022-09-17"  # of ClinVar
STRATEGY = "mutant-marginals"  # how the published scores were read off, as far as can be inferred (data/README.md)
Alignments = dict[str, dict[str, multiz.Rows]]  # gene -> transcript -> assembly -> row


def make_genes(alignments: Alignments) -> pd.DataFrame:
    """The 53 genes with the transcript whose human protein is the sequence."""
    genes = uniprot.read_fasta(fetch("uniprot")).sort_values("gene", ignore_index=True)
    genes["transcript"] = [
        multiz.matching_transcript(alignments[gene], sequence)
        for gene, sequence in zip(genes["gene"], genes["sequence"], strict=True)
    ]
    genes["n_species"] = [
        len(alignments[gene][transcript]) if transcript else 0
        for gene, transcript in zip(genes["gene"], genes["transcript"], strict=True)
    ]
    return genes[list(tables.schema_of("genes").names)]


def isoform_map(isoform: str, sequence: str) -> np.ndarray:
    """The position in `sequence` of each position of another isoform, 0 where none: int64 (len(isoform) + 1,), 1-based.

    Global alignment with free ends (BLOSUM62, gaps -12 and -1); one residue that differs inside is still aligned.
    """
    from biotite.sequence import ProteinSequence
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    alignment = align_optimal(
        ProteinSequence(isoform),
        ProteinSequence(sequence),
        SubstitutionMatrix.std_protein_matrix(),
        gap_penalty=(-12, -1),
        terminal_penalty=False,
        max_number=1,
    )[0]
    places = np.zeros(len(isoform) + 1, dtype=np.int64)
    for i, j in alignment.trace:  # 0-based, -1 = gap
        if i >= 0 and j >= 0:
            places[i + 1] = j + 1
    return places


def residue_at(sequence: str, position: int) -> str:
    """The residue at a 1-based position, "" past the end."""
    return sequence[position - 1 : position]


def clinvar_isoform(variants: pd.DataFrame, transcripts: dict[str, multiz.Rows]) -> tuple[str, str]:
    """The transcript (and its human protein) that explains the wild types of most variants of a gene."""

    def explained(name: str) -> int:
        human = multiz.human_sequence(transcripts[name])
        return sum(residue_at(human, p) == r for p, r in zip(variants["position"], variants["ref"], strict=True))

    best = max(sorted(transcripts), key=explained)
    return best, multiz.human_sequence(transcripts[best])


def place_variants(variants: pd.DataFrame, sequence: str, transcripts: dict[str, multiz.Rows]) -> pd.DataFrame:
    """`matches`, `mismatch_reason` and `aligned_position` for the variants of one gene."""
    matches = [residue_at(sequence, p) == r for p, r in zip(variants["position"], variants["ref"], strict=True)]
    if all(matches):
        return pd.DataFrame({"matches": True, "mismatch_reason": "", "aligned_position": variants["position"]})
    name, isoform = clinvar_isoform(variants, transcripts)
    places = isoform_map(isoform, sequence)
    reasons, aligned = [], []
    for match, position, ref in zip(matches, variants["position"], variants["ref"], strict=True):
        known = residue_at(isoform, position) == ref
        here = int(places[position]) if known else 0
        aligned.append(here)
        reasons.append("" if match else _reason(name, position, ref, here, known, sequence))
    return pd.DataFrame(
        {"matches": matches, "mismatch_reason": reasons, "aligned_position": aligned}, index=variants.index
    )


def _reason(name: str, position: int, ref: str, here: int, known: bool, sequence: str) -> str:
    counterpart = f"position {here} here" if here else "no counterpart here"
    of_isoform = (
        f"{name} has {ref}{position}, {counterpart}" if known else "no transcript of the gene has this residue there"
    )
    if position > len(sequence):
        return f"past the end: {of_isoform}"
    if not known:
        return "unknown: " + of_isoform
    return f"reference differs: {of_isoform}" if here == position else f"other isoform: {of_isoform}"


def stated_classes(summary: pd.DataFrame) -> pd.DataFrame:
    """The classes of ClinVar's own summary a (gene, mutation): `stated`, several alleles' classes joined by `+`."""
    groups = summary.groupby(["gene", "mutation"])["significance"]
    return groups.agg(lambda classes: "+".join(sorted(set(classes)))).rename("stated").reset_index()


def make_variants(scores: pd.DataFrame, genes: pd.DataFrame, alignments: Alignments) -> pd.DataFrame:
    """The ClinVar missense variants, with where they lie in the gene's sequence."""
    summary = clinvar.read_variant_summary(fetch("clinvar"))
    named = clinvar.transcripts(summary).merge(stated_classes(summary))
    table = scores.merge(named, on=["gene", "mutation"], how="left").sort_values(
        ["gene", "position", "alt", "ref"], ignore_index=True
    )
    table[["transcript", "stated"]] = table[["transcript", "stated"]].fillna("")
    table["release"] = RELEASE
    sequences = genes.set_index("gene")["sequence"]
    placed = [
        place_variants(rows, sequences[gene], alignments[gene]) for gene, rows in table.groupby("gene", sort=True)
    ]
    table = table.join(pd.concat(placed))
    return table[list(tables.schema_of("variants").names)].astype({"aligned_position": "int64"})


def make_effects(scores: pd.DataFrame) -> pd.DataFrame:
    """The published scores in long form, only where there is one."""
    long = scores.melt(
        id_vars=["gene", "mutation", "position", "alt"],
        value_vars=list(rescue.MODELS.values()),
        var_name="model",
        value_name="score",
    ).dropna(subset=["score"])
    long = long.sort_values(["model", "gene", "position", "alt"], ignore_index=True)
    return long.assign(strategy=STRATEGY)[list(tables.schema_of("published_effects").names)]


def make_alignment(genes: pd.DataFrame, alignments: Alignments) -> pd.DataFrame:
    """Residue counts a gene and position, of the genes with a matching transcript."""
    matching = genes[genes["transcript"] != ""]
    return pd.concat(
        [
            multiz.residue_counts(alignments[row.gene][row.transcript]).assign(gene=row.gene)
            for row in matching.itertuples()
        ],
        ignore_index=True,
    )[list(tables.schema_of("alignment").names)]


def make_cpd(variants: pd.DataFrame, genes: pd.DataFrame, alignments: Alignments) -> pd.DataFrame:
    """The assemblies that carry a variant's residue, of the genes with a matching transcript."""
    transcripts = genes[genes["transcript"] != ""].set_index("gene")["transcript"]
    rows = [
        (v.gene, v.mutation, assembly, k)
        for v in variants[variants["gene"].isin(transcripts.index)].itertuples()
        for assembly, k in multiz.carriers(alignments[v.gene][transcripts[v.gene]], v.position, v.alt).items()
    ]
    return pd.DataFrame(rows, columns=list(tables.schema_of("cpd").names))


def make_structures(genes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coordinates and pLDDT, and the rest of the backbone; the model must be of the gene's accession and sequence."""
    found, backbones = [], []
    expected = genes.set_index("gene")
    for gene, handle in tar_members(fetch("alphafold")):
        text = handle.read()  # a member of a tar archive is read once
        accession, model = alphafold.read_accession(StringIO(text)), alphafold.read_structure(StringIO(text))
        if accession != expected["uniprot"][gene] or "".join(model["residue"]) != expected["sequence"][gene]:
            raise InputError(
                f"structure of {gene}: expected {expected['uniprot'][gene]} with the sequence of genes.tsv, "
                f"found {accession}"
            )
        found.append(model.assign(gene=gene))
        backbones.append(alphafold.read_backbone(StringIO(text)).assign(gene=gene))
    structures = pd.concat(found, ignore_index=True)[list(tables.schema_of("structures").names)]
    backbone = pd.concat(backbones, ignore_index=True)[list(tables.schema_of("backbone").names)]
    check_backbone(structures, backbone)
    return structures, backbone


def check_backbone(structures: pd.DataFrame, backbone: pd.DataFrame) -> None:
    """Make sure that both tables are of the same residues, and that N and C are a bond away from each C-alpha."""
    if not structures[["gene", "position"]].equals(backbone[["gene", "position"]]):
        raise InputError("backbone: expected the residues of the structures, in the same order")
    alpha = structures[["ca_x", "ca_y", "ca_z"]].to_numpy()
    for atom in "nc":  # 1.46 and 1.52 angstrom
        bond = np.linalg.norm(backbone[[f"{atom}_{axis}" for axis in "xyz"]].to_numpy() - alpha, axis=1)
        if bond.min() < 1.3 or bond.max() > 1.7:
            raise InputError(
                f"backbone: expected {atom.upper()} at 1.3 to 1.7 angstrom from the C-alpha, "
                f"found {bond.min():.2f} to {bond.max():.2f}"
            )


def write(table: pd.DataFrame, schema: tables.Schema, path: Path) -> None:
    """Check and write; no index, no metadata that names versions of the libraries."""
    table = tables.check(table, schema, where=path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tsv":
        table.to_csv(path, sep="\t", index=False, lineterminator="\n")
        return
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, path, compression="zstd", compression_level=19)


def report(
    scores: pd.DataFrame, variants: pd.DataFrame, cpd: pd.DataFrame, alignments: Alignments, genes: pd.DataFrame
) -> None:
    """Print every count that data/README.md states about what was found on the way."""
    print("\nvariants by class", variants["significance"].value_counts().to_dict())
    print("matches", variants["matches"].value_counts().to_dict())
    wrong = variants[~variants["matches"]]
    print("mismatch reasons", wrong["mismatch_reason"].str.split(":").str[0].value_counts().to_dict())
    print(wrong.groupby("gene")["mismatch_reason"].agg(lambda s: dict(Counter(s.str.split(":").str[0]))).to_dict())
    print("mismatches with a counterpart", int((wrong["aligned_position"] > 0).sum()))
    chance = variants[variants["matches"] & (variants["aligned_position"] != variants["position"])]
    print(
        "matches by chance",
        len(chance),
        chance["gene"].value_counts().to_dict(),
        chance["significance"].value_counts().to_dict(),
    )
    print("clinvar transcript missing", int((variants["transcript"] == "").sum()))
    summary = clinvar.read_variant_summary(fetch("clinvar"))
    several = clinvar.transcripts(summary).query("n_transcripts > 1").merge(variants[["gene", "mutation"]])
    print("mutations named by several transcripts", several[["gene", "mutation", "transcript"]].values.tolist())
    print(
        "class in the table (columns) against ClinVar's summary\n",
        pd.crosstab(variants["stated"], variants["significance"]),
    )
    report_frequencies(variants)
    report_cpd(scores, cpd, genes)
    letters = Counter()
    for row in genes[genes["transcript"] != ""].itertuples():
        for assembly in alignments[row.gene][row.transcript].values():
            letters.update(assembly[: row.length])
    print(
        "letters of the 47 alignments", {k: letters[k] for k in "-XZ"}, "residues", sum(letters[k] for k in AMINO_ACIDS)
    )


def report_frequencies(variants: pd.DataFrame) -> None:
    """How the frequencies agree with the gnomAD export that the study queried."""
    export = gnomad.read_export(fetch("gnomad"))
    found = variants["allele_frequency"].notna()
    seen = export[export["allele_count"] > 0]
    any_transcript = seen.groupby(["gene", "mutation"])["allele_frequency"].agg(list)
    canonical = seen[seen["canonical"]].groupby(["gene", "mutation"])["allele_frequency"].max()
    keys = pd.MultiIndex.from_frame(variants[["gene", "mutation"]])
    values = any_transcript.reindex(keys).to_numpy()
    same = sum(
        isinstance(v, list) and bool(np.any(np.isclose(v, f, rtol=0.01)))
        for v, f in zip(values[found], variants["allele_frequency"][found], strict=True)
    )
    print("frequencies", int(found.sum()), "absent", int((~found).sum()), "equal to an allele of the export", same)
    print(
        "absent in the table, but the export has the change on the canonical transcript",
        int(canonical.reindex(keys).notna().to_numpy()[~found].sum()),
    )


def report_cpd(scores: pd.DataFrame, cpd: pd.DataFrame, genes: pd.DataFrame) -> None:
    """Compare our carriers with the published columns CPD_0 to CPD_5."""
    ours = {(r.gene, r.mutation, r.assembly): r.flank for r in cpd.itertuples()}
    kept = scores[scores["gene"].isin(genes.loc[genes["transcript"] != "", "gene"])]
    published = {
        k: {
            (r.gene, r.mutation, a)
            for r in kept[["gene", "mutation", f"CPD_{k}"]].set_axis(["gene", "mutation", "list"], axis=1).itertuples()
            for a in r.list
        }
        for k in range(6)
    }
    assemblies = {a for _, _, a in published[0]}
    print("published assemblies", len(assemblies), "ours", cpd["assembly"].nunique())
    for k in range(6):
        mine = {key for key, flank in ours.items() if flank >= k and key[2] in assemblies}
        print(
            f"CPD_{k}: published {len(published[k])}, ours in the same assemblies {len(mine)}, "
            f"both {len(published[k] & mine)}"
        )
    print(
        "carriers",
        len(cpd),
        "variants with a carrier",
        len(cpd.drop_duplicates(["gene", "mutation"])),
        "flanks",
        cpd["flank"].value_counts().sort_index().to_dict(),
    )


def main() -> None:
    options = door.parser(__doc__)
    options.add_argument("--quiet", action="store_true", help="do not print the counts")
    args = door.parse(options)

    alignments = {gene: multiz.read_alignments(handle) for gene, handle in tar_members(fetch("multiz"))}
    scores = rescue.read_scores(fetch("rescue-scores"))
    genes = make_genes(alignments)
    variants = make_variants(scores, genes, alignments)
    cpd = make_cpd(variants, genes, alignments)
    structures, backbone = make_structures(genes)
    made = {
        "genes": genes,
        "variants": variants,
        "published_effects": make_effects(scores),
        "alignment": make_alignment(genes, alignments),
        "cpd": cpd,
        "structures": structures,
        "backbone": backbone,
    }
    for name, table in made.items():
        file, schema = tables.BUNDLED[name]
        write(table, schema, args.out / file)
        print(f"{file}: {len(table)} rows, {(args.out / file).stat().st_size} bytes")
    if not args.quiet:
        report(scores, variants, cpd, alignments, genes)


if __name__ == "__main__":
    main()
