"""Examples of docs/works_with.md, for the tests of the packages they are about."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from _helpers import small_net, stripes

from skcnn import ImageLoader
from skcnn.datasets import (
    group_by_time,
    load_image_table,
    make_images_and_covariates,
    write_predictions,
)

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


def assert_fits_as(names: dict[str, Any], given: str, X: str, images: Any) -> None:
    """Check that the network of an example predicts as one fitted to the same in plain form.

    Parameters
    ----------
    names : dict
        Result of `run_example`, with a fitted `clf` and its labels `y`.
    given, X : str
        Names of what to fit to in plain form, and of what to predict then.
    images : object
        What the network of the example predicts, in the form of the package.
    """
    clf = names["clf"]
    found = clf.predict_proba(images)
    expected = clf.fit(names[given], names["y"]).predict_proba(names[X])
    np.testing.assert_array_equal(found, expected)


def check_covariates(names: dict[str, Any], table: Any) -> None:
    """Check that a table of paths, depths and sites is read as pandas has it."""
    net = names["clf"].set_params(max_epochs=2).fit(table, names["y"])
    expected = net.predict_proba(table)
    frame = table.to_pandas()
    np.testing.assert_array_equal(net.fit(frame, names["y"]).predict_proba(frame), expected)


def check_labels(make: Any) -> None:
    """Check that columns of a package, which `make` makes of arrays, are labels and weights."""
    X, y = stripes(60)
    labels = np.array(["ant", "bee", "fly"])[y]
    found = small_net(max_epochs=1).fit(X, make(labels))
    assert found.classes_.tolist() == ["ant", "bee", "fly"]
    weight = np.arange(60) % 3 + 1.0
    found = small_net(max_epochs=1).fit(X, make(y), sample_weight=make(weight))
    expected = small_net(max_epochs=1).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def check_pixel_columns(make: Any) -> None:
    """Check that a table of a package, which `make` makes of columns, has a pixel in each."""
    X, y = stripes(60)
    table = make({f"pixel{i}": column for i, column in enumerate(X.reshape(60, -1).T)})
    found = small_net(max_epochs=2).fit(table, y)
    assert found.feature_names_in_[1] == "pixel1"
    expected = small_net(max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(table), expected.predict_proba(X))


def check_tables(names: dict[str, Any], make: Callable[[dict[str, Any]], Any]) -> None:
    """Check that functions take tables of a package, which `make` makes, as DataFrames."""
    paths, y, clf = names["paths"], names["y"], names["clf"]
    labels = np.array(["ant", "bee", "fly"])[y]
    times = [f"2024-05-01 10:{row % 60:02}:00" for row in range(len(y))]
    columns = {"path": paths, "label": labels, "site": [f"{n} m" for n in y], "time": times}
    table, frame = make(columns), pd.DataFrame(columns)
    found, expected = (
        load_image_table(t, group="site", time="time").frame for t in (table, frame)
    )
    pd.testing.assert_frame_equal(found, expected)
    found, expected = (group_by_time(t, site="site", time="time") for t in (table, frame))
    np.testing.assert_array_equal(found, expected)
    written = [write_predictions("predicted.csv", clf, t).read_text() for t in (table, frame)]
    assert written[0] == written[1]
    found, expected = (ImageLoader().fit_transform(t) for t in (make({"path": paths}), paths))
    np.testing.assert_array_equal(found, expected)
    numbers = {"depth": 10.0 * y, "visits": y}
    found, expected = (
        make_images_and_covariates(names["X"], t) for t in (make(numbers), pd.DataFrame(numbers))
    )
    pd.testing.assert_frame_equal(found.drop(columns="image"), expected.drop(columns="image"))
