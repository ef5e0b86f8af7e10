"""The shards of the atlas read back, as its page reads them."""

import base64
import zlib

import numpy as np

from plmbook.book import atlas


def unpack(packed):
    """The arrays behind `atlas.pack`, each of one dimension: what the page does in JavaScript."""
    padded = base64.b85decode(packed["data"].encode("ascii").translate(bytes.maketrans(*reversed(atlas._ALPHABET))))
    raw = zlib.decompress(padded[: packed["deflated"]])
    found, start = {}, 0
    for name, kind, count in packed["columns"]:
        size = np.dtype(atlas.KINDS[kind]).itemsize
        part = np.frombuffer(raw, np.uint8, count * size, start).reshape(size, count)
        found[name] = np.ascontiguousarray(part.T).view(atlas.KINDS[kind]).reshape(count).astype(kind)
        start += count * size
    return found
