"""Which categories a network takes for each other."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.utils.validation import check_consistent_length

# Up to so many classes, the cells have room for their values.
_WITH_VALUES = 12
# Inches: a row of the matrix, one with values in it, the least height of all rows, and what names
# and scale take beside them.
_ROW, _ROW_WITH_VALUES, _LEAST, _BESIDE = 0.155, 0.42, 3.0, 2.2


class ConfusionDisplay:
    """A confusion matrix whose classes stand beside those that they are taken for.

    Each row shows which shares of the images of a class were given which label. Classes are
    ordered by hierarchical clustering (average linkage, with neighbours as alike as they can be),
    so that groups of classes that are hard to tell apart become blocks.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    confusion_matrix : ndarray of shape (n_classes, n_classes)
        Numbers of images, the actual class in rows, the predicted one in columns.
    display_labels : array-like of shape (n_classes,)
        The classes.

    Attributes
    ----------
    pairs : pandas.DataFrame
        One row for each kind of mistake, the most frequent first: the `actual` class, the
        `predicted` one, the `count` of images and their `share` of the actual class.
    order : ndarray of shape (n_classes,)
        The classes by their numbers, as they are drawn.
    display_ : sklearn.metrics.ConfusionMatrixDisplay
        What it is drawn with.
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

    def __init__(self, *, confusion_matrix: npt.NDArray[Any], display_labels: Any) -> None:
        self.confusion_matrix = np.asarray(confusion_matrix)
        self.display_labels = np.asarray(display_labels)
        check_consistent_length(self.confusion_matrix, self.display_labels)
        self._shares = self.confusion_matrix / np.maximum(
            self.confusion_matrix.sum(axis=1, keepdims=True), 1
        )
        self.order = _clustered(self._shares)
        self.pairs = self._find_pairs()

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> Self:
        """Predict images and draw which classes are taken for each other.

        Parameters
        ----------
        estimator : ConvNetClassifier or any other fitted classifier
        X : array-like
            Images, in any form that its `predict` takes.
        y : array-like of shape (n,)
            Actual labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConfusionDisplay
        """
        return cls.from_predictions(y, estimator.predict(X), ax=ax)

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, ax: Any = None) -> Self:
        """Draw which classes were taken for each other.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,)
            Actual and predicted labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConfusionDisplay

        Raises
        ------
        ValueError
            Where the lengths differ.
        """
        labels = np.union1d(y_true, y_pred)
        matrix = confusion_matrix(y_true, y_pred, labels=labels)
        return cls(confusion_matrix=matrix, display_labels=labels).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ConfusionDisplay
        """
        import matplotlib.pyplot as plt

        n_classes = len(self.order)
        few = n_classes <= _WITH_VALUES
        if ax is None:
            side = max(_LEAST, n_classes * (_ROW_WITH_VALUES if few else _ROW))
            _, ax = plt.subplots(figsize=(side + _BESIDE, side + 1), layout="constrained")
        shares = self._shares[np.ix_(self.order, self.order)]
        labels = self.display_labels[self.order]
        self.display_ = ConfusionMatrixDisplay(shares, display_labels=labels)
        self.display_.plot(
            include_values=few,
            values_format=".0%",
            cmap="Blues",
            ax=ax,
            xticks_rotation="vertical",
            im_kw={"vmin": 0, "vmax": 1},
            text_kw={"fontsize": 8},
        )
        if few:
            # The display tells light from dark by the largest share, not by the scale.
            for text, share in zip(self.display_.text_.flat, shares.flat):
                text.set_color("white" if share > 0.5 else "black")
        ax.tick_params(labelsize=9 if few else 7)
        ax.set(xlabel="predicted", ylabel="actual")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _find_pairs(self) -> pd.DataFrame:
        mistakes = self.confusion_matrix.copy()
        np.fill_diagonal(mistakes, 0)
        rows, columns = np.nonzero(mistakes)
        counts, shares = mistakes[rows, columns], self._shares[rows, columns]
        # By their numbers and then by their share, which is the larger the rarer the class.
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
    """Order classes so that those that are taken for each other are neighbours."""
    if len(shares) < 3:
        return np.arange(len(shares))
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    order: npt.NDArray[np.intp] = leaves_list(tree)
    return order
