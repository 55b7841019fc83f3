"""What belongs to a release besides the package: metadata, recipe, citation, and the tag."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"matplotlib": "matplotlib-base", "torch": "pytorch"}
RELEASE_FILES = [
    "pyproject.toml",
    "CITATION.cff",
    "CHANGELOG.md",
    "README.md",
    "conda/recipe.yaml",
]


def _yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture
def release():
    """The script that prepares a release."""
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepared(tmp_path):
    """A copy of the files that a release changes, as version 1.2.3 would have them."""
    version = PROJECT["version"]
    for name in RELEASE_FILES:
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        target.write_text(text.replace(version, "1.2.3"), encoding="utf-8")
    changes = tmp_path / "CHANGELOG.md"
    text = changes.read_text(encoding="utf-8")
    changes.write_text(text.replace("## [Unreleased]", "## [1.2.3]"), encoding="utf-8")
    return tmp_path


def test_the_conda_recipe_needs_what_the_package_needs():
    recipe = _yaml("conda/recipe.yaml")
    bounds = dict(d.split(">=") for d in [*PROJECT["dependencies"], "python>=3.11"])
    wanted = {f"{CONDA_NAMES.get(name, name)} >={bound}" for name, bound in bounds.items()}
    assert set(recipe["requirements"]["run"]) == wanted
    assert f"python {PROJECT['requires-python']}" in wanted
    assert recipe["context"]["version"] == PROJECT["version"]
    commands = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == commands
    assert recipe["about"]["license"] == PROJECT["license"]


def test_the_citation_is_of_this_version():
    citation = _yaml("CITATION.cff")
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


def test_each_python_that_is_promised_is_tested():
    promised = {
        match[1]
        for line in PROJECT["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    }
    workflow = _yaml(".github/workflows/tests.yml")
    assert set(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]) == promised
    assert min(promised) == PROJECT["requires-python"].removeprefix(">=")


@pytest.mark.parametrize("name", ["tests", "release"])
def test_actions_are_named_by_their_commits(name):
    jobs = _yaml(f".github/workflows/{name}.yml")["jobs"].values()
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action


def test_what_the_container_installs_is_copied_into_it():
    there = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    needed = {"skcnn", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    assert {f"!{name}" for name in needed | {"constraints.txt"}} <= set(there)
    assert there[0] == "*"


def test_a_release_gets_addresses(release, prepared):
    release.main("v1.2.3", "https://git.example/ada/skcnn", prepared)
    project = tomllib.loads((prepared / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Repository"] == "https://git.example/ada/skcnn"
    assert project["dependencies"] == PROJECT["dependencies"]
    assert project["optional-dependencies"] == PROJECT["optional-dependencies"]
    citation = yaml.safe_load((prepared / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == "https://git.example/ada/skcnn"
    readme = (prepared / "README.md").read_text(encoding="utf-8")
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) == len(re.findall(r"\]\(([^)]+)\)", before))
    assert all(link.startswith("https://") for link in links)
    assert "https://git.example/ada/skcnn/blob/v1.2.3/docs/install.md" in links
    assert "https://git.example/ada/skcnn/raw/v1.2.3/docs/images/predictions.webp" in links
    # What was an address before is left alone.
    assert "https://skorch.readthedocs.io" in links


@pytest.mark.parametrize(
    ("file", "old", "new", "tag", "message"),
    [
        ("README.md", "", "", "v1.2.4", "The tag is v1.2.4, and the version in pyproject.toml 1"),
        ("README.md", "", "", "1.2.3", "The tag is 1.2.3, "),
        ("CITATION.cff", "1.2.3", "1.2.2", "v1.2.3", "CITATION.cff is not about version 1.2.3"),
        ("conda/recipe.yaml", "1.2.3", "1.2.2", "v1.2.3", "conda/recipe.yaml is not about"),
        ("CHANGELOG.md", "## [1.2.3]", "## [Unreleased]", "v1.2.3", "no section [1.2.3]"),
        ("pyproject.toml", "1.2.3", "1.2.3.dev0", "v1.2.3.dev0", "1.2.3.dev0 is no version of a"),
    ],
)
def test_a_release_that_does_not_fit_is_refused(release, prepared, file, old, new, tag, message):
    path = prepared / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=re.escape(message)):
        release.main(tag, "https://git.example/ada/skcnn", prepared)
    assert path.read_bytes() == before


def test_metadata_of_a_release_are_valid(release, prepared, tmp_path):
    """The wheel is built again with the addresses, as the release does it."""
    pytest.importorskip("twine", reason='twine is not installed: pip install -e ".[release]"')
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    release.main("v1.2.3", "https://git.example/ada/skcnn", prepared)
    shutil.copy(ROOT / "LICENSE", prepared)
    (prepared / "skcnn").mkdir()
    (prepared / "skcnn" / "__init__.py").touch()
    dist = tmp_path / "dist"
    code = "import sys; from setuptools.build_meta import build_wheel as b; b(sys.argv[1])"
    command = [sys.executable, "-c", code, str(dist)]
    subprocess.run(command, cwd=prepared, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    run = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
