"""ONNX files: onnxruntime answers as the estimator does."""

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_net, stripes
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

import skcnn
from skcnn import ConvNetMultiTask, ConvNetRegressor, FeatureExtractor
from skcnn._estimators import _onnx
from skcnn.datasets import make_images_and_covariates
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks

needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))),
    reason="skcnn[onnx] is missing",
)
X, Y = stripes(40)


def run(path, images):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (answers,) = session.run(None, {"images": images.astype(np.float32)})
    return answers, session.get_modelmeta().custom_metadata_map


def own(n_channels, n_outputs):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(n_channels, 4, 3), nn.SiLU(), nn.Flatten())
            self.last = nn.Linear(144, n_outputs)

        def forward(self, images):
            features = self.layers(images)
            return {"logits": self.last(features), "features": features}

    return Own()


def donor():
    return small_net(max_epochs=1, filters=(4,)).fit(X, Y)


NETWORKS = {
    "mirror": lambda: {
        "module": ConvBlocks(
            filters=(8, 8),
            symmetry="mirror",
            stem="whitening",
            pool_after="first",
            global_pool="average_max",
        ),
        "test_time_flip": True,
    },
    "transformer": lambda: {"module": CompactTransformer(width=8, depth=1, heads=2)},
    "own": lambda: {"module": own},
}


@needs_onnx
@pytest.mark.parametrize("case", NETWORKS)
def test_probabilities_are_those_of_the_estimator_for_every_network(case, tmp_path, capfd):
    labels = np.array(["ant", "bee", "fly"])[Y]
    clf = small_net(**NETWORKS[case](), max_epochs=1).fit(X, labels)
    before = clf.predict_proba(X)
    skcnn.export_onnx(clf, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")
    for n in (1, 7, 40):
        proba, about = run(tmp_path / "model.onnx", X[:n])
        np.testing.assert_allclose(proba, before[:n], atol=1e-4)
    assert json.loads(about["classes"]) == ["ant", "bee", "fly"]
    assert json.loads(about["image_shape"]) == [8, 8, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    np.testing.assert_array_equal(clf.predict_proba(X), before)


@needs_onnx
def test_features_are_those_of_the_extractor(tmp_path):
    gray = X[..., 0]
    extractor = FeatureExtractor(Backbone(donor(), pooling="max", image_size=20)).fit(gray)
    skcnn.export_onnx(extractor, str(tmp_path / "f.onnx"))
    features, about = run(tmp_path / "f.onnx", gray[..., None])
    np.testing.assert_allclose(features, extractor.transform(gray), atol=1e-4)
    assert "classes" not in about


COUNTS = {"filters": (4,), "max_epochs": 1, "device": "cpu", "random_state": 0}


@needs_onnx
def test_numbers_are_those_of_the_regressor(tmp_path):
    y = np.stack([1000.0 + Y, Y / 10], axis=1)
    regressor = ConvNetRegressor(loss="poisson", **COUNTS).fit(X, y)
    skcnn.export_onnx(regressor, tmp_path / "f.onnx")
    numbers, _ = run(tmp_path / "f.onnx", X)
    np.testing.assert_allclose(numbers, regressor.predict(X), rtol=1e-4)


@needs_onnx
def test_each_of_several_labels_has_its_probability(tmp_path):
    clf = small_net(max_epochs=1, filters=(4,)).fit(X, np.stack([Y < 2, Y > 0], axis=1))
    skcnn.export_onnx(clf, tmp_path / "f.onnx")
    proba, _ = run(tmp_path / "f.onnx", X)
    np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-4)


@needs_onnx
def test_several_answers_are_refused(tmp_path):
    table = pd.DataFrame({"a": Y, "b": Y})
    several = ConvNetMultiTask({"a": "classification", "b": "poisson"}, **COUNTS).fit(X, table)
    with pytest.raises(TypeError, match="export_onnx got a ConvNetMultiTask"):
        skcnn.export_onnx(several, tmp_path / "f")
    clf = small_net(max_epochs=1, filters=(4,)).fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(TypeError, match="several columns of labels"):
        skcnn.export_onnx(clf, tmp_path / "f")


@needs_onnx
def test_columns_beside_the_images_are_refused(tmp_path):
    both = make_images_and_covariates(X, pd.DataFrame({"site": np.arange(len(X)) % 7.0}))
    clf = small_net(max_epochs=1, filters=(4,)).fit(both, Y)
    with pytest.raises(TypeError, match="fitted with columns beside the images"):
        skcnn.export_onnx(clf, tmp_path / "f")


class Counts(nn.Module):
    """Does something else in each call."""

    def __init__(self, n_outputs):
        super().__init__()
        self.last = nn.Linear(192, n_outputs)

    def forward(self, images):
        outputs = self.last(images.flatten(1))
        return outputs + 100 * torch.rand_like(outputs) if not self.training else outputs


class Branches(nn.Module):
    """Asks for values, which no file can."""

    def __init__(self, n_outputs):
        super().__init__()
        self.last = nn.Linear(192, n_outputs)

    def forward(self, images):
        scale = 2 if images.sum().item() > 0 else 1
        return self.last(images.flatten(1)) * scale


@needs_onnx
@pytest.mark.parametrize(
    ("module", "words"),
    [(Counts, "computes other results"), (Branches, "cannot be written as ONNX: .* of your own")],
)
def test_what_cannot_be_written_is_an_error_and_no_file(module, words, tmp_path):
    clf = small_net(module=module, max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=words):
        skcnn.export_onnx(clf, tmp_path / "f.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("thing", [make_pipeline(small_net()), Y])
def test_other_things_are_refused(thing, tmp_path):
    with pytest.raises(TypeError, match=r"export_onnx got a .*its step \(pipeline\[-1\]\)"):
        skcnn.export_onnx(thing, tmp_path / "f.onnx")


def test_an_estimator_that_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        skcnn.export_onnx(small_net(), tmp_path / "f.onnx")


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_onnx, "find_spec", lambda name: None)
    clf = small_net(max_epochs=1, filters=(4,)).fit(X, Y)
    with pytest.raises(ImportError, match=r'onnxscript: pip install "skcnn\[onnx\]"'):
        skcnn.export_onnx(clf, tmp_path / "f.onnx")
