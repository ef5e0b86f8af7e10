"""Compile double-mutant landscapes from the files of their sources, and print the counts of data/README.md.

Writes landscapes.parquet (fitness of single and double missense variants) and landscape_proteins.tsv (what was
measured, on which sequence, and the floor of each assay).

A double is kept where both of its singles were measured.  All numbering is that of `sequence`, and every wild type is
checked against it.  The floor of an assay is the median of variants that cannot work: nonsense variants where the file
has them, else those with the most mutations.  Errors are the source's own where it gives them; else see each reader.

Usage: python data/make/landscapes.py --from DIR [--out data]
DIR holds the folders dms and fluorescence; data/README.md names the files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import door
import numpy as np
import pandas as pd
from bundled import write

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, join_mutations
from plmbook.core.text import read_csv
from plmbook.variants import landscapes

CONTEXT = 100  # residues of the protein on either side of an assayed domain
GB1_SITES = (39, 40, 41, 54)  # of the four letters of a variant
WELL_COUNTED = 100  # selected reads from which the counts of a GB1 single say something
NEUTRAL = 0.2  # log2: singles that differ less from the wild type are as it
MANY = 8  # mutations of an avGFP genotype that is as good as never bright


@dataclass(frozen=True)
class Landscape:
    """One assay: where it is, what it measured, on what.

    `read` gives variant (tuple of (position in the file, wild type, new residue)), fitness, error, and `null` (whether
    the variant cannot work), and the fitness of the wild type.  `file_offset`: position in the file -> UniProt's.
    """

    name: str
    protein: str
    uniprot: str
    reference: str  # DMS_id of ProteinGym's list: the sequence and the DOI
    file: str
    read: Callable[[Path], tuple[pd.DataFrame, float]]
    file_offset: int
    region: tuple[int, int]  # first and last assayed residue, UniProt's numbering
    assay: str
    fitness_unit: str
    scale: str
    null: str  # whose median the floor is
    error_from: str
    source: str
    licence: str


def robust_sd(values: pd.Series) -> float:
    """Standard deviation of the normal distribution that has the same median absolute deviation."""
    return float(1.4826 * (values - values.median()).abs().median())


def read_gb1(path: Path) -> tuple[pd.DataFrame, float]:
    """Four letters a variant.  Errors: Poisson for the doubles, whose fitness is the ratio of their counts; for the
    singles, whose fitness is not, the scatter between the fitness given and that of their counts."""
    raw = read_csv(path, ",", quoted=True)
    wild_type = raw[raw["HD"] == 0].iloc[0]
    per_read = wild_type["Count input"] / wild_type["Count selected"]
    before, after = raw["Count input"], raw["Count selected"]
    counted = after / before * per_read
    several = raw["HD"] >= 2
    if not np.allclose(counted[several], raw.loc[several, "Fitness"], atol=1e-6):
        raise InputError(f"{path}: expected the fitness of a double as the ratio of its counts")
    poisson = np.sqrt(after.clip(lower=1) + after**2 / before) / before * per_read
    seen = (raw["HD"] == 1) & (after >= WELL_COUNTED)
    scatter = robust_sd(np.log(raw.loc[seen, "Fitness"] / counted[seen]))
    print(f"gb1: scatter of {int(seen.sum())} singles {scatter:.3f}")
    variants = [
        tuple((place, ref, alt) for place, ref, alt in zip(GB1_SITES, wild_type["Variants"], letters, strict=True))
        for letters in raw["Variants"]
    ]
    table = pd.DataFrame(
        {
            "variant": [tuple(change for change in changes if change[1] != change[2]) for changes in variants],
            "fitness": raw["Fitness"],
            "error": poisson.where(several, raw["Fitness"] * scatter),
            "null": raw["HD"] == 4,
        }
    )
    return table[raw["HD"] > 0], float(wild_type["Fitness"])


def read_pdz3(path: Path) -> tuple[pd.DataFrame, float]:
    """Whole proteins that end in a stop, one row an amino-acid variant; fitness and sigma are DiMSum's."""
    raw = read_csv(path, " ", quoted=True, dtype={"WT": str, "STOP": str})
    wild_type = raw[raw["WT"] == "TRUE"]
    if len(wild_type) != 1:
        raise InputError(f"{path}: expected one row of the wild type, found {len(wild_type)}")
    sequence = wild_type["aa_seq"].iloc[0].removesuffix("*")
    rows = raw[raw["Nham_aa"] > 0]
    variants = [
        tuple((i, a, b) for i, (a, b) in enumerate(zip(sequence, found[:-1], strict=True), start=1) if a != b)
        for found in rows["aa_seq"]
    ]
    table = pd.DataFrame({"variant": variants, "fitness": rows["fitness"], "error": rows["sigma"]})
    return table.assign(null=rows["STOP"] == "TRUE"), float(wild_type["fitness"].iloc[0])


