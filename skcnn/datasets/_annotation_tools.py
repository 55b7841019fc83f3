"""What LabelMe, Label Studio and CVAT write: labels of images, and shapes in them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from skcnn.datasets._boxes import around, around_ellipse
from skcnn.datasets._paths import is_url, join, media_type, tidy
from skcnn.datasets._sources import (
    as_list,
    as_number,
    as_object,
    as_side,
    as_text,
    optional_text,
)

Corners = tuple[float, float, float, float]
Points = list[tuple[float, float]]
# Answers in Label Studio that are no names.
_NO_LABELS = {"number", "rating", "datetime"}
_HASH = re.compile(r"[0-9a-f]{8}-(?=.)")


class Annotation(NamedTuple):
    """A label of an image, or of a shape in it; without a label, a sign of the image."""

    image: str
    candidates: tuple[str, ...]  # where the image may be, below the folder of the file
    label: str | None = None
    corners: Corners | None = None  # x1, y1, x2, y2
    unit: str = "pixel"
    size: tuple[float, float] | None = None  # width and height of the image
    machine: bool = False
    annotated: bool = True  # whether somebody has finished the image
    subset: str | None = None
    annotator: str | None = None


class Parsed(NamedTuple):
    """The annotations in a file, and how many things in it are none."""

    annotations: list[Annotation]
    ignored: dict[str, int]


def parse_labelme(content: Mapping[str, object], where: str, name: str) -> Parsed:
    """Read a file of LabelMe: flags are labels of the image, shapes have labels of their own."""
    folder = str(PurePosixPath(name).parent)
    path = tidy(as_text(content.get("imagePath"), f"{where}: imagePath"))
    # The image was beside the file, wherever both have been moved since.
    beside = join(folder, PurePosixPath(path).name)
    image = Annotation(name, (join(folder, path), beside), size=_size(content, where))
    flags = as_object(content.get("flags") or {}, f"{where}: flags")
    chosen = [flag for flag, is_set in flags.items() if is_set is True]
    if "__ignore__" in chosen:
        return Parsed([], {"images marked __ignore__": 1})
    found = [image._replace(label=flag) for flag in chosen]
    for i, item in enumerate(as_list(content.get("shapes") or [], f"{where}: shapes")):
        place = f"{where}: shapes[{i}]"
        shape = as_object(item, place)
        corners = _labelme_corners(shape, place)
        label = as_text(shape.get("label"), f"{place}.label")
        found.append(image._replace(label=label, corners=corners))
    return Parsed(found or [image], {})


def _size(content: Mapping[str, object], where: str) -> tuple[float, float] | None:
    """Return the size of the image, if the file has it."""
    if not content.get("imageWidth") or not content.get("imageHeight"):
        return None
    return (
        as_side(content["imageWidth"], f"{where}: imageWidth"),
        as_side(content["imageHeight"], f"{where}: imageHeight"),
    )


def _labelme_corners(shape: Mapping[str, object], where: str) -> Corners | None:
    """Return the box around a shape of LabelMe, None if it has no area."""
    points = _points(shape.get("points"), f"{where}.points")
    if shape.get("shape_type") == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    return with_area(points)


def _points(value: object, where: str) -> Points:
    """Return the points of a JSON value."""
    points: Points = []
    for item in as_list(value, where):
        pair = as_list(item, where)
        if len(pair) != 2:
            raise ValueError(f"{where}: expected pairs of numbers. Got {len(pair)} of them.")
        x, y = (as_number(number, where) for number in pair)
        points.append((x, y))
    return points


def with_area(points: Points) -> Corners | None:
    """Return the box around points, None if it has no area, as that of a single point."""
    if not points:
        return None
    left, top, right, bottom = around(points)
    return (left, top, right, bottom) if left < right and top < bottom else None


def parse_label_studio(content: Sequence[object], where: str, control: str | None) -> Parsed:
    """Read an export of Label Studio: a list of tasks, each with annotations by people."""
    found: list[Annotation] = []
    cancelled = 0
    for i, item in enumerate(content):
        place = f"{where}: [{i}]"
        task = as_object(item, place)
        if "data" not in task:
            raise ValueError(
                f"{place} has no 'data'. Expected the export format JSON of Label Studio (not "
                "JSON-MIN)."
            )
        text = _image_of_task(as_object(task["data"], f"{place}.data"), f"{place}.data")
        image = Annotation(str(task.get("id", i)), _label_studio_names(text), unit="percent")
        own = as_list(task.get("annotations") or task.get("completions") or [], place)
        done = [as_object(entry, f"{place}.annotations") for entry in own]
        finished = [entry for entry in done if entry.get("was_cancelled") is not True]
        cancelled += len(done) - len(finished)
        guesses = as_list(task.get("predictions") or [], f"{place}.predictions")
        machine = [as_object(entry, f"{place}.predictions") for entry in guesses]
        labels: list[Annotation] = []
        for entry in finished:
            by = entry.get("completed_by")
            # A number, or all that is known of the person.
            by = optional_text(by.get("email") or by.get("id") if isinstance(by, dict) else by)
            labels += _results(entry, image._replace(annotator=by), control, place)
        for entry in machine:
            labels += _results(entry, image._replace(machine=True), control, place)
        if not any(not label.machine for label in labels):
            labels.append(image._replace(annotated=bool(finished)))
        found += labels
    return Parsed(found, {"cancelled annotations": cancelled})


def _image_of_task(data: Mapping[str, object], where: str) -> str:
    """Return the image of a task, under whatever name it has."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    for key in ("image", "img", "photo"):
        if key in texts:
            return texts[key]
    for text in texts.values():
        if media_type(text.partition("?")[0]) == "image" or "local-files" in text:
            return text
    raise ValueError(f"{where} names no image. Its fields are {', '.join(map(repr, data))}.")


