"""The report of versions and of the machine."""

import importlib.metadata
import platform
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import skcnn
from skcnn._compute import _device, _show_versions


@pytest.fixture
def shown(capsys):
    """Return the rows that `show_versions` prints, by their names, for each part."""

    def show():
        skcnn.show_versions()
        parts = {}
        for part in capsys.readouterr().out.rstrip().split("\n\n"):
            title, *rows = part.splitlines()
            parts[title] = dict(row.strip().split(maxsplit=1) for row in rows)
        return parts

    return show


def test_versions_are_those_that_are_installed(shown):
    packages = shown()["Packages"]
    assert packages["skcnn"] == skcnn.__version__
    assert packages["numpy"] == np.__version__
    assert packages["torch"] == importlib.metadata.version("torch")
    assert shown()["System"]["python"] == platform.python_version()


def test_packages_are_those_of_the_metadata_without_tools_of_development(shown, monkeypatch):
    needs = [
        "numpy>=1.26.0",
        'scikit-image>=0.22; extra == "measure"',
        'timm>=1.0; python_version > "3.10" and extra == "timm"',
        'onnx>=1.18; extra == "onnx"',
        'pytest>=9.0; extra == "test"',
        'skcnn[measure]; extra == "docs"',
        "torch<3,>=2.6",
    ]
    installed = {"skcnn": "1.0", "numpy": "2.0", "timm": "1.1", "onnx": "1.2", "pytest": "9.1"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needs)
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert list(shown()["Packages"].items()) == [
        ("skcnn", "1.0"),
        ("numpy", "2.0"),
        ("torch", "missing"),
        ("onnx", "1.2"),
        ("timm", "1.1"),
    ]


def test_automatic_settings_are_those_of_a_fit(shown, images, labels):
    found = shown()["Computation"]
    clf = skcnn.ConvNetClassifier(filters=(2,), max_epochs=1).fit(images, labels)
    assert found["device"] == torch.device(clf.net_.device).type
    assert found["precision"] == clf.net_.precision


def test_threads_follow_the_variables(shown, monkeypatch):
    monkeypatch.setenv("SKCNN_NUM_THREADS", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert shown()["Computation"]["threads"] == "3 (SKCNN_NUM_THREADS=3)"
    monkeypatch.setenv("SKCNN_NUM_THREADS", "many")
    assert "'many' is not a number" in shown()["Computation"]["threads"]
    monkeypatch.delenv("SKCNN_NUM_THREADS")
    assert shown()["Computation"]["threads"].isdecimal()


def test_the_cpu_has_its_name_or_is_unknown(shown, monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Ecology 9000\n", encoding="utf-8")
    monkeypatch.setattr(_device, "_CPUINFO", file)
    assert shown()["System"]["CPU"].startswith("Ecology 9000, ")
    # As on another system than Linux, with an older torch.
    monkeypatch.setattr(_device, "_CPUINFO", tmp_path / "missing")
    monkeypatch.setattr(_device, "_torch_capabilities", lambda: None)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert shown()["System"]["CPU"].startswith("unknown, ")


def test_gpus_are_listed(shown, monkeypatch):
    gpu = SimpleNamespace(name="Imaginary 1", total_memory=8 * 2**30)
    monkeypatch.setattr(_show_versions, "find_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(_show_versions, "find_precision", lambda *_: torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found = shown()["Computation"]
    # The name of the row has a space: it is "GPU 0".
    assert found["GPU"].split(maxsplit=1) == ["0", "Imaginary 1, 8 GiB"]
    assert (found["CUDA"], found["precision"]) == ("13.0", "bfloat16")
