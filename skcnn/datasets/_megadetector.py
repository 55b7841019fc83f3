"""load_megadetector: what MegaDetector and SpeciesNet have found in images."""

from collections.abc import Collection
from numbers import Real

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._from_r import whole
from skcnn._other_tables import to_frame
from skcnn._utils import BOX_COLUMNS, Interval, check_values
from skcnn.datasets._columns import finder_for, note_times
from skcnn.datasets._detections import parse_megadetector, parse_speciesnet
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import BLANK, LABELED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import folder_levels, media_type, tidy
from skcnn.datasets._rules import Missing, Rules, SeveralLabels
from skcnn.datasets._scan import exif_times
from skcnn.datasets._sources import (
    PathLike,
    as_object,
    existing,
    read_json,
)
from skcnn.datasets._times import parse_times

_CALLER = "load_megadetector"
# Categories of detectors. Any other one is "animal", or a kind of animal.
_NO_ANIMALS = {"person", "human", "vehicle"}
_EXPECTED = (
    "results of MegaDetector (an object with 'images' and 'detection_categories') or of "
    "SpeciesNet (an object with 'predictions')"
)


def load_megadetector(
    results: PathLike,
    *,
    root: PathLike | None = None,
    threshold: float | None = None,
    labels: pd.DataFrame | None = None,
    label: int | None = None,
    group: int | None = None,
    time: str | None = None,
    categories: str | Collection[str] | None = "animal",
    several_labels: SeveralLabels = "drop",
    machine_labels: bool = False,
    boxes: bool = True,
    keep: str | Collection[str] | None = None,
    missing: Missing = "raise",
) -> Bunch:
    """Load the boxes that MegaDetector or SpeciesNet has found, to train on or to classify.

    Each box above the threshold is an example: the part of the image with the animal. Labels come
    from you: the names of folders or a table. Those of a program are used only if you ask.

    Parameters
    ----------
    results : str or path-like
        JSON file, in the output format of MegaDetector [1]_ or SpeciesNet. It may be compressed:
        ``.json.gz``, or in a zip archive of its own.
    root : str, path-like or None, default=None
        Folder where relative paths begin. None takes the folder of the JSON file. Where `root` is
        given, absolute paths of another machine are looked for in it, too.
    threshold : float or None, default=None
        Smallest confidence of a box. None takes what the file recommends
        (``typical_detection_threshold``), else 0.8 for MegaDetector 4 and for files that name no
        detector, and 0.2 for others. Look at your images before you trust it.
    labels : DataFrame or None, default=None
        Labels by path: the `frame` of another loader, or a table with columns path and label.
        Relative paths begin where those of the JSON file begin. A label goes to each box of its
        image, and so do the group, the time and all other columns of the table.
    label : int or None, default=None
        Level of the folder that names the label: 0 is the first folder of the path, -1 the one
        that contains the file.
    group : int or None, default=None
        Level of the folder that names the site.
    time : "exif" or None, default=None
        "exif" reads the time of each photograph from its file.
    categories : str, collection of str or None, default="animal"
        Which boxes to use, by the category of the detector. "animal" is all but people and
        vehicles, also where a detector names species. None uses all. A person in a photo of a
        fox is no fox.
    several_labels : {"drop", "first", "multilabel", "rows"}, default="drop"
        What to do with an image of several labels, if ``boxes=False``. See
        :func:`load_image_table`.
    machine_labels : bool, default=False
        Whether labels come from the program: the most likely class of a box, or, where no
        classifier was used, the category of the detector.
    boxes : bool, default=True
        If False, examples are whole images, with the labels of all of their boxes.
    keep : str, collection of {"blank", "unknown", "unclassified", "failed"} or None, default=None
        What else becomes an example: images in which nothing was found ("blank"), boxes that no
        class was found for ("unknown") or that have no label ("unclassified"), and images that
        the program could not read ("failed"). None keeps boxes without a label if you ask for no
        labels, as for `predict`, and nothing otherwise.
    missing : {"raise", "report"}, default="raise"
        What to do if listed files are not there. See :func:`load_image_table`.

    Returns
    -------
    images : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with frame, data, target, target_names, groups, report and DESCR,
        as of :func:`load_image_table`. `frame` also has detection_category and
        detection_confidence, and with ``machine_labels=True`` the probability of each class as
        ``probability_<class>``.

    Raises
    ------
    FileNotFoundError
        If the file or images are not there.
    ValueError
        If the file is damaged or of another format, or gives no example.

    See Also
    --------
    write_predictions : Write such a file.

    References
    ----------
    .. [1] Beery, S., Morris, D. and Yang, S. (2019). "Efficient pipeline for camera trap image
       review". arXiv:1907.06772.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_megadetector
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ["fox/1.jpg", "hare/2.jpg"]:
    ...     (Path(folder.name) / name).parent.mkdir()
    ...     Image.new("RGB", (32, 24)).save(Path(folder.name) / name)
    >>> results = {
    ...     "info": {"format_version": "1.6", "detector": "md_v5a.0.0.pt"},
    ...     "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    ...     "images": [
    ...         {"file": "fox/1.jpg", "detections": [
    ...             {"category": "1", "conf": 0.93, "bbox": [0.25, 0.5, 0.25, 0.25]},
    ...             {"category": "1", "conf": 0.04, "bbox": [0, 0, 0.5, 0.5]}]},
    ...         {"file": "hare/2.jpg", "detections": []},
    ...     ],
    ... }
    >>> path = Path(folder.name) / "results.json"
    >>> _ = path.write_text(json.dumps(results))
    >>> images = load_megadetector(path, label=0)
    >>> images.target.tolist()
    ['fox']
    >>> images.data.iloc[0, 1:].tolist()
    [0.25, 0.5, 0.25, 0.25]
    >>> images.report.notes
                                    what  n                        remark
    0  boxes below the threshold of 0.20  1   threshold= sets another one
    1                       blank images  1  keep=['blank'] keeps them
    >>> folder.cleanup()
    """
    check_values(
        _CALLER,
        {"threshold": [Interval(Real, 0, 1, closed="both"), None]},
        {"threshold": threshold},
    )
    label, group = whole(label), whole(group)  # R sends 0.0 for 0
    asked = machine_labels or labels is not None or label is not None
    if keep is None:
        keep = () if asked else ("unclassified",)
    rules = Rules(several_labels, machine_labels, False, boxes, keep, missing).check(_CALLER)
    source = existing(results, _CALLER)
    content = as_object(read_json(source, _EXPECTED), str(source))
    if "predictions" in content:
        parsed = parse_speciesnet(content, str(source))
    elif "annotations" in content:
        raise ValueError(
            f"{source} has 'annotations', as of COCO. Expected {_EXPECTED}. Use load_coco."
        )
    elif "images" in content:
        parsed = parse_megadetector(content, str(source))
    else:
        raise ValueError(f"{source} has neither 'images' nor 'predictions'. Expected {_EXPECTED}.")
    loaded = Loaded(pd.DataFrame(), f"Boxes found by {parsed.program}", source)
    limit = parsed.threshold if threshold is None else float(threshold)
    rows = parsed.rows
    if boxes or not parsed.of_images:
        rows = _of_categories(_above(rows, limit, loaded), categories, loaded)
    labels = to_frame(labels)
    _check_labels(label, labels)
    if not machine_labels:
        rows = _without_machine_labels(rows, loaded)
    finder = finder_for(root, source.parent)
    found = finder.find_all(rows["image"])
    rows = rows.assign(
        path=found.paths,
        problem=found.problems,
        media=[media_type(name) for name in rows["image"]],
    )
    names = [tidy(name) for name in rows["image"]]
    names = [name.removeprefix(finder.replaced or "") for name in names]
    if label is not None:
        _give_labels(rows, pd.Series(folder_levels(names, finder.root, label), index=rows.index))
    if group is not None:
        rows["group"] = folder_levels(names, finder.root, group)
    if time == "exif":
        different = rows["path"].drop_duplicates()
        texts, unreadable = parse_times(
            exif_times(different), where="EXIF times", ambiguous="unreadable"
        )
        rows["time"] = rows["path"].map(dict(zip(different, texts)))
        note_times(loaded, unreadable)
    if labels is not None:
        paths = finder_for(root, source.parent).find_all([str(path) for path in labels["path"]])
        rows = _join_labels(rows, labels.assign(path=paths.paths))
    loaded.rows = rows
    loaded.details += [f"File: {source}", f"Boxes have at least the confidence {limit:g}."]
    return make_bunch(loaded, rules, _CALLER)


