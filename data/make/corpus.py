"""Compile the training corpus of the embedded model: families in, families out.

Reads general proteins (FASTA), the vertebrate orthologs of the 53 genes (UCSC multiz100way) and the proteins
reserved for later tests.  Near-duplicates go (Linclust, 90 %); families are Linclust clusters at 30 % identity; whole
families are held out.  Linclust misses distant relatives, so every held-out and reserved protein and every gene is also
searched against the corpus (MMseqs2), and what it finds at 30 % identity leaves the training set too, where the
lengths are at most twice apart.  What shares a domain only, or lies in a longer protein, stays:
data/make/relatives.py finds it afterwards, and the tests leave those proteins out.

Output folder (not bundled: 100 MB):
    general.fasta   near-duplicate-free sequences of training families, header `>number id src=LABEL`, the largest
                    family first: none of a family of the 53 genes
    orthologs.fasta vertebrate orthologs of the 53 genes, header `>GENE_ASSEMBLY`, the shortest gene first
    corpus.json     counts, seeds, MMseqs2 version and parameters
and into the repository: data/heldout.tsv (id, source, length, sequence, kingdom), one protein per held-out family.

Usage: python data/make/corpus.py --from DIR --out DIR
"""

import argparse
import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from alike import search
from door import read_rows
from kingdoms import kingdom

from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.text import open_text, read_records
from plmbook.sources import multiz, uniprot
from plmbook.sources.record import tar_members

SEED = 20221121
IDENTITY = 0.3  # families: 30 % identity, the alignment covers 80 % of the member
NEAR_DUPLICATE = 0.9
COVERAGE = 0.8  # of the member (MMseqs2 --cov-mode 1)
HELD_OUT_SHARE = 0.02  # of the families
HELD_OUT_PROTEINS = 400  # bundled for the perplexity test
MAX_LENGTH = 1022  # residues, of a bundled held-out protein
RESERVED = {  # proteins of tests to come: their whole families stay out of training
    "secondary_structure": ["CB513.csv.gz", "CASP12.csv", "CASP13.csv", "CASP14.csv"],
    "contacts": ["biotite_test_pdb.jsonl.gz", "foldseek_scop_globins.jsonl.gz", "proteingym_af2_structures.jsonl.gz"],
}
LANDSCAPES = ("SPG1_STRSG", "DLG4_", "PABP_YEAST", "UBE4B_MOUSE", "GFP_AEQVI", "F7YBW8", "A4_HUMAN", "TADBP_HUMAN")


def read_gene_alignments(rescue: Path) -> dict[str, multiz.Rows]:
    """gene -> assembly -> row, of the transcript whose human protein is the gene's or, failing that, of the longest."""
    genes = uniprot.read_fasta(rescue / "acmg.filtered.genes.fa").set_index("gene")["sequence"]
    chosen = {}
    for gene, handle in tar_members(rescue / "multiz100way-msa.tar.gz"):
        alignments = multiz.read_alignments(handle)
        best = multiz.matching_transcript(alignments, genes[gene])
        best = best or max(alignments, key=lambda name: len(multiz.human_sequence(alignments[name])))
        chosen[gene] = alignments[best]
    return chosen


def reserved_sequences(source: Path) -> dict[str, str]:
    """Sequences whose families never enter training: id -> sequence."""
    found = {}
    for name in RESERVED["secondary_structure"]:
        for i, row in enumerate(read_rows(source / "secondary_structure" / name)):
            found[f"reserved|{name}|{i}"] = row["input"].replace(" ", "")
    for name in RESERVED["contacts"]:
        with open_text(source / "contacts" / name) as handle:
            for line in handle:
                row = json.loads(line)
                found[f"reserved|{name}|{row['id']}"] = row["seq"]
    for row in read_rows(source / "dms" / "proteingym_DMS_substitutions.csv.gz"):
        if row["DMS_id"].startswith(LANDSCAPES):
            found[f"reserved|dms|{row['DMS_id']}"] = row["target_seq"]
    return {key: clean(value) for key, value in found.items()}


def clean(sequence: str) -> str:
    """Upper case, everything outside the 20 amino acids as X."""
    return "".join(a if a in AMINO_ACIDS else "X" for a in sequence.upper())


def run_mmseqs(sequences: dict[str, str], work: Path, identity: float, command: str, threads: int) -> dict[str, str]:
    """Cluster sequences; returns id -> representative id."""
    names = list(sequences)  # MMseqs2 rewrites ids that hold `|`: it gets numbers
    fasta, prefix = work / "input.fasta", work / f"clusters{int(identity * 100)}"
    write_fasta(fasta, ((str(i), sequences[name]) for i, name in enumerate(names)))
    subprocess.run(
        [
            "mmseqs",
            command,
            fasta,
            prefix,
            work / "tmp",
            "--min-seq-id",
            str(identity),
            "-c",
            str(COVERAGE),
            "--cov-mode",
            "1",
            "--threads",
            str(threads),
            "-v",
            "1",
        ],
        check=True,
    )
    with open(f"{prefix}_cluster.tsv") as handle:
        pairs = (line.split() for line in handle)
        return {names[int(member)]: names[int(rep)] for rep, member in pairs}


def relatives(queries: dict[str, str], targets: dict[str, str], threads: int) -> list[tuple[str, str]]:
    """(query, target) pairs that MMseqs2's search aligns: 30 % identity, E < 1e-3, lengths at most twice apart."""
    asked, names = list(queries), list(targets)
    options = ["-c", 0.5, "--cov-mode", 5, "--max-seqs", 5000]
    hits = search(queries.values(), targets.values(), identity=IDENTITY, options=options, threads=threads)
    return [(asked[query], names[target]) for query, target in zip(hits["query"], hits["target"], strict=True)]


