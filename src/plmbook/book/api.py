"""The names that a person calls: each has full numpydoc, and a place on the API pages of the book."""

API: dict[str, tuple[str, ...]] = {
    "core": (),
    "stats": (),
    "models": (),
    "tables": (),
    "sources": (),
    "engine": (),
    "probing": (),
    "variants": (),
    "tasks": (),
    "function": (),
    "book": (),
}
"""By room: `module.name` or `name` (of the room itself), in the order of the pages."""
