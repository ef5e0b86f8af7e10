"""Compile golden vectors: what a model's own authors' code, or a faithful one, gave for short sequences.

Writes goldens.parquet.  The source is bio_embeddings' test data: hidden states of UniRep 1900 at the start token and at
each residue of two sequences, to four decimals.  The second sequence was read by a version that, from its second call
on, had lost the sign of four negative gains of the hidden-to-gates weights; `note` says so, and the tests hold it
against a model of those gains.

Usage: python data/make/goldens.py --from DIR [--out data]
DIR holds goldens/bio_embeddings/unirep.npz.gz.
"""

import gzip
import io

import door
import numpy as np
import pandas as pd
from bundled import write

from plmbook import tables
from plmbook.core.errors import InputError

CASES = {  # array of the file -> sequence, note
    "test_case 1": ("PROTEIN", ""),
    "test_case 2": ("SEQWENCE", "gains of wh without their sign"),
}


def unirep(archive) -> pd.DataFrame:
    """The rows of UniRep's vectors, float32: a state of 1,900 numbers at the start and at each residue."""
    if set(archive.files) != set(CASES):
        raise InputError(f"unirep.npz.gz: arrays {', '.join(archive.files)}, expected {', '.join(CASES)}")
    parts = []
    for name, (sequence, note) in CASES.items():
        states = archive[name]
        if states.shape != (len(sequence) + 1, 1900):
            raise InputError(f"unirep.npz.gz: {name} is {states.shape}, expected {(len(sequence) + 1, 1900)}")
        position, dimension = (each.reshape(-1) for each in np.indices(states.shape))
        about = {"model": "unirep_1900", "sequence": sequence, "note": note}
        parts.append(pd.DataFrame({"position": position, "dimension": dimension, "value": states.reshape(-1)} | about))
    return pd.concat(parts)[["model", "sequence", "position", "dimension", "value", "note"]]


def main() -> None:
    args = door.parse(door.parser(__doc__), holding="goldens")
    packed = (args.source / "goldens" / "bio_embeddings" / "unirep.npz.gz").read_bytes()
    with np.load(io.BytesIO(gzip.decompress(packed)), allow_pickle=False) as archive:
        write(unirep(archive), tables.schema_of("goldens"), args.out / "goldens.parquet")


if __name__ == "__main__":
    main()
