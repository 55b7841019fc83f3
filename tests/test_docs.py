"""The documentation: its links lead somewhere, and its examples are what a gallery takes."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import skcnn
from skcnn import ConvNetClassifier, recipes

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "benchmarks" / "README.md",
]
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = page.parent / path if path else page
        assert found.exists(), f"{target} leads nowhere"
        if heading:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]
            assert heading in anchors, f"{target}: there is no such heading"


def test_every_page_is_in_a_table_of_contents():
    listed = "\n".join(
        block
        for page in ("index.md", "guide.md")
        for block in re.findall(
            r"```\{toctree\}(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL
        )
    ).split()
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= set(listed)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_have_a_title_and_cells(example):
    source = example.read_text(encoding="utf-8")
    title, rule, *_ = ast.get_docstring(ast.parse(source)).splitlines()
    assert rule == "=" * len(title)
    assert source.count("\n# %%\n") >= 2


def test_public_functions_and_classes_have_an_example():
    modules = (getattr(skcnn, name) for name in skcnn.__all__)
    modules = [skcnn, *(module for module in modules if inspect.ismodule(module))]
    public = {name: getattr(module, name) for module in modules for name in module.__all__}
    texts = {name: inspect.getdoc(item) or "" for name, item in public.items() if callable(item)}
    assert len(texts) > 80
    without = {n for n, text in texts.items() if not re.search(r">>> |\bMade by `", text)}
    assert without == set()


def test_there_is_a_gallery():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("page", ["lesson.md", "from_r.md"])
def test_the_lecture_in_the_words_of_skcnn_is_its_network(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    # The second column: parameters, in Python or R.
    cells = re.findall(r"^\|.*\| `([^|]*)`[^|`]*\|$", text, re.MULTILINE)
    given = re.findall(r'(\w+) ?= ?(c\([^)]*\)|\([^)]*\)|"\w+"|[\w.]+)(?=,|\))', "\n".join(cells))
    in_python = {"NULL": None, "TRUE": True, "FALSE": False}
    names = ConvNetClassifier().get_params()
    parameters = {
        name: in_python[value] if value in in_python else ast.literal_eval(value.removeprefix("c"))
        for name, value in given
        if name in names
    }
    expected, translated = ConvNetClassifier(**recipes.lesson), ConvNetClassifier(**parameters)
    for name in recipes.lesson.keys() - {"module"}:
        assert getattr(translated, name) == getattr(expected, name), name
    summary = translated.summary((32, 32, 3), n_classes=61)
    # All but the starting weights, which are no part of the lecture.
    assert str(summary) == str(expected.summary((32, 32, 3), n_classes=61))
