"""The course of a training, drawn."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skcnn.inspection._drawing import make_axes


class HistoryDisplay:
    """Loss, validation accuracy and learning rate, epoch by epoch.

    Make one with `from_estimator`, or with the history of a training.

    Parameters
    ----------
    history : pandas.DataFrame
        As `ConvNetClassifier.history_`, one row an epoch.
    best_epoch : int, default=None
        The epoch to mark, counted from 1. None marks the one of the lowest validation loss, or
        none without validation.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        One for each of loss, accuracy and learning rate that the history has.
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
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the curves; None makes a figure.

        Returns
        -------
        display : HistoryDisplay
        """
        check_is_fitted(estimator, "net_")
        best = getattr(estimator, "best_epoch_", None)
        return cls(history=estimator.history_, best_epoch=best).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            A place to divide among the curves; None makes a figure.

        Returns
        -------
        display : HistoryDisplay
        """
        from matplotlib.ticker import MaxNLocator

        history = self.history
        panels = [
            ("loss", [("train_loss", "training"), ("valid_loss", "validation")]),
            ("accuracy", [("valid_accuracy", "validation")]),
            ("learning rate", [("lr", "")]),
        ]
        panels = [
            (name, [line for line in lines if _is_known(history, line[0])])
            for name, lines in panels
        ]
        panels = [(name, lines) for name, lines in panels if lines]
        figure, grid = make_axes(ax, len(panels), 1, cell=(6.4, 1.9))
        axes = grid[:, 0]
        epochs = np.arange(1, len(history) + 1)
        best = self._marked_epoch()
        styles = {
            "training": ("C0", "-", "o"),
            "validation": ("C1", "--", "s"),
            "": ("0.4", "-", ""),
        }
        for panel, (name, lines) in zip(axes, panels):
            for column, label in lines:
                colour, line, marker = styles[label]
                # Markers where there are few epochs, one of which may be all there is.
                panel.plot(
                    epochs,
                    history[column],
                    color=colour,
                    linestyle=line,
                    marker=marker if len(epochs) <= 30 else "",
                    markersize=4,
                    label=label or None,
                )
            if best is not None:
                panel.axvline(best, color="0.3", linestyle=":", label=f"best epoch, {best}")
            panel.set_ylabel(name)
            panel.margins(x=0.02)
            panel.spines[["top", "right"]].set_visible(False)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.tick_params(labelbottom=panel is axes[-1])
        axes[-1].set_xlabel("epoch")
        # Above the curves: inside, any place is in the way of some.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes[0].legend(frameon=False, ncols=3, **place)
        self.axes_, self.figure_ = axes, figure
        return self

    def _marked_epoch(self) -> int | None:
        if self.best_epoch is not None or not _is_known(self.history, "valid_loss"):
            return self.best_epoch
        return int(np.nanargmin(self.history["valid_loss"].to_numpy(dtype=float))) + 1


def _is_known(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())
