"""skcnn report: from a model and labeled photographs to a page."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn._command._models import read_model
from skcnn._command._outputs import (
    check_output,
    count,
    predict_with_progress,
    say,
    write_or_rescue,
)
from skcnn._command._photos import Photos, list_path, read_photos, read_training_keys
from skcnn._report._markup import percent
from skcnn._report._report import make_report
from skcnn._targets import ClassTarget, NumberTarget
from skcnn._utils import number_text
from skcnn.datasets._tables import as_numbers


def report(options: Namespace) -> None:
    """Write a page about a model, on photographs that it was not trained on."""
    model_path, model = read_model(options.model, (ClassTarget, NumberTarget))
    inputs = [model_path, *([] if options.table is None else [Path(options.table)])]
    out = check_output(options.out, inputs, (".html", ".htm"))
    photos, notes = _without_training(read_photos(options), model_path)
    is_classifier = isinstance(model._target, ClassTarget)
    photos = replace(photos, labels=_answers(photos, model, is_classifier=is_classifier))
    for note in notes:
        say(note)
    method = "predict_proba" if is_classifier else "predict"
    made = make_report(
        model,
        photos.data,
        photos.labels,
        groups=photos.groups,
        title=options.title or f"Report of {model_path.name}",
        notes=[*notes, *photos.left_out],
        predict=predict_with_progress(model, method, quiet=options.quiet),
    )
    write_or_rescue(made.save, out)
    n_lost = len(made.skipped)
    estimate, low, high = made.score
    if is_classifier:
        score = f"Accuracy {percent(estimate)}"
        interval = f" (95% interval {percent(low)} to {percent(high)})"
    else:
        score = f"Mean absolute error {number_text(estimate, 3)}"
        interval = f" (95% interval {number_text(low, 3)} to {number_text(high, 3)})"
    if not np.isfinite(low):
        interval = ""
    say(f"{score}{interval} on {count(len(photos) - n_lost, 'photograph')}")
    if n_lost:
        say(f"Left out, since they cannot be read: {count(n_lost, 'file')}")
    say(f"Written: {out}")


def _without_training(photos: Photos, model: Path) -> tuple[Photos, list[str]]:
    """Leave out the photographs that the network was trained on, if they are known."""
    trained = read_training_keys(model)
    if trained is None:
        return photos, [
            f"Which photographs the network was trained on is not known: there is no "
            f"{list_path(model).name} beside the model. If they are among these, the figures are "
            "too good."
        ]
    new = np.array([key not in trained for key in photos.keys])
    if not new.any():
        raise ValueError(
            f"The network was trained on all {len(photos):,} photographs in {photos.folder}. A "
            "report needs others: hold some out with --validation-fraction, or name another "
            "folder."
        )
    n_left_out = int((~new).sum())
    if not n_left_out:
        return photos, []
    note = f"Left out, since the network was trained on them: {count(n_left_out, 'photograph')}."
    return photos.take(np.flatnonzero(new)), [note]


def _answers(
    photos: Photos, model: BaseEstimator, *, is_classifier: bool
) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    """Return labels in the type of those that the network knows: folders have names only."""
    labels = photos.labels
    if not is_classifier:
        try:
            return as_numbers(pd.Series(labels), "The labels")
        except ValueError:
            wrong = next(label for label in labels if not _is_number(label))
            raise ValueError(
                f"The model predicts numbers, but there is the label {str(wrong)!r}. Name the "
                "column of numbers: --table CSV --label COLUMN. Empty cells are left out."
            ) from None
    if model.classes_.dtype.kind in "OUS":
        return labels
    known = {str(label): label for label in model.classes_.tolist()}
    unknown = sorted({str(label) for label in labels if str(label) not in known})
    if unknown:
        raise ValueError(
            f"The model knows the labels {', '.join(list(known)[:5])}, but not {unknown[0]!r}."
        )
    return np.array([known[str(label)] for label in labels])


def _is_number(label: object) -> bool:
    try:
        return bool(np.isfinite(as_numbers(pd.Series([label]), "")).all())
    except ValueError:
        return False
