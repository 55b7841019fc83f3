"""What Label Studio writes: tasks with labels of images, and shapes in them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from skcnn.datasets._annotation_tools import (
    Annotation,
    Corners,
    Parsed,
    points_of,
    rotate,
    with_area,
)
from skcnn.datasets._boxes import around, around_ellipse
from skcnn.datasets._brush import box_of_bitmask, box_of_strokes
from skcnn.datasets._paths import is_url, media_type, tidy
from skcnn.datasets._sources import (
    as_list,
    as_number,
    as_object,
    as_side,
    as_text,
    optional_text,
)

# Answers that are no names.
_NO_LABELS = {"number", "rating", "datetime"}
_HASH = re.compile(r"[0-9a-f]{8}-(?=.)")


def parse_label_studio(content: Sequence[object], where: str, control: str | None) -> Parsed:
    """Read an export of Label Studio: a list of tasks, each with annotations by people."""
    found: list[Annotation] = []
    controls: set[str] = set()
    cancelled = 0
    for i, item in enumerate(content):
        place = f"{where}: [{i}]"
        task = as_object(item, place)
        if "data" not in task:
            raise ValueError(
                f"{place} has no 'data'. Expected the export format JSON of Label Studio (not "
                "JSON-MIN)."
            )
        data = as_object(task["data"], f"{place}.data")
        text = _image_of_task(data, f"{place}.data")
        image = Annotation(str(task.get("id", i)), _names(text), unit="percent")
        own = as_list(task.get("annotations") or task.get("completions") or [], place)
        done = [as_object(entry, f"{place}.annotations") for entry in own]
        finished = [entry for entry in done if entry.get("was_cancelled") is not True]
        cancelled += len(done) - len(finished)
        guesses = as_list(task.get("predictions") or [], f"{place}.predictions")
        results: list[tuple[Mapping[str, object], Annotation]] = []
        for entry in finished:
            by = entry.get("completed_by")
            # A number, or all that is known of the person.
            by = optional_text(by.get("email") or by.get("id") if isinstance(by, dict) else by)
            results += [(result, image._replace(annotator=by)) for result in _listed(entry, place)]
        for guess in guesses:
            entry = as_object(guess, f"{place}.predictions")
            results += [(result, image._replace(machine=True)) for result in _listed(entry, place)]
        _check_one_image(data, [result for result, _ in results], f"{place}.data")
        controls |= {str(result["from_name"]) for result, _ in results if "from_name" in result}
        if control is not None:
            results = [pair for pair in results if pair[0].get("from_name") == control]
        labels = [
            label for result, by_whom in results for label in _labels(result, by_whom, place)
        ]
        if not any(not label.machine for label in labels):
            labels.append(image._replace(annotated=bool(finished)))
        found += labels
    return Parsed(found, {"cancelled annotations": cancelled}, frozenset(controls))


def _listed(entry: Mapping[str, object], where: str) -> list[Mapping[str, object]]:
    """Return what one annotator, or a program, has done with an image."""
    items = as_list(entry.get("result") or [], f"{where}.result")
    return [as_object(item, f"{where}.result") for item in items]


def _image_of_task(data: Mapping[str, object], where: str) -> str:
    """Return the image of a task, under whatever name it has."""
    for key in ("image", "img", "photo"):
        text = data.get(key)
        if isinstance(text, str) and text:
            return text
    images = _images_of_task(data)
    if images:
        return images[0]
    raise ValueError(
        f"{where} names no image. Its fields are {', '.join(map(repr, data))}. Expected a field "
        "with the path of one image."
    )


def _images_of_task(data: Mapping[str, object]) -> list[str]:
    """Return the fields of a task that are paths of images."""
    texts = [value for value in data.values() if isinstance(value, str) and value]
    return [
        text
        for text in texts
        if media_type(text.partition("?")[0]) == "image" or "local-files" in text
    ]


def _check_one_image(
    data: Mapping[str, object], results: Sequence[Mapping[str, object]], where: str
) -> None:
    """Refuse labels of several images in one task: an export does not tell which is which."""
    shown = {str(result["to_name"]) for result in results if result.get("to_name") is not None}
    images = _images_of_task(data)
    if len(shown) > 1 and len(images) > 1:
        raise ValueError(
            f"{where} has the images {', '.join(map(repr, images))}, and labels of "
            f"{', '.join(map(repr, sorted(shown)))}. Nothing tells which image these are. "
            "Expected one image per task. Make a table of paths and labels, for load_image_table."
        )


def _names(text: str) -> tuple[str, ...]:
    """Return where an image may be: uploads get a folder and eight digits before the name.

    Examples
    --------
    >>> _names("/data/upload/1/0a1b2c3d-fox.jpg")
    ('/data/upload/1/0a1b2c3d-fox.jpg', '0a1b2c3d-fox.jpg', 'fox.jpg')
    >>> _names("/data/local-files/?d=photos/fox.jpg")
    ('photos/fox.jpg', '/photos/fox.jpg', 'fox.jpg')
    """
    if "local-files" in text:
        path = parse_qs(urlsplit(text).query).get("d", [""])[0]
        return path, f"/{path.lstrip('/')}", PurePosixPath(tidy(path)).name
    path = unquote(urlsplit(text).path) if is_url(text) else tidy(text)
    name = PurePosixPath(path).name
    return tuple(dict.fromkeys([text, name, _HASH.sub("", name, count=1)]))


def _labels(result: Mapping[str, object], image: Annotation, where: str) -> Iterator[Annotation]:
    """Yield the labels in one result."""
    kind = str(result.get("type"))
    value = result.get("value")
    if not isinstance(value, dict) or kind not in value or kind in _NO_LABELS:
        return  # a text, a rating, or a shape without a label
    listed = as_list(value[kind], f"{where}.result.value.{kind}")
    # Of a path in a taxonomy, the last is the taxon.
    names = [part[-1] if isinstance(part, list) and part else part for part in listed]
    corners = _corners(result, value, f"{where}.result.value")
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


def _corners(
    result: Mapping[str, object], value: Mapping[str, object], where: str
) -> Corners | None:
    """Return the box around a shape of Label Studio in percent, None if it has none."""
    if isinstance(value.get("points"), list):
        return with_area(points_of(value["points"], f"{where}.points"))
    strokes, bitmask, vertices = (value.get(n) for n in ("rle", "imageDataURL", "vertices"))
    if isinstance(strokes, list):
        return box_of_strokes(strokes, *_in_pixels(result, where), f"{where}.rle")
    if isinstance(bitmask, str):
        return box_of_bitmask(bitmask, f"{where}.imageDataURL")
    if isinstance(vertices, list):
        ends = [as_object(vertex, f"{where}.vertices") for vertex in vertices]
        pairs = [(end.get("x"), end.get("y")) for end in ends]
        return with_area([(as_number(x, where), as_number(y, where)) for x, y in pairs])
    degrees = as_number(value.get("rotation") or 0, f"{where}.rotation")
    if {"x", "y", "radiusX", "radiusY"} <= set(value):
        x, y, rx, ry = (as_number(value[name], where) for name in ("x", "y", "radiusX", "radiusY"))
        if not degrees:
            return around_ellipse(x, y, rx, ry)
        width, height = _in_pixels(result, where)
        corners = around_ellipse(x * width, y * height, rx * width, ry * height, degrees)
        return corners[0] / width, corners[1] / height, corners[2] / width, corners[3] / height
    if {"x", "y", "width", "height"} <= set(value):
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
    """Return the size of the image in pixels, which percent alone do not tell."""
    return (
        as_side(result.get("original_width"), f"{where}: original_width"),
        as_side(result.get("original_height"), f"{where}: original_height"),
    )
