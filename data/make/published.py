"""Make data/published/*.csv: every table of the three earlier works and figures of ESM-2 as printed, and one count.

    python data/make/published.py --from DIR

DIR (or the environment variable PLMBOOK_MIRROR) is a folder that holds, at any depth: the three README pages as
`.md` or `.txt` (recognised by their titles), the files of the rescue-mutation study `acmg.filtered.genes.list`,
`acmg.filtered.genes.fa`, `control_group.txt` and `clinvar_dm_esm_scores.tsv.gz`, and human sequences
`human.part*.fasta.gz` (headers `>ACCESSION ... GN=GENE ...`) against which the lengths typed below are checked. The
figures of ESM-2 are typed below.
Figures are copied, never corrected: what looks like a slip of the source goes into a `note` column.
"""

import csv
import re
import sys
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import door

from plmbook.core import paths
from plmbook.core.text import read_records
from plmbook.sources import rescue

TITLES = {
    "esm2_15b": "# ESM2_15B",
    "ankh": "Optimized Protein Language Model Unlocks General-Purpose Modelling",
    "rescue": "### Protein language model rescue mutations",
}
SOURCES = {
    "esm2_15b": "the ESM2-15B embeddings study, README",
    "ankh": "Ankh, README, https://github.com/agemagician/Ankh",
    "rescue": "the rescue-mutation study, README, https://github.com/cx0/llm-for-clinical-variants",
    "controls": "the rescue-mutation study, control_group.txt, https://github.com/cx0/llm-for-clinical-variants",
    "cpd": "the rescue-mutation study, clinvar_dm_esm_scores.tsv, https://github.com/cx0/llm-for-clinical-variants",
    "acmg": "ACMG SF v3.1, https://doi.org/10.1016/j.gim.2022.04.006",
    "fair_esm": "fair-esm, README, Comparison to related works, https://github.com/facebookresearch/esm",
    "speedrun": "Synthyra, SpeedrunningPLMs, README, ESM Model Evaluation, UniRef50 Dataset, "
    "https://github.com/Synthyra/SpeedrunningPLMs",
}

# Figures of ESM-2, typed from the two pages above (versions 04afced and 0f7ef3e).
# Our card -> the name in fair-esm's table; long-range precision at L, percent: large validation set, CASP14, CAMEO.
ESM2_CONTACTS = {
    "esm2_t6_8M_UR50D": ("ESM-2 (8M)", 15.9, 9.8, 15.7),
    "esm2_t12_35M_UR50D": ("ESM-2 (35M)", 28.8, 16.4, 28.4),
    "esm2_t30_150M_UR50D": ("ESM-2 (150M)", 42.2, 26.8, 40.1),
    "esm2_t33_650M_UR50D": ("ESM-2 (700M)", 50.1, 32.5, 47.6),
    "esm2_t36_3B_UR50D": ("ESM-2 (3B)", 52.7, 34.0, 49.9),
    "esm2_t48_15B_UR50D": ("ESM-2 (15B)", 54.5, 37.0, 51.7),
}
ESM2_CONTACT_SETS = ("Large valid", "CASP14", "CAMEO (Apr-Jun 2022)")
# Our card -> name on the page, perplexity, by test set.
ESM2_PERPLEXITY = {
    "UniRef50 of 2025, validation split": {
        "esm2_t6_8M_UR50D": ("ESM2-8M", 13.134),
        "esm2_t12_35M_UR50D": ("ESM2-35M", 11.623),
        "esm2_t30_150M_UR50D": ("ESM2-150M", 10.212),
        "esm2_t33_650M_UR50D": ("ESM2-650M", 8.717),
        "esm2_t36_3B_UR50D": ("ESM2-3B", 7.788),
    },
    "UniRef50 of 2025, test split": {
        "esm2_t6_8M_UR50D": ("ESM2-8M", 13.156),
        "esm2_t12_35M_UR50D": ("ESM2-35M", 11.648),
        "esm2_t30_150M_UR50D": ("ESM2-150M", 10.261),
        "esm2_t33_650M_UR50D": ("ESM2-650M", 8.717),
        "esm2_t36_3B_UR50D": ("ESM2-3B", 7.835),
    },
}
ESM2_NOTES = {
    "contacts": "separation of 24 and more; logistic regression on the attention maps, fitted on 20 structures",
    "perplexity": "measured by others than the model's authors, on 10,000 proteins that its training may have seen",
}

