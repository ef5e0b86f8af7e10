"""Publish trained models: weights, card and log go from the training folders into data/models/.

Usage: python data/make/model.py --run build/model build/model-general --corpus build/corpus
"""

import argparse
import json
import shutil
from pathlib import Path

from esm.data import Alphabet

from plmbook import tables
from plmbook.core import paths
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import pretrain
from plmbook.tables import read_fasta

# Of the weights; the sequences descend from UniProt (CC BY 4.0), PDB (CC0) and RefSeq (public domain).
LICENCE = "CC BY 4.0"
LIMITS = {
    "every": (
        "A small model for running this book, not for use elsewhere and never for clinical use.",
        "Proteins of the localisation, solubility, GO and homology tasks may have been seen, without labels.",
        "Taken out of training as whole clusters: CB513, CASP12 to 14, the measured landscapes and the structures kept "
        "for contacts, unless a gene's orthologs are among them, and a sample of all others. Relatives that clustering "
        "missed are listed in data/relatives.tsv, and the tests leave those proteins out.",
    ),
    "with orthologs": (
        "It has read the vertebrate orthologs of the 53 genes: its scores there know the alignment that they meet.",
        "The orthologs that carry a pathogenic residue are among them (to drop them would tell it the labels): a test "
        "of compensated deviations belongs to the general model.",
    ),
    "without": (
        "The clusters of the 53 genes were taken out of its training as well; {genes} genes still have a relative "
        "there, "
        "at 30 % identity over half of the shorter of the two (data/relatives.tsv).",
    ),
}


def residue_frequencies(corpus: Path) -> list[float]:
    """Frequencies of the 20 amino acids in the general training proteins, in the order of AMINO_ACIDS.

    Without the orthologs: held-out proteins are general ones, and the model is held against its best opponent.
    """
    text = "".join(read_fasta(corpus / "general.fasta")["sequence"])
    counts = [text.count(letter) for letter in AMINO_ACIDS]
    return [round(count / sum(counts), 6) for count in counts]


def what_was_read(config: pretrain.Config, steps: int, corpus: Path) -> dict[str, dict]:
    """By source: pieces, distinct proteins and residues that the run has read, and how large the source is."""
    alphabet = Alphabet.from_architecture("ESM-1b")
    sources = {
        name: pretrain.Proteins(read_fasta(corpus / name)["sequence"].tolist(), alphabet) for name in config.sources
    }
    found = pretrain.count_read(sources, config, steps)
    for name, proteins in sources.items():
        found[name] |= {"of_proteins": len(proteins.edges) - 1, "of_residues": len(proteins.tokens)}
    return found


def training_data(read: dict[str, dict]) -> str:
    """What was read, in a sentence."""
    names = {"general.fasta": "general proteins", "orthologs.fasta": "vertebrate orthologs of the 53 genes"}
    residues = sum(each["residues"] for each in read.values())
    return " and ".join(
        f"{each['proteins']:,} {names[name]} ({each['residues'] / residues:.0%} of the residues read)"
        for name, each in read.items()
    )


def publish(run: Path, folder: Path, frequencies: list[float]) -> None:
    """Copy the weights and the log of one run, and write its card."""
    corpus = json.loads((folder / "corpus.json").read_text())
    (weights,) = run.glob("*.safetensors")
    record = json.loads(weights.with_suffix(".json").read_text())
    config = record["config"]
    read = what_was_read(pretrain.Config(**config), record["steps"], folder)
    genes = tables.load("relatives").query("table == 'genes'")["id"].nunique()
    for private in ("data", "out", "validation"):  # folders of the machine that trained it
        config.pop(private)
    orthologs = "orthologs.fasta" in config["sources"]
    card = {
        **record,
        "training_data": training_data(read),
        "read": read,
        "licence": LICENCE,
        "source": "bundled",
        "citation": "lin2023evolutionary",
        "aliases": ["embedded" if orthologs else "embedded_general"],
        "residue_frequencies": frequencies,
        "corpus": corpus,
        "limits": [
            *LIMITS["every"],
            *(limit.format(genes=genes) for limit in LIMITS["with orthologs" if orthologs else "without"]),
        ],
    }
    models = paths.data() / "models"
    models.mkdir(exist_ok=True)
    shutil.copyfile(weights, models / weights.name)
    shutil.copyfile(run / "log.tsv", models / f"{record['name']}.log.tsv")
    (models / f"{record['name']}.json").write_text(json.dumps(card, indent=1) + "\n")
    print(f"{models / weights.name}: {record['parameters']:,} parameters, {record['tokens_seen']:,} tokens read")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="folders that `plmbook pretrain` wrote")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that data/make/corpus.py wrote")
    args = parser.parse_args()
    frequencies = residue_frequencies(args.corpus)
    for run in args.run:
        publish(run, args.corpus, frequencies)


if __name__ == "__main__":
    main()
