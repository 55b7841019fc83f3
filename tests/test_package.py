"""The house itself: version, shipped files, dependencies, and who may import whom."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

import skcnn

PACKAGE = Path(skcnn.__file__).parent
ROOT = Path(__file__).parents[1]

# Imports point downwards: a room may import from the rooms above it in this list, and from itself.
FLOORS = [
    {"_from_r"},
    {"_decode", "_other_tables", "_retrieve", "_storage", "_utils"},
    {"_compute", "_targets", "augmentation", "datasets", "masks", "networks", "uncertainty"},
    {"_data"},
    {"_engine", "inspection", "parallel"},
    {"_estimators", "_report", "optimizers"},
    {"recipes"},
    {"_command"},
    {"__main__"},
]
FORBIDDEN_LIBRARIES = {room: {"torch", "skorch"} for room in ("datasets", "uncertainty")}
LEVELS = {room: level for level, floor in enumerate(FLOORS) for room in floor}


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


def test_the_code_map_has_the_rooms_in_this_order():
    rows, number = {}, None
    for line in (ROOT / "docs/code_map.md").read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| (\d*) ?\| `(\w+)` \|", line)
        if found:
            number = int(found[1] or number)
            rows.setdefault(number, set()).add(found[2])
    # Where Python starts the command line.
    assert [rows[level] for level in sorted(rows)] == FLOORS[:-1]


FILES = [pytest.param(p, id=str(p.relative_to(PACKAGE))) for p in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("path", FILES)
def test_imports_point_downwards(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room == "__init__":
        return
    assert room in LEVELS, f"skcnn.{room} is on no floor of FLOORS in {Path(__file__).name}."
    for name in _imported(path):
        library, _, inner = name.partition(".")
        if library == "skcnn":
            used = inner.partition(".")[0]
            below = LEVELS.get(used, len(FLOORS)) < LEVELS[room]
            assert used == room or below, f"skcnn.{room} may not import skcnn.{used or '__init__'}"
        assert library not in FORBIDDEN_LIBRARIES.get(room, ()), (
            f"skcnn.{room} may not import {library}"
        )


@pytest.mark.parametrize("path", FILES)
def test_private_names_of_other_libraries_are_in_utils_alone(path):
    if path.name == "_utils.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            private = [part for part in parts if part.startswith("_") and part != "__version__"]
            assert parts[0] == "skcnn" or not private, f"{path.name} imports {private}"


def test_version_is_that_of_the_metadata():
    assert skcnn.__version__ == metadata.version("skcnn")


def test_all_names_what_is_there():
    assert set(skcnn.__all__) <= set(dir(skcnn))


def test_a_star_imports_the_public_modules_as_those_of_scikit_learn_does():
    names = {}
    exec("from skcnn import *", names)
    for name in ("recipes", *skcnn._MODULES):
        assert names[name] is import_module(f"skcnn.{name}")


def test_ships_type_hints_and_descriptions():
    assert resources.files("skcnn").joinpath("py.typed").is_file()
    descriptions = resources.files("skcnn.datasets").joinpath("descr").iterdir()
    assert any(d.name.endswith(".rst") and d.read_text(encoding="utf-8") for d in descriptions)


def test_imports_wait_for_use_and_leave_drawing_and_downloading_alone():
    code = (
        "import sys, skcnn; libraries = {'numpy', 'pandas', 'sklearn', 'torch'};"
        "print(libraries & sys.modules.keys()); skcnn.load;"
        "print(libraries - sys.modules.keys());"
        "import skcnn.datasets; from skcnn import *;"
        "print({'matplotlib', 'PIL', 'pooch', 'requests'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr, run.stdout.split()) == (0, "", ["set()"] * 3)


def test_names_are_those_that_type_checkers_see():
    """What is imported for them alone, in the source, is what ``skcnn.NAME`` gives."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: (node.module or "").removeprefix("skcnn.")
        for node in checked.body
        if isinstance(node, ast.ImportFrom) and node.module != "skcnn"
        for alias in node.names
    }
    assert homes == skcnn._HOMES
    assert sorted([*homes, *skcnn._MODULES]) == sorted(skcnn.__all__)
    for name, home in homes.items():
        assert getattr(skcnn, name) is getattr(import_module(f"skcnn.{home}"), name)


def test_lower_bounds_are_the_versions_that_the_oldest_run_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = dict(re.split(r">=", d) for d in project["dependencies"])
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    # Of torch, a build for CPUs only is not to be had of every version.
    del bounds["torch"]
    assert bounds == {name: pins.get(name) for name in bounds}


def test_public_modules_are_there_after_one_import():
    code = (
        "import skcnn\n"
        "for name in skcnn._MODULES: assert getattr(skcnn, name).__name__ == f'skcnn.{name}'\n"
        "assert skcnn._MODULES <= set(dir(skcnn))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        _ = skcnn.dataset


def test_dir_lists_what_is_public():
    assert set(dir(skcnn)) == {*skcnn.__all__, *skcnn._MODULES, "__version__"}


def test_a_folder_of_the_same_name_beside_a_script_is_not_taken_for_the_package(tmp_path):
    """An editable install, built again, is tried where somebody has a clone named skcnn."""
    pytest.importorskip("setuptools", reason="setuptools is not installed; pip brings it")
    build = "import sys; from setuptools.build_meta import build_editable as b; b(sys.argv[1])"
    command = [sys.executable, "-c", build, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "work" / "skcnn" / "docs").mkdir(parents=True)
    script = tmp_path / "work" / "script.py"
    script.write_text(
        "import site, sys, importlib.util\n"
        "site.addsitedir(sys.argv[1])\n"
        "print(importlib.util.find_spec('skcnn').origin)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-S", str(script), str(tmp_path / "site")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (run.stdout.strip(), run.stderr) == (str(ROOT / "skcnn" / "__init__.py"), "")
