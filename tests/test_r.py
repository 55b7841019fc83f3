"""Scripts of R, through reticulate. tests/test_from_r.py tests what arrives, without R."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.datasets import make_organisms
from skcnn.datasets._categories import COARSE_NAMES, COARSE_OF_FINE, FINE_NAMES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "from_r.md"
SCRIPTS = ROOT / "tests" / "r"
EXAMPLES = ROOT / "examples" / "r"

# What this R, reticulate and Python can do together. reticulate 1.28, which Debian 12 has, hands
# no arrays to numpy 2; before 1.45, it makes no data frame of those of pandas 3.
_PROBE = """
versions <- function(...) cat(sprintf('{"%s": "%s"}\\n', ...))
if (!requireNamespace("reticulate", quietly = TRUE)) {
  versions("lacks", "reticulate is not installed in R")
} else if (!requireNamespace("jpeg", quietly = TRUE)) {
  versions("lacks", "the package jpeg is not installed in R")
} else {
  library(reticulate)
  which <- paste("reticulate", packageVersion("reticulate"), "with this")
  tryCatch({
    back <- import("numpy")$asfortranarray(array(as.double(1:4), c(2, 2)))
    stopifnot(identical(back, array(as.double(1:4), c(2, 2))))
    frame <- import("pandas")$DataFrame(dict(a = 1:2))
    lacks <- paste(which, "pandas makes no data frame")
    versions("frames", if (is.data.frame(frame)) "" else lacks)
  }, error = function(e) versions("lacks", paste(which, "numpy exchanges no arrays")))
}
"""


def _run(arguments, **options):
    """Run Rscript with this Python and this checkout."""
    environment = {
        **os.environ,
        "RETICULATE_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        **options.pop("env", {}),
    }
    return subprocess.run(
        ["Rscript", "--vanilla", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def found():
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not on the PATH: R is not installed")
    done = _run(["-e", _PROBE])
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        pytest.skip(f"R cannot load this Python: {done.stderr.strip()[-300:]}")
    if "lacks" in found:
        pytest.skip(found["lacks"])
    return found


@pytest.fixture
def run(found):
    """Run a script of R, and return what it has printed."""

    def call(script, *arguments, **options):
        done = _run([script, *arguments], **options)
        assert done.returncode == 0, f"{script} failed:\n{done.stdout[-2000:]}\n{done.stderr}"
        return done.stdout

    return call


@pytest.fixture
def frames(found):
    if found["frames"]:
        pytest.skip(found["frames"])


def _write_photographs(folder, n=90):
    X, y = make_organisms(n, n_classes=3, image_size=24, random_state=0)
    for row, (image, label) in enumerate(zip(X, y)):
        path = folder / f"site {row % 3}" / ["bee", "fly", "wasp"][label] / f"IMG_{row:03}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parameters", "values"])
def test_what_r_hands_over(name, run, tmp_path):
    assert run(SCRIPTS / f"{name}.R", tmp_path / "images", cwd=SCRIPTS).endswith("done\n")


@pytest.mark.slow
def test_data_frames(run, frames, tmp_path):
    assert run(SCRIPTS / "tables.R", tmp_path / "images", cwd=SCRIPTS).endswith("done\n")


@pytest.mark.slow
def test_photographs(run, tmp_path):
    _write_photographs(tmp_path / "photographs")
    # The script is its own test; what it leaves is looked at here.
    script = tmp_path / "photographs.R"
    lines = (EXAMPLES / "photographs.R").read_text(encoding="utf-8")
    script.write_text(
        f'{lines}\nwrite.csv(cells, "cells.csv", row.names = FALSE)\n', encoding="utf-8"
    )
    printed = run(script, "photographs", cwd=tmp_path)
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert predictions["site"].unique().tolist() == ["site 0"]
    assert len(predictions) == 30
    assert predictions["probability"].between(1 / 3, 1).all()
    confusion = pd.crosstab(predictions["species"], predictions["predicted"])
    assert re.search(rf"bee +{confusion.loc['bee', 'bee']}\b", printed)
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert cells["n"].sum() == 30
    np.testing.assert_allclose(cells.groupby("actual")["share"].sum(), 1)
    right = (predictions["species"] == predictions["predicted"]).mean()
    assert right > 0.5


@pytest.mark.slow
def test_the_lesson(run, tmp_path):
    folder = tmp_path / "data" / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name, repeats in (("train", 5), ("test", 1)):
        fine = np.tile(np.arange(100), repeats)
        records = np.random.RandomState(0).randint(256, size=(len(fine), 3074)).astype(np.uint8)
        records[:, 0], records[:, 1] = np.asarray(COARSE_OF_FINE)[fine], fine
        records.tofile(folder / f"{name}.bin")
    for name, labels in (("fine", FINE_NAMES), ("coarse", COARSE_NAMES)):
        lines = "".join(f"{label}\n" for label in labels)
        (folder / f"{name}_label_names.txt").write_text(lines, encoding="utf-8")
    home = {"SCIKIT_LEARN_DATA": str(folder.parent)}
    printed = run(EXAMPLES / "lesson.R", "1", cwd=tmp_path, env=home)
    # As the network of docs/lesson.md.
    assert "944,509 parameters" in printed
    assert "accuracy on the test images: 0" in printed
    for name in ("history.png", "predictions.png", "lesson.skcnn"):
        assert (tmp_path / name).stat().st_size > 5000


@pytest.mark.slow
def test_the_page(run, frames, tmp_path):
    """The blocks of the page run one after the other, as one script."""
    blocks = re.findall(r"^```r\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) > 5
    script = tmp_path / "page.R"
    script.write_text("\n".join(blocks) + '\ncat("done\\n")\n', encoding="utf-8")
    _write_photographs(tmp_path / "photographs")
    assert run(script, cwd=tmp_path).endswith("done\n")
