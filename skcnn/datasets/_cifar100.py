"""fetch_cifar100, which works like scikit-learn's fetchers."""

import os
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from skcnn._utils import StrOptions, check_values
from skcnn.datasets._categories import COARSE_NAMES, COARSE_OF_FINE, FINE_NAMES, chosen_labels
from skcnn.datasets._download import find_cifar100
from skcnn.datasets._records import SIDE, Records, check_label_names, copy_images, open_records

if TYPE_CHECKING:
    import pandas as pd

_FILES = {"train": "train.bin", "test": "test.bin"}

_CONSTRAINTS = {
    "subset": [StrOptions({"train", "test", "all"})],
    "categories": ["array-like", str, None],
    "labels": [StrOptions({"fine", "coarse"})],
    "data_home": [str, os.PathLike, None],
    "download_if_missing": ["boolean"],
    "return_X_y": ["boolean"],
    "as_frame": ["boolean"],
}


def fetch_cifar100(
    *,
    subset: Literal["train", "test", "all"] = "train",
    categories: str | Collection[str] | npt.NDArray[np.str_] | None = None,
    labels: Literal["fine", "coarse"] = "fine",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Load the CIFAR-100 images (classification), downloading them if necessary.

    =================   ==========================
    Classes                       100 (61 ecology)
    Images per class        500 train and 100 test
    Images total           50,000 train, 10,000 test
    Image shape           32 x 32 pixels, 3 colors
    Values                   integers from 0 to 255
    =================   ==========================

    The archive (169 MB) is downloaded once, checked, unpacked into `data_home` (185 MB) and
    then removed. Several processes that need it at the same time share one download.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        The official training images, the test images, or the training images followed by the
        test images.
    categories : "ecology", "ecology56", array-like of str or None, default=None
        The categories to load. "ecology" means 61 categories: living things (people included),
        forests and mountains. "ecology56" is the same without baby, boy, girl, man and woman. A
        list contains names of categories in any order. None loads all categories that the files
        have images of.
    labels : {"fine", "coarse"}, default="fine"
        Whether the classes in `target` are the categories, or their superclasses (such as
        "trees" and "reptiles").
    data_home : str, path-like or None, default=None
        The folder that contains the unpacked folder ``cifar-100-binary`` or the archive
        ``cifar-100-binary.tar.gz``, or the folder to download them to. The path of the unpacked
        folder itself works, too. None means scikit-learn's data folder, see
        :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame with one row per image, and `target` a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (n_images, 32, 32, 3), dtype uint8
            The images, channels last (red, green, blue), in the order of the official files. If
            `as_frame`, a DataFrame of shape (n_images, 3072) with columns
            ``pixel_<row>_<column>_<channel>``, channels varying fastest, so that
            ``data.to_numpy().reshape(-1, 32, 32, 3)`` are the images again.
        target : ndarray or Series of shape (n_images,), dtype int64
            Class of each image: index into `target_names`. Classes are numbered 0, 1, ... in
            alphabetical order, which is the order of the official labels.
        target_names : ndarray of shape (n_classes,), dtype str
            Names of the classes.
        superclass : ndarray of shape (n_images,), dtype int64
            Superclass of each image: index into `superclass_names`.
        superclass_names : ndarray of shape (n_superclasses,), dtype str
            Names of the superclasses of the loaded categories.
        categories : ndarray of shape (n_categories,), dtype str
            Names of the loaded categories.
        frame : DataFrame of shape (n_images, 3073) or None
            `data` and `target` side by side if `as_frame`, otherwise None.
        DESCR : str
            Description of the data set.
    (data, target) : tuple if `return_X_y`
        The images and their classes, as above.

    Raises
    ------
    ValueError
        If a parameter is invalid, a category is unknown, or the files contain no image of a
        category.
    OSError
        If the data are missing and cannot be downloaded, or a file is damaged.

    See Also
    --------
    make_organisms : Generate images, without a download.

    Notes
    -----
    The files in `data_home` may contain only some of the categories. With ``categories=None``,
    the classes are those that occur in ``train.bin`` or ``test.bin``, so that a class has the
    same number in the training and the test images.

    References
    ----------
    .. [1] Krizhevsky, A. (2009). "Learning multiple layers of features from tiny images".
       Technical report, University of Toronto.

    Examples
    --------
    >>> from skcnn.datasets import fetch_cifar100
    >>> X, y = fetch_cifar100(categories="ecology", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (30500, 32, 32, 3)

    Names are checked before anything is downloaded:

    >>> fetch_cifar100(categories=["maple_tree", "oak tree"])
    Traceback (most recent call last):
    ...
    ValueError: ... unknown names: 'oak tree' (did you mean 'oak_tree' or ...
    """
    parameters = {
        "subset": subset,
        "categories": categories,
        "labels": labels,
        "data_home": data_home,
        "download_if_missing": download_if_missing,
        "return_X_y": return_X_y,
        "as_frame": as_frame,
    }
    check_values("fetch_cifar100", _CONSTRAINTS, parameters)
    chosen = None if categories is None else chosen_labels(categories)

    folder = find_cifar100(data_home, download_if_missing)
    check_label_names(folder)
    parts = [
        open_records(folder / name) for part, name in _FILES.items() if subset in (part, "all")
    ]
    if chosen is None:
        chosen = _labels_present(folder)
    else:
        _check_present(chosen, parts, folder)
    images, fine = _gather(parts, chosen)

    coarse_present, coarse_of_chosen = np.unique(COARSE_OF_FINE[chosen], return_inverse=True)
    category_names = np.array(FINE_NAMES)[chosen]
    superclass_names = np.array(COARSE_NAMES)[coarse_present]
    category = np.searchsorted(chosen, fine).astype(np.int64)
    superclass = coarse_of_chosen[category].astype(np.int64)

    data: npt.NDArray[np.uint8] | pd.DataFrame = images
    target: npt.NDArray[np.int64] | pd.Series = category if labels == "fine" else superclass
    frame = None
    if as_frame:
        data, target = _as_pandas(images, target)
        if not return_X_y:
            frame = data.assign(target=target)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=category_names if labels == "fine" else superclass_names,
        superclass=superclass,
        superclass_names=superclass_names,
        categories=category_names,
        frame=frame,
        DESCR=files(__package__).joinpath("descr/cifar100.rst").read_text(encoding="utf-8"),
    )


def _labels_present(folder: Path) -> list[int]:
    """Return the official labels of all categories in the folder, whatever the subset."""
    paths = [folder / name for name in _FILES.values()]
    present = [np.unique(open_records(path).fine) for path in paths if path.is_file()]
    return sorted({int(label) for labels in present for label in labels})


def _check_present(chosen: list[int], parts: list[Records], folder: Path) -> None:
    present = {int(label) for part in parts for label in np.unique(part.fine)}
    lacking = [FINE_NAMES[label] for label in chosen if label not in present]
    if lacking:
        held = ", ".join(FINE_NAMES[label] for label in sorted(present))
        raise ValueError(
            f"The 'categories' parameter of fetch_cifar100 asks for {lacking}, but the requested "
            f"files in {folder} contain no images of them. They contain: {held}. Choose among "
            "these, or remove the folder to download the complete data."
        )


def _gather(
    parts: list[Records], chosen: list[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the images and official labels of the chosen categories, in file order."""
    rows = [np.flatnonzero(np.isin(part.fine, chosen)) for part in parts]
    fine = np.concatenate([part.fine[i] for part, i in zip(parts, rows, strict=True)])
    images = np.empty((len(fine), SIDE, SIDE, 3), dtype=np.uint8)
    start = 0
    for part, i in zip(parts, rows, strict=True):
        copy_images(part, i, images[start : start + len(i)])
        start += len(i)
    return images, fine


def _as_pandas(
    images: npt.NDArray[np.uint8], target: npt.NDArray[np.int64]
) -> "tuple[pd.DataFrame, pd.Series]":
    import pandas as pd

    names = [
        f"pixel_{row}_{column}_{channel}"
        for row in range(SIDE)
        for column in range(SIDE)
        for channel in "rgb"
    ]
    flat = images.reshape(len(images), -1)
    return pd.DataFrame(flat, columns=names, copy=False), pd.Series(target, name="target")
