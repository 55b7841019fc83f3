"""Reports of searches: that their figures are the search's, and their pictures can be read."""

import itertools

import numpy as np
import pytest
from _helpers import small_net, stripes
from matplotlib import pyplot as plt
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcnn import search_report

plt.switch_backend("Agg")


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 4))
    return X, (X[:, 0] + 0.5 * rng.normal(size=120) > 0).astype(int)


def tree_search(data, grid, **settings):
    tree = DecisionTreeClassifier(random_state=0)
    return GridSearchCV(tree, grid, cv=3, **settings).fit(*data)


def test_a_row_is_a_candidate_and_the_best_is_first(data):
    search = tree_search(data, {"max_depth": [1, 2, 5], "criterion": ["gini", "entropy"]})
    report = search_report(search)
    frame, results = report.frame, search.cv_results_
    assert report.parameters == ["criterion", "max_depth"]
    np.testing.assert_array_equal(frame["score"], results["mean_test_score"][frame.index])
    np.testing.assert_array_equal(frame["split2"], results["split2_test_score"][frame.index])
    np.testing.assert_array_equal(frame["fit_seconds"], results["mean_fit_time"][frame.index])
    assert frame["score"].is_monotonic_decreasing
    best = frame.iloc[0]
    assert {"criterion": best["criterion"], "max_depth": best["max_depth"]} == search.best_params_


def test_a_search_over_networks_in_a_pipeline():
    search = RandomizedSearchCV(
        make_pipeline(FunctionTransformer(), small_net(max_epochs=1)),
        {"convnetclassifier__filters": [(4,), [4, 8]], "functiontransformer__func": [np.abs]},
        n_iter=2,
        cv=2,
        random_state=0,
    ).fit(*stripes(40))
    frame = search_report(search).frame
    assert set(frame["filters"]) == {(4,), (4, 8)}
    assert set(frame["func"]) == {"absolute"}


def test_names_that_would_be_the_same_keep_their_step(data):
    model = make_pipeline(StandardScaler(), StandardScaler(), LogisticRegression())
    grid = {"standardscaler-1__with_std": [True], "standardscaler-2__with_std": [True, False]}
    report = search_report(GridSearchCV(model, grid, cv=2).fit(*data))
    assert report.parameters == list(grid)


def test_parameters_that_only_some_candidates_have(data):
    search = tree_search(data, [{"max_depth": [1, 2]}, {"min_samples_leaf": [3]}])
    frame = search_report(search).frame.sort_index()
    assert frame["max_depth"].tolist() == [1, 2, "–"]
    assert frame["min_samples_leaf"].tolist() == ["–", "–", 3]


def test_none_is_a_choice_and_no_missing_value(data):
    grid = {"max_depth": [None, 3, 20], "class_weight": [None, "balanced"]}
    search = tree_search(data, grid)
    report = search_report(search).plot()
    for row, params in enumerate(search.cv_results_["params"]):
        found = report.frame.loc[row]
        assert {name: found[name] for name in params} == params
    depth_axes = report.axes_.flat[report.parameters.index("max_depth")]
    assert [tick.get_text() for tick in depth_axes.get_xticklabels()] == ["3", "20", "None"]
    (points, *_) = depth_axes.containers
    assert np.isfinite(points[0].get_xdata()).all()


def test_estimators_of_one_class_are_told_apart(data):
    scalers = [StandardScaler(), StandardScaler(with_mean=False), None]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"standardscaler": scalers}, cv=2
    ).fit(*data)
    report = search_report(search).plot()
    names = report.frame["standardscaler"].sort_index().tolist()
    assert names == ["StandardScaler()", "StandardScaler(with_mean=False)", None]
    assert len(report.axes_.flat[0].get_xticks()) == 3
    # One of a class is known by its name.
    search.param_grid = {"standardscaler": scalers[1:]}
    names = search_report(search.fit(*data)).frame["standardscaler"]
    assert names.sort_index().tolist() == ["StandardScaler", None]