def distinct(names) -> list[str]:
    """Names of which the second and later of a kind get `.2`, `.3`: some sources call several proteins `gi`."""
    seen = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return found


def write_fasta(path: Path, records) -> None:
    with open(path, "w") as handle:
        for header, sequence in records:
            handle.write(f">{header}\n{sequence}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    source = next((f.parent for f in sorted(args.source.rglob("human_mouse_seqs")) if f.is_dir()), args.source)
    args.out.mkdir(parents=True, exist_ok=True)

    general, labels, headers = {}, {}, {}
    for path in sorted([*source.glob("human_mouse_seqs/*.gz"), *source.glob("corpus/*.gz")]):
        for header, sequence in read_records(path):
            key = f"{header.split()[0]}|{len(general)}"  # ids repeat across sources; the number makes them one's own
            general[key] = clean(sequence)
            labels[key], headers[key] = header.split("src=")[-1], header
    orthologs = {
        f"ortholog|{gene}_{assembly}": clean(row.replace("-", "").rstrip("Z"))
        for gene, rows in read_gene_alignments(source / "rescue").items()
        for assembly, row in rows.items()
    }
    orthologs = {k: s for k, s in orthologs.items() if len(s) >= 30 and s.count("X") <= 0.2 * len(s)}
    reserved = reserved_sequences(source)

    work = args.out / "mmseqs"
    work.mkdir(exist_ok=True)
    everything = {**general, **orthologs, **reserved}
    near = run_mmseqs(everything, work, NEAR_DUPLICATE, "easy-linclust", args.threads)
    kept = {key: everything[key] for key in sorted(set(near.values()))}
    family = run_mmseqs(kept, work, IDENTITY, "easy-linclust", args.threads)
    cluster = {key: family[near[key]] for key in everything}

    with_orthologs = {cluster[key] for key in orthologs}
    kept_out = {cluster[key] for key in reserved} - with_orthologs
    free = sorted(set(cluster.values()) - with_orthologs - kept_out)
    rng = random.Random(SEED)
    held_out = set(rng.sample(free, int(HELD_OUT_SHARE * len(free))))

    candidates = sorted(
        k
        for k in general
        if cluster[k] == k
        and k in held_out
        and 50 <= len(general[k]) <= MAX_LENGTH
        and set(general[k]) <= set(AMINO_ACIDS)
    )
    chosen = sorted(rng.sample(candidates, min(HELD_OUT_PROTEINS, len(candidates))))
    genes = [k for k in orthologs if k.endswith("_hg38")]
    queries = {k: everything[k] for k in [*chosen, *reserved, *genes]}
    representatives = [key for key in general if near[key] == key]
    related = {k for _, k in relatives(queries, {k: general[k] for k in representatives}, args.threads)}
    absent = held_out | kept_out | with_orthologs
    members = Counter(cluster[k] for k in representatives)
    training = sorted(
        (k for k in representatives if cluster[k] not in absent and k not in related),
        key=lambda k: (-members[cluster[k]], cluster[k], k),
    )
    write_fasta(
        args.out / "general.fasta",
        ((f"{i} {k.split('|')[0]} src={labels[k]}", general[k]) for i, k in enumerate(training)),
    )
    gene_of = {k: k.split("|", 1)[1].split("_")[0] for k in orthologs}
    longest = Counter()
    for k, gene in gene_of.items():
        longest[gene] = max(longest[gene], len(orthologs[k]))
    ordered = sorted(orthologs, key=lambda k: (longest[gene_of[k]], gene_of[k]))
    write_fasta(args.out / "orthologs.fasta", ((k.split("|", 1)[1], orthologs[k]) for k in ordered))

    # The orthologs all stay in training: a held-out protein that is related to one of them is none.
    near_orthologs = {k for k, _ in relatives({k: general[k] for k in chosen}, orthologs, args.threads)}
    chosen = [k for k in chosen if k not in near_orthologs]

    with open("data/heldout.tsv", "w") as handle:
        handle.write("id\tsource\tlength\tsequence\tkingdom\n")
        for name, k in zip(distinct(k.rsplit("|", 1)[0] for k in chosen), chosen, strict=True):
            handle.write(f"{name}\t{labels[k]}\t{len(general[k])}\t{general[k]}\t{kingdom(headers[k])}\n")

    counts = {
        "general": len(general),
        "general_residues": sum(map(len, general.values())),
        "near_duplicate_representatives": len(representatives),
        "removed_as_relatives": len(related),
        "training": len(training),
        "training_residues": sum(len(general[k]) for k in training),
        "orthologs": len(orthologs),
        "ortholog_residues": sum(map(len, orthologs.values())),
        "families": len(set(cluster.values())),
        "families_held_out": len(held_out),
        "families_reserved": len(kept_out),
        "families_of_the_genes": len(with_orthologs),
        "reserved_proteins": len(reserved),
        "reserved_seen_as_orthologs": sorted(k for k in reserved if cluster[k] in with_orthologs),
        "heldout_candidates": len(candidates),
        "heldout_related_to_orthologs": len(near_orthologs),
        "heldout_bundled": len(chosen),
        "seed": SEED,
        "identity": IDENTITY,
        "near_duplicate_identity": NEAR_DUPLICATE,
        "coverage_of_member": COVERAGE,
        "mmseqs": subprocess.run(["mmseqs", "version"], capture_output=True, text=True).stdout.strip(),
    }
    (args.out / "corpus.json").write_text(json.dumps(counts, indent=1))
    shutil.rmtree(work / "tmp", ignore_errors=True)
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
