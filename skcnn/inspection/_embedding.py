"""Map of images by their features."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_consistent_length

from skcnn._data._inputs import AnyImages
from skcnn._data._paths import as_rows
from skcnn._from_r import whole_arguments
from skcnn._utils import safe_indexing
from skcnn.inspection import _drawing
from skcnn.inspection._display import Display
from skcnn.inspection._images import as_labels
from skcnn.inspection._placing import annotate_without_overlap, select_non_overlapping
from skcnn.inspection._reading import read_images
from skcnn.inspection._unwrap import unwrap
from skcnn.uncertainty._checks import check_count
from skcnn.uncertainty._skipped import known_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colors of Okabe and Ito, and two more. The markers tell classes apart in gray print.
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    *("#56B4E9", "#000000", "#B8A600", "#7F3C8D", "#8C8C8C"),
)
_MARKERS = "osD^vP*X<>"
_NO_LABEL = "#BBBBBB"
# The names of more classes are written at the middles of their points.
_MAX_CLASSES_IN_LEGEND = len(_COLORS)
_DEFAULT_MAX_IMAGES = 80
# Sizes in inches.
_FIGURE_SIZE = (8.0, 6.5)
_THUMBNAIL_SIZE = 0.42


class EmbeddingDisplay(Display):
    """Map of images by their features: images that are similar for the network are neighbors.

    The features of the network are reduced to two numbers per image, by principal component
    analysis or any other transformer of scikit-learn, such as `TSNE`. Each image is a point. Some
    images are also shown as thumbnails, where they do not overlap.

    Make one with `from_estimator`.

    Parameters
    ----------
    embedding : ndarray of shape (n, 2)
        Coordinates of each image.
    labels : array-like of shape (n,), default=None
        Labels of the images, which choose colors, markers and names of the points. Numbers that
        are not whole have a scale of colors. Those with None or NaN are gray.
    images : ndarray of shape (n, height, width, n_channels), default=None
        Images for the thumbnails. None draws only points.
    axis_names : tuple of (str, str), default=("", "")
        Names of the two coordinates.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the embedding has another shape, or the number of labels or images differs.

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
        embedding: npt.ArrayLike,
        labels: npt.ArrayLike | None = None,
        images: npt.NDArray[Any] | AnyImages | None = None,
        axis_names: tuple[str, str] = ("", ""),
    ) -> None:
        self.embedding = np.asarray(embedding)
        if self.embedding.ndim != 2 or self.embedding.shape[1] != 2:
            raise ValueError(
                f"embedding has the shape {self.embedding.shape}, expected (n, 2). Use a "
                "transformer with n_components=2."
            )
        # The length of Images is not in their shape, which is that of one image.
        n_images = None if images is None else range(len(images))
        check_consistent_length(self.embedding, labels, n_images)
        self.labels = None if labels is None else np.asarray(as_labels(labels))
        if self.labels is not None and self.labels.ndim != 1:
            raise ValueError(
                f"labels, or y, have the shape {self.labels.shape}, expected one label per image, "
                "(n,). Choose one of several columns, such as y[:, 0], or leave them out."
            )
        self.images = images
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        transformer: TransformerMixin | None = None,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the features of images and draw the map.

        Parameters
        ----------
        estimator : skcnn estimator with a network, Pipeline or search
            A fitted one. Of a pipeline, the last step counts.
        X : array-like of shape (n, height, width, channels), (n, height, width) or (n, n_pixels)
            Images. Files that were skipped are left out.
        y : array-like of shape (n,), default=None
            Labels of the images.
        transformer : transformer, default=None
            Reduces the features to two columns with its method `fit_transform`. It is cloned
            first. None takes ``sklearn.decomposition.PCA(n_components=2)``.
        ax, **kwargs
            As in `plot`.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        ValueError
            If the transformer does not return two columns, or there are fewer than two images.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no network.
        """
        estimator, X = unwrap(estimator, X)
        features = estimator.transform(X)
        check_consistent_length(features, y)
        known = known_rows(features)
        if not known.all():
            features, X = features[known], safe_indexing(as_rows(X), known)
            y = None if y is None else safe_indexing(y, known)
        if len(features) < 2:
            images = "image" if known.all() else "image(s) that can be read"
            raise ValueError(
                f"X holds {len(features)} {images}. Expected at least 2: a map shows how images "
                "differ."
            )
        reducer = PCA(n_components=2) if transformer is None else clone(transformer)
        name = type(reducer).__name__
        embedding = np.asarray(reducer.fit_transform(features, y))
        if embedding.shape != (len(features), 2):
            raise ValueError(
                f"transformer={reducer!r} returned an array of shape {embedding.shape} for the "
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
        return display.plot(ax, **kwargs)

    @whole_arguments("max_images")
    def plot(self, ax: "Axes | None" = None, *, max_images: int | None = None) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw in. None makes a new figure.
        max_images : int, default=None
            Maximum number of thumbnails. None means 80, or 0 for more than ten classes, whose
            names are written in the map.

        Returns
        -------
        display : EmbeddingDisplay
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=_FIGURE_SIZE, layout="constrained")
        # Without labels, all images are drawn as one class.
        labels = np.zeros(len(self.embedding)) if self.labels is None else self.labels
        names, codes = _numbered(labels)
        are_numbers = _are_numbers(labels)
        few = are_numbers or len(names) <= _MAX_CLASSES_IN_LEGEND
        # What has no label has the code -1.
        colors = np.where(codes < 0, _NO_LABEL, np.array(_COLORS)[codes % len(_COLORS)])
        if are_numbers:
            colors = self._draw_numbers(ax, labels.astype(np.float64))
        elif few:
            for code, name in [*enumerate(names), *([(-1, "no label")] if -1 in codes else [])]:
                x, y = self.embedding[codes == code].T
                color, marker = (_NO_LABEL, "p") if code < 0 else (_COLORS[code], _MARKERS[code])
                label = _drawing.legend_text(_drawing.shorten(name))
                ax.scatter(
                    x, y, s=20, color=color, marker=marker, linewidth=0, alpha=0.75, label=label
                )
        else:
            x, y = self.embedding.T
            ax.scatter(x, y, s=7, color=colors, linewidth=0, alpha=0.5)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], xticks=[], yticks=[])
        if self.labels is not None and few and not are_numbers:
            ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=1.5)
        # Thumbnails and names are placed in pixels, which are known after the layout.
        ax.figure.canvas.draw()
        if max_images:
            check_count(max_images, "max_images")
        if max_images is None:
            max_images = _DEFAULT_MAX_IMAGES if few else 0
        if self.images is not None and max_images > 0:
            self._show_images(ax, self.images, colors, max_images)
        if not few:
            middles = [np.median(self.embedding[codes == c], axis=0) for c in range(len(names))]
            annotate_without_overlap(ax, names, np.array(middles))
        return self._set_axes(ax)

    def _draw_numbers(self, ax: "Axes", numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
        """Draw the points in the colors of a scale, and return the colors."""
        from matplotlib.colors import to_hex

        known = np.isfinite(numbers)
        x, y = self.embedding.T
        ax.scatter(x[~known], y[~known], s=20, color=_NO_LABEL, linewidth=0, alpha=0.75)
        points = ax.scatter(x[known], y[known], s=20, c=numbers[known], linewidth=0)
        ax.figure.colorbar(points, ax=ax)
        colors = np.full(len(numbers), _NO_LABEL)
        colors[known] = [to_hex(color) for color in points.to_rgba(numbers[known])]
        return colors

    def _show_images(
        self,
        ax: "Axes",
        images: npt.NDArray[Any] | AnyImages,
        colors: npt.NDArray[np.str_],
        max_images: int,
    ) -> None:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        side = _THUMBNAIL_SIZE * ax.figure.dpi
        places = ax.transData.transform(self.embedding)
        picks = select_non_overlapping(places, 1.25 * side)[:max_images]
        shown = images[np.array(picks)]
        limits = _drawing.limits_of(shown)
        for pick, pixels in zip(picks, shown):
            image = _drawing.as_shown(pixels, limits)
            image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
            # The zoom is in points per pixel of the image.
            zoom = 72 * _THUMBNAIL_SIZE / max(image.shape[:2])
            picture = OffsetImage(image, zoom=zoom, interpolation="nearest")
            frame = {"edgecolor": str(colors[pick]), "linewidth": 1.5}
            box = AnnotationBbox(picture, self.embedding[pick], pad=0.05, bboxprops=frame)
            ax.add_artist(box)


def _numbered(
    labels: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the names of the classes, and the number of each label; -1 where there is none.

    Examples
    --------
    >>> _numbered(np.array(["oak", None, "elk"], dtype=object))
    (array(['elk', 'oak'], dtype=object), array([ 1, -1,  0]))
    """
    known = pd.notna(labels)
    codes = np.full(len(labels), -1)
    try:
        names, codes[known] = np.unique(labels[known], return_inverse=True)
    except TypeError:
        # Text beside numbers has no order.
        names, codes[known] = np.unique(labels[known].astype(str), return_inverse=True)
    return names, codes


def _are_numbers(labels: npt.NDArray[Any]) -> bool:
    """Whether labels are numbers, of which some are not whole."""
    # As objects where some of them are None.
    known = np.array(labels[pd.notna(labels)].tolist())
    return known.dtype.kind == "f" and not np.equal(known, np.round(known)).all()
