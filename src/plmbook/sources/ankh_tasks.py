"""The data sets that Ankh was tested on, as their authors put them on the hub.

`read` gives the examples and, record by record, what it left out and why. Files are fetched as they are at a pinned
commit (a loading script is never run) and a CSV is read as text: a reader that guesses the type of a column from its
first rows fails on an odd label further down, which here costs one record.
"""

import os
import re
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import yaml

from plmbook.core.errors import InputError, one_of, some
from plmbook.core.text import read_csv
from plmbook.sources.cells import Unusable, letters_of, numbers_of, residue_table, sequence_of, visible_files
from plmbook.sources.record import Source
from plmbook.tables.bundled import LOCALISATIONS
from plmbook.tables.readers import read_parquet

SPLITS = ("train", "validation", "test")  # as in the bundled tables
FOLDS = 1_195  # of the remote homology set
LEFT_OUT = {"split": "str", "file": "str", "row": "int64", "reason": "str"}


@dataclass(frozen=True)
class HubFile:
    """A file of a data set."""

    name: str  # as on the hub
    split: str  # train, validation or test
    test_set: str = ""  # where a data set has several
    optional: bool = False  # whether a place may lack it: `read` then says so in what it left out
    needs: tuple[str, ...] = ()  # fields that only this file must have

    @property
    def stems(self) -> tuple[str, ...]:
        """What it is called without suffix: its own name, then the split, as `data/train-00000-of-00001.parquet`."""
        return (self.name.split(".", 1)[0].lower(), *(() if self.test_set else (self.split,)))


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub and how it is read."""

    name: str  # what `read` takes
    hub_id: str  # owner/name
    revision: str  # the commit that is read, all 40 digits or the first that are known; "" where none is: the newest
    files: tuple[HubFile, ...]
    columns: Mapping[str, str]  # field -> its column; letter case is ignored
    licence: str  # as the hub states it
    becomes: str  # what `read` makes of a record
    optional: tuple[str, ...] = ()  # fields that a file may lack
    title: str = ""  # of its entry among the sources; "" where another data set's files are read
    citation: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it has, in the order train, validation, test."""
        return tuple(split for split in SPLITS if any(file.split == split for file in self.files))


_ANKH = "Elnaggar and others 2023, doi:10.48550/arXiv.2301.06568"


def _dataset(name: str, facts: dict) -> HubDataset:
    files = tuple(HubFile(**file | {"needs": tuple(file.get("needs", ()))}) for file in facts["files"])
    return HubDataset(name, **facts | {"files": files, "optional": tuple(facts.get("optional", ()))})


def _source(dataset: HubDataset) -> Source:
    unpinned = "no revision is pinned: the newest is read and recorded"
    folder = dataset.hub_id.split("/")[1]
    return Source(
        name=f"ankh-{dataset.name.replace('_', '-')}",
        title=dataset.title,
        url=f"https://huggingface.co/datasets/{dataset.hub_id}",
        release=f"commit {dataset.revision}" if dataset.revision else unpinned,
        licence=dataset.licence,
        citation=f"{dataset.citation}; {_ANKH}",
        extracts=tuple(f"{folder}/{file.name}{end}" for file in dataset.files for end in ("", ".gz")),
        note="No data set of the hub is bundled; the tests read files of the same layout.",
        reader=f"plmbook.sources.ankh_tasks.read({dataset.name!r}) reads it",
    )


_FACTS = yaml.safe_load(Path(__file__).with_name("ankh_tasks.yml").read_text(encoding="utf-8"))
DATASETS: dict[str, HubDataset] = {name: _dataset(name, facts) for name, facts in _FACTS.items()}
SOURCES = tuple(_source(dataset) for dataset in DATASETS.values() if dataset.title)


