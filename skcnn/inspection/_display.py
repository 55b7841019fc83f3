"""Base class of the displays."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from skcnn._utils import one_thread_at_a_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class Display:
    """Base class of the displays: holds data, and draws them with `plot`.

    A subclass draws in `_draw`. One whose `plot` has options of its own defines `plot`, and
    ends it with `_set_axes`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the drawing, in displays of a single one.
    axes_ : ndarray of matplotlib.axes.Axes
        Axes of all pictures, in displays of several.
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> from skcnn.inspection import Display
    >>> class SizesDisplay(Display):
    ...     def __init__(self, *, sizes):
    ...         self.sizes = sizes
    ...
    ...     def _draw(self, ax):
    ...         if ax is None:
    ...             _, ax = plt.subplots()
    ...         ax.hist(self.sizes)
    ...         return ax
    >>> import matplotlib.pyplot as plt
    >>> _, ax = plt.subplots()
    >>> SizesDisplay(sizes=[1, 2, 2, 5]).plot(ax).ax_ is ax
    True
    """

    ax_: "Axes"
    axes_: npt.NDArray[Any]
    figure_: "Figure | SubFigure"

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "plot" in vars(cls):
            cls.plot = one_thread_at_a_time(cls.plot)  # type: ignore[method-assign]

    @one_thread_at_a_time
    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw in. Displays of several pictures divide their place, so that they must
            be part of a grid, as those of ``plt.subplots`` are. None makes a new figure.

        Returns
        -------
        display : Display
            The display itself, with its axes and its figure as attributes.
        """
        return self._set_axes(self._draw(ax))

    def _draw(self, ax: "Axes | None") -> "Axes | npt.NDArray[Any]":
        """Draw in `ax` or a new figure, and return the axes."""
        raise NotImplementedError

    def _set_axes(self, axes: "Axes | npt.NDArray[Any]") -> Self:
        if isinstance(axes, np.ndarray):
            self.axes_, self.figure_ = axes, axes.flat[0].figure
        else:
            self.ax_, self.figure_ = axes, axes.figure
        return self
