"""Write data/registry.txt: the sha256 of each bundled table, model and derived table, in pooch's format.

Usage: python data/make/registry.py
"""

import pooch

from plmbook.core import paths
from plmbook.sources import REGISTRY


def main() -> None:
    data = paths.data()
    patterns = ("*.tsv", "*.parquet", "published/*.csv", "models/*", "derived/*/*")
    files = sorted(path for pattern in patterns for path in data.glob(pattern))
    lines = [f"{path.relative_to(data).as_posix()} {pooch.file_hash(path, alg='sha256')}" for path in files]
    (data / REGISTRY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{REGISTRY}: {len(lines)} files")


if __name__ == "__main__":
    main()
