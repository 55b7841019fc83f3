"""Which annotation tool has written a file, seen from its content."""

from xml.etree import ElementTree

from skcnn.datasets._annotation_tools import Parsed, parse_cvat, parse_labelme
from skcnn.datasets._label_studio import parse_label_studio
from skcnn.datasets._pascal_voc import parse_voc
from skcnn.datasets._sources import parse_json
from skcnn.datasets._tables import parse_table
from skcnn.datasets._via import is_via, parse_via, parse_via_table


def parse_any(content: bytes, where: str, name: str, control: str | None) -> Parsed | None:
    """Read a file of one of the tools; None for a JSON file of another program."""
    ending = name.lower().rpartition(".")[2]
    if ending == "xml":
        return _parse_xml(content, where, name, control)
    if ending in ("csv", "tsv"):
        table = parse_table(content, where).frame
        if "region_shape_attributes" not in table:
            raise ValueError(
                f"{where} is a table. Expected annotations of LabelMe, Label Studio, CVAT, VIA or "
                "Pascal VOC: export again in the format JSON of Label Studio. For other tables, "
                "use load_image_table."
            )
        return parse_via_table(table, where, control)
    if ending in ("txt", "yaml", "yml"):
        raise ValueError(
            f"{where} is a text, as of YOLO, which has no names of images. Expected annotations "
            "of LabelMe, Label Studio, CVAT, VIA or Pascal VOC: export again in one of these "
            "formats, or as COCO for load_coco."
        )
    value = parse_json(content, where, "annotations of LabelMe, Label Studio or VIA")
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        return parse_label_studio(value, where, control)
    if isinstance(value, dict) and "imagePath" in value:
        return parse_labelme(value, where, name)
    if isinstance(value, dict) and {"project", "file", "metadata", "view"} <= set(value):
        raise ValueError(
            f"{where} is a project of VIA 3. Expected one of VIA 2, or annotations of LabelMe, "
            "Label Studio, CVAT or Pascal VOC: export as COCO, for load_coco."
        )
    if isinstance(value, dict) and is_via(value):
        return parse_via(value, where, control)
    return None


def _parse_xml(content: bytes, where: str, name: str, control: str | None) -> Parsed:
    """Read a file of CVAT or of Pascal VOC."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{where} declares a document type, which files of CVAT do not.")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(
            f"{where} is not a complete XML file ({error}). Expected annotations of CVAT or "
            "Pascal VOC."
        ) from error
    if root.tag == "annotation":
        return parse_voc(root, where, name)
    if root.tag != "annotations":
        raise ValueError(
            f"{where} begins with <{root.tag}>. Expected <annotations>, as of CVAT, or "
            "<annotation>, as of Pascal VOC."
        )
    return parse_cvat(root, where, control)
