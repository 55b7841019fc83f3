"""report: how good a fitted network is, as one page to read, send and print."""

import os
from collections.abc import Sequence
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path

import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn._from_r import whole
from skcnn._report import _classification as labels
from skcnn._report import _markup as markup
from skcnn._report import _regression as numbers
from skcnn._report import _scores as scores
from skcnn._report._evaluation import Evaluation, Predict, evaluate
from skcnn._report._markup import Html
from skcnn._report._page import Section, make_page
from skcnn._report._sections import files_section, network_section, versions_section
from skcnn._storage._replacing import replacing
from skcnn._utils import Interval, check_values, number_text
from skcnn.uncertainty import ConfidenceInterval

_CONSTRAINTS: dict[str, list[object]] = {
    "title": [str, None],
    "level": [Interval(Real, 0, 1, closed="neither")],
    "max_images": [Interval(Integral, 0, None, closed="left")],
}
# Height of the frame in a notebook, in pixels.
_FRAME_HEIGHT = 720


class EvaluationReport:
    """A page about a fitted network, and the figures on it.

    A notebook shows the page. `save` writes it as a file that needs nothing else: send it, open
    it in any browser, or print it. Made by `skcnn.report`.

    Attributes
    ----------
    score : ConfidenceInterval
        Accuracy, or the mean absolute error of a regressor: `estimate`, `low` and `high`.
    per_class : DataFrame of shape (n_classes, 6) or None
        `precision`, `recall`, `recall_low`, `recall_high`, `f1` and `images` of each label, the
        hardest first. None for a regressor.
    mistakes : DataFrame of shape (n_mistakes, 5)
        Wrong predictions, the most confident first: `row` of X, `name` of the file, `actual` and
        `predicted` label, and `probability` of the prediction. For a regressor all images, and
        `error` in place of the probability, the largest first.
    skipped : DataFrame of shape (n_skipped, 4)
        Files that could not be read: `argument`, `row`, `path` and `reason`.
    html : str
        The page.
    """

    def __init__(
        self,
        html: str,
        *,
        score: ConfidenceInterval,
        per_class: pd.DataFrame | None,
        mistakes: pd.DataFrame,
        skipped: pd.DataFrame,
    ) -> None:
        self.html = html
        self.score = score
        self.per_class = per_class
        self.mistakes = mistakes
        self.skipped = skipped

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or path-like
            A file that is there is replaced, once the new one is complete. Its folder must exist.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        with replacing(Path(path)) as file:
            file.write(self.html.encode())

    def _repr_html_(self) -> str:
        # In a frame, the style of the page and that of the notebook leave each other alone.
        return (
            f'<iframe srcdoc="{markup.escape(self.html)}" title="Report" '
            f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        name = "mean absolute error" if self.per_class is None else "accuracy"
        estimate, low, high = (number_text(value, 3) for value in self.score)
        return f"EvaluationReport({name} {estimate}, from {low} to {high})"


def report(
    estimator: BaseEstimator,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    task: str | int | None = None,
    title: str | None = None,
    level: float = 0.95,
    max_images: int = 12,
) -> EvaluationReport:
    """Make a page about a fitted network: how good it is, where it fails, what it looks at.

    The page shows the images and classes that were found, accuracy with a confidence interval,
    precision, recall and F1 of each class, the confusion matrix, how well probabilities say how
    often predictions are right, the worst mistakes, Grad-CAM maps, files that were left out, the
    network and its training, and versions. For a regressor it shows the mean absolute error with
    an interval, R² and a scatter plot in place of the figures about labels.

    Parameters
    ----------
    estimator : ConvNetClassifier, ConvNetRegressor, ConvNetMultiTask, Pipeline or search
        A fitted one, that predicts one label or one number per image, or answers several
        questions. The last step of a pipeline must be such a network.
    X : array-like
        Images that the network was **not trained on**, in any form that ``estimator.predict``
        takes.
    y : array-like of shape (n,)
        Their labels, or numbers. Of several questions, the answers to the one that `task` names,
        or a table of all answers as for ``score``. Images without an answer are then left out.
    groups : array-like of shape (n,), default=None
        Site, or burst, of each image. The interval is then one for new sites.
    task : str or int, default=None
        Which of several questions the page is about: one of the tasks of a `ConvNetMultiTask`,
        or a column of labels, by its name, or by its number where it has none.
    title : str, default=None
        Title of the page. None names the estimator.
    level : float, default=0.95
        Probability in (0, 1) with which intervals hold the true figure.
    max_images : int, default=12
        Number of mistakes, and of right predictions, that are shown as images.

    Returns
    -------
    report : EvaluationReport
        A notebook shows it; ``report.save("report.html")`` writes it to a file.

    Raises
    ------
    TypeError
        If the estimator has no network, or one for several labels, several numbers or masks, or
        answers several questions and `task` names none.
    ValueError
        If X, y and groups do not fit each other or the estimator, labels are missing, there is no
        such task, or an image file cannot be read. With ``on_error="skip"``, such files are left
        out and listed.
    NotFittedError
        If the estimator is not fitted.

    See Also
    --------
    skcnn.uncertainty.bootstrap_interval : Intervals of other figures.
    skcnn.inspection.ConfusionDisplay : The confusion matrix alone.
    skcnn.inspection.TopLossesDisplay : The worst mistakes alone.

    Notes
    -----
    The interval of an accuracy is the Wilson score interval [1]_, which keeps its level for small
    numbers of images and accuracies near 1 [2]_. With groups, it is a bootstrap interval over
    groups [3]_; of fewer than ten groups, the wider one of both. For a regressor it is a bootstrap
    interval over groups or images.

    References
    ----------
    .. [1] Wilson: Probable inference, the law of succession, and statistical inference. Journal
       of the American Statistical Association 22, 1927.
    .. [2] Brown, Cai, DasGupta: Interval estimation for a binomial proportion. Statistical
       Science 16, 2001.
    .. [3] Hesterberg: What teachers should know about the bootstrap: resampling in the
       undergraduate statistics curriculum. The American Statistician 69, 2015.

    Examples
    --------
    >>> import os, tempfile
    >>> import skcnn
    >>> from skcnn.datasets import make_organisms
    >>> X, y = make_organisms(n_samples=120, n_classes=2, image_size=16, random_state=0)
    >>> clf = skcnn.ConvNetClassifier(filters=(8, 16), max_epochs=5, random_state=0)
    >>> report = skcnn.report(clf.fit(X[:80], y[:80]), X[80:], y[80:])
    >>> 0 <= report.score.low <= report.score.estimate <= report.score.high <= 1
    True
    >>> report.per_class.columns.tolist()
    ['precision', 'recall', 'recall_low', 'recall_high', 'f1', 'images']
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report.save(os.path.join(folder, "report.html"))
    """
    return make_report(
        estimator,
        X,
        y,
        groups=groups,
        task=task,
        title=title,
        level=level,
        max_images=max_images,
    )


def make_report(
    estimator: BaseEstimator,
    X: object,
    y: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    task: str | int | None = None,
    title: str | None = None,
    level: float = 0.95,
    max_images: int = 12,
    notes: Sequence[str] = (),
    predict: Predict | None = None,
) -> EvaluationReport:
    """Make a report, with what the command line knows in addition.

    Parameters
    ----------
    estimator, X, y, groups, task, title, level, max_images
        As in `report`.
    notes : sequence of str, default=()
        What to say about the images.
    predict : callable, default=None
        As in `evaluate`.
    """
    check_values(
        "report", _CONSTRAINTS, {"title": title, "level": level, "max_images": max_images}
    )
    max_images = whole(max_images)
    evaluation = evaluate(estimator, X, y, groups, task=whole(task), predict=predict)
    mistakes = scores.mistakes(evaluation)
    if evaluation.probability is None:
        per_class, score = None, scores.mean_error(evaluation, level)
        tiles = numbers.number_tiles(evaluation, score, level)
        lead = numbers.interval_paragraph(evaluation, level)
        sections = [
            numbers.scatter_section(evaluation),
            numbers.errors_section(evaluation, mistakes, max_images),
        ]
    else:
        per_class = scores.class_table(evaluation, level)
        score = scores.accuracy(evaluation, level)
        tiles = labels.class_tiles(evaluation, score, per_class, level)
        lead = labels.interval_paragraphs(evaluation, score, level)
        maps = labels.maps_section(evaluation, max_images)
        sections = [
            labels.classes_section(per_class, level),
            labels.confusion_section(evaluation),
            labels.calibration_section(evaluation),
            labels.mistakes_section(evaluation, mistakes, max_images),
            *([] if maps is None else [maps]),
        ]
    sections = [
        _data_section(evaluation, notes),
        *sections,
        files_section(evaluation),
        network_section(evaluation.network),
        versions_section(),
    ]
    name = title or f"Report of a {type(evaluation.network).__name__}"
    if title is None and evaluation.question.name is not None:
        name += f": {evaluation.question.name}"
    made = markup.paragraph(f"Made on {datetime.now():%B %d, %Y}.", style="muted")
    return EvaluationReport(
        make_page(name, Html(made + tiles + lead), sections),
        score=score,
        per_class=per_class,
        mistakes=mistakes,
        skipped=evaluation.unreadable,
    )


def _data_section(evaluation: Evaluation, notes: Sequence[str]) -> Section:
    """Return the images that were found."""
    n, n_lost = len(evaluation.rows), len(evaluation.unreadable)
    text = f"{n:,} image{'' if n == 1 else 's'}"
    sites = scores.n_groups(evaluation)
    if sites:
        text += f" of {sites:,} site{'' if sites == 1 else 's'}"
    if n_lost:
        text += f"; {n_lost:,} more could not be read"
    if evaluation.n_unanswered:
        text += f"; {evaluation.n_unanswered:,} more have no answer to this question"
    parts: list[object] = [markup.paragraph(f"{text}.")]
    parts += [markup.paragraph(note) for note in notes]
    if evaluation.probability is not None:
        parts.append(labels.count_classes(evaluation))
    return Section("data", "The images", markup.join(parts))
