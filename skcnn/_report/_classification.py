"""The sections of a report that are about labels."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._report import _markup as markup
from skcnn._report._evaluation import Evaluation
from skcnn._report._figures import as_svg
from skcnn._report._markup import Html, percent
from skcnn._report._page import Section
from skcnn._report._scores import FEW_GROUPS, n_groups, typical_rows
from skcnn._report._sections import image_cards, map_text
from skcnn.inspection import ConfusionDisplay
from skcnn.uncertainty import ConfidenceInterval, ReliabilityDisplay

# Confusions that are listed.
_MAX_PAIRS = 10
_N_BINS = 10


def class_tiles(
    evaluation: Evaluation, accuracy: ConfidenceInterval, table: pd.DataFrame, level: float
) -> Html:
    """Return the figures at the top."""
    n, sites = len(evaluation.actual), n_groups(evaluation)
    present = table[table["images"] > 0]
    largest = present["images"].idxmax()
    where = f", {sites:,} sites" if sites else ""
    return markup.tiles(
        [
            ("Accuracy", percent(accuracy.estimate), _interval_text(accuracy, level)),
            (
                "Mean recall of the classes",
                percent(float(present["recall"].mean())),
                "rare classes count as much as frequent ones",
            ),
            (
                f"Always answering “{largest}”",
                percent(float(present["images"].max()) / n),
                "what an accuracy has to beat",
            ),
            ("Images", f"{n:,}", f"{len(present):,} classes{where}"),
        ]
    )


def interval_paragraphs(
    evaluation: Evaluation, accuracy: ConfidenceInterval, level: float
) -> Html:
    """Return what the interval means, how it was computed, and when not to trust it."""
    sites = n_groups(evaluation)
    if sites >= FEW_GROUPS:
        method = (
            f"The {level:.0%} interval is for photographs of new sites: a bootstrap over the "
            f"{sites:,} sites (Hesterberg 2015)."
        )
    elif sites > 1:
        method = (
            f"The {level:.0%} interval is the wider one of two: the score interval of Wilson "
            f"(1927) over images, and a bootstrap over the {sites} sites (Hesterberg 2015)."
        )
    else:
        method = (
            f"The {level:.0%} interval is for new photographs from the same places: the score "
            "interval of Wilson (1927)."
        )
        if evaluation.groups is None:
            method += " Where images come from several sites or bursts, give these as groups."
    low, high = (round(100 * end) for end in accuracy[1:])
    parts: list[object] = []
    if np.isfinite(accuracy.low):
        parts.append(
            markup.paragraph(
                f"On many new images like these, {low} to {high} of 100 should get the right "
                "label. This holds only if the network was not trained on any of these images, "
                "or on others of the same burst."
            )
        )
    parts.append(markup.paragraph(method, style="muted"))
    if 1 < sites < FEW_GROUPS:
        parts.append(
            markup.paragraph(
                f"{sites} sites are too few to tell how much sites differ: at a new site, the "
                "accuracy may well be outside of the interval.",
                style="note",
            )
        )
    unknown = np.setdiff1d(evaluation.actual, evaluation.classes)
    if len(unknown):
        n = int(np.isin(evaluation.actual, unknown).sum())
        parts.append(
            markup.paragraph(
                f"{n:,} images have labels that the network was not trained on "
                f"({', '.join(map(str, unknown[:5]))}). They count as mistakes.",
                style="note",
            )
        )
    return markup.join(parts)


def classes_section(table: pd.DataFrame, level: float) -> Section:
    """Return the scores of each class."""
    rows = [
        (
            label,
            f"{line.images:,}",
            percent(line.f1, 0),
            percent(line.precision, 0),
            percent(line.recall, 0),
            markup.interval_bar(line.recall, line.recall_low, line.recall_high),
        )
        for label, line in zip(table.index, table.itertuples())
    ]
    text = markup.paragraph(
        "The hardest class first. Recall: how many of the images of a class are found. "
        "Precision: how many of the images with this prediction are right. F1: their harmonic "
        f"mean. The bars show the recall from 0 to 100% with its {level:.0%} interval (Wilson)."
    )
    head = ["class", "images", "F1", "precision", "recall", f"{level:.0%} interval"]
    return Section("classes", "Each class", markup.join([text, markup.table(head, rows)]))


def confusion_section(evaluation: Evaluation) -> Section:
    """Return the confusion matrix, and the most frequent confusions."""
    found: list[ConfusionDisplay] = []

    def draw() -> object:
        found.append(ConfusionDisplay.from_predictions(evaluation.actual, evaluation.predicted))
        return found[0].figure_

    matrix = markup.figure(
        as_svg(draw, "confusion", "Confusion matrix"),
        "Rows are actual classes, columns are predictions.",
    )
    pairs = found[0].pairs.head(_MAX_PAIRS)
    rows = [
        (actual, predicted, f"{count:,}", percent(share, 0))
        for actual, predicted, count, share in pairs.to_numpy()
    ]
    listed = (
        markup.table(["actual", "predicted", "images", "of the class"], rows, text_columns=2)
        if rows
        else markup.paragraph("No image got a wrong label.")
    )
    body = Html(f"{matrix}<h3>Most frequent confusions</h3>{listed}")
    return Section("confusion", "What is confused", body)


def calibration_section(evaluation: Evaluation) -> Section:
    """Return how well probabilities say how often predictions are right."""
    classes = evaluation.classes
    known = np.isin(evaluation.actual, classes)
    found: list[ReliabilityDisplay] = []

    def draw() -> object:
        assert evaluation.probability is not None
        found.append(
            ReliabilityDisplay.from_predictions(
                evaluation.actual[known],
                evaluation.probability[known],
                classes=classes,
                n_bins=_N_BINS,
            )
        )
        return found[0].figure_

    drawn = markup.figure(as_svg(draw, "calibration", "Accuracy at each probability"))
    table = found[0].table
    gap = float(np.average(table["probability"] - table["accuracy"], weights=table["images"]))
    side = "higher" if gap > 0 else "lower"
    rows = [
        (
            f"{percent(line.low, 0)} to {percent(line.high, 0)}",
            f"{line.images:,}",
            percent(line.probability, 0),
            percent(line.accuracy, 0),
        )
        for line in table.itertuples()
    ]
    text = markup.paragraph(
        "Probabilities are good if images predicted with 80% are right in 80% of cases: then the "
        f"points are on the dashed line. Here they are on average {100 * abs(gap):.1f} percentage "
        f"points {side} than the accuracy."
    )
    listed = markup.table(["probability", "images", "mean", "right"], rows)
    body = Html(f'{text}<div class="beside">{drawn}{listed}</div>')
    return Section("calibration", "Are its probabilities right?", body)


def mistakes_section(evaluation: Evaluation, wrong: pd.DataFrame, max_images: int) -> Section:
    """Return the wrong predictions the network was most sure of."""
    if wrong.empty:
        body = markup.paragraph("There are none: every image got its label.")
        return Section("mistakes", "Worst mistakes", body)
    shown = wrong.head(max_images)
    captions = [
        Html(
            f'<span class="wrong">✗ {markup.escape(line.predicted)} '
            f"{percent(line.probability, 0)}</span>, labeled {markup.escape(line.actual)}"
        )
        for line in shown.itertuples()
    ]
    text = markup.paragraph(
        f"{len(wrong):,} of {len(evaluation.actual):,} predictions are wrong. These are the ones "
        "the network was most sure of. Look here for wrong labels first. "
        + map_text("support the prediction")
    )
    places = np.searchsorted(evaluation.rows, shown["row"])
    return Section(
        "mistakes", "Worst mistakes", Html(text + image_cards(evaluation, places, captions))
    )


def maps_section(evaluation: Evaluation, max_images: int) -> Section | None:
    """Return what the network looks at where it is right; None where it never is."""
    places = typical_rows(evaluation, max_images)
    if not len(places):
        return None
    captions = [_right_caption(evaluation, int(place)) for place in places]
    maps = map_text("support the prediction")
    text = markup.paragraph(f"Of each class, the image that it was most sure of. {maps}")
    return Section(
        "maps", "What it looks at", Html(text + image_cards(evaluation, places, captions))
    )


def _right_caption(evaluation: Evaluation, place: int) -> Html:
    assert evaluation.probability is not None
    share = percent(float(evaluation.probability[place].max()), 0)
    label = markup.escape(evaluation.predicted[place])
    return Html(f'<span class="right">✓ {label} {share}</span>')


def count_classes(evaluation: Evaluation) -> Html:
    """Return the number of images, and of sites, of each class, as bars."""
    labels, counts = np.unique(evaluation.actual, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    remarks: npt.NDArray[np.object_] = np.full(len(labels), "", dtype=object)
    if evaluation.groups is not None:
        for number, label in enumerate(labels):
            sites = len(np.unique(evaluation.groups[evaluation.actual == label]))
            remarks[number] = f" at {sites:,} site{'' if sites == 1 else 's'}"
    return markup.bars((str(labels[i]), int(counts[i]), str(remarks[i])) for i in order)


def _interval_text(interval: ConfidenceInterval, level: float) -> str:
    if not np.isfinite(interval.low):
        return "too few images for an interval"
    return f"{level:.0%} interval {100 * interval.low:.1f}–{percent(interval.high)}"