# The names that the Ankh page prints, and the names of our cards.
ANKH_CARDS = {
    "Ankh Large": "ankh_large",
    "Ankh Base": "ankh_base",
    "ProtT5-XL-UniRef50": "prot_t5_xl_uniref50",
    "ESM2-15B": "esm2_t48_15B_UR50D",
    "ESM2-3B": "esm2_t36_3B_UR50D",
    "ESM2-650M": "esm2_t33_650M_UR50D",
    "ESM-1b": "esm1b_t33_650M_UR50S",
}
# Section of the page -> task, metric, unit of the figure, does the page itself name the metric, number of figures.
ANKH_TASKS = {
    "Secondary Structure Prediction (Q3)": ("secondary structure, 3 states", "accuracy", "percent", True, 28),
    "Secondary Structure Prediction (Q8)": ("secondary structure, 8 states", "accuracy", "percent", True, 28),
    "Contact Prediction Long Precision Using Embeddings": (
        "contacts from embeddings",
        "long-range precision",
        "percent",
        True,
        28,
    ),
    "Contact Prediction Long Precision Using attention scores": (
        "contacts from attention",
        "long-range precision",
        "percent",
        True,
        28,
    ),
    "Localization (Q10)": ("localisation, 10 classes", "accuracy", "percent", True, 7),
    "Remote Homology": ("remote homology", "accuracy", "percent", False, 7),
    "Solubility": ("solubility", "accuracy", "percent", False, 7),
    "Fluorescence (Spearman Correlation)": ("fluorescence", "Spearman correlation", "correlation", True, 7),
    "Nearest Neighbor Search using Global Pooling": ("CATH lookup", "accuracy", "fraction", False, 28),
}

# ACMG SF v3.1 (Miller et al. 2022): domain -> short phenotype -> genes. 78 genes; where the list names several
# phenotypes for a gene, the first is given.
ACMG = {
    "cancer": {
        "familial adenomatous polyposis": "APC",
        "multiple endocrine neoplasia type 2": "RET",
        "hereditary breast and ovarian cancer": "BRCA1 BRCA2",
        "hereditary breast cancer": "PALB2",
        "hereditary paraganglioma-pheochromocytoma": "SDHD SDHAF2 SDHC SDHB MAX TMEM127",
        "juvenile polyposis": "BMPR1A SMAD4",
        "Li-Fraumeni syndrome": "TP53",
        "Lynch syndrome": "MLH1 MSH2 MSH6 PMS2",
        "multiple endocrine neoplasia type 1": "MEN1",
        "MUTYH-associated polyposis": "MUTYH",
        "neurofibromatosis type 2": "NF2",
        "Peutz-Jeghers syndrome": "STK11",
        "PTEN hamartoma tumour syndrome": "PTEN",
        "retinoblastoma": "RB1",
        "tuberous sclerosis complex": "TSC1 TSC2",
        "von Hippel-Lindau syndrome": "VHL",
        "WT1-related Wilms tumour": "WT1",
    },
    "cardiovascular": {
        "Marfan syndrome": "FBN1",
        "Loeys-Dietz syndrome": "TGFBR1 TGFBR2 SMAD3",
        "familial thoracic aortic aneurysm": "ACTA2 MYH11",
        "Ehlers-Danlos syndrome, vascular type": "COL3A1",
        "arrhythmogenic right ventricular cardiomyopathy": "PKP2 DSP DSC2 TMEM43 DSG2",
        "catecholaminergic polymorphic ventricular tachycardia": "RYR2 CASQ2 TRDN",
        "dilated cardiomyopathy": "TNNT2 LMNA FLNC BAG3 DES RBM20 TNNC1",
        "dilated cardiomyopathy (truncating variants only)": "TTN",
        "hypertrophic cardiomyopathy": "MYH7 MYBPC3 TNNI3 TPM1 MYL3 ACTC1 PRKAG2 MYL2",
        "familial hypercholesterolaemia": "LDLR APOB PCSK9",
        "long QT syndrome": "KCNQ1 KCNH2 SCN5A",
    },
    "metabolism": {
        "biotinidase deficiency": "BTD",
        "Fabry disease": "GLA",
        "ornithine transcarbamylase deficiency": "OTC",
        "Pompe disease": "GAA",
    },
    "miscellaneous": {
        "hereditary haemochromatosis (C282Y homozygotes only)": "HFE",
        "hereditary haemorrhagic telangiectasia": "ACVRL1 ENG",
        "malignant hyperthermia": "RYR1 CACNA1S",
        "maturity-onset diabetes of the young": "HNF1A",
        "RPE65-related retinopathy": "RPE65",
        "Wilson disease": "ATP7B",
        "hereditary transthyretin amyloidosis": "TTR",
    },
}
ADDED_IN_V31 = {"BAG3", "DES", "RBM20", "TNNC1", "TTR"}

