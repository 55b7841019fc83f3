"""find_duplicates: images that are there twice, and their labels."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skcnn._data._files import FileImages
from skcnn._utils import as_values
from skcnn.datasets._scan import hash_of_gray, near_sets, small_gray
from skcnn.inspection._images import as_images

if TYPE_CHECKING:
    from PIL.Image import Image

# Images that are read at once.
_CHUNK = 512


def find_duplicates(
    X: Any, y: npt.ArrayLike | None = None, *, groups: npt.ArrayLike | None = None
) -> pd.DataFrame:
    """Find images that are there twice, and whether their labels contradict each other.

    Copies are found if they have the same pixels, and most of them if they look the same: after
    changes of brightness and contrast, compression or resizing. Two images look the same if small
    gray copies of both get brighter in the same places [1]_, up to 3 of 64, and are correlated by
    0.9 or more. Copies with large parts of one gray level may be missed, and of images that are
    nearly of one level, such as black nights, only exact copies are found. Mirror images and
    parts of an image are not found.

    Photographs of a fixed camera may look the same whether there is a small animal in them or
    not. Look at what was found, for example by `ImageGridDisplay`.

    Parameters
    ----------
    X : array-like of shape (n, height, width, n_channels) or (n, height, width), or paths
        Images. Files are compared after reading, at their own size if they have the same and no
        side is longer than 128 pixels, and otherwise at 96x96 pixels.
    y : array-like of shape (n,), default=None
        Labels. None and NaN are no labels.
    groups : array-like of shape (n,), default=None
        Site, or other group, of each image.

    Returns
    -------
    duplicates : DataFrame of shape (n_found, n_columns)
        A row for each image that has a copy: its row in X (row), the number of its set of copies
        from 0 (set), and whether another one of the set has the same pixels (exact). With y, its
        label and the number of different labels in the set (label, n_labels). With groups, its
        group and the number of different groups (group, n_groups). In the order of the sets, and
        of X.

    Raises
    ------
    ValueError
        If X has no images, their shape is another one, or lengths differ.

    See Also
    --------
    skcnn.datasets.Report : What a loader found in files, exact copies among it.

    References
    ----------
    .. [1] Krawetz: Kind of Like That. The Hacker Factor Blog, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.datasets import make_organisms
    >>> from skcnn.inspection import find_duplicates
    >>> X, y = make_organisms(n_samples=50, n_classes=3, image_size=32, random_state=0)
    >>> darker = (0.8 * X[7]).astype(X.dtype)
    >>> X, y = np.concatenate([X, X[:1], darker[None]]), np.append(y, [y[0], y[7] + 1])
    >>> found = find_duplicates(X, y)
    >>> found[["row", "set", "exact"]].to_numpy().tolist()
    [[0, 0, True], [50, 0, True], [7, 1, False], [51, 1, False]]

    Images that are there with different labels:

    >>> found.loc[found["n_labels"] > 1, "row"].tolist()
    [7, 51]
    """
    images = as_images(X, "X")
    check_consistent_length(range(len(images)), y, groups)
    digests: list[bytes] = []
    rows, hashes, grays = [], [], []
    for row, image in enumerate(_one_by_one(images)):
        digests.append(hashlib.blake2b(image.tobytes(), digest_size=16).digest())
        gray = small_gray(_as_pillow(image))
        if gray is not None:
            rows.append(row)
            hashes.append(hash_of_gray(gray))
            grays.append(gray)
    content = np.asarray(pd.factorize(pd.Series(digests))[0])
    # Of several images with the same pixels, one is compared.
    codes, first = np.unique(content[rows], return_index=True)
    number_of = np.arange(len(images))
    looks = np.array([grays[place] for place in first], dtype=np.float32)
    compared = np.array([hashes[place] for place in first], dtype=np.uint64)
    for members in near_sets(compared, looks):
        number_of[codes[members]] = codes[members].min()
    sets = pd.Series(number_of[content])
    found = pd.DataFrame({"row": range(len(images)), "set": sets})
    found["exact"] = pd.Series(content).duplicated(keep=False)
    for name, values in (("label", y), ("group", groups)):
        if values is not None:
            found[name] = pd.Series(column_or_1d(as_values(values)))
            found[f"n_{name}s"] = found.groupby("set")[name].transform("nunique")
    found = found[sets.duplicated(keep=False)].sort_values("set", kind="stable")
    found["set"] = pd.factorize(found["set"])[0]
    return found.reset_index(drop=True)


def _one_by_one(images: npt.NDArray[Any] | FileImages) -> Iterator[npt.NDArray[Any]]:
    """Yield the images, of which some are read at a time."""
    for start in range(0, len(images), _CHUNK):
        yield from images[np.arange(start, min(start + _CHUNK, len(images)))]


def _as_pillow(image: npt.NDArray[Any]) -> "Image":
    """Return an array (height, width, n_channels) as an image that Pillow makes gray."""
    from PIL import Image

    channels = image.shape[2]
    if image.dtype == np.uint8 and channels in (1, 3):
        return Image.fromarray(image[..., 0] if channels == 1 else np.ascontiguousarray(image))
    return Image.fromarray(image.mean(axis=2, dtype=np.float32))
