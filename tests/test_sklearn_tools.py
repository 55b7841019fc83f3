"""scikit-learn's tools, each doing its work on images with a ConvNetClassifier inside."""

import pickle
from contextlib import ExitStack

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import Spy, small_blocks, small_net, stripes
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import uniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.validation import check_is_fitted

from skcnn.augmentation import Shift
from skcnn.optimizers import SGD

NAMES = np.array(["across", "down", "slanting"])


@pytest.fixture(scope="module")
def data():
    """180 images to train on and 60 to test, three classes with names."""
    X, y = stripes(240)
    X.setflags(write=False)
    y = NAMES[y]
    return X[:180], X[180:], y[:180], y[180:]


@pytest.fixture(scope="module")
def two_classes():
    """As `data`, with two classes."""
    X, y = stripes(240, n_classes=2)
    y = NAMES[y]
    return X[:180], X[180:], y[:180], y[180:]


@pytest.fixture(scope="module")
def fitted(data):
    X, _, y, _ = data
    return small_net().fit(X, y)


def flat(X):
    return X.reshape(len(X), -1)


def logistic_on_pixels():
    """What the stripes are too hard for."""
    return make_pipeline(FunctionTransformer(flat), StandardScaler(), LogisticRegression())


def test_pixels_alone_do_not_tell_the_stripes(data):
    """Or none of the scores here would show anything."""
    X, X_test, y, y_test = data
    assert logistic_on_pixels().fit(X, y).score(X_test, y_test) < 0.6


# ---------------------------------------------------------------- pipelines


