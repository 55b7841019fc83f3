"""write_predictions: what a classifier says of images, for the program they came from."""

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from skcnn._other_tables import to_frame
from skcnn._storage._replacing import replacing
from skcnn._utils import BOX_COLUMNS, StrOptions, check_values, safe_indexing
from skcnn.datasets._prediction_formats import (
    CamtrapDpObservations,
    Csv,
    Floats,
    Format,
    MegaDetectorJson,
)
from skcnn.datasets._sources import PathLike

_CALLER = "write_predictions"
_FORMATS = {".csv": "csv", ".json": "megadetector"}
# Examples predicted at once, so that memory does not grow with their number.
_CHUNK = 8192


class Classifier(Protocol):
    """A fitted classifier of scikit-learn."""

    classes_: npt.NDArray[np.generic]

    def predict_proba(self, X: object) -> npt.NDArray[np.floating]:
        """Return the probability of each class, of shape (n_samples, n_classes)."""


def write_predictions(
    path: PathLike,
    clf: Classifier,
    X: object,
    *,
    frame: pd.DataFrame | None = None,
    format: Literal["csv", "megadetector", "camtrap_dp"] | None = None,
    root: PathLike | None = None,
    classified_by: str | None = None,
    time_zone: str | None = None,
    scientific_names: Mapping[str, str] | None = None,
    all_classes: bool = True,
) -> Path:
    """Predict images and write the result as CSV, or for MegaDetector, Timelapse or Camtrap DP.

    By default, the probabilities of all classes are written for every image. Nothing is left out
    below a threshold, so that you can choose one later. An image that could not be read has an
    entry without a prediction.

    Parameters
    ----------
    path : str or path-like
        File to write. It appears when it is complete, and replaces an earlier one.
    clf : classifier
        A fitted classifier with `predict_proba` and `classes_`, for one label per image.
    X : DataFrame, array-like of paths, or images
        What to predict: the `frame` or `data` of a loader, a list of paths, or images of any
        form that `clf` takes, together with `frame`.
    frame : DataFrame of shape (n_samples, n_columns) or None, default=None
        What the rows of X are, with a column path. Further columns of a loader's frame are used
        where they are there: boxes, time, sequence, media_id and so on. None takes X.
    format : {"csv", "megadetector", "camtrap_dp"} or None, default=None
        - "csv": one line per example, with path, box, the columns that identify the example,
          prediction, probability, and ``probability_<class>`` of each class.
        - "megadetector": the JSON format of MegaDetector, which Timelapse and others read. Each
          box, or whole image, is a detection with the probabilities of all classes.
        - "camtrap_dp": the table observations of Camtrap DP. The probabilities of all classes
          are in observationTags.

        None takes "csv" for names that end with ``.csv``, and "megadetector" for ``.json``.
    root : str, path-like or None, default=None
        Folder that the written paths begin in. Timelapse needs the folder of its project. None
        writes paths as they are in `frame`.
    classified_by : str or None, default=None
        Name of the classifier. None takes the class of `clf` and the version of skcnn.
    time_zone : str or None, default=None
        For "camtrap_dp": the time zone of the cameras, such as "+01:00", if the times have none.
    scientific_names : dict or None, default=None
        For "camtrap_dp": scientific names of labels, ``{"fox": "Vulpes vulpes"}``. Other labels
        are written as they are. "blank", "unknown", "human" and "vehicle" are no species.
    all_classes : bool, default=True
        Whether to write the probability of every class, and not only that of the prediction.
        Formats other than "csv" always have all.

    Returns
    -------
    path : Path
        The written file.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the file cannot be written. This is found before anything is predicted.
    ValueError
        If the rows of X have no paths, the probabilities are not those of one label per image,
        the format needs a column that is not there, or it cannot do without the probabilities of
        all classes.

    See Also
    --------
    load_image_table : Read the CSV file.
    load_megadetector : Read the JSON file.
    load_camtrap_dp : Read a package with the observations.

    Notes
    -----
    The confidence of a detection is detection_confidence of `frame`, where it has this column,
    else 1 minus the probability of the class "blank" or "empty", else 1.

    A package of Camtrap DP needs deployments and media, too. The observations fit those of the
    package from which `frame` was loaded. For other images, mediaID is the path and deploymentID
    the group.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skcnn.datasets import write_predictions
    >>> paths = ["hill/1.jpg", "hill/2.jpg", "lake/3.jpg", "lake/4.jpg"]
    >>> clf = DummyClassifier(strategy="prior").fit(paths, ["fox", "fox", "fox", "hare"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_predictions(Path(folder) / "predictions.csv", clf, paths[:2])
    ...     print(path.read_text())
    path,prediction,probability,probability_fox,probability_hare
    hill/1.jpg,fox,0.75,0.75,0.25
    hill/2.jpg,fox,0.75,0.75,0.25
    """
    check_values(
        _CALLER,
        {
            "format": [StrOptions({"csv", "megadetector", "camtrap_dp"}), None],
            "all_classes": ["boolean"],
        },
        {"format": format, "all_classes": all_classes},
    )
    target = Path(os.path.abspath(Path(path).expanduser()))
    kind = format or _FORMATS.get(target.suffix.lower())
    if kind is None:
        raise ValueError(
            f"{_CALLER} cannot tell the format of {target.name!r}. Name the file .csv or .json, "
            "or pass format='csv', 'megadetector' or 'camtrap_dp'."
        )
    if not all_classes and kind != "csv":
        raise ValueError(
            f"{_CALLER} got all_classes=False, but the format {kind!r} always has all classes. "
            "Leave it out, or write CSV."
        )
    X, frame = to_frame(X), to_frame(frame)
    table = _table(X, frame)
    images = _images(clf, X, frame)
    classes = _classes(clf)
    by = classified_by or f"{type(clf).__name__}, skcnn {version('skcnn')}"
    table = table.assign(path=_written_paths(table["path"], root))
    _check_writable_texts([*table["path"], *classes])
    order = np.arange(len(table))
    writer: Format
    if kind == "csv":
        writer = Csv(table, classes, all_classes=all_classes)
    elif kind == "megadetector":
        writer = MegaDetectorJson(table, classes, by)
        # Boxes of one file are in one entry.
        order = np.argsort(pd.factorize(table["path"])[0], kind="stable")
    else:
        names = dict(scientific_names or {})
        writer = CamtrapDpObservations(table, classes, by, time_zone, names)
    _check_writable(target)
    with replacing(target) as file:
        file.write(writer.begin().encode())
        for rows, probabilities in _predictions(clf, images, order, len(classes)):
            file.writelines(
                line.encode() for line in writer.write(table.iloc[rows], probabilities)
            )
        file.write(writer.end().encode())
    return target


