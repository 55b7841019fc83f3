"""Results of a search over parameters, as a table and as a figure."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skcnn._utils import one_thread_at_a_time
from skcnn.inspection import _drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The scale is logarithmic if the largest value is this many times the smallest.
_LOG_SCALE_RATIO = 20.0
_NOT_SET = "–"
# Characters of a value in one line.
_LINE = 24
# Sizes in inches.
_PANEL_SIZE = (3.2, 3.2)
_MAX_WIDTH = 12.0
_LEGEND_ENTRY_WIDTH = 1.7
# Light to dark, so that they differ in gray print too.
_COLORS = ("#56B4E9", "#D55E00", "#0072B2", "#7F3C8D", "#000000")
_MARKERS = "osD^v"


def search_report(search: BaseEstimator, metric: str | None = None) -> "SearchReport":
    """Summarize the results of a search as a table and a figure.

    Parameters
    ----------
    search : GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV or HalvingRandomSearchCV
        A fitted one.
    metric : str, default=None
        Metric to report, if the search has several. None takes the one that `refit` names.

    Returns
    -------
    report : SearchReport
        Holds the table in `report.frame` and draws the figure with `report.plot()`.

    Raises
    ------
    NotFittedError
        If the search is not fitted.
    TypeError
        If it is not one of these searches.
    ValueError
        If the search has several metrics and none is named, or none has that name.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skcnn import ConvNetClassifier, search_report
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=90, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0)
    >>> search = GridSearchCV(clf, {"lr": [0.05, 0.1], "dropout": [0, 0.3]}, cv=2).fit(X, y)
    >>> report = search_report(search)
    >>> report.frame.shape
    (4, 7)
    >>> list(report.frame)
    ['dropout', 'lr', 'score', 'std', 'fit_seconds', 'split0', 'split1']
    """
    _check_is_search(search)
    results = search.cv_results_
    metric = _metric(search, results, metric)
    resource = getattr(search, "resource", "")
    names = [key.removeprefix("param_") for key in results if key.startswith("param_")]
    # The resource of a halving search is not a searched parameter.
    names = [name for name in names if name != resource]
    short = _short_names(names)
    columns: dict[str, Any] = {
        short[name]: _column(np.ma.filled(_masked(results[f"param_{name}"]))) for name in names
    }
    for column, key in {"iteration": "iter", "resources": "n_resources"}.items():
        if key in results:
            columns[column] = results[key]
    columns["score"] = results[f"mean_test_{metric}"]
    columns["std"] = results[f"std_test_{metric}"]
    columns["fit_seconds"] = results["mean_fit_time"]
    n_splits = sum(key.startswith("split") and key.endswith(f"_test_{metric}") for key in results)
    for split in range(n_splits):
        columns[f"split{split}"] = results[f"split{split}_test_{metric}"]
    frame = pd.DataFrame(columns)
    # Scores are comparable only within an iteration. The last iteration comes first.
    order = [*(["iteration"] if "iteration" in frame else []), "score"]
    frame = frame.sort_values(order, ascending=False, kind="stable", na_position="last")
    frame.index.name = "candidate"
    return SearchReport(
        frame=frame,
        parameters=[short[name] for name in names],
        metric=metric,
        resource=resource,
    )


class SearchReport:
    """Candidates of a search, the best first.

    Made by `search_report`.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per candidate. The index is its number in ``cv_results_``. The columns are: one
        per searched parameter, without the name of the pipeline step unless two names would
        become equal; `iteration` and `resources` for a halving search; `score` and `std`, the
        mean and standard deviation over the folds; `fit_seconds`; and the score of each fold,
        `split0` and so on. Candidates that failed are last and have no score.
    parameters : list of str
        Columns of `frame` that are searched parameters.
    metric : str, default="score"
        Name of the metric.
    resource : str, default=""
        Name of the resource of a halving search.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        One panel per parameter and one for the fit time. Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.
    """

    def __init__(
        self,
        *,
        frame: pd.DataFrame,
        parameters: list[str],
        metric: str = "score",
        resource: str = "",
    ) -> None:
        self.frame = frame
        self.parameters = parameters
        self.metric = metric
        self.resource = resource

    def __repr__(self) -> str:
        return repr(self.frame)

    def _repr_html_(self) -> str:
        html: str = self.frame.to_html()
        return html

    @one_thread_at_a_time
    def plot(self) -> Self:
        """Draw the score against each parameter and against the fit time.

        Each point is a candidate, with the standard deviation over its folds. A line connects the
        mean scores of the values of a parameter. A star marks the best candidate.

        Returns
        -------
        report : SearchReport
        """
        import matplotlib.pyplot as plt

        names = [*self.parameters, "fit_seconds"]
        n_cols = min(len(names), 4)
        n_rows = math.ceil(len(names) / n_cols)
        size = min(_MAX_WIDTH, n_cols * _PANEL_SIZE[0]), n_rows * _PANEL_SIZE[1]
        figure, axes = plt.subplots(
            n_rows, n_cols, figsize=size, sharey=True, squeeze=False, layout="constrained"
        )
        found = self.frame.dropna(subset="score")
        for ax, name in zip(axes.flat, names):
            self._draw(ax, name, found)
        for ax in axes[:, 0]:
            ax.set_ylabel(self.metric.replace("_", " "))
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        n_legend_cols = min(len(labels), int(size[0] / _LEGEND_ENTRY_WIDTH))
        figure.legend(
            handles, labels, loc="outside upper center", ncols=n_legend_cols, frameon=False
        )
        self.axes_, self.figure_ = axes, figure
        return self

    def _draw(self, ax: "Axes", name: str, found: pd.DataFrame) -> None:
        places, width = _places(ax, name, found[name])
        if "iteration" in found:
            iterations = found["iteration"].to_numpy()
        else:
            iterations = np.zeros(len(found), dtype=int)
        centers = places
        # Candidates with the same value are drawn side by side.
        places = places + width * _side_by_side(places)
        if ax.get_xscale() == "log":
            centers, places = 10**centers, 10**places
        for iteration in np.unique(iterations):
            some = iterations == iteration
            label = ""
            if "resources" in found:
                n = found["resources"].to_numpy()[some][0]
                label = f"{self.resource} {n:,}"
            ax.errorbar(
                places[some],
                found["score"].to_numpy()[some],
                found["std"].to_numpy()[some],
                color=_COLORS[iteration % len(_COLORS)],
                marker=_MARKERS[iteration % len(_MARKERS)],
                markersize=5,
                linestyle="none",
                elinewidth=0.8,
                alpha=0.85,
                label=label,
            )
        if name in self.parameters:
            last = iterations == iterations.max()
            means = found["score"][last].groupby(centers[last]).mean()
            ax.plot(means.index, means, color="#777777", lw=1.2, zorder=1, label="mean per value")
        # The rows are sorted: the first is the best candidate.
        ax.plot(
            places[:1],
            found["score"].iloc[:1],
            marker="*",
            markersize=15,
            label="best candidate",
            markerfacecolor="none",
            markeredgecolor="black",
            linestyle="none",
        )
        ax.set_xlabel("fit time (seconds)" if name == "fit_seconds" else name.replace("_", " "))
        ax.spines[["top", "right"]].set_visible(False)


def _check_is_search(search: BaseEstimator) -> None:
    """Refuse what is no search, which would be called unfitted, and then an unfitted one."""
    no_search = not hasattr(search, "refit") or hasattr(search, "best_params_")
    if no_search and not hasattr(search, "cv_results_"):
        raise TypeError(
            f"search is a {type(search).__name__}, which has no cv_results_. Expected a fitted "
            "search of scikit-learn, such as GridSearchCV. Of a pipeline, pass the step that "
            "is one: pipeline[-1]."
        )
    check_is_fitted(search, "cv_results_")


def _metric(search: BaseEstimator, results: dict[str, Any], metric: str | None) -> str:
    there = [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]
    if metric is None:
        if there == ["score"]:
            return "score"
        metric = search.refit if isinstance(search.refit, str) else None
    if metric is not None and metric in there:
        return metric
    raise ValueError(
        f"search_report got metric={metric!r}, expected one of the metrics of the search: "
        f"{', '.join(there)}."
    )


def _short_names(names: list[str]) -> dict[str, str]:
    """Names without the pipeline steps in front, unless two would become equal.

    Examples
    --------
    >>> _short_names(["pca__whiten", "net__lr"])
    {'pca__whiten': 'whiten', 'net__lr': 'lr'}
    """
    last = [name.rpartition("__")[2] for name in names]
    return {name: own if last.count(own) == 1 else name for name, own in zip(names, last)}


def _masked(values: Any) -> Any:
    objects = np.ma.MaskedArray(values, dtype=object)
    objects.fill_value = _NOT_SET
    return objects


def _column(values: npt.NDArray[Any]) -> pd.Series:
    """Return the values of a parameter in a plain form that tells them apart.

    Examples
    --------
    >>> from sklearn.preprocessing import Binarizer
    >>> _column([None, 3, [4, 8], Binarizer(), Binarizer(threshold=2)]).tolist()
    [None, 3, (4, 8), 'Binarizer()', 'Binarizer(threshold=2)']
    """
    whole: dict[str, set[str]] = {}
    for value in values:
        if (name := _name(value)) is not None:
            whole.setdefault(name, set()).add(repr(value))
    plain = [
        # Long ones are written in several lines.
        " ".join(repr(value).split())
        if (name := _name(value)) is not None and len(whole[name]) > 1
        else _plain(value)
        for value in values
    ]
    # Among numbers or text, pandas would make a missing value of None, which is a choice here.
    has_none = any(value is None for value in plain)
    return pd.Series(plain, dtype=object if has_none else None)


def _name(value: object) -> str | None:
    """Name of a function, or of the class of an estimator; None for other values."""
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return type(value).__name__ if hasattr(value, "get_params") else None


def _plain(value: object) -> Any:
    """Plain form of a parameter value: tuples for lists, names for functions and estimators."""
    if isinstance(value, list | np.ndarray):
        return tuple(value)
    if isinstance(value, np.generic):
        return value.item()
    name = _name(value)
    return value if name is None else name


def _places(ax: "Axes", name: str, values: pd.Series) -> tuple[npt.NDArray[np.float64], float]:
    """Positions of values on the axis, and the width available to candidates of one value."""
    numbers = [v for v in values if _is_number(v)]
    different = np.unique(np.array(numbers, dtype=float))
    if len(numbers) == len(values) and (len(different) > 1 or name == "fit_seconds"):
        x = values.to_numpy(dtype=float)
        if different[0] > 0 and different[-1] / different[0] >= _LOG_SCALE_RATIO:
            ax.set_xscale("log")
            x = np.log10(x)
        else:
            ax.locator_params("x", nbins=4)
        gaps = np.diff(np.unique(x))
        return x, float(gaps.min()) / 3 if len(gaps) and name != "fit_seconds" else 0.0
    names = values.map(str)
    try:
        order = [str(value) for value in sorted(values.unique())]
    except TypeError:
        # Of several kinds: numbers in their order, and then what stands in the place of one.
        rank = {str(v): (0, v, "") if _is_number(v) else (1, 0, str(v)) for v in values}
        order = sorted(rank, key=rank.__getitem__)
    ax.set_xticks(range(len(order)), [_drawing.wrap_label(text, _LINE) for text in order])
    longest = max(map(len, order))
    if longest > _LINE:
        ax.tick_params("x", rotation=90, labelsize=8)
    elif longest * len(order) > 24:
        ax.tick_params("x", rotation=30)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(order) - 0.4)
    return names.map(order.index).to_numpy(dtype=float), 0.4


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _side_by_side(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Offsets from -1/2 to 1/2 that separate points at the same place.

    Examples
    --------
    >>> _side_by_side(np.array([1.0, 2.0, 1.0])).tolist()
    [-0.5, 0.0, 0.5]
    """
    shares = np.zeros(len(places))
    for place in np.unique(places):
        here = places == place
        n = int(here.sum())
        shares[here] = np.linspace(-0.5, 0.5, n) if n > 1 else 0.0
    return shares
