"""How well label images agree: intersection over union, Dice, and scorers of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._from_r import whole
from skcnn._utils import StrOptions, check_sample_weight, check_values

_AVERAGES = {"average": [StrOptions({"macro", "micro"}), None]}

Counts = npt.NDArray[np.float64]
Score = float | Counts
# None for files that were skipped.
LabelImages = npt.NDArray[Any] | Sequence[npt.ArrayLike | None]


def iou_score(
    y_true: LabelImages,
    y_pred: LabelImages,
    *,
    labels: npt.ArrayLike | None = None,
    average: str | None = "macro",
    ignore_label: object = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Score:
    """Compute the intersection over union (IoU, Jaccard index) of label images.

    The IoU of a class is the number of pixels that have it in both images, divided by the number
    of those that have it in at least one of them. Pixels of all images are counted together.

    Parameters
    ----------
    y_true : array-like of shape (n, height, width) or (n, n_pixels), or list of label images
        The true labels of pixels.
    y_pred : array-like or list of the same shape
        The predicted ones.
    labels : array-like of shape (n_labels,), default=None
        The classes to compare. None takes all that are in `y_true` or `y_pred`.
    average : {"macro", "micro"} or None, default="macro"
        "macro" is the mean of the classes that are in `y_true` or `y_pred`, "micro" counts the
        pixels of all classes together. None returns the score of each class.
    ignore_label : label, default=None
        Pixels that have this label in `y_true` do not count.
    sample_weight : array-like of shape (n,), default=None
        Weight of the pixels of each image.

    Returns
    -------
    score : float, or ndarray of shape (n_labels,) with ``average=None``
        From 0 to 1; NaN for classes that are in none of the images.

    Raises
    ------
    ValueError
        If the label images differ in number or size, or are text on one side and numbers on the
        other.

    References
    ----------
    Everingham, Van Gool, Williams, Winn, Zisserman: The PASCAL visual object classes (VOC)
    challenge. International Journal of Computer Vision 88, 2010.

    Examples
    --------
    >>> from skcnn.masks import iou_score
    >>> y_true = [[["leaf", "leaf", "soil", "soil"]]]
    >>> y_pred = [[["leaf", "soil", "soil", "soil"]]]
    >>> iou_score(y_true, y_pred, average=None)
    array([0.5   , 0.6667])
    >>> iou_score(y_true, y_pred)
    0.58...
    """
    return _score("iou_score", _iou, y_true, y_pred, labels, average, ignore_label, sample_weight)


def dice_score(
    y_true: LabelImages,
    y_pred: LabelImages,
    *,
    labels: npt.ArrayLike | None = None,
    average: str | None = "macro",
    ignore_label: object = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Score:
    """Compute the Dice coefficient (F1 score of pixels) of label images.

    Twice the number of pixels that have a class in both images, divided by the sum of the numbers
    in each.

    Parameters
    ----------
    y_true, y_pred, labels, average, ignore_label, sample_weight
        As for `iou_score`.

    Returns
    -------
    score : float, or ndarray of shape (n_labels,) with ``average=None``
        From 0 to 1; NaN for classes that are in none of the images.

    Raises
    ------
    ValueError
        If the label images differ in number or size, or are text on one side and numbers on the
        other.

    References
    ----------
    Dice: Measures of the amount of ecologic association between species. Ecology 26, 1945.

    Examples
    --------
    >>> from skcnn.masks import dice_score
    >>> dice_score([[[1, 1, 0, 0]]], [[[1, 0, 0, 0]]], labels=[1], average=None)
    array([0.6667])
    """
    return _score(
        "dice_score", _dice, y_true, y_pred, labels, average, ignore_label, sample_weight
    )


def _iou(both: Counts, true: Counts, guessed: Counts) -> Counts:
    return _ratio(both, true + guessed - both)


def _dice(both: Counts, true: Counts, guessed: Counts) -> Counts:
    return _ratio(2 * both, true + guessed)


def _ratio(part: Counts, whole: Counts) -> Counts:
    ratio: Counts = np.full(np.shape(part), np.nan)
    return np.divide(part, whole, out=ratio, where=whole > 0)


def _score(
    caller: str,
    ratio: Callable[[Counts, Counts, Counts], Counts],
    y_true: LabelImages,
    y_pred: LabelImages,
    labels: npt.ArrayLike | None,
    average: str | None,
    ignore_label: object,
    sample_weight: npt.ArrayLike | None,
) -> Score:
    check_values(caller, _AVERAGES, {"average": average})
    pairs = _pairs(y_true, y_pred, ignore_label)
    _check_kinds(pairs)
    if labels is None:
        found = [np.unique(values) for pair in pairs for values in pair]
        names = np.unique(np.concatenate(found)) if found else np.empty(0)
    else:
        names = np.atleast_1d(whole(labels))
    weight = check_sample_weight(sample_weight, np.empty(len(pairs)), dtype=np.float64)
    counts = np.zeros((3, len(names)))
    for (true, guessed), factor in zip(pairs, weight):
        same = true[true == guessed]
        counts += factor * np.stack([_count(part, names) for part in (same, true, guessed)])
    if average is None:
        return ratio(*counts)
    if average == "micro":
        return float(ratio(*counts.sum(axis=1)[:, None])[0])
    scores = ratio(*counts)
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def _count(values: npt.NDArray[Any], names: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count how often each of some labels occurs."""
    found, counts = np.unique(values, return_counts=True)
    numbers = dict(zip(found.tolist(), counts.tolist()))
    return np.array([numbers.get(name, 0) for name in names.tolist()], dtype=np.int64)


