"""Sections that every report has: images, maps, files left out, network, versions."""

import os
import platform
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from skcnn._compute._show_versions import package_versions
from skcnn._report import _markup as markup
from skcnn._report._evaluation import Evaluation
from skcnn._report._figures import Thumbnails, as_img, as_svg
from skcnn._report._markup import Html
from skcnn._report._page import Section
from skcnn._utils import changed_parameters
from skcnn.inspection import HistoryDisplay, grad_cam

# Files that are listed by name.
_MAX_FILES = 50


def short_names(names: Sequence[str]) -> list[str]:
    """Return paths without the folder that all of them share."""
    folders = [os.path.dirname(name) for name in names]
    try:
        start = os.path.commonpath(folders) if all(folders) else ""
    except ValueError:  # on several drives
        start = ""
    return [os.path.relpath(name, start) if start else name for name in names]


def compute_maps(
    evaluation: Evaluation, places: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32] | None:
    """Return the Grad-CAM map of each prediction; None where the network has no feature maps."""
    network = evaluation.network
    images = np.asarray(evaluation.images[evaluation.rows[places]])
    try:
        target = None if evaluation.probability is None else evaluation.predicted[places]
        maps: npt.NDArray[np.float32] = grad_cam(
            network, images, target, task=evaluation.question.name
        )
    except (TypeError, ValueError):
        return None
    return maps


def image_cards(
    evaluation: Evaluation, places: npt.NDArray[np.intp], captions: Sequence[Html]
) -> Html:
    """Return cards with an image, the map of its prediction, a caption and its name."""
    thumbnails = Thumbnails(evaluation.network, evaluation.images)
    maps = compute_maps(evaluation, places) if len(places) else None
    names = np.array(short_names(evaluation.names))[places]
    items = []
    for number, (place, caption, name) in enumerate(zip(places, captions, names)):
        row = int(evaluation.rows[place])
        pictures = [as_img(thumbnails.picture(row), f"Image {name}")]
        if maps is not None:
            shown = thumbnails.with_map(row, maps[number])
            pictures.append(as_img(shown, f"Grad-CAM map of {name}"))
        below = Html(f"{caption}<small>{markup.escape(name)}</small>")
        items.append(markup.card(pictures, below))
    return markup.cards(items)


def map_text(effect: str) -> str:
    """Return what maps show, whose bright regions have this effect."""
    return (
        f"Right of each image, its Grad-CAM map (Selvaraju et al. 2017): bright regions {effect}. "
        "A bright background means that the network has learned the place, not the object."
    )


def files_section(evaluation: Evaluation) -> Section:
    """Return what was left out, here and in training."""
    parts: list[object] = [
        _file_list("Here", evaluation.unreadable, len(evaluation.rows)),
    ]
    skipped = getattr(evaluation.network, "skipped_", None)
    if skipped is not None:
        parts.append(_file_list("In training", skipped, None))
    return Section("files", "Files left out", markup.join(parts))


def _file_list(where: str, files: pd.DataFrame, n_read: int | None) -> Html:
    read = "" if n_read is None else f" {n_read:,} images were read."
    if files.empty:
        return markup.paragraph(f"{where}: no file was left out.{read}")
    count = f"{len(files):,} file{'' if len(files) == 1 else 's'}"
    rows = zip(files["path"].map(str), files["reason"])
    shown = [row for _, row in zip(range(_MAX_FILES), rows)]
    more = len(files) - len(shown)
    return markup.join(
        [
            markup.paragraph(f"{where}: {count} could not be read.{read}"),
            markup.table(["file", "reason"], shown, text_columns=2),
            markup.paragraph(f"And {more:,} more.") if more else "",
        ]
    )


def network_section(network: BaseEstimator) -> Section:
    """Return the network, its parameters and its training."""
    summary = network.summary()
    history = network.history_
    height, width, n_channels = network.image_shape_
    seconds = float(history["seconds"].sum()) if "seconds" in history else float("nan")
    pairs: list[tuple[str, object]] = [
        ("Estimator", type(network).__name__),
        ("Images", f"{height} × {width} pixels, {n_channels} channel{'s'[: n_channels > 1]}"),
        ("Trained parameters", f"{summary.n_parameters:,}"),
        ("Multiply-adds per image", f"{summary.multiply_adds / 1e6:,.1f} million"),
        ("Epochs", f"{network.n_iter_}"),
    ]
    if hasattr(network, "best_epoch_"):
        pairs.append(("Best epoch", f"{network.best_epoch_}"))
    if np.isfinite(seconds):
        pairs.append(("Training time", _duration(seconds)))
    pairs.append(("Device", f"{network.device_}"))
    changed = _changed_parameters(network)
    pairs.append(("Parameters that differ from the defaults", changed or "none"))

    def draw() -> object:
        return HistoryDisplay.from_estimator(network).figure_

    parts: list[object] = [markup.facts(pairs)]
    if len(history):
        parts.append(
            markup.figure(
                as_svg(draw, "history", "Loss, score and learning rate per epoch"),
                "Each epoch is one pass over the training images.",
            )
        )
    parts.append(markup.details("All layers", str(summary)))
    return Section("network", "Network and training", markup.join(parts))


def versions_section() -> Section:
    """Return what computed all this."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    pairs = [("Python", python), *package_versions().items()]
    return Section("versions", "Versions", markup.facts(pairs))


def _changed_parameters(network: BaseEstimator) -> str:
    changed = changed_parameters(network)
    return ", ".join(f"{name}={value!r}" for name, value in changed.items())


def _duration(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> _duration(42), _duration(605), _duration(7260)
    ('42 s', '10 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
