"""All that is worth measuring while a GPU is at hand, in one go of at most 20 minutes.

    benchmarks/gpu.sh [--data DIR] [--minutes N] [--anew] [--earlier FOLDER] [--tiny]

Runs, in order of worth: the tests that need a GPU, a profile of training steps at several batch
sizes, speed beside plain skorch, short trainings with large batches, and the recipe `accurate`
with three seeds. Each part is a process with a time limit of its own, which stores what it finds
as it comes. A second call skips parts that are done, goes on with one that was cut off, and
repeats what failed at last. Needs no internet: without --data, which is a folder with CIFAR-100's
binary files, the images are random numbers, and accuracies mean nothing.

Results, logs and the list of parts, gpu.json, go to the folder $OUT, or to benchmarks/results/gpu;
those of random images to a folder in it. --earlier copies the results of an earlier call into that
place first. --tiny runs everything on a CPU in about a minute, with few random images and small
networks, to show that it works.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
# Images of a category that are trained on, and scored.
_IMAGES, _TINY_IMAGES = (500, 20), (6, 1)
# Lines at the end of what a part prints that are kept with its status.
_KEPT_LINES = 8
_SHORTEST_PART = 5.0


def parts(data, folder, *, is_random, tiny):
    """Command lines of the parts by name, each with its limit in seconds."""
    python = [sys.executable, "-u"]
    tests = ["-m", "pytest", "-v", "-p", "no:cacheprovider", str(ROOT / "tests" / "test_gpu.py")]
    real = [] if is_random else ["--data", data]
    speed = [*real, "--device", "cpu" if tiny else "cuda", "--rounds"]
    profile = real
    if tiny:
        speed += ["1", "--epochs", "1", "--images", "366", "--skip", "Keras"]
        speed += ["--skip", "matrix product"]
        profile = ["--batch-sizes", "16", "64", "--filters", "8", "16", "--steps", "1"]
        profile += ["--images", "130"]
        chosen = ["as it is", "512, groups, rates"]
        trials = ["--epochs", "1", "--seeds", "1", "--filters", "8", "16", "--trials", *chosen]
        accurate = ["default", "--epochs", "1", "--seeds", "1"]
    else:
        speed += ["3"]
        trials, accurate = [], ["accurate", "--seeds", "3"]
    scripts = {
        "tests": (150, [*tests, f"--junitxml={folder / 'tests.xml'}"]),
        "profile": (120, [BENCHMARKS / "step_profile.py", *profile]),
        "speed": (330, [BENCHMARKS / "speed.py", "train", "predict", "--go-on", *speed]),
        "trials": (240, [BENCHMARKS / "trials.py", "--data", data, *trials]),
        "accurate": (420, [BENCHMARKS / "accuracy.py", *accurate, "--go-on", "--data", data]),
    }
    return {name: (limit, [*python, *map(str, line)]) for name, (limit, line) in scripts.items()}


def main() -> int:
    """Run the parts that are not done yet; the exit status is 0 if all are done then."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, help="folder with CIFAR-100's binary files")
    arguments.add_argument("--minutes", type=float, default=20.0, help="for all parts together")
    arguments.add_argument("--anew", action="store_true", help="do again what is done")
    arguments.add_argument("--earlier", type=Path, help="results of a call that was cut off")
    arguments.add_argument("--tiny", action="store_true", help="on a CPU, in about a minute")
    options = arguments.parse_args()
    if options.tiny and options.data:
        arguments.error("--tiny takes random images, not those of --data")
    deadline = time.monotonic() + 60 * options.minutes
    folder = Path(os.environ.get("OUT") or BENCHMARKS / "results" / "gpu").resolve()
    if not options.data:
        folder /= "tiny" if options.tiny else "random_images"
    if options.anew:
        remove_results(folder)
    elif options.earlier:
        shutil.copytree(options.earlier, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    folder.mkdir(parents=True, exist_ok=True)
    state = read_state(folder)
    print(f"results go to {folder}", flush=True)
    with tempfile.TemporaryDirectory() as made:
        data = options.data
        if data is None:
            data = Path(made)
            make_up_images(data, *(_TINY_IMAGES if options.tiny else _IMAGES))
        environment = os.environ | {
            "SKCNN_RESULTS": str(folder),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        if options.tiny:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        planned = parts(data.resolve(), folder, is_random=options.data is None, tiny=options.tiny)
        # What failed before may fail again: it comes last.
        failed = {name for name, part in state["parts"].items() if part["status"] == "failed"}
        for name in sorted(planned, key=failed.__contains__):
            limit, command = planned[name]
            if state["parts"].get(name, {}).get("status") == "done":
                print(f"== {name}: done before, skipped", flush=True)
                continue
            left = deadline - time.monotonic()
            if left < _SHORTEST_PART:
                print(f"== {name}: no time is left; a second call goes on here", flush=True)
                continue
            limit = min(limit, left)
            print(f"== {name}, at most {limit:.0f} s: {' '.join(command)}", flush=True)
            state["parts"][name] = run(command, limit, folder / f"{name}.log", environment)
            write_state(folder, state)
    return summarize(state, planned)


def remove_results(folder):
    """Remove what earlier calls left, and nothing else."""
    for pattern in ("*.json", "*.log", "*.part", "tests.xml"):
        for path in folder.glob(pattern):
            path.unlink()


def read_state(folder):
    """What earlier calls have done."""
    path = folder / "gpu.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"parts": {}}


def write_state(folder, state):
    """Store it whole at any time."""
    unfinished = folder / "gpu.part"
    unfinished.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / "gpu.json")


def run(command, limit, log, environment):
    """Run a part, show and keep what it prints, and stop it when its time is over."""
    start, last = time.monotonic(), deque(maxlen=_KEPT_LINES)
    # A group of its own, so that processes that it starts end with it.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    timed_out = threading.Event()

    def stop():
        timed_out.set()
        kill(process)

    timer = threading.Timer(limit, stop)
    timer.start()
    try:
        with process, open(log, "a", encoding="utf-8") as file:
            try:
                for line in process.stdout:
                    print(f"   {line}", end="", flush=True)
                    file.write(line)
                    file.flush()
                    last.append(line.rstrip())
            except BaseException:
                kill(process)
                raise
    finally:
        timer.cancel()
    status = "done" if process.returncode == 0 else "cut off" if timed_out.is_set() else "failed"
    seconds = time.monotonic() - start
    print(f"== {status} after {seconds:.0f} s", flush=True)
    return {
        "status": status,
        "seconds": seconds,
        "exit status": process.returncode,
        "last lines": list(last),
    }


def kill(process):
    """End a part and all processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def summarize(state, planned):
    """Print what is done and what is not, and return the exit status."""
    print("\npart        status       seconds")
    for name in planned:
        found = state["parts"].get(name, {"status": "not begun", "seconds": 0})
        print(f"{name:<11} {found['status']:<12} {found['seconds']:7.0f}")
    done = all(state["parts"].get(name, {}).get("status") == "done" for name in planned)
    if not done:
        print("The same command goes on with what is not done.")
    return 0 if done else 1


def make_up_images(home, n_training, n_test):
    """Write random images of the ecology categories as CIFAR-100 stores its own."""
    import numpy as np

    from skcnn.datasets._categories import COARSE_NAMES, COARSE_OF_FINE, FINE_NAMES, chosen_labels

    folder = home / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name, labels in (("fine", FINE_NAMES), ("coarse", COARSE_NAMES)):
        text = "".join(f"{label}\n" for label in labels)
        (folder / f"{name}_label_names.txt").write_text(text, encoding="utf-8")
    rng = np.random.default_rng(0)
    for name, number in (("train", n_training), ("test", n_test)):
        fine = rng.permutation(np.repeat(chosen_labels("ecology"), number))
        records = rng.integers(256, size=(len(fine), 3074), dtype=np.uint8)
        records[:, 0], records[:, 1] = np.asarray(COARSE_OF_FINE)[fine], fine
        records.tofile(folder / f"{name}.bin")


if __name__ == "__main__":
    # So that a part ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
