"""skcnn train: from a folder of photographs to a model."""

import os
import shlex
import subprocess
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn import recipes
from skcnn._command._outputs import (
    check_output,
    count,
    predict_with_progress,
    say,
    write_or_rescue,
)
from skcnn._command._photos import HELD_OUT, TRAINING, Photos, list_path, read_photos, write_list
from skcnn._estimators._classifier import ConvNetClassifier
from skcnn._estimators._saving import save
from skcnn._report._evaluation import evaluate
from skcnn._report._markup import percent
from skcnn._report._scores import accuracy
from skcnn._targets._split import train_validation_split
from skcnn.datasets._tables import as_numbers
from skcnn.networks import Backbone

_LEVEL = 0.95
# Files that are named when they cannot be read.
_MAX_NAMED = 5

Rows = npt.NDArray[np.intp]


def train(options: Namespace) -> None:
    """Train a network, save it, and print its accuracy on photographs held out."""
    inputs = [] if options.table is None else [Path(options.table)]
    out = check_output(options.out, inputs)
    check_output(str(list_path(out)), inputs)
    photos = read_photos(options)
    _refuse_measurements(photos, options)
    classes = np.unique(photos.labels.astype(str))
    say(photos.describe())
    for note in photos.left_out:
        say(note)
    if len(classes) < 2:
        raise ValueError(
            f"All photographs, {len(photos):,}, are of one class, {classes[0]}. Training needs at "
            "least two: one subfolder per class."
        )
    training, held_out = _split(photos, options.validation_fraction, options.seed)
    fitted = photos.take(training)
    tested = photos.take(held_out) if len(held_out) else None
    n_held = f", {len(held_out):,} are held out" if tested else ""
    say(f"Training on {len(training):,}{n_held}.")
    clf = make_estimator(options)
    _fit(clf, fitted, tested)
    _say_skipped(clf)
    # What only this training needed.
    clf.set_params(verbose=0, cache_dir=None)
    parts = np.full(len(photos), TRAINING, dtype=object)
    parts[held_out] = HELD_OUT
    write_or_rescue(partial(_write, clf, photos, parts), out)
    if tested is None:
        say("No photographs were held out, so that the accuracy is not known.")
    else:
        try:
            _say_accuracy(clf, tested, quiet=options.quiet)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"The model is complete: {out}") from None
    say(f"Written: {out} ({out.stat().st_size / 1e6:.1f} MB) and {list_path(out).name}")
    say(f"Next: {_next_command(options)}")


def _write(
    clf: ConvNetClassifier, photos: Photos, parts: npt.NDArray[np.object_], out: Path
) -> None:
    """Write a model, and the list of its photographs beside it."""
    beside = list_path(out)
    with _without(beside):
        save(clf, out)
    write_list(beside, photos, parts)


@contextmanager
def _without(path: Path) -> Iterator[None]:
    """Remove a file, and put it back if what follows fails.

    A list of an earlier model is wrong for a new one, but right if that one could not be saved.
    """
    aside = path.with_name(f"{path.name}.old")
    there = path.exists()
    if there:
        path.replace(aside)
    try:
        yield
    except BaseException:
        if there:
            aside.replace(path)
        raise
    aside.unlink(missing_ok=True)


def _refuse_measurements(photos: Photos, options: Namespace) -> None:
    """Refuse labels that are measurements, which would make a class of nearly each image."""
    if options.table is None:
        return
    try:
        numbers = as_numbers(pd.Series(photos.labels), "The labels")
    except ValueError:  # names of classes
        return
    measured = numbers[np.isfinite(numbers) & (numbers % 1 != 0)]
    # Codes of classes, such as 3.1, are those of many images each.
    if len(measured) and 2 * len(np.unique(numbers)) > len(numbers):
        raise ValueError(
            f"The column {options.label or 'label'} has numbers such as {measured[0]:g}, which "
            "name no classes. skcnn train learns classes. For measurements, use ConvNetRegressor "
            "in Python."
        )


