"""Results of fetch_cifar100, and its errors for wrong parameters."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skcnn.datasets
from skcnn.datasets import fetch_cifar100

# As written by the data_home fixture.
TRAIN = ["whale", "bee", "oak_tree", "bee", "shark", "oak_tree", "bee", "whale"]
TEST = ["oak_tree", "shark", "bee", "whale"]
CATEGORIES = ["bee", "oak_tree", "shark", "whale"]
SUPERCLASSES = ["aquatic_mammals", "fish", "insects", "trees"]
SUPERCLASS_OF = {
    "whale": "aquatic_mammals",
    "shark": "fish",
    "bee": "insects",
    "oak_tree": "trees",
}


def official_images(data_home: Path, name: str) -> np.ndarray:
    raw = np.fromfile(data_home / "cifar-100-binary" / name, dtype=np.uint8).reshape(-1, 3074)
    return raw[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("subset", "names"), [("train", TRAIN), ("test", TEST), ("all", TRAIN + TEST)]
)
def test_bunch(data_home, subset, names):
    bunch = fetch_cifar100(subset=subset, data_home=data_home)
    parts = {"train": ["train.bin"], "test": ["test.bin"], "all": ["train.bin", "test.bin"]}
    expected = np.concatenate([official_images(data_home, part) for part in parts[subset]])
    assert bunch.data.dtype == np.uint8
    np.testing.assert_array_equal(bunch.data, expected)
    assert bunch.data.flags.c_contiguous
    assert bunch.data.flags.writeable
    assert bunch.target.dtype == np.int64
    assert bunch.target_names.tolist() == bunch.categories.tolist() == CATEGORIES
    assert bunch.target_names[bunch.target].tolist() == names
    assert bunch.superclass.dtype == np.int64
    assert bunch.superclass_names.tolist() == SUPERCLASSES
    assert bunch.superclass_names[bunch.superclass].tolist() == [SUPERCLASS_OF[n] for n in names]
    assert bunch.frame is None
    assert "CIFAR-100" in bunch.DESCR


def test_the_training_images_are_the_default(data_home):
    assert len(fetch_cifar100(data_home=data_home).data) == len(TRAIN)


def test_chosen_categories_are_numbered_from_zero_in_official_order(data_home):
    bunch = fetch_cifar100(categories=["whale", "bee"], data_home=data_home)
    kept = [name in ("whale", "bee") for name in TRAIN]
    np.testing.assert_array_equal(bunch.data, official_images(data_home, "train.bin")[kept])
    assert bunch.target.tolist() == [1, 0, 0, 0, 1]
    assert bunch.target_names.tolist() == bunch.categories.tolist() == ["bee", "whale"]
    assert bunch.superclass_names.tolist() == ["aquatic_mammals", "insects"]
    assert bunch.superclass.tolist() == [0, 1, 1, 1, 0]


def test_coarse_labels_are_the_superclasses(data_home):
    bunch = fetch_cifar100(labels="coarse", categories=["whale", "bee"], data_home=data_home)
    assert bunch.target.tolist() == bunch.superclass.tolist() == [0, 1, 1, 1, 0]
    assert bunch.target_names.tolist() == ["aquatic_mammals", "insects"]
    assert bunch.categories.tolist() == ["bee", "whale"]


def test_categories_of_one_superclass_share_a_coarse_label(tmp_path, data_home):
    raw = np.zeros((3, 3074), dtype=np.uint8)
    raw[:, 0], raw[:, 1] = (17, 17, 7), (52, 47, 6)
    raw.tofile(data_home / "cifar-100-binary" / "train.bin")
    names = ["oak_tree", "maple_tree", "bee"]
    bunch = fetch_cifar100(labels="coarse", categories=names, data_home=data_home)
    assert bunch.target.tolist() == [1, 1, 0]
    assert bunch.target_names.tolist() == ["insects", "trees"]


def test_return_X_y(data_home):
    bunch = fetch_cifar100(data_home=data_home)
    X, y = fetch_cifar100(data_home=data_home, return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


def test_as_frame(data_home):
    pd = pytest.importorskip("pandas")
    plain = fetch_cifar100(data_home=data_home)
    bunch = fetch_cifar100(data_home=data_home, as_frame=True)
    assert isinstance(bunch.data, pd.DataFrame)
    assert isinstance(bunch.target, pd.Series)
    assert set(bunch.data.dtypes) == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(bunch.data.to_numpy().reshape(-1, 32, 32, 3), plain.data)
    np.testing.assert_array_equal(bunch.data["pixel_3_17_b"], plain.data[:, 3, 17, 2])
    assert bunch.data.columns[[0, 1, 3, 96]].tolist() == [
        "pixel_0_0_r",
        "pixel_0_0_g",
        "pixel_0_1_r",
        "pixel_1_0_r",
    ]
    np.testing.assert_array_equal(bunch.target, plain.target)
    assert bunch.frame.columns.tolist() == [*bunch.data.columns, "target"]
    np.testing.assert_array_equal(bunch.frame["target"], plain.target)
    X, y = fetch_cifar100(data_home=data_home, as_frame=True, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)


def test_training_and_test_images_are_numbered_alike_in_a_partial_folder(data_home):
    path = data_home / "cifar-100-binary" / "test.bin"
    path.write_bytes(path.read_bytes()[: 2 * 3074])  # an oak tree and a shark
    bunch = fetch_cifar100(subset="test", data_home=data_home)
    assert bunch.target_names.tolist() == CATEGORIES
    assert bunch.target.tolist() == [1, 2]


def test_one_of_the_two_files_is_enough_for_its_subset(data_home):
    (data_home / "cifar-100-binary" / "train.bin").unlink()
    assert len(fetch_cifar100(subset="test", data_home=data_home).data) == len(TEST)
    with pytest.raises(OSError, match=r"lacks the file train\.bin"):
        fetch_cifar100(subset="all", data_home=data_home)


def test_a_category_without_images_is_named(data_home):
    with pytest.raises(ValueError, match=r"asks for \['apple', 'wolf'\]") as caught:
        fetch_cifar100(categories=["wolf", "bee", "apple"], data_home=data_home)
    assert "They contain: bee, oak_tree, shark, whale." in str(caught.value)
    assert str(data_home) in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"subset": "valid"}, r"'subset' parameter .* must be a str among .* Got 'valid'"),
        ({"subset": None}, "'subset' parameter .* Got None"),
        ({"labels": "superclass"}, "'labels' parameter .* Got 'superclass'"),
        ({"categories": 5}, "'categories' parameter .* Got 5"),
        ({"categories": "ecolgy"}, "'categories' parameter .*did you mean 'ecology'"),
        ({"data_home": 3}, "'data_home' parameter .* Got 3"),
        ({"download_if_missing": "no"}, "'download_if_missing' parameter .* Got 'no'"),
        ({"return_X_y": "yes"}, "'return_X_y' parameter .* Got 'yes'"),
        ({"as_frame": "auto"}, "'as_frame' parameter .* Got 'auto'"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_fetched(tmp_path, parameters, message):
    with pytest.raises(ValueError, match=message):
        fetch_cifar100(**{"data_home": tmp_path / "new", **parameters})
    assert not (tmp_path / "new").exists()


def test_parameters_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        fetch_cifar100("train")


IMPORT = """
import sys, types
# The parent package without its code, because this test is not about what that imports.
parent = types.ModuleType("skcnn")
parent.__path__ = [sys.argv[1]]
sys.modules["skcnn"] = parent
import skcnn.datasets
skcnn.datasets.make_organisms(5, random_state=0)
skcnn.datasets.fetch_cifar100(data_home=sys.argv[2])
print(sorted({"torch", "skorch", "pooch"} & set(sys.modules)))
"""


def test_data_sets_on_disk_need_neither_torch_nor_a_downloader(data_home):
    package = Path(skcnn.datasets.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT, package, data_home],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("categories", "n_categories", "n_images"),
    [("ecology", 61, 30_500), ("ecology56", 56, 28_000), (None, 61, 30_500)],
)
def test_real_images(real_home, categories, n_categories, n_images):
    bunch = fetch_cifar100(categories=categories, data_home=real_home)
    assert bunch.data.shape == (n_images, 32, 32, 3)
    assert np.bincount(bunch.target).tolist() == [500] * n_categories
    assert bunch.target_names.tolist() == sorted(set(bunch.target_names))
    # Trees are greener than sharks in any photographer's hands: the channels are in order.
    green = bunch.data[..., 1].astype(float) - bunch.data[..., 2]
    tone = {name: green[bunch.target_names[bunch.target] == name].mean() for name in TEST}
    assert tone["oak_tree"] > tone["shark"]
    test = fetch_cifar100(subset="test", categories=categories, data_home=real_home)
    assert np.bincount(test.target).tolist() == [20] * n_categories
    assert test.target_names.tolist() == bunch.target_names.tolist()


def test_real_superclasses(real_home):
    bunch = fetch_cifar100(categories="ecology56", labels="coarse", data_home=real_home)
    assert len(bunch.target_names) == 13
    assert "people" not in bunch.target_names
    counts = dict(zip(bunch.target_names.tolist(), np.bincount(bunch.target), strict=True))
    assert (counts["trees"], counts["fish"], counts["fruit_and_vegetables"]) == (2500, 2000, 500)
