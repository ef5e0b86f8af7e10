"""Write data/registry.txt: the sha256 of each bundled table, model and derived table, in pooch's format.

Usage: python data/make/registry.py
"""

from plmbook.core import paths
from plmbook.core.artifacts import file_sha256, write_text
from plmbook.sources import REGISTRY


def main() -> None:
    data = paths.data()
    patterns = ("*.tsv", "*.parquet", "published/*.csv", "models/*", "derived/*/*")
    files = sorted(path for pattern in patterns for path in data.glob(pattern))
    lines = [f"{path.relative_to(data).as_posix()} {file_sha256(path)}" for path in files]
    write_text(data / REGISTRY, "\n".join(lines) + "\n")
    print(f"{REGISTRY}: {len(lines)} files")


if __name__ == "__main__":
    main()
