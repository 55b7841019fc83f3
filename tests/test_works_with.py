"""The table of docs/works_with.md: a test for each package, and an example in it."""

import re
from pathlib import Path

import pytest
from _ecosystem import PAGE, examples

FOLDER = Path(__file__).parent / "ecosystem"
_ROW = re.compile(r"^\| \[(.+?)\]\(#(.+?)\) \| .* \| `(test_\w+\.py)` \|$", re.MULTILINE)
ROWS = _ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_the_table_and_the_tests_name_the_same_packages():
    assert len(ROWS) > 15
    assert sorted(test for _, _, test in ROWS) == sorted(
        path.name for path in FOLDER.glob("test_*.py")
    )
    table = PAGE.read_text(encoding="utf-8").split("\n\n")[2]
    assert len(table.splitlines()) == len(ROWS) + 2


@pytest.mark.parametrize(("package", "section", "test"), ROWS, ids=[row[0] for row in ROWS])
def test_each_row_has_an_example_that_its_test_runs(package, section, test):
    code = (FOLDER / test).read_text(encoding="utf-8")
    lines = re.findall(r'run_example\((?:"from PIL import Image", )?"(.+?)"', code)
    assert lines
    module = re.search(r'needs\("(\w+)', code)[1]
    for line in lines:
        assert sum(line in example.splitlines() for example in examples()) == 1
    titles = [
        re.sub(r"\W+", "-", title.lower())
        for title in re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert section in titles
    assert module.split(".")[0] in "".join(lines) or package == "Dask"


def test_every_example_is_python():
    for example in examples():
        compile(example, str(PAGE), "exec")