def _above(rows: pd.DataFrame, threshold: float, loaded: Loaded) -> pd.DataFrame:
    """Leave out boxes below the threshold; an image without any other is blank."""
    low = (rows["detection_confidence"] < threshold).to_numpy()
    what = f"boxes below the threshold of {threshold:.2f}"
    loaded.note(what, low.sum(), "threshold= sets another one")
    return _replaced_by_blank(rows, low)


def _replaced_by_blank(rows: pd.DataFrame, out: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Leave out rows; an image that had no others becomes one in which nothing was found."""
    left = set(rows.loc[~out, "image"])
    emptied = out & ~rows["image"].isin(left).to_numpy() & ~rows["image"].duplicated().to_numpy()
    rows = rows.copy()
    rows.loc[emptied, [n for n in rows.columns if n not in ("image", "status")]] = None
    rows.loc[emptied, "status"] = BLANK
    return rows[~out | emptied].reset_index(drop=True)


def _of_categories(
    rows: pd.DataFrame, categories: str | Collection[str] | None, loaded: Loaded
) -> pd.DataFrame:
    """Leave out boxes of other categories, such as people."""
    if categories is None:
        return rows
    wanted = {categories} if isinstance(categories, str) else set(categories)
    found = set(rows["detection_category"].dropna())
    unknown = wanted - found - {"animal", *_NO_ANIMALS}
    if unknown:
        raise ValueError(
            f"The 'categories' parameter of {_CALLER} contains {sorted(unknown)[0]!r}. The file "
            f"has boxes of {', '.join(map(repr, sorted(found)))}."
        )
    if "animal" in wanted:
        wanted |= found - _NO_ANIMALS  # detectors of species have a category for each
    other = (
        rows["detection_category"].notna() & ~rows["detection_category"].isin(wanted)
    ).to_numpy()
    loaded.note("boxes of other categories", other.sum(), "categories=None uses all")
    return rows[~other].reset_index(drop=True)


def _check_labels(label: int | None, labels: pd.DataFrame | None) -> None:
    if labels is None:
        return
    if label is not None:
        raise ValueError(f"{_CALLER} got both label= and labels=. Expected at most one of them.")
    if not isinstance(labels, pd.DataFrame) or not {"path", "label"} <= set(labels.columns):
        raise ValueError(
            f"The 'labels' parameter of {_CALLER} must be a DataFrame with columns 'path' and "
            "'label', such as the frame of another loader."
        )


def _without_machine_labels(rows: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Take away the labels of the program, and leave the boxes."""
    boxed = rows["box_x"].notna()
    told = rows["status"].isin({LABELED, UNKNOWN}) | (boxed & (rows["status"] == BLANK))
    named = [name for name in rows.columns if str(name).startswith("probability")]
    if named:
        loaded.note("labels by a machine", told.sum(), "machine_labels=True uses them")
    rows = rows.drop(columns=named)
    rows.loc[boxed | told, "status"] = UNCLASSIFIED
    rows["label"] = None
    return rows


def _give_labels(rows: pd.DataFrame, labels: pd.Series) -> None:
    """Give labels to boxes, in place; not to images in which nothing was found."""
    boxed = rows["box_x"].notna() & labels.notna()
    rows.loc[boxed, "label"] = labels[boxed]
    rows.loc[boxed, "status"] = LABELED


def _join_labels(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Give each box what a table says of its image."""
    rows = rows.copy()
    if len(labels) and not set(labels["path"]) & set(rows["path"]):
        raise ValueError(
            f"The 'labels' parameter of {_CALLER} has {len(labels)} paths, such as "
            f"{labels['path'].iloc[0]}, and none is that of an image of the file, such as "
            f"{rows['path'].iloc[0] if len(rows) else 'none'}. Relative paths begin in root=, or "
            "in the folder of the file."
        )
    several = labels.groupby("path")["label"].nunique()
    several = several[several > 1]
    if len(several):
        raise ValueError(
            f"The 'labels' parameter of {_CALLER} has {len(several)} paths with several labels, "
            f"such as {several.index[0]}. Nothing tells which box has which: leave them out."
        )
    by_path = labels.drop_duplicates("path").set_index("path")
    # What a box or its label has of its own stays; what is known of the image comes along.
    own = {*BOX_COLUMNS, "label", "status", "count", "probability", *rows.columns}
    for name in by_path.columns:
        if name not in own:
            rows[name] = rows["path"].map(by_path[name])
    given = rows["path"].map(by_path["label"])
    _give_labels(rows, given.astype(object).where(given.notna(), None))
    return rows