def test_at_the_end_of_a_pipeline(data):
    X, X_test, y, y_test = data
    darker = Pipeline([("darken", FunctionTransformer(lambda X: X // 2)), ("net", small_net())])
    assert darker.fit(X, y).score(X_test, y_test) > 0.95
    assert darker["net"].image_shape_ == (8, 8, 3)
    assert_array_equal(darker.classes_, NAMES)
    scaled = make_pipeline(FunctionTransformer(flat), StandardScaler(), small_net())
    assert scaled.fit(X, y).score(X_test, y_test) > 0.9
    assert scaled[-1].image_shape_ == (8, 8, 3)


def test_in_the_middle_of_a_pipeline_it_finds_the_features(data):
    X, X_test, y, y_test = data
    model = make_pipeline(small_net(), StandardScaler(), LogisticRegression())
    assert model.fit(X, y).score(X_test, y_test) > 0.95
    assert model[-1].n_features_in_ == 16
    assert len(model[:-1].get_feature_names_out()) == 16


def test_parameters_of_fit_go_through_a_pipeline(data):
    X, X_val, y, y_val = data
    model = make_pipeline(small_net(max_epochs=2))
    model.fit(X, y, convnetclassifier__X_val=X_val, convnetclassifier__y_val=y_val)
    assert model[-1].history_["valid_loss"].notna().all()


# ---------------------------------------------------------------- cross-validation


def test_cross_val_score(data):
    X, _, y, _ = data
    assert cross_val_score(small_net(), X, y, cv=3).min() > 0.9


def test_cross_validate_with_several_scorers(data):
    X, _, y, _ = data
    scoring = ["accuracy", "neg_log_loss", "roc_auc_ovr"]
    scores = cross_validate(
        small_net(), X, y, cv=2, scoring=scoring, return_train_score=True, error_score="raise"
    )
    assert scores["test_accuracy"].min() > 0.85
    assert scores["test_neg_log_loss"].min() > -0.6
    assert scores["test_roc_auc_ovr"].min() > 0.95
    assert scores["train_accuracy"].min() > 0.9


@pytest.mark.parametrize("method", ["predict_proba", "decision_function", "predict_log_proba"])
def test_cross_val_predict(method, data):
    X, _, y, _ = data
    outputs = cross_val_predict(small_net(), X, y, cv=2, method=method)
    assert outputs.shape == (180, 3)
    assert (NAMES[outputs.argmax(axis=1)] == y).mean() > 0.85


def test_learning_curve(data):
    X, _, y, _ = data
    sizes, _, scores = learning_curve(
        small_net(), X, y, train_sizes=[12, 120], cv=3, error_score="raise"
    )
    assert sizes.tolist() == [12, 120]
    few, many = scores.mean(axis=1)
    assert many > 0.9
    assert many > few + 0.1


def test_learning_curve_by_partial_fit(data):
    X, _, y, _ = data
    _, _, scores = learning_curve(
        small_net(lr=0.02),
        X,
        y,
        train_sizes=[10, 20, 40, 60, 80, 100, 120],
        cv=3,
        exploit_incremental_learning=True,
        error_score="raise",
    )
    assert scores[-1].mean() > scores[0].mean() + 0.1


def test_validation_curve(data):
    X, _, y, _ = data
    _, scores = validation_curve(
        small_net(), X, y, param_name="lr", param_range=[1e-7, 0.1], cv=2, error_score="raise"
    )
    useless, good = scores.mean(axis=1)
    assert useless < 0.6
    assert good > 0.9


# ---------------------------------------------------------------- searches


def test_grid_search_finds_what_learns_and_refits_it(data):
    X, X_test, y, y_test = data
    grid = {"lr": [1e-7, 0.1], "filters": [(4, 8), (8, 16)]}
    search = GridSearchCV(small_net(), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["lr"] == 0.1
    assert search.best_score_ > 0.9
    assert search.score(X_test, y_test) > 0.95
    assert search.best_estimator_.filters == search.best_params_["filters"]
    assert search.transform(X_test).shape == (60, search.best_params_["filters"][-1])


def blocks(**parameters):
    return small_blocks(**{"filters": (8, 16), "normalization": "batch", **parameters})


def test_grid_search_over_parameters_of_the_network(data):
    X, X_test, y, y_test = data
    spec = blocks()
    before = repr(spec.get_params())
    grid = {"module__symmetry": [None, "mirror"], "module__filters": [(4, 8), (8, 16)]}
    clf = small_net(module=spec)
    search = GridSearchCV(clf, grid, scoring="neg_log_loss", cv=2, error_score="raise").fit(X, y)
    # Each candidate was another network.
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 4
    found = search.best_estimator_
    assert found.score(X_test, y_test) > 0.9
    for name, value in search.best_params_.items():
        assert found.get_params()[name] == value
    by_hand = small_net(module=blocks()).set_params(**search.best_params_).fit(X, y)
    assert_array_equal(by_hand.predict_proba(X_test), search.predict_proba(X_test))
    assert (
        found.module_.body.block1[0].weight.shape[0]
        * (1 + (search.best_params_["module__symmetry"] == "mirror"))
        == search.best_params_["module__filters"][0]
    )
    assert repr(spec.get_params()) == before


@pytest.mark.slow
def test_grid_search_over_whole_specifications(data):
    X, X_test, y, y_test = data
    specs = [blocks(), blocks(symmetry="mirror"), blocks(filters=(2,), kernel_size=1)]
    before = [repr(spec.get_params()) for spec in specs]
    search = GridSearchCV(small_net(module=blocks()), {"module": specs}, cv=2, n_jobs=2).fit(X, y)
    assert [candidate["module"] for candidate in search.cv_results_["params"]] == specs
    assert search.best_index_ < 2
    assert search.cv_results_["mean_test_score"][2] < 0.7
    assert search.score(X_test, y_test) > 0.9
    # The refitted network has a copy of the best one.
    assert search.best_estimator_.module is not search.best_params_["module"]
    best = repr(search.best_params_["module"].get_params())
    assert repr(search.best_estimator_.module.get_params()) == best
    assert [repr(spec.get_params()) for spec in specs] == before


def test_grid_search_comes_out_the_same_in_two_processes(data):
    X, X_test, y, _ = data
    one, two = (
        GridSearchCV(
            small_net(augment=("flip", "shift"), dropout=0.2, max_epochs=3),
            {"lr": [0.05, 0.1]},
            scoring="neg_log_loss",
            cv=2,
            n_jobs=n_jobs,
            error_score="raise",
        ).fit(X, y)
        for n_jobs in (1, 2)
    )
    for key in ("split0_test_score", "split1_test_score"):
        assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert_array_equal(one.predict_proba(X_test), two.predict_proba(X_test))


@pytest.mark.parametrize(
    ("wrong", "error", "n_jobs"),
    [
        pytest.param({"lr": 1e20}, "lr=1e+20", 2, id="training"),
        pytest.param({"filters": (4,) * 9}, "filters=(4, 4", 1, id="network"),
    ],
)
def test_a_candidate_that_fails_is_named_and_the_search_goes_on(wrong, error, n_jobs, data):
    X, _, y, _ = data
    grid = [{"dropout": [0.0]}, {name: [value] for name, value in wrong.items()}]
    clf = small_net(normalization=None, max_epochs=20)
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed") as caught,
        pytest.warns(UserWarning, match="scores are non-finite"),
    ):
        search = GridSearchCV(clf, grid, cv=2, n_jobs=n_jobs).fit(X, y)
    assert error in "".join(str(warning.message) for warning in caught)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
    assert search.best_index_ == 0


def test_grid_search_over_a_pipeline(data):
    X, X_test, y, y_test = data
    pipeline = Pipeline([("flat", FunctionTransformer(flat)), ("net", small_net())])
    grid = {"net__image_shape": [(8, 8, 3), (1, 192)], "net__max_epochs": [2, 6]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_ == {"net__image_shape": (8, 8, 3), "net__max_epochs": 6}
    assert search.score(X_test, y_test) > 0.95


def test_randomized_search(data):
    X, X_test, y, y_test = data
    space = {
        "lr": uniform(0.05, 0.1),
        "global_pool": ["average", "max"],
        "dropout": uniform(0, 0.2),
    }
    search = RandomizedSearchCV(
        small_net(), space, n_iter=3, cv=2, random_state=0, error_score="raise"
    ).fit(X, y)
    assert search.best_score_ > 0.85
    assert search.score(X_test, y_test) > 0.9


def test_halving_grid_search_with_epochs_as_resource(data):
    X, X_test, y, y_test = data
    search = HalvingGridSearchCV(
        small_net(),
        {"lr": [1e-7, 1e-6, 0.1, 0.15]},
        resource="max_epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert search.n_resources_ == [2, 4, 8]
    assert search.best_params_["lr"] >= 0.1
    assert search.best_estimator_.n_iter_ == 8
    assert search.score(X_test, y_test) > 0.95


# ---------------------------------------------------------------- estimators around it


def _calibration_methods():
    constraint = CalibratedClassifierCV._parameter_constraints["method"][0]
    return constraint.options


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration_mends_probabilities_that_are_too_cautious(method, ensemble, data):
    if method not in _calibration_methods():
        pytest.skip(f"this version of scikit-learn has no method={method!r}")
    X, X_test, y, y_test = data
    cautious = small_net(label_smoothing=0.8)
    raw = clone(cautious).fit(X, y)
    calibrated = CalibratedClassifierCV(cautious, method=method, ensemble=ensemble, cv=2)
    calibrated.fit(X, y)
    assert calibrated.score(X_test, y_test) > 0.85
    after = log_loss(y_test, calibrated.predict_proba(X_test))
    assert after < log_loss(y_test, raw.predict_proba(X_test)) - 0.2


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_voting(voting, data):
    X, X_test, y, y_test = data
    members = [
        ("a", small_net(random_state=1)),
        ("b", small_net(random_state=2)),
        ("pixels", logistic_on_pixels()),
    ]
    model = VotingClassifier(members, voting=voting).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    if voting == "soft":
        mean = np.mean([member.predict_proba(X_test) for member in model.estimators_], axis=0)
        assert_allclose(model.predict_proba(X_test), mean)


def test_stacking(data):
    X, X_test, y, y_test = data
    model = StackingClassifier(
        [("net", small_net()), ("pixels", logistic_on_pixels())], LogisticRegression(), cv=2
    ).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    # The network weighs more than what knows nothing.
    weights = np.abs(model.final_estimator_.coef_).sum(axis=0)
    assert weights[:3].sum() > weights[3:].sum()


def test_one_vs_rest(data):
    X, X_test, y, y_test = data
    model = OneVsRestClassifier(small_net()).fit(X, y)
    assert len(model.estimators_) == 3
    assert model.score(X_test, y_test) > 0.9
    assert model.decision_function(X_test).shape == (60, 3)


def test_bagging_of_flattened_images(data):
    X, X_test, y, y_test = data
    model = BaggingClassifier(small_net(), n_estimators=3, max_samples=0.8, random_state=0)
    model.fit(flat(X), y)
    assert model.score(flat(X_test), y_test) > 0.9
    seeds = {member.random_state for member in model.estimators_}
    assert len(seeds) == 3


def test_permutation_importance_finds_the_pixel_that_counts():
    X = np.random.RandomState(0).uniform(size=(300, 9))
    y = X[:, 5] > 0.5
    clf = small_net(filters=8, kernel_size=1, global_pool=None, pool=None, image_shape=(3, 3))
    clf.set_params(max_epochs=10).fit(X[:200], y[:200])
    result = permutation_importance(clf, X[200:], y[200:], n_repeats=3, random_state=0)
    assert result.importances_mean.argmax() == 5
    assert result.importances_mean[5] > 0.25
    assert np.delete(result.importances_mean, 5).max() < 0.1


def test_self_training_of_flattened_images(data):
    X, X_test, y, y_test = data
    partly = np.unique(y, return_inverse=True)[1]
    partly[np.arange(len(y)) >= 45] = -1
    model = SelfTrainingClassifier(small_net(max_epochs=10), threshold=0.7).fit(flat(X), partly)
    assert (model.transduction_[45:] >= 0).mean() > 0.5
    assert (NAMES[model.predict(flat(X_test))] == y_test).mean() > 0.85


def test_tuned_threshold(two_classes):
    X, X_test, y, y_test = two_classes
    rare = np.arange(len(y))[(y == "across") | (np.arange(len(y)) % 6 == 0)]
    model = TunedThresholdClassifierCV(
        small_net(max_epochs=4), scoring="balanced_accuracy", cv=2, random_state=0
    ).fit(X[rare], y[rare])
    assert 0 < model.best_threshold_ < 1
    assert model.score(X_test, y_test) > 0.85
    by_hand = model.estimator_.predict_proba(X_test)[:, 1] >= model.best_threshold_
    assert_array_equal(model.predict(X_test) == "down", by_hand)


# ---------------------------------------------------------------- copies and files


def test_clone_has_the_parameters_and_nothing_learnt(fitted, data):
    X, X_test, y, _ = data
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "net_")
    assert_array_equal(copy.fit(X, y).predict_proba(X_test), fitted.predict_proba(X_test))


def test_clone_copies_the_objects_in_parameters(data):
    X, X_test, y, _ = data
    held = {"module": blocks(), "augment": Shift(0.1), "optimizer": SGD(momentum=0.8)}
    clf = small_net(**held, max_epochs=2)
    copy = clone(clf)
    for name, value in held.items():
        assert getattr(clf, name) is value
        assert getattr(copy, name) is not value
        assert repr(getattr(copy, name).get_params()) == repr(value.get_params())
    expected = clf.fit(X, y).predict_proba(X_test)
    assert_array_equal(copy.fit(X, y).predict_proba(X_test), expected)
    # What becomes of the copy does not reach the original.
    copy.module.filters, copy.optimizer.momentum = (2,), 0.1
    assert_array_equal(clf.fit(X, y).predict_proba(X_test), expected)


def _pickled(clf, folder):
    return pickle.loads(pickle.dumps(clf))


def _dumped(clf, folder):
    joblib.dump(clf, folder / "clf.joblib")
    return joblib.load(folder / "clf.joblib")


def _compressed(clf, folder):
    joblib.dump(clf, folder / "clf.joblib.gz", compress=3)
    return joblib.load(folder / "clf.joblib.gz")


def _mapped(clf, folder):
    joblib.dump(clf, folder / "clf.joblib")
    return joblib.load(folder / "clf.joblib", mmap_mode="r")


@pytest.mark.parametrize("copy", [_pickled, _dumped, _compressed, _mapped])
def test_what_was_stored_predicts_the_same(copy, fitted, data, tmp_path):
    X_test = data[1]
    again = copy(fitted, tmp_path)
    assert_array_equal(again.predict_proba(X_test), fitted.predict_proba(X_test))
    assert_array_equal(again.transform(X_test), fitted.transform(X_test))
    pd.testing.assert_frame_equal(again.history_, fitted.history_)
    assert again.get_params() == fitted.get_params()


def test_a_whole_search_can_be_stored(data):
    X, X_test, y, _ = data
    search = GridSearchCV(small_net(max_epochs=1), {"lr": [0.1]}, cv=2).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    assert_array_equal(again.predict_proba(X_test), search.predict_proba(X_test))


# ---------------------------------------------------------------- output and routing


def test_transform_gives_a_frame_where_wished(data):
    X, X_test, y, _ = data
    clf = small_net(max_epochs=1).fit(X, y)
    plain = clf.transform(X_test)
    frame = clf.set_output(transform="pandas").transform(X_test)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == [f"convnetclassifier{i}" for i in range(16)]
    assert_array_equal(frame, plain)


def test_frames_keep_their_index(data):
    X, X_test, y, _ = data
    clf = small_net(max_epochs=1).set_output(transform="pandas").fit(X, y)
    given = pd.DataFrame(flat(X_test), index=np.arange(60) + 500)
    assert clf.transform(given).index.tolist() == given.index.tolist()


@pytest.fixture
def mislabeled(data):
    """Images most of which bear a wrong label, and weights of zero for those."""
    X, _, y, _ = data
    wrong = np.random.RandomState(0).uniform(size=len(y)) < 0.5
    codes = np.unique(y, return_inverse=True)[1]
    labels = NAMES[np.where(wrong, (codes + 1) % 3, codes)]
    return X, labels, np.where(wrong, 0.0, 1.0)


def test_routed_weights_arrive_in_cross_validate(mislabeled):
    X, y, weight = mislabeled
    with config_context(enable_metadata_routing=True):
        weighted = small_net(lr=0.05).set_score_request(sample_weight=True)
        means = [
            cross_validate(
                clone(weighted).set_fit_request(sample_weight=request),
                X,
                y,
                params={"sample_weight": weight},
                cv=2,
                error_score="raise",
            )["test_score"].mean()
            for request in (True, False)
        ]
    assert means[0] > 0.9
    assert means[1] < 0.75


def test_routed_weights_arrive_in_grid_search(mislabeled, data):
    X, y, weight = mislabeled
    _, X_test, _, y_test = data
    with config_context(enable_metadata_routing=True):
        clf = small_net(lr=0.05).set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=True)
        search = GridSearchCV(clf, {"lr": [1e-7, 0.05]}, cv=2, error_score="raise")
        search.fit(X, y, sample_weight=weight)
    assert search.best_params_ == {"lr": 0.05}
    assert search.best_score_ > 0.9
    assert search.score(X_test, y_test) > 0.9


def test_weights_nobody_asked_for_are_refused_where_routing_is_on(data):
    X, _, y, _ = data
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="sample_weight"),
    ):
        cross_validate(small_net(), X, y, params={"sample_weight": np.ones(len(y))}, cv=2)


def test_routed_groups_reach_both_the_splitter_and_the_inner_split(data):
    y = data[2]
    groups = np.repeat(np.arange(60), 3)
    numbered = np.zeros((180, 8, 8, 1), dtype=np.float32) + np.arange(180).reshape(-1, 1, 1, 1)
    with config_context(enable_metadata_routing=True):
        clf = small_net(early_stopping=True, validation_fraction=0.25, max_epochs=1)
        clf.set_params(callbacks=[Spy()]).set_fit_request(groups=True)
        result = cross_validate(
            clf,
            numbered,
            y,
            cv=GroupKFold(2),
            params={"groups": groups},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    for member, rows in zip(result["estimator"], result["indices"]["train"]):
        spy = member.callbacks[0]
        training, validation = (
            d.X[np.arange(len(d))][:, 0, 0, 0].astype(int)
            for d in (spy.training_, spy.validation_)
        )
        assert {*training, *validation} == {*rows}
        assert not {*groups[training]} & {*groups[validation]}


def test_check_is_fitted_knows_it(fitted):
    check_is_fitted(fitted)
    assert not hasattr(clone(fitted), "classes_")
    assert "ConvNetClassifier" in fitted._repr_html_()


@pytest.mark.parametrize("weight", [None, "balanced", {"across": 1, "down": 3, "slanting": 1}])
def test_tensors_under_array_api_dispatch(weight, data, monkeypatch):
    X, X_test, y, _ = data
    clf = small_net(max_epochs=2, class_weight=weight)
    expected = clone(clf).fit(X, y).predict_proba(X_test)
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # scikit-learn asks for it
    with ExitStack() as stack:
        try:
            stack.enter_context(config_context(array_api_dispatch=True))
        except ImportError:
            pytest.skip("this version of scikit-learn needs array_api_compat for it")
        clf.fit(torch.tensor(X), y)
        found = clf.predict_proba(torch.tensor(X_test))
    assert_array_equal(found, expected)