# UniProt accession and length of the canonical sequence of the genes that the study left out.
LEFT_OUT = {
    "APC": ("P25054", 2843), "APOB": ("P04114", 4563), "ATP7B": ("P35670", 1465), "BRCA1": ("P38398", 1863),
    "BRCA2": ("P51587", 3418), "CACNA1S": ("Q13698", 1873), "COL3A1": ("P02461", 1466), "DSG2": ("Q14126", 1118),
    "DSP": ("P15924", 2871), "FBN1": ("P35555", 2871), "FLNC": ("Q14315", 2725), "KCNH2": ("Q12809", 1159),
    "MSH6": ("P52701", 1360), "MYBPC3": ("Q14896", 1274), "MYH11": ("P35749", 1972), "MYH7": ("P12883", 1935),
    "PALB2": ("Q86YC2", 1186), "RBM20": ("Q5T481", 1227), "RET": ("P07949", 1114), "RYR1": ("P21817", 5038),
    "RYR2": ("Q92736", 4967), "SCN5A": ("Q14524", 2016), "TSC1": ("Q92574", 1164), "TSC2": ("P49815", 1807),
    "TTN": ("Q8WZ42", 34350),
}  # fmt: skip
NOT_IN_COLLECTION = {"RYR1", "TTN"}  # longer than what the sequence collection holds
WINDOW, OVERLAP = 1022, 511  # residues: what ESM-1b and ESM-1v take, and half of it

CONTROL_NOTES = {
    "ACTA2": "the symbol PCPB1 is as printed; the length (356 residues) is that of PCBP1",
    "BMPR1A": "the controls of BMPR1A and BTD seem to be interchanged: with them swapped both missense z agree",
    "BTD": "the controls of BMPR1A and BTD seem to be interchanged: with them swapped both missense z agree",
    "GLA": "the symbol BECN11 is as printed; the length (450 residues) is that of BECN1",
}
# Genes whose transcript here codes for another length than the protein in the study's FASTA file.
OTHER_LENGTH = {"TGFBR2", "TNNT2", "WT1"}


@dataclass
class Table:
    """One markdown table: the heading above it, the header cells, the rows of cells (stripped, marks kept)."""

    heading: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _heading(line: str) -> str | None:
    match = re.match(r"\s*(?:#+|\*\s+<b>)\s*(.+)", line)
    if match is None:
        return None
    return re.sub(r"<[^>]*>|&nbsp;", "", match[1]).strip().rstrip(":").strip()


