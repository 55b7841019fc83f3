"""load_coco: annotations in the format of COCO, also with the fields of COCO Camera Traps."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skcnn._utils import BOX_COLUMNS, StrOptions, check_values
from skcnn.datasets._boxes import Box, around, box_of_mask, to_fractions, unpack_counts
from skcnn.datasets._columns import (
    check_sizes,
    finder_for,
    note_times,
    sizes_of_files,
)
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import BLANK, FAILED, LABELED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import join, media_type, tidy
from skcnn.datasets._rules import Missing, Rules, SeveralLabels
from skcnn.datasets._sources import (
    PathLike,
    as_list,
    as_number,
    as_object,
    as_side,
    as_text,
    existing,
    optional_text,
    read_json,
)
from skcnn.datasets._times import parse_times

_CALLER = "load_coco"
_EXPECTED = (
    "annotations of COCO: an object with the lists 'images', 'annotations' and 'categories'"
)
# Names of categories that are no thing. Which number they have is not fixed.
STATUS_OF_NAME = {
    "empty": BLANK,
    "blank": BLANK,
    "unknown": UNKNOWN,
    "unidentified": UNKNOWN,
    "unlabeled": UNCLASSIFIED,
}
_LONGEST_RUN = 2**40


def load_coco(
    annotations: PathLike,
    *,
    root: PathLike | None = None,
    group: str | None = "location",
    empty: Literal["unclassified", "blank"] = "unclassified",
    several_labels: SeveralLabels = "drop",
    event_labels: bool = False,
    boxes: bool = True,
    keep: str | Collection[str] = ("blank",),
    missing: Missing = "raise",
) -> Bunch:
    """Load paths, categories and boxes from a JSON file of COCO or of COCO Camera Traps.

    The data sets of LILA [1]_ are in this format, and most annotation tools write it.

    Parameters
    ----------
    annotations : str or path-like
        The JSON file. It may be compressed: ``.json.gz``, or in a zip archive of its own.
    root : str, path-like or None, default=None
        Folder where the file names begin. None looks beside the JSON file, in a folder named
        ``images`` there or one level up, and in one named like the part of the data set
        (``instances_train.json``: ``train``).
    group : str or None, default="location"
        Field of the images that names the site.
    empty : {"unclassified", "blank"}, default="unclassified"
        What an image without any annotation is: one that nobody has looked at, or one in which
        there is nothing. The format does not say. An annotation of the category "empty" always
        means that there is nothing.
    several_labels : {"drop", "first", "multilabel", "rows"}, default="drop"
        What to do with an image (or box) of several categories. See :func:`load_image_table`.
    event_labels : bool, default=False
        Whether to use annotations of whole sequences (``sequence_level_annotation``) for images
        without one of their own. They may not hold for the single image.
    boxes : bool, default=True
        Whether each box is an example. If False, examples are whole images, with the categories
        of all of their boxes.
    keep : str or collection of {"blank", "unknown", "unclassified", "failed"}, default=("blank",)
        Which images without a category are examples. Images that are marked ``corrupt`` have
        failed. See :func:`load_image_table`.
    missing : {"raise", "report"}, default="raise"
        What to do if listed files are not there. See :func:`load_image_table`.

    Returns
    -------
    images : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with frame, data, target, target_names, groups, report and DESCR,
        as of :func:`load_image_table`. `frame` also has image_id, frame_number and is_crowd.

    Raises
    ------
    FileNotFoundError
        If the JSON file or images are not there.
    ValueError
        If the file is damaged or of another format, or gives no training example.

    Notes
    -----
    Times are read from ``datetime`` or ``date_captured``. A ``date_captured`` that is the same for
    all images is that of an export, and not used. Roboflow exports changed copies of photographs:
    where no site is known, the group is the photograph.

    Boxes are in pixels there (``bbox``) or in fractions (``bbox_relative``). An object without a
    box gets that around its outline or mask. Groups of objects (``iscrowd``) are examples, too;
    some programs mark each mask as a group. `is_crowd` in `frame` tells which they are.

    References
    ----------
    .. [1] Labeled Information Library of Alexandria: Biology and Conservation.
       https://lila.science

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_coco
    >>> folder = tempfile.TemporaryDirectory()
    >>> Image.new("RGB", (32, 24)).save(Path(folder.name) / "1.jpg")
    >>> content = {
    ...     "images": [{"id": "a", "file_name": "1.jpg", "location": "hill"}],
    ...     "categories": [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}],
    ...     "annotations": [{"id": 1, "image_id": "a", "category_id": 1, "bbox": [8, 6, 16, 12]}],
    ... }
    >>> path = Path(folder.name) / "traps.json"
    >>> _ = path.write_text(json.dumps(content))
    >>> images = load_coco(path)
    >>> images.target.tolist(), images.groups.tolist()
    (['fox'], ['hill'])
    >>> images.data.iloc[0, 1:].tolist()
    [0.25, 0.25, 0.5, 0.5]
    >>> folder.cleanup()
    """
    check_values(
        _CALLER,
        {"group": [str, None], "empty": [StrOptions({"unclassified", "blank"})]},
        {"group": group, "empty": empty},
    )
    rules = Rules(several_labels, False, event_labels, boxes, keep, missing).check(_CALLER)
    source = existing(annotations, _CALLER)
    where = str(source)
    content = as_object(read_json(source, _EXPECTED), where)
    lacking = [name for name in ("images", "annotations", "categories") if name not in content]
    if lacking:
        hint = " Use load_megadetector." if "detection_categories" in content else ""
        raise ValueError(f"{where} has no {lacking[0]!r}. Expected {_EXPECTED}.{hint}")
    loaded = Loaded(pd.DataFrame(), "Images annotated in the format of COCO", source)
    images = _images(as_list(content["images"], f"{where}: images"), group, where, loaded)
    finder = finder_for(root, source.parent)
    places = [""] if root is not None else _usual_folders(source.name)
    named = list(images["file_name"])
    alone = _names_alone(named)
    ways = [named] if alone == named else [named, alone]
    candidates = [[join(place, name) for name in way] for way in ways for place in places]
    found = finder.find_all(*candidates)
    images["path"], images["problem"] = found.paths, found.problems
    images["media"] = [media_type(name) for name in images["file_name"]]
    things = _annotations(content, images, where)
    rows = _join(images, things, where, loaded)
    if boxes:
        boxed = rows[rows["box_x"].notna()]
        sizes = boxed[["width", "height"]].apply(pd.to_numeric, errors="coerce")
        check_sizes(boxed["path"].to_numpy(), sizes.to_numpy(dtype=np.float64), where)
    rows["status"] = rows["status"].where(rows["status"].notna(), empty)
    rows.loc[rows["corrupt"], ["label", *BOX_COLUMNS]] = None
    rows.loc[rows["corrupt"], "status"] = FAILED
    loaded.rows = rows.drop(columns=["file_name", "width", "height", "corrupt"])
    loaded.details.append(f"File: {where}")
    return make_bunch(loaded, rules, _CALLER)


def _usual_folders(name: str) -> list[str]:
    """Return where the images may be, seen from the JSON file."""
    name = name.lower().removesuffix(".gz").removesuffix(".zip")
    part = name.removesuffix(".json").rpartition("_")[2]
    return ["", "images", "..", "../images", f"../images/{part}", f"images/{part}", f"../{part}"]


def _names_alone(names: Sequence[str]) -> list[str]:
    """Return names without the folders that lead out of the annotations, where they are unique.

    Label Studio on Windows writes such folders for images that are in `images` of its export.
    """
    last = [PurePosixPath(tidy(name)).name for name in names]
    counts = Counter(last)
    return [
        alone if counts[alone] == 1 and ".." in PurePosixPath(tidy(name)).parts else name
        for name, alone in zip(names, last)
    ]


def _images(
    items: Sequence[object], group: str | None, where: str, loaded: Loaded
) -> pd.DataFrame:
    """Return one row per image."""
    rows = []
    for i, item in enumerate(items):
        place = f"{where}: images[{i}]"
        image = as_object(item, place)
        name = image.get("file_name") or image.get("file")
        rows.append(
            {
                "image": as_text(image.get("id"), f"{place}.id"),
                "file_name": as_text(name, f"{place}.file_name"),
                "width": image.get("width"),
                "height": image.get("height"),
                "corrupt": image.get("corrupt") is True,
                "group": optional_text(image.get(group)) if group else None,
                "sequence": optional_text(image.get("seq_id")),
                "frame_number": optional_text(image.get("frame_num")),
                "time": optional_text(image.get("datetime")),
                "captured": optional_text(image.get("date_captured") or None),
            }
        )
    names = ["image", "file_name", "width", "height", "corrupt", "group", "sequence", "time"]
    frame = pd.DataFrame(rows, columns=[*names, "frame_number", "captured"])
    captured = frame.pop("captured")
    if captured.notna().sum() > 1 and captured.nunique() == 1:
        why = "are the same for all: that of an export, and not of the photographs"
        loaded.note("times in date_captured", captured.notna().sum(), why)
    else:
        frame["time"] = frame["time"].where(frame["time"].notna(), captured)
    repeated = frame.loc[frame["image"].duplicated(), "image"]
    if len(repeated):
        raise ValueError(f"{where} has several images with the id {repeated.iloc[0]!r}.")
    frame["time"], unreadable = parse_times(
        frame["time"], where=f"datetime in {where}", ambiguous="unreadable"
    )
    note_times(loaded, unreadable)
    return frame.assign(image_id=frame["image"])


def _annotations(content: Mapping[str, object], images: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per annotation, with its box as it is written."""
    numbers = images[["width", "height"]].apply(pd.to_numeric, errors="coerce")
    sizes = dict(zip(images["image"], numbers.itertuples(index=False, name=None)))
    names: dict[str, str] = {}
    for i, item in enumerate(as_list(content["categories"], f"{where}: categories")):
        place = f"{where}: categories[{i}]"
        category = as_object(item, place)
        key = as_text(category.get("id"), f"{place}.id")
        name = as_text(category.get("name"), f"{place}.name")
        if names.setdefault(key, name) != name:
            raise ValueError(
                f"{where} has two categories with the id {key!r}: {names[key]!r} and {name!r}. "
                "Nothing tells which one an annotation means. Files that were joined need new ids."
            )
    rows = []
    for i, item in enumerate(as_list(content["annotations"], f"{where}: annotations")):
        place = f"{where}: annotations[{i}]"
        thing = as_object(item, place)
        if "segments_info" in thing:
            raise ValueError(
                f"{place} has 'segments_info', as of panoptic segmentation. Expected an "
                "annotation per object: export again as COCO with instances."
            )
        key = as_text(thing.get("category_id"), f"{place}.category_id")
        if key not in names:
            raise ValueError(f"{place} has the category {key!r}, which is not listed.")
        name = names[key]
        status = STATUS_OF_NAME.get(name.lower(), LABELED)
        image = as_text(thing.get("image_id"), f"{place}.image_id")
        box, unit = _box(thing, sizes.get(image, (np.nan, np.nan)), place)
        count = thing.get("count")
        rows.append(
            {
                "image": image,
                "label": name if status == LABELED else None,
                "status": status,
                "event_level": thing.get("sequence_level_annotation") is True,
                "count": np.nan if count is None else as_number(count, f"{place}.count"),
                "unit": unit,
                "is_crowd": thing.get("iscrowd") in (1, True),
                **dict(zip(BOX_COLUMNS, box or [np.nan] * 4)),
            }
        )
    columns = [
        "image",
        "label",
        "status",
        "event_level",
        "count",
        "unit",
        "is_crowd",
        *BOX_COLUMNS,
    ]
    return pd.DataFrame(rows, columns=columns)