def read(
    name: str,
    *,
    folder: str | Path | None = None,
    split: str | None = None,
    revision: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data set that Ankh was tested on.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    folder : path, optional
        A folder with the hub's files, under their names or as `data/train-00000-of-00001.parquet`; `.csv`, `.csv.gz`
        or `.parquet`. Default: `owner/name` or `name` in the mirror (`PLMBOOK_MIRROR`) or one below it, else the hub.
    split : str, optional
        train, validation or test: only this one.
    revision : str, optional
        A commit of the hub, all or its first seven or more digits, instead of the pinned one.
    columns : mapping of str to str, optional
        Field -> the column that holds it, where a file has other names than `DATASETS` lists.

    Returns
    -------
    examples : DataFrame
        A row a protein, in the order of the files: `id` (str, split or test set and record), `split` (str), `sequence`
        (str, upper case, without spaces; U, B, Z, O and X are kept), `length` (int64), and of

        - secondary_structure: `test_set` (str, "" in train), `dssp3` (str, HEC), `dssp8` (str, HGIEBTSC), `counted`
          (str of 0 and 1: where a prediction is scored), each as long as the sequence;
        - remote_homology: `fold` (str);
        - localisation: `localisation` (str, one of `plmbook.tables.bundled.LOCALISATIONS`);
        - solubility: `soluble` (bool);
        - fluorescence: `log_fluorescence` (float64);
        - cath: `role` (str, lookup or query), `cath` (str, C.A.T.H).

        Of contacts a row a residue: `id`, `split`, `position` (int64, 1-based), `residue` (str), `ca_x`, `ca_y`, `ca_z`
        (float32, angstrom; NaN where not resolved).
        `attrs["revision"]` is the commit that was read ("" of a local folder), `attrs["hub_id"]` the data set.
        Equal sequences stay; `duplicates_across` lists those that two splits share.
    left_out : DataFrame
        A row a record that is not in `examples`: `split`, `file` (str), `row` (int64, from 1 without the header; 0 for
        an optional file that is not there), `reason` (str).

    Raises
    ------
    InputError
        Where a file, part or column is missing, two files could be the one, a file has no usable record, the
        revision is no commit of the hub (or is given with a local folder), or the hub cannot be reached.
    """
    dataset = DATASETS[one_of("unknown data set", name, DATASETS)]
    if split is not None and split not in dataset.splits:
        raise InputError(f"{name}: split {split!r}; expected one of {', '.join(dataset.splits)}")
    for field in columns or {}:
        if field not in dataset.columns:
            raise InputError(f"{name}: field {field!r}; expected one of {', '.join(dataset.columns)}")
    place = _place(dataset, folder, revision)
    found, left_out = [], []
    for file in dataset.files:
        if split not in (None, file.split):
            continue
        names = _choose(place, file)
        if not names:
            left_out.append((file.split, file.name, 0, f"no such file in {place.where}"))
        n_before = 0  # records in the parts of the file that were read
        for relative in names:
            examples, unusable, n_rows = _read_file(dataset, file, place.path(relative), columns or {}, n_before)
            found.append(examples)
            left_out += [(file.split, relative, row, reason) for row, reason in unusable]
            n_before += n_rows
    if not found:
        there = some(place.names, 8) or "no file"
        expected = some((file.name for file in dataset.files if split in (None, file.split)), 8)
        raise InputError(f"{place.where}: no file of {name}; expected {expected}, found {there}")
    examples = pd.concat(found, ignore_index=True)
    examples.attrs = {"hub_id": dataset.hub_id, "revision": place.revision}
    return examples, pd.DataFrame(left_out, columns=list(LEFT_OUT)).astype(LEFT_OUT)


def duplicates_across(examples: pd.DataFrame) -> pd.DataFrame:
    """The sequences that two splits of a data set share, in the order of their first protein: `sequence`, `splits` and
    `ids` (str, comma-separated), `n` (int64, proteins).
    """
    if missing := [column for column in ("id", "split", "sequence") if column not in examples]:
        raise InputError(f"duplicates_across: expected a row a protein, missing {missing}, found {list(examples)}")
    shared = examples[examples.groupby("sequence")["split"].transform("nunique") > 1]
    rows = [
        (sequence, ", ".join(dict.fromkeys(group["split"])), ", ".join(group["id"]), len(group))
        for sequence, group in shared.groupby("sequence", sort=False)
    ]
    return pd.DataFrame(rows, columns=["sequence", "splits", "ids", "n"]).astype({"n": "int64"})


# --- where the files are ---


@dataclass(frozen=True)
class _Place:
    """A folder or a commit of the hub: the names of its files, and how a file comes to lie on this machine."""

    where: str
    names: tuple[str, ...]
    revision: str
    path: Callable[[str], Path]


def _place(dataset: HubDataset, folder: str | Path | None, revision: str | None) -> _Place:
    mirror = os.environ.get("PLMBOOK_MIRROR")
    if folder is None and mirror:
        folder = _in_mirror(Path(mirror).expanduser(), dataset.hub_id)
    if folder is None:
        return _hub(dataset, dataset.revision if revision is None else revision)
    if revision is not None:
        raise InputError(f"{folder}: a local folder has no revision, found {revision!r}")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the files of {dataset.hub_id}")
    return _Place(str(folder), tuple(visible_files(folder)), "", lambda name: folder / name)


def _in_mirror(mirror: Path, hub_id: str) -> Path:
    owner, name = hub_id.split("/")
    for path in (mirror / owner / name, mirror / name, *sorted(mirror.glob(f"*/{name}"))):
        if path.is_dir():
            return path
    raise InputError(f"PLMBOOK_MIRROR {mirror}: expected a folder {hub_id} or {name} there or one below, found none")


def _hub(dataset: HubDataset, revision: str) -> _Place:
    import httpx
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    if revision and not re.fullmatch(r"[0-9a-f]{7,40}", revision):
        raise InputError(f"{dataset.hub_id}: revision {revision!r}; expected a commit: 7 to 40 hexadecimal digits")

    def asked(question: Callable, *arguments, **more):
        try:
            return question(*arguments, **more)
        except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
            why = (str(error) or repr(error)).splitlines()[0]
            raise InputError(
                f"{dataset.hub_id}: cannot be read from the hub ({why}); give a local folder with its files, or name "
                "one by PLMBOOK_MIRROR"
            ) from None

    api = huggingface_hub.HfApi()
    if not revision:
        revision = asked(api.dataset_info, dataset.hub_id).sha
    elif len(revision) < 40:
        commits = [commit.commit_id for commit in asked(api.list_repo_commits, dataset.hub_id, repo_type="dataset")]
        revision = _whole_commit(dataset.hub_id, revision, commits)
    names = asked(api.list_repo_files, dataset.hub_id, revision=revision, repo_type="dataset")

    def path(name: str) -> Path:
        download = huggingface_hub.hf_hub_download
        return Path(asked(download, dataset.hub_id, name, revision=revision, repo_type="dataset"))

    return _Place(f"{dataset.hub_id} at {revision}", tuple(sorted(names)), revision, path)


def _whole_commit(hub_id: str, start: str, commits: list[str]) -> str:
    """The one commit that starts so."""
    found = [commit for commit in commits if commit.startswith(start)]
    if len(found) != 1:
        raise InputError(f"{hub_id}: expected one commit {start}..., found {len(found)} among {len(commits)} commits")
    return found[0]


_FILE = re.compile(
    r"(?P<stem>.+?)(-(?P<part>\d{5})-of-(?P<parts>\d{5}))?(-[0-9a-f]{16})?(?P<suffix>\.csv|\.csv\.gz|\.parquet)"
)
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


def _choose(place: _Place, file: HubFile) -> list[str]:
    """The names of the file, or of all its parts; none where an optional file is not there."""
    candidates: dict[tuple[int, int], list[tuple[str, re.Match]]] = {}  # the names that come first win
    for name in place.names:
        path = PurePosixPath(name)
        if match := _FILE.fullmatch(path.name):
            # as the hub converts: default/train/0000.parquet
            stem = (path.parent.name if match["stem"].isdigit() else match["stem"]).lower()
            if stem in file.stems:
                rank = (file.stems.index(stem), _SUFFIXES.index(match["suffix"]))
                candidates.setdefault(rank, []).append((name, match))
    if candidates:
        return _parts(place, file, candidates[min(candidates)])
    if file.optional:
        return []
    raise InputError(
        f"{place.where}: expected {file.name}, the same gzipped or as .parquet, or data/{file.test_set or file.split}-"
        f"00000-of-00001.parquet, found {some(place.names, 8) or 'no file'}"
    )


def _parts(place: _Place, file: HubFile, found: list[tuple[str, re.Match]]) -> list[str]:
    """The names in their order, once they are seen to be one file or all parts of one."""
    names = sorted(name for name, _ in found)
    in_parts = all(match["part"] or match["stem"].isdigit() for _, match in found)
    if len({PurePosixPath(name).parent for name in names}) > 1 or (len(names) > 1 and not in_parts):
        raise InputError(f"{place.where}: {some(names, 8)} could each be {file.name}; expected one")
    numbers = sorted(int(match["part"]) for _, match in found if match["part"])
    n_parts = {int(match["parts"]) for _, match in found if match["parts"]}
    if n_parts and numbers != list(range(max(n_parts))):
        raise InputError(f"{place.where}: expected the {max(n_parts)} parts of {file.name}, found {some(names, 8)}")
    return names


# --- from a file to examples ---


def _read_file(
    dataset: HubDataset, file: HubFile, path: Path, renamed: Mapping[str, str], n_before: int
) -> tuple[pd.DataFrame, list[tuple[int, str]], int]:
    """The examples of a file, (row, reason) of what is left out, and how many records it has."""
    table = _table(path)
    fields = _fields(dataset, file, path, list(table), renamed)
    cells = {field: table[column].tolist() for field, column in fields.items()}
    make = _MAKERS[dataset.name]
    rows, unusable = [], []
    for index in range(len(table)):
        record = {field: column[index] for field, column in cells.items()}
        try:
            made = make(record, file)
        except Unusable as error:
            unusable.append((index + 1, str(error)))
            continue
        rows.append({"id": f"{file.test_set or file.split}-{n_before + index + 1}", "split": file.split, **made})
    if not rows:
        first = f"; row {unusable[0][0]}: {unusable[0][1]}" if unusable else ""
        raise InputError(f"{path}: none of {len(table)} records is usable{first}")
    examples = pd.DataFrame(rows)
    if dataset.name == "contacts":
        examples = _by_residue(examples)
    return examples, unusable, len(table)


def _table(path: Path) -> pd.DataFrame:
    """A CSV with each cell as text ("" where empty), or a Parquet file with its own types."""
    if path.name.endswith(".parquet"):
        return read_parquet(path)
    try:  # a list of coordinates holds commas, and is quoted
        table = read_csv(path, ",", quoted=True, dtype=str, na_filter=False, skip_blank_lines=False)
    except ValueError as error:  # what pandas says of the content is one, and what `read_csv` says
        raise InputError(f"{path}: cannot be read as CSV ({str(error).strip()}); empty or cut short?") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first cells as names of the rows
        raise InputError(f"{path}: expected {table.shape[1]} cells a row, as the header has; found more")
    return table


def _fields(
    dataset: HubDataset, file: HubFile, path: Path, found: list[str], renamed: Mapping[str, str]
) -> dict[str, str]:
    """Field -> column of the file."""
    folded = {str(column).strip().lower(): column for column in reversed(found)}
    fields = {}
    for field, name in {**dataset.columns, **renamed}.items():
        if name.lower() in folded:
            fields[field] = folded[name.lower()]
        elif field in file.needs or field in renamed or field not in dataset.optional:
            raise InputError(
                f"{path}: expected a column {name!r} ({field}), found the columns {some(found, 8)}; "
                "columns= says where a file has another name"
            )
    return fields


def _text(cell) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def _labels(cell, what: str, allowed: str, length: int) -> str:
    labels = letters_of(cell)
    _check_length(labels, what, "labels", length)
    if strange := sorted(set(labels) - set(allowed)):
        raise Unusable(f"{what} has {' '.join(strange)}; expected letters of {allowed}")
    return labels


def _check_length(found: Sized, what: str, of: str, length: int) -> None:
    if len(found) != length:
        raise Unusable(f"{what} is not as long as the sequence ({len(found)} {of}, {length} residues)")


def _number(cell, what: str) -> float:
    numbers = numbers_of(cell, what)
    if len(numbers) != 1 or not np.isfinite(numbers[0]):
        raise Unusable(f"{what} is not one finite number")
    return float(numbers[0])


def _mask(cell, what: str, length: int) -> np.ndarray:
    """bool (L,): where a text of 0.0 and 1.0 is 1."""
    numbers = numbers_of(cell, what)
    _check_length(numbers, what, "values", length)
    if not np.isin(numbers, (0, 1)).all():
        raise Unusable(f"{what} has values other than 0 and 1")
    return numbers == 1


_DSSP = {"dssp3": "HEC", "dssp8": "HGIEBTSC"}


def _secondary_structure(record: dict, file: HubFile) -> dict:
    protein = _protein(record)
    length = protein["length"]
    states = {name: _labels(record[name], name, letters, length) for name, letters in _DSSP.items()}
    counted = _mask(record["disorder"], "disorder", length)
    if file.test_set == "CB513":
        counted &= _mask(record["cb513_mask"], "cb513_mask", length)
    return {"test_set": file.test_set, **protein, **states, "counted": "".join("01"[int(each)] for each in counted)}


def _remote_homology(record: dict, file: HubFile) -> dict:
    fold = _number(record["fold"], "fold_label")
    if fold != int(fold) or not 0 <= fold < FOLDS:
        raise Unusable(f"fold_label {fold:g}; expected 0 to {FOLDS - 1}")
    return {**_protein(record), "fold": str(int(fold))}


def _localisation(record: dict, file: HubFile) -> dict:
    label = _text(record["localisation"])
    localisation = _COMPARTMENTS.get(_compartment(label))
    if localisation is None:
        parts = [_compartment(part) for part in re.split(r"[-;,|]", label)]
        if len(parts) > 1 and all(part in _COMPARTMENTS for part in parts):
            raise Unusable(f"localisation {label!r} is {len(parts)} compartments; expected one")
        raise Unusable(f"localisation {label!r} is not one of the {len(LOCALISATIONS)} compartments")
    return {**_protein(record), "localisation": localisation}


def _compartment(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


_COMPARTMENTS = {_compartment(name): name for name in LOCALISATIONS}  # Cell.membrane is Cell membrane


def _solubility(record: dict, file: HubFile) -> dict:
    label = _number(record["soluble"], "the label")
    if label not in (0, 1):
        raise Unusable(f"the label is {label:g}; expected 0 or 1")
    return {**_protein(record), "soluble": label == 1}


def _fluorescence(record: dict, file: HubFile) -> dict:
    return {**_protein(record), "log_fluorescence": _number(record["log_fluorescence"], "log_fluorescence")}


def _cath(record: dict, file: HubFile) -> dict:
    label = _text(record["cath"])
    if not re.fullmatch(r"[1-9]\d*(\.[1-9]\d*){3}", label):
        raise Unusable(f"cath {label!r}; expected four numbers such as 3.40.50.300")
    return {"role": "lookup" if file.split == "train" else "query", **_protein(record), "cath": label}


def _contacts(record: dict, file: HubFile) -> dict:
    sequence = sequence_of(record["sequence"])
    numbers = numbers_of(record["coordinates"], "xyz_coordinates")
    if len(numbers) != 3 * len(sequence):
        raise Unusable(f"xyz_coordinates has {len(numbers)} numbers, not 3 for each of {len(sequence)} residues")
    places = numbers.reshape(-1, 3)
    if np.isinf(places).any():
        raise Unusable("xyz_coordinates has a number that is not finite")
    resolved = (places != 0).any(axis=1) & ~np.isnan(places).any(axis=1)  # 0, 0, 0 stands for no coordinates
    if "disorder" in record:
        resolved &= _mask(record["disorder"], "disorder", len(sequence))
    if not resolved.any():
        raise Unusable("no residue has coordinates")
    return {"sequence": sequence, "places": np.where(resolved[:, None], places, np.nan)}


def _protein(record: dict) -> dict:
    sequence = sequence_of(record["sequence"])
    return {"sequence": sequence, "length": len(sequence)}


_MAKERS: dict[str, Callable[[dict, HubFile], dict]] = {
    "secondary_structure": _secondary_structure,
    "contacts": _contacts,
    "remote_homology": _remote_homology,
    "localisation": _localisation,
    "solubility": _solubility,
    "fluorescence": _fluorescence,
    "cath": _cath,
}


def _by_residue(proteins: pd.DataFrame) -> pd.DataFrame:
    """From a row a protein (`sequence`, `places`) to a row a residue."""
    tables = [
        residue_table(row.id, row.sequence, row.places, "ca").assign(split=row.split) for row in proteins.itertuples()
    ]
    found = pd.concat(tables, ignore_index=True)
    return found[["id", "split", "position", "residue", "ca_x", "ca_y", "ca_z"]]
