"""What is in label images, in numbers: areas, counts and shapes."""

from collections.abc import Sequence
from numbers import Real
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._from_r import whole
from skcnn._utils import Interval, StrOptions, as_tuple, check_values, warn
from skcnn.masks._scores import LabelImages, kind_of_labels

# Our names of scikit-image's properties, and the power of the pixel size that they grow with.
_PROPERTIES = {
    "area": ("area", 2),
    "perimeter": ("perimeter", 1),
    "length": ("axis_major_length", 1),
    "width": ("axis_minor_length", 1),
    "solidity": ("solidity", 0),
}
_CONSTRAINTS = {
    "per": [StrOptions({"object", "image"})],
    "min_area": [Interval(Real, 0, None, closed="left")],
}


def measure(
    masks: LabelImages,
    *,
    pixel_size: npt.ArrayLike = 1.0,
    background: object = 0,
    labels: npt.ArrayLike | None = None,
    per: str = "object",
    min_area: float = 0.0,
    properties: Sequence[str] = (),
) -> pd.DataFrame:
    """Measure what is in label images: areas, counts and shapes.

    An object is a connected part of an image that has one label; pixels that touch at a corner
    are connected. Objects of one label that touch each other are one. Needs scikit-image:
    ``pip install "skcnn[measure]"``.

    Parameters
    ----------
    masks : array-like of shape (n, height, width), or list of label images
        As `ConvNetSegmenter.predict` returns them. None in a list, of a file that was skipped,
        has no objects.
    pixel_size : float or array-like of shape (n,), default=1.0
        Side of a pixel in your unit, such as 0.2 for 0.2 mm; one for all images, or one for each.
    background : label, default=0
        Label of pixels that belong to no object. None measures all labels.
    labels : array-like of shape (n_labels,), default=None
        Labels to measure. None takes all that are in the images, but the background. Name them
        if you measure a few images at a time: those without objects then have their zeros, too.
    per : {"object", "image"}, default="object"
        "object" returns a row per object, "image" a row per image and label with sums.
    min_area : float, default=0.0
        Smaller objects are left out, such as single wrong pixels; in your unit, squared.
    properties : sequence of str, default=()
        More properties of objects, named as in `skimage.measure.regionprops`, such as
        "eccentricity". They become columns of that name, in pixels.

    Returns
    -------
    table : DataFrame
        With ``per="object"``: `image` (row in `masks`), `label`, `x` and `y` (the centroid, in
        pixels from the upper left corner), `area`, `perimeter`, `length` and `width` (the axes of
        the ellipse with the same moments), `solidity` (the share of its convex hull that the
        object fills), and `at_edge` (whether the edge of the image may cut it).

        With ``per="image"``: `image`, `label`, `count` (of objects), `area` (their sum) and
        `cover` (the share of the image that they cover). Images without objects have zeros;
        those without a mask, NaN.

        Lengths are in your unit, and areas in its square.

    Raises
    ------
    ValueError
        If a parameter is out of range, there is no such property, a mask has fractions, or
        labels are text and the masks numbers.
    ImportError
        If scikit-image is not installed.

    References
    ----------
    van der Walt et al.: scikit-image: image processing in Python. PeerJ 2:e453, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.masks import measure
    >>> mask = np.zeros((8, 12), dtype=int)
    >>> mask[1:4, 1:6] = mask[5:7, 8:12] = 1
    >>> table = measure([mask], pixel_size=0.5)
    >>> table[["x", "y", "area", "at_edge"]].to_numpy().tolist()
    [[3.0, 2.0, 3.75, False], [9.5, 5.5, 2.0, True]]
    >>> measure([mask], pixel_size=0.5, per="image")["area"].item()
    5.75
    """
    check_values("measure", _CONSTRAINTS, {"per": per, "min_area": min_area})
    images = [None if mask is None else _check_mask(mask, row) for row, mask in enumerate(masks)]
    sizes = _check_sizes(pixel_size, len(images))
    properties = as_tuple(properties)
    skimage = _import_skimage()
    if labels is None:
        found = [np.unique(mask) for mask in images if mask is not None]
        names = np.unique(np.concatenate(found)) if found else np.empty(0)
        names = names if background is None else names[names != background]
    else:
        names = np.atleast_1d(whole(labels))
        _check_kinds(images, names, f"labels={names.tolist()!r}")
    if isinstance(background, str):
        _check_kinds(images, np.array([background]), f"background={background!r}")
    if per == "image" and not len(names) and images:
        warn(
            "The masks hold background alone, so that the table is empty. To get a row of zeros "
            "for each image, name what they may hold, such as labels=[1]."
        )
    tables = [
        _objects(skimage, mask, name, size, min_area, properties).assign(image=row, label=name)
        for row, (mask, size) in enumerate(zip(images, sizes))
        for name in names
        if mask is not None
    ]
    columns = ["image", "label", "x", "y", *_PROPERTIES, "at_edge", *properties]
    filled = [table for table in tables if len(table)]
    table = (
        pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    ).reindex(columns=columns)
    return table if per == "object" else _sums(table, images, sizes, names)


