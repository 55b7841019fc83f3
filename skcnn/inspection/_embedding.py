"""Images laid out by their features."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_consistent_length

from skcnn.inspection import _drawing
from skcnn.inspection._feature_maps import read_images
from skcnn.inspection._placing import annotate_without_overlap, select_non_overlapping

# Okabe and Ito's colours and two more; the markers tell classes apart without them.
_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#000000", "#B8A600", "#7F3C8D", "#8C8C8C"),
)
_MARKERS = "osD^vP*X<>"
# Up to so many classes, a legend names them; of more, each name is written where the class lies.
_IN_LEGEND = len(_COLOURS)
# Inches.
_SIZE, _THUMBNAIL = (8.0, 6.5), 0.42


class EmbeddingDisplay:
    """Images laid out by their features: those that the network finds alike lie close together.

    The features in front of the last layer are brought down to two numbers an image, by principal
    component analysis or any other transformer of scikit-learn, such as `TSNE`. Each image is a
    point, and some are shown themselves, where there is room.

    Make one with `from_estimator`.

    Parameters
    ----------
    embedding : ndarray of shape (n, 2)
        The place of each image.
    labels : array-like of shape (n,), default=None
        Of the images, which give points colours, markers and names.
    images : ndarray of shape (n, height, width, n_channels), default=None
        None draws points alone.
    axis_names : tuple of (str, str), default=("", "")
        What the two numbers are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where the embedding has another shape, or there is another number of labels or images.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import EmbeddingDisplay
    >>> X, y = make_organisms(n_samples=60, n_classes=3, image_size=16, random_state=0)
    >>> clf = ConvNetClassifier(filters=(8, 16), max_epochs=2, random_state=0).fit(X, y)
    >>> EmbeddingDisplay.from_estimator(clf, X, y).embedding.shape
    (60, 2)
    """

    def __init__(
        self,
        *,
        embedding: npt.NDArray[Any],
        labels: Any = None,
        images: npt.NDArray[Any] | None = None,
        axis_names: tuple[str, str] = ("", ""),
    ) -> None:
        self.embedding = np.asarray(embedding)
        if self.embedding.ndim != 2 or self.embedding.shape[1] != 2:
            raise ValueError(
                f"embedding has the shape {self.embedding.shape}, expected (n, 2). A transformer "
                "makes it with n_components=2."
            )
        check_consistent_length(self.embedding, labels, images)
        self.labels = None if labels is None else np.asarray(labels)
        self.images = images
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        transformer: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the features of images and lay them out.

        Parameters
        ----------
        estimator : ConvNetClassifier
            A fitted one.
        X : array-like of shape (n, height, width, channels), (n, height, width) or (n, n_pixels)
            Images.
        y : array-like of shape (n,), default=None
            Their labels.
        transformer : estimator, default=None
            What brings the features down to two columns, with a method `fit_transform`; it is
            cloned. None takes ``sklearn.decomposition.PCA(n_components=2)``.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Of `plot`.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        ValueError
            Where the transformer makes another number of columns than two.
        """
        features = estimator.transform(X)
        check_consistent_length(features, y)
        reducer = PCA(n_components=2) if transformer is None else clone(transformer)
        name = type(reducer).__name__
        embedding = np.asarray(reducer.fit_transform(features, y))
        if embedding.shape != (len(features), 2):
            raise ValueError(
                f"transformer={reducer!r} made an array of shape {embedding.shape} of the "
                f"features of {len(features)} images, expected two columns. Try n_components=2."
            )
        shares = getattr(reducer, "explained_variance_ratio_", None)
        names = [f"{name} {number}" for number in (1, 2)]
        if shares is not None:
            names = [f"{text} ({share:.0%} of variance)" for text, share in zip(names, shares)]
        display = cls(
            embedding=embedding,
            labels=y,
            images=read_images(estimator, X),
            axis_names=(names[0], names[1]),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, max_images: int | None = None) -> Self:
        """Draw the layout.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        max_images : int, default=None
            How many images to show at most. None shows 80, or none where more than ten classes are
            named in the picture.

        Returns
        -------
        display : EmbeddingDisplay
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
        # Images without labels are all of one class.
        labels = np.zeros(len(self.embedding)) if self.labels is None else self.labels
        names, codes = np.unique(labels, return_inverse=True)
        few = len(names) <= _IN_LEGEND
        colours = np.array(_COLOURS)[codes % len(_COLOURS)]
        if few:
            for code, name in enumerate(names):
                x, y = self.embedding[codes == code].T
                look = {"color": _COLOURS[code], "marker": _MARKERS[code], "label": name}
                ax.scatter(x, y, s=20, linewidth=0, alpha=0.75, **look)
        else:
            ax.scatter(*self.embedding.T, s=7, color=colours, linewidth=0, alpha=0.5)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], xticks=[], yticks=[])
        if self.labels is not None and few:
            ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=1.5)
        # Places in the figure are known once it is laid out.
        ax.figure.canvas.draw()
        if max_images is None:
            max_images = 80 if few else 0
        if self.images is not None and max_images > 0:
            self._show_images(ax, colours, max_images)
        if not few:
            middles = [np.median(self.embedding[codes == c], axis=0) for c in range(len(names))]
            annotate_without_overlap(ax, names, np.array(middles))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _show_images(self, ax: Any, colours: npt.NDArray[np.str_], n: int) -> None:
        assert self.images is not None
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        side = _THUMBNAIL * ax.figure.dpi
        places = ax.transData.transform(self.embedding)
        limits = _drawing.limits_of(self.images)
        for pick in select_non_overlapping(places, 1.25 * side)[:n]:
            image = _drawing.as_shown(self.images[pick], limits)
            image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
            # In points, whatever the resolution of the figure.
            zoom = 72 * _THUMBNAIL / max(image.shape[:2])
            picture = OffsetImage(image, zoom=zoom, interpolation="nearest")
            frame = {"edgecolor": str(colours[pick]), "linewidth": 1.5}
            box = AnnotationBbox(picture, self.embedding[pick], pad=0.05, bboxprops=frame)
            ax.add_artist(box)
