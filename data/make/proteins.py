"""Readers shared by the scripts of this folder."""


def read_fasta(handle):
    """Yield (header without `>`, sequence) from a text handle."""
    header, lines = None, []
    for line in handle:
        line = line.strip()
        if line.startswith(">"):
            if header is not None:
                yield header, "".join(lines)
            header, lines = line[1:], []
        elif line:
            lines.append(line)
    if header is not None:
        yield header, "".join(lines)