def read_enrichment(path: Path) -> tuple[pd.DataFrame, float]:
    """Variants such as `G126A,N127D` with log2 ratios to the wild type, without errors.

    Errors are estimated: at the floor the scatter of nonsense variants, at the wild type's level that of doubles about
    the sum of two singles that are both as the wild type, between them in proportion.
    """
    raw = read_csv(path)
    variants = [tuple((int(t[1:-1]), t[0], t[-1]) for t in text.split(",")) for text in raw["variant"]]
    null = raw["variant"].str.contains("*", regex=False) & (raw["num_mutations"] <= 2)
    singles = raw[raw["num_mutations"] == 1].set_index("variant")["score"]
    neutral = singles[singles.abs() < NEUTRAL]
    parts = raw.loc[raw["num_mutations"] == 2, "variant"].str.split(",", expand=True)
    both = parts[parts[0].isin(neutral.index) & parts[1].isin(neutral.index)]
    additive = neutral.reindex(both[0]).to_numpy() + neutral.reindex(both[1]).to_numpy()
    top, bottom = robust_sd(raw.loc[both.index, "score"] - additive), robust_sd(raw.loc[null, "score"])
    print(
        f"{path.stem.split('.')[0]}: scatter {top:.2f} of {len(both)} neutral pairs, {bottom:.2f} of nonsense variants"
    )
    depth = (raw["score"] / raw.loc[null, "score"].median()).clip(0, 1)
    table = pd.DataFrame({"variant": variants, "fitness": raw["score"], "null": null})
    return table.assign(error=top + (bottom - top) * depth), 0.0


def read_brightness(path: Path) -> tuple[pd.DataFrame, float]:
    """Genotypes such as `SA108D:SN144D`, log10 of the median brightness of their barcodes.  Errors: the standard
    deviation of the wild type's barcodes over the root of their number."""
    raw = read_csv(path, keep_default_na=False)
    wild_type = raw[raw["aaMutations"] == ""].iloc[0]
    rows = raw[raw["aaMutations"] != ""]
    variants = [tuple((int(t[2:-1]), t[1], t[-1]) for t in text.split(":")) for text in rows["aaMutations"]]
    table = pd.DataFrame(
        {
            "variant": variants,
            "fitness": rows["medianBrightness"].astype("float64"),
            "error": float(wild_type["std"]) / np.sqrt(rows["uniqueBarcodes"].astype("float64")),
            "null": [len(variant) >= MANY for variant in variants],
        }
    )
    nonsense = [len(v) <= 2 and any(alt == "*" for _, _, alt in v) for v in variants]
    print(f"avgfp: {sum(nonsense)} nonsense genotypes, their median {table.loc[nonsense, 'fitness'].median():.2f}")
    return table, float(wild_type["medianBrightness"])


