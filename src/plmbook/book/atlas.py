"""The interactive atlas: the rescue tables of a profile as scripts that the page `book/atlas.md` loads one by one.

A browser that opens a page from `file://` loads no data, but scripts: every piece is a *shard*, a classic script.

    index.js                      models, genes, and the scanned variants of each gene
    gene/TP53.js                  sequence, scores of the wild type, structure, conservation, ClinVar's variants
    MODEL/TP53/R175H.js           the map of one variant by one model, and its candidates

Arrays of numbers are *packed*: little-endian bytes, those of equal weight together (they deflate better), zlib, letters
in base 85; `book/_static/atlas/shards.js` reads them back. What follows from other numbers is not written twice.
"""

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import entropy

from plmbook import tables
from plmbook.book import profiles, style
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models.cards import expand
from plmbook.tables import bundled
from plmbook.variants import rescue_tables

CALL = "plmbookAtlas.receive"
PAGE = "book/atlas"  # of the table of contents: a book without this page gets no shards
KINDS = {"int8": "<i1", "uint8": "<u1", "int16": "<i2", "uint16": "<u2", "uint32": "<u4", "float32": "<f4"}
HUNDREDTH = 100  # coordinates of the drawn backbone are integers, in hundredths of an angstrom
NO_ALIGNMENT = -1  # in place of `cpd`