def _label_studio_names(text: str) -> tuple[str, ...]:
    """Return where an image may be: uploads get a folder and eight digits before the name.

    Examples
    --------
    >>> _label_studio_names("/data/upload/1/0a1b2c3d-fox.jpg")
    ('/data/upload/1/0a1b2c3d-fox.jpg', '0a1b2c3d-fox.jpg', 'fox.jpg')
    >>> _label_studio_names("/data/local-files/?d=photos/fox.jpg")
    ('photos/fox.jpg', '/photos/fox.jpg', 'fox.jpg')
    """
    if "local-files" in text:
        path = parse_qs(urlsplit(text).query).get("d", [""])[0]
        return path, f"/{path.lstrip('/')}", PurePosixPath(tidy(path)).name
    path = unquote(urlsplit(text).path) if is_url(text) else tidy(text)
    name = PurePosixPath(path).name
    return tuple(dict.fromkeys([text, name, _HASH.sub("", name, count=1)]))


def _results(
    entry: Mapping[str, object], image: Annotation, control: str | None, where: str
) -> Iterator[Annotation]:
    """Yield the labels that one annotator, or a program, has given an image."""
    for item in as_list(entry.get("result") or [], f"{where}.result"):
        result = as_object(item, f"{where}.result")
        if control is not None and result.get("from_name") != control:
            continue
        kind = str(result.get("type"))
        value = result.get("value")
        if not isinstance(value, dict) or kind not in value or kind in _NO_LABELS:
            continue  # a text, a rating, or a shape without a label
        listed = as_list(value[kind], f"{where}.result.value.{kind}")
        # Of a path in a taxonomy, the last is the taxon.
        names = [part[-1] if isinstance(part, list) and part else part for part in listed]
        corners = _label_studio_corners(result, value, f"{where}.result.value")
        size = None if corners is None else _drawn_size(result, image, f"{where}.result")
        for name in names:
            text = as_text(name, f"{where}.result.value.{kind}")
            yield image._replace(label=text, corners=corners, size=size)


def _drawn_size(
    result: Mapping[str, object], image: Annotation, where: str
) -> tuple[float, float] | None:
    """Return the size of the image that somebody has drawn in; None where it is not told."""
    sides = [result.get(f"original_{name}") for name in ("width", "height")]
    # Turned by a button, the image may have either side as its width, in different versions.
    is_turned = as_number(result.get("image_rotation") or 0, f"{where}.image_rotation") % 180
    if image.machine or is_turned or None in sides:
        return None
    width, height = (as_side(side, f"{where}: original size") for side in sides)
    return width, height


