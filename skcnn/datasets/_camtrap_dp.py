"""load_camtrap_dp: packages of the camera trap standard Camtrap DP."""

from collections import Counter
from collections.abc import Collection
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import Bunch

from skcnn._utils import BOX_COLUMNS
from skcnn.datasets._boxes import to_fractions
from skcnn.datasets._columns import finder_for, note_times
from skcnn.datasets._datapackage import Package, read_package
from skcnn.datasets._examples import make_bunch
from skcnn.datasets._observations import BLANK, LABELED, UNCLASSIFIED, UNKNOWN, Loaded
from skcnn.datasets._paths import join, media_type
from skcnn.datasets._rules import Missing, Rules, SeveralLabels
from skcnn.datasets._sources import PathLike, existing
from skcnn.datasets._tables import as_numbers
from skcnn.datasets._times import parse_times

_CALLER = "load_camtrap_dp"
# Early versions, and programs that began with them, write empty.
_STATUS = {"blank": BLANK, "empty": BLANK, "unknown": UNKNOWN, "unclassified": UNCLASSIFIED}
_TYPES = {*_STATUS, "animal", "human", "vehicle"}
_BOX = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
# How write_predictions writes probabilities of all classes into observationTags.
PROBABILITY_TAG = "probability_"


def load_camtrap_dp(
    datapackage: PathLike,
    *,
    root: PathLike | None = None,
    label: str = "scientificName",
    group: str | None = None,
    several_labels: SeveralLabels = "drop",
    machine_labels: bool = False,
    event_labels: bool = False,
    boxes: bool = True,
    keep: str | Collection[str] = ("blank",),
    missing: Missing = "raise",
) -> Bunch:
    r"""Load paths, species and sites from a Camtrap DP package, of version 1.0 or 0.1.6.

    Camtrap DP [1]_ is the exchange format for camera trap data, which Agouti, TRAPPER, Timelapse,
    AddaxAI and others write.

    Parameters
    ----------
    datapackage : str or path-like
        The file datapackage.json, the folder that contains it, or a zip archive of the tables.
    root : str, path-like or None, default=None
        Folder of the media files. None takes that of the package. Files that were downloaded may
        be named by their fileName, or by their mediaID; in a folder named by the deployment,
        too.
    label : str, default="scientificName"
        Column of the observations that has the label, for example "lifeStage", "sex" or
        "individualID". Blank images are blank in any case.
    group : str or None, default=None
        Column of the deployments that names the site, or "deploymentID". None takes locationID,
        or deploymentID where not every deployment has a location.
    several_labels : {"drop", "first", "multilabel", "rows"}, default="drop"
        What to do with an image (or box) with several species: leave it out, take the first, make
        a matrix of zeros and ones as `target`, or make one example per label.
    machine_labels : bool, default=False
        Whether to use observations with the classificationMethod "machine". Those by humans go
        before them.
    event_labels : bool, default=False
        Whether an image without an observation of its own gets those of its event. Many frames
        of an event are empty although its animal is in others.
    boxes : bool, default=True
        If False, boxes are not used: examples are whole images.
    keep : str or collection of {"blank", "unknown", "unclassified", "failed"}, default=("blank",)
        Which images without a species are examples. See :func:`load_image_table`.
    missing : {"raise", "report"}, default="raise"
        What to do if media files are not there: an error that names the first ten, or leave them
        out and list them in ``report.missing``. Addresses of files on a server are not followed:
        download the files, and pass `root`.

    Returns
    -------
    images : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with frame, data, target, target_names, groups, report and DESCR,
        as of :func:`load_image_table`. `frame` also has media_id, deployment_id and
        capture_method, with which time-lapse images can be left out. The sequence is the event.

    Raises
    ------
    FileNotFoundError
        If the package or media files are not there.
    ValueError
        If the package is damaged or no package of Camtrap DP, or gives no training example.

    See Also
    --------
    write_predictions : Write observations of a classifier for the same package.

    Notes
    -----
    An event has no list of its images. As in the R package camtrapdp, an image belongs to the
    events of its deployment that have started before it and not ended. In version 0.1.6, images
    name their sequence; observations without an image are of the whole sequence.

    Times are in UTC.

    References
    ----------
    .. [1] Bubnicki, J. W. and others (2024). "Camtrap DP: an open standard for the FAIR exchange
       and archiving of camera trap data". Remote Sensing in Ecology and Conservation, 10(3),
       283-295.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_camtrap_dp
    >>> folder = tempfile.TemporaryDirectory()
    >>> package = Path(folder.name)
    >>> tables = {
    ...     "deployments": "deploymentID,locationID\nd1,hill\n",
    ...     "media": "mediaID,deploymentID,timestamp,filePath,fileMediatype\n"
    ...     "m1,d1,2021-05-30T10:00:00Z,1.jpg,image/jpeg\n"
    ...     "m2,d1,2021-05-30T10:00:05Z,2.jpg,image/jpeg\n",
    ...     "observations": "observationID,deploymentID,mediaID,eventID,observationLevel,"
    ...     "observationType,scientificName\n"
    ...     "o1,d1,m1,e1,media,animal,Vulpes vulpes\n"
    ...     "o2,d1,m2,e1,media,blank,\n",
    ... }
    >>> for name, text in tables.items():
    ...     _ = (package / f"{name}.csv").write_text(text)
    >>> resources = [{"name": name, "path": f"{name}.csv"} for name in tables]
    >>> _ = (package / "datapackage.json").write_text(json.dumps({"resources": resources}))
    >>> for name in ["1.jpg", "2.jpg"]:
    ...     Image.new("RGB", (32, 24)).save(package / name)
    >>> images = load_camtrap_dp(package)
    >>> images.target.tolist(), images.groups.tolist()
    (['Vulpes vulpes', 'blank'], ['hill', 'hill'])
    >>> folder.cleanup()
    """
    rules = Rules(several_labels, machine_labels, event_labels, boxes, keep, missing)
    rules.check(_CALLER)
    source = existing(datapackage, _CALLER)
    package = read_package(source)
    loaded = Loaded(pd.DataFrame(), f"Images of the Camtrap DP package {package.name}", source)
    loaded.details.append(f"Package: {package.where} (version {package.version})")
    media = _media(package, root, loaded)
    media["group"] = _groups(package, media["deployment_id"], group, loaded)
    observations = _observations(package, label, loaded)
    loaded.rows = _joined(media, observations, loaded)
    return make_bunch(loaded, rules, _CALLER)