def _table(X: object, frame: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table that says what the rows of X are, numbered from 0."""
    if frame is None:
        if isinstance(X, pd.DataFrame):
            frame = X
        elif isinstance(X, str | os.PathLike):
            frame = pd.DataFrame({"path": [X]})
        else:
            values: list[object] = []
            if isinstance(X, list | tuple | pd.Series | np.ndarray) and np.ndim(X[:1]) == 1:
                values = list(X)
            if not values or not all(isinstance(value, str | os.PathLike) for value in values):
                raise ValueError(
                    f"{_CALLER} needs to know the files of the images. Pass a DataFrame with a "
                    "column 'path', a list of paths, or such a DataFrame as frame=."
                )
            frame = pd.DataFrame({"path": values})
    if "path" not in frame:
        shown = ", ".join(map(repr, list(frame.columns)[:10]))
        raise ValueError(f"{_CALLER} expects a DataFrame with a column 'path'. It has {shown}.")
    frame = frame.reset_index(drop=True)
    if frame["path"].isna().any():
        raise ValueError(f"{_CALLER}: {frame['path'].isna().sum()} rows have no path.")
    known = set(BOX_COLUMNS) & set(frame)
    if known and known != set(BOX_COLUMNS):
        raise ValueError(
            f"{_CALLER}: a box has the columns {', '.join(BOX_COLUMNS)}. The DataFrame has only "
            f"{', '.join(sorted(known))}."
        )
    return frame


def _images(clf: Classifier, X: object, frame: pd.DataFrame | None) -> object:
    """Return what to pass to `predict_proba`: X, or the columns of it that are images."""
    if frame is not None:
        n = len(X) if hasattr(X, "__len__") else 0
        if n != len(frame):
            raise ValueError(f"{_CALLER}: X has {n} rows, and frame has {len(frame)}.")
        return X
    if isinstance(X, str | os.PathLike):
        return [X]
    if not isinstance(X, pd.DataFrame):
        return X
    names = getattr(clf, "feature_names_in_", None)
    if names is not None and set(names) <= set(X):
        return X[list(names)]
    if set(BOX_COLUMNS) <= set(X):
        return X[["path", *BOX_COLUMNS]]
    return X["path"].to_numpy(dtype=object)


def _classes(clf: Classifier) -> list[str]:
    """Return the names of the classes."""
    classes = getattr(clf, "classes_", None)
    if classes is None or not hasattr(clf, "predict_proba"):
        raise ValueError(
            f"{_CALLER} needs a fitted classifier with predict_proba and classes_. Got "
            f"{type(clf).__name__}. To write numbers: "
            "frame.assign(predicted=reg.predict(X)).to_csv('predictions.csv')."
        )
    several = isinstance(classes, list) and classes and isinstance(classes[0], np.ndarray)
    if several or isinstance(classes, dict):
        raise ValueError(
            f"{_CALLER} writes one label per image. {type(clf).__name__} predicts several "
            "outputs. The table of ConvNetMultiTask writes itself: "
            "net.predict(X).assign(path=paths).to_csv('predictions.csv')."
        )
    return [str(name) for name in classes]


def _written_paths(paths: pd.Series, root: PathLike | None) -> list[str]:
    """Return paths as they are written: with ``/``, below `root` if it is given."""
    texts = [os.fspath(path) for path in paths]
    if root is not None:
        base = os.path.abspath(Path(root).expanduser())
        relative = [os.path.relpath(os.path.abspath(text), base) for text in texts]
        outside = [text for text, path in zip(texts, relative) if path.startswith(os.pardir)]
        if outside:
            raise ValueError(
                f"{_CALLER}: {len(outside)} files are not in root={str(root)!r}, such as "
                f"{outside[0]}."
            )
        texts = relative
    return [text.replace(os.sep, "/") for text in texts]


def _check_writable_texts(texts: list[str]) -> None:
    """Check that all texts are Unicode: Linux has names of files that are not, from old archives.

    Such a file is read, but no program finds it by what would be written.
    """
    wrong = [text for text in texts if not text.isascii() and _is_broken(text)]
    if wrong:
        raise ValueError(
            f"{_CALLER}: {len(wrong)} names of files or labels are not in UTF-8, such as "
            f"{wrong[0]!a}. Rename the files and folders (convmv does it), and load them "
            "again."
        )


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _check_writable(target: Path) -> None:
    """Check that the file can be written, before hours of predicting."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{_CALLER}: the folder {target.parent} does not exist.")
    if target.is_dir():
        raise IsADirectoryError(f"{_CALLER}: {target} is a folder. Expected the name of a file.")


def _predictions(
    clf: Classifier, images: object, order: npt.NDArray[np.intp], n_classes: int
) -> Iterator[tuple[npt.NDArray[np.intp], Floats]]:
    """Yield numbers of rows and their probabilities, some rows at a time."""
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        found = clf.predict_proba(safe_indexing(images, rows))
        probabilities = np.asarray(found, dtype=np.float64)
        if probabilities.shape != (len(rows), n_classes):
            raise ValueError(
                f"{_CALLER}: predict_proba returned the shape {probabilities.shape}. Expected "
                f"{(len(rows), n_classes)}."
            )
        sums = probabilities[~np.isnan(probabilities).any(axis=1)].sum(axis=1)
        if not np.allclose(sums, 1, atol=1e-3):
            raise ValueError(
                f"{_CALLER} writes one label per image, whose probabilities sum to 1. Those of "
                f"{type(clf).__name__} sum to {sums[np.argmax(np.abs(sums - 1))]:.3g}."
            )
        yield rows, probabilities