def _next_command(options: Namespace) -> str:
    """Return the command that comes next, as the shell of this system takes it."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    if options.validation_fraction == 0:
        # A report needs photographs that the network was not trained on.
        return join(["skcnn", "predict", options.out, "new_photos", "--out", "predictions.csv"])
    words = ["skcnn", "report", options.out, options.folder, "--out", "report.html"]
    for name in ("table", "path", "label", "groups"):
        value = getattr(options, name)
        words += [] if value is None else [f"--{name}", value]
    return join(words)


def _split(photos: Photos, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to train on, and those to hold out."""
    everything = np.arange(len(photos))
    if fraction == 0:
        return everything, everything[:0]
    names, codes = np.unique(photos.labels.astype(str), return_inverse=True)
    if len(names) == len(photos):
        raise ValueError(
            f"Each of the {len(photos):,} photographs has a label of its own, such as {names[0]}. "
            "Training needs several of each class. Check what --label names."
        )
    if photos.groups is not None and not _is_any_at_several(codes, photos.groups):
        raise ValueError(
            "No class is at several sites, so that the accuracy at other sites cannot be told. "
            "Check what --label and --groups name, or train without --groups."
        )
    try:
        return train_validation_split(codes, fraction, photos.groups, seed)
    except ValueError as error:
        raise ValueError(
            f"{len(photos):,} photographs cannot be split so that a fraction of {fraction:g} is "
            "held out. Add photographs or sites, or set another --validation-fraction; 0 holds "
            "out none."
        ) from error


def _is_any_at_several(codes: Rows, groups: npt.NDArray[Any]) -> bool:
    """Whether a class is in more than one group."""
    n_groups = pd.Series(groups).groupby(codes).nunique()
    return bool((n_groups > 1).any())


def make_estimator(options: Namespace) -> ConvNetClassifier:
    """Return the network that the options describe, not trained yet."""
    settings = {} if options.recipe == "default" else dict(getattr(recipes, options.recipe))
    if options.pretrained is not None:
        settings["module"] = Backbone(options.pretrained)
    if options.epochs is not None:
        settings["max_epochs"] = options.epochs
    if options.image_size is not None:
        settings["image_shape"] = (options.image_size, options.image_size)
    return ConvNetClassifier(
        **settings,
        on_error="skip",
        cache_dir=options.cache_dir,
        device=options.device,
        random_state=options.seed,
        verbose=0 if options.quiet else 1,
    )


def _fit(clf: ConvNetClassifier, photos: Photos, tested: Photos | None) -> None:
    """Train, with the figures of the photographs held out after each epoch."""
    validation = {}
    if tested is not None:
        known = np.flatnonzero(np.isin(tested.labels, photos.labels))
        if len(known):
            shown = tested.take(known)
            validation = {"X_val": shown.data, "y_val": shown.labels}
    # The command says both in its own words.
    warnings.filterwarnings("ignore", "Left out", UserWarning)
    warnings.filterwarnings("ignore", "Training was interrupted", UserWarning)
    clf.fit(photos.data, photos.labels, **validation)
    if clf.n_iter_ < clf.net_.max_epochs:
        # After Ctrl-C, fit returns a network that is half trained.
        raise KeyboardInterrupt("Nothing was written.")


def _say_skipped(clf: BaseEstimator) -> None:
    skipped = clf.skipped_
    if skipped.empty:
        return
    say(f"Left out, since they cannot be read: {count(len(skipped), 'file')}")
    for path, reason in zip(skipped["path"][:_MAX_NAMED], skipped["reason"]):
        say(f"  {path} {reason}")
    if len(skipped) > _MAX_NAMED:
        say(f"  and {len(skipped) - _MAX_NAMED:,} more")


def _say_accuracy(clf: BaseEstimator, photos: Photos, *, quiet: bool) -> None:
    predict = predict_with_progress(clf, "predict_proba", quiet=quiet)
    found = evaluate(clf, photos.data, photos.labels, photos.groups, predict=predict)
    estimate, low, high = accuracy(found, _LEVEL)
    interval = ""
    if np.isfinite(low):
        interval = f" ({_LEVEL:.0%} interval {percent(low)} to {percent(high)})"
    n_images = count(len(found.rows), "photograph")
    say(f"Accuracy on the {n_images} held out: {percent(estimate)}{interval}")
