"""The command line: what it writes and says, on real files."""

import argparse
import csv
import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import import_module
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from _image_files import write_images
from PIL import Image

import skcnn
from skcnn import recipes
from skcnn._command import main
from skcnn._command._parser import make_parser
from skcnn._command._train import _next_command, make_estimator
from skcnn.datasets import load_image_folder
from skcnn.networks import Backbone

matplotlib.use("Agg")

ROOT = Path(__file__).parents[2]
SMALL = ["--epochs", "1", "--image-size", "8", "--quiet"]
WHERE = ["--label", "1", "--groups", "0"]


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """The message of a command that fails because of its user."""
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith(f"skcnn {arguments[0]}: error: ")
    return error


def read_list(model):
    with open(f"{model}.images.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(folder, images, labels):
    """Write photographs as folder/SITE/CLASS/NUMBER.jpg: five sites, three classes."""
    large = images.repeat(4, 1).repeat(5, 2)
    for site in range(5):
        rows = slice(site * 12, site * 12 + 12)
        for kind in sorted(set(labels)):
            place = folder / f"site {site}" / kind
            write_images(place, large[rows][labels[rows] == kind], ".jpg", quality=95)
    return folder


@pytest.fixture
def photos(images, labels, tmp_path):
    """A folder of JPEG files, photos/SITE/CLASS/NUMBER.jpg: five sites, three classes."""
    return _write(tmp_path / "photos", images, labels)


@pytest.fixture(scope="session")
def trained(images, labels, tmp_path_factory):
    """A model, made by skcnn train from photographs at five sites; and their folder."""
    folder = tmp_path_factory.mktemp("trained")
    _write(folder / "photos", images, labels)
    (folder / "photos" / "site 0" / "down" / "broken.jpg").write_text("no image")
    (folder / "photos" / "site 0" / "down" / "notes.txt").write_text("no image either")
    where = ["--label", "1", "--groups", "0"]
    settings = ["--epochs", "3", "--image-size", "8", "--quiet"]
    out = str(folder / "model.skcnn")
    assert main(["train", str(folder / "photos"), "--out", out, *where, *settings]) == 0
    return folder


# ---------------------------------------------------------------------- train


def test_train_writes_a_model_and_the_list_of_its_photographs(trained):
    model = skcnn.load(trained / "model.skcnn")
    assert model.classes_.tolist() == ["across", "down", "squares"]
    assert (model.n_iter_, model.image_shape_) == (3, (8, 8, 3))
    assert (model.on_error, model.verbose, model.cache_dir) == ("skip", 0, None)
    lines = read_list(trained / "model.skcnn")
    assert len(lines) == 61
    assert {line["part"] for line in lines} == {"training", "held out"}
    for line in lines:
        assert line["path"].split("/")[:2] == [line["group"], line["label"]]
        assert int(line["bytes"]) == (trained / "photos" / line["path"]).stat().st_size
    # Whole sites are held out.
    sites = {(line["group"], line["part"]) for line in lines}
    assert len(sites) == 5


def test_train_says_what_it_found_and_how_good_the_model_is(photos, tmp_path, capsys):
    (photos / "site 1" / "across" / "broken.jpg").write_text("no image")
    (photos / "notes.txt").write_text("no image either")
    out = tmp_path / "model.skcnn"
    assert run("train", photos, "--out", out, *WHERE, *SMALL) == 0
    said = capsys.readouterr().out
    assert "61 photographs of 3 classes at 5 sites" in said
    assert "across 21, down 20, squares 20" in said
    assert "Not used: other files (1), which are not images." in said
    assert "Left out, since they cannot be read: 1 file\n" in said
    assert "broken.jpg is not an image in a format that Pillow can read" in said
    held_out = [line for line in read_list(out) if line["part"] == "held out"]
    readable = [line for line in held_out if not line["path"].endswith("broken.jpg")]
    paths = [str(photos / line["path"]) for line in readable]
    accuracy = skcnn.load(out).score(paths, [line["label"] for line in readable])
    shown = "100%" if accuracy == 1 else f"{accuracy:.1%}"
    assert f"Accuracy on the {len(readable)} photographs held out: {shown} (95% int" in said
    assert f"skcnn report {out}" in said.replace("'", "")


def test_train_is_repeatable_and_the_seed_counts(photos, tmp_path):
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.skcnn"
        assert run("train", photos, "--out", out, "--label", "1", *SMALL, "--seed", seed) == 0
        weights = next(skcnn.load(out).module_.parameters()).detach().numpy()
        found[name] = weights.tobytes(), str(read_list(out))
    assert found["a"] == found["b"]
    assert found["a"][0] != found["c"][0]
    assert found["a"][1] != found["c"][1]


def test_validation_fraction_is_what_is_held_out(photos, tmp_path, capsys):
    out = tmp_path / "model.skcnn"
    for fraction, n in (("0.5", 30), ("0", 0)):
        where = ["--label", "-1", "--validation-fraction", fraction]
        assert run("train", photos, "--out", out, *where, *SMALL) == 0
        assert sum(line["part"] == "held out" for line in read_list(out)) == n
    assert "the accuracy is not known" in capsys.readouterr().out
    command = ["report", out, photos, "--out", tmp_path / "r.html", "--label", "1"]
    assert "was trained on all 60 photographs" in refused(capsys, *command)


def test_train_takes_recipes_and_pretrained_networks(photos, tmp_path):
    where = ["train", str(photos), "--out", "model.skcnn"]
    made = make_estimator(make_parser().parse_args([*where, "--recipe", "accurate"]))
    for name, value in recipes.accurate.items():
        assert repr(getattr(made, name)) == repr(value)
    options = ["--pretrained", "efficientnet_lite1", "--epochs", "7", "--seed", "3"]
    options += ["--device", "cpu", "--cache-dir", "cache", "--image-size", "40"]
    made = make_estimator(make_parser().parse_args([*where, *options]))
    assert repr(made.module) == repr(Backbone("efficientnet_lite1"))
    assert (made.max_epochs, made.random_state, made.image_shape) == (7, 3, (40, 40))
    assert (made.device, made.cache_dir) == ("cpu", "cache")
    default = make_estimator(make_parser().parse_args(where)).get_params(deep=False)
    changed = {"on_error": "skip", "random_state": 0, "verbose": 1}
    assert default == skcnn.ConvNetClassifier(**changed).get_params(deep=False)


def test_train_takes_a_table(photos, tmp_path, capsys):
    paths = sorted(str(path.relative_to(photos)) for path in photos.glob("*/*/*.jpg"))
    table = pd.DataFrame({"file": paths})
    table["species"] = [Path(path).parts[1].upper() for path in paths]
    table["camera"] = [Path(path).parts[0] for path in paths]
    table.to_csv(tmp_path / "labels.csv", index=False)
    out = tmp_path / "model.skcnn"
    columns = ["--table", tmp_path / "labels.csv", "--path", "file", "--label", "species"]
    columns += ["--groups", "camera"]
    assert run("train", photos, "--out", out, *columns, *SMALL) == 0
    assert skcnn.load(out).classes_.tolist() == ["ACROSS", "DOWN", "SQUARES"]
    assert len({(line["group"], line["part"]) for line in read_list(out)}) == 5
    page = tmp_path / "report.html"
    assert run("report", out, photos, "--out", page, *columns, "--quiet") == 0
    assert "SQUARES" in page.read_text(encoding="utf-8")
    refused(capsys, "train", photos, "--out", tmp_path / "labels.csv", *columns)
    assert len(pd.read_csv(tmp_path / "labels.csv")) == 60


def test_a_list_of_an_earlier_model_does_not_stay(photos, tmp_path, monkeypatch):
    out = tmp_path / "model.skcnn"
    (tmp_path / "model.skcnn.images.csv").write_text("of another model")
    assert run("train", photos, "--out", out, *WHERE, *SMALL) == 0
    assert len(read_list(out)) == 60
    assert not list(tmp_path.glob("*.old"))


def test_a_list_stays_if_the_new_model_cannot_be_saved(photos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "model.skcnn"
    out.write_bytes(b"an earlier model")
    (tmp_path / "model.skcnn.images.csv").write_text("its list")

    def fail(estimator, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("skcnn._command._train.save", fail)
    assert "No space left" in refused(capsys, "train", photos, "--out", out, *WHERE, *SMALL)
    assert (tmp_path / "model.skcnn.images.csv").read_text() == "its list"
    assert out.read_bytes() == b"an earlier model"
    assert not list(tmp_path.glob("*.old"))


def _table_of(photos, path, **columns):
    """Write a table of the photographs with more columns, and return the options that name it."""
    paths = [path.relative_to(photos).as_posix() for path in sorted(photos.glob("*/*/*.jpg"))]
    labels = ["squares" if "squares" in path else "stripes" for path in paths]
    pd.DataFrame({"path": paths, "label": labels, **columns}).to_csv(path, index=False)
    return ["--table", path]


def _fails_in(folder):
    """A function like os.replace, which fails in a folder as on a full disk."""
    replace = os.replace

    def fail(source, target):
        if Path(target).parent == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    return fail


def test_a_model_is_not_lost_where_the_disk_is_full(photos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "full" / "model.skcnn"
    (tmp_path / "aside").mkdir()
    out.parent.mkdir()
    out.write_bytes(b"an earlier model")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    monkeypatch.setattr(os, "replace", _fails_in(out.parent))
    error = refused(capsys, "train", photos, "--out", out, *WHERE, *SMALL)
    (rescued,) = (tmp_path / "aside").glob("*/model.skcnn")
    assert f"{out} could not be written: No space left on device" in error
    assert f"It was written to {rescued} instead" in error
    assert skcnn.load(rescued).n_iter_ == 1
    assert len(read_list(rescued)) == 60
    assert [path.name for path in out.parent.iterdir()] == ["model.skcnn"]
    assert out.read_bytes() == b"an earlier model"


def test_predictions_are_not_lost_where_the_disk_is_full(trained, tmp_path, monkeypatch, capsys):
    out = tmp_path / "full" / "p.csv"
    (tmp_path / "aside").mkdir()
    out.parent.mkdir()
    out.write_bytes(b"an earlier table")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    command = ["predict", trained / "model.skcnn", trained / "photos", "--quiet", "--all-classes"]
    assert run(*command, "--out", tmp_path / "right.csv") == 0
    monkeypatch.setattr(os, "replace", _fails_in(out.parent))
    predicted, predict_proba = [], skcnn.ConvNetClassifier.predict_proba

    def counted(clf, X):
        predicted.extend(X)
        return predict_proba(clf, X)

    monkeypatch.setattr(skcnn.ConvNetClassifier, "predict_proba", counted)
    error = refused(capsys, *command, "--out", out)
    (rescued,) = (tmp_path / "aside").glob("*/p.csv")
    assert f"{out} could not be written: No space left on device" in error
    assert f"It was written to {rescued} instead" in error
    assert rescued.read_bytes() == (tmp_path / "right.csv").read_bytes()
    assert len(predicted) == len(set(predicted)) == 61
    assert out.read_bytes() == b"an earlier table"


def test_a_full_disk_is_named(trained, tmp_path, monkeypatch, capsys):
    out = tmp_path / "p.csv"
    monkeypatch.setattr(os, "replace", _fails_in(tmp_path))
    command = ["predict", trained / "model.skcnn", trained / "photos", "--out", out, "--quiet"]
    # Nor is there a folder to rescue it to.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    error = refused(capsys, *command)
    assert f"{out}: No space left on device. Free space there" in error
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_written_are_found_before_training(photos, tmp_path, capsys):
    start = ["train", photos, *WHERE, *SMALL, "--out"]
    # The list beside it has a longer name.
    error = refused(capsys, *start, tmp_path / f"{'m' * 240}")
    assert "mmm.images.csv is too long for a file. Choose a shorter name: --out." in error
    (tmp_path / "m.skcnn.images.csv").mkdir()
    assert "m.skcnn.images.csv is a folder" in refused(capsys, *start, tmp_path / "m.skcnn")
    if Path("/dev/full").exists():
        assert "is no file that could be replaced" in refused(capsys, *start, "/dev/full")
    table = _table_of(photos, tmp_path / "t.images.csv")
    error = refused(capsys, "train", photos, "--out", tmp_path / "t", *table, *SMALL)
    assert "is a file that this command reads" in error


def test_missing_labels_are_left_out_as_r_and_others_write_them(photos, tmp_path, capsys):
    table = _table_of(photos, tmp_path / "t.csv", species=["NA", "", "fox", "none", "hare"] * 12)
    out = tmp_path / "m.skcnn"
    assert run("train", photos, "--out", out, *table, "--label", "species", *SMALL) == 0
    said = capsys.readouterr().out
    assert "36 photographs of 3 classes" in said
    assert "Not used: images or boxes without a label (24)." in said
    assert "labels that look like a missing value (12), 'none'. If nothing is known" in said
    assert "=" not in said
    assert {line["label"] for line in read_list(out)} == {"fox", "hare", "none"}


def test_photographs_without_a_site_are_left_out(photos, tmp_path, capsys):
    sites = ["", "a", "b", "c", "NA"] * 12
    table = _table_of(photos, tmp_path / "t.csv", camera=sites, nothing="")
    start = ["train", photos, "--out", tmp_path / "m.skcnn", *table, *SMALL]
    assert run(*start, "--groups", "camera") == 0
    said = capsys.readouterr().out
    assert "36 photographs of 2 classes at 3 sites" in said
    assert "Not used: 24 photographs without a site" in said
    assert {line["group"] for line in read_list(tmp_path / "m.skcnn")} == {"a", "b", "c"}
    error = refused(capsys, *start, "--groups", "nothing")
    assert "--groups names the column nothing, which is empty" in error


def test_names_in_other_encodings_are_known_again(images, tmp_path, capsys):
    names = [os.fsdecode(b"caf\xe9 %d.jpg" % number) for number in range(12)]
    try:
        for number, name in enumerate(names):
            place = tmp_path / "photos" / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[number].repeat(4, 0).repeat(4, 1)).save(place / name)
    except (OSError, UnicodeError):
        pytest.skip("this system has names in Unicode only")
    out, page = tmp_path / "m.skcnn", tmp_path / "report.html"
    assert run("train", tmp_path / "photos", "--out", out, *SMALL) == 0
    held_out = [line for line in read_list(out) if line["part"] == "held out"]
    assert run("report", out, tmp_path / "photos", "--out", page, "--quiet") == 0
    said = capsys.readouterr().out
    n_trained = 12 - len(held_out)
    assert f"the network was trained on them: {n_trained} photographs" in said
    assert "caf" in page.read_text(encoding="utf-8")
    (tmp_path / "photos" / "a").rename(tmp_path / "photos" / os.fsdecode(b"caf\xe9"))
    error = refused(capsys, "train", tmp_path / "photos", "--out", out, *SMALL)
    assert r"The name of the class 'caf\udce9' is not in UTF-8" in error


def test_files_of_a_table_that_are_not_there_are_told(photos, tmp_path, capsys):
    paths = [path.relative_to(photos).as_posix() for path in sorted(photos.glob("*/*/*.jpg"))]
    labels = ["a" if "squares" in path else "b" for path in paths]
    table = pd.DataFrame({"path": [*paths, "site 9/1.jpg"], "label": [*labels, "a"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    columns = ["--table", tmp_path / "t.csv"]
    assert run("train", photos, "--out", tmp_path / "m.skcnn", *columns, *SMALL) == 0
    said = capsys.readouterr().out
    first = os.path.join("site 9", "1.jpg")
    assert f"Not used: 1 file of the table not found, such as {first}." in said
    table[-1:].to_csv(tmp_path / "t.csv", index=False)
    error = refused(capsys, "train", photos, "--out", tmp_path / "m.skcnn", *columns, *SMALL)
    assert f"None of the files in the table is in {photos}, such as {first}." in error


def test_train_refuses_measurements(photos, tmp_path, capsys):
    paths = [path.relative_to(photos).as_posix() for path in sorted(photos.glob("*/*/*.jpg"))]
    table = pd.DataFrame({"path": paths, "weight": [i + 0.5 for i in range(len(paths))]})
    table.to_csv(tmp_path / "weights.csv", index=False)
    columns = ["--table", tmp_path / "weights.csv", "--label", "weight"]
    error = refused(capsys, "train", photos, "--out", tmp_path / "model.skcnn", *columns)
    assert "weight has numbers such as 0.5" in error
    assert "ConvNetRegressor" in error


def test_measurements_with_a_decimal_comma_are_refused(photos, tmp_path, capsys):
    table = _table_of(photos, tmp_path / "t.csv", weight=[f"{i},5" for i in range(60)])
    command = ["train", photos, "--out", tmp_path / "m.skcnn", *table]
    assert "weight has numbers such as 0.5" in refused(capsys, *command, "--label", "weight")
    error = refused(capsys, *command, "--label", "path")
    assert "Each of the 60 photographs has a label of its own, such as site 0" in error


def test_train_takes_classes_with_decimal_codes(photos, tmp_path):
    paths = [path.relative_to(photos).as_posix() for path in sorted(photos.glob("*/*/*.jpg"))]
    codes = ["3.1" if "squares" in path else "3.2" for path in paths]
    pd.DataFrame({"path": paths, "code": codes}).to_csv(tmp_path / "codes.csv", index=False)
    columns = ["--table", tmp_path / "codes.csv", "--label", "code"]
    assert run("train", photos, "--out", tmp_path / "model.skcnn", *columns, *SMALL) == 0
    assert list(skcnn.load(tmp_path / "model.skcnn").classes_) == ["3.1", "3.2"]


def test_train_refuses_what_it_cannot_learn_from(photos, tmp_path, capsys):
    out = tmp_path / "model.skcnn"
    start = ["train", "--out", out]
    assert "There is no folder" in refused(capsys, *start, tmp_path / "nowhere")
    assert "is a file" in refused(capsys, *start, next(photos.glob("*/*/*.jpg")))
    (tmp_path / "empty").mkdir()
    assert "There is no photograph to use in" in refused(capsys, *start, tmp_path / "empty")
    one = photos / "site 0"
    shutil.rmtree(one / "down")
    shutil.rmtree(one / "squares")
    assert "are of one class, across" in refused(capsys, *start, one)
    error = refused(capsys, *start, photos)
    assert "nothing tells which folder is the class" in error
    assert "label=" not in error
    assert "--label" in error
    assert "is no number of a subfolder" in refused(capsys, *start, photos, "--groups", "site")
    error = refused(capsys, *start, photos, "--label", "species")
    assert "--label species is no number of a subfolder" in error
    assert "--table" in error
    error = refused(capsys, *start, photos / "site 1" / "squares")
    assert "name the table: --table" in error
    assert "None" not in error
    # The site is the class.
    error = refused(capsys, *start, photos, "--label", "1", "--groups", "1", *SMALL)
    assert "No class is at several sites" in error
    error = refused(capsys, *start, photos, "--label", "1", "--validation-fraction", "0.99")
    assert "cannot be split" in error
    assert "Give the table" in refused(capsys, *start, photos, "--path", "file")
    assert "There is no table" in refused(capsys, *start, photos, "--table", "none.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "photos"]


def test_a_class_of_a_single_site_is_trained_on(photos, tmp_path):
    for site in range(1, 5):
        shutil.rmtree(photos / f"site {site}" / "down")
    out = tmp_path / "model.skcnn"
    for seed in range(4):
        assert run("train", photos, "--out", out, *WHERE, *SMALL, "--seed", seed) == 0
        assert "down" in skcnn.load(out).classes_.tolist()
        out.unlink()


def test_training_without_a_readable_file_is_refused(tmp_path, capsys):
    for name in ("fox", "hare"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "photos" / name / f"{number}.jpg").write_text("no image")
    error = refused(capsys, "train", tmp_path / "photos", "--out", tmp_path / "m", *SMALL)
    assert "cannot be read" in error
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------------- predict


def test_predict_writes_a_line_for_each_photograph(trained, tmp_path, capsys):
    out = tmp_path / "predictions.csv"
    photos = trained / "photos"
    assert run("predict", trained / "model.skcnn", photos, "--out", out, "--quiet") == 0
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["path", "prediction", "probability"]
    model = skcnn.load(trained / "model.skcnn")
    found = load_image_folder(photos, label=None)
    assert [str(photos / path) for path in table["path"]] == found.data.tolist()
    with pytest.warns(UserWarning, match="1 of 61 image"):
        proba = model.predict_proba(found.data)
    broken = np.isnan(proba).any(axis=1)
    assert broken.sum() == 1
    assert table["prediction"].isna().tolist() == broken.tolist()
    np.testing.assert_allclose(
        table["probability"][~broken], proba[~broken].max(axis=1), rtol=1e-6
    )
    labels = model.classes_[proba[~broken].argmax(axis=1)]
    assert table["prediction"][~broken].tolist() == labels.tolist()
    said = capsys.readouterr().out
    assert "60 photographs: " in said
    for label, n in table["prediction"].value_counts().items():
        assert f"{label} {n}" in said
    assert "Without a prediction, since they cannot be read: 1 file\n" in said


def test_predict_writes_all_classes_where_asked(trained, tmp_path):
    out = tmp_path / "predictions.csv"
    command = ["predict", trained / "model.skcnn", trained / "photos", "--out", out, "--quiet"]
    assert run(*command, "--all-classes") == 0
    table = pd.read_csv(out)
    names = [f"probability_{name}" for name in ("across", "down", "squares")]
    assert table.columns.tolist()[3:] == names
    known = table["probability"].notna()
    np.testing.assert_allclose(table.loc[known, names].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(table["probability"], table[names].max(axis=1))
    # As many digits as float32 has: more would be noise.
    texts = pd.read_csv(out, dtype=str).loc[known, ["probability", *names]].to_numpy().ravel()
    digits = [text.partition("e")[0].replace(".", "").lstrip("0") for text in texts]
    assert max(map(len, digits)) == 7


def test_predict_writes_what_megadetectors_tools_read(trained, tmp_path):
    out = tmp_path / "predictions.json"
    assert run("predict", trained / "model.skcnn", trained / "photos", "--out", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert len(found["images"]) == 61
    assert sorted(found["classification_categories"].values()) == ["across", "down", "squares"]


def test_predict_finds_photographs_in_the_folder_itself(trained, tmp_path):
    path = next((trained / "photos").glob("*/*/0*.jpg"))
    (tmp_path / "new").mkdir()
    shutil.copy(path, tmp_path / "new" / "a.JPG")
    out = tmp_path / "p.csv"
    assert run("predict", trained / "model.skcnn", tmp_path / "new", "--out", out, "--quiet") == 0
    assert pd.read_csv(out)["path"].tolist() == ["a.JPG"]


def test_what_is_no_model_is_refused(trained, tmp_path, images, capsys):
    photos, out = trained / "photos", tmp_path / "p.csv"
    refuse = lambda model: refused(capsys, "predict", model, photos, "--out", out)  # noqa: E731
    assert "There is no model" in refuse(tmp_path / "none.skcnn")
    assert "is a folder" in refuse(photos)
    (tmp_path / "text.skcnn").write_text("This is no model.")
    assert "damaged, incomplete, or no file that skcnn has written" in refuse(
        tmp_path / "text.skcnn"
    )
    whole = (trained / "model.skcnn").read_bytes()
    (tmp_path / "cut.skcnn").write_bytes(whole[: len(whole) // 2])
    assert "damaged or incomplete" in refuse(tmp_path / "cut.skcnn")
    skcnn.save(skcnn.ConvNetClassifier(), tmp_path / "unfitted.skcnn")
    assert "is not trained" in refuse(tmp_path / "unfitted.skcnn")
    loader = skcnn.ImageLoader((8, 8)).fit([str(next(photos.glob("*/*/0*.jpg")))])
    skcnn.save(loader, tmp_path / "loader.skcnn")
    assert "ImageLoader that is not trained" in refuse(tmp_path / "loader.skcnn")
    reg = skcnn.ConvNetRegressor(filters=(4,), max_epochs=1, random_state=0)
    skcnn.save(reg.fit(images, np.arange(60.0)), tmp_path / "numbers.skcnn")
    error = refuse(tmp_path / "numbers.skcnn")
    assert "ConvNetRegressor that predicts one number per photograph" in error
    assert "models that predict one label per photograph" in error
    assert not out.exists()


# ---------------------------------------------------------------------- report


def test_report_leaves_out_what_the_network_was_trained_on(trained, tmp_path, capsys):
    model, photos, out = trained / "model.skcnn", trained / "photos", tmp_path / "report.html"
    assert run("report", model, photos, "--out", out, *WHERE, "--quiet") == 0
    lines = read_list(model)
    tested = [line for line in lines if line["part"] == "held out"]
    readable = [line for line in tested if not line["path"].endswith("broken.jpg")]
    accuracy = skcnn.load(model).score(
        [str(photos / line["path"]) for line in readable], [line["label"] for line in readable]
    )
    page, said = out.read_text(encoding="utf-8"), capsys.readouterr().out
    note = f"since the network was trained on them: {len(lines) - len(tested)} photographs."
    assert note in said
    assert note in page
    shown = "100%" if accuracy == 1 else f"{accuracy:.1%}"
    assert f"Accuracy {shown} (95% interval" in said
    assert f"on {len(readable)} photographs\n" in said
    assert f"<dd>{shown}</dd>" in page
    assert "<h1>Report of model.skcnn</h1>" in page
    assert "Not used: other files (1), which are not images." in page


def test_report_knows_the_photographs_in_a_folder_that_has_moved(trained, tmp_path, capsys):
    shutil.copytree(trained / "photos", tmp_path / "elsewhere")
    # Of another photograph, the name alone is the same.
    first = next(line for line in read_list(trained / "model.skcnn") if line["part"] == "training")
    Image.new("RGB", (30, 20)).save(tmp_path / "elsewhere" / first["path"])
    out = tmp_path / "report.html"
    command = ["report", trained / "model.skcnn", tmp_path / "elsewhere", "--out", out, "--quiet"]
    assert run(*command, *WHERE, "--title", "Of <elsewhere>") == 0
    trained_on = sum(line["part"] == "training" for line in read_list(trained / "model.skcnn"))
    assert f"trained on them: {trained_on - 1} photographs" in capsys.readouterr().out
    assert "<h1>Of &lt;elsewhere&gt;</h1>" in out.read_text(encoding="utf-8")


def test_report_without_a_list_says_what_is_not_known(trained, tmp_path, capsys):
    shutil.copy(trained / "model.skcnn", tmp_path / "copy.skcnn")
    command = ["report", tmp_path / "copy.skcnn", trained / "photos", *WHERE, "--quiet"]
    assert run(*command, "--out", tmp_path / "report.html") == 0
    said = capsys.readouterr().out
    assert "there is no copy.skcnn.images.csv beside the model" in said
    assert "on 60 photographs" in said
    assert "copy.skcnn.images.csv" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "copy.skcnn.images.csv").write_text("something,else\n1,2\n")
    error = refused(capsys, *command, "--out", tmp_path / "again.html")
    assert "is not the list of photographs" in error


def test_report_takes_numbers_for_names_of_folders(images, labels, photos, tmp_path):
    numbers = np.array([{"across": 3, "down": 5, "squares": 8}[label] for label in labels])
    clf = skcnn.ConvNetClassifier(filters=(4,), max_epochs=2, image_shape=(8, 8), random_state=0)
    for site in photos.iterdir():
        for name, number in (("across", "3"), ("down", "5"), ("squares", "8")):
            (site / name).rename(site / number)
    found = load_image_folder(photos, label=1)
    skcnn.save(clf.fit(found.data, found.target.astype(int)), tmp_path / "numbers.skcnn")
    assert set(clf.classes_) == set(numbers)
    out = tmp_path / "report.html"
    command = ["report", tmp_path / "numbers.skcnn", photos, "--out", out, "--label", "1"]
    assert run(*command, "--quiet") == 0
    accuracy = clf.score(found.data, found.target.astype(int))
    assert ("100%" if accuracy == 1 else f"{accuracy:.1%}") in out.read_text(encoding="utf-8")


def test_report_takes_a_regressor_and_a_table_of_numbers(images, photos, tmp_path, capsys):
    paths = sorted(map(str, photos.glob("*/*/*.jpg")))
    table = pd.DataFrame({"path": paths, "length": np.arange(60) / 10})
    table.to_csv(tmp_path / "lengths.csv", index=False)
    reg = skcnn.ConvNetRegressor(filters=(4,), max_epochs=1, image_shape=(8, 8), random_state=0)
    skcnn.save(reg.fit(paths, table["length"]), tmp_path / "lengths.skcnn")
    command = ["report", tmp_path / "lengths.skcnn", photos, "--out", tmp_path / "r.html"]
    columns = ["--table", tmp_path / "lengths.csv", "--label", "length"]
    assert run(*command, *columns, "--quiet") == 0
    error = np.abs(reg.predict(paths) - table["length"]).mean()
    assert f"Mean absolute error {error:.3g}" in capsys.readouterr().out
    assert "Name the column of numbers" in refused(capsys, *command, "--label", "1")
    # As the Excel of many countries writes them.
    table.map(lambda cell: str(cell).replace(".", ",") if cell != 0.3 else "NA")[1:4].to_csv(
        tmp_path / "lengths.csv", index=False
    )
    table = pd.read_csv(tmp_path / "lengths.csv").assign(path=paths[1:4])
    table.to_csv(tmp_path / "lengths.csv", index=False, na_rep="NA")
    assert run(*command, *columns, "--quiet") == 0
    error = np.abs(reg.predict(paths[1:3]) - [0.1, 0.2]).mean()
    assert f"Mean absolute error {error:.3g} (95%" in capsys.readouterr().out
    table[:1].to_csv(tmp_path / "lengths.csv", index=False)
    assert run(*command, *columns, "--quiet") == 0
    error = np.abs(reg.predict(paths[1:2]) - [0.1]).mean()
    # One image is too few for an interval.
    assert f"Mean absolute error {error:.3g} on 1 photograph" in capsys.readouterr().out
    table.assign(length=["0,1", "long", "1"]).to_csv(tmp_path / "lengths.csv", index=False)
    assert "there is the label 'long'" in refused(capsys, *command, *columns)


# ---------------------------------------------------------------------- what holds for all


def test_outputs_replace_no_photograph_and_no_input(trained, photos, tmp_path, capsys):
    model = trained / "model.skcnn"
    photo = next(photos.glob("*/*/*.jpg"))
    before = photo.read_bytes()
    for command in (["train"], ["predict", model], ["report", model]):
        error = refused(capsys, *command, photos, "--out", photo)
        assert "Photographs are never replaced" in error
    (tmp_path / "link.csv").symlink_to(photo)
    error = refused(capsys, "predict", model, photos, "--out", tmp_path / "link.csv")
    assert "Photographs are never replaced" in error
    assert photo.read_bytes() == before
    for command in (["predict", model], ["report", model]):
        assert "must end with" in refused(capsys, *command, photos, "--out", model)
        assert "must end with" in refused(capsys, *command, photos, "--out", tmp_path / "x.txt")
        assert "is a folder" in refused(capsys, *command, photos, "--out", photos)
    copy = tmp_path / "model.csv"
    shutil.copy(model, copy)
    assert "this command reads" in refused(capsys, "predict", copy, photos, "--out", copy)
    error = refused(capsys, "train", photos, "--out", tmp_path / "nowhere" / "m.skcnn")
    assert "The folder of --out" in error


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no files")
def test_a_folder_that_takes_no_files_is_found_before_the_work(photos, capsys):
    assert "Nothing can be written in" in refused(capsys, "train", photos, "--out", "/proc/m")


def test_a_failed_write_leaves_the_earlier_file(trained, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report.html"
    out.write_text("an earlier one")

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    command = ["report", trained / "model.skcnn", trained / "photos", "--out", out, *WHERE]
    error = refused(capsys, *command, "--quiet")
    assert "No space left on device" in error
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert out.read_text() == "an earlier one"


def test_traceback_shows_where_an_error_came_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        run("train", tmp_path / "nowhere", "--out", tmp_path / "m", "--traceback")


def test_quiet_shows_no_progress(trained, tmp_path, capsys):
    command = ["predict", trained / "model.skcnn", trained / "photos", "--out", tmp_path / "p.csv"]
    assert run(*command) == 0
    assert "61/61" in capsys.readouterr().err
    assert run(*command, "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "photos"], "required: --out"),
        (["train", "photos", "--out", "m", "--epochs", "0"], "'0' is not a whole number from 1"),
        (["train", "photos", "--out", "m", "--epochs", "x"], "'x' is not a whole number from 1"),
        (["train", "photos", "--out", "m", "--seed", "-1"], "--seed"),
        (["train", "p", "--out", "m", "--validation-fraction", "1"], "from 0 to below 1"),
        (["train", "p", "--out", "m", "--validation-fraction", "a"], "from 0 to below 1"),
        (["train", "p", "--out", "m", "--epochs", "1" * 20], "from 1 to 1,000,000"),
        (["train", "p", "--out", "m", "--epochs", "1" * 5000], "'11111111111111111111...'"),
        (["train", "p", "--out", "m", "--image-size", "65536"], "from 1 to 65,535"),
        (["train", "p", "--out", "m", "--cache-dir", ""], "--cache-dir: is empty, as a variable"),
        (["train", "p", "--out", " "], "--out: is empty, as a variable of the shell"),
        (["predict", "", "p", "--out", "m"], "MODEL: is empty, as a variable of the shell"),
        (["train", "p", "--out", "m", "--recipe", "slow"], "invalid choice: 'slow'"),
        (
            ["train", "p", "--out", "m", "--recipe", "fast", "--pretrained", "x"],
            "not allowed with",
        ),
    ],
)
def test_arguments_that_are_not_as_described_end_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "predict", "report"])
def test_help_has_an_example_that_the_parser_takes(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    lines = said.replace("\\\n", "").splitlines()
    examples = [line.split() for line in lines if line.startswith("  skcnn ")]
    assert len(examples) >= 2
    for _, *arguments in examples:
        assert make_parser().parse_args(arguments).command == command
    assert max(map(len, said.splitlines())) <= 84


def test_recipes_are_those_of_the_module(photos, tmp_path):
    for name in ("default", *recipes.__all__):
        options = make_parser().parse_args(["train", "p", "--out", "m", "--recipe", name])
        assert options.recipe == name


def test_the_console_script_is_the_command_line():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["skcnn"].partition(":")
    assert getattr(import_module(module), name) is main


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from skcnn._command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: code = end.code\n"
        "print({'numpy', 'pandas', 'sklearn', 'torch'} & sys.modules.keys(), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set() 0"
    start = time.perf_counter()
    command = [sys.executable, "-m", "skcnn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"skcnn {skcnn.__version__}\n")
    # A second, and more on a machine that does other things at the same time.
    assert time.perf_counter() - start < 5


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
@pytest.mark.parametrize(
    ("given", "there"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_told_otherwise_before_torch_is_imported(given, there):
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch':\n"
        "            sys.exit(str(os.environ.get('GOMP_SPINCOUNT')))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "from skcnn._command import main\n"
        "main(['predict', 'model', 'photos', '--out', 'predictions.csv'])"
    )
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**plain, **given}, capture_output=True, text=True
    )
    assert done.stderr.strip() == there


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
@pytest.mark.parametrize("module", ["argparse", "torch"])
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(module, ignored):
    handler = "signal.SIG_IGN" if ignored else "signal.default_int_handler"
    code = (
        "import os, signal, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "            except BaseException:\n"
        # As some modules that are written in C.
        "                raise ImportError('initialization failed') from None\n"
        "            sys.exit('went on')\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"signal.signal(signal.SIGINT, {handler})\n"
        "from skcnn._command import main\n"
        "main(['predict', 'model', 'photos', '--out', 'predictions.csv'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    wanted = (1, "went on") if ignored else (130, "Stopped.")
    assert (done.returncode, done.stderr.strip()) == wanted


def test_the_command_line_is_there_before_anything_that_takes_time():
    code = (
        "import sys; before = set(sys.modules); from skcnn._command import main\n"
        "print({'argparse', 'importlib.metadata', 'email'} & (set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_ctrl_c_ends_training_with_130_and_writes_nothing(photos, tmp_path):
    out = tmp_path / "model.skcnn"
    command = [sys.executable, "-m", "skcnn", "train", photos, "--out", out, "--label", "1"]
    process = subprocess.Popen(
        [*map(str, command), "--epochs", "100000", "--image-size", "8"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        said = b""
        start = time.monotonic()
        while b"epoch 2" not in said:
            said += process.stderr.read1()
            assert process.poll() is None, said
            assert time.monotonic() - start < 120, said[-300:]
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Stopped. Nothing was written." in rest
    assert b"Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.skipif(os.name == "nt", reason="closes streams as the shells of Linux and macOS do")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "| true", "> /dev/full"])
def test_the_result_is_written_though_nobody_reads_what_is_said(trained, tmp_path, closed):
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("needs a device that is full")
    out = tmp_path / "p.csv"
    words = ["-m", "skcnn", "predict", trained / "model.skcnn", trained / "photos", "--out", out]
    command = shlex.join([sys.executable, *map(str, words)])
    done = subprocess.run(
        ["bash", "-c", f"{command} {closed}; exit ${{PIPESTATUS[0]}}"], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"error" not in done.stderr.lower()
    assert len(pd.read_csv(out)) == 61


def test_predict_says_which_files_are_no_photographs(trained, tmp_path, capsys):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.jpg").write_text("no image")
    (tmp_path / "new" / "b.CR2").write_text("raw")
    out = tmp_path / "p.csv"
    assert run("predict", trained / "model.skcnn", tmp_path / "new", "--out", out, "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    told = "raw photographs (1), which have to be converted first, for example to JPEG"
    assert lines[:2] == [f"Not used: {told}.", "0 photographs"]
    (tmp_path / "new" / "a.jpg").unlink()
    error = refused(capsys, "predict", trained / "model.skcnn", tmp_path / "new", "--out", out)
    assert "There is no photograph to use in" in error
    assert "raw photographs" in error


def test_one_class_alone_is_refused_after_what_was_not_used(photos, tmp_path, capsys):
    for path in (photos / "site 0" / "down").iterdir():
        path.rename(path.with_suffix(".CR2"))
    shutil.rmtree(photos / "site 0" / "squares")
    assert run("train", photos / "site 0", "--out", tmp_path / "m") == 1
    said, error = capsys.readouterr()
    assert "Not used: raw photographs (" in said
    assert "are of one class, across" in error


def test_the_next_command_is_one_that_works(photos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "my model.skcnn"
    where = ["--label", "1", *SMALL]
    assert run("train", photos, "--out", out, *where, "--validation-fraction", "0") == 0
    assert f"Next: skcnn predict '{out}' new_photos" in capsys.readouterr().out
    options = make_parser().parse_args(["train", "my photos", "--out", "m"])
    monkeypatch.setattr(os, "name", "nt")
    # cmd.exe of Windows knows double quotes only.
    assert _next_command(options) == 'skcnn report m "my photos" --out report.html'


def test_errors_name_options_and_no_parameters_of_python(trained, photos, tmp_path, capsys):
    start = ["train", photos, "--out", tmp_path / "m", "--label", "1", "--quiet"]
    error = refused(capsys, *start, "--device", "gpu")
    assert "--device 'gpu' is unknown" in error
    assert "device=" not in error
    error = refused(capsys, *start, "--cache-dir", next(photos.glob("*/*/*.jpg")))
    assert "leave out --cache-dir" in error
    assert "cache_dir" not in error
    error = refused(capsys, *start, "--pretrained", "nonsense")
    assert "--pretrained 'nonsense' is not known" in error
    assert "FOLDER is empty" in refused(capsys, "train", "", "--out", tmp_path / "m")


@pytest.mark.parametrize("kind", [MemoryError, ImportError])
def test_errors_of_the_machine_are_shown_without_a_traceback(monkeypatch, capsys, kind):
    from skcnn._command import _commands

    def fail(options):
        raise kind("Such is the reason.")

    monkeypatch.setitem(_commands.COMMANDS, "train", fail)
    error = refused(capsys, "train", "photos", "--out", "m")
    assert "Such is the reason." in error
    assert ("--image-size" in error) == (kind is MemoryError)


@pytest.mark.parametrize(
    ("module", "package"), [("matplotlib.pyplot", "matplotlib"), ("PIL", "pillow")]
)
def test_a_missing_package_is_named_as_pip_calls_it(monkeypatch, capsys, module, package):
    from skcnn._command import _commands

    def fail(options):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setitem(_commands.COMMANDS, "train", fail)
    error = refused(capsys, "train", "photos", "--out", "m")
    assert f"No module named {module!r}. Install it: pip install {package}\n" in error


def test_python_without_docstrings_is_refused():
    command = [sys.executable, "-OO", "-m", "skcnn", "predict", "m", "photos", "--out", "p.csv"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("skcnn predict: error: Python was told to drop docstrings")
    assert "without -OO" in done.stderr


def options_of(parser):
    """All options of a parser and of its commands."""
    for action in parser._actions:
        yield from (name for name in action.option_strings if name.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)


def test_the_page_shows_every_option():
    page = (Path(__file__).parents[2] / "docs/command_line.md").read_text(encoding="utf-8")
    options = set(options_of(make_parser())) - {"--help", "--version"}
    assert len(options) > 10
    assert [name for name in sorted(options) if not re.search(rf"{name}\b", page)] == []