# "<" could end a script, and some programs take the two separators for the end of a line.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_ALPHABET = (
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",  # Python's base 85
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=:?@^_`{|}~",  # without < > &
)
_ENCODE = bytes.maketrans(*_ALPHABET)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


# --- the files -------------------------------------------------------------------------------------------


def write(
    folder: str | Path, profile: str, *, models: Iterable[str] | None = None, source: str | Path | None = None
) -> str:
    """Write the shards of a profile in place of what `folder` held; gives a line that says what was written. Without
    maps the index has no models, which the page says; tables that do not fit each other are an InputError.
    """
    folder = Path(folder)
    source = paths.results(profile) if source is None else Path(source)
    shutil.rmtree(folder, ignore_errors=True)
    names = titles(profiles.profile_models(profile)) if models is None else list(models)
    scans = [_Model(source, name) for name in scanned_models(source, names)]
    genes = sorted({gene for model in scans for gene in model.maps})
    write_shard(folder, "index", index(profile, scans, genes))
    n_maps, structures = 0, _structures(genes) if genes else {}
    for gene, facts in structures.items():
        write_shard(folder, f"gene/{gene}", gene_shard(facts, scans))
        for model in scans:
            for mutation, shard in variant_shards(model, gene):
                write_shard(folder, f"{model.name}/{gene}/{mutation}", shard)
                n_maps += 1
    if not scans:
        return "no rescue tables in this profile, the page says so"
    return f"{n_maps:,} maps of {len(genes)} genes by {len(scans)} models, {megabytes(folder)}"


def megabytes(folder: Path) -> str:
    """How large the shards of a folder are together."""
    return f"{sum(path.stat().st_size for path in folder.rglob('*.js')) / 1e6:.1f} MB"


def titles(names: Iterable[str]) -> list[str]:
    """What the result tables call models: a single model by the name on its card, an ensemble by its own."""
    members = {name: expand([name]) for name in names}
    return [each[0] if len(each) == 1 else name for name, each in members.items()]


def scanned_models(source: Path, names: Iterable[str]) -> list[str]:
    """Those of the models that have maps in a folder of results, that with the most variants first."""
    found = {}
    for name in names:
        path = source / f"rescue_maps.{name}.parquet"
        if not path.is_file():
            continue
        for table in ("rescue", "rescue_variants", "rescue_wild_type"):
            if not (source / f"{table}.{name}.parquet").is_file():
                raise InputError(f"{source}: expected {table}.{name}.parquet beside {path.name}; run the chapter again")
        found[name] = len(pd.read_parquet(path, columns=["mutation"]))
    return sorted(found, key=lambda name: (-found[name], name))


def script(name: str, value: object) -> str:
    """One shard: a line that hands a value to the page, in ASCII and without letters that end a script."""
    text = ", ".join(json.dumps(part, separators=(",", ":"), allow_nan=False) for part in (name, value))
    return f"{CALL}({text.translate(_ESCAPES)});\n"


def write_shard(folder: Path, name: str, value: object) -> None:
    """Write `FOLDER/NAME.js`; see `script`."""
    for part in name.split("/"):
        if not _PLAIN.fullmatch(part):
            raise InputError(f"atlas: {part!r} cannot name a file: expected letters, digits, '.', '_' and '-'")
    path = folder / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(name, value), encoding="ascii")


# --- numbers as letters ----------------------------------------------------------------------------------


def pack(columns: Mapping[str, np.ndarray]) -> dict[str, object]:
    """Arrays of numbers as one text."""
    described, parts = [], []
    for name, values in columns.items():
        flat = np.ascontiguousarray(values).reshape(-1)
        kind = flat.dtype.name
        if kind not in KINDS:
            raise InputError(f"atlas: {name} is {kind}; expected one of {', '.join(KINDS)}")
        described.append([name, kind, len(flat)])
        flat = flat.astype(KINDS[kind])
        parts.append(flat.view(np.uint8).reshape(len(flat), flat.itemsize).T.tobytes())
    raw = b"".join(parts)
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)  # for numbers: 5 % smaller than the default
    deflated = deflate.compress(raw) + deflate.flush()
    data = base64.b85encode(deflated, pad=True).translate(_ENCODE).decode("ascii")
    return {"columns": described, "bytes": len(raw), "deflated": len(deflated), "data": data}


# --- what the shards hold --------------------------------------------------------------------------------


class _Model:
    """The tables of one scan, by gene."""

    def __init__(self, source: Path, name: str):
        def read(table: str, *, schema: tables.Schema | None = None) -> dict[str, pd.DataFrame]:
            path = source / f"{table}.{name}.parquet"
            found = tables.read_table(path, schema) if schema else pd.read_parquet(path)
            return {str(gene): rows for gene, rows in found.groupby("id", sort=False)}

        self.name = name
        self.maps = read("rescue_maps", schema=rescue_tables.RESCUE_MAPS)
        self.wild = read("rescue_wild_type", schema=rescue_tables.RESCUE_WILD_TYPE)
        self.candidates = read("rescue", schema=rescue_tables.RESCUE)
        self.variants = read("rescue_variants")

    @property
    def n_variants(self) -> int:
        return sum(map(len, self.maps.values()))

    @property
    def top(self) -> int:
        """How many of the best candidates by epistasis, and by score, are kept of every variant at least."""
        ranks = ("rank", "rank_background")
        return min((_unbroken(rows, rank) for rows in self.candidates.values() for rank in ranks), default=0)

    def wild_type(self, gene: str) -> np.ndarray:
        """float32 (L, 20)"""
        return self.wild[gene].sort_values("position")[list(AMINO_ACIDS)].to_numpy(np.float32)


def _unbroken(candidates: pd.DataFrame, rank: str) -> int:
    """How many of the best every variant has at least, without a gap; equals share the better rank."""
    ordered = candidates.sort_values(["mutation", rank])
    there = ordered[rank] <= ordered.groupby("mutation").cumcount() + 1
    return int(there.groupby(ordered["mutation"]).cummin().groupby(ordered["mutation"]).sum().min())


def index(profile: str, models: list[_Model], genes: list[str]) -> dict[str, object]:
    """What the controls of the page need: profile, residues, release, classes, missing (tables), top, models (name,
    label, n), and genes: gene, uniprot, length, and by variant mutations, classes (int), frequencies (gnomAD, None
    where absent), best (by model the best epistasis, None where it was not scanned).
    """
    every = tables.load("variants")
    known = every.set_index(["gene", "mutation"])[["significance", "allele_frequency", "position"]]
    proteins = tables.load("genes").set_index("gene")
    return {
        "profile": profile,
        "release": str(every["release"].iat[0]),
        "residues": AMINO_ACIDS,
        "classes": list(bundled.SIGNIFICANCES),
        "missing": "" if models else f"results/{profile}/rescue_maps.<model>.parquet",
        "top": min((model.top for model in models), default=0),
        "models": [{"name": m.name, "label": style.label(m.name), "variants": m.n_variants} for m in models],
        "genes": [
            {"gene": gene, "uniprot": proteins["uniprot"][gene], "length": int(proteins["length"][gene])}
            | _variants_of(gene, known.loc[gene], models)
            for gene in genes
        ],
    }


def _variants_of(gene: str, known: pd.DataFrame, models: list[_Model]) -> dict[str, object]:
    scanned = {m.name: m.variants[gene].set_index("mutation") for m in models if gene in m.maps}
    rows = known.loc[known.index.isin({mutation for table in scanned.values() for mutation in table.index})]
    rows = rows.sort_values("position", kind="stable")
    best = {name: table["best_epistasis"].reindex(rows.index) for name, table in scanned.items()}
    return {
        "mutations": rows.index.tolist(),
        "classes": [bundled.SIGNIFICANCES.index(text) for text in rows["significance"]],
        "frequencies": _listed(rows["allele_frequency"]),
        "best": {name: _listed(values.round(3)) for name, values in best.items()},
    }


def _listed(values: pd.Series) -> list[float | None]:
    return [None if pd.isna(value) else float(str(value)) for value in values]


def _structures(genes: list[str]) -> dict[str, dict[str, Any]]:
    """What is known of each gene beside the scans; see `gene_shard`."""
    found = {name: tables.load(name) for name in ("structures", "backbone", "alignment")}
    found["variants"] = bundled.matching_variants()
    by_gene = {name: dict(iter(table.groupby("gene"))) for name, table in found.items()}
    proteins = tables.load("genes").set_index("gene")
    return {
        gene: {"gene": gene, "protein": proteins.loc[gene]} | {name: rows.get(gene) for name, rows in by_gene.items()}
        for gene in genes
    }


def gene_shard(facts: Mapping[str, Any], models: list[_Model]) -> dict[str, object]:
    """What the page shows of a gene whatever the variant: gene, uniprot, entry, sequence (L), variants, and packed
    conservation (float32, L, NaN without an alignment), plddt, cb (float32, L and L x 3, angstrom), n, ca, c, o (int16,
    L x 3, hundredths of an angstrom); wild_type by model: score (float32, L x 20).
    """
    gene, protein, structure = facts["gene"], facts["protein"], facts["structures"]
    numbers = {
        "conservation": conservation(facts["alignment"], len(protein["sequence"])),
        "plddt": structure["plddt"].to_numpy(np.float32),
        "cb": structure[["cb_x", "cb_y", "cb_z"]].to_numpy(np.float32),
    }
    for atom, table in {"n": "backbone", "ca": "structures", "c": "backbone", "o": "backbone"}.items():
        places = facts[table][[f"{atom}_{axis}" for axis in "xyz"]].to_numpy(np.float64)
        numbers[atom] = np.rint(HUNDREDTH * places).astype(np.int16)
    variants = facts["variants"]
    classes = map(bundled.SIGNIFICANCES.index, variants["significance"])
    known = zip(variants["mutation"], classes, _listed(variants["allele_frequency"]), strict=True)
    return {
        "gene": gene,
        "uniprot": protein["uniprot"],
        "entry": protein["entry_name"],
        "sequence": protein["sequence"],
        "variants": list(map(list, known)),
        "numbers": pack(numbers),
        "wild_type": {m.name: pack({"score": m.wild_type(gene)}) for m in models if gene in m.maps},
    }


def conservation(alignment: pd.DataFrame | None, length: int) -> np.ndarray:
    """How conserved each position of an `alignment` is: 1 less its entropy in units of ln 20, float32 (L,); None: NaN.
    >>> row = pd.DataFrame([[1] + [5] + [0] * 19, [2] + [3] * 20], columns=["position", *AMINO_ACIDS])
    >>> conservation(row, 2).round(6).tolist(), conservation(None, 1).tolist()
    ([1.0, 0.0], [nan])
    """
    if alignment is None:
        return np.full(length, np.nan, dtype=np.float32)
    counts = alignment.sort_values("position")[list(AMINO_ACIDS)].to_numpy(np.float64)
    return (1 - entropy(counts, base=20, axis=1)).astype(np.float32)


def variant_shards(model: _Model, gene: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The maps of a gene by one model: yields mutation, and gene, mutation, model, scale (nats a step), packed map
    (int8, L x 20, -128 where there is no second site) and columns of the candidates in their order; their epistasis
    only where it is not the difference of the two scores in float32 (an ensemble).
    """
    if gene not in model.maps:
        return
    wild = model.wild_type(gene)
    candidates = dict(iter(model.candidates[gene].groupby("mutation", sort=False)))
    for row in model.maps[gene].itertuples():
        of = f"{model.name}, {gene} {row.mutation}"
        if len(row.epistasis) != wild.size:
            raise InputError(f"{of}: expected a map of {wild.size} numbers, found {len(row.epistasis)}")
        if row.mutation not in candidates:
            raise InputError(f"{of}: a map without candidates; run the chapter again")
        numbers = {"map": np.frombuffer(row.epistasis, dtype=np.int8)}
        numbers |= _candidates(candidates[row.mutation], wild, of=of)
        shard = {"gene": gene, "mutation": row.mutation, "model": model.name, "scale": float(row.scale)}
        yield row.mutation, shard | {"numbers": pack(numbers)}


def _candidates(table: pd.DataFrame, wild: np.ndarray, *, of: str) -> dict[str, np.ndarray]:
    position = table["position"].to_numpy(np.uint16)
    alt = np.array([AMINO_ACIDS.index(letter) for letter in table["alt"]], dtype=np.uint8)
    background = table["score_background"].to_numpy(np.float32)
    epistasis = table["epistasis"].to_numpy(np.float32)
    own = wild[position.astype(int) - 1, alt]
    if not np.array_equal(own, table["score_wild_type"].to_numpy(np.float32)):
        raise InputError(f"{of}: the candidates have another wild type than rescue_wild_type; run the chapter again")
    columns = {
        "position": position,
        "alt": alt,
        "rank": table["rank"].to_numpy(np.uint32),
        "rank_background": table["rank_background"].to_numpy(np.uint32),
        "score_background": background,
        "cpd": table["cpd"].fillna(NO_ALIGNMENT).to_numpy(np.int16),
    }
    derived = np.array_equal(background - own, epistasis)
    return columns if derived else columns | {"epistasis": epistasis}
