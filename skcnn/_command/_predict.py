"""skcnn predict: from a model and a folder of photographs to a table."""

from argparse import Namespace
from collections import Counter
from functools import partial

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._command._models import read_model
from skcnn._command._outputs import (
    check_output,
    count,
    predict_with_progress,
    say,
    write_or_rescue,
)
from skcnn._command._photos import read_photos
from skcnn._targets import ClassTarget
from skcnn._utils import safe_indexing
from skcnn.datasets import write_predictions

# Significant digits of a probability in float32.
_DIGITS = 7


class _Remembering:
    """A classifier of photographs by their number, which predicts each of them once.

    Where a table could not be written, it is written elsewhere, without the hours once more.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    """

    def __init__(self, model: BaseEstimator, data: object, *, quiet: bool) -> None:
        self.classes_: npt.NDArray[np.generic] = model.classes_
        self._data = data
        n = len(data)  # type: ignore[arg-type]
        # As networks compute them: a million photographs of 60 classes take 240 MB.
        self._found = np.full((n, len(self.classes_)), np.nan, dtype=np.float32)
        self._done = np.zeros(n, dtype=bool)
        self._predict = predict_with_progress(model, "predict_proba", quiet=quiet)

    def predict_proba(self, X: object) -> npt.NDArray[np.floating]:
        """Return the probability of each class for the photographs with these numbers."""
        rows = np.asarray(X)
        new = rows[~self._done[rows]]
        if len(new):
            self._found[new] = self._predict(safe_indexing(self._data, new))
            self._done[new] = True
        return _rounded(self._found[rows])

    def count_labels(self) -> Counter[str]:
        """Return how many photographs got each label. Those that cannot be read got none."""
        found = self._found[~np.isnan(self._found).any(axis=1)]
        return Counter(str(label) for label in self.classes_[found.argmax(axis=1)].tolist())


def _rounded(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Round to the digits that networks compute; a table of more is hard to read."""
    digits = [float(f"{value:.{_DIGITS}g}") for value in probabilities.ravel().tolist()]
    return np.array(digits).reshape(probabilities.shape)


def predict(options: Namespace) -> None:
    """Predict photographs, and write the labels and probabilities."""
    model_path, model = read_model(options.model, (ClassTarget,))
    out = check_output(options.out, [model_path], (".csv", ".json"))
    photos = read_photos(options, labeled=False)
    remembering = _Remembering(model, photos.data, quiet=options.quiet)
    write = partial(
        write_predictions,
        clf=remembering,
        X=np.arange(len(photos)),
        frame=photos.frame,
        root=photos.folder,
        classified_by=model_path.name,
        all_classes=options.all_classes or out.suffix.lower() != ".csv",
    )
    write_or_rescue(write, out)
    counts = remembering.count_labels()
    n_read = counts.total()
    shown = ", ".join(f"{label} {n:,}" for label, n in counts.most_common(12))
    more = ", ..." if len(counts) > 12 else ""
    for note in photos.left_out:
        say(note)
    say(f"{count(n_read, 'photograph')}{': ' if shown else ''}{shown}{more}")
    if n_read < len(photos):
        unread = count(len(photos) - n_read, "file")
        say(f"Without a prediction, since they cannot be read: {unread}")
    say(f"Written: {out}")