PDZ3 = {
    "protein": "PSD-95 PDZ3 (human DLG4)",
    "uniprot": "P78352",
    "reference": "DLG4_HUMAN_Faure_2021",
    "read": read_pdz3,
    "file_offset": 310,
    "region": (311, 394),
    "fitness_unit": "ln of the change in frequency relative to the wild type (DiMSum)",
    "scale": "ln",
    "null": "nonsense variants",
    "error_from": "the source's sigma",
    "source": "lehner-lab/MoCHI (ad6c1e1)",
    "licence": "MIT",
}
NN4DMS = {"source": "gitter-lab/nn4dms (434e354)", "licence": "MIT"}
LANDSCAPES = (
    Landscape(
        name="gb1",
        protein="GB1 (protein G, IgG-binding domain 1)",
        uniprot="P19909",
        reference="SPG1_STRSG_Wu_2016",
        file="dms/Gb1Dataset.csv.gz",
        read=read_gb1,
        file_offset=226,
        region=(265, 280),
        assay="binding to IgG-Fc, mRNA display; four sites",
        fitness_unit="enrichment relative to the wild type",
        scale="linear",
        null="quadruple mutants",
        error_from="Poisson of the counts; singles: scatter against their counts",
        source="fhalab/MLDE (39e9edc)",
        licence="BSD",
    ),
    Landscape(
        name="pdz3_abundance",
        file="dms/mochi_grb2_fitness_abundance.txt.gz",
        assay="abundance in yeast, protein-fragment complementation",
        **PDZ3,
    ),
    Landscape(
        name="pdz3_binding",
        file="dms/mochi_grb2_fitness_binding.txt.gz",
        assay="binding to its peptide ligand in yeast, protein-fragment complementation",
        **PDZ3,
    ),
    Landscape(
        name="pab1",
        protein="Pab1 RRM2 (yeast)",
        uniprot="P04147",
        reference="PABP_YEAST_Melamed_2013",
        file="dms/pab1.tsv.gz",
        read=read_enrichment,
        file_offset=0,
        region=(126, 200),
        assay="growth of yeast that needs Pab1",
        fitness_unit="log2 enrichment relative to the wild type",
        scale="log2",
        null="nonsense variants",
        error_from="scatter of nonsense variants and of neutral pairs, by level",
        **NN4DMS,
    ),
    Landscape(
        name="ube4b",
        protein="Ube4b U-box (mouse)",
        uniprot="Q9ES00",
        reference="UBE4B_MOUSE_Starita_2013",
        file="dms/ube4b.tsv.gz",
        read=read_enrichment,
        file_offset=1072,
        region=(1072, 1173),
        assay="auto-ubiquitination, phage display",
        fitness_unit="log2 enrichment relative to the wild type",
        scale="log2",
        null="nonsense variants",
        error_from="scatter of nonsense variants and of neutral pairs, by level",
        **NN4DMS,
    ),
    Landscape(
        name="avgfp",
        protein="avGFP (Aequorea victoria)",
        uniprot="P42212",
        reference="GFP_AEQVI_Sarkisyan_2016",
        file="fluorescence/amino_acid_genotypes_to_brightness.tsv.gz",
        read=read_brightness,
        file_offset=2,
        region=(1, 238),
        assay="fluorescence in E. coli, sorted cells",
        fitness_unit="log10 brightness",
        scale="log10",
        null=f"genotypes with {MANY} or more mutations",
        error_from="standard deviation of the wild type's barcodes over the root of their number",
        **NN4DMS,
    ),
)


def place(landscape: Landscape, whole: str) -> tuple[str, int]:
    """The sequence that a model reads, and the offset from its numbering to UniProt's.

    GB1 was displayed as 56 residues, of which the first is a methionine of its own; a protein that was assayed whole
    is whole; an assayed domain has up to `CONTEXT` residues of its protein on either side.
    """
    if landscape.name == "gb1":
        return "M" + whole[227:282], 226
    first, last = landscape.region
    start = max(first - CONTEXT, 1)
    return whole[start - 1 : last + CONTEXT], start - 1


