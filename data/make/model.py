"""Publish a trained model: weights, card and log go from the training folder into data/models/.

Usage: python data/make/model.py --run build/model --corpus build/corpus
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
LIMITS = (
    "A small model for running this book, not for use elsewhere and never for clinical use.",
    "It has read the vertebrate orthologs of the 53 genes: its scores there know the alignment that they meet.",
    "Proteins of the localisation, solubility, GO and homology tasks were seen as sequences, without labels.",
)


def residue_frequencies(corpus: Path) -> list[float]:
    """Frequencies of the 20 amino acids in the general training proteins, in the order of AMINO_ACIDS.

    Without the orthologs: held-out proteins are general ones, and the model is held against its best opponent.
    """
    text = "".join(read_fasta(corpus / "train.fasta")["sequence"])
    counts = [text.count(letter) for letter in AMINO_ACIDS]
    return [round(count / sum(counts), 6) for count in counts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder that `plmbook pretrain` wrote")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that data/make/corpus.py wrote")
    args = parser.parse_args()
    (weights,) = args.run.glob("*.safetensors")
    record = json.loads(weights.with_suffix(".json").read_text())
    corpus = json.loads((args.corpus / "corpus.json").read_text())
    config = record["config"]
    for private in ("data", "out", "validation"):  # folders of the machine that trained it
        config.pop(private)
    general, orthologs = (100 * config["sources"][name] for name in ("train.fasta", "orthologs.fasta"))
    card = {
        **record,
        "training_data": (
            f"{corpus['training']:,} general proteins ({general:.0f} % of the residues read) and "
            f"{corpus['orthologs']:,} vertebrate orthologs of the 53 genes ({orthologs:.0f} %)"
        ),
        "licence": LICENCE,
        "source": "bundled",
        "citation": "lin2023evolutionary",
        "aliases": ["embedded"],
        "residue_frequencies": residue_frequencies(args.corpus),
        "corpus": corpus,
        "limits": list(LIMITS),
    }
    models = paths.data() / "models"
    models.mkdir(exist_ok=True)
    shutil.copyfile(weights, models / weights.name)
    shutil.copyfile(args.run / "log.tsv", models / f"{record['name']}.log.tsv")
    (models / f"{record['name']}.json").write_text(json.dumps(card, indent=1) + "\n")
    print(f"{models / weights.name}: {record['parameters']:,} parameters, {record['tokens_seen']:,} tokens read")


if __name__ == "__main__":
    main()
