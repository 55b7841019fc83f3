"""Tiny CIFAR-100 folders and archives, and a local web server that may fail on purpose."""

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from skcnn import _retrieve
from skcnn.datasets import _download
from skcnn.datasets._categories import COARSE_NAMES, COARSE_OF_FINE, FINE_NAMES

# Beside the checkout, or above it.
_ABOVE = [folder / "shared" for folder in Path(__file__).resolve().parents[3:]]
SHARED = next((folder for folder in _ABOVE if folder.is_dir()), _ABOVE[0])
REAL_IMAGES = SHARED / "cifar100-ecology"
SAMPLES = SHARED / "samples"

TRAIN = ("whale", "bee", "oak_tree", "bee", "shark", "oak_tree", "bee", "whale")
TEST = ("oak_tree", "shark", "bee", "whale")


def _records(names: tuple[str, ...], seed: int) -> np.ndarray:
    """Return records with random pixels in the official layout, one per row."""
    raw = np.random.RandomState(seed).randint(256, size=(len(names), 3074)).astype(np.uint8)
    fine = np.array([FINE_NAMES.index(name) for name in names], dtype=int)
    raw[:, 0], raw[:, 1] = COARSE_OF_FINE[fine], fine
    return raw


@pytest.fixture
def members() -> dict[str, bytes]:
    """Contents of the four files, for a handful of images of four categories."""
    return {
        "train.bin": _records(TRAIN, 0).tobytes(),
        "test.bin": _records(TEST, 1).tobytes(),
        "fine_label_names.txt": "".join(f"{name}\n" for name in FINE_NAMES).encode(),
        "coarse_label_names.txt": "".join(f"{name}\n" for name in COARSE_NAMES).encode(),
    }


@pytest.fixture
def data_home(tmp_path: Path, members: dict[str, bytes]) -> Path:
    """A data folder with the unpacked tiny files."""
    folder = tmp_path / "data" / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name, content in members.items():
        (folder / name).write_bytes(content)
    return folder.parent


@pytest.fixture
def pack() -> Callable[..., bytes]:
    """Build a .tar.gz from paths and contents; a TarInfo may replace a path."""

    def build(contents: dict[str | tarfile.TarInfo, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for path, content in contents.items():
                info = tarfile.TarInfo(path) if isinstance(path, str) else path
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return build


@pytest.fixture
def archive(pack: Callable[..., bytes], members: dict[str, bytes]) -> bytes:
    """The tiny files as a .tar.gz."""
    return pack({f"cifar-100-binary/{name}": content for name, content in members.items()})


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make these bytes, at this address, the official archive; do not wait between attempts."""

    def patch(content: bytes, url: str = "http://127.0.0.1:9/never-asked") -> None:
        official = _download.CIFAR100._replace(
            url=url, md5=hashlib.md5(content).hexdigest(), size=len(content)
        )
        monkeypatch.setattr(_download, "CIFAR100", official)
        monkeypatch.setattr(_retrieve, "PAUSE", 0.0)

    return patch


class Server:
    """Answers of the local server, one per request, and the number of requests."""

    def __init__(self) -> None:
        self.hits = 0
        self.answers: list[str] = []  # one per request; the last one repeats
        self.content = b""
        self.wait_for: list[Path] = []  # answer only once these files exist
        self.url = ""

    def answer(self) -> str:
        self.hits += 1
        return self.answers[min(self.hits, len(self.answers)) - 1]


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server asks for
            answer = state.answer()
            deadline = time.monotonic() + 60
            while not all(path.exists() for path in state.wait_for):
                assert time.monotonic() < deadline, "the other process never came"
                time.sleep(0.02)
            if answer in ("404", "503"):
                self.send_error(int(answer))
                return
            body = state.content
            if answer == "corrupt":
                body = body[:-1] + bytes([body[-1] ^ 255])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if answer == "silent":
                stop.wait(20)
            else:
                self.wfile.write(body[: len(body) // 2] if answer == "truncated" else body)

        def log_message(self, *args: object) -> None:
            pass

    stop = threading.Event()
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{web.server_port}/cifar.tar.gz"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    stop.set()
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.fixture(scope="session")
def real_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with real images of the ecology categories, unpacked once per session."""
    if not REAL_IMAGES.is_dir():
        pytest.skip(f"the real images are not in {REAL_IMAGES}")
    pytest.importorskip("PIL", reason="the real images are unpacked with Pillow")
    home = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, REAL_IMAGES / "unpack.py", home], check=True)
    return home


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Write small image files, each of another look, below a folder."""

    def write(numbers: dict[str, int], root: Path | None = None) -> Path:
        from PIL import Image

        folder = root or tmp_path / "pictures"
        for name, number in numbers.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.RandomState(number).randint(0, 256, (6, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((32, 24)).save(path)
        return folder

    return write


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real files in the formats of other programs."""
    if not SAMPLES.is_dir():
        pytest.skip(f"the sample files are not in {SAMPLES}")
    return SAMPLES
