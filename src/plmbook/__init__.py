"""What protein language models know about proteins, in one book: the shared module behind its chapters."""

__version__ = "0.1.0"
