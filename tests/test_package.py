"""The house itself: version, shipped files, dependencies, and who may import whom."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

import skcnn

PACKAGE = Path(skcnn.__file__).parent
ROOT = Path(__file__).parents[1]

# Who may import whom within skcnn: downwards only. Inside a subpackage everything goes, and
# __init__ gathers the names of all.
ALLOWED = {
    "_estimators": {
        "_batches",
        "_fitting",
        "_images",
        "_labels",
        "_optimization",
        "_parameters",
        "_progress",
        "_random",
        "distributed",
    },
    "_fitting": {
        "_base",
        "_batches",
        "_device",
        "_history",
        "_layers",
        "_memory",
        "_network",
        "_optimization",
        "_parameters",
        "_prediction",
        "_random",
        "_resuming",
        "_summary",
        "_threads",
        "_training",
        "_warning",
        "_whitening",
        "augmentation",
        "distributed",
    },
    "_base": {
        "_history",
        "_images",
        "_layers",
        "_memory",
        "_network",
        "_parameters",
        "_prediction",
        "_progress",
        "_summary",
        "_threads",
        "_training",
    },
    "_parameters": {"_blocks", "_device", "_network", "_optimization", "augmentation"},
    "_training": {"_batches", "_prediction", "_run", "distributed"},
    "_run": {"_averaging", "_batches", "_graphs", "_optimization", "augmentation", "distributed"},
    "_prediction": {"_batches", "_memory"},
    "_resuming": {"_batches", "_warning", "augmentation", "distributed"},
    "_batches": {"_memory", "augmentation", "distributed"},
    "_network": {"_blocks", "_layers", "_mirror", "_whitening"},
    "_blocks": {"_layers", "_mirror"},
    "_optimization": {"_muon"},
    "_device": {"_workers"},
    "_averaging": set(),
    "_graphs": set(),
    "_history": set(),
    "_images": set(),
    "_labels": set(),
    "_layers": set(),
    "_memory": {"_workers"},
    "_mirror": {"_layers"},
    "_muon": set(),
    "_progress": set(),
    "_random": set(),
    "_search": set(),
    "_summary": set(),
    "_threads": {"_workers"},
    "_warning": set(),
    "_whitening": set(),
    "_workers": set(),
    "augmentation": set(),
    "cluster": set(),
    "distributed": set(),
    "inspection": {"_labels", "_mirror"},
    "recipes": {"augmentation"},
    "datasets": set(),
}
FORBIDDEN_LIBRARIES = {"datasets": {"torch", "skorch"}}


def _imported(path):
    """Names of all modules that a file imports, wherever in it, as absolute dotted names."""
    package = ["skcnn", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            inner = base == "skcnn"
            yield from (f"{base}.{alias.name}" if inner else base for alias in node.names)


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(PACKAGE))) for p in PACKAGE.rglob("*.py")]
)
def test_imports_point_downwards(path):
    module = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if module == "__init__":
        return
    assert module in ALLOWED, (
        f"skcnn.{module} has no row in ALLOWED of {Path(__file__).name}. Add one with the "
        "modules of skcnn that it may import; they must not import it back."
    )
    for name in _imported(path):
        library, _, inner = name.partition(".")
        if library == "skcnn":
            used = inner.partition(".")[0] or "the package itself"
            assert used in ALLOWED[module] | {module}, f"skcnn.{module} may not import {used}"
        assert library not in FORBIDDEN_LIBRARIES.get(module, ()), (
            f"skcnn.{module} may not import {library}"
        )


def test_the_table_of_imports_has_no_cycle_and_no_unknown_module():
    settled = set()
    while left := ALLOWED.keys() - settled:
        next_up = {module for module in left if ALLOWED[module] <= settled}
        assert next_up, f"cyclic or unknown: { {m: ALLOWED[m] - settled for m in left} }"
        settled |= next_up


def test_version_is_that_of_the_metadata():
    assert skcnn.__version__ == metadata.version("skcnn")


def test_all_names_what_is_there():
    assert set(skcnn.__all__) <= set(dir(skcnn))


def test_ships_type_hints_and_descriptions():
    assert resources.files("skcnn").joinpath("py.typed").is_file()
    descriptions = resources.files("skcnn.datasets").joinpath("descr").iterdir()
    assert any(d.name.endswith(".rst") and d.read_text(encoding="utf-8") for d in descriptions)


def test_import_leaves_drawing_and_downloading_alone():
    code = (
        "import sys, skcnn, skcnn.datasets;"
        "print({'matplotlib', 'PIL', 'pooch', 'requests'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr, run.stdout.strip()) == (0, "", "set()")


def test_lower_bounds_are_the_versions_that_the_oldest_run_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = dict(re.split(r">=", d) for d in project["dependencies"])
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    # Of torch, a build for CPUs only is not to be had of every version.
    del bounds["torch"]
    assert bounds == {name: pins.get(name) for name in bounds}