def read_markdown_tables(text: str) -> list[Table]:
    """The tables of a markdown page in order; a row with another number of cells than its header is an error.

    >>> read_markdown_tables("# Sizes\\n|a|b|\\n|-|-|\\n|1| **x**|\\n")
    [Table(heading='Sizes', header=['a', 'b'], rows=[['1', '**x**']])]
    >>> read_markdown_tables("|a|b|\\n|-|-|\\n|1|\\n")
    Traceback (most recent call last):
        ...
    ValueError: line 3: expected 2 cells as in the header, found 1: '|1|'
    """
    tables, heading, current = [], "", None
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        following = lines[number] if number < len(lines) else ""
        if current is None and "|" in line and "-" in following and re.fullmatch(r"[\s|:-]*\|[\s|:-]*", following):
            current = Table(heading, _cells(line))
            tables.append(current)
        elif current is not None and re.fullmatch(r"[\s|:-]+", line):
            continue
        elif current is not None and "|" in line:
            cells = _cells(line)
            if len(cells) != len(current.header):
                raise ValueError(
                    f"line {number}: expected {len(current.header)} cells as in the header, "
                    f"found {len(cells)}: {line!r}"
                )
            current.rows.append(cells)
        else:
            current = None
            heading = _heading(line) or heading
    return tables


def find_pages(folder: Path) -> dict[str, str]:
    """name of the work -> text of its page, by the title among the first five lines; exactly one page a work."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".md", ".txt"} and p.stat().st_size < 100_000):
        text = path.read_text(encoding="utf-8", errors="replace")
        top = "\n".join(text.splitlines()[:5])
        for work, title in TITLES.items():
            if title in top:
                if found.setdefault(work, text) != text:
                    raise ValueError(f"{path}: a second, different page of {SOURCES[work]!r}")
    missing = [SOURCES[work] for work in TITLES if work not in found]
    if missing:
        raise FileNotFoundError(f"{folder}: no .md or .txt page found for: {'; '.join(missing)}")
    return found


def find_file(folder: Path, name: str) -> Path:
    """The one file of that name below `folder`."""
    paths = sorted(folder.rglob(name))
    if len(paths) != 1:
        raise FileNotFoundError(f"{folder}: expected one file {name}, found {len(paths)}")
    return paths[0]


def _the(tables: list[Table], start: str, n_rows: int) -> Table:
    """The one table whose heading begins with `start`; a change in its number of rows is an error."""
    chosen = [table for table in tables if table.heading.startswith(start)]
    if len(chosen) != 1:
        raise ValueError(f"expected one table under a heading {start!r}, found {len(chosen)}")
    if len(chosen[0].rows) != n_rows:
        raise ValueError(f"table {start!r}: expected {n_rows} rows, found {len(chosen[0].rows)}")
    return chosen[0]


def _link(cell: str) -> tuple[str, str]:
    """`[text](url)` -> (text, url); a cell without a link -> (cell, ""). The last bracket closes, as URLs hold some."""
    match = re.fullmatch(r"\[([^\]]*)\]\((.*)\)", cell)
    return (match[1], match[2]) if match else (cell, "")


def go_terms(page: str) -> list[dict]:
    """20 rows: GO term, description, accuracy, F1, precision, recall, in the page's order (by F1)."""
    table = _the(read_markdown_tables(page), "Classification results", 20)
    if table.header != ["Accuracy", "F1", "Precision", "Recall", "GO", "GO_desc"]:
        raise ValueError(f"GO table: unexpected header {table.header}")
    return [
        {
            "go": go,
            "description": description,
            **dict(zip(("accuracy", "f1", "precision", "recall"), map(float, figures), strict=True)),
            "source": SOURCES["esm2_15b"],
        }
        for *figures, go, description in table.rows
    ]


