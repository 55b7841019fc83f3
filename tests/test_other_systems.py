"""What Windows and other countries do differently, as far as it can be had on one machine.

Paths with backslashes are in tests/datasets/, limits on threads in spawned processes in
tests/compute/.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skcnn
from skcnn.datasets import load_image_folder, load_image_table, write_predictions

# What Python for Windows lacks is taken away, after the other libraries have seen it. Text files
# without a named encoding would be read in another one there: that is an error here.
WINDOWS = """
import ctypes
import os
import sys
import warnings

warnings.filterwarnings("ignore", category=EncodingWarning)

import filelock
import joblib
import matplotlib.pyplot
import numpy as np
import pandas
import PIL.Image
import sklearn.model_selection
import skorch
import torch

for name in ("fork", "register_at_fork", "getuid", "sched_getaffinity", "sysconf", "pread"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
load = ctypes.CDLL


def load_named(name, *args, **kwargs):
    if name is None:
        raise TypeError("There is no library of the process itself.")
    return load(name, *args, **kwargs)


ctypes.CDLL = load_named
warnings.filterwarnings("error", category=EncodingWarning, module=r"skcnn\\b")

import skcnn
from skcnn.datasets import load_image_folder, write_predictions

for name in skcnn.__all__:
    getattr(skcnn, name)


class OfWindows:
    name, linesep = "nt", "\\r\\n"

    def __getattr__(self, name):
        return getattr(os, name)


for name, module in list(sys.modules.items()):
    if name.startswith("skcnn") and getattr(module, "os", None) is os:
        module.os = OfWindows()

folder = sys.argv[1]
photos = load_image_folder(os.path.join(folder, "photos"))
clf = skcnn.ConvNetClassifier(
    filters=(4,), max_epochs=2, random_state=0, verbose=1,
    cache_dir=os.path.join(folder, "cache"), checkpoint_dir=os.path.join(folder, "fits"),
)
clf.fit(photos.data, photos.target)
skcnn.save(clf, os.path.join(folder, "model.skcnn"))
loaded = skcnn.load(os.path.join(folder, "model.skcnn"))
write_predictions(os.path.join(folder, "predictions.csv"), loaded, photos.data)
skcnn.show_versions()
print("PREDICTED", *np.ravel(loaded.predict_proba(photos.data)).tolist())
"""


class OwnPath:
    """A path of some other library."""

    def __init__(self, path):
        self.path = os.fspath(path)

    def __fspath__(self):
        return self.path


@pytest.fixture
def photos(tmp_path):
    """A folder with two folders of photographs."""
    rng = np.random.RandomState(0)
    for label, color in (("fox", (200, 90, 20)), ("h\u00e4her", (30, 90, 200))):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = np.clip(rng.normal(color, 20, size=(8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_script_runs_without_what_windows_lacks(photos, tmp_path):
    environment = {
        **os.environ,
        # As in a window of Windows in Western Europe, where nobody has set anything.
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",
        "PYTHONWARNDEFAULTENCODING": "1",
        "TZ": "Pacific/Auckland",
    }
    run = subprocess.run(
        [sys.executable, "-c", WINDOWS, str(tmp_path)],
        env=environment,
        capture_output=True,
        encoding="cp1252",
    )
    assert run.returncode == 0, run.stderr[-3000:]
    # The progress bar is in signs that the code page has.
    assert "fit 100%|##########|" in run.stderr
    assert "Warning" not in run.stderr
    shown = [float(word) for word in run.stdout.split("PREDICTED")[1].split()]
    # The same as here, where files are cached elsewhere and all functions are there.
    images = load_image_folder(photos)
    clf = skcnn.ConvNetClassifier(filters=(4,), max_epochs=2, random_state=0)
    clf.fit(images.data, images.target)
    np.testing.assert_array_equal(shown, clf.predict_proba(images.data).ravel())
    table = (tmp_path / "predictions.csv").read_text(encoding="utf-8-sig")
    assert "h\u00e4her" in table


def _predict(clf, name, images, results):
    results.put([clf.predict_proba(images), skcnn.load(name).predict_proba(images)])


def test_a_new_process_predicts_the_same(images, labels, tmp_path):
    """Processes of Windows and macOS start from nothing, as this one does."""
    clf = skcnn.ConvNetClassifier(filters=(4,), max_epochs=2, random_state=0).fit(images, labels)
    skcnn.save(clf, tmp_path / "clf.skcnn")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (clf, tmp_path / "clf.skcnn", images, results)
    process = context.Process(target=_predict, args=arguments)
    process.start()
    try:
        found = results.get(timeout=120)
    finally:
        process.join(30)
    assert process.exitcode == 0
    for way, probabilities in zip(("pickled", "saved"), found):
        np.testing.assert_array_equal(probabilities, clf.predict_proba(images), err_msg=way)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone is fixed here")
@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Auckland"])
def test_times_do_not_depend_on_the_time_zone_of_the_machine(zone, photos, monkeypatch):
    # In each of the two, one of these times does not exist, or comes twice.
    times = ["2021-03-14 00:30:00", "2021-03-14 02:30:00", "2021-09-26 02:30:00"]
    path = photos / "table.csv"
    rows = [f"fox/{i}.png,fox,{when}" for i, when in enumerate(times)]
    path.write_text("\n".join(["path,label,when", *rows]), encoding="utf-8")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = load_image_table(path, time="when").frame["time"]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.dt.strftime("%Y-%m-%d %H:%M:%S").tolist() == times


@pytest.mark.parametrize("kind", [str, Path, OwnPath], ids=lambda kind: kind.__name__)
def test_paths_may_be_of_any_kind(kind, photos, tmp_path):
    images = load_image_folder(kind(photos))
    paths = [kind(path) for path in images.data]
    clf = skcnn.ConvNetClassifier(filters=(2,), max_epochs=1, random_state=0)
    clf.set_params(cache_dir=kind(tmp_path / "cache"), checkpoint_dir=kind(tmp_path / "fits"))
    clf.fit(paths, images.target)
    # A file has no objects of other libraries.
    clf.set_params(cache_dir=None, checkpoint_dir=None)
    skcnn.save(clf, kind(tmp_path / "clf.skcnn"))
    loaded = skcnn.load(kind(tmp_path / "clf.skcnn"))
    np.testing.assert_array_equal(loaded.predict(paths), clf.predict(images.data))
    written = write_predictions(kind(tmp_path / "p.csv"), clf, paths)
    assert written == tmp_path / "p.csv"
