"""load_image_table: one row per image or per label, in a CSV file or a DataFrame."""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sklearn.utils import Bunch

from skcnn._other_tables import to_frame
from skcnn._utils import StrOptions, check_values
from skcnn.datasets._boxes import BOX_FORMATS, BOX_UNITS
from skcnn.datasets._chosen import Chosen
from skcnn.datasets._columns import Columns, Names, as_names, finder_for, observe
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import Loaded
from skcnn.datasets._presets import PRESETS
from skcnn.datasets._rules import Missing, Rules, SeveralLabels
from skcnn.datasets._sources import PathLike, existing
from skcnn.datasets._tables import as_frame, read_table

_CALLER = "load_image_table"
_CONSTRAINTS: dict[str, list[object]] = {
    "preset": [StrOptions(set(PRESETS)), None],
    "box_format": [StrOptions(set(BOX_FORMATS)), None],
    "box_unit": [StrOptions(set(BOX_UNITS)), None],
    "header": ["boolean"],
}


def load_image_table(
    table: "PathLike | pd.DataFrame",
    *,
    preset: str | None = None,
    path: Names = "path",
    label: Names | None = "label",
    group: Names | None = None,
    sequence: Names | None = None,
    time: Names | None = None,
    time_format: str | None = None,
    individual: Names | None = None,
    root: PathLike | None = None,
    box: Sequence[str | int] | None = None,
    box_format: str | None = None,
    box_unit: str | None = None,
    image_size: Sequence[str | int] | None = None,
    blank: str | Collection[str] = (),
    unknown: str | Collection[str] = (),
    na_values: str | Collection[str] = (),
    several_labels: SeveralLabels = "drop",
    machine_labels: bool = False,
    event_labels: bool = False,
    boxes: bool = True,
    keep: str | Collection[str] = ("blank",),
    missing: Missing = "raise",
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool = True,
) -> Bunch:
    r"""Load paths, labels and sites from a table: CSV, TSV, or a DataFrame.

    All cells are read as texts, so that the identifier 007 keeps its zeros and a species with
    the code NA is not a missing value. Delimiter (``,`` ``;`` tab ``|``), encoding and decimal
    commas are recognized.

    Parameters
    ----------
    table : str, path-like or DataFrame
        The table. For presets also the folder or the zip archive that a program has exported.
    preset : {"wildlife_insights", "timelapse", "addaxai", "inaturalist"} or None, default=None
        Program that has written the table. Its columns are used where `path`, `label`, `group`,
        `sequence`, `time` and so on have their defaults. See Notes.
    path : str, int or list, default="path"
        Column of file names. Of several columns, the texts are joined as folders:
        ``path=["RelativePath", "File"]``. ``\`` separates folders, too.
    label : str, int, list or None, default="label"
        Column of labels. The texts of several columns are joined by a space:
        ``label=["genus", "species"]``. None: the images have no labels, as for `predict`.
    group : str, int, list or None, default=None
        Column of the site, or of whatever must not be separated by a split.
    sequence : str, int, list or None, default=None
        Column of the burst or event.
    time : str, int, list or None, default=None
        Column of the time, or columns of date and time.
    time_format : {"day_first", "month_first"}, str or None, default=None
        How times are read: where the day is in dates such as 03/04/2021, or a format of
        :meth:`datetime.datetime.strptime`. None recognizes common formats; where nothing tells
        the day from the month, it is an error.
    individual : str, int, list or None, default=None
        Column of the individual animal.
    root : str, path-like or None, default=None
        Folder where relative paths begin. None takes the folder of the table, or the current
        folder for a DataFrame. Where `root` is given, absolute paths of another machine are
        looked for in it, too.
    box : sequence of 4 str or int, or None, default=None
        Columns of a box in the image. Only this part is then used.
    box_format : {"xywh", "xyxy"} or None, default=None
        Whether `box` has the top left corner with width and height, or two corners. Must be
        given with `box`; it is never guessed.
    box_unit : {"fraction", "percent", "pixel"} or None, default=None
        Unit of `box`: fractions of the image, percent of it, or pixels. Must be given, too.
    image_size : sequence of 2 str or int, or None, default=None
        Columns of the width and height of the image, for boxes in pixels. None reads the sizes
        from the files.
    blank, unknown : str or collection of str, default=()
        Labels which mean that there is nothing in the image, or that somebody could not tell
        what. Others are classes, as they are.
    na_values : str or collection of str, default=()
        Texts which mean that there is no value, such as the "NA" that R writes, in the columns
        of label, group, sequence, time and individual. An empty cell always means it. The report
        tells of labels and groups that look like it.
    several_labels : {"drop", "first", "multilabel", "rows"}, default="drop"
        What to do with an image (or box) that the table gives several labels: leave it out, take
        the first, make a matrix of zeros and ones as `target`, or make one example per label.
    machine_labels : bool, default=False
        Whether to use labels that a program has made and nobody has checked. For presets.
    event_labels : bool, default=False
        Whether images without a label of their own get that of their event or burst. An animal
        is often missing in some of its images. For presets.
    boxes : bool, default=True
        If False, boxes are not used: examples are whole images.
    keep : str or collection of {"blank", "unknown", "unclassified", "failed"}, default=("blank",)
        Which images without a species are examples: those with nothing in them ("blank" is then
        their label), with something that nobody could name ("unknown"), those that nobody has
        looked at, and those that a program could not read. The last two have no label.
    missing : {"raise", "report"}, default="raise"
        What to do if listed files are not there: an error that names the first ten, or leave
        them out and list them in ``report.missing``.
    delimiter, encoding : str or None, default=None
        How the file is written. None recognizes it.
    header : bool, default=True
        Whether the first line has the names of the columns. If False, columns are 0, 1, ...

    Returns
    -------
    images : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        frame : DataFrame of shape (n_examples, n_columns)
            One row per training example: path (absolute), label, group, where known sequence,
            time, status, box_x, box_y, box_width, box_height (fractions of the image, from its
            top left corner), individual, count and probability, then the other columns of the
            table. One that no parameter names, and that is called as one of these, gets another
            name: `count_in_table` is the column `count` of the table.
        data : ndarray of shape (n_examples,) or DataFrame of shape (n_examples, 5)
            What goes into `fit` and `predict`: paths, or path and box.
        target : ndarray of shape (n_examples,) or (n_examples, n_classes)
            The labels; for "multilabel", which of `target_names` each example has.
        target_names : ndarray of shape (n_classes,)
            The different labels, in alphabetical order.
        groups : ndarray of shape (n_examples,) or None
            The groups. Where no site is known and an image gives several examples, the image.
        report : Report
            What was found and what was left out. See :class:`Report`.
        DESCR : str
            What was loaded, and how.

    Raises
    ------
    FileNotFoundError
        If the table is not there, or files that it lists (see `missing`).
    ValueError
        If the table is damaged, lacks a column, or gives no training example.

    See Also
    --------
    load_image_folder : Labels from the names of folders.
    load_camtrap_dp : Packages of Camtrap DP.

    Notes
    -----
    Presets:

    - "wildlife_insights": the downloaded zip archive, its folder, or images.csv. Labels are
      genus and species, or the lowest rank that is given; groups are places. The images are
      looked for in `root` under their file name or image_id, in a folder named like the
      deployment, too. Labels of sequences need ``event_labels=True``; those by "Computer Vision"
      need ``machine_labels=True``.
    - "timelapse": name the column of your labels with `label`. The group is the first folder.
      Files that are marked for deletion are left out.
    - "addaxai": the folder or one file of an export of AddaxAI (or EcoAssist), version 5, 6 or
      7. Nobody has checked most of its labels: see `machine_labels`.
    - "inaturalist": photographs are looked for under the identifier of the photograph or of the
      observation. The group is the observer.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_table
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ["1.jpg", "2.jpg", "3.jpg"]:
    ...     Image.new("RGB", (32, 24)).save(Path(folder.name) / name)
    >>> table = Path(folder.name) / "table.csv"
    >>> _ = table.write_text("file;species;site\n1.jpg;fox;007\n2.jpg;NA;007\n3.jpg;;008\n")
    >>> images = load_image_table(table, path="file", label="species", group="site")
    >>> images.target.tolist(), images.groups.tolist()
    (['fox', 'NA'], ['007', '007'])
    >>> images.report.notes["what"].tolist()
    ['labels that look like a missing value', 'images or boxes without a label']
    >>> images = load_image_table(
    ...     table, path="file", label="species", group="site", na_values="NA"
    ... )
    >>> images.target.tolist()
    ['fox']
    >>> folder.cleanup()
    """
    check_values(
        _CALLER,
        _CONSTRAINTS,
        {
            "preset": preset,
            "box_format": box_format,
            "box_unit": box_unit,
            "header": header,
        },
    )
    rules = Rules(several_labels, machine_labels, event_labels, boxes, keep, missing)
    if label is None:
        rules = replace(rules, keep=sorted(rules.kept.union({"unclassified"}) - {"labeled"}))
    rules.check(_CALLER)
    _check_box(box, box_format, box_unit, image_size)
    columns = Columns(
        path=path,
        label=label,
        group=group,
        sequence=sequence,
        time=time,
        individual=individual,
        box=box,
        image_size=image_size,
        box_format=box_format,
        box_unit=box_unit,
        time_format=time_format,
        blank=_as_set(blank),
        unknown=_as_set(unknown),
        na_values=_as_set(na_values),
    )
    table = to_frame(table)
    source = None if isinstance(table, pd.DataFrame) else existing(table, _CALLER)
    reading = {"delimiter": delimiter, "encoding": encoding, "header": header}
    if preset is not None:
        chosen = Chosen(table, source, columns, root, reading)
        return make_bunch(PRESETS[preset](chosen), rules, _CALLER)
    loaded = Loaded(pd.DataFrame(), "Images listed in a table", source)
    if source is None:
        frame, where = as_frame(table, _CALLER), "The DataFrame"
    else:
        if source.is_dir():
            raise IsADirectoryError(
                f"{_CALLER}: {source} is a folder. Expected a table. For images in folders, use "
                "load_image_folder."
            )
        expected = [str(name) for names in columns.used().values() for name in names]
        parsed = read_table(source, columns=expected, **reading)
        frame, where = parsed.frame, str(source)
        _check_lines(frame, expected, where)
        loaded.details.append(
            f"Table: {source} ({len(frame)} rows, {parsed.encoding}, delimiter "
            f"{parsed.delimiter!r})"
        )
    folder = Path(os.getcwd()) if source is None else source.parent
    loaded.rows = observe(frame, columns, finder_for(root, folder), loaded, where)
    return make_bunch(loaded, rules, _CALLER)


