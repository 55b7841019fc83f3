"""What VIA, the VGG Image Annotator, writes: regions with attributes, as JSON or as a table."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from skcnn.datasets._annotation_tools import Annotation, Corners, Parsed, with_area
from skcnn.datasets._boxes import around_ellipse
from skcnn.datasets._sources import as_list, as_number, as_object, as_text, parse_json

_METADATA = "_via_img_metadata"


def is_via(content: Mapping[str, object]) -> bool:
    """Return whether a JSON object is a project or an export of VIA 1 or 2."""
    if _METADATA in content:
        return True
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and {"filename", "regions"} <= set(first)


def parse_via(content: Mapping[str, object], where: str, control: str | None) -> Parsed:
    """Read the images of a project, or of its exported annotations."""
    images = as_object(content.get(_METADATA, content), where)
    found: list[Annotation] = []
    controls: set[str] = set()
    for key, item in images.items():
        place = f"{where}: {key}"
        entry = as_object(item, place)
        regions = entry.get("regions") or []
        # VIA 1 numbers regions by the keys of an object.
        listed = list(regions.values()) if isinstance(regions, dict) else regions
        of_file = as_object(entry.get("file_attributes") or {}, f"{place}: file_attributes")
        shapes = [as_object(region, place) for region in as_list(listed, f"{place}: regions")]
        controls |= set(of_file)
        controls.update(*(as_object(s.get("region_attributes") or {}, place) for s in shapes))
        name = as_text(entry.get("filename"), f"{place}: filename")
        found += _annotations(key, name, of_file, shapes, control, place)
    return Parsed(found, {}, frozenset(controls))


def parse_via_table(table: pd.DataFrame, where: str, control: str | None) -> Parsed:
    """Read the CSV file of VIA: one row per region, or per image without any."""
    table = table.rename(columns={"#filename": "filename"})
    images: dict[str, dict[str, object]] = {}
    for i, row in enumerate(table.to_dict("records")):
        place = f"{where}: row {i}"
        cells = {
            name: as_object(parse_json((row.get(name) or "{}").encode(), place, "VIA"), place)
            for name in ("file_attributes", "region_shape_attributes", "region_attributes")
        }
        key = f"{row.get('filename')} {row.get('file_size')}"
        entry = images.setdefault(
            key,
            {
                "filename": row.get("filename"),
                "regions": [],
                "file_attributes": cells["file_attributes"],
            },
        )
        if cells["region_shape_attributes"]:
            as_list(entry["regions"], place).append(
                {
                    "shape_attributes": cells["region_shape_attributes"],
                    "region_attributes": cells["region_attributes"],
                }
            )
    return parse_via({_METADATA: images}, where, control)


def _annotations(
    key: str,
    name: str,
    of_file: Mapping[str, object],
    regions: list[Mapping[str, object]],
    control: str | None,
    where: str,
) -> Iterator[Annotation]:
    """Yield the labels of an image and of its regions."""
    image = Annotation(key, (name, f"images/{name}"))
    n = 0
    if control is not None:
        for label in _names(of_file.get(control)):
            n += 1
            yield image._replace(label=label)
    for region in regions:
        corners = _corners(as_object(region.get("shape_attributes") or {}, where), where)
        attributes = as_object(region.get("region_attributes") or {}, where)
        for label in _names(_chosen(attributes, control, where)):
            n += 1
            yield image._replace(label=label, corners=corners)
    if not n:
        yield image


def _chosen(attributes: Mapping[str, object], control: str | None, where: str) -> object:
    """Return the attribute of a region that has its label."""
    if control is not None:
        return attributes.get(control)
    told = [name for name, value in attributes.items() if list(_names(value))]
    if len(told) > 1:
        raise ValueError(
            f"{where} has a region with the attributes {', '.join(map(repr, told))}. Pass "
            "control= with the name of the one that has the label."
        )
    return attributes[told[0]] if told else None


def _names(value: object) -> Iterator[str]:
    """Yield what was chosen: a text, or the names of the boxes that were ticked."""
    if isinstance(value, dict):
        yield from (name for name, is_set in value.items() if is_set in (True, "true"))
    elif isinstance(value, str | int | float) and str(value).strip():
        yield str(value).strip()


def _corners(shape: Mapping[str, object], where: str) -> Corners | None:
    """Return the box around a shape, None for a point."""

    def number(name: str) -> float:
        return as_number(shape.get(name), f"{where}: {name}")

    kind = shape.get("name")
    if kind == "rect":
        x, y = number("x"), number("y")
        return x, y, x + number("width"), y + number("height")
    if kind in ("circle", "ellipse"):
        x, y = number("cx"), number("cy")
        rx, ry = (number("r"),) * 2 if kind == "circle" else (number("rx"), number("ry"))
        theta = as_number(shape.get("theta") or 0, f"{where}: theta")
        return around_ellipse(x, y, rx, ry, math.degrees(theta))
    xs = as_list(shape.get("all_points_x") or [], f"{where}: all_points_x")
    ys = as_list(shape.get("all_points_y") or [], f"{where}: all_points_y")
    if len(xs) != len(ys):
        raise ValueError(f"{where}: expected as many all_points_x as all_points_y.")
    return with_area([(as_number(x, where), as_number(y, where)) for x, y in zip(xs, ys)])