def _check_mask(mask: npt.ArrayLike, row: int) -> npt.NDArray[Any]:
    plane: npt.NDArray[Any] = np.asarray(mask)
    if plane.ndim == 3 and plane.shape[2] == 1:
        plane = plane[..., 0]
    if plane.ndim != 2:
        raise ValueError(
            f"masks has a label image of shape {plane.shape} in row {row}. Expected (height, "
            "width): pass several as a list or an array (n, height, width), one as [mask]."
        )
    if plane.dtype.kind == "f":
        fractions = plane[np.isfinite(plane) & (plane != plane.round())]
        if len(fractions):
            # Each of them would be a label, and most pixels an object of their own.
            raise ValueError(
                f"masks has fractions such as {fractions[0]:g} in row {row}. Expected the label "
                "of each pixel: whole numbers, text or booleans. Probabilities of one class "
                "become labels by a threshold: proba > 0.5."
            )
    return plane


def _check_kinds(
    images: Sequence[npt.NDArray[Any] | None], names: npt.NDArray[Any], given: str
) -> None:
    """Refuse text beside masks of numbers, or numbers beside text: nothing would have them."""
    masks = [mask for mask in images if mask is not None and mask.size]
    found = {kind_of_labels(mask) for mask in masks}
    if found and names.size and kind_of_labels(names) not in found:
        raise ValueError(
            f"{given} of measure is not what the masks hold: {' and '.join(sorted(found))}, such "
            f"as {masks[0].flat[0].item()!r}. Expected labels of the masks."
        )


def _check_sizes(pixel_size: npt.ArrayLike, n_images: int) -> npt.NDArray[np.float64]:
    try:
        sizes = np.asarray(pixel_size, dtype=np.float64)
    except ValueError:
        sizes = np.empty(0)  # text such as "0,2"
    if sizes.ndim == 0:
        sizes = np.full(n_images, sizes)
    if sizes.shape != (n_images,) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(
            f"pixel_size={pixel_size!r} of measure. Expected a number above 0, or one for each of "
            f"the {n_images} images."
        )
    return sizes


def _import_skimage() -> ModuleType:
    try:
        from skimage import measure as skimage
    except ImportError as error:
        raise ImportError(
            'measure needs scikit-image. Install it by: pip install "skcnn[measure]"'
        ) from error
    return skimage


def _objects(
    skimage: ModuleType,
    mask: npt.NDArray[Any],
    name: object,
    pixel_size: float,
    min_area: float,
    properties: Sequence[str],
) -> pd.DataFrame:
    """Return a row for each object with one label in one image."""
    numbered = skimage.label(mask == name, connectivity=2)
    wanted = ["centroid", "bbox", *(theirs for theirs, _ in _PROPERTIES.values()), *properties]
    try:
        found = skimage.regionprops_table(numbered, properties=wanted)
    except (AttributeError, KeyError) as error:
        raise ValueError(
            f"properties={tuple(properties)!r} of measure holds a name that scikit-image does not "
            "know. Expected names of skimage.measure.regionprops, such as 'eccentricity'."
        ) from error
    columns = {"x": found["centroid-1"], "y": found["centroid-0"]}
    for ours, (theirs, power) in _PROPERTIES.items():
        columns[ours] = found[theirs] * pixel_size**power
    top, left, bottom, right = (found[f"bbox-{number}"] for number in range(4))
    height, width = mask.shape
    columns["at_edge"] = (top == 0) | (left == 0) | (bottom == height) | (right == width)
    columns |= {key: found[key] for key in properties if key in found}
    table = pd.DataFrame(columns)
    return table[table["area"] >= min_area]


def _sums(
    table: pd.DataFrame,
    images: Sequence[npt.NDArray[Any] | None],
    sizes: npt.NDArray[np.float64],
    names: npt.NDArray[Any],
) -> pd.DataFrame:
    """Return a row for each image and label, also where there is no object."""
    rows = []
    for row, (mask, size) in enumerate(zip(images, sizes)):
        for name in names:
            objects = table[(table["image"] == row) & (table["label"] == name)]
            count, area = float(len(objects)), float(objects["area"].sum())
            cover = np.nan if mask is None else area / (mask.size * size**2)
            if mask is None:
                count = area = np.nan
            rows.append(
                {"image": row, "label": name, "count": count, "area": area, "cover": cover}
            )
    sums = pd.DataFrame(rows, columns=["image", "label", "count", "area", "cover"])
    known = sums["count"].notna().all()
    return sums.astype({"count": np.int64}) if known else sums