def _media(package: Package, root: PathLike | None, loaded: Loaded) -> pd.DataFrame:
    """Return one row per media file: where it is, its deployment, time and event."""
    package.table("media", "mediaID", "deploymentID", "filePath")

    def column(name: str) -> pd.Series:
        return package.texts("media", name)

    identifier, deployment, path = column("mediaID"), column("deploymentID"), column("filePath")
    repeated = identifier[identifier.duplicated()]
    if len(repeated):
        raise ValueError(
            f"The table media of {package.where} has the mediaID {repeated.iloc[0]!r} "
            f"{(identifier == repeated.iloc[0]).sum()} times. Expected each once."
        )
    name = column("fileName").fillna(path.map(lambda text: text and PurePosixPath(text).name))
    names = Counter(name)
    stored = [
        key and f"{key}{PurePosixPath(text or '').suffix or '.jpg'}"
        for key, text in zip(identifier, name)
    ]
    in_deployment = [text and join(d, text) for d, text in zip(deployment, name)]
    stored_in_deployment = [text and join(d, text) for d, text in zip(deployment, stored)]
    unique = [text if names[text] == 1 else None for text in name]
    finder = finder_for(root, existing(package.folder, _CALLER))
    found = finder.find_all(path, in_deployment, stored_in_deployment, stored, unique)
    archived = path.isin(package.archived).to_numpy() & (found.problems != "")
    found.problems[archived] = "is in the zip archive: unpack it"
    types = column("fileMediatype").fillna("")
    declared = [text.partition("/")[0].lower() for text in types]
    kinds = [
        kind if kind in ("image", "video", "audio") else media_type(text or "")
        for kind, text in zip(declared, name)
    ]
    times, unreadable = parse_times(
        column("timestamp"), where="media.timestamp", ambiguous="unreadable"
    )
    note_times(loaded, unreadable)
    return pd.DataFrame(
        {
            "path": found.paths,
            "problem": found.problems,
            "media": kinds,
            "image": identifier,
            "media_id": identifier,
            "deployment_id": deployment,
            "sequence": column("sequenceID"),
            "time": _in_utc(times),
            "capture_method": column("captureMethod"),
        }
    )


