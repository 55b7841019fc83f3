"""What LabelMe and CVAT write: labels of images, and shapes in them."""

import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

from skcnn.datasets._boxes import around, around_ellipse
from skcnn.datasets._paths import join, media_type, tidy
from skcnn.datasets._sources import (
    as_list,
    as_number,
    as_object,
    as_side,
    as_text,
)

Corners = tuple[float, float, float, float]
Points = list[tuple[float, float]]
_FRAME_ENDINGS = (".PNG", ".png", ".jpg")


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
    embedded: str = ""  # where the image is, too, if it has no file


class Parsed(NamedTuple):
    """The annotations in a file, how many things in it are none, and what control= may name."""

    annotations: list[Annotation]
    ignored: dict[str, int]
    # None where a tool has no such names.
    controls: frozenset[str] | None = None


def parse_labelme(content: Mapping[str, object], where: str, name: str) -> Parsed:
    """Read a file of LabelMe: flags are labels of the image, shapes have labels of their own."""
    folder = str(PurePosixPath(name).parent)
    path = tidy(as_text(content.get("imagePath"), f"{where}: imagePath"))
    # The image was beside the file, wherever both have been moved since.
    beside = join(folder, PurePosixPath(path).name)
    embedded = f"imageData of {where}" if content.get("imageData") else ""
    image = Annotation(
        name, (join(folder, path), beside), size=_size(content, where), embedded=embedded
    )
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
    points = points_of(shape.get("points"), f"{where}.points")
    if shape.get("shape_type") == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return x - radius, y - radius, x + radius, y + radius
    return with_area(points)


def points_of(value: object, where: str) -> Points:
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


def rotate(points: Points, center: tuple[float, float], degrees: float) -> Points:
    """Turn points clockwise about a center, in an image whose y goes down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = center
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in points
    ]


def parse_cvat(root: ElementTree.Element, where: str, control: str | None) -> Parsed:
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
        # Frames of videos are named without the ending of their files.
        names = [name] if media_type(name) else [name, *(name + end for end in _FRAME_ENDINGS)]
        candidates = tuple(dict.fromkeys(join(place, n) for n in names for place in places))
        key = f"{subset or ''}/{name}"
        image = Annotation(key, candidates, size=size, subset=subset)
        labels = [
            image._replace(label=label, corners=_cvat_corners(shape, f"{where}: {name}"))
            for shape in element
            if (label := _cvat_label(shape, control))
        ]
        found += labels or [image]
    controls = {part.get("name") or "" for part in root.iterfind("image/*/attribute")}
    return Parsed(found, {"tracks of videos": len(root.findall("track"))}, frozenset(controls))


def _cvat_label(shape: ElementTree.Element, control: str | None) -> str:
    """Return the label of a shape, or its attribute of a name."""
    if control is None:
        return (shape.get("label") or "").strip()
    texts = [
        part.text or "" for part in shape.iterfind("attribute") if part.get("name") == control
    ]
    return texts[0].strip() if texts else ""


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
