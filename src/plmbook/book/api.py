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
    "book": (
        "show.figure",
        "show.table",
        "figures.forest",
        "profiles.load_profile",
        "profiles.parameters_of",
        "runner.run_notebook",
        "render.render",
        "recompute.recompute",
    ),
}
"""By room: `module.name` or `name` (of the room itself), in the order of the pages."""