def _in_utc(times: pd.Series) -> pd.Series:
    """Return times in UTC, which is what they are where they name no zone."""
    return times.dt.tz_localize("UTC") if times.dt.tz is None else times


def _groups(
    package: Package, deployment: pd.Series, group: str | None, loaded: Loaded
) -> pd.Series:
    """Return the site of each media file."""
    known = "deployments" in package.tables
    if group is None:
        places = package.texts("deployments", "locationID") if known else pd.Series(dtype=object)
        group = "locationID" if len(places) and places.notna().all() else "deploymentID"
    loaded.details.append(f"The group is {group}.")
    if group == "deploymentID":
        return deployment
    if not known:
        raise ValueError(
            f"{package.where} lists no resource named 'deployments', which group={group!r} needs."
        )
    package.table("deployments", "deploymentID", group)
    keys, sites = package.texts("deployments", "deploymentID"), package.texts("deployments", group)
    return deployment.map(dict(zip(keys, sites)))


def _observations(package: Package, label: str, loaded: Loaded) -> pd.DataFrame:
    """Return one row per observation: what was seen, by whom, and in which image or event."""
    table = package.table("observations", "deploymentID", "observationType", label)

    def column(name: str) -> pd.Series:
        return package.texts("observations", name)

    kind, names = column("observationType").str.lower(), column(label)
    others = kind.notna() & ~kind.isin(_TYPES)
    if others.any():
        loaded.note(
            "observations of another type", others.sum(), f"such as {kind[others].iloc[0]!r}"
        )
    if label == "scientificName":
        # People and vehicles need no name of a species.
        names = names.where(names.notna() | ~kind.isin({"human", "vehicle"}), kind)
        nameless = kind.map({"animal": UNKNOWN}).fillna(UNCLASSIFIED)
    else:
        nameless = pd.Series(UNCLASSIFIED, index=names.index)
    status = kind.map(_STATUS)
    status = status.where(status.notna(), nameless.where(names.isna(), LABELED))
    media = column("mediaID")
    # Version 0.1.6 has no levels, and some programs leave them empty.
    level = column("observationLevel").str.lower()
    level = level.where(level.notna(), media.notna().map({True: "media", False: "event"}))
    probability = "classificationProbability"
    if probability not in table and "classificationConfidence" in table:
        probability = "classificationConfidence"
    rows = pd.DataFrame(
        {
            "media_id": media,
            "deployment_id": column("deploymentID"),
            "event": column("eventID").fillna(column("sequenceID")),
            "event_level": (level == "event").to_numpy(dtype=bool),
            "label": names.where(status == LABELED, None),
            "status": status,
            "machine": (column("classificationMethod").str.lower() == "machine").to_numpy(bool),
            "individual": column("individualID"),
            "count": _numbers(package, "count"),
            "probability": _numbers(package, probability),
        }
    )
    for name in ("eventStart", "eventEnd"):
        times, unreadable = parse_times(
            column(name), where=f"observations.{name}", ambiguous="unreadable"
        )
        note_times(loaded, unreadable)
        rows[name] = _in_utc(times)
    if set(_BOX) <= set(table):
        boxes = np.column_stack([_numbers(package, name) for name in _BOX])
        rows[list(BOX_COLUMNS)] = to_fractions(
            boxes, box_format="xywh", box_unit="fraction", where=f"observations of {package.where}"
        )
    return pd.concat([rows, _probabilities(column("observationTags"))], axis=1)


def _numbers(package: Package, name: str) -> npt.NDArray[np.float64]:
    """Return the numbers in a column of the observations, NaN where there is none."""
    texts = package.texts("observations", name)
    return as_numbers(texts, f"The column {name!r} of the observations of {package.where}")