def _pairs(
    y_true: LabelImages, y_pred: LabelImages, ignore_label: object
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return the true and the predicted labels of the pixels of each image that has them."""
    if len(y_true) != len(y_pred):
        raise ValueError(
            f"y_true has {len(y_true)} label images, and y_pred has {len(y_pred)}: inconsistent "
            "numbers of samples."
        )
    pairs = []
    for row, (true, guessed) in enumerate(zip(y_true, y_pred)):
        if guessed is None:
            # A file that cannot be read has no prediction.
            pairs.append((np.empty(0), np.empty(0)))
            continue
        true, guessed = np.asanyarray(true), np.asarray(guessed)
        if true.ndim == 3 and true.shape[2] == 1:
            true = true[..., 0]
        if true.shape != guessed.shape:
            raise ValueError(
                f"The label image in row {row} of y_true has shape {true.shape}, and that of "
                f"y_pred has {guessed.shape}. Expected the same height and width."
            )
        known = ~np.ma.getmaskarray(true)
        if ignore_label is not None:
            known &= np.asarray(true != ignore_label)
        pairs.append((np.asarray(true)[known], guessed[known]))
    return pairs


def _check_kinds(pairs: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> None:
    """Refuse text beside numbers, which would never agree."""
    kinds = [
        {kind_of_labels(values) for values in several if values.size} for several in zip(*pairs)
    ]
    if len(kinds) == 2 and all(kinds) and kinds[0].isdisjoint(kinds[1]):
        one, other = (" and ".join(sorted(found)) for found in kinds)
        raise ValueError(
            f"The label images of y_true hold {one}, and those of y_pred {other}, so that no "
            "pixel could be right. Expected the same labels: a network predicts those that it was "
            "fitted with."
        )


def kind_of_labels(values: npt.NDArray[Any]) -> str:
    """Return whether labels are text or numbers, which booleans are, too."""
    return "text" if values.dtype.kind in "UST" or isinstance(values.flat[0], str) else "numbers"


SCORES: dict[str, Callable[..., Score]] = {"iou": iou_score, "dice": dice_score}


class MaskScorer:
    """Scorer of label images, for searches and `cross_val_score`.

    scikit-learn's own scorers refuse label images. Made by `mask_scorer`.

    Parameters
    ----------
    metric : {"iou", "dice"}
    label : label or None
        The class that is scored; None takes the mean of all.
    ignore_label : label or None
        Pixels that have it do not count. None takes the `ignore_label` of the estimator.
    """

    def __init__(self, metric: str, label: object, ignore_label: object) -> None:
        self.metric = metric
        self.label = label
        self.ignore_label = ignore_label

    def __call__(self, estimator: BaseEstimator, X: npt.ArrayLike, y: LabelImages) -> float:
        """Return the score of an estimator on images and their label images."""
        last = estimator
        while hasattr(last, "steps") or hasattr(last, "best_estimator_"):
            if hasattr(last, "best_estimator_"):
                last = last.best_estimator_
                continue
            # What the last step gets says which part of each file of y is read.
            X = last[:-1].transform(X) if len(last.steps) > 1 else X
            last = last.steps[-1][1]
        predicted = last.predict(X)
        ignored = self.ignore_label
        if ignored is None:
            ignored = getattr(last, "ignore_label", None)
        if hasattr(last, "_label_images"):
            # Files of masks are read as fit reads them.
            y = last._label_images(y, predicted, X)
        score = SCORES[self.metric]
        if self.label is None:
            return float(score(y, predicted, ignore_label=ignored))
        found = score(y, predicted, ignore_label=ignored, labels=[self.label], average=None)
        value = float(np.ravel(found)[0])
        if np.isnan(value):
            self._check_label(last)
        return value

    def _check_label(self, estimator: BaseEstimator) -> None:
        """Refuse a class that is neither in the scored images nor in those of the fit."""
        known = getattr(estimator, "classes_", None)
        if known is None:
            return
        names = np.asarray(known).tolist()
        if whole(self.label) not in names:
            raise ValueError(
                f"mask_scorer has label={self.label!r}, but {type(estimator).__name__} was fitted "
                f"with the classes {names}. Expected one of them."
            )

    def __repr__(self) -> str:
        given = {"label": self.label, "ignore_label": self.ignore_label}
        more = "".join(f", {n}={value!r}" for n, value in given.items() if value is not None)
        return f"mask_scorer({self.metric!r}{more})"


def mask_scorer(
    metric: str = "iou", *, label: object = None, ignore_label: object = None
) -> MaskScorer:
    """Make a scorer of label images for `cross_val_score`, `cross_validate` and searches.

    Parameters
    ----------
    metric : {"iou", "dice"}, default="iou"
        `iou_score` or `dice_score`.
    label : label, default=None
        The class to score. None takes the mean of all classes.
    ignore_label : label, default=None
        Pixels that have this true label do not count. None takes the `ignore_label` of the
        estimator that is scored.

    Returns
    -------
    scorer : callable
        Takes an estimator, images and label images. A class that is in none of the images of a
        fold scores NaN. One that is not in the images of the fit either is an error.

    Raises
    ------
    ValueError
        If there is no such metric.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from skcnn import ConvNetSegmenter
    >>> from skcnn.datasets import make_scenes
    >>> from skcnn.masks import mask_scorer
    >>> scenes = make_scenes(30, image_size=32, n_kinds=1, random_state=0)
    >>> seg = ConvNetSegmenter(max_epochs=2, random_state=0)
    >>> scorer = mask_scorer("dice", label=1)
    >>> cross_val_score(seg, scenes.data, scenes.masks, scoring=scorer, cv=3).shape
    (3,)
    """
    check_values("mask_scorer", {"metric": [StrOptions(set(SCORES))]}, {"metric": metric})
    return MaskScorer(metric, label, ignore_label)
