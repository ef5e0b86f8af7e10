"""To which part of life a held-out protein belongs, as far as the collections say: the column `kingdom` of heldout.tsv.

    python data/make/kingdoms.py --from DIR      # adds the column to data/heldout.tsv, or renews it

DIR holds the sequence collections that data/make/corpus.py reads. The header of a record is
`id [entry name] [GN=gene] [OX=taxon] src=label`; a protein is found again by its sequence. What is asked, in this
order: the NCBI taxon of the header, or the one inside an id of CAFA (`T`, taxon, seven digits) or STRING (taxon and a
dot); the species code of a UniProt entry name; what the collection and the form of the id say (`FORMS`); and, for the
reference proteomes of SignalP, the series in which RefSeq numbered the proteins of one genome (`SERIES`). Everything
else is `unknown`: chains of the PDB, domains of SCOP, insertion sequences, phage proteins from bacterial genomes, and
accessions that come without a species.
"""

import argparse
import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

from plmbook.core.text import read_records
from plmbook.tables.bundled import KINGDOMS

UNKNOWN = KINGDOMS[-1]

TAXA = {  # NCBI taxon -> kingdom, of what occurs among the held-out proteins
    83333: "Bacteria",  # Escherichia coli K-12
    362663: "Bacteria",  # Escherichia coli 536
    99287: "Bacteria",  # Salmonella typhimurium LT2
    216597: "Bacteria",  # Salmonella typhimurium SL1344
    224308: "Bacteria",  # Bacillus subtilis 168
    208963: "Bacteria",  # Pseudomonas aeruginosa UCBPP-PA14
    103690: "Bacteria",  # Nostoc PCC 7120
    1111708: "Bacteria",  # Synechocystis PCC 6803
    1140: "Bacteria",  # Synechococcus elongatus PCC 7942
    43989: "Bacteria",  # Crocosphaera subtropica ATCC 51142
    174633: "Bacteria",  # Kuenenia stuttgartiensis
    1931: "Bacteria",  # Streptomyces
    9606: "Animals",  # human
    10090: "Animals",  # mouse
    9031: "Animals",  # chicken
    9371: "Animals",  # Echinops telfairi, a tenrec
    7227: "Animals",  # Drosophila melanogaster
    6239: "Animals",  # Caenorhabditis elegans
    559292: "Fungi",  # Saccharomyces cerevisiae S288c
    284812: "Fungi",  # Schizosaccharomyces pombe 972
    237561: "Fungi",  # Candida albicans SC5314
    515849: "Fungi",  # Podospora anserina S
    759272: "Fungi",  # Chaetomium thermophilum
    3702: "Plants",  # Arabidopsis thaliana
    39946: "Plants",  # Oryza sativa indica
    39947: "Plants",  # Oryza sativa japonica
    36329: "other eukaryotes",  # Plasmodium falciparum 3D7
    5823: "other eukaryotes",  # Plasmodium berghei ANKA
    5851: "other eukaryotes",  # Plasmodium knowlesi H
    185431: "other eukaryotes",  # Trypanosoma brucei TREU927
    5664: "other eukaryotes",  # Leishmania major
    44689: "other eukaryotes",  # Dictyostelium discoideum
    28280: "Viruses",  # a human adenovirus
}
CODES = {  # UniProt species code -> kingdom, where the header has no taxon
    "CAEEL": "Animals",
    "BOVIN": "Animals",
    "PIG": "Animals",
    "MUSPF": "Animals",  # Mustela putorius furo, the ferret
    "STRPU": "Animals",  # Strongylocentrotus purpuratus, a sea urchin
    "OSTNU": "Animals",  # Ostrinia nubilalis, a moth
    "METHJ": "Archaea",  # Methanospirillum hungatei
    "METMA": "Archaea",  # Methanosarcina mazei
    "9CREN": "Archaea",  # an unclassified member of the Crenarchaeota
}
FORMS = (  # label of the collection, form of the id, kingdom
    ("fungidb", r"C[1-7R]_\d{5}[WC]_A-T", "Fungi"),  # systematic names of Candida albicans
    ("fungidb", r"SP[ABC]\w+\.\w+\.\d", "Fungi"),  # and of Schizosaccharomyces pombe
    ("fungidb", r"Mnemiopsis_leidyi_\d+", "Animals"),  # a comb jelly, in the same study
    ("orthofinder_myco", r".*", "Bacteria"),  # four genomes of Mycoplasma
    ("prokka_sprot", r"YP_\d+\.\d+", "Bacteria"),  # its genera: Enterococcus, Escherichia, Staphylococcus
)
# RefSeq numbers the proteins of a newly annotated genome in one series; gaps between the series of the 18 genomes are
# wider than 400. Each series below was compared with a part of its genome's file, 25 to 70 proteins in a row.
SERIES = (  # prefix, first and last number, kingdom
    ("WP_", 4040797, 4045462, "Archaea"),  # Haloferax volcanii
    ("WP_", 10869494, 10870895, "Archaea"),  # Methanocaldococcus jannaschii, as far as seen
    ("WP_", 10916258, 10917755, "Archaea"),  # Thermoplasma volcanium
    ("WP_", 11276932, 11279154, "Archaea"),  # Sulfolobus acidocaldarius
    ("WP_", 147661158, 147665325, "Archaea"),  # Prometheoarchaeum syntrophicum
    ("WP_", 4079900, 4083364, "Bacteria"),  # Thermotoga maritima
    ("WP_", 10886653, 10889627, "Bacteria"),  # Deinococcus radiodurans
    ("WP_", 11013309, 11015626, "Bacteria"),  # Corynebacterium glutamicum
    ("WP_", 26765194, 26767861, "Bacteria"),  # Selenomonas ruminantium
    ("NP_", 214515, 218441, "Bacteria"),  # Mycobacterium tuberculosis
)


