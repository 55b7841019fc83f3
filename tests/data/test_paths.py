"""The forms in which paths of image files come, and boxes beside them."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from _fake_tables import Table
from numpy.testing import assert_array_equal
from scipy import sparse

from skcnn import (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
    FeatureExtractor,
    ImageLoader,
)
from skcnn._data._paths import as_pandas, read_paths
from skcnn._utils import BOX_COLUMNS

NAMES = ["a/fox.jpg", "a/hare.jpg", "b/été.png"]

FORMS = {
    "list": list,
    "tuple": tuple,
    "list of Path": lambda names: [Path(name) for name in names],
    "array": np.array,
    "array of objects": lambda names: np.array(names, dtype=object),
    "array of Path": lambda names: np.array([PurePosixPath(n) for n in names], dtype=object),
    "column of an array": lambda names: np.array(names, dtype=object)[:, None],
    "Series": pd.Series,
    "Series of objects": lambda names: pd.Series(names, dtype=object),
    "Series of strings": lambda names: pd.Series(names, dtype="string"),
    "Categorical": lambda names: pd.Series(names, dtype="category"),
    "Categorical with unused categories": lambda names: pd.Series(
        pd.Categorical(names, categories=["x.jpg", *names[::-1]])
    ),
    "Index": pd.Index,
    "extension array": lambda names: pd.array(names, dtype="string"),
    "Series with another index": lambda names: pd.Series(names, index=[7, 7, 3]),
    "DataFrame with a path": lambda names: pd.DataFrame({"path": names}),
    "DataFrame with one column": lambda names: pd.DataFrame({"file": names}),
    "DataFrame of Path": lambda names: pd.DataFrame({"file": [Path(name) for name in names]}),
    "DataFrame of categories": lambda names: pd.DataFrame({"file": pd.Categorical(names)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_paths_come_in_many_forms(form):
    paths = read_paths(FORMS[form](NAMES))
    assert [str(name) for name in paths.names] == NAMES
    assert len(paths) == 3
    assert paths.boxes is None
    assert paths.box(1) is None


def frame(paths):
    return pd.DataFrame({"path": paths, "date": []})


@pytest.mark.parametrize("form", [list, tuple, np.array, pd.Series, pd.Index, frame])
def test_what_an_empty_folder_gives_is_refused(form, tmp_path):
    found = form([str(path) for path in tmp_path.glob("*.jpg")])
    with pytest.raises(ValueError, match=f"^images is an empty {type(found).__name__}.*pattern"):
        read_paths(found, "images")


def test_what_can_be_read_only_once_is_refused(tmp_path):
    for stream in (tmp_path.glob("*.jpg"), map(str, NAMES), iter(np.zeros((3, 4, 4)))):
        kind = type(stream).__name__
        with pytest.raises(TypeError, match=rf"X is a {kind}, .* Pass list\(X\)"):
            read_paths(stream)


ESTIMATORS = [
    ConvNetClassifier(),
    ConvNetRegressor(),
    ConvNetMultiTask({"species": "classification"}),
    ConvNetSegmenter(),
    FeatureExtractor(),
    ImageLoader(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_every_estimator_refuses_them(estimator, tmp_path):
    with pytest.raises(ValueError, match="X is an empty list"):
        estimator.fit([], [])
    with pytest.raises(TypeError, match="X is a generator"):
        estimator.fit((name for name in NAMES), [0, 1, 0])
    for unordered in (set(NAMES), dict.fromkeys(NAMES), dict.fromkeys(NAMES).keys()):
        with pytest.raises(TypeError, match=f"X is a {type(unordered).__name__}, whose rows"):
            estimator.fit(unordered, [0, 1, 0])
    for folder in (tmp_path, f"{tmp_path}/"):
        with pytest.raises(ValueError, match=r"X is a folder, .*load_image_folder.*label=None"):
            estimator.fit(folder, [0, 1, 0])


@pytest.mark.parametrize("form", [sparse.dok_array, sparse.dok_matrix, sparse.csr_array])
def test_sparse_matrices_are_left_to_scikit_learn(form):
    assert read_paths(form((3, 12))) is None


def test_pyarrow():
    pyarrow = pytest.importorskip("pyarrow")
    arrow = pd.Series(NAMES, dtype="string[pyarrow]")
    for X in (arrow, arrow.to_frame("path"), pyarrow.array(NAMES), pyarrow.chunked_array([NAMES])):
        assert read_paths(X).names.tolist() == NAMES


def test_tables_of_other_libraries_become_frames_where_they_hold_text():
    site = pd.Categorical(["pond", "lake", "pond"])
    frame = as_pandas(Table(path=NAMES, depth=[1.5, 2.0, 2.5], site=site))
    assert frame.columns.tolist() == ["path", "depth", "site"]
    assert frame["site"].cat.categories.tolist() == ["lake", "pond"]
    assert frame["depth"].tolist() == [1.5, 2.0, 2.5]
    assert read_paths(frame[["path"]]).names.tolist() == NAMES
    numbers = Table(a=[1.0], b=[2.0])
    assert as_pandas(numbers) is numbers
    given = pd.DataFrame({"path": NAMES})
    assert as_pandas(given) is given


def test_text_of_numpy_2():
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("numpy 1 has no such dtype")
    assert read_paths(np.array(NAMES, dtype="T")).names.tolist() == NAMES


@pytest.mark.parametrize("path", ["fox.jpg", Path("fox.jpg"), np.str_("fox.jpg")])
def test_one_path_is_one_image(path):
    paths = read_paths(path)
    assert paths.names.shape == (1,)
    assert str(paths.names[0]) == "fox.jpg"


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((3, 4)),
        np.zeros((3, 4), dtype=object),
        [[1, 2], [3, 4]],
        None,
        pd.DataFrame(np.zeros((3, 4))),
        pd.DataFrame(np.zeros((3, 4)), dtype=object),
        pd.DataFrame({"path": [1.0, 2.0]}),
        pd.Series([1, 2]),
        b"fox.jpg",
        [b"fox.jpg"],
        np.array([["a.jpg", "b.jpg"]]),
        [np.zeros((2, 2))],
    ],
)
def test_everything_else_is_left_to_others(X):
    assert read_paths(X) is None


def test_a_million_paths_are_not_copied():
    names = ["a" * 50 + ".jpg"] * 1000
    assert all(found is name for found, name in zip(read_paths(names).names, names))


def test_missing_paths_stay_rows():
    for X in (["a.jpg", None], pd.Series(["a.jpg", np.nan]), pd.Series(["a.jpg", pd.NA])):
        paths = read_paths(X)
        assert paths.names[0] == "a.jpg"
        assert pd.isna(paths.names[1])
    assert read_paths([None, "a.jpg"]).names[1] == "a.jpg"


def test_mixtures_are_refused():
    for X in (["a.jpg", 3], np.array(["a.jpg", 3], dtype=object), pd.Series(["a.jpg", 3])):
        with pytest.raises(ValueError, match=r"X holds paths .*: row 1 is a int"):
            read_paths(X)


# ---------------------------------------------------------------- tables


def test_the_column_named_path_wins():
    frame = pd.DataFrame({"species": ["fox", "hare", "fox"], "path": NAMES})
    with pytest.raises(ValueError, match=r"beside the paths.*'species'.*Pass X\[\['path'\]\]"):
        read_paths(frame)
    assert read_paths(frame[["path"]]).names.tolist() == NAMES


def test_two_columns_of_text_without_a_name_are_not_guessed():
    frame = pd.DataFrame({"species": ["fox"], "file": ["a.jpg"]})
    with pytest.raises(ValueError, match=r"2 columns of text: 'species', 'file'. Name the one"):
        read_paths(frame)


def test_text_beside_the_paths_is_refused_and_the_message_keeps_the_boxes():
    frame = pd.DataFrame({"path": NAMES, "species": NAMES, **_columns(np.zeros((3, 4)) + 1)})
    frame[["box_x", "box_y"]] = 0
    with pytest.raises(
        ValueError, match=r"photos has columns of text beside .*'species'. Make them categories"
    ) as raised:
        read_paths(frame, "photos")
    assert f"photos[{['path', *BOX_COLUMNS]}]" in str(raised.value)


def test_numbers_and_categories_beside_the_paths_are_left_to_others():
    frame = pd.DataFrame(
        {"elevation": [1, 2, 3], "site": pd.Categorical(["a", "b", "a"]), "file": NAMES}
    )
    paths = read_paths(frame)
    assert paths.names.tolist() == NAMES
    assert paths.boxes is None


def test_a_category_is_no_path_where_there_are_other_columns():
    frame = pd.DataFrame({"site": pd.Categorical(["a", "b", "a"]), "elevation": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"no column of images: 'site', 'elevation'. Expected"):
        read_paths(frame)
    frame = frame.rename(columns={"site": "path"})
    assert read_paths(frame).names.tolist() == ["a", "b", "a"]


def _columns(boxes):
    return dict(zip(BOX_COLUMNS, np.asarray(boxes, dtype=float).T))


def test_boxes():
    boxes = [[0, 0, 1, 1], [0.25, 0.5, 0.75, 0.5], [np.nan] * 4]
    frame = pd.DataFrame({"file": NAMES, **_columns(boxes)})
    paths = read_paths(frame[["box_height", "file", "box_width", "box_y", "box_x"]])
    assert_array_equal(paths.boxes, boxes)
    assert_array_equal(paths.box(1), boxes[1])
    assert paths.box(2) is None
    some = paths.take(np.array([1]))
    assert some.names.tolist() == NAMES[1:2]
    assert_array_equal(some.boxes, boxes[1:2])


def test_boxes_may_have_missing_values_of_pandas():
    frame = pd.DataFrame({"path": NAMES, **_columns([[0.5] * 4] * 3)}).convert_dtypes()
    frame.loc[1, list(BOX_COLUMNS)] = pd.NA
    assert_array_equal(read_paths(frame).boxes, [[0.5] * 4, [np.nan] * 4, [0.5] * 4])


@pytest.mark.parametrize(
    "box",
    [
        [10, 20, 300, 200],
        [0.5, 0.5, 0.6, 0.1],
        [-0.1, 0, 0.5, 0.5],
        [0.5, 0.5, -0.2, 0.2],
        [0.5, 0.5, 0.2, 0],
        [0.1, 0.1, 0.2, np.nan],
    ],
)
def test_what_is_no_box_in_fractions_is_refused(box):
    frame = pd.DataFrame({"path": NAMES, **_columns([[0, 0, 1, 1], box, box])})
    with pytest.raises(ValueError, match=r"X has 2 box\(es\) .* first in row 1: .* Expected frac"):
        read_paths(frame)


def test_all_four_columns_of_a_box_are_needed():
    frame = pd.DataFrame({"path": NAMES, "box_x": 0.0, "box_width": 1.0})
    with pytest.raises(
        ValueError, match=r"X has 'box_x', 'box_width' but not 'box_y', 'box_height'\. Give"
    ):
        read_paths(frame)
