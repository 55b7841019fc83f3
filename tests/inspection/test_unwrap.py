"""Displays and functions for networks in pipelines and searches."""

import numpy as np
import pytest
from _helpers import small_blocks, small_multi_task, small_net, small_regressor, stripes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import ConvNetClassifier, ConvNetSegmenter
from skcnn.inspection import (
    ArchitectureDisplay,
    ConfusionDisplay,
    EmbeddingDisplay,
    FeatureMapsDisplay,
    FiltersDisplay,
    GradCAMDisplay,
    HistoryDisplay,
    PredictionsDisplay,
    ProbabilitiesDisplay,
    TopLossesDisplay,
    feature_maps,
    filters,
    grad_cam,
)
from skcnn.inspection._unwrap import unwrap
from skcnn.networks import UNet


def gray(X):
    return X.mean(axis=3, keepdims=True).astype(np.uint8)


@pytest.fixture(scope="module")
def data(organisms):
    X, y = organisms
    return X[:80], y[:80]


@pytest.fixture(scope="module")
def network(data):
    X, y = data
    return small_net(max_epochs=2).fit(gray(X), y)


def as_pipeline(network, data):
    return Pipeline([("gray", FunctionTransformer(gray).fit(data[0])), ("net", network)])


def as_search(network, data):
    search = GridSearchCV(network, {"lr": [0.1]}, cv=2)
    search.best_estimator_ = network
    return make_pipeline(FunctionTransformer(gray), "passthrough", search)


def as_nested(network, data):
    search = GridSearchCV(as_pipeline(network, data), {"net__lr": [0.1]}, cv=2)
    search.best_estimator_ = as_pipeline(network, data)
    return search


WRAPPERS = [as_pipeline, as_search, as_nested]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_unwrap_finds_the_network_and_its_images(wrap, network, data):
    found, images = unwrap(wrap(network, data), data[0])
    assert found is network
    np.testing.assert_array_equal(images, gray(data[0]))
    assert unwrap(network, data[0]) == (network, data[0])


def test_unwrap_takes_a_search_that_was_fitted(data):
    pipeline = make_pipeline(FunctionTransformer(gray), small_net(max_epochs=1))
    search = GridSearchCV(pipeline, {"convnetclassifier__lr": [0.1]}, cv=2).fit(*data)
    found, images = unwrap(search, data[0])
    assert found is search.best_estimator_[-1]
    assert images.shape[-1] == 1


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("function", [filters, feature_maps, grad_cam])
def test_functions_look_into_wrapped_networks(function, wrap, network, data):
    X = data[0][:5]
    inner, outer = ((), ()) if function is filters else ((gray(X),), (X,))
    expected = function(network, *inner)
    np.testing.assert_array_equal(function(wrap(network, data), *outer), expected)


def content(display):
    """Data of a display, without what drawing adds."""
    names = sorted(name for name in vars(display) if not name.endswith("_"))
    return {name: getattr(display, name) for name in names}


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize(
    ("display", "arguments"),
    [
        (ArchitectureDisplay, lambda X, y: ()),
        (ConfusionDisplay, lambda X, y: (X, y)),
        (EmbeddingDisplay, lambda X, y: (X, y)),
        (FeatureMapsDisplay, lambda X, y: (X[0],)),
        (FiltersDisplay, lambda X, y: ()),
        (GradCAMDisplay, lambda X, y: (X, y)),
        (HistoryDisplay, lambda X, y: ()),
        (PredictionsDisplay, lambda X, y: (X[:5], y[:5])),
        (ProbabilitiesDisplay, lambda X, y: (X, y)),
        (TopLossesDisplay, lambda X, y: (X, y)),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_displays_look_into_wrapped_networks(display, arguments, wrap, network, data):
    X, y = data
    wrapped = wrap(network, data)
    if display is ConfusionDisplay:
        # It calls predict, which a search without fit refuses.
        wrapped = as_pipeline(network, data)
    found = content(display.from_estimator(wrapped, *arguments(X, y)))
    expected = content(display.from_estimator(network, *arguments(gray(X), y)))
    assert list(found) == list(expected)
    for name, value in expected.items():
        if name == "images":
            np.testing.assert_array_equal(found[name][:], value[:])
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[name], value)
        else:
            assert str(found[name]) == str(value)


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (LogisticRegression(), TypeError, r"LogisticRegression\(\), which has no network"),
        (make_pipeline(small_net(), LogisticRegression()), TypeError, "has no network"),
        (make_pipeline(FunctionTransformer(), small_net()), NotFittedError, "not fitted"),
        (GridSearchCV(small_net(), {}), NotFittedError, "not fitted"),
        (GridSearchCV(small_net(), {}, refit=False), ValueError, "refit=False keeps no fitted"),
    ],
)
def test_unwrap_refuses_what_has_no_fitted_network(estimator, error, message):
    for function in (unwrap, filters, HistoryDisplay.from_estimator):
        with pytest.raises(error, match=message):
            function(estimator)


def test_architecture_of_a_pipeline_that_is_not_fitted():
    pipeline = make_pipeline(FunctionTransformer(gray), small_net())
    display = ArchitectureDisplay.from_estimator(pipeline, (16, 16), n_classes=3)
    assert display.image_shape == (16, 16, 1)


SEVERAL = np.arange(120).reshape(60, 2) // 3 % 2
X, Y = stripes(60)


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (small_net(), SEVERAL * 3, r"several columns of labels.*y\[:, 0\], predicted\[:, 0\]"),
        (small_multi_task(), Y, r"several answers.*y\[task\], predicted\[task\]"),
        (ConvNetSegmenter(UNet(small_blocks())), X[..., 0] > 128, "label images. Use MaskDisplay"),
    ],
    ids=["columns", "tasks", "masks"],
)
def test_displays_of_one_label_refuse_several(estimator, y, message):
    clf = estimator.set_params(max_epochs=1).fit(X, y)
    for display in (PredictionsDisplay, TopLossesDisplay, ProbabilitiesDisplay):
        with pytest.raises(TypeError, match=rf"{display.__name__} shows one label.*{message}"):
            display.from_estimator(clf, X, y)


def test_several_labels_of_an_image_are_bars_and_no_single_prediction():
    clf = small_net(max_epochs=1).fit(X, np.column_stack([SEVERAL, np.ones(60)]))
    assert ProbabilitiesDisplay.from_estimator(clf, X).probability.shape == (4, 3)
    with pytest.raises(TypeError, match=r"PredictionsDisplay shows one label.*several labels per"):
        PredictionsDisplay.from_estimator(clf, X)


def test_bars_of_a_regressor_are_refused():
    clf = small_regressor(max_epochs=1).fit(X, Y)
    with pytest.raises(TypeError, match=r"ConvNetRegressor predicts numbers. Use PredictionsDis"):
        ProbabilitiesDisplay.from_estimator(clf, X)


@pytest.mark.parametrize("function", [filters, lambda clf: grad_cam(clf, np.zeros((1, 8, 8)))])
def test_an_estimator_that_is_not_fitted_is_refused(function):
    with pytest.raises(NotFittedError):
        function(ConvNetClassifier())
