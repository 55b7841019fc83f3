"""Examples of docs/works_with.md, for the tests of the packages they are about."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "works_with.md"
_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def needs(module: str, extra: str = "ecosystem") -> Any:
    """Import a package, or skip the tests of a file; what it warns of at import is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            module, reason=f'needs {module}, which pip install "skcnn[{extra}]" brings'
        )


def examples() -> list[str]:
    """Code of each example, in the order of the page."""
    return _EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))


def run_example(*imports: str) -> dict[str, Any]:
    """Run the examples that have these lines, after the lines that all start with.

    Returns
    -------
    names : dict
        What the examples have left behind.
    """
    start, *others = examples()
    chosen = [[code for code in others if line in code.splitlines()] for line in imports]
    assert [len(codes) for codes in chosen] == [1] * len(imports), imports
    names: dict[str, Any] = {"__name__": "example"}
    for code in (start, *(codes[0] for codes in chosen)):
        exec(compile(code, str(PAGE), "exec"), names)
    return names
