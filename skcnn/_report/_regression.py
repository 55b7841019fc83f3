"""The sections of a report that are about numbers."""

import numpy as np
import pandas as pd
from sklearn.metrics import PredictionErrorDisplay, r2_score, root_mean_squared_error

from skcnn._report import _markup as markup
from skcnn._report._evaluation import Evaluation
from skcnn._report._figures import as_svg
from skcnn._report._markup import Html
from skcnn._report._page import Section
from skcnn._report._scores import n_groups
from skcnn._report._sections import image_cards, map_text
from skcnn._utils import number_text
from skcnn.uncertainty import ConfidenceInterval


def number_tiles(evaluation: Evaluation, error: ConfidenceInterval, level: float) -> Html:
    """Return the figures at the top."""
    actual, predicted = evaluation.actual, evaluation.predicted
    sites = n_groups(evaluation)
    baseline = float(np.abs(actual - np.median(actual)).mean())
    squared = root_mean_squared_error(actual, predicted)
    r2 = r2_score(actual, predicted) if len(actual) > 1 else float("nan")
    where = f"{sites:,} sites, " if sites else ""
    interval = (
        f"{level:.0%} interval {number_text(error.low, 3)} to {number_text(error.high, 3)}"
        if np.isfinite(error.low)
        else "too few images for an interval"
    )
    return markup.tiles(
        [
            ("Mean absolute error", number_text(error.estimate, 3), interval),
            ("Always answering the median", number_text(baseline, 3), "the error to beat"),
            (
                "R²",
                f"{r2:.2f}",
                f"root mean squared error {number_text(squared, 3)}",
            ),
            (
                "Images",
                f"{len(actual):,}",
                f"{where}from {number_text(actual.min())} to {number_text(actual.max())}",
            ),
        ]
    )


def interval_paragraph(evaluation: Evaluation, level: float) -> Html:
    """Return how the interval was computed."""
    sites = n_groups(evaluation)
    units = f"the {sites:,} sites" if sites > 1 else "images"
    where = "new sites" if sites > 1 else "the same places"
    return markup.paragraph(
        f"The {level:.0%} interval is for new images of {where}: a bootstrap over {units} "
        "(Hesterberg 2015). It holds only if the network was not trained on any of these images.",
        style="muted",
    )


def scatter_section(evaluation: Evaluation) -> Section:
    """Return predicted against actual numbers."""

    def draw() -> object:
        from matplotlib import pyplot as plt
        from matplotlib.ticker import MaxNLocator, ScalarFormatter

        _, axes = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
        shown = PredictionErrorDisplay.from_predictions(
            evaluation.actual,
            evaluation.predicted,
            kind="actual_vs_predicted",
            ax=axes,
            scatter_kwargs={"alpha": 0.5, "s": 14, "color": "#0072B2", "linewidths": 0},
            line_kwargs={"color": "0.5", "linewidth": 1},
        )
        axes.set(xlabel="predicted", ylabel="actual")
        for axis in (axes.xaxis, axes.yaxis):
            # Scikit-learn has set ticks at fractions of the range.
            axis.set_major_locator(MaxNLocator(6))
            axis.set_major_formatter(ScalarFormatter())
        axes.spines[["top", "right"]].set_visible(False)
        return shown.figure_

    drawn = markup.figure(
        as_svg(draw, "scatter", "Actual against predicted numbers"),
        "One point per image. On the dashed line, predictions are right.",
    )
    return Section("scatter", "Predicted and actual numbers", drawn)


def errors_section(evaluation: Evaluation, errors: pd.DataFrame, max_images: int) -> Section:
    """Return the predictions that are furthest off."""
    shown = errors.head(max_images)
    captions = [
        Html(f"predicted {number_text(line.predicted)}, actual {number_text(line.actual)}")
        for line in shown.itertuples()
    ]
    text = markup.paragraph(f"These predictions are furthest off. {map_text('raise the number')}")
    places = np.searchsorted(evaluation.rows, shown["row"])
    return Section(
        "mistakes", "Worst mistakes", Html(text + image_cards(evaluation, places, captions))
    )