def ankh_results(page: str) -> list[dict]:
    """168 rows: one figure of the nine result tables each."""
    rows = []
    tables = read_markdown_tables(page)
    for section, (task, metric, unit, stated, n_figures) in ANKH_TASKS.items():
        table = _the(tables, section, len(ANKH_CARDS))
        before = len(rows)
        for name, *figures in table.rows:
            model = name.strip("*")
            for column, figure in zip(table.header[1:], figures, strict=True):
                if (unit == "percent") != figure.endswith("%"):
                    raise ValueError(f"{section}, {model}, {column}: expected a figure in {unit}, found {figure!r}")
                dataset, _, split = column.removesuffix(")").partition(" (")
                rows.append(
                    {
                        "task": task,
                        "dataset": dataset.removesuffix(" Dataset"),
                        "split": split,
                        "metric": metric,
                        "metric_on_page": stated,
                        "unit": unit,
                        "model": model,
                        "card": ANKH_CARDS[model],
                        "value": float(figure.removesuffix("%")),
                        "bold_on_page": name != model,
                        "section": section,
                        "column": column,
                        "source": SOURCES["ankh"],
                    }
                )
        if len(rows) - before != n_figures:
            raise ValueError(f"{section}: expected {n_figures} figures, found {len(rows) - before}")
    return rows


def ankh_models(page: str) -> list[dict]:
    """2 rows: model, card, loader call, name on the hub and its URL."""
    rows = []
    for model, loader, cell in _the(read_markdown_tables(page), "Models Availability", 2).rows:
        _, url = _link(cell)
        rows.append(
            {
                "model": model,
                "card": ANKH_CARDS[model],
                "loader": loader.strip("`"),
                "hub_id": url.removeprefix("https://huggingface.co/"),
                "url": url,
                "source": SOURCES["ankh"],
            }
        )
    return rows


def ankh_datasets(page: str) -> list[dict]:
    """9 rows: dataset, name on the hub, file of the test split where the call names one, loader call."""
    rows = []
    for dataset, cell in _the(read_markdown_tables(page), "Datasets Availability", 9).rows:
        call = cell.strip("`")
        hub_id, test_file = re.fullmatch(
            r"load_dataset\(\"([^\"]+)\"(?:, data_files=\{'test': \['([^']+)'\]\})?\)", call
        ).groups(default="")
        rows.append(
            {"dataset": dataset, "hub_id": hub_id, "test_file": test_file, "loader": call, "source": SOURCES["ankh"]}
        )
    return rows


def rescue_models(page: str) -> list[dict]:
    """2 rows: model, layers, parameters, training set, how the study used it."""
    rows = []
    for cell, layers, parameters, training, use in _the(read_markdown_tables(page), "Pretrained models", 2).rows:
        model, url = _link(cell)
        rows.append(
            {
                "model": model,
                "layers": int(layers),
                "parameters": parameters,
                "training_dataset": training,
                "use": use,
                "url": url,
                "source": SOURCES["rescue"],
            }
        )
    return rows


def rescue_data(page: str) -> list[dict]:
    """4 rows: description, data source, notes; the page's placeholder `xx` is an empty cell with a note of ours."""
    rows = []
    for description, cell, notes in _the(read_markdown_tables(page), "Data on genetic variation", 4).rows:
        data_source, url = _link(cell)
        placeholders = [name for name, text in (("data source", data_source), ("notes", notes)) if text == "xx"]
        note = f"the page has the placeholder xx for: {', '.join(placeholders)}" if placeholders else ""
        if "(21)" in url:
            note = "the link is to an article of 2021, the year of SF v3.0; v3.1 is https://doi.org/10.1016/j.gim.2022.04.006"
        rows.append(
            {
                "description": description,
                "data_source": data_source.replace("xx", ""),
                "url": url,
                "notes": notes.replace("xx", ""),
                "note": note,
                "source": SOURCES["rescue"],
            }
        )
    return rows


def n_windows(length: int) -> int:
    """Windows of 1,022 residues, each 511 after the one before, that cover a protein.

    >>> [n_windows(length) for length in (952, 1022, 1023, 1533, 1534)]
    [1, 1, 2, 2, 3]
    """
    return 1 + max(0, ceil((length - WINDOW) / (WINDOW - OVERLAP)))