def test_candidates_that_failed_are_last_and_not_drawn(data):
    with pytest.warns() as warned:
        search = tree_search(data, {"max_depth": [-1, 2]})
    assert any("fits failed" in str(warning.message) for warning in warned)
    report = search_report(search).plot()
    assert np.isnan(report.frame["score"].iloc[-1])
    assert report.frame["max_depth"].tolist() == [2, -1]


def test_halving_compares_within_an_iteration(data):
    tree = DecisionTreeClassifier(random_state=0)
    search = HalvingGridSearchCV(
        tree, {"max_depth": [1, 2, 3, 4, 5, 6]}, cv=2, min_resources=20, random_state=0
    ).fit(*data)
    report = search_report(search)
    frame = report.frame
    assert frame["iteration"].is_monotonic_decreasing
    assert frame["max_depth"].iloc[0] == search.best_params_["max_depth"]
    assert set(frame["resources"]) == set(search.n_resources_)
    labels = [text.get_text() for text in report.plot().figure_.legends[0].get_texts()]
    marks = ["mean per value", "best candidate"]
    assert labels == [*marks, *(f"n_samples {n}" for n in search.n_resources_)]


def test_the_resource_of_halving_is_no_parameter(data):
    search = HalvingGridSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"criterion": ["gini", "entropy", "log_loss"]},
        resource="max_depth",
        max_resources=4,
        min_resources=1,
        cv=2,
    ).fit(*data)
    assert search_report(search).parameters == ["criterion"]


def test_several_metrics_want_a_choice(data):
    metrics = ["accuracy", "roc_auc"]
    search = tree_search(data, {"max_depth": [1, 5]}, scoring=metrics, refit="roc_auc")
    results = search.cv_results_
    for metric, key in {None: "roc_auc", "accuracy": "accuracy"}.items():
        frame = search_report(search, metric).frame.sort_index()
        np.testing.assert_array_equal(frame["score"], results[f"mean_test_{key}"])
    search = tree_search(data, {"max_depth": [1, 5]}, scoring=metrics, refit=False)
    for metric in (None, "f1"):
        with pytest.raises(ValueError, match=r"got metric=.*expected one .*: accuracy, roc_auc"):
            search_report(search, metric)


def test_a_search_that_is_not_fitted_is_refused():
    with pytest.raises(ValueError, match="not fitted"):
        search_report(GridSearchCV(DecisionTreeClassifier(), {}))


def test_what_is_no_search_is_not_called_unfitted(data):
    tree = DecisionTreeClassifier().fit(*data)
    with pytest.raises(TypeError, match=r"search is a DecisionTreeClassifier.*GridSearchCV"):
        search_report(tree)
    pipeline = make_pipeline(StandardScaler(), GridSearchCV(tree, {}, cv=2)).fit(*data)
    with pytest.raises(TypeError, match=r"search is a Pipeline.*pipeline\[-1\]"):
        search_report(pipeline)
    assert len(search_report(pipeline[-1]).frame) == 1


@pytest.mark.parametrize("n_parameters", [1, 2, 3, 4])
def test_each_candidate_is_drawn_and_no_text_lies_on_other_text(n_parameters, data):
    grid = {
        "max_depth": [1, 2, 4, 8, 16, 32],
        "class_weight": [None, "balanced", {0: 0.25, 1: 0.75}],
        "min_samples_leaf": [2, 20],
        "criterion": ["gini", "entropy", "log_loss"],
    }
    names = list(grid)[:n_parameters]
    report = search_report(tree_search(data, {name: grid[name] for name in names})).plot()
    figure = report.figure_
    width, height = figure.canvas.get_width_height()
    figure.canvas.draw()
    (legend,) = figure.legends
    boxes = [(text.get_text(), text.get_window_extent()) for text in legend.get_texts()]
    for ax in report.axes_.flat[: n_parameters + 1]:
        (points, *_) = ax.containers
        assert len(points[0].get_xdata()) == len(report.frame)
        low, high = ax.get_xlim()
        ticks = [
            tick.label1 for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high
        ]
        texts = [*ticks, ax.xaxis.label, ax.yaxis.label]
        boxes += [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= height + 1, text
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        # Of what is rotated, the boxes are larger than the words.
        if max(box.height, other_box.height) < 20:
            assert not box.overlaps(other_box), f"{one} on {other}"
