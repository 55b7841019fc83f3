"""ONNX files: onnxruntime answers as the estimator does."""

import doctest
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_multi_task, small_net, small_regressor, stripes
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

import skcnn
from skcnn import ConvNetMultiTask, ConvNetRegressor, ConvNetSegmenter, FeatureExtractor
from skcnn._estimators import _onnx
from skcnn.datasets import make_images_and_covariates
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks, UNet

needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))),
    reason="skcnn[onnx] is missing",
)
X, Y = stripes(40)


def run(path, images, **more):
    """Return what onnxruntime computes, by the names of outputs, and the metadata."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    answers = session.run(names, {"images": images.astype(np.float32), **more})
    return dict(zip(names, answers)), session.get_modelmeta().custom_metadata_map


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


FAMILIES = {
    "blocks": lambda: {"filters": (4,)},
    "mirror": lambda: {
        "module": ConvBlocks(
            filters=(8, 8),
            symmetry="mirror",
            stem="whitening",
            pool_after="first",
            normalization="ghost",
            global_pool="average_max",
        ),
        "test_time_flip": True,
    },
    "transformer": lambda: {"module": CompactTransformer(width=8, depth=1, heads=2)},
    "backbone": lambda: {"module": Backbone(donor(), image_size=20)},
    "own": lambda: {"module": own},
}
NAMES = np.array(["Ameise", "Käfer", "fly"])[Y]
SEVERAL = pd.DataFrame({"Größe": Y + 0.5, "a/b": NAMES, "1": Y > 0, "softmax": NAMES})
TASKS = {"Größe": "squared_error", "a/b": "classification", "1": "gamma"}
TASKS["softmax"] = "classification"
PROBLEMS = {
    "classes": lambda **net: small_net(**net).fit(X, NAMES),
    "columns": lambda **net: small_net(**net).fit(X, SEVERAL[["a/b", "1"]].astype(str)),
    "labels": lambda **net: small_net(**net).fit(X, np.stack([Y < 2, Y > 0], axis=1)),
    # They keep their digits.
    "numbers": lambda **net: small_regressor(**net).fit(X, 5e9 + Y),
    "tasks": lambda **net: small_multi_task(TASKS, **net).fit(X, SEVERAL.assign(**{"1": Y + 1})),
}
# Each export takes more than a second.
CASES = [
    *(("tasks", family) for family in FAMILIES if family != "blocks"),
    *((problem, "blocks") for problem in PROBLEMS if problem != "tasks"),
]


def answers_of(estimator, images):
    """Return what the estimator answers, by the names that outputs of the file have."""
    if isinstance(estimator, FeatureExtractor):
        return {"features": estimator.transform(images)}
    if isinstance(estimator, ConvNetMultiTask):
        answers = {**estimator.predict(images), **estimator.predict_proba(images)}
        names = ["Gr__e", "a_b", "output_1", "softmax"]
        return dict(zip(names, answers.values(), strict=True))
    if isinstance(estimator, ConvNetRegressor):
        return {"predictions": estimator.predict(images)}
    proba = estimator.predict_proba(images)
    names = ["a_b", "output_1"] if isinstance(proba, list) else ["probabilities"]
    return dict(zip(names, proba if isinstance(proba, list) else [proba], strict=True))


@needs_onnx
@pytest.mark.parametrize(("problem", "family"), CASES)
def test_answers_are_those_of_the_estimator(problem, family, tmp_path, capfd):
    estimator = PROBLEMS[problem](**FAMILIES[family](), max_epochs=1)
    before = answers_of(estimator, X)
    skcnn.export_onnx(estimator, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")
    for n in (1, 3, 40):
        found, about = run(tmp_path / "model.onnx", X[:n])
        assert list(found) == list(before)
        for name, answer in before.items():
            np.testing.assert_allclose(found[name], answer[:n], rtol=0, atol=1e-4)
            assert found[name].std() > 1e-4 or n == 1
    assert json.loads(about["image_shape"]) == [8, 8, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    for name, answer in answers_of(estimator, X).items():
        np.testing.assert_array_equal(answer, before[name])


@needs_onnx
def test_metadata_has_the_labels_of_each_output(tmp_path):
    species = ["Ameise", "Käfer", "fly"]
    expected = {
        "classes": (species, None),
        "labels": ([0, 1], None),
        "columns": (
            {"a_b": species, "output_1": ["False", "True"]},
            {"a_b": "a/b", "output_1": "1"},
        ),
        "tasks": (
            {"a_b": species, "softmax": species},
            {"Gr__e": "Größe", "a_b": "a/b", "output_1": "1", "softmax": "softmax"},
        ),
        "numbers": (None, None),
    }
    for problem, (classes, questions) in expected.items():
        estimator = PROBLEMS[problem](filters=(4,), max_epochs=1)
        about = _onnx._metadata(estimator, _onnx.outputs_of(estimator))
        found = [json.loads(about.get(name, "null")) for name in ("classes", "questions")]
        assert found == [classes, questions]


@needs_onnx
def test_features_are_those_of_the_extractor(tmp_path):
    gray = X[..., 0]
    backbone = Backbone(donor(), layer="block1", pooling="max", image_size=20)
    extractor = FeatureExtractor(backbone).fit(gray)
    skcnn.export_onnx(extractor, str(tmp_path / "f.onnx"))
    found, about = run(tmp_path / "f.onnx", gray[..., None])
    np.testing.assert_allclose(found["features"], extractor.transform(gray), atol=1e-4)
    assert "classes" not in about


@needs_onnx
def test_a_warning_names_the_only_size_that_is_possible(tmp_path):
    # Windows of such pooling depend on whether sides are odd.
    blocks = ConvBlocks((4,), stem="whitening", symmetry="mirror", global_pool="sum")
    regressor = small_regressor(module=blocks, max_epochs=1).fit(X, Y)
    with pytest.warns(UserWarning, match="takes images of 8x8 pixels only"):
        skcnn.export_onnx(regressor, tmp_path / "f.onnx")
    found, _ = run(tmp_path / "f.onnx", X)
    np.testing.assert_allclose(found["predictions"], regressor.predict(X), atol=1e-4)


# ---------------------------------------------------------------------- label images

MASKS = np.where(X.mean(axis=3) > 128, "Blüte", "soil")
ENCODERS = {
    "blocks": lambda: ConvBlocks((4, 4), pool_size=3, normalization="ghost"),
    "backbone": lambda: Backbone(donor()),
}
SEGMENTER = {"max_epochs": 1, "device": "cpu", "random_state": 0}


@needs_onnx
@pytest.mark.parametrize("encoder", ENCODERS)
def test_probabilities_of_pixels_are_those_of_the_segmenter(encoder, tmp_path):
    module, flip = UNet(ENCODERS[encoder](), decoder_filters=4), encoder == "blocks"
    segmenter = ConvNetSegmenter(module, test_time_flip=flip, **SEGMENTER).fit(X, MASKS)
    skcnn.export_onnx(segmenter, tmp_path / "f.onnx")
    large = np.tile(X[:3], (1, 5, 4, 1))
    # Narrow images are reflected more than once.
    for images in (X, X[:1], large[:, :37, :21], large[:, :2, :3], large[:1, :1, :24]):
        found, about = run(tmp_path / "f.onnx", images)
        expected = segmenter.predict_proba(images)
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)
    assert json.loads(about["classes"]) == ["Blüte", "soil"]


# ---------------------------------------------------------------------- columns beside the images


@needs_onnx
def test_covariates_come_as_they_were_given_and_images_to_count_in_have_any_size(tmp_path):
    rng = np.random.RandomState(0)
    site = pd.DataFrame(
        {
            "northing": 5.4e9 + rng.uniform(0, 20, len(X)),
            "wet": rng.rand(len(X)) < 0.5,
            "Höhe": np.where(rng.rand(len(X)) < 0.3, np.nan, rng.uniform(0, 900, len(X))),
            7: pd.Categorical(rng.choice(["bog", "Wald", None], len(X))),
        }
    )
    both = make_images_and_covariates(X, site)
    y = np.stack([1000.0 + Y, Y / 10], axis=1)
    counts = {"loss": "poisson", "filters": (4, 4), "global_pool": "auto", "max_epochs": 2}
    estimator = small_regressor(**counts).fit(both, y)
    skcnn.export_onnx(estimator, tmp_path / "f.onnx")
    codes = pd.Categorical(site[7], ["Wald", "bog"]).codes
    covariates = np.column_stack([*(site[name] for name in ("northing", "wet", "Höhe")), codes])
    covariates = covariates.astype(np.float64)
    large = np.tile(X[:3], (1, 2, 3, 1))[:, :13, :22]
    for images in (X[:1], X[:3], X, large, large[:, :5, :6]):
        given = covariates[: len(images)]
        found, about = run(tmp_path / "f.onnx", images, covariates=given)
        expected = estimator.predict(make_images_and_covariates(images, site[: len(images)]))
        np.testing.assert_allclose(found["predictions"], expected, rtol=1e-4)
    assert json.loads(about["covariates"]) == [
        {"name": "northing"},
        {"name": "wet"},
        {"name": "Höhe"},
        {"name": 7, "categories": ["Wald", "bog"]},
    ]


@needs_onnx
def test_the_page_about_saving_shows_what_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "saving.md").read_text(encoding="utf-8")
    fitted, _, rest = text.partition("## What is in it")
    section = rest.partition("## For other programs: ONNX")[2].partition("\n## ")[0]
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    example = parser.get_doctest(fitted + section, {}, "saving.md", None, 0)
    n_skipped = 0
    for part in example.examples:
        n_skipped += part.options.pop(doctest.SKIP, False)
    assert n_skipped > 10
    assert runner.run(example, clear_globs=False).failed == 0
    example.globs["folder"].cleanup()


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
