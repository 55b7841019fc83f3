"""Callbacks of scikit-learn: what they hear of the epochs of a fit."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from _helpers import small_net, stripes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

callback = pytest.importorskip(
    "sklearn.callback", reason="scikit-learn has callbacks from 1.9", exc_type=ImportError
)


class Listens:
    """Notes what it is told, with the accuracy of the estimator at each time; may stop a fit."""

    max_propagation_depth = None

    def __init__(self, last=None):
        self.heard, self.accuracies, self.networks, self.last = [], [], [], last

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.heard.append(f"{context.task_name} {context.task_id} begins")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.heard.append(f"{context.task_name} {context.task_id} ends")
        self.networks.append(fitted_estimator)
        self.accuracies.append(fitted_estimator.score(X, y, **metadata))
        return context.task_name == "epoch" and context.task_id == self.last


@pytest.fixture(scope="module")
def data():
    return stripes(60)


def test_callbacks_hear_of_each_epoch(data):
    listens = Listens()
    clf = small_net(max_epochs=2).set_callbacks(listens).fit(*data)
    assert listens.heard == [
        *("setup", "fit 0 begins"),
        *("epoch 0 begins", "epoch 0 ends", "epoch 1 begins", "epoch 1 ends"),
        *("fit 0 ends", "teardown"),
    ]
    assert listens.accuracies[-1] == listens.accuracies[-2] == clf.score(*data)


def test_the_estimator_of_an_epoch_is_that_of_a_fit_so_long(data):
    listens = Listens()
    whole = small_net(max_epochs=4, lr_schedule=None).set_callbacks(listens).fit(*data)
    short = small_net(max_epochs=2, lr_schedule=None).fit(*data)
    X = data[0]
    np.testing.assert_array_equal(listens.networks[1].predict_proba(X), short.predict_proba(X))
    np.testing.assert_array_equal(listens.networks[3].predict_proba(X), whole.predict_proba(X))


def test_looking_on_does_not_change_the_network(data):
    plain = small_net(augment="shift", dropout=0.3).fit(*data)
    watched = small_net(augment="shift", dropout=0.3).set_callbacks(Listens()).fit(*data)
    np.testing.assert_array_equal(plain.predict_proba(data[0]), watched.predict_proba(data[0]))


def test_a_callback_may_end_the_fit(data):
    clf = small_net(max_epochs=5).set_callbacks(Listens(last=1)).fit(*data)
    assert clf.n_iter_ == 2
    assert len(clf.history_) == 2


def test_early_stopping_sees_the_epoch_in_which_a_callback_ends_the_fit(data):
    settings = {"early_stopping": True, "n_iter_no_change": 9, "lr_schedule": None}
    clf = small_net(max_epochs=6, **settings).set_callbacks(Listens(last=2)).fit(*data)
    short = small_net(max_epochs=3, **settings).fit(*data)
    assert (clf.n_iter_, clf.best_epoch_) == (3, short.best_epoch_)
    np.testing.assert_array_equal(clf.predict_proba(data[0]), short.predict_proba(data[0]))


def test_weights_of_the_images_reach_the_callback(data):
    X, y = data
    weight = np.where(y == y[0], 5.0, 1.0)
    listens = Listens()
    clf = small_net(max_epochs=1).set_callbacks(listens).fit(X, y, sample_weight=weight)
    assert listens.accuracies[-1] == clf.score(X, y, weight)


def test_no_image_lives_on_in_what_is_stored(data):
    clf = small_net(max_epochs=1).set_callbacks(callback.ProgressBar())
    X, y = np.repeat(data[0], 30, axis=0), np.repeat(data[1], 30)
    size = len(pickle.dumps(clf.fit(X, y)))
    few = len(pickle.dumps(clone(clf).fit(*data)))
    assert size < few + X.nbytes / 10
    assert copy.deepcopy(clf).predict(X[:3]).shape == (3,)


def test_a_fit_that_fails_tears_down(data):
    X, y = data
    listens = Listens()
    clf = small_net(max_epochs=3, lr=1e30, optimizer="sgd").set_callbacks(listens)
    with pytest.raises(ValueError, match="The training loss became"):
        clf.fit(X, y)
    assert listens.heard[-1] == "teardown"


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_shows_the_progress_of_each_fold(n_jobs, data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    search = GridSearchCV(small_net(max_epochs=2), {"lr": [0.1, 0.2]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(callback.ProgressBar()).fit(*data)
    # One bar for each fold of each candidate, which goes forward by epochs, and the last fit.
    bars = [line for line in capsys.readouterr().out.splitlines() if "ConvNetClassifier" in line]
    assert len(bars) == 2 * 2 + 1
    assert all("100%" in bar for bar in bars)


def test_a_score_is_monitored_epoch_by_epoch(data):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = small_net(max_epochs=3).set_callbacks(monitor).fit(*data)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert epochs["accuracy"].iloc[-1] == clf.score(*data)


@pytest.mark.parametrize("kind", ["network", "pipeline", "search"])
def test_a_scoring_monitor_on_the_network_scores_each_epoch_wherever_the_network_is(kind, data):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = small_net(max_epochs=2).set_callbacks(monitor)
    if kind == "pipeline":
        clf = make_pipeline(FunctionTransformer(), clf)
    if kind == "search":
        clf = GridSearchCV(clf, {"lr": [0.1, 0.05]}, cv=2)
    clf.fit(*data)
    rows = monitor.get_logs().data
    n_fits = 2 * 2 + 1 if kind == "search" else 1
    # Two epochs and the whole of each fit.
    assert len(rows) == 3 * n_fits
    assert clf.score(*data) in [row["accuracy"] for row in rows]


def test_a_callback_that_asks_for_it_is_passed_on_from_a_pipeline(data):
    listens = Listens()
    pipe = make_pipeline(small_net(max_epochs=2))
    pipe.set_callbacks(listens)
    listens.on_fit_task_end = lambda estimator, context, **about: listens.heard.append(
        f"{context.task_name} ends"
    )
    pipe.fit(*data)
    assert listens.heard.count("epoch ends") == 2


def test_a_callback_that_may_end_a_fit_is_an_obstacle_to_resuming_it(data, tmp_path):
    def fitted():
        clf = small_net(max_epochs=5, checkpoint_dir=str(tmp_path), random_state=0)
        return clf.set_callbacks(Listens(last=1)).fit(*data)

    for _ in range(2):
        with pytest.warns(UserWarning, match="checkpoint_dir=.* has no effect.*callbacks"):
            assert fitted().n_iter_ == 2


def test_a_fit_that_scikit_learn_only_watches_resumes(data, tmp_path):
    def fitted():
        clf = small_net(max_epochs=2, checkpoint_dir=str(tmp_path), random_state=0)
        return clf.set_callbacks(callback.ScoringMonitor(scoring="accuracy")).fit(*data)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, again = fitted(), fitted()
    assert len(list(tmp_path.glob("*/*"))) == 1
    np.testing.assert_array_equal(again.predict_proba(data[0]), first.predict_proba(data[0]))
