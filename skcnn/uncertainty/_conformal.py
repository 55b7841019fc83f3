"""Conformal prediction from probabilities: sets that hold the true label as promised."""

import numpy as np
import numpy.typing as npt

from skcnn._utils import warn
from skcnn.uncertainty._checks import (
    check_classes,
    check_codes,
    check_fraction,
    check_probabilities,
)

_METHODS = ("lac", "aps", "raps")
# Of RAPS: what each class further down than this rank costs.
_RANK = 5
_PENALTY = 0.01


def conformal_threshold(
    y: npt.ArrayLike,
    proba: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    method: str = "lac",
    level: float = 0.9,
    per_class: bool = False,
) -> npt.NDArray[np.float64]:
    """Find the threshold with which sets of labels hold the true label as often as asked.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of images that the network was not trained on.
    proba : array-like of shape (n, n_classes)
        Their probabilities.
    classes : array-like of shape (n_classes,), default=None
        Label of each column, such as ``clf.classes_``. None takes the sorted labels in y.
    method : {"lac", "aps", "raps"}, default="lac"
        How unlikely a label is. "lac": by its own probability, which makes the smallest sets on
        average [1]_. "aps": by the sum of the probabilities down to it, which makes larger sets
        for difficult images [2]_. "raps": the same, with a penalty for long sets [3]_. The most
        likely label is in every set of both.
    level : float, default=0.9
        Fraction in (0, 1) of new images whose set holds the true label.
    per_class : bool, default=False
        Whether each class gets its own threshold, so that rare species are covered as often as
        common ones. Needs ``level / (1 - level)`` images of each class at least, 9 for 0.9.

    Returns
    -------
    threshold : ndarray of shape (n_classes,)
        Highest score of labels that belong to a set, the same for all classes unless
        `per_class`. It is infinite, so that sets always hold the class, where there are too few
        images; a warning says so.

    Raises
    ------
    ValueError
        If the arguments do not fit each other, or `method` or `level` are not as described.

    References
    ----------
    .. [1] Sadinle, Lei, Wasserman: Least ambiguous set-valued classifiers with bounded error
       levels. Journal of the American Statistical Association 114, 2019.
    .. [2] Romano, Sesia, Candes: Classification with valid and adaptive coverage. NeurIPS 2020.
    .. [3] Angelopoulos, Bates, Malik, Jordan: Uncertainty sets for image classifiers using
       conformal prediction. ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.uncertainty import conformal_sets, conformal_threshold
    >>> random = np.random.default_rng(0)
    >>> proba = random.dirichlet([0.3, 0.3, 0.3], size=500)
    >>> y = np.array([random.choice(["ant", "bee", "fly"], p=p) for p in proba])
    >>> threshold = conformal_threshold(y[:250], proba[:250])
    >>> sets = conformal_sets(proba[250:], threshold)
    >>> sets.shape
    (250, 3)
    >>> truth = y[250:, None] == np.array(["ant", "bee", "fly"])
    >>> print(f"{sets[truth].mean():.2f}")
    0.92
    """
    probabilities = check_probabilities(proba)
    check_fraction(level, "level")
    names = check_classes(classes, y, probabilities.shape[1])
    codes = check_codes(y, names, len(probabilities))
    scores = _scores(probabilities, method)[np.arange(len(codes)), codes]
    if not per_class:
        threshold = score_quantile(scores, level)
        if np.isinf(threshold):
            _warn_of_few([], len(scores), level)
        return np.full(len(names), threshold)
    thresholds = np.array([score_quantile(scores[codes == c], level) for c in range(len(names))])
    if np.isinf(thresholds).any():
        _warn_of_few(names[np.isinf(thresholds)].tolist(), len(scores), level)
    return thresholds


def conformal_sets(
    proba: npt.ArrayLike, threshold: npt.ArrayLike, *, method: str = "lac"
) -> npt.NDArray[np.bool_]:
    """Return the labels that are likely enough for each image.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Probabilities of new images.
    threshold : array-like of shape (n_classes,)
        As `conformal_threshold` returns it, for the same `method`.
    method : {"lac", "aps", "raps"}, default="lac"
        As in `conformal_threshold`.

    Returns
    -------
    sets : ndarray of shape (n, n_classes), bool
        Whether each label belongs to the set of each image. With "lac", a set can be empty: no
        label is likely enough then, and the image may be of an unknown class. Sets of "aps" and
        "raps" always hold the most likely label.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    Examples
    --------
    >>> from skcnn.uncertainty import conformal_sets
    >>> conformal_sets([[0.9, 0.1], [0.5, 0.5]], [0.6, 0.6])
    array([[ True, False],
           [ True,  True]])
    """
    probabilities = check_probabilities(proba)
    limits = np.asarray(threshold)
    if limits.ndim != 1:
        raise ValueError(
            f"threshold has shape {limits.shape}. Expected one number per class, of shape "
            f"({probabilities.shape[1]},), as conformal_threshold returns them."
        )
    if np.isnan(limits).any():
        raise ValueError(
            "threshold has NaN. Expected numbers, as conformal_threshold returns them."
        )
    if len(limits) != probabilities.shape[1]:
        raise ValueError(
            f"threshold has {len(limits)} values, but proba has {probabilities.shape[1]} columns. "
            "Expected one per class, as conformal_threshold returns them."
        )
    sets: npt.NDArray[np.bool_] = _scores(probabilities, method) <= limits
    return sets


def _scores(proba: npt.NDArray[np.float64], method: str) -> npt.NDArray[np.float64]:
    """Return how unlikely each label is."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}.")
    if method == "lac":
        return 1 - proba
    order = np.argsort(-proba, axis=1, kind="stable")
    sums = np.take_along_axis(proba, order, axis=1).cumsum(axis=1)
    if method == "raps":
        sums += _PENALTY * np.maximum(np.arange(1, proba.shape[1] + 1) - _RANK, 0)
    # With its probability as its score, the most likely label would be out first for the images
    # that the classifier is most certain of: their sets would be empty.
    sums[:, 0] = 0
    scores = np.empty_like(proba)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores


def images_needed(level: float) -> int:
    """Return the number of images that a threshold for a level needs at least."""
    return int(np.ceil(round(level / (1 - level), 9)))


def score_quantile(scores: npt.NDArray[np.float64], level: float) -> float:
    """Return the score that the next one does not exceed, with a probability of `level`."""
    rank = int(np.ceil(np.round((len(scores) + 1) * level, 9)))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def _warn_of_few(names: list[object], n_images: int, level: float) -> None:
    needed = images_needed(level)
    where = f"the classes {', '.join(map(str, names[:5]))}" if names else f"{n_images} images"
    warn(
        f"level={level} needs at least {needed} images to calibrate with, and {where} "
        f"{'have' if names else 'are'} fewer. Sets always hold these classes. Give more images, "
        "or a lower level."
    )
