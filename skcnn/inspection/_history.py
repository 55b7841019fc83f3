"""Learning curves of a training run."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn.inspection._display import Display
from skcnn.inspection._drawing import make_axes
from skcnn.inspection._unwrap import unwrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_EPOCHS_WITH_MARKERS = 30


class HistoryDisplay(Display):
    """Loss, validation score and learning rate per epoch.

    The two losses are not quite comparable: that of training is measured while the network
    learns, on augmented images and with smoothed labels, which makes it higher.

    Make one with `from_estimator`, or from the history of a training run.

    Parameters
    ----------
    history : pandas.DataFrame
        As the `history_` of an estimator, one row per epoch.
    best_epoch : int, default=None
        Epoch to mark, counted from 1. None marks the epoch of the lowest validation loss, or
        none if there was no validation.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        One for each of loss, score (accuracy, IoU, R² or D²) and learning rate that the history
        has.
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import HistoryDisplay
    >>> X, y = make_organisms(n_samples=90, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=3, random_state=0)
    >>> display = HistoryDisplay.from_estimator(clf.fit(X, y, X_val=X, y_val=y))
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['loss', 'accuracy', 'learning rate']
    """

    def __init__(self, *, history: pd.DataFrame, best_epoch: int | None = None) -> None:
        self.history = history
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, ax: "Axes | None" = None) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one. Of a pipeline, the last step counts.
        ax
            As in `plot`.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network.
        """
        estimator, _ = unwrap(estimator)
        best = getattr(estimator, "best_epoch_", None)
        return cls(history=estimator.history_, best_epoch=best).plot(ax)

    def _draw(self, ax: "Axes | None") -> npt.NDArray[Any]:
        from matplotlib.ticker import MaxNLocator

        history = self.history
        panels = [
            ("loss", [("train_loss", "training"), ("valid_loss", "validation")]),
            ("accuracy", [("valid_accuracy", "validation")]),
            ("IoU", [("valid_iou", "validation")]),
            ("R² or D²", [("valid_d2", "validation")]),
            ("learning rate", [("lr", "")]),
        ]
        panels = [
            (name, [line for line in lines if _is_known(history, line[0])])
            for name, lines in panels
        ]
        panels = [(name, lines) for name, lines in panels if lines]
        axes = make_axes(ax, len(panels), 1, cell=(6.4, 1.9))[:, 0]
        epochs = np.arange(1, len(history) + 1)
        best = self._marked_epoch()
        styles = {
            "training": ("C0", "-", "o"),
            "validation": ("C1", "--", "s"),
            "": ("0.4", "-", ""),
        }
        for panel, (name, lines) in zip(axes, panels):
            for column, label in lines:
                color, line, marker = styles[label]
                panel.plot(
                    epochs,
                    history[column],
                    color=color,
                    linestyle=line,
                    # A line through a single epoch would be invisible.
                    marker=marker if len(epochs) <= _MAX_EPOCHS_WITH_MARKERS else "",
                    markersize=4,
                    label=label or None,
                )
            if best is not None:
                panel.axvline(best, color="0.3", linestyle=":", label=f"best epoch: {best}")
            panel.set_ylabel(name)
            panel.margins(x=0.02)
            panel.spines[["top", "right"]].set_visible(False)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.tick_params(labelbottom=panel is axes[-1])
        axes[-1].set_xlabel("epoch")
        # Above the panel: inside, it would cover some curve.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes[0].legend(frameon=False, ncols=3, **place)
        return axes

    def _marked_epoch(self) -> int | None:
        if self.best_epoch is not None or not _is_known(self.history, "valid_loss"):
            return self.best_epoch
        return int(np.nanargmin(self.history["valid_loss"].to_numpy(dtype=float))) + 1


def _is_known(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())
