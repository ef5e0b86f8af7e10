"""Write data/registry.txt: the sha256 of each bundled table, in pooch's format.

The models carry their hashes in their cards, the derived tables in their keys; neither is listed here.

Usage: python data/make/registry.py
"""

import pooch

from plmbook import paths
from plmbook.sources import REGISTRY


def main() -> None:
    data = paths.data()
    files = sorted({*data.glob("*.tsv"), *data.glob("*.parquet"), *data.glob("published/*.csv")})
    lines = [f"{path.relative_to(data).as_posix()} {pooch.file_hash(path, alg='sha256')}" for path in files]
    (data / REGISTRY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{REGISTRY}: {len(lines)} files")


if __name__ == "__main__":
    main()
