"""All loaders alike: what they return, and what their docstrings say."""

import inspect
import json
import os
import re

import numpy as np
import pytest

import skcnn.datasets
from skcnn.datasets import (
    Report,
    load_annotations,
    load_camtrap_dp,
    load_coco,
    load_ecotaxa,
    load_image_folder,
    load_image_table,
    load_megadetector,
)

BOX = [0.25, 0.25, 0.5, 0.5]
RESULTS = {
    "detection_categories": {"1": "animal"},
    "info": {"detector": "md_v5a"},
    "images": [
        {"file": "a/1.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": BOX}]},
        {"file": "b/2.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": BOX}]},
    ],
}
COCO = {
    "images": [{"id": 1, "file_name": "a/1.jpg"}, {"id": 2, "file_name": "b/2.jpg"}],
    "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1},
        {"id": 2, "image_id": 2, "category_id": 2},
    ],
}
PACKAGE = {
    "resources": [
        {"name": "media", "data": [
            {"mediaID": str(i), "deploymentID": "d", "filePath": path}
            for i, path in enumerate(["a/1.jpg", "b/2.jpg"])]},
        {"name": "observations", "data": [
            {"mediaID": str(i), "deploymentID": "d", "observationLevel": "media",
             "observationType": "animal", "scientificName": name}
            for i, name in enumerate("ab")]},
    ]
}  # fmt: skip
ECOTAXA = "object_id\timg_file_name\tobject_annotation_category\no1\ta/1.jpg\ta\no2\tb/2.jpg\tb\n"
CVAT = "<annotations>{}</annotations>".format(
    "".join(
        f'<image name="{name}" width="32" height="24"><tag label="{name[0]}"/></image>'
        for name in ("a/1.jpg", "b/2.jpg")
    )
)
LOADERS = {
    load_image_folder: ("", None, {}),
    load_image_table: ("t.csv", "path,label\na/1.jpg,a\nb/2.jpg,b\n", {}),
    load_camtrap_dp: ("datapackage.json", json.dumps(PACKAGE), {}),
    load_megadetector: ("results.json", json.dumps(RESULTS), {"label": 0}),
    load_coco: ("coco.json", json.dumps(COCO), {}),
    load_ecotaxa: ("ecotaxa.tsv", ECOTAXA, {}),
    load_annotations: ("annotations.xml", CVAT, {}),
}


@pytest.fixture
def load(pictures, request):
    root = pictures({"a/1.jpg": 1, "b/2.jpg": 2})
    name, content, options = LOADERS[request.param]
    if content is not None:
        (root / name).write_text(content)
    return request.param, root / name, options


@pytest.mark.parametrize("load", LOADERS, indirect=True, ids=lambda f: f.__name__)
def test_all_return_the_same(load):
    function, path, options = load
    bunch = function(path, **options)
    assert set(bunch) == {
        "frame", "data", "target", "target_names", "groups", "report", "DESCR",
    }  # fmt: skip
    root = path.parent if path.is_file() else path
    expected = [str(root / name) for name in ("a/1.jpg", "b/2.jpg")]
    assert bunch.frame["path"].tolist() == expected
    boxed = function is load_megadetector
    assert (bunch.data["path"] if boxed else bunch.data).tolist() == expected
    assert bunch.target.tolist() == bunch.target_names.tolist() == ["a", "b"]
    assert bunch.frame.columns.tolist()[:3] == ["path", "label", "group"]
    assert isinstance(bunch.report, Report)
    assert str(path) in bunch.DESCR
    assert "2 rows, one per training example" in bunch.DESCR
    grouped = function in (load_camtrap_dp,)
    assert (bunch.groups is not None) == grouped
    if boxed:
        np.testing.assert_allclose(bunch.data.iloc[0, 1:].to_numpy(dtype=float), BOX)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark of UTF-8"])
@pytest.mark.parametrize("load", list(LOADERS)[1:], indirect=True, ids=lambda f: f.__name__)
def test_files_that_were_written_on_windows(load, mark, monkeypatch):
    function, path, options = load
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), indent=1)
    expected = function(path, **options)
    path.write_bytes(mark + text.replace("\n", "\r\n").encode())
    monkeypatch.chdir(path.parent)  # and the path is relative, as a script has it
    bunch = function(path.name, **options)
    assert bunch.target.tolist() == expected.target.tolist()
    assert [os.path.basename(name) for name in bunch.frame["path"]] == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("load", LOADERS, indirect=True, ids=lambda f: f.__name__)
def test_paths_that_are_none(load):
    function, _, _ = load
    with pytest.raises(TypeError, match=rf"{function.__name__} expects .* Got int"):
        function(3)
    with pytest.raises(
        FileNotFoundError, match=rf"{function.__name__}: .*nowhere.* does not exist"
    ):
        function("nowhere")


NAMES = [name for name in skcnn.datasets.__all__ if name not in ("Report", "fetch_cifar100")]


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_name_all_parameters_and_defaults(name):
    function = getattr(skcnn.datasets, name)
    text = inspect.getdoc(function)
    section = text.partition("Parameters\n----------\n")[2].partition("\n\nReturns\n")[0]
    headers = re.findall(r"^(\w[\w, ]*) : (.*(?:\n\S.*)*)$", section, re.MULTILINE)
    documented = {}
    for names, kind in headers:
        for one in names.split(", "):
            documented[one] = kind
    parameters = inspect.signature(function).parameters
    assert list(documented) == list(parameters)
    for key, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            default = repr(parameter.default).replace("'", '"')
            assert documented[key].endswith(f"default={default}"), (key, documented[key])
        else:
            assert "default" not in documented[key]