def read_study_genes(folder: Path) -> dict[str, tuple[str, str, int]]:
    """gene -> (NCBI gene id, UniProt accession, length) of the 53 genes that the study kept."""
    entries = find_file(folder, "acmg.filtered.genes.list").read_text().split()
    ids = dict(entry.split(":") for entry in entries)
    genes = {}
    for header, sequence in read_records(find_file(folder, "acmg.filtered.genes.fa")):
        gene = re.search(r" GN=(\S+)", header)[1]
        genes[gene] = (ids[gene], header.split("|")[1], len(sequence))
    if len(ids) != 53 or set(ids) != set(genes):
        raise ValueError(f"expected the same 53 genes in list and FASTA, found {len(ids)} and {len(genes)}")
    return genes


def check_lengths(folder: Path) -> None:
    """Every typed length is that of a human record with this accession and gene, except the two not collected."""
    lengths: dict[str, set[int]] = {}
    for path in sorted(folder.rglob("human.part*.fasta.gz")):
        for header, sequence in read_records(path):
            lengths.setdefault(header.split()[0], set()).add(len(sequence))
    for gene, (accession, length) in LEFT_OUT.items():
        found = lengths.get(accession, set())
        if (length in found) == (gene in NOT_IN_COLLECTION):
            raise ValueError(f"{gene}: {accession} with {length} residues, but human.part* has {sorted(found)}")


def acmg_v31(folder: Path) -> list[dict]:
    """78 rows: the genes of ACMG SF v3.1, which of them the study kept, and the windows that the others need."""
    kept = read_study_genes(folder)
    check_lengths(folder)
    rows = []
    for domain, phenotypes in ACMG.items():
        for phenotype, genes in phenotypes.items():
            for gene in genes.split():
                if gene in kept:
                    ncbi_gene, accession, length = kept[gene]
                    length_source, reason = "the study's FASTA", ""
                else:
                    ncbi_gene, (accession, length) = "", LEFT_OUT[gene]
                    length_source = "UniProt" if gene in NOT_IN_COLLECTION else "UniProt, checked against a sequence"
                    reason = "longer than 1,000 residues"
                rows.append(
                    {
                        "gene": gene,
                        "domain": domain,
                        "phenotype": phenotype,
                        "added_in_v31": gene in ADDED_IN_V31,
                        "in_study": gene in kept,
                        "reason_left_out": reason,
                        "ncbi_gene": ncbi_gene,
                        "uniprot": accession,
                        "length": length,
                        "length_source": length_source,
                        "windows_of_1022": n_windows(length),
                        "source": SOURCES["acmg"],
                    }
                )
    genes = [row["gene"] for row in rows]
    if len(set(genes)) != 78 or len(genes) != 78 or set(genes) != set(kept) | set(LEFT_OUT):
        raise ValueError(f"expected 78 distinct genes, the kept and the left out, found {len(set(genes))}")
    if any((row["length"] > 1000) == row["in_study"] for row in rows):
        raise ValueError("expected every gene up to 1,000 residues in the study and no longer one")
    return sorted(rows, key=lambda row: row["gene"])


