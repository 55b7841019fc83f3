"""One file of JSON and tensors: written at once or not at all, and checked to the last byte.

It is a safetensors file. What is not a tensor is JSON in its metadata.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from skcnn._storage._replacing import replacing

#: Number of the format that is written. Files of all numbers up to it can be read.
FORMAT = 1

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Content = dict[str, Json]

_LENGTH_BYTES = 8
_NO_CHECKSUM = "0" * 64
# Quotes within values are escaped, so that nothing else looks like this.
_CHECKSUM = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_PACKAGES = ("skcnn", "torch", "numpy", "scikit-learn")
# Of zlib, at its levels of compression.
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
# First bytes of files that people may take for one of these.
_FOREIGN = {
    b"\x80": "a pickle, which joblib.load or pickle.load may read",
    b"PK": "a zip archive, as torch.save, Keras and skops write them",
    b"\x89HDF": "an HDF5 file, as Keras writes them",
    **dict.fromkeys(_ZLIB, "a compressed pickle, which joblib.load may read"),
    b"\x1f\x8b": "a file compressed by gzip, as R and joblib write them",
    b"\xff\xd8\xff": "a JPEG image. Pass it to the predict of a model",
    b"\x89PNG": "a PNG image. Pass it to the predict of a model",
    b"version https://git-lfs": "a placeholder of Git LFS. Fetch the file itself: git lfs pull",
    b"<": "a page in HTML or XML. The download was perhaps refused",
}
# First bytes of ONNX files: the number of a version, then the name of what wrote them, or others.
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x3a\x42]", re.DOTALL)


def write_file(path: Path, kind: str, content: Content, tensors: Mapping[str, Tensor]) -> None:
    """Write a file in place of what was there before; after a crash, either is there.

    Parameters
    ----------
    path : Path
    kind : str
        What the file holds, such as "model".
    content : dict
        JSON: lists, dicts with text as keys, text, finite numbers, bool and None.
    tensors : dict of torch.Tensor
    """
    from safetensors.torch import save

    data = bytearray(
        save(
            # Without memory in common, which other tools would refuse.
            {n: t.detach().to("cpu", copy=True).contiguous() for n, t in tensors.items()},
            metadata={
                "skcnn_file": kind,
                "skcnn_format": str(FORMAT),
                "versions": _versions(),
                "content": json.dumps(content, allow_nan=False, separators=(",", ":")),
                "sha256": _NO_CHECKSUM,
            },
        )
    )
    place = _CHECKSUM.search(data)
    assert place is not None
    data[slice(*place.span(1))] = hashlib.sha256(data).hexdigest().encode()
    with replacing(path) as file:
        file.write(data)


@cache
def _versions() -> str:
    return json.dumps({name: version(name) for name in _PACKAGES})


def read_file(path: Path, kind: str) -> tuple[Content, dict[str, Tensor]]:
    """Read a file that `write_file` has written.

    Raises
    ------
    ValueError
        If the file is something else, damaged, incomplete, or of a later format.
    """
    from safetensors.torch import load

    data = path.read_bytes()
    metadata = _checked_metadata(data, path)
    found, number = metadata["skcnn_file"], metadata["skcnn_format"]
    if int(number) > FORMAT:
        raise ValueError(
            f"{path} has format {number}, and was written by skcnn "
            f"{json.loads(metadata['versions'])['skcnn']}. This version, {version('skcnn')}, "
            f"reads formats up to {FORMAT}. Update it: pip install --upgrade skcnn."
        )
    if found != kind:
        raise ValueError(f"{path} is a {found} of skcnn. Expected a {kind}.")
    content: Content = json.loads(metadata["content"])
    return content, load(data)


def _checked_metadata(data: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a file, after comparing all of its bytes with the checksum."""
    if not data:
        raise ValueError(f"{path} is empty. Copy the file again, or save the model again.")
    for start, what in _FOREIGN.items():
        # The first bytes of safetensors are a length, which is shorter than these would say.
        if data.startswith(start) and data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
            raise ValueError(f"{path} is {what}. Expected a file that skcnn has written.")
    if _ONNX.match(data) and data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise ValueError(
            f"{path} is an ONNX file, as skcnn.export_onnx writes them. onnxruntime runs it. "
            "Expected a file that skcnn has written: save the estimator with skcnn.save."
        )
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = data[_LENGTH_BYTES:end]
    place = _CHECKSUM.search(header)
    if place is None:
        if end <= len(data) and _is_safetensors(header):
            raise ValueError(
                f"{path} is a safetensors file of something else. Expected a file that skcnn has "
                "written."
            )
        raise ValueError(
            f"{path} is damaged, incomplete, or no file that skcnn has written. Copy it again "
            "from where it came from."
        )
    checksum = hashlib.sha256(data[:_LENGTH_BYTES])
    checksum.update(header[: place.start(1)] + _NO_CHECKSUM.encode() + header[place.end(1) :])
    checksum.update(memoryview(data)[end:])
    if checksum.hexdigest() != place.group(1).decode():
        raise ValueError(
            f"{path} is damaged or incomplete: its checksum is wrong. Copy it again from where "
            "it came from."
        )
    metadata: dict[str, str] = json.loads(header)["__metadata__"]
    return metadata


def _is_safetensors(header: bytes) -> bool:
    try:
        return isinstance(json.loads(header), dict)
    except ValueError:
        return False