def _box(
    thing: Mapping[str, object], size: tuple[float, float], where: str
) -> tuple[Box | None, str]:
    """Return the box of an annotation (x, y, width, height) and its unit."""
    box, unit = None, ""
    for name, named in (("bbox_relative", "fraction"), ("bbox", "pixel")):
        if thing.get(name):
            numbers = as_list(thing[name], f"{where}.{name}")
            if len(numbers) != 4:
                raise ValueError(f"{where}.{name}: expected 4 numbers. Got {len(numbers)}.")
            x, y, width, height = (as_number(number, f"{where}.{name}") for number in numbers)
            box, unit = (x, y, width, height), named
            break
    # Some programs write zeros for boxes that they have not computed.
    if box is not None and box[2] and box[3]:
        return box, unit
    outline = thing.get("segmentation")
    if isinstance(outline, dict):
        return _mask_box(outline, size, f"{where}.segmentation"), "fraction"
    if isinstance(outline, list) and outline:
        points = _outline_points(outline, f"{where}.segmentation")
        if len(points) > 1:
            left, top, right, bottom = around(points)
            return (left, top, right - left, bottom - top), "pixel"
    return box, unit


def _outline_points(outline: Sequence[object], where: str) -> list[tuple[float, float]]:
    """Return the points of all parts of an outline."""
    points = []
    for part in outline if isinstance(outline[0], list) else [outline]:
        numbers = [as_number(number, where) for number in as_list(part, where)]
        if len(numbers) % 2:
            raise ValueError(f"{where}: expected x and y of points. Got {len(numbers)} numbers.")
        points += list(zip(numbers[::2], numbers[1::2]))
    return points


