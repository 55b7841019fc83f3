"""Features of frozen stages on disk: computed once, never taken for others."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from _image_files import write_images
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor, clear_image_cache
from skcnn._engine import _feature_cache
from skcnn.datasets import make_images_and_covariates
from skcnn.networks import Backbone
from skcnn.networks._backbone_network import BackboneNetwork


def tiny(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
    ).eval()


def backbone(seed=0, **options):
    return Backbone(tiny(seed), **{"layer": "", "mean": (0.5,) * 3, "std": (0.2,) * 3, **options})


def classifier(folder, module=None, **options):
    return ConvNetClassifier(
        module=backbone() if module is None else module,
        cache_dir=folder,
        **{"max_epochs": 2, "random_state": 0, **options},
    )


@pytest.fixture
def computed(monkeypatch):
    """Numbers of images that frozen stages were run on, in the batches of fits and predictions."""
    seen = []
    run = BackboneNetwork.frozen_features

    def counting(network, images, covariates=None):
        seen.append(len(images))
        return run(network, images, covariates)

    monkeypatch.setattr(BackboneNetwork, "frozen_features", counting)
    # Smaller batches would be filled up with copies of the last image.
    monkeypatch.setattr("skcnn._engine._predict._SMALL_NETWORK", 0)
    return seen


def take(computed):
    n_images = sum(computed)
    computed.clear()
    return n_images


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_results_are_those_without_the_cache(images, labels, unfreeze, tmp_path):
    results = []
    for folder in (None, tmp_path, tmp_path):
        clf = classifier(folder, backbone(unfreeze=unfreeze)).fit(images[:40], labels[:40])
        results.append([clf.predict_proba(images), clf.transform(images), clf.loss_curve_])
    for without, filling, filled in zip(*results):
        assert_allclose(filling, without, rtol=1e-4, atol=1e-5)
        assert_array_equal(filled, filling)


def test_an_image_is_computed_once_whoever_asks(images, labels, computed, tmp_path):
    clf = classifier(tmp_path).fit(images[:40], labels[:40])
    assert take(computed) == 40
    clf.predict(images)
    assert take(computed) == 20
    search = GridSearchCV(classifier(tmp_path), {"lr": [0.03, 0.1]}, cv=3)
    search.fit(images, labels)
    classifier(tmp_path, early_stopping=True).fit(images[::-1], labels[::-1])
    assert take(computed) == 0


def test_features_of_a_layer_inside_of_a_module_are_kept(images, computed, tmp_path):
    # Such a module is stopped by a hook, which is none that looks at images.
    built_in = Backbone("efficientnet_lite0", weights=None, image_size=8)
    layers = ["stage2.1.convolutions.3", "stage2.1.convolutions.4"]
    kept = []
    for layer in [*layers, *layers]:
        module = clone(built_in).set_params(layer=layer)
        extractor = FeatureExtractor(module, cache_dir=tmp_path).fit(images)
        kept.append(extractor.transform(images))
    assert take(computed) == 2 * len(images)
    assert_array_equal(kept[:2], kept[2:])
    assert not np.allclose(kept[0], kept[1])


def test_other_stages_and_other_inputs_have_features_of_their_own(images, labels, tmp_path):
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 1
    cases = [
        (backbone(), images),
        (backbone(seed=1), images),
        (backbone(image_size=16), images),
        (backbone(pooling="max"), images),
        (backbone(mean=(0.4,) * 3), images),
        (backbone(layer="0"), images),
        (backbone(), images / 255),
        (backbone(), images[..., :1]),
        (backbone(), images[:, :, :6]),
        (backbone(), changed),
    ]
    for module, X in cases:
        expected = classifier(None, module).fit(X, labels)
        found = classifier(tmp_path, module).fit(X, labels)
        assert_allclose(found.transform(X), expected.transform(X), rtol=1e-4, atol=1e-5)


def test_weights_that_were_changed_by_hand_count(images, labels, tmp_path):
    clf = classifier(tmp_path).fit(images, labels)
    before = clf.transform(images)
    with torch.no_grad():
        clf.module_.body[1][0].weight *= 2
    assert not np.allclose(clf.transform(images), before, rtol=0.1)


class Shift(nn.Module):
    """Stands for a layer of torchvision, whose settings are not in its text."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def forward(self, x):
        return x.cumsum(3).roll(self.steps, (2, 3))[:, :, 1:]


def shifted(steps):
    return backbone().set_params(source=nn.Sequential(*tiny(), Shift(steps)))


