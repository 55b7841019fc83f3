"""Confusion matrix in clustered order."""

from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.base import ClassifierMixin
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length

from skcnn.inspection._display import Display
from skcnn.inspection._drawing import plain_text, shorten
from skcnn.uncertainty._checks import Labels, check_labels, check_same_kind
from skcnn.uncertainty._skipped import without_skipped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# With more classes, the cells are too small for their values.
_MAX_CLASSES_WITH_VALUES = 12
# Sizes in inches.
_ROW_HEIGHT = 0.155
_ROW_HEIGHT_WITH_VALUES = 0.42
_MIN_MATRIX_HEIGHT = 3.0
_COLORBAR_WIDTH = 1.6
_COLORBAR_THICKNESS = 0.25
_AXIS_LABEL_HEIGHT = 0.6
_CHARACTER_WIDTH = 0.085


class ConfusionDisplay(Display):
    """Confusion matrix in which classes that are confused with each other are neighbors.

    Each row shows, for the images of one class, the share of each predicted label. Classes are
    ordered by hierarchical clustering (average linkage with optimal leaf ordering), so that
    groups of classes that are hard to tell apart become blocks.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    confusion_matrix : ndarray of shape (n_classes, n_classes)
        Numbers of images, with actual classes as rows and predicted classes as columns.
    display_labels : array-like of shape (n_classes,)
        The classes.

    Attributes
    ----------
    pairs : pandas.DataFrame
        One row per pair of confused classes, the most frequent first: the `actual` class, the
        `predicted` class, the `count` of images and their `share` of the actual class.
    order : ndarray of shape (n_classes,)
        Indices of the classes in the order in which they are drawn.
    display_ : sklearn.metrics.ConfusionMatrixDisplay
        Display of scikit-learn that draws the matrix.
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    References
    ----------
    Bar-Joseph, Gifford, Jaakkola: Fast optimal leaf ordering for hierarchical clustering.
    Bioinformatics 17, 2001.

    Examples
    --------
    >>> from skcnn.inspection import ConfusionDisplay
    >>> y, guess = ["cat", "dog", "oak", "dog"], ["dog", "dog", "oak", "cat"]
    >>> ConfusionDisplay.from_predictions(y, guess).pairs
      actual predicted  count  share
    0    cat       dog      1    1.0
    1    dog       cat      1    0.5
    """

    def __init__(self, *, confusion_matrix: npt.ArrayLike, display_labels: npt.ArrayLike) -> None:
        self.confusion_matrix = np.asarray(confusion_matrix)
        self.display_labels = np.asarray(display_labels)
        check_consistent_length(self.confusion_matrix, self.display_labels)
        self._shares = self.confusion_matrix / np.maximum(
            self.confusion_matrix.sum(axis=1, keepdims=True), 1
        )
        self.order = _clustered(self._shares)
        self.pairs = self._find_pairs()

    @classmethod
    def from_estimator(
        cls,
        estimator: ClassifierMixin,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        ax: "Axes | None" = None,
    ) -> Self:
        """Predict images and draw the confusion matrix.

        Parameters
        ----------
        estimator : classifier
            A fitted one: a ConvNetClassifier, a Pipeline, a search, or any other classifier.
        X : array-like
            Images, in any form that ``estimator.predict`` takes.
        y : array-like of shape (n,)
            Actual labels. Files that were skipped are left out.
        ax
            As in `plot`.

        Returns
        -------
        display : ConfusionDisplay
        """
        predicted = np.asarray(estimator.predict(X))
        if predicted.ndim == 1:
            y, predicted, _ = without_skipped(y, predicted)
        return cls.from_predictions(y, predicted, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *, ax: "Axes | None" = None
    ) -> Self:
        """Draw the confusion matrix of given predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,)
            Actual and predicted labels.
        ax
            As in `plot`.

        Returns
        -------
        display : ConfusionDisplay

        Raises
        ------
        ValueError
            If the lengths differ, or there is not one label per image in both.
        """
        actual, predicted = _check_labels(y_true, "y_true"), _check_labels(y_pred, "y_pred")
        check_same_kind(actual, predicted, ("y_true", "y_pred"))
        labels = np.union1d(actual, predicted)
        matrix = confusion_matrix(actual, predicted, labels=labels)
        return cls(confusion_matrix=matrix, display_labels=labels).plot(ax)

    def _draw(self, ax: "Axes | None") -> "Axes":
        import matplotlib.pyplot as plt
        from matplotlib.ticker import PercentFormatter

        n_classes = len(self.order)
        few = n_classes <= _MAX_CLASSES_WITH_VALUES
        is_new = ax is None
        if ax is None:
            row_height = _ROW_HEIGHT_WITH_VALUES if few else _ROW_HEIGHT
            side = max(_MIN_MATRIX_HEIGHT, n_classes * row_height)
            longest = max(len(shorten(label)) for label in self.display_labels)
            margin = _CHARACTER_WIDTH * (longest + len(f" ({self.confusion_matrix.sum()})"))
            size = (side + margin + _COLORBAR_WIDTH, side + margin + _AXIS_LABEL_HEIGHT)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        shares = self._shares[np.ix_(self.order, self.order)]
        labels = self.display_labels[self.order]
        names = [plain_text(shorten(label)) for label in labels.tolist()]
        counts = self.confusion_matrix.sum(axis=1)[self.order]
        self.display_ = ConfusionMatrixDisplay(shares, display_labels=labels)
        self.display_.plot(
            include_values=few,
            values_format=".0%",
            cmap="Blues",
            ax=ax,
            xticks_rotation="vertical",
            im_kw={"vmin": 0, "vmax": 1},
            colorbar=False,
            text_kw={"fontsize": 8},
        )
        if few:
            # Scikit-learn chooses the color by the largest share instead of the color scale.
            for text, share in zip(self.display_.text_.flat, shares.flat):
                text.set_color("white" if share > 0.5 else "black")
                text.set_visible(share > 0)
        ax.tick_params(labelsize=9 if few else 7)
        ax.set(xlabel="predicted", ylabel="actual (n images)")
        if is_new and n_classes > 2:
            ax.set_title("Similar classes are neighbors", fontsize=9)
        ax.set_xticks(range(n_classes), names, rotation="vertical")
        ax.set_yticks(
            range(n_classes), [f"{name} ({n})" for name, n in zip(names, counts.tolist())]
        )
        # As wide beside large matrices as beside small ones.
        height = ax.get_window_extent().height / ax.figure.dpi
        colorbar = ax.figure.colorbar(
            self.display_.im_, ax=ax, aspect=max(20, height / _COLORBAR_THICKNESS)
        )
        colorbar.set_label("share of the actual class")
        colorbar.ax.yaxis.set_major_formatter(PercentFormatter(1))
        return ax

    def _find_pairs(self) -> pd.DataFrame:
        mistakes = self.confusion_matrix.copy()
        np.fill_diagonal(mistakes, 0)
        rows, columns = np.nonzero(mistakes)
        counts, shares = mistakes[rows, columns], self._shares[rows, columns]
        # Of equal counts, the one of the rarer class comes first.
        order = np.lexsort((-shares, -counts))
        return pd.DataFrame(
            {
                "actual": self.display_labels[rows[order]],
                "predicted": self.display_labels[columns[order]],
                "count": counts[order],
                "share": shares[order],
            }
        )


def _clustered(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Order classes so that those that are confused with each other are neighbors."""
    if len(shares) < 3:
        return np.arange(len(shares))
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    order: npt.NDArray[np.intp] = leaves_list(tree)
    return order


def _check_labels(values: npt.ArrayLike, name: str) -> Labels:
    """Return labels (n,); refuse numbers, several columns, and label images."""
    if np.ndim(values) > 2 or np.shape(values)[1:] > (1,):
        raise ValueError(
            f"{name} has the shape {np.shape(values)}. Expected one label per image, (n,). Draw "
            "one of several columns at a time, such as y_true[:, 0] and y_pred[:, 0]; for label "
            "images, use MaskDisplay."
        )
    labels = check_labels(values, name)
    if type_of_target(labels, raise_unknown=False) == "continuous":
        raise ValueError(
            f"{name} holds numbers such as {labels.tolist()[0]}. ConfusionDisplay compares "
            "labels; for numbers, use PredictionsDisplay."
        )
    return labels
