"""Fits that follow another one, and fits that are refused or fail."""

import numpy as np
import pandas as pd
import pytest
from _helpers import small_net, small_regressor, stripes
from sklearn.exceptions import NotFittedError

from skcnn.optimizers import SGD

X, Y = stripes(90)


def continued(**changes):
    clf = small_net(max_epochs=1, warm_start=True).fit(X, Y)
    return clf.set_params(**changes).fit(X, Y)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "lr": 0.01},
        {"optimizer": SGD(momentum=0.5)},
        {"weight_decay": 0.5},
        {"label_smoothing": 0.9},
        {"class_weight": {0: 9, 1: 1, 2: 1}},
        {"lr": 0.01},
        {"augment": "flip"},
    ],
    ids=repr,
)
def test_warm_start_takes_what_has_changed(changes):
    assert not np.array_equal(continued(**changes).predict_proba(X), continued().predict_proba(X))


@pytest.mark.parametrize(
    "changes", [{"filters": (8, 8)}, {"dropout": 0.5}, {"global_pool": "max"}]
)
def test_warm_start_refuses_another_network(changes):
    with pytest.raises(ValueError, match=f"fitted network, but {next(iter(changes))} has changed"):
        continued(**changes)


TABLES = {
    "labels": (small_net, pd.DataFrame({"oak": Y > 0, "fir": Y < 2}).astype(int)),
    "kinds of labels": (
        small_net,
        pd.DataFrame({"size": Y, "tone": np.array(["a", "b", "a"])[Y]}),
    ),
    "numbers": (small_regressor, pd.DataFrame({"length": Y * 0.1, "mass": 90 - Y})),
}


@pytest.mark.parametrize(("make", "y"), TABLES.values(), ids=TABLES)
def test_columns_in_another_order_are_refused_wherever_they_come(make, y):
    fitted, other = make(max_epochs=1).fit(X, y), y[y.columns[::-1]]
    names = ".*".join(map(repr, other))
    calls = [
        lambda: make(max_epochs=1).fit(X, y, X_val=X, y_val=other),
        lambda: fitted.score(X, other),
        lambda: fitted.partial_fit(X, other),
        lambda: fitted.set_params(warm_start=True).fit(X, other),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"columns.*\[{names}\]"):
            call()
    # What has no names is taken as it is.
    assert fitted.score(X, y.to_numpy()) == fitted.score(X, y)
    assert make(max_epochs=1).fit(X, y.to_numpy()).score(X, y.to_numpy()) == fitted.score(X, y)
    fitted.set_params(warm_start=False).fit(X, other)
    assert fitted.partial_fit(X, other).n_iter_ == 2


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_an_array_gives_columns_no_names(kind):
    make, y = TABLES[kind]
    fitted = make(max_epochs=1).fit(X, y.to_numpy())
    assert fitted.score(X, y) == fitted.score(X, y.to_numpy())


REFUSED = {
    "other shape": (X[:, :6], Y),
    "NaN": (np.where(np.arange(8)[:, None] == 0, np.nan, X.astype(float)), Y),
    "one class": (X, np.zeros(90, int)),
    "missing label": (X, np.where(Y == 0, None, Y)),
    "too few labels": (X, Y[:50]),
}


@pytest.mark.parametrize("case", [name for name in REFUSED if name != "other shape"])
def test_a_refused_refit_leaves_the_earlier_network(case):
    clf = small_net(max_epochs=1).fit(X, Y)
    before, state = clf.predict_proba(X), set(vars(clf))
    with pytest.raises((ValueError, TypeError)):
        clf.fit(*REFUSED[case])
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert set(vars(clf)) == state


def test_a_refit_on_other_images_that_fails_leaves_the_earlier_network():
    clf = small_net(max_epochs=1).fit(X, Y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="batch_size"):
        clf.set_params(batch_size=1).fit(X[:, :6], Y)
    clf.set_params(batch_size=16)
    with pytest.raises(ValueError, match="1 class"):
        clf.fit(X[:, :6], np.zeros(90))
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert clf.n_features_in_ == 8 * 8 * 3


def test_after_a_first_fit_that_failed_nothing_is_fitted():
    clf = small_net(max_epochs=1)
    with pytest.raises(ValueError, match="1 class"):
        clf.fit(X, np.zeros(90))
    assert not hasattr(clf, "n_features_in_")
    with pytest.raises(NotFittedError):
        clf.predict(X)


def test_a_subclass_may_have_fewer_parameters():
    class Short(type(small_net())):
        def __init__(self, max_epochs=1):
            super().__init__(max_epochs=max_epochs, filters=(8,), device="cpu", random_state=0)

    assert Short().fit(X, Y).predict(X).shape == (90,)


def test_labels_of_another_type_are_refused():
    clf = small_net().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y holds text such as '.', but the classes are numbers"):
        clf.partial_fit(X, Y.astype(str))
