"""Files of the format Pascal VOC, which labelImg and many other tools write: one per image."""

from pathlib import PurePosixPath
from xml.etree import ElementTree

from skcnn.datasets._annotation_tools import Annotation, Corners, Parsed
from skcnn.datasets._paths import join, media_type, tidy
from skcnn.datasets._sources import as_number

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
# Where tools put the images, seen from the folder of the XML files.
_PLACES = ("", "../JPEGImages", "../images", "images")
_ENDINGS = (".jpg", ".JPG", ".jpeg", ".png", ".tif")


def parse_voc(root: ElementTree.Element, where: str, name: str) -> Parsed:
    """Read the objects of an image, and their boxes in pixels."""
    written = PurePosixPath(tidy(root.findtext("filename") or "")).name
    # Tools find a file by the name of its image: <filename> may be that before both were renamed,
    # or lack its ending.
    endings = dict.fromkeys([PurePosixPath(written).suffix or _ENDINGS[0], *_ENDINGS])
    own = [PurePosixPath(name).stem + ending for ending in endings]
    names = [*own, written] if media_type(written) else own
    folder = str(PurePosixPath(name).parent)
    candidates = [join(folder, place, file) for file in names for place in _PLACES]
    image = Annotation(name, tuple(dict.fromkeys(candidates)), size=_size(root))
    found = []
    unplaced = 0
    for i, thing in enumerate(root.iter("object")):
        label = (thing.findtext("name") or "").strip()
        if not label:
            raise ValueError(f"{where}: <object> {i} has no <name>.")
        box = thing.find("bndbox")
        if box is None:
            unplaced += 1
            continue
        found.append(image._replace(label=label, corners=_corners(box, f"{where}: {label}")))
    if unplaced and not found:
        return Parsed([], {"objects without <bndbox>": unplaced})
    return Parsed(found or [image], {"objects without <bndbox>": unplaced} if unplaced else {})


def _corners(box: ElementTree.Element, where: str) -> Corners:
    left, top, right, bottom = (
        as_number(box.findtext(name), f"{where}: <{name}>") for name in _CORNERS
    )
    return left, top, right, bottom


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    """Return width and height of the image; None where a tool has written 0, or nothing."""
    texts = [root.findtext(f"size/{name}") or "0" for name in ("width", "height")]
    width, height = (as_number(text, "<size>") for text in texts)
    return (width, height) if width > 0 and height > 0 else None