def _label_studio_corners(
    result: Mapping[str, object], value: Mapping[str, object], where: str
) -> Corners | None:
    """Return the box around a shape of Label Studio in percent, None if it has none."""
    if isinstance(value.get("points"), list):
        return with_area(_points(value["points"], f"{where}.points"))
    degrees = as_number(value.get("rotation") or 0, f"{where}.rotation")
    if {"x", "y", "radiusX", "radiusY"} <= set(value):
        x, y, rx, ry = (as_number(value[name], where) for name in ("x", "y", "radiusX", "radiusY"))
        if not degrees:
            return around_ellipse(x, y, rx, ry)
        width, height = _in_pixels(result, where)
        corners = around_ellipse(x * width, y * height, rx * width, ry * height, degrees)
        return corners[0] / width, corners[1] / height, corners[2] / width, corners[3] / height
    if {"x", "y", "width", "height"} <= set(value) and value.get("format") != "rle":
        x, y = as_number(value["x"], where), as_number(value["y"], where)
        right = x + as_number(value["width"], where)
        bottom = y + as_number(value["height"], where)
        if not degrees:
            return x, y, right, bottom
        # Turned about their top left corner.
        width, height = _in_pixels(result, where)
        edges = [(x, y), (right, y), (right, bottom), (x, bottom)]
        turned = rotate(
            [(x * width, y * height) for x, y in edges], (x * width, y * height), degrees
        )
        return around([(x / width, y / height) for x, y in turned])
    return None


def _in_pixels(result: Mapping[str, object], where: str) -> tuple[float, float]:
    """Return what to multiply percent by before something is turned."""
    return (
        as_side(result.get("original_width"), f"{where}: original_width"),
        as_side(result.get("original_height"), f"{where}: original_height"),
    )


def rotate(points: Points, center: tuple[float, float], degrees: float) -> Points:
    """Turn points clockwise about a center, in an image whose y goes down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = center
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in points
    ]


def parse_cvat(root: ElementTree.Element, where: str) -> Parsed:
    """Read annotations.xml of the format "CVAT for images"."""
    found: list[Annotation] = []
    for element in root.iter("image"):
        name = element.get("name")
        if not name:
            raise ValueError(f"{where} has an <image> without a name.")
        size = (
            as_side(element.get("width"), f"{where}: width of {name}"),
            as_side(element.get("height"), f"{where}: height of {name}"),
        )
        subset = element.get("subset")
        places = ["images", f"images/{subset}" if subset else "", "", subset or ""]
        candidates = tuple(dict.fromkeys(join(place, name) for place in places))
        key = f"{subset or ''}/{name}"
        image = Annotation(key, candidates, size=size, subset=subset)
        labels = [
            image._replace(label=label, corners=_cvat_corners(shape, f"{where}: {name}"))
            for shape in element
            if (label := (shape.get("label") or "").strip())
        ]
        found += labels or [image]
    return Parsed(found, {"tracks of videos": len(root.findall("track"))})


def _cvat_corners(shape: ElementTree.Element, where: str) -> Corners | None:
    """Return the box around a shape of CVAT, None for a tag of the image and for a point."""
    where = f"{where}: <{shape.tag}>"
    if shape.tag == "tag":
        return None

    def number(name: str) -> float:
        return as_number(shape.get(name), f"{where} {name}")

    if shape.tag == "ellipse":
        x, y, rx, ry = (number(name) for name in ("cx", "cy", "rx", "ry"))
        degrees = as_number(shape.get("rotation") or 0, f"{where} rotation")
        return around_ellipse(x, y, rx, ry, degrees)
    if shape.tag == "mask":
        left, top = number("left"), number("top")
        corners = (left, top, left + number("width"), top + number("height"))
    elif shape.tag == "box":
        corners = (number("xtl"), number("ytl"), number("xbr"), number("ybr"))
    else:
        return with_area(_cvat_points(shape, where))
    degrees = as_number(shape.get("rotation") or 0, f"{where} rotation")
    if not degrees:
        return corners
    left, top, right, bottom = corners
    edges = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return around(rotate(edges, ((left + right) / 2, (top + bottom) / 2), degrees))


def _cvat_points(shape: ElementTree.Element, where: str) -> Points:
    """Return the points of a polygon, cuboid or skeleton."""
    texts = [part.get("points") or "" for part in shape.iter()]
    pairs = [pair.split(",") for text in texts for pair in text.split(";") if pair]
    corner = re.compile(r"x(tl|bl|tr|br)\d")
    pairs += [
        [value, shape.get(f"y{key[1:]}") or ""]
        for key, value in shape.items()
        if corner.match(key)
    ]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{where}: expected points as x,y;x,y.")
    return [(as_number(x, where), as_number(y, where)) for x, y in pairs]