def kingdom(header: str) -> str:
    """One of `plmbook.tables.bundled.KINGDOMS`.

    >>> kingdom("P04637 P53_HUMAN GN=TP53 OX=9606 src=musite"), kingdom("1y0n-A src=flip_pdb")
    ('Animals', 'unknown')
    """
    words, label = header.partition("src=")[::2]
    name, *rest = words.split()
    for word in rest:
        if word.startswith("OX="):
            return TAXA.get(int(word[3:]), UNKNOWN)
    if match := re.fullmatch(r"T(\d+)\d{7}", name) or re.fullmatch(r"(\d+)\.\S+", name):
        return TAXA.get(int(match[1]), UNKNOWN)
    for word in rest:
        if "=" not in word and "_" in word:
            return CODES.get(word.rsplit("_", 1)[1], UNKNOWN)
    for collection, form, found in FORMS:
        if label == collection and re.fullmatch(form, name):
            return found
    return _by_series(name) if label == "signalp6_refproteomes" else UNKNOWN


def _by_series(name: str) -> str:
    match = re.fullmatch(r"([A-Z]{2}_)(\d+)\.\d+", name)
    for prefix, first, last, found in SERIES:
        if match and match[1] == prefix and first <= int(match[2]) <= last:
            return found
    return UNKNOWN


def add_column(text: str, headers: dict[str, str]) -> str:
    """The text of heldout.tsv with `kingdom` as the last column; the others stay as they are.

    Parameters
    ----------
    text : str
        Tab-separated, with a header line and the column `sequence`.
    headers : dict of str to str
        Sequence -> FASTA header.

    Raises
    ------
    KeyError
        Where a sequence has no header.
    """
    lines = text.splitlines()
    names = lines[0].split("\t")
    kept = names[:-1] if names[-1] == "kingdom" else names
    place = kept.index("sequence")
    rows = [line.split("\t")[: len(kept)] for line in lines[1:]]
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
    writer.writerow([*kept, "kingdom"])
    writer.writerows([*row, kingdom(headers[row[place]])] for row in rows)
    return out.getvalue()


def find_headers(sequences: Iterable[str], folder: Path) -> dict[str, str]:
    """Sequence -> header of the first record with that sequence in the collections below a folder."""
    wanted, found = set(sequences), {}
    for path in sorted([*folder.glob("human_mouse_seqs/*.gz"), *folder.glob("corpus/*.gz")]):
        for header, sequence in read_records(path):
            if sequence in wanted:
                found.setdefault(sequence, header)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Add the column to data/heldout.tsv and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--table", type=Path, default=Path(__file__).resolve().parents[1] / "heldout.tsv")
    options = parser.parse_args(arguments)
    folder = next((f.parent for f in sorted(options.source.rglob("human_mouse_seqs")) if f.is_dir()), options.source)
    text = options.table.read_text(encoding="utf-8")
    place = text.split("\n", 1)[0].split("\t").index("sequence")
    sequences = [line.split("\t")[place] for line in text.splitlines()[1:]]
    text = add_column(text, find_headers(sequences, folder))
    options.table.write_text(text, encoding="utf-8")
    values = [line.rsplit("\t", 1)[1] for line in text.splitlines()[1:]]
    for name in KINGDOMS:
        print(f"{name}: {values.count(name)}")


if __name__ == "__main__":
    main()
