"""skcnn predict: from a model and a folder of photographs to a table."""

from argparse import Namespace
from collections import Counter

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skcnn._command._models import read_model
from skcnn._command._outputs import check_output, count, predict_with_progress, say
from skcnn._command._photos import read_photos
from skcnn._targets import ClassTarget
from skcnn.datasets import write_predictions

# Significant digits of a probability in float32.
_DIGITS = 7


class _Counting:
    """A classifier that counts its predictions, and shows its progress.

    Attributes
    ----------
    counts : Counter of str
        Photographs with each label.
    n_unreadable : int
    """

    def __init__(self, model: BaseEstimator, *, quiet: bool) -> None:
        self.classes_: npt.NDArray[np.generic] = model.classes_
        self.counts: Counter[str] = Counter()
        self.n_unreadable = 0
        self._predict = predict_with_progress(model, "predict_proba", quiet=quiet)

    def predict_proba(self, X: object) -> npt.NDArray[np.floating]:
        """Return the probability of each class."""
        found = _rounded(self._predict(X))
        known = ~np.isnan(found).any(axis=1)
        self.n_unreadable += int((~known).sum())
        labels = self.classes_[found[known].argmax(axis=1)]
        self.counts.update(str(label) for label in labels.tolist())
        return found


def _rounded(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round to the digits that networks compute; a table of more is hard to read."""
    digits = [float(f"{value:.{_DIGITS}g}") for value in probabilities.ravel().tolist()]
    return np.array(digits).reshape(probabilities.shape)


def predict(options: Namespace) -> None:
    """Predict photographs, and write the labels and probabilities."""
    model_path, model = read_model(options.model, (ClassTarget,))
    out = check_output(options.out, [model_path], (".csv", ".json"))
    photos = read_photos(options, labeled=False)
    counting = _Counting(model, quiet=options.quiet)
    is_csv = out.suffix.lower() == ".csv"
    write_predictions(
        out,
        counting,
        photos.data,
        frame=photos.frame,
        root=photos.folder,
        classified_by=model_path.name,
        all_classes=options.all_classes or not is_csv,
    )
    n_read = len(photos) - counting.n_unreadable
    shown = ", ".join(f"{label} {n:,}" for label, n in counting.counts.most_common(12))
    more = ", ..." if len(counting.counts) > 12 else ""
    for note in photos.left_out:
        say(note)
    say(f"{count(n_read, 'photograph')}{': ' if shown else ''}{shown}{more}")
    if counting.n_unreadable:
        unread = count(counting.n_unreadable, "file")
        say(f"Without a prediction, since they cannot be read: {unread}")
    say(f"Written: {out}")