def test_settings_in_lists_and_versions_of_libraries_count(images, tmp_path, monkeypatch):
    monkeypatch.setattr(Shift, "__module__", "torchvision.shifts")
    for steps in ([0, 0], [1, 0]):
        expected = FeatureExtractor(shifted(steps)).fit_transform(images)
        found = FeatureExtractor(shifted(steps), cache_dir=tmp_path).fit_transform(images)
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    library = SimpleNamespace(__version__="99")
    monkeypatch.setitem(sys.modules, "torchvision", library)
    monkeypatch.setattr(Shift, "forward", lambda self, x: x * 2)
    expected = FeatureExtractor(shifted(steps)).fit_transform(images)
    found = FeatureExtractor(shifted(steps), cache_dir=tmp_path).fit_transform(images)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class Own(nn.Module):
    """Code that may change without notice."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_features_of_own_code_and_of_hooks_are_not_kept(images, labels, computed, tmp_path):
    for _ in range(2):
        own = backbone().set_params(source=Own(tiny()))
        classifier(tmp_path, own).fit(images, labels)
        assert take(computed) == 60
    clf = classifier(tmp_path).fit(images, labels)
    seen = []
    clf.module_.body[0].register_forward_hook(lambda *_: seen.append(1))
    clf.predict(images)
    assert seen


def test_features_that_depend_on_the_batch_are_not_kept(images, labels, computed, tmp_path):
    source = tiny()
    source[1][1] = nn.BatchNorm2d(16, track_running_stats=False)
    module = Backbone(source, layer="", mean=(0.5,) * 3, std=(0.2,) * 3)
    for _ in range(2):
        classifier(tmp_path, module).fit(images, labels)
        assert take(computed) == len(images)


def test_random_changes_to_images_have_features_of_their_own(images, labels, tmp_path):
    expected = classifier(None, augment="cutout").fit(images, labels)
    found = classifier(tmp_path, augment="cutout").fit(images, labels)
    assert_array_equal(found.loss_curve_, expected.loss_curve_)
    assert_allclose(found.predict_proba(images), expected.predict_proba(images), atol=1e-5)


def test_mirror_images_are_looked_at(images, labels, tmp_path):
    clf = classifier(None, test_time_flip=True).fit(images, labels)
    expected = clf.predict_proba(images)
    assert_array_equal(clf.set_params(cache_dir=tmp_path).predict_proba(images), expected)


def test_covariates_stay_beside_features(images, labels, tmp_path):
    frame = pd.DataFrame({"depth": np.linspace(0, 9, 60)})
    X = make_images_and_covariates(images, frame)
    expected = classifier(None).fit(X, labels).predict_proba(X)
    for _ in range(2):
        found = classifier(tmp_path).fit(X, labels).predict_proba(X)
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("in_memory", [True, False])
def test_files_share_features_with_their_pixels(
    images, labels, in_memory, computed, tmp_path, monkeypatch
):
    if not in_memory:
        monkeypatch.setattr("skcnn._data._files._MAX_BYTES_IN_MEMORY", 0)
    paths = write_images(tmp_path / "images", images)
    expected = classifier(tmp_path / "cache").fit(images, labels).predict_proba(images)
    assert take(computed) == 60
    clf = classifier(tmp_path / "cache").fit(paths, labels)
    assert_array_equal(clf.predict_proba(paths), expected)
    paths[30] = str(tmp_path / "missing.png")
    clf.set_params(on_error="skip")
    with pytest.warns(UserWarning, match="1 of 60 .* have no result"):
        found = clf.predict_proba(paths)
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [30]
    # A file that cannot be read is a black image.
    assert take(computed) == 1


def test_extractors_keep_features_and_can_be_cleared(images, computed, tmp_path, monkeypatch):
    expected = FeatureExtractor(backbone()).fit_transform(images)
    extractor = FeatureExtractor(backbone(), cache_dir=tmp_path)
    assert_array_equal(extractor.fit_transform(images), expected)
    assert take(computed) == 60
    monkeypatch.setattr(_feature_cache, "_CHUNK_ROWS", 7)
    assert_array_equal(clone(extractor).fit_transform(images), expected)
    assert take(computed) == 0
    assert round(clear_image_cache(tmp_path) * 1e9) == expected.nbytes
    assert_array_equal(extractor.transform(images), expected)
    assert take(computed) == 60


def test_a_folder_that_cannot_be_made_is_an_error_in_fit_and_a_warning_in_predict(
    images, labels, tmp_path
):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cache_dir='.*file' cannot be written: "):
        classifier(os.fspath(tmp_path / "file")).fit(images, labels)
    clf = classifier(None).fit(images, labels)
    expected = clf.predict_proba(images)
    clf.set_params(cache_dir=tmp_path / "file")
    with pytest.warns(UserWarning, match="Features are computed without it"):
        assert_allclose(clf.predict_proba(images), expected, rtol=1e-4, atol=1e-5)


def with_activation(activation):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 8, 0.0, activation, batch_first=True)
    return nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Flatten(2), layer).eval()


def patched(factor):
    source = tiny()
    source[1][2].forward = lambda x: x * factor
    return source


@pytest.mark.parametrize(
    ("make", "values"), [(with_activation, (torch.tanh, torch.sin)), (patched, (1, 2))]
)
def test_functions_in_modules_are_not_taken_for_each_other(images, tmp_path, make, values):
    for value in values:
        module = backbone().set_params(source=make(value))
        expected = FeatureExtractor(module).fit_transform(images)
        found = FeatureExtractor(module, cache_dir=tmp_path).fit_transform(images)
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
