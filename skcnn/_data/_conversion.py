"""Tensors, images of Pillow and sequences of them as arrays."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset


def as_array(X: Any, name: str) -> Any:
    """Turn tensors and sequences into arrays; scikit-learn checks everything else."""
    if hasattr(X, "getbands"):
        raise ValueError(
            f"{name} is a single image of {type(X).__module__}. Expected a sequence of images: "
            f"pass [{name}]."
        )
    if isinstance(X, Dataset | DataLoader) and not hasattr(X, "__array__"):
        raise TypeError(
            f"{name} is a {type(X).__name__}. Expected images as an array (n, height, width, "
            "channels) with the labels beside it, since scikit-learn's tools pick rows from it. "
            "Gather them first, for example with numpy.stack."
        )
    if isinstance(X, list | tuple):
        X = _decode_each(X, name) if any(hasattr(x, "getbands") for x in X) else X
    X = from_torch(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _unmasked(X, name)
    if getattr(X, "ndim", 0) == 1 and np.ndim(_first_value(X)):
        X = list(X)
    if hasattr(X, "columns") and not len(X.columns):
        X = np.empty((len(X), 0))
    if not isinstance(X, np.ndarray) and getattr(X, "ndim", 0) >= 3:
        # Those of h5py, zarr and xarray understand only some of numpy's ways to index.
        return np.asarray(X)
    if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) >= 2:
        shapes = {tuple(np.shape(x)) for x in X}
        if len(shapes) > 1:
            raise ValueError(
                f"{name} is a list of images of different shapes, among them "
                f"{' and '.join(str(s) for s in sorted(shapes)[:2])}. Expected one shape: "
                "resize or crop the images first."
            )
        return np.stack([as_array(x, name) for x in X])
    first = X if isinstance(X, str | bytes | os.PathLike) else _first_value(X)
    holds_bytes = isinstance(first, bytes)
    if holds_bytes or isinstance(first, str | os.PathLike):
        raise ValueError(
            f"{name} holds text, not pixels. Expected an array of images, or paths of image files "
            "as a list, a Series, or a DataFrame with one column of text."
            + (" Paths in bytes become text by os.fsdecode." if holds_bytes else "")
        )
    if isinstance(X, list | tuple) and np.ndim(X[0] if len(X) else 0) == 1:
        with suppress(ValueError):
            # scikit-learn refuses rows of unequal lengths.
            objects = np.asarray(X)
            X = objects if objects.dtype == object else X
    if isinstance(X, np.ndarray) and X.dtype == object:
        _check_objects(X, name)
    return X


def _check_objects(X: npt.NDArray[Any], name: str) -> None:
    """Refuse objects that cannot become numbers; scikit-learn says what is wrong with text."""
    try:
        X.astype(np.float64)
    except TypeError as error:
        raise TypeError(
            f"{name} is an array of objects that are no numbers: {error}. Expected numbers as "
            "pixels."
        ) from error
    except ValueError:
        pass


def from_torch(values: object) -> Any:
    """Return tensors, also in a list, as numpy has them; everything else as it is.

    A list that mixes text with something else becomes an array of objects, where numpy would turn
    numbers into text.

    Examples
    --------
    >>> from_torch(["a", 1])
    array(['a', 1], dtype=object)
    >>> from_torch(torch.ones(2, requires_grad=True)), from_torch("balanced")
    (array([1., 1.], dtype=float32), 'balanced')
    """
    if isinstance(values, list | tuple) and any(isinstance(v, torch.Tensor) for v in values):
        return [from_torch(value) for value in values]
    if isinstance(values, list | tuple) and len({isinstance(v, str) for v in values}) > 1:
        mixed = np.empty(len(values), object)
        mixed[:] = values
        return mixed
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _decode_each(X: Sequence[Any], name: str) -> list[Any]:
    """Return the pixels of images of Pillow, whose numbers must mean the same in all of them."""
    # The numbers of a palette become colors.
    modes = {image.mode for image in X if hasattr(image, "getbands")} - {"P"}
    if len(modes) > 1:
        raise ValueError(
            f"{name} holds images of Pillow in the modes {' and '.join(sorted(modes))}, whose "
            "numbers do not mean the same. Expected one mode: pass "
            f'[image.convert("RGB") for image in {name}].'
        )
    return [decoded(image) for image in X]


def decoded(image: Any) -> Any:
    """Return the pixels of an image of Pillow; a palette's numbers stand for colors."""
    if not hasattr(image, "getbands"):
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return np.asarray(image)


def _unmasked(X: np.ma.MaskedArray[Any, Any], name: str) -> npt.NDArray[Any]:
    """Return a masked array without its mask, if nothing is hidden there."""
    n_hidden = int(np.ma.getmaskarray(X).sum())
    if n_hidden:
        raise ValueError(
            f"{name} is a masked array that hides {n_hidden} values. Expected a value in each "
            f"pixel: fill them, for example with {name}.filled(0)."
        )
    return X.data


def _first_value(X: Any) -> Any:
    """Return one value that shows the type of all; None for arrays of numbers."""
    if hasattr(X, "iloc"):
        return X.iloc[(0,) * X.ndim] if X.size else None
    if isinstance(X, np.ndarray):
        return X.flat[0] if X.size and X.dtype.kind in "OUS" else None
    return X[0] if isinstance(X, list | tuple) and len(X) else None
