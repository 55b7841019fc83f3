"""Image files that cannot be read, where an estimator skips them."""

import numpy as np
import pytest
from PIL import Image

from skcnn import ConvNetClassifier, ConvNetRegressor
from skcnn.datasets import make_organisms
from skcnn.inspection import ConfusionDisplay
from skcnn.uncertainty import (
    ConformalClassifier,
    ConformalRegressor,
    NoveltyDetector,
    ReliabilityDisplay,
    TunedThresholdsCV,
    novelty_scores,
)

BROKEN = [3, 50, 51]
METHODS = ["entropy", "mahalanobis"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A classifier, paths some of which are broken, their labels, and which are whole."""
    X, y = make_organisms(n_samples=160, n_classes=3, image_size=12, random_state=0)
    clf = ConvNetClassifier((8,), max_epochs=2, on_error="skip", random_state=0).fit(X, y)
    folder = tmp_path_factory.mktemp("files")
    paths = np.array([str(folder / f"{number}.png") for number in range(len(X))])
    for path, image in zip(paths, X):
        Image.fromarray(image).save(path)
    for number in BROKEN:
        with open(paths[number], "wb") as file:
            file.write(b"no image")
    return clf, paths, y, ~np.isin(np.arange(len(X)), BROKEN)


skips = pytest.mark.filterwarnings("ignore:.* cannot be read, and have no result:UserWarning")


@skips
def test_they_have_an_empty_set(files):
    clf, paths, y, whole = files
    conformal = ConformalClassifier(clf).fit(paths[whole], y[whole])
    sets = conformal.predict_set(paths)
    assert not sets[~whole].any()
    np.testing.assert_array_equal(sets[whole], conformal.predict_set(paths[whole]))
    assert not conformal.predict_set(paths[BROKEN]).any()


@skips
@pytest.mark.parametrize("method", METHODS)
def test_they_do_not_count_as_known(files, method):
    clf, paths, y, whole = files
    detector = NoveltyDetector(clf, method=method).fit(paths[whole], y[whole])
    scores = detector.score_samples(paths)
    assert np.isnan(scores[~whole]).all()
    np.testing.assert_allclose(scores[whole], detector.score_samples(paths[whole]), rtol=1e-5)
    answers = detector.predict(paths)
    assert (answers[~whole] == -1).all()
    np.testing.assert_array_equal(answers[whole], detector.predict(paths[whole]))
    assert np.isnan(detector.score_samples(paths[BROKEN])).all()
    assert np.isnan(novelty_scores(clf, paths)[~whole]).all()


@skips
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_learned_from_them(files, method):
    clf, paths, y, whole = files
    detector = NoveltyDetector(clf, method=method).fit(paths, y)
    without = NoveltyDetector(clf, method=method).fit(paths[whole], y[whole])
    assert detector.threshold_ == pytest.approx(without.threshold_, rel=1e-5)


@skips
def test_they_are_not_drawn(files):
    clf, paths, y, whole = files
    drawn = ReliabilityDisplay.from_estimator(clf, paths, y)
    without = ReliabilityDisplay.from_estimator(clf, paths[whole], y[whole])
    assert drawn.error == pytest.approx(without.error)


@skips
def test_they_are_in_no_confusion_matrix(files):
    clf, paths, y, whole = files
    drawn = ConfusionDisplay.from_estimator(clf, paths, y)
    without = ConfusionDisplay.from_estimator(clf, paths[whole], y[whole])
    np.testing.assert_array_equal(drawn.confusion_matrix, without.confusion_matrix)


@skips
@pytest.mark.filterwarnings("ignore:Every row of y:UserWarning")
@pytest.mark.parametrize("kind", ["sets", "numbers", "labels"])
@pytest.mark.parametrize("weighted", [False, True])
def test_they_do_not_count_in_scores(files, kind, weighted):
    clf, paths, y, whole = files
    settings = {"max_epochs": 2, "on_error": "skip", "random_state": 0}
    if kind == "sets":
        model = ConformalClassifier(clf).fit(paths, y)
    elif kind == "numbers":
        fitted = ConvNetRegressor((8,), **settings).fit(paths[whole], y[whole])
        model = ConformalRegressor(fitted).fit(paths, y)
    else:
        y = (y[:, None] == np.arange(3)).astype(int)
        fitted = ConvNetClassifier((8,), **settings).fit(paths[whole], y[whole])
        model = TunedThresholdsCV(fitted, cv="prefit").fit(paths, y)
    weight = np.arange(1.0, len(y) + 1) if weighted else None
    own = None if weight is None else weight[whole]
    expected = model.score(paths[whole], y[whole], sample_weight=own)
    assert model.score(paths, y, sample_weight=weight) == pytest.approx(expected)
    with pytest.raises(ValueError, match="No image file could be read"):
        model.score(paths[BROKEN], y[BROKEN])