def _probabilities(tags: pd.Series) -> pd.DataFrame:
    """Return the probabilities of all classes that `write_predictions` has put into the tags."""
    rows = []
    for text in tags:
        parts = (part.strip().rpartition(":") for part in (text or "").split("|"))
        rows.append({key: value for key, _, value in parts if key.startswith(PROBABILITY_TAG)})
    frame = pd.DataFrame(rows, index=tags.index)
    return frame.apply(pd.to_numeric, errors="coerce")


def _joined(media: pd.DataFrame, observations: pd.DataFrame, loaded: Loaded) -> pd.DataFrame:
    """Return one row per media file and observation of it or of its event."""
    event_level = observations["event_level"]
    own, events = observations[~event_level], observations[event_level]
    known = own["media_id"].isin(media["media_id"])
    loaded.note("observations", (~known).sum(), "are of media that are not listed")
    own = own[known]
    if media["sequence"].isna().all():
        pairs = _pairs_by_time(media, events)
    else:
        pairs = _pairs_by_sequence(media, events)
    unheld = len(events) - len(np.unique(pairs[:, 1]))
    loaded.note("observations of whole events", unheld, "have no image, or no start and end")
    members, of_event = media.iloc[pairs[:, 0]], events.iloc[pairs[:, 1]]
    # An image is in the event that its own observations name, else in the first that holds it.
    named = own.dropna(subset="event").drop_duplicates("media_id").set_index("media_id")["event"]
    held = pd.DataFrame(
        {"media_id": members["media_id"].to_numpy(), "event": of_event["event"].to_numpy()}
    )
    held_by = held.dropna().drop_duplicates("media_id").set_index("media_id")["event"]
    sequence = media["sequence"]
    for found in (named, held_by):
        sequence = sequence.where(sequence.notna(), media["media_id"].map(found))
    media = media.assign(sequence=sequence.where(sequence.notna(), None))

    drop = ["deployment_id", "event", "eventStart", "eventEnd"]
    first = media.merge(own.drop(columns=drop), on="media_id", how="left")
    unseen = first["status"].isna()
    first["status"] = first["status"].where(~unseen, UNCLASSIFIED)
    for name in ("machine", "event_level"):
        first[name] = first[name].eq(True)
    second = pd.concat(
        [
            media.iloc[pairs[:, 0]].reset_index(drop=True),
            of_event.drop(columns=[*drop, "media_id"]).reset_index(drop=True),
        ],
        axis=1,
    )
    rows = pd.concat([first, second], ignore_index=True) if len(second) else first
    order = pd.Series(range(len(media)), index=media["media_id"])
    return rows.iloc[np.argsort(rows["media_id"].map(order).to_numpy(), kind="stable")]


def _pairs_by_sequence(media: pd.DataFrame, events: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return (media, observation) pairs by number of row, where both name the same sequence."""
    left = pd.DataFrame({"sequence": media["sequence"].to_numpy(), "i": range(len(media))})
    right = pd.DataFrame({"sequence": events["event"].to_numpy(), "j": range(len(events))})
    pairs = left.dropna(subset="sequence").merge(right.dropna(subset="sequence"), on="sequence")
    return np.column_stack([pairs["i"], pairs["j"]]).astype(np.intp).reshape(-1, 2)


def _pairs_by_time(media: pd.DataFrame, events: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return (media, observation) pairs by number of row, where an event holds an image."""
    pairs: list[tuple[int, int]] = []
    images = media.reset_index(drop=True).dropna(subset="time")
    by_deployment = {
        deployment: part.sort_values("time", kind="stable")
        for deployment, part in images.groupby("deployment_id", sort=False)
    }
    events = events.reset_index(drop=True).dropna(subset=["eventStart", "eventEnd"])
    for deployment, part in events.groupby("deployment_id", sort=False):
        if deployment not in by_deployment:
            continue
        held = by_deployment[deployment]
        times = held["time"].astype("int64").to_numpy()
        first = np.searchsorted(times, part["eventStart"].astype("int64").to_numpy(), "left")
        last = np.searchsorted(times, part["eventEnd"].astype("int64").to_numpy(), "right")
        for j, start, stop in zip(part.index, first, last):
            pairs.extend((int(i), int(j)) for i in held.index[start:stop])
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)