def missense(landscape: Landscape, variants: pd.DataFrame, sequence: str, offset: int) -> pd.DataFrame:
    """Single and double missense variants, numbered in `sequence`; doubles of which both singles are there."""
    shift = landscape.file_offset - offset
    rows = variants[[len(v) <= 2 and all(alt in AMINO_ACIDS for _, _, alt in v) for v in variants["variant"]]]
    changes = [tuple(Mutation(place + shift, ref, alt) for place, ref, alt in variant) for variant in rows["variant"]]
    for mutation in sorted({mutation for variant in changes for mutation in variant}):
        mutation.check(sequence)
    order = [
        (len(variant), [m.position for m in sorted(variant)], [m.alt for m in sorted(variant)]) for variant in changes
    ]
    rows = rows.assign(mutation=[join_mutations(variant) for variant in changes])
    rows = rows.iloc[sorted(range(len(rows)), key=order.__getitem__)]
    n_mutations = rows["mutation"].str.count(":") + 1
    if rows["mutation"].duplicated().any():
        raise InputError(f"{landscape.name}: {rows.loc[rows['mutation'].duplicated(), 'mutation'].iloc[0]} comes twice")
    singles = set(rows.loc[n_mutations == 1, "mutation"])
    complete = np.array([set(text.split(":")) <= singles for text in rows["mutation"]])
    print(
        f"{landscape.name}: {len(variants)} variants in the file, {len(singles)} singles, "
        f"{int((n_mutations == 2).sum())} doubles, {int(complete.sum()) - len(singles)} with both singles"
    )
    return rows[complete].assign(landscape=landscape.name)[["landscape", "mutation", "fitness", "error"]]


def make(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables."""
    listed = read_csv(source / "dms" / "proteingym_DMS_substitutions.csv.gz", ",", quoted=True).set_index("DMS_id")
    parts, proteins = [], []
    for landscape in LANDSCAPES:
        variants, wild_type = landscape.read(source / landscape.file)
        known = listed.loc[landscape.reference]
        sequence, offset = place(landscape, known["target_seq"])
        parts.append(missense(landscape, variants, sequence, offset))
        null = variants.loc[variants["null"], "fitness"]
        first, last = landscape.region
        proteins.append(
            {
                "landscape": landscape.name,
                "protein": landscape.protein,
                "uniprot": landscape.uniprot,
                "length": len(sequence),
                "sequence": sequence,
                "first": first - offset,
                "last": last - offset,
                "offset": offset,
                "file_offset": landscape.file_offset - offset,
                "assay": landscape.assay,
                "fitness_unit": landscape.fitness_unit,
                "scale": landscape.scale,
                "wild_type_fitness": wild_type,
                "floor": float(null.median()),
                "floor_from": f"median of {len(null)} {landscape.null}",
                "null_above_half": above_half(null, landscape.scale, wild_type),
                "error_from": landscape.error_from,
                "source": landscape.source,
                "licence": landscape.licence,
                "doi": known["jo"],
            }
        )
    table = pd.concat(parts, ignore_index=True).astype({"fitness": "float32", "error": "float32"})
    return table, pd.DataFrame(proteins)


def above_half(null: pd.Series, scale: str, wild_type: float) -> float:
    """The share of variants that cannot work and yet measure above half of the way from the floor to the wild type."""
    one = pd.DataFrame({"landscape": "", "scale": [scale], "wild_type_fitness": wild_type, "floor": null.median()})
    rows = pd.DataFrame({"landscape": "", "mutation": "", "fitness": null, "error": 0.0})
    values = landscapes.log_fitness(rows, one)
    return float((values["f"] >= values["floor"] / 2).mean())


def report(table: pd.DataFrame, proteins: pd.DataFrame) -> None:
    """Print the counts that data/README.md states."""
    doubles = landscapes.epistasis(table, proteins)
    found = landscapes.rescues(table, proteins)
    for name, rows in doubles.groupby("landscape", sort=False):
        mine = found[found["landscape"] == name]
        below = rows["f1"] + rows["f2"] <= rows["floor"]
        print(
            f"{name}: doubles {len(rows)}, floored {int(rows['floored'].sum())} (f1 + f2 {int(below.sum())}), "
            f"damaging first {len(mine)} (of {mine['mutation'].nunique()} singles), "
            f"rescued {int(mine['rescued'].sum())}, specific {int(mine['specific'].sum())}"
        )
    print(proteins[["landscape", "length", "first", "last", "offset", "wild_type_fitness", "floor"]].to_string())
    print(proteins[["landscape", "floor_from", "null_above_half"]].to_string())


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="dms")
    table, proteins = make(args.source)
    for name, made in (("landscapes", table), ("landscape_proteins", proteins)):
        file, schema = tables.BUNDLED[name]
        write(made, schema, args.out / file)
        print(f"{file}: {len(made)} rows, {(args.out / file).stat().st_size} bytes")
    report(table, proteins)


if __name__ == "__main__":
    main()
