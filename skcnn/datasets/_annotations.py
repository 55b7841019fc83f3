"""load_annotations: files of LabelMe, Label Studio, CVAT, VIA, and of Pascal VOC."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._from_r import whole
from skcnn._utils import BOX_COLUMNS, StrOptions, check_values
from skcnn.datasets._annotation_files import parse_any
from skcnn.datasets._annotation_tools import Annotation
from skcnn.datasets._boxes import MOST_OUTSIDE
from skcnn.datasets._coco import STATUS_OF_NAME
from skcnn.datasets._columns import check_sizes, finder_for, sizes_of_files
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import LABELED, UNCLASSIFIED, Loaded
from skcnn.datasets._paths import Found, folder_levels, media_type, tidy
from skcnn.datasets._rules import Missing, Rules, SeveralLabels
from skcnn.datasets._sources import PathLike, Source, existing

_CALLER = "load_annotations"


def load_annotations(
    annotations: PathLike,
    *,
    root: PathLike | None = None,
    group: int | Literal["subset"] | None = None,
    control: str | None = None,
    empty: Literal["unclassified", "blank"] = "unclassified",
    several_labels: SeveralLabels = "drop",
    machine_labels: bool = False,
    boxes: bool = True,
    keep: str | Collection[str] = ("blank",),
    missing: Missing = "raise",
    extract_to: PathLike | None = None,
) -> Bunch:
    """Load labels and boxes that were drawn with LabelMe, Label Studio, CVAT, VIA or labelImg.

    Which tool has written a file is seen from its content. Shapes of any kind become the box
    around them.

    Parameters
    ----------
    annotations : str or path-like
        - LabelMe: a JSON file, or the folder that contains one per image.
        - Label Studio: the export in the format JSON.
        - CVAT: the XML file, folder or zip archive of an export as "CVAT for images 1.1".
        - VIA: the project, or its annotations exported as JSON or CSV.
        - Pascal VOC, which labelImg writes: an XML file, or the folder that contains one per
          image. The images may be beside them, or in a folder JPEGImages or images.
    root : str, path-like or None, default=None
        Folder of the images. None takes that of the file.
    group : int, "subset" or None, default=None
        What names the site: the level of a folder of the image below `root` (0 is the first), or
        the subset of CVAT.
    control : str or None, default=None
        For Label Studio: the name of the control tag (``<Choices name="species">``) that has the
        label. None uses all. For VIA: the name of the attribute of the regions or files. None
        uses that of the regions, if it is the only one. For CVAT: the name of the attribute that
        has the label, such as the species of a box "animal". None uses the label.
    empty : {"unclassified", "blank"}, default="unclassified"
        What an image without labels is: one that nobody has looked at, or one in which there is
        nothing. Tools do not tell these apart, except for tasks of Label Studio that nobody has
        submitted.
    several_labels : {"drop", "first", "multilabel", "rows"}, default="drop"
        What to do with an image (or box) of several labels, also by several annotators. See
        :func:`load_image_table`.
    machine_labels : bool, default=False
        Whether to use predictions of Label Studio for images that nobody has annotated.
    boxes : bool, default=True
        Whether each shape is an example. If False, examples are whole images, with the labels of
        all of their shapes.
    keep : str or collection of {"blank", "unknown", "unclassified", "failed"}, default=("blank",)
        Which images without a label are examples. See :func:`load_image_table`. Labels named
        "empty", "blank", "unknown" or "unidentified" mean that.
    missing : {"raise", "report"}, default="raise"
        What to do if images are not there. See :func:`load_image_table`.
    extract_to : str, path-like or None, default=None
        Folder to unpack a zip archive into. None takes a folder beside it, with its name without
        ``.zip``.

    Returns
    -------
    images : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with frame, data, target, target_names, groups, report and DESCR,
        as of :func:`load_image_table`. `frame` also has subset and annotator, where known.

    Raises
    ------
    FileNotFoundError
        If the file or images are not there.
    ValueError
        If a file is damaged or of another program, or no training example is left.

    See Also
    --------
    load_coco : The format COCO, which these tools write, too.

    Notes
    -----
    Flags of LabelMe and tags of CVAT are labels of the whole image, and so are those of shapes
    without an area, such as a point. Where an image has boxes, these are left out unless
    ``boxes=False``. Annotations that were canceled in Label Studio are left out, and images
    with the flag ``__ignore__`` of LabelMe.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_annotations
    >>> folder = tempfile.TemporaryDirectory()
    >>> Image.new("RGB", (32, 24)).save(Path(folder.name) / "1.jpg")
    >>> shape = {"label": "fox", "points": [[24, 18], [8, 6]], "shape_type": "rectangle"}
    >>> content = {"imagePath": "1.jpg", "flags": {}, "shapes": [shape]}
    >>> _ = (Path(folder.name) / "1.json").write_text(json.dumps(content))
    >>> images = load_annotations(folder.name)
    >>> images.target.tolist(), images.data.iloc[0, 1:].tolist()
    (['fox'], [0.25, 0.25, 0.5, 0.5])
    >>> folder.cleanup()
    """
    check_values(
        _CALLER,
        {"control": [str, None], "empty": [StrOptions({"unclassified", "blank"})]},
        {"control": control, "empty": empty},
    )
    group = whole(group)  # R sends 0.0 for 0
    if not (group is None or group == "subset" or isinstance(group, int)):
        raise ValueError(
            f"The 'group' parameter of {_CALLER} must be the level of a folder, 'subset' or None. "
            f"Got {group!r} instead."
        )
    rules = Rules(several_labels, machine_labels, False, boxes, keep, missing).check(_CALLER)
    path = existing(annotations, _CALLER)
    loaded = Loaded(pd.DataFrame(), "Images annotated by hand", path)
    found, base = _read(path, control, extract_to, loaded)
    if not found:
        passed = "".join(f" Passed over: {n} {what}." for what, n, _ in loaded.notes)
        video = "tracks of videos" in passed
        raise ValueError(
            f"{path} contains no annotations. Expected JSON files of LabelMe, an export of Label "
            "Studio in the format JSON, annotations.xml of CVAT, a project of VIA, or XML files "
            "of Pascal VOC. Files with 'images' and 'annotations' are of load_coco; the label "
            f"files of YOLO (.txt) are not read: export as one of these.{passed}"
            + (" Export again as 'CVAT for images 1.1'." if video else "")
        )
    finder = finder_for(root, base)
    longest = max(len(item.candidates) for item in found)
    columns = [
        [item.candidates[i] if i < len(item.candidates) else None for item in found]
        for i in range(longest)
    ]
    files = finder.find_all(*columns)
    _explain_problems(files, found)
    labels = [item.label for item in found]
    rows = pd.DataFrame(
        {
            "image": [item.image for item in found],
            "path": files.paths,
            "problem": files.problems,
            "media": [media_type(item.candidates[0]) for item in found],
            "label": pd.Series(labels, dtype=object),
            "status": [_status(item, empty) for item in found],
            "machine": [item.machine for item in found],
            "subset": [item.subset for item in found],
            "annotator": [item.annotator for item in found],
        }
    )
    rows.loc[rows["status"] != LABELED, "label"] = None
    if boxes:
        rows[list(BOX_COLUMNS)] = _boxes(found, rows["path"], str(path))
        sizes = [item.size if item.size and item.corners else (np.nan, np.nan) for item in found]
        check_sizes(rows["path"].to_numpy(), np.array(sizes, dtype=np.float64), str(path))
    if group == "subset":
        rows["group"] = rows["subset"]
    elif group is not None:
        rows["group"] = folder_levels(rows["path"], finder.root, group)
    loaded.rows = rows
    loaded.details.append(f"Annotations: {path}")
    return make_bunch(loaded, rules, _CALLER)


def _read(
    path: Path, control: str | None, extract_to: PathLike | None, loaded: Loaded
) -> tuple[list[Annotation], Path]:
    """Return all annotations, and the folder where names of images begin."""
    single = path.is_file() and path.suffix.lower() != ".zip"
    with Source(path.parent if single else path) as source:
        names = source.names() if not single else [path.name]
        own = (
            [path.name] if single else [n for n in names if n.lower().endswith((".json", ".xml"))]
        )
        found: list[Annotation] = []
        ignored: dict[str, int] = {}
        controls: set[str] = set()
        for name in own:
            where = str(path) if single else f"{path}/{name}"
            parsed = parse_any(source.read(name), where, name, control)
            if parsed is None:
                ignored["other JSON files"] = ignored.get("other JSON files", 0) + 1
                continue
            if control is not None and parsed.controls is None:
                raise ValueError(
                    f"The 'control' parameter of {_CALLER} is {control!r}, but {where} is of "
                    "LabelMe or Pascal VOC, which have no such names. Expected None."
                )
            found += parsed.annotations
            controls |= parsed.controls or set()
            for what, n in parsed.ignored.items():
                ignored[what] = ignored.get(what, 0) + n
        if control is not None and controls and control not in controls:
            raise ValueError(
                f"The 'control' parameter of {_CALLER} is {control!r}. Expected one of the names "
                f"in {path}: {', '.join(map(repr, sorted(controls)))}."
            )
        for what, n in ignored.items():
            loaded.note(what, n, "are passed over")
        if single or path.is_dir():
            return found, source.path
        base = path.with_suffix("") if extract_to is None else Path(extract_to).expanduser()
        source.extract([name for name in names if media_type(name) == "image"], base)
        return found, base.absolute()


def _explain_problems(files: Found, found: Sequence[Annotation]) -> None:
    """Mark files that several images were found as, and tell where else an image is."""
    written: dict[str, set[str]] = {}
    for path, item in zip(files.paths, found):
        written.setdefault(path, set()).add(tidy(item.candidates[0]))
    for i, path in enumerate(files.paths):
        if len(written[path]) > 1 and not files.problems[i]:
            shown = " and ".join(sorted(written[path])[:2])
            files.problems[i] = f"may be any of {len(written[path])} images, such as {shown}"
        elif files.problems[i] and found[i].embedded:
            files.problems[i] += (
                f", but is in {found[i].embedded}: write what base64.b64decode makes of it"
            )


def _status(item: Annotation, empty: str) -> str:
    """Return whether the label of an annotation is one."""
    if item.label is not None:
        return STATUS_OF_NAME.get(item.label.lower(), LABELED)
    return empty if item.annotated else UNCLASSIFIED


def _boxes(found: Sequence[Annotation], paths: pd.Series, where: str) -> npt.NDArray[np.float64]:
    """Return the boxes as fractions, clipped to their images; NaN where there is none.

    Raises
    ------
    ValueError
        If the middle of many boxes is outside of their images, so that they are of others.
    """
    corners = np.array([item.corners or [np.nan] * 4 for item in found], dtype=np.float64)
    sizes = np.array([item.size or (np.nan, np.nan) for item in found], dtype=np.float64)
    percent = np.array([item.unit == "percent" for item in found], dtype=bool)
    sizes[percent] = 100
    unsized = np.isnan(sizes[:, 0]) & ~np.isnan(corners[:, 0])
    if unsized.any():
        sizes[unsized] = sizes_of_files(paths.to_numpy()[unsized])
    drawn = corners / np.tile(sizes, 2)
    known = ~np.isnan(drawn).any(axis=1)
    middles = (drawn[:, :2] + drawn[:, 2:]) / 2
    outside = np.flatnonzero(known & ((middles < 0) | (middles > 1)).any(axis=1))
    if len(outside) > MOST_OUTSIDE * known.sum():
        first = outside[0]
        shown = ", ".join(f"{value:.4g}" for value in corners[first])
        raise ValueError(
            f"{where}: {len(outside)} of {known.sum()} boxes are outside of their images, such as "
            f"that of {found[first].label!r} in {paths.iloc[first]}: its corners are {shown} in "
            f"an image of {sizes[first, 0]:g}x{sizes[first, 1]:g} ({found[first].unit}). They "
            "were drawn in larger images, or the file is damaged. Pass root= with the folder of "
            "the images that were annotated. boxes=False uses whole images."
        )
    fractions = np.clip(drawn, 0, 1)
    low = np.minimum(fractions[:, :2], fractions[:, 2:])
    high = np.maximum(fractions[:, :2], fractions[:, 2:])
    return np.hstack([low, high - low])
