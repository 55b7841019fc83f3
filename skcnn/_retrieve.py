"""Downloads: tried again where they break, checked by a hash, never left half finished."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ATTEMPTS = 3
PAUSE = 2.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = 30.0  # seconds without a single byte
REFUSALS = (401, 403, 404, 410, 451)  # HTTP status codes for which retrying is pointless


class DataFileError(OSError):
    """Data files are missing or damaged, and cannot be downloaded."""


def retrieve(url: str, known_hash: str, destination: Path, *, name: str, instead: Path) -> Path:
    """Download a file and check its hash.

    Parameters
    ----------
    url : str
    known_hash : str
        Such as "md5:..." or "sha256:...".
    destination : Path
        The file; it is not there unless it is complete.
    name : str
        What is downloaded, for messages.
    instead : Path
        Where users may place the file themselves.

    Raises
    ------
    DataFileError
        If the server gives no such file.
    """
    import pooch
    from requests import RequestException

    downloader = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=2**16,
        timeout=TIMEOUT,
        # Some servers label .tar.gz files as compressed transfers, which requests would unpack.
        headers={"Accept-Encoding": "identity"},
    )
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            with _quiet(pooch.get_logger()):
                path = pooch.retrieve(
                    url,
                    known_hash=known_hash,
                    fname=destination.name,
                    path=destination.parent,
                    downloader=downloader,
                )
            return Path(path)
        # ValueError is how pooch reports a wrong hash.
        except (RequestException, ValueError) as error:
            cause = error
            response = getattr(error, "response", None)
            if response is not None:
                response.close()  # pooch leaves the connection open
                if response.status_code in REFUSALS:
                    break
    kind = known_hash.partition(":")[0]
    raise DataFileError(
        f"Could not download {name} from {url}: {_describe(cause, kind)}. Try again later, "
        f"or get the file in another way and place it at {instead}."
    ) from cause


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold a lock in a folder, so that other processes and threads wait for its files."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock"):
        yield


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Suppress log messages that repeat the progress bar."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _describe(cause: Exception, hash_kind: str) -> str:
    """Describe in a few words what went wrong. The chained error has the details."""
    import requests

    response = getattr(cause, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    if isinstance(cause, requests.Timeout):
        return f"the server did not answer within {TIMEOUT:.0f} s"
    if isinstance(cause, requests.ConnectionError):
        return "the server cannot be reached, or stopped answering"
    if isinstance(cause, requests.RequestException):
        return "the connection broke before the end of the file"
    return f"the downloaded file has another {hash_kind} than the published one"
