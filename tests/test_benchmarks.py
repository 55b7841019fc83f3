"""The benchmarks: that they run, compare like with like, and that the tables are theirs."""

import json
import os
import subprocess
import sys
import time
from doctest import DocTestParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skcnn import ConvNetClassifier

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch, tmp_path):
    """The scripts as modules, which store what they find out of the way."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    import accuracy
    import files
    import halving
    import processes
    import reporting
    import search
    import speed

    monkeypatch.setattr(reporting, "RESULTS", tmp_path)
    return {
        "accuracy": accuracy,
        "files": files,
        "halving": halving,
        "processes": processes,
        "search": search,
        "speed": speed,
    }


def test_the_tables_are_what_the_stored_results_make_them():
    run = subprocess.run(
        [sys.executable, BENCHMARKS / "tables.py", "--check"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_a_table_tells_which_rows_are_from_which_machine(benchmarks):
    import tables

    here, there = (
        {"machine": machine, "threads": 1, "versions": {"torch": "2.13.0+cpu"}}
        for machine in ("A", "B")
    )
    of_one = {"first": here, "second": here}
    assert tables.all_measured_on(of_one) == "\nMeasured on: A; torch 2.13.0."
    assert tables.all_measured_on(of_one | {"third": there}, threads=True).splitlines()[1::2] == [
        "For third, measured on: B, one thread; torch 2.13.0.",
        "For all others, measured on: A, one thread; torch 2.13.0.",
    ]
    assert tables.all_measured_on({"first": here, "second": there}).splitlines()[1::2] == [
        "For first, measured on: A; torch 2.13.0.",
        "For second, measured on: B; torch 2.13.0.",
    ]


def test_a_row_of_several_machines_is_told_apart_by_its_images(benchmarks):
    import tables

    here, there = ({"machine": machine, "threads": 1, "versions": {}} for machine in ("A", "B"))
    jobs = {"digits": {"default": here, "SGD": here}, "leaves": {"default": there, "SGD": here}}
    assert tables.fits_by_row({"jobs": jobs}) == {
        "default, digits": here,
        "default, leaves": there,
        "SGD": here,
    }


def test_figures_of_questions_gather_seeds_of_one_machine(benchmarks):
    import questions
    import reporting
    import tables

    here, there = ({"machine": machine, "threads": 1, "versions": {}} for machine in ("A", "B"))
    heads = []
    for seed, value, machine in ((0, 1.0, here), (1, 3.0, here), (1, 2.0, here), (2, 5.0, there)):
        reporting.store(
            "questions_x", questions.added("questions_x", seed, {"R2": value}, machine)
        )
        heads.append(tables.questions_table("x", {"R2": "R²"}).splitlines()[:3:2])
    assert heads == [
        ["|  | one seed |", "| R² | 1.00 |"],
        ["|  | median | 2 seeds |", "| R² | 2.00 | 1.00 to 3.00 |"],
        ["|  | median | 2 seeds |", "| R² | 1.50 | 1.00 to 2.00 |"],
        ["|  | one seed |", "| R² | 5.00 |"],
    ]


@pytest.mark.parametrize("job", ["narrow", "compact"])
def test_the_page_about_recipes_has_the_settings_that_were_measured(job, benchmarks):
    page = BENCHMARKS.parent / "docs" / "recipes.md"
    shown: dict[str, Any] = {}
    for example in DocTestParser().get_examples(page.read_text(encoding="utf-8")):
        exec(example.source, shown)
    measured = ConvNetClassifier(**benchmarks["accuracy"].JOBS[job])
    assert str(shown[job].get_params()) == str(measured.get_params())


def test_the_contestants_train_the_same_network(benchmarks):
    from contestants import ByHand, Skcnn, Skorch

    rng = np.random.RandomState(0)
    X, y = rng.randint(256, size=(244, 32, 32, 3), dtype=np.uint8), np.arange(244) % 61
    data = X[:183], y[:183], X[183:], y[183:]
    ours, theirs = Skcnn(data, "cpu"), Skorch(data, "cpu")
    by_hand = ByHand(data, "cpu", precision="float32")
    for contestant in (ours, theirs, by_hand):
        contestant(1)
    networks = [ours.clf.module_, theirs.net.module_, by_hand.model]
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [944_509] * 3
    optimizers = [ours.clf.net_.optimizer_, theirs.net.optimizer_, by_hand.optimizer]
    names = ("lr", "alpha", "eps", "momentum", "weight_decay")
    settings = [{name: o.param_groups[0][name] for name in names} for o in optimizers]
    assert settings[0] == settings[1] == settings[2]
    batch_sizes = {ours.clf.batch_size, theirs.net.batch_size}
    assert batch_sizes == {128}


def test_images_that_are_scored_are_not_trained_on(benchmarks):
    import transfer

    y = np.repeat(["fox", "oak", "ray"], 60)
    held_out, pools = transfer.split(y)
    assert np.unique(y[held_out], return_counts=True)[1].tolist() == [20] * 3
    assert [set(y[pool]) for pool in pools] == [{"fox"}, {"oak"}, {"ray"}]
    rows = transfer.draw(pools, 40, 0)
    assert len(set(rows)) == 120
    assert not set(rows) & set(held_out)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "predict", "onnx", "memory", "recipes"])
def test_speed_is_measured_and_stored(mode, benchmarks, monkeypatch, tmp_path, capsys):
    if mode == "onnx":
        for package in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(package)
    # Two epochs of each size of images, twice, take their time, as do exports.
    images = {"recipes": "122", "memory": "122"}.get(mode, "366")
    options = ["--images", images, "--rounds", "1", "--machine", "other"]
    # The default has as many epochs as the images ask for.
    more = {"onnx": ["--skip", "fast"], "recipes": ["--jobs", "laptop", "default"]}
    options += more.get(mode, [])
    monkeypatch.setattr(sys, "argv", ["speed.py", mode, *options])
    # One of the full size takes a minute where a CPU has no instructions for bfloat16.
    monkeypatch.setattr(benchmarks["speed"], "_SIDE", 128)
    monkeypatch.setattr(benchmarks["speed"], "_PRODUCTS", 1)
    benchmarks["speed"].main()
    result = json.loads((tmp_path / f"speed_{mode}_cpu_other.json").read_text())
    figures = [f["median"] if isinstance(f, dict) else f for f in result["figures"].values()]
    assert len(figures) >= 3
    assert np.isfinite(figures).all()
    assert min(figures) > 0 or mode in ("predict", "memory")
    assert result["versions"]["torch"] == torch.__version__
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["memory", "overhead"])
def test_searches_are_measured_and_stored(mode, benchmarks, monkeypatch, tmp_path):
    arguments = ["search.py", mode, "--images", "90", "--epochs", "1", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    benchmarks["search"].main()
    result = json.loads((tmp_path / f"search_{mode}.json").read_text())
    figures = [f["median"] if isinstance(f, dict) else f for f in result["figures"].values()]
    assert len(figures) == 3
    assert np.isfinite(figures).all()
    # A worker holds torch at least, and a search does no less than its fits.
    assert figures[0] > (100 if mode == "memory" else 0.5)


@pytest.mark.slow
def test_halving_is_measured_and_stored(benchmarks, monkeypatch, tmp_path):
    arguments = ["halving.py", "--images", "60", "--epochs", "2", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    benchmarks["halving"].main()
    result = json.loads((tmp_path / "halving.json").read_text())
    assert result["rounds"][0]["same scores"] is True
    assert result["figures"]["megabytes kept"]["median"] > 0.1


@pytest.mark.slow
def test_processes_are_measured_and_stored(benchmarks, monkeypatch, tmp_path):
    # The script sets it; this restores it.
    monkeypatch.setenv("SKCNN_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", ["processes.py", "--images", "64", "--epochs", "1"])
    benchmarks["processes"].main()
    result = json.loads((tmp_path / "processes.json").read_text())
    assert result["figures"]["SGD, no normalization"]["two processes"]["loss of any epoch"] < 1e-4


@pytest.mark.slow
def test_kernels_are_measured_one_by_one(benchmarks, monkeypatch, tmp_path):
    import kernels

    # The script sets it; this restores it.
    monkeypatch.setenv("SKCNN_NUM_THREADS", "1")
    options = ["--rounds", "1", "--batches", "1", "--networks", "lesson", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["kernels.py", *options])
    # Steps in bfloat16 are slow where a CPU has no instructions for it.
    monkeypatch.setattr(kernels, "BATCH_SIZE", 16)
    kernels.main()
    figures = json.loads((tmp_path / "kernels_cpu.json").read_text())["figures"]
    for precision in ("bfloat16", "float32"):
        case = figures[f"lesson, {precision}, 1 thread"]
        assert {"_SmallConvolution", "_MaxPool", "Dropout"} < set(case)
        # Without the kernel, torch saves the images that it pools.
        assert case["saved memory, _MaxPool"] > 1.2


@pytest.mark.slow
def test_fit_time_compares_the_checkouts_that_are_named(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import fit_time

    checkout = str(BENCHMARKS.parent)
    options = ["--rounds", "1", "--epochs", "1", "--images", "200"]
    monkeypatch.setattr(sys, "argv", ["fit_time.py", checkout, checkout, *options])
    fit_time.main()
    assert "ratio " in capsys.readouterr().out.splitlines()[-1]


@pytest.fixture(scope="module")
def gpu_results(tmp_path_factory):
    """The folder with the results of a tiny run of all that a GPU is wanted for."""
    folder = tmp_path_factory.mktemp("results")
    run = run_all_on_a_gpu(folder)
    assert run.returncode == 0, run.stdout
    return folder / "tiny"


def run_all_on_a_gpu(folder, *options):
    environment = os.environ | {"PYTHON": sys.executable, "OUT": str(folder)}
    command = [str(BENCHMARKS / "gpu.sh"), "--tiny", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


PARTS = ("tests", "profile", "speed", "trials", "accurate")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no sh on Windows")
def test_all_that_a_gpu_is_wanted_for_runs_and_is_stored(gpu_results):
    parts = json.loads((gpu_results / "gpu.json").read_text())["parts"]
    assert {name: part["status"] for name, part in parts.items()} == dict.fromkeys(PARTS, "done")
    found = {path.stem: json.loads(path.read_text()) for path in gpu_results.glob("*.json")}
    sizes = found["step_profile_cpu"]["batch_sizes"]
    assert list(sizes) == ["16", "64"]
    for profile in sizes.values():
        kinds = profile["ms a step, by kind"]
        assert sum(kinds.values()) == pytest.approx(profile["ms a step"])
        assert min(kinds["convolution"], kinds["normalization"], kinds["matrix product"]) > 0
        assert 0 < profile["ms a step, optimizer"] < profile["ms a step"]
        assert all(len(seconds) == 2 for seconds in profile["seconds an epoch"].values())
    trials = found["trials_cpu"]
    assert list(trials["trials"]) == ["as it is", "512, groups, rates"]
    assert trials["n_training_images"] + trials["n_scored"] == 6 * 61
    losses = {fits["0"]["loss"] for fits in trials["trials"].values()}
    assert len(losses) == 2
    assert len(found["accuracy_default_1_epochs"]["accuracies"]) == 1
    assert found["speed_train_cpu"]["figures"]["skcnn / skorch"]["median"] > 0
    assert found["speed_predict_cpu"]["figures"]["images/s, predict_proba"]["median"] > 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no sh on Windows")
def test_a_second_run_does_what_is_left_and_no_more(gpu_results):
    # As if it had been cut off in the middle of the profile.
    path, other = gpu_results / "step_profile_cpu.json", gpu_results / "trials_cpu.json"
    profile = json.loads(path.read_text())
    removed = profile["batch_sizes"].pop("64")
    path.write_text(json.dumps(profile))
    state = json.loads((gpu_results / "gpu.json").read_text())
    state["parts"]["profile"]["status"] = "cut off"
    (gpu_results / "gpu.json").write_text(json.dumps(state))
    stored = other.read_bytes()
    run = run_all_on_a_gpu(gpu_results.parent)
    assert run.returncode == 0, run.stdout
    for name in PARTS:
        assert (f"== {name}: done before, skipped" in run.stdout) == (name != "profile")
    assert "batches of 16 images: stored already" in run.stdout
    again = json.loads(path.read_text())["batch_sizes"]
    assert again["16"] == profile["batch_sizes"]["16"]
    assert again["64"] != removed
    assert other.read_bytes() == stored


def test_a_part_for_the_gpu_ends_when_its_time_is_over(benchmarks, tmp_path):
    import gpu

    wait = "import time; print('begun', flush=True); time.sleep(60)"
    start = time.monotonic()
    found = gpu.run([sys.executable, "-c", wait], 3, tmp_path / "log", os.environ)
    assert time.monotonic() - start < 30
    assert found["status"] == "cut off"
    assert (tmp_path / "log").read_text() == "begun\n"
    fail = "raise SystemExit('no')"
    found = gpu.run([sys.executable, "-c", fail], 30, tmp_path / "log", os.environ)
    assert (found["status"], found["last lines"]) == ("failed", ["no"])


def test_without_time_nothing_begins_and_earlier_results_are_kept(
    benchmarks, monkeypatch, tmp_path, capsys
):
    import gpu

    earlier, out = tmp_path / "earlier", tmp_path / "out"
    earlier.mkdir()
    parts = {
        "tests": {"status": "done", "seconds": 7},
        "profile": {"status": "failed", "seconds": 1},
    }
    (earlier / "gpu.json").write_text(json.dumps({"parts": parts}))
    monkeypatch.setenv("OUT", str(out))
    argv = ["gpu.py", "--tiny", "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", [*argv, "--earlier", str(earlier)])
    assert gpu.main() == 1
    printed = capsys.readouterr().out
    assert "== tests: done before, skipped" in printed
    assert printed.count("no time is left") == len(PARTS) - 1
    # What failed before comes last.
    assert printed.index("== accurate:") < printed.index("== profile:")
    monkeypatch.setattr(sys, "argv", [*argv, "--anew"])
    assert gpu.main() == 1
    assert capsys.readouterr().out.count("no time is left") == len(PARTS)


def test_accuracy_goes_on_after_the_seeds_that_are_stored(
    benchmarks, monkeypatch, tmp_path, capsys
):
    import gpu

    gpu.make_up_images(tmp_path / "images", 3, 1)
    argv = ["accuracy.py", "laptop", "--epochs", "1", "--data", str(tmp_path / "images")]
    path = tmp_path / f"accuracy_laptop_1_epochs{'_cuda' * torch.cuda.is_available()}.json"
    stored = []
    for options in (["--seeds", "1"], ["--seeds", "2", "--go-on"]):
        monkeypatch.setattr(sys, "argv", argv + options)
        benchmarks["accuracy"].main()
        stored.append(json.loads(path.read_text()))
    first, both = stored
    assert len(both["fit_seconds"]) == len(both["accuracies"]) == 2
    assert both["fit_seconds"][0] == first["fit_seconds"][0]
    assert capsys.readouterr().out.count("seed 0:") == 1


def test_operations_of_a_step_are_told_apart(benchmarks):
    import step_profile

    kinds = {
        "aten::cudnn_convolution": "convolution",
        "aten::cudnn_batch_norm_backward": "normalization",
        "aten::linalg_vector_norm": "other",
        "aten::baddbmm": "matrix product",
        "aten::max_pool2d_with_indices": "pooling",
        "aten::silu_backward": "activation",
        "aten::copy_": "copies",
        "aten::lerp_": "other",
    }
    assert {name: step_profile.kind_of(name) for name in kinds} == kinds


@pytest.mark.parametrize("recipe", ["accurate", "transformer"])
def test_trials_are_valid_and_differ(recipe, benchmarks):
    import trials

    from skcnn._estimators._parameters import check_parameters

    found = trials.TRIALS[recipe](getattr(trials.recipes, recipe))
    for settings in found.values():
        check_parameters(ConvNetClassifier(**settings))
    assert len({str(sorted(settings.items())) for settings in found.values()}) == len(found)


def test_a_mode_that_there_is_not_is_refused(benchmarks, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed.py", "speed"])
    with pytest.raises(SystemExit):
        benchmarks["speed"].main()
    assert "unknown modes ['speed']" in capsys.readouterr().err


def test_fingerprints_differ_between_settings_and_repeat(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import fingerprints

    small = {"a": {"filters": 8, "max_epochs": 1}, "b": {"filters": 8, "max_epochs": 2}}
    monkeypatch.setattr(fingerprints, "SETTINGS", small)
    printed = []
    for _ in range(2):
        fingerprints.main()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    hashes = [line.partition(": ")[2] for line in printed[0].splitlines()[1:]]
    assert len(set(hashes)) == len(hashes) == 4


def test_files_of_a_quick_run_are_as_good_as_arrays(benchmarks, monkeypatch, capsys, tmp_path):
    argv = ["files.py", "epochs", "mutated", "cache", "--quick", "--images", "600"]
    monkeypatch.setattr(sys, "argv", argv)
    benchmarks["files"].main()
    output = capsys.readouterr().out
    found, decoder = {}, json.JSONDecoder()
    for mode in ("epochs", "mutated", "cache"):
        place = output.index(f"{mode}: ") + len(f"{mode}: ")
        found[mode], _ = decoder.raw_decode(output, place)
    assert found["epochs"]["predictions equal"]
    mutated = found["mutated"]
    assert mutated["wrong rows"] == 0
    assert mutated["decoded"] > 0
    assert mutated["named"] > 0
    assert mutated["decoded"] + mutated["named"] == 600
    assert found["cache"]["results equal after a kill"]
    assert found["cache"]["results equal of two at once"]
    disk = found["cache"]["full disk"]
    assert isinstance(disk, str) or all(disk.values())
    # What is quick is no result.
    assert not list(tmp_path.glob("files_*"))


def test_the_command_line_is_measured_on_files_of_which_some_are_damaged(benchmarks, tmp_path):
    import command_line
    from PIL import Image, UnidentifiedImageError

    n_damaged = command_line.write_photos(tmp_path, 50, None)
    paths = list(tmp_path.glob("site */*/*.jpg"))
    assert len(paths) == 50
    assert len({path.parts[-3] for path in paths}) == command_line.N_SITES
    assert {path.parts[-2] for path in paths} == set(command_line.CATEGORIES)
    readable = 0
    for path in paths:
        try:
            with Image.open(path) as image:
                image.load()
                assert image.size == command_line.SIZE
            readable += 1
        except (OSError, UnidentifiedImageError):
            continue
    assert readable == 50 - n_damaged == 49


def test_pairs_by_pixels_are_the_changed_copies(benchmarks):
    import uncertainty

    X = np.random.default_rng(0).integers(40, 200, size=(12, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    # Brighter, of less contrast, and of one gray level, which no other image is like.
    X = np.concatenate([X, X[3:4] + 20, X[7:8] // 2 + 60, np.full((2, 32, 32, 3), 90)])
    assert uncertainty.pairs_by_pixels(X.astype(np.uint8)).tolist() == [[3, 12], [7, 13]]