def _check_lines(frame: pd.DataFrame, names: list[str], where: str) -> None:
    """Check that no path or label goes over several lines, which a quotation mark may do."""
    for name in {name: None for name in names if list(frame.columns).count(name) == 1}:
        for text in frame[name]:
            if "\n" in text:
                first, *_, last = text.splitlines()
                raise ValueError(
                    f"{where}: a cell in the column {name!r} goes over several lines, from "
                    f'{first!r} to {last!r}. Is a quotation mark " opened and not closed? Write '
                    "it twice where it belongs to the text."
                )


def _as_set(values: str | Collection[str]) -> Collection[str]:
    return (values,) if isinstance(values, str) else tuple(values)


def _check_box(
    box: object, box_format: str | None, box_unit: str | None, image_size: object
) -> None:
    """Check that a box is fully declared."""
    if box is None:
        return
    names = as_names(box)  # type: ignore[arg-type]
    if len(names) != 4:
        raise ValueError(
            f"The 'box' parameter of {_CALLER} must name 4 columns. Got {box!r} instead."
        )
    if box_format is None or box_unit is None:
        raise ValueError(
            f"{_CALLER}(box={box!r}) needs box_format ('xywh' or 'xyxy') and box_unit "
            "('fraction', 'percent' or 'pixel'), since nothing in a table tells these for sure."
        )
    if image_size is not None and len(as_names(image_size)) != 2:  # type: ignore[arg-type]
        raise ValueError(
            f"The 'image_size' parameter of {_CALLER} must name the columns of width and height. "
            f"Got {image_size!r} instead."
        )