def control_genes(folder: Path) -> list[dict]:
    """53 rows: gene, transcript, missense z, coding length (nt, without the stop), and the same of its control."""
    kept = read_study_genes(folder)
    lines = find_file(folder, "control_group.txt").read_text().splitlines()
    lines = [line.split("\t") for line in lines if not line.startswith("#")]
    header, *records = lines
    names = ["gene_symbol", "canonical_transcript", "missense_zscore", "cds_length"]
    if header != [*names, "control_gene_symbol", *names[1:]]:
        raise ValueError(f"control_group.txt: unexpected header {header}")
    rows = []
    for gene, transcript, z, cds, control, control_transcript, control_z, control_cds in records:
        note = CONTROL_NOTES.get(gene, "")
        if (int(cds) != 3 * kept[gene][2]) != (gene in OTHER_LENGTH):
            raise ValueError(f"{gene}: CDS of {cds} nt against {kept[gene][2]} residues is not as noted")
        if gene in OTHER_LENGTH:
            note = f"the transcript codes for {int(cds) // 3} residues, the study's protein has {kept[gene][2]}"
        rows.append(
            {
                "gene": gene,
                "transcript": transcript,
                "missense_z": float(z),
                "cds_length": int(cds),
                "control_gene": control,
                "control_transcript": control_transcript,
                "control_missense_z": float(control_z),
                "control_cds_length": int(control_cds),
                "note": note,
                "source": SOURCES["controls"],
            }
        )
    if {row["gene"] for row in rows} != set(kept) or len(rows) != 53 or len({r["control_gene"] for r in rows}) != 53:
        raise ValueError("expected one distinct control for each of the 53 genes")
    return rows


def rescue_cpd(folder: Path) -> list[dict]:
    """53 rows: gene, its variants in the study's table, and how many genomes its columns CPD_0 to CPD_5 name there."""
    table = rescue.read_scores(find_file(folder, "clinvar_dm_esm_scores.tsv.gz"))
    named = table[list(rescue.FLANKS)].map(len)
    counts = named.groupby(table["gene"]).sum().assign(variants=table["gene"].value_counts())
    if len(counts) != 53 or (counts[list(rescue.FLANKS)].diff(axis=1) > 0).any(axis=None):
        raise ValueError("expected 53 genes, and of each no more genomes with a larger k")
    return [
        {"gene": gene, "variants": int(row["variants"])}
        | {name.lower(): int(row[name]) for name in rescue.FLANKS}
        | {"source": SOURCES["cpd"]}
        for gene, row in counts.sort_index().iterrows()
    ]


def esm2_models() -> list[dict]:
    """28 rows: figures of ESM-2 for the tests that the embedded model takes, one a row."""
    rows = []
    for card, (name, *values) in ESM2_CONTACTS.items():
        for dataset, value in zip(ESM2_CONTACT_SETS, values, strict=True):
            figure = ("unsupervised contacts", "long-range precision at L", dataset, "percent", value)
            rows.append((name, card, *figure, ESM2_NOTES["contacts"], SOURCES["fair_esm"]))
    for dataset, figures in ESM2_PERPLEXITY.items():
        for card, (name, value) in figures.items():
            figure = ("masked residues", "perplexity", dataset, "perplexity", value)
            rows.append((name, card, *figure, ESM2_NOTES["perplexity"], SOURCES["speedrun"]))
    columns = ("model", "card", "task", "metric", "dataset", "unit", "value", "note", "source")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def write(path: Path, rows: list[dict]) -> None:
    """Write rows as CSV with `\\n` line ends; booleans as `true` and `false`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()})


def main(arguments: list[str] | None = None) -> int:
    """Read all, then write all, so that a fault in the source leaves the tables as they were."""
    args = door.parse(door.parser(__doc__), holding="", out=paths.data() / "published", arguments=arguments)
    folder = args.source
    pages = find_pages(folder)
    tables = {
        "go_terms": go_terms(pages["esm2_15b"]),
        "ankh_results": ankh_results(pages["ankh"]),
        "ankh_models": ankh_models(pages["ankh"]),
        "ankh_datasets": ankh_datasets(pages["ankh"]),
        "rescue_models": rescue_models(pages["rescue"]),
        "rescue_data": rescue_data(pages["rescue"]),
        "acmg_v31": acmg_v31(folder),
        "control_genes": control_genes(folder),
        "rescue_cpd": rescue_cpd(folder),
        "esm2_models": esm2_models(),
    }
    for name, rows in tables.items():
        write(args.out / f"{name}.csv", rows)
        print(f"{name}.csv: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
