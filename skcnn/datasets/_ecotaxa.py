"""load_ecotaxa: exports of EcoTaxa, the platform for images of plankton."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skcnn._utils import StrOptions, check_values
from skcnn.datasets._columns import note_times
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import COLUMNS, LABELED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import FileFinder, join, media_type
from skcnn.datasets._rules import Missing, Rules
from skcnn.datasets._sources import PathLike, Source, existing
from skcnn.datasets._tables import as_numbers, as_texts, check_columns, parse_table
from skcnn.datasets._times import join_texts, parse_times

_CALLER = "load_ecotaxa"
_LABELS = {
    "category": "object_annotation_category",
    "hierarchy": "object_annotation_hierarchy",
    "category_id": "object_annotation_category_id",
}
_STATUS = "object_annotation_status"
# How it is written, also as one letter. Other words say nothing of who has named an object.
_STATUSES = {"v": "validated", "p": "predicted", "d": "dubious"}
# How the line below the names says what a column has: [t] for texts, [f] for numbers.
_TYPE = re.compile(r"(\[\w\])?")
# Texts although they may look like numbers.
_TEXT = re.compile(r"(^|_)(id|date|time|name|email|category|status|link|comment|filename)$")


def load_ecotaxa(
    export: PathLike,
    *,
    root: PathLike | None = None,
    label: Literal["category", "hierarchy", "category_id"] = "category",
    group: str = "sample_id",
    images: Literal["all", "first"] = "all",
    machine_labels: bool = False,
    keep: str | Collection[str] = (),
    missing: Missing = "raise",
    extract_to: PathLike | None = None,
) -> Bunch:
    r"""Load images of plankton and their taxa from an export of EcoTaxa.

    The exports named backup, DOI, by sample and by taxon are all read, and TSV files that are
    made for the import into EcoTaxa [1]_.

    Parameters
    ----------
    export : str or path-like
        A TSV file, a folder with TSV files, or the zip archive as it was downloaded. A zip
        archive is unpacked, see `extract_to`.
    root : str, path-like or None, default=None
        Folder where file names begin. None takes the folder of each TSV file.
    label : {"category", "hierarchy", "category_id"}, default="category"
        The label: the name of the taxon as EcoTaxa shows it, such as "egg<other", all taxa
        above it, "Biota>other>egg", or its number.
    group : str, default="sample_id"
        Column that names what must not be separated by a split: "sample_id", "acq_id" or another
        one.
    images : {"all", "first"}, default="all"
        Which images of an object to use, if it has several: all, as one example each, or the
        one of the lowest rank. All have the same `sequence`, the object's object_id.
    machine_labels : bool, default=False
        Whether to use labels with the status "predicted", which nobody has validated.
    keep : str or collection of {"unknown", "unclassified"}, default=()
        What else becomes an example: objects with the status "dubious" ("unknown" is then their
        label), and those without any label that is used, for `predict`. With "unclassified", a
        table need not have a column of labels.
    missing : {"raise", "report"}, default="raise"
        What to do if listed files are not there. See :func:`load_image_table`.
    extract_to : str, path-like or None, default=None
        Folder to unpack a zip archive into. None takes a folder beside the archive, with its
        name without ``.zip``. Files that are there already are not written again.

    Returns
    -------
    plankton : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with frame, data, target, target_names, groups, report and DESCR,
        as of :func:`load_image_table`. `frame` also has the other columns of the export, such
        as object_area, as numbers where they are numbers.

    Raises
    ------
    FileNotFoundError
        If the export or images are not there.
    ValueError
        If a TSV file is damaged or lists no images, the archive has names that lead out of it,
        or no training example is left.

    Notes
    -----
    The label is read from the table, never from the folder: folders replace ``<`` by ``_``.
    Decimal commas and the line of types (``[t]``, ``[f]``) of some exports are understood. Times
    are in UTC, and have no zone in `frame`.

    References
    ----------
    .. [1] Picheral, M., Colin, S. and Irisson, J.-O. (2017). "EcoTaxa, a tool for the taxonomic
       classification of images". https://ecotaxa.obs-vlfr.fr

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_ecotaxa
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ["1.png", "2.png"]:
    ...     Image.new("L", (40, 30)).save(Path(folder.name) / name)
    >>> rows = [
    ...     "object_id img_file_name object_annotation_category object_annotation_status "
    ...     "sample_id object_area",
    ...     "[t] [t] [t] [t] [t] [f]",
    ...     "a 1.png Copepoda validated net1 51,5",
    ...     "b 2.png detritus predicted net1 20,0",
    ... ]
    >>> text = "\n".join(row.replace(" ", "\t") for row in rows)
    >>> _ = (Path(folder.name) / "ecotaxa_net1.tsv").write_text(text)
    >>> plankton = load_ecotaxa(folder.name)
    >>> plankton.target.tolist(), plankton.frame["object_area"].tolist()
    (['Copepoda'], [51.5])
    >>> folder.cleanup()
    """
    check_values(
        _CALLER,
        {
            "label": [StrOptions(set(_LABELS))],
            "group": [str],
            "images": [StrOptions({"all", "first"})],
        },
        {"label": label, "group": group, "images": images},
    )
    rules = Rules("drop", machine_labels, False, False, keep, missing).check(_CALLER)
    path = existing(export, _CALLER)
    loaded = Loaded(pd.DataFrame(), "Images of an export of EcoTaxa", path)
    tables, base = _read(path, extract_to)
    parts = []
    for name, table in tables.items():
        where = str(base / name)
        _check_table(table, label, group, where, unlabeled="unclassified" in rules.kept)
        parts.append(_rows(table, PurePosixPath(name), base, root, label, group, loaded, where))
    rows = pd.concat(parts, ignore_index=True)
    if images == "first":
        rows = _first_images(rows, loaded)
    loaded.rows = rows.drop(columns="rank")
    shown = ", ".join(list(tables)[:3]) + (
        f" and {len(tables) - 3} more" if len(tables) > 3 else ""
    )
    known = f"The group is {group}." if rows["group"].notna().any() else f"{group} is not known."
    loaded.details += [f"Export: {path} ({shown}).", known]
    return make_bunch(loaded, rules, _CALLER)


def _read(path: Path, extract_to: PathLike | None) -> tuple[dict[str, pd.DataFrame], Path]:
    """Return the tables by their names, and the folder where the names begin."""
    if path.is_file() and path.suffix.lower() != ".zip":
        with Source(path.parent) as source:
            return {path.name: _parse(source.read(path.name), str(path))}, path.parent
    with Source(path) as source:
        names = source.names()
        tables = [name for name in names if name.lower().endswith((".tsv", ".tsv.gz"))]
        own = [name for name in tables if PurePosixPath(name).name.startswith("ecotaxa")]
        if not tables:
            archives = [name for name in names if name.lower().endswith(".zip")]
            more = f" Unpack the archives in it, such as {archives[0]}." if archives else ""
            raise ValueError(f"{path} contains no TSV file. Expected an export of EcoTaxa.{more}")
        parsed = {name: _parse(source.read(name), f"{path}/{name}") for name in own or tables}
        if path.is_dir():
            return parsed, path
        base = path.with_suffix("") if extract_to is None else Path(extract_to).expanduser()
        try:
            source.extract([name for name in names if media_type(name) == "image"], base)
        except OSError as error:
            raise OSError(
                f"{_CALLER} cannot unpack {path} into {base} ({error}). Pass extract_to= with a "
                "folder where there is space and you may write."
            ) from error
        return parsed, base.absolute()


def _parse(content: bytes, where: str) -> pd.DataFrame:
    """Return a table without its line of types, with numbers where all values are numbers."""
    delimiter = "\t" if b"\t" in content[:4096] else None
    parsed = parse_table(
        content, where, columns=("object_id", "img_file_name"), delimiter=delimiter, comment="#"
    )
    table = parsed.frame
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"{where} has several columns named {repeated[0]!r}. Rename all but one.")
    types = table.iloc[0] if len(table) else pd.Series(dtype=object)
    has_types = len(types) > 0 and (types != "").any()
    has_types = has_types and all(_TYPE.fullmatch(text) for text in types)
    if has_types:
        table = table.iloc[1:].reset_index(drop=True)
    for name in table.columns:
        is_number = types[name] not in ("[t]", "") if has_types else not _TEXT.search(str(name))
        if is_number and name not in ("img_rank", "img_file_name"):
            table[name] = _numbers(table[name])
    return table


def _numbers(texts: pd.Series) -> pd.Series:
    """Return the numbers in a column, or its texts where some are none."""
    values = as_texts(texts)
    # 007 is a name, not a number.
    if any(re.match(r"0\d", text) for text in values.dropna()):
        return texts
    try:
        return pd.Series(as_numbers(values, "a column"), index=texts.index)
    except ValueError:
        return texts


def _check_table(table: pd.DataFrame, label: str, group: str, where: str, unlabeled: bool) -> None:
    """Check that a table lists images and has what is asked for."""
    if "img_file_name" not in table:
        raise ValueError(
            f"{where} has no column 'img_file_name', so that it lists no images. Export again "
            "with images."
        )
    check_columns(table, ["object_id"], "EcoTaxa", where)
    if not any(name in table for name in _LABELS.values()):
        if not unlabeled:
            raise ValueError(
                f"{where} has no column {_LABELS[label]!r}, so that nobody has named its objects. "
                "Pass keep=['unclassified'] to load them without labels, for predict."
            )
    else:
        check_columns(table, [_LABELS[label]], f"label={label!r}", where)
    if group != "sample_id":
        check_columns(table, [group], "group=", where)


def _rows(
    table: pd.DataFrame,
    name: PurePosixPath,
    base: Path,
    root: PathLike | None,
    label: str,
    group: str,
    loaded: Loaded,
    where: str,
) -> pd.DataFrame:
    """Return one observation per image of a table."""
    files = as_texts(table["img_file_name"])
    if root is None:
        finder, folder = (
            FileFinder(base, chosen=False),
            "" if str(name.parent) == "." else name.parent,
        )
        candidates = [[text and join(str(folder), text) for text in files]]
    else:
        below = existing(root, _CALLER)
        finder = FileFinder(below, chosen=True)
        # Exports by sample have their images in a folder of the sample, or all in one.
        parent = "" if str(name.parent) == "." else str(name.parent)
        candidates = [files.tolist(), [text and join(parent, text) for text in files]]
    found = finder.find_all(*candidates)
    none = pd.Series([None] * len(table), index=table.index, dtype=object)
    labels = as_texts(table.get(_LABELS[label], none))
    status = as_texts(table[_STATUS]) if _STATUS in table else pd.Series("validated", table.index)
    status = status.str.lower().replace(_STATUSES)
    others = status.notna() & ~status.isin(_STATUSES.values())
    if others.any():
        loaded.note(
            "objects of another status", others.sum(), f"such as {status[others].iloc[0]!r}"
        )
        status = status.where(~others, None)
    if _STATUS not in table:
        loaded.details.append(f"{where} does not say who has validated the labels.")
        why = f"are taken as validated, since there is no column {_STATUS}"
        loaded.note("labels without a status", labels.notna().sum(), why)
    rank = as_numbers(table["img_rank"], f"{where}: img_rank") if "img_rank" in table else 0.0
    rows = pd.DataFrame(
        {
            "path": found.paths,
            "problem": found.problems,
            "media": [media_type(text or "") for text in files],
            "label": labels,
            "status": np.select(
                [labels.isna() | status.isna(), status == "dubious"],
                [UNCLASSIFIED, UNKNOWN],
                default=LABELED,
            ),
            "machine": (status == "predicted").to_numpy(dtype=bool),
            "group": as_texts(table[group]) if group in table else None,
            "sequence": as_texts(table["object_id"]),
            "rank": rank,
        }
    )
    rows["time"] = _times(table, loaded, where)
    taken = {*rows.columns, *COLUMNS, "img_rank"}
    return pd.concat([rows, table[[name for name in table if name not in taken]]], axis=1)


def _times(table: pd.DataFrame, loaded: Loaded, where: str) -> pd.Series:
    """Return the time of each object from its date and time, as numbers or as text."""
    if "object_date" not in table:
        return pd.Series(pd.NaT, index=table.index)
    dates = as_texts(table["object_date"])
    none = pd.Series([None] * len(table), index=table.index, dtype=object)
    clock = as_texts(table.get("object_time", none))
    clock = pd.Series([_six_digits(text) for text in clock], index=table.index, dtype=object)
    texts = join_texts([dates, clock.where(dates.notna(), None)])
    times, unreadable = parse_times(texts, where=where, ambiguous="unreadable")
    note_times(loaded, unreadable)
    return times


def _six_digits(text: str | None) -> str | None:
    """Return a time of day with the zeros that programs take from numbers.

    Examples
    --------
    >>> [_six_digits(text) for text in ["42000", "420", "042000", "04:20:00"]]
    ['042000', '042000', '042000', '04:20:00']
    """
    if not text or not text.isdigit():
        return text
    # Up to four digits are hours and minutes.
    return f"{text.zfill(4)}00" if len(text) <= 4 else text.zfill(6)


def _first_images(rows: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Keep the image of the lowest rank of each object."""
    order = rows["rank"].fillna(0).to_numpy()
    by_rank = rows.iloc[np.argsort(order, kind="stable")]
    first = ~by_rank.duplicated(["group", "sequence"])
    loaded.note("further images of objects", (~first).sum(), "images='all' uses them")
    return by_rank[first].sort_index()