def _mask_box(
    mask: Mapping[str, object], image_size: tuple[float, float], where: str
) -> Box | None:
    """Return the box of a run-length encoded mask, in fractions of it."""
    counts = mask.get("counts")
    sides = [as_side(side, f"{where}.size") for side in as_list(mask.get("size"), f"{where}.size")]
    if len(sides) != 2 or any(side != round(side) for side in sides):
        raise ValueError(f"{where}.size: expected height and width in pixels. Got {sides}.")
    height, width = (int(side) for side in sides)
    if isinstance(counts, str):
        runs = unpack_counts(counts, f"{where}.counts")
    else:
        runs = [int(as_number(n, f"{where}.counts")) for n in as_list(counts, f"{where}.counts")]
    if any(not 0 <= run <= _LONGEST_RUN for run in runs):
        raise ValueError(f"{where}.counts: expected the lengths of runs of pixels.")
    total = sum(runs)
    # Some programs leave out the last run where nothing is in it.
    if total > height * width or (isinstance(counts, str) and total < height * width):
        raise ValueError(
            f"{where}.counts: the runs have {total} pixels in all. Expected {height * width}, as "
            f"the mask is {height} high and {width} wide: it is damaged or of another image."
        )
    across, down = image_size
    if abs(down * width - across * height) > max(down, across, height, width):
        raise ValueError(
            f"{where}.size: the mask is {height} high and {width} wide, and its image is "
            f"{down:g} high and {across:g} wide. Expected the same proportions."
        )
    box = box_of_mask(runs, height)
    if box is None:
        return None
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _join(images: pd.DataFrame, things: pd.DataFrame, where: str, loaded: Loaded) -> pd.DataFrame:
    """Return one row per image and annotation, with boxes as fractions."""
    known = things["image"].isin(images["image"])
    loaded.note("annotations", (~known).sum(), "are of images that are not listed")
    rows = images.merge(things[known], on="image", how="left")
    rows["event_level"] = rows["event_level"].eq(True)
    boxes = rows[list(BOX_COLUMNS)].to_numpy(dtype=np.float64, copy=True)
    pixels = (rows["unit"] == "pixel").to_numpy()
    if pixels.any():
        sizes = rows.loc[pixels, ["width", "height"]].apply(pd.to_numeric, errors="coerce")
        sizes = sizes.to_numpy(dtype=np.float64, copy=True)
        # Sizes that the file lacks are those of the images.
        unsized = ~(sizes > 0).all(axis=1)
        if unsized.any():
            sizes[unsized] = sizes_of_files(rows.loc[pixels, "path"].to_numpy()[unsized])
        boxes[pixels] = to_fractions(
            boxes[pixels], box_format="xywh", box_unit="pixel", sizes=sizes, where=where
        )
    boxes[~pixels] = to_fractions(
        boxes[~pixels], box_format="xywh", box_unit="fraction", where=where
    )
    rows[list(BOX_COLUMNS)] = boxes
    # A box around an image that is blank, or that nobody could tell, is none.
    rows.loc[rows["status"] == BLANK, list(BOX_COLUMNS)] = np.nan
    return rows.drop(columns="unit")
