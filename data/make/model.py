"""Publish trained models: weights, card and log go from the training folders into data/models/.

Usage: python data/make/model.py --run build/model build/model-general --corpus build/corpus
"""

import argparse
import json
import shutil
from pathlib import Path

from plmbook import paths
from plmbook.residues import AMINO_ACIDS
from plmbook.tables import read_fasta

# Of the weights; the sequences descend from UniProt (CC BY 4.0), PDB (CC0) and RefSeq (public domain).
LICENCE = "CC BY 4.0"
LIMITS = {
    "every": (
        "A small model for running this book, not for use elsewhere and never for clinical use.",
        "Proteins of the localisation, solubility, GO and homology tasks were seen as sequences, without labels.",
    ),
    "with orthologs": (
        "It has read the vertebrate orthologs of the 53 genes: its scores there know the alignment that they meet.",
        "The orthologs that carry a pathogenic residue are among them (to drop them would tell it the labels): a test "
        "of compensated deviations belongs to the general model.",
    ),
    "without": (
        "The families of the 53 genes, and of the structures kept for the contact test, were taken out of its training "
        "as whole clusters; relatives that clustering missed are listed in data/relatives.tsv.",
    ),
}


def residue_frequencies(corpus: Path) -> list[float]:
    """Frequencies of the 20 amino acids in the general training proteins, in the order of AMINO_ACIDS.

    Without the orthologs: held-out proteins are general ones, and the model is held against its best opponent.
    """
    text = "".join(read_fasta(corpus / "general.fasta")["sequence"])
    counts = [text.count(letter) for letter in AMINO_ACIDS]
    return [round(count / sum(counts), 6) for count in counts]


def training_data(shares: dict[str, float], corpus: dict) -> str:
    """What was read, in a sentence: the shares are those of the pieces once every source has joined."""
    names = {
        "general.fasta": f"{corpus['training']:,} general proteins",
        "orthologs.fasta": f"{corpus['orthologs']:,} vertebrate orthologs of the 53 genes",
    }
    whole = sum(shares.values())
    return " and ".join(f"{names[name]} ({share / whole:.0%} of the pieces)" for name, share in shares.items())


def publish(run: Path, corpus: dict, frequencies: list[float]) -> None:
    """Copy the weights and the log of one run, and write its card."""
    (weights,) = run.glob("*.safetensors")
    record = json.loads(weights.with_suffix(".json").read_text())
    config = record["config"]
    for private in ("data", "out", "validation"):  # folders of the machine that trained it
        config.pop(private)
    orthologs = "orthologs.fasta" in config["sources"]
    card = {
        **record,
        "training_data": training_data(config["sources"], corpus),
        "licence": LICENCE,
        "source": "bundled",
        "citation": "lin2023evolutionary",
        "aliases": ["embedded" if orthologs else "embedded_general"],
        "residue_frequencies": frequencies,
        "corpus": corpus,
        "limits": [*LIMITS["every"], *LIMITS["with orthologs" if orthologs else "without"]],
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
    corpus = json.loads((args.corpus / "corpus.json").read_text())
    frequencies = residue_frequencies(args.corpus)
    for run in args.run:
        publish(run, corpus, frequencies)


if __name__ == "__main__":
    main()
