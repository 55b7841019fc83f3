"""Tables of images in memory with their covariates."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._other_tables import to_frame
from skcnn._utils import IMAGE_COLUMN


def make_images_and_covariates(images: npt.ArrayLike, covariates: pd.DataFrame) -> pd.DataFrame:
    """Put images in memory and numbers about them in one table, as the X of an estimator.

    Searches, cross-validation and `sklearn.inspection.permutation_importance` choose and shuffle
    rows and columns of it. For image files no such table is needed: add the columns to the table
    with the paths.

    Parameters
    ----------
    images : array-like of shape (n, height, width, n_channels) or (n, height, width)
        The images.
    covariates : DataFrame of shape (n, n_columns)
        Numbers, booleans, and categories of pandas' dtype "category"; see the user guide on
        photographs and site data. Missing values are allowed.

    Returns
    -------
    table : DataFrame of shape (n, 1 + n_columns)
        The column "image", whose cells are views of the images, and the columns of covariates,
        with their index.

    Raises
    ------
    ValueError
        If the images have another shape, their number differs from that of the rows, or
        `covariates` has a column "image" of its own.
    TypeError
        If `covariates` is no DataFrame.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.datasets import make_images_and_covariates, make_organisms
    >>> images, y = make_organisms(n_samples=4, n_classes=2, image_size=16, random_state=0)
    >>> site = pd.DataFrame({"elevation": [120, 480, 900, 310]})
    >>> X = make_images_and_covariates(images, site)
    >>> list(X), X.shape, X["image"][0].shape
    (['image', 'elevation'], (4, 2), (16, 16, 3))
    """
    covariates = to_frame(covariates)
    if not isinstance(covariates, pd.DataFrame):
        raise TypeError(
            f"covariates is a {type(covariates).__name__}, expected a DataFrame, whose names of "
            "columns say what the numbers are."
        )
    array = np.asarray(images)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"images have the shape {array.shape}, expected (n, height, width, n_channels) or "
            "(n, height, width)."
        )
    if len(array) != len(covariates):
        raise ValueError(
            f"There are {len(array)} images and {len(covariates)} rows of covariates. Expected "
            "one row per image, in the same order."
        )
    if IMAGE_COLUMN in covariates.columns:
        raise ValueError(
            f'covariates has a column "{IMAGE_COLUMN}", the name of the column of images. Rename '
            "or drop it."
        )
    cells = np.empty(len(array), dtype=object)
    for row, image in enumerate(array):
        cells[row] = image
    table = covariates.copy(deep=False)
    table.insert(0, IMAGE_COLUMN, pd.Series(cells, index=covariates.index, dtype=object))
    return table
