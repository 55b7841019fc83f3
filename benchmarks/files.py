"""Images from files: speed, memory, and what does not go wrong.

    python benchmarks/files.py [MODE ...] [--data DIR] [--rounds N] [--images N] [--quick]

The modes:

- epochs: one epoch of the baseline on images that are PNG files in a folder per class, without a
  cache, with an empty one and with a filled one, against the same epoch on an array, and whether
  all four predict the same for every fifth. With --data DIR, which holds CIFAR-100, these are the
  30,500 photographs of 61 categories, or --images of them; otherwise random images.
- jpegs: JPEG files of 4000x3000 pixels to 96x96, against a loop over Pillow, and against
  keras.utils.image_dataset_from_directory where Keras is installed. --images files, copies of
  eight.
- predict: predict_proba of --images paths of the same few files, against 10,000: peak memory of
  the process, on Linux, and time per image.
- stream: one epoch on --images cached images of 32x32 pixels that are not kept in memory, against
  10,000: the same.
- mutated: --images files, each with a few bytes changed, cut off or replaced, among whole ones:
  how many are decoded, how many named, and whether the whole ones are right.
- cache: processes that are killed while they fill a cache of --images images, two that fill it at
  once, and a disk that is full, where one may be mounted.
- resize, cameras: accuracy of the default network with each way of `resize`, on photographs of all
  proportions, and on some that are all 4:3, as cameras make them. They need --data; only training
  photographs are used.
- sides: accuracy and time of the default network on made-up organisms in JPEG files of 160x160
  pixels, read at several sizes; one in seven is trained on. Half an hour per round on one core.

What is compared takes turns in each round. The results are ratios: median, least and greatest of
the rounds, of time on the clock and of processor time, which means more on a busy machine. They
are stored in results/files_MODE.json. --quick runs everything on few images in one round, and
stores nothing.
"""

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from reporting import describe_machine, spread, store, versions

from skcnn import ConvNetClassifier, ImageLoader, clear_image_cache, recipes
from skcnn.datasets import fetch_cifar100, load_image_folder, make_organisms

# Images of each mode, and of a quick trial.
N_IMAGES = {
    "epochs": (6_000, 200),
    "jpegs": (100, 9),
    "predict": (200_000, 2_000),
    "stream": (200_000, 2_000),
    "mutated": (10_000, 200),
    "cache": (10_000, 2_000),
    "resize": (3_000, 300),
    "cameras": (3_000, 300),
    "sides": (2_000, 200),
}
# What many images are compared with.
N_FEW = 10_000


def main():
    """Run the modes that are named, or all of them."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("modes", nargs="*", metavar="mode", help=", ".join(N_IMAGES))
    arguments.add_argument("--data", type=Path, help="folder that holds CIFAR-100")
    arguments.add_argument("--images", type=int)
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--quick", action="store_true", help="few images, nothing stored")
    options = arguments.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    unknown = set(options.modes) - set(MODES)
    if unknown:
        arguments.error(f"no such mode: {', '.join(sorted(unknown))}")
    print(describe_machine("cpu"), flush=True)
    for mode in options.modes or MODES:
        if mode in ("resize", "cameras") and not options.data:
            print(f"{mode}: needs --data")
            continue
        n_images = options.images or N_IMAGES[mode][options.quick]
        with tempfile.TemporaryDirectory(prefix="skcnn-files-") as folder:
            figures = MODES[mode](Path(folder), n_images, options)
        print(f"{mode}: {json.dumps(figures, indent=2)}", flush=True)
        if not options.quick:
            about = {
                "machine": describe_machine("cpu"),
                "threads": torch.get_num_threads(),
                "versions": versions("pillow", "keras", "tensorflow"),
            }
            store(f"files_{mode}", {"figures": figures, **about})


def timed(function):
    """Run a function; return seconds on the clock and of processors, and the result."""
    start = time.perf_counter(), time.process_time()
    result = function()
    return (time.perf_counter() - start[0], time.process_time() - start[1]), result


def ratios(taken, over):
    """What each contestant takes within each round, over what one of them takes."""
    figures = {}
    for name, values in taken.items():
        if name != over:
            for kind, place in (("time", 0), ("processor time", 1)):
                figures[f"{name} / {over}, {kind}"] = spread(
                    [one[place] / other[place] for one, other in zip(values, taken[over])]
                )
    return figures


# ---------------------------------------------------------------------- speed


def epochs(folder, n_images, options):
    """One epoch on files and on an array."""
    if options.data:
        X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
        if options.images:
            some = np.random.RandomState(0).permutation(len(X))[: options.images]
            X, y = X[some], y[some]
        # The names of folders.
        y = y.astype(str)
    else:
        X = np.random.RandomState(0).randint(256, size=(n_images, 32, 32, 3), dtype=np.uint8)
        y = np.array([f"class {number:02}" for number in np.arange(n_images) % 61])
    for number, (image, label) in enumerate(zip(X, y)):
        place = folder / "images" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:05}.png")
    photos = load_image_folder(folder / "images")
    order = [int(Path(path).stem) for path in photos.data]
    X, y = X[order], y[order]
    assert (photos.target == y).all()
    cache = folder / "cache"
    settings = recipes.lesson | {"max_epochs": 1, "early_stopping": False, "random_state": 0}

    def fit(images, **more):
        return ConvNetClassifier(**settings | more).fit(images, y)

    fit_array = partial(fit, X)
    fit_files = partial(fit, photos.data)
    fit_cached = partial(fit, photos.data, cache_dir=cache)
    contestants = {
        "array": fit_array,
        "files": fit_files,
        "empty cache": fit_cached,
        "filled cache": fit_cached,
    }
    # The first fit of a process takes longer.
    few = slice(None, None, max(1, len(X) // 500))
    ConvNetClassifier(**settings).fit(X[few], y[few])
    taken = {name: [] for name in contestants}
    equal = []
    for _ in range(options.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        found = {}
        for name, contestant in contestants.items():
            seconds, found[name] = timed(contestant)
            taken[name].append(seconds)
        some = slice(None, None, 5)
        expected = found["array"].predict_proba(X[some])
        equal += [
            bool((clf.predict_proba(photos.data[some]) == expected).all())
            for clf in found.values()
        ]
    return {
        "images": len(X),
        "seconds of a fit on an array": spread([one[0] for one in taken["array"]]),
        **ratios(taken, "array"),
        "predictions equal": all(equal),
    }


def jpegs(folder, n_images, options):
    """Large JPEG files to small images."""
    place = folder / "images" / "all"
    place.mkdir(parents=True)
    rng = np.random.RandomState(0)
    organisms, _ = make_organisms(8, n_classes=2, image_size=250, random_state=0)
    for number, image in enumerate(organisms):
        large = np.asarray(Image.fromarray(image).resize((4000, 3000), Image.Resampling.BICUBIC))
        noisy = large + rng.normal(0, 6, size=(3000, 4000, 1))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(
            place / f"{number:05}.jpg", quality=88
        )
    for number in range(8, n_images):
        shutil.copyfile(place / f"{number % 8:05}.jpg", place / f"{number:05}.jpg")
    paths = sorted(map(str, place.iterdir()))

    def plain():
        for path in paths:
            with Image.open(path) as image:
                np.asarray(image.convert("RGB").resize((96, 96)))

    contestants = {
        # As the others do.
        "skcnn": lambda: ImageLoader((96, 96), resize="stretch").fit_transform(paths),
        "loop over Pillow": plain,
    }
    try:
        from keras.utils import image_dataset_from_directory
    except ImportError:
        pass
    else:
        contestants["Keras"] = lambda: list(
            image_dataset_from_directory(
                place.parent, image_size=(96, 96), labels=None, verbose=False
            )
        )
    taken = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, contestant in contestants.items():
            taken[name].append(timed(contestant)[0])
    return {
        "files": len(paths),
        "milliseconds per file": spread([1000 * one[0] / len(paths) for one in taken["skcnn"]]),
        **ratios(taken, "skcnn"),
    }


# ---------------------------------------------------------------------- memory

# The peak in getrusage may be that of the process which has started this one.
_MEASURED = """
import sys, time
import numpy as np
sys.path[:0] = {path!r}
{body}
with open("/proc/self/status") as file:
    peak = next(line for line in file if line.startswith("VmHWM:"))
print(seconds, int(peak.split()[1]) / 1024)
"""

_PREDICT = """
import joblib
clf, paths = joblib.load(sys.argv[1])
n = int(sys.argv[2])
paths = (paths * (n // len(paths) + 1))[:n]
clf.predict_proba(paths[:2000])
start = time.perf_counter()
assert clf.predict_proba(paths).shape == (n, 2)
seconds = time.perf_counter() - start
"""

_STREAM = """
import os
import pandas as pd
from skcnn import ConvNetClassifier
from skcnn._data import _files
from skcnn._data._decoded_cache import DecodedCache
from skcnn._data._file_keys import file_keys
from skcnn._data._paths import read_paths
# Also so few images are not kept in memory.
_files._MAX_BYTES_IN_MEMORY = 0
n, folder = int(sys.argv[2]), sys.argv[3]
names = [os.path.join(sys.argv[1], name) for name in sorted(os.listdir(sys.argv[1]))]
# Each image is another part of one of the files.
number = np.arange(n)
X = pd.DataFrame({
    "path": np.array(names, dtype=object)[number % len(names)],
    "box_x": 0.0, "box_y": 0.0, "box_width": 1.0, "box_height": 1 - number / (2 * n),
})
paths = read_paths(X)
cache = DecodedCache(folder, (32, 32, 3), "stretch")
pixels = np.random.RandomState(0).randint(256, size=(5000, 32, 32, 3), dtype=np.uint8)
for start in range(0, n, 5000):
    rows = np.arange(start, min(n, start + 5000))
    cache.write(file_keys(paths, rows), pixels[: len(rows)])
cache.close()
del paths, cache, pixels
y = number % 2
clf = ConvNetClassifier(
    filters=2, convs_per_block=1, max_epochs=1, batch_size=512, image_shape=(32, 32, 3),
    cache_dir=folder, augment=None, random_state=0,
)
start = time.perf_counter()
clf.fit(X, y)
seconds = time.perf_counter() - start
"""


def measured(body, *arguments):
    """Run code in a process of its own; return its seconds and its memory in MB."""
    code = _MEASURED.format(path=[str(Path(__file__).parents[1])], body=body)
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, megabytes = map(float, run.stdout.split())
    return seconds, megabytes


def few_files(folder, n_files=200):
    """Write a few small images."""
    folder.mkdir()
    X, y = make_organisms(n_files, n_classes=2, image_size=32, random_state=0)
    paths = [str(folder / f"{number:04}.png") for number in range(n_files)]
    for path, image in zip(paths, X):
        Image.fromarray(image).save(path)
    return paths, y


def compare_memory(body, n_images, rounds, *arguments_of):
    """Memory and time per image for many images, and for few."""
    n_few = min(N_FEW, n_images // 2)
    megabytes, times = [], []
    for number in range(rounds):
        few, many = (
            measured(body, *(argument(n, number) for argument in arguments_of))
            for n in (n_few, n_images)
        )
        megabytes.append(many[1] - few[1])
        times.append((many[0] / n_images) / (few[0] / n_few))
    extra = spread(megabytes)
    return {
        "images": n_images,
        "few images": n_few,
        "MB more than for few": extra,
        "bytes per image": 2**20 * extra["median"] / (n_images - n_few),
        "time per image, over that of few": spread(times),
    }


def predict(folder, n_images, options):
    """Predictions for many paths."""
    import joblib

    paths, y = few_files(folder / "images")
    clf = ConvNetClassifier(filters=4, max_epochs=1, random_state=0).fit(paths, y)
    joblib.dump((clf, paths), folder / "clf")
    return compare_memory(
        _PREDICT, n_images, options.rounds, lambda n, number: folder / "clf", lambda n, number: n
    )


def stream(folder, n_images, options):
    """Training on many images from the cache."""
    few_files(folder / "images")
    return compare_memory(
        _STREAM,
        n_images,
        options.rounds,
        lambda n, number: folder / "images",
        lambda n, number: n,
        lambda n, number: folder / f"cache {n} {number}",
    )


# ---------------------------------------------------------------------- robustness


def mutated(folder, n_images, options):
    """Files that are damaged at random, among whole ones."""
    rng = np.random.RandomState(0)
    image = Image.fromarray(make_organisms(1, n_classes=2, image_size=90, random_state=0)[0][0])
    originals, whole = [], []
    for suffix in ("jpg", "png", "gif", "tif", "webp", "bmp", "jp2", "ppm"):
        whole.append(folder / f"original.{suffix}")
        image.save(whole[-1])
        originals.append(np.frombuffer(whole[-1].read_bytes(), np.uint8))
    loader = ImageLoader((32, 32), on_error="skip").fit(whole)
    expected = loader.transform(whole)
    n_decoded, slowest, wrong = 0, 0.0, 0
    batch = 50
    for first in range(0, n_images, batch):
        paths, is_whole = [], np.zeros(batch + len(whole), dtype=bool)
        is_whole[rng.permutation(len(is_whole))[: len(whole)]] = True
        left = iter(whole)
        for place, keeps in enumerate(is_whole):
            if keeps:
                paths.append(next(left))
                continue
            paths.append(folder / f"{place}.jpg")
            damage = _damage(originals, first + place, rng)
            paths[-1].write_bytes(damage.tobytes())
        with warnings.catch_warnings():
            # That files have been skipped.
            warnings.simplefilter("ignore", UserWarning)
            seconds, pixels = timed(partial(loader.transform, paths))
        is_named = np.isnan(pixels).any(axis=1)
        slowest = max(slowest, seconds[0])
        n_decoded += int((~is_named[~is_whole]).sum())
        wrong += int((pixels[is_whole] != expected).any(axis=1).sum())
        wrong += int((~np.isnan(pixels[is_named])).any(axis=1).sum())
    n_files = -(-n_images // batch) * batch
    return {
        "files": n_files,
        "decoded": n_decoded,
        "named": n_files - n_decoded,
        "wrong rows": wrong,
        f"seconds for the slowest {batch}": slowest,
    }


def _damage(originals, number, rng):
    """Bytes of a file that is cut off, or has other bytes or the header of another format."""
    data = originals[number % len(originals)].copy()
    kind = rng.randint(3)
    if kind == 0:
        return data[: rng.randint(len(data))]
    if kind == 1:
        data[rng.randint(len(data), size=rng.randint(1, 20))] = rng.randint(256)
        return data
    header = originals[rng.randint(len(originals))][: rng.randint(4, 200)]
    data[: len(header)] = header[: len(data)]
    return data


def cache(folder, n_images, options):
    """Processes that are killed, two at once, and a full disk."""
    context = multiprocessing.get_context("fork")
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(n_images, 32, 32, 3), dtype=np.uint8)
    paths = [folder / f"{number:05}.png" for number in range(n_images)]
    for path, image in zip(paths, X):
        Image.fromarray(image).save(path)
    seconds, undisturbed = timed(partial(_load, paths, folder / "first"))
    # The shape of the images takes a few bytes, too.
    n_bytes = 1e9 * clear_image_cache(folder / "first")
    n_kills = 3 if options.quick else 30
    shares, equal = [], []
    for kill in range(n_kills):
        process = context.Process(target=_load, args=(paths, folder / str(kill)))
        process.start()
        time.sleep(seconds[0] * (kill + 0.5) / n_kills)
        process.kill()
        process.join()
        stored = sum(path.stat().st_size for path in (folder / str(kill)).rglob("*.pixels"))
        shares.append(stored / n_bytes)
        equal += [bool((_load(paths, folder / str(kill)) == undisturbed).all()) for _ in range(2)]
        clear_image_cache(folder / str(kill))
    both = folder / "both"
    processes = [
        context.Process(target=_check_load, args=(some, both, undisturbed[:: 1 - 2 * i]))
        for i, some in enumerate([paths, paths[::-1]])
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return {
        "images": n_images,
        "kills": n_kills,
        "kills with a part of the images stored": sum(0 < share < 1 for share in shares),
        "share of the images stored when killed": spread(shares),
        "results equal after a kill": all(equal),
        "results equal of two at once": all(process.exitcode == 0 for process in processes),
        "full disk": _fill_disk(folder / "disk", paths, undisturbed),
    }


def _load(paths, folder):
    return ImageLoader(cache_dir=folder).fit_transform(paths)


def _check_load(paths, folder, expected):
    if not (_load(paths, folder) == expected).all():
        sys.exit("Other pixels.")


def _fill_disk(place, paths, expected):
    """What estimators say on a disk for a tenth of the images."""
    place.mkdir()
    kilobytes = max(64, expected.nbytes // 10_000)
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        return f"not measured: {mounted.stderr.strip()}"
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            equal = bool((_load(paths, place) == expected).all())
        try:
            y = np.arange(len(paths)) % 2
            ConvNetClassifier(filters=2, max_epochs=1, cache_dir=place).fit(paths, y)
            error = ""
        except OSError as found:
            error = str(found)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    return {
        "results equal": equal,
        "warning": any("No space left" in str(one.message) for one in warned),
        "error in fit": "No space left" in error,
    }


# ---------------------------------------------------------------------- defaults


def resize(folder, n_images, options):
    """Accuracy with each way of resizing, where photographs differ in their proportions."""

    def sides(rng):
        # As wide as high, to twice as wide as high, or the other way round.
        long, short = 32, int(rng.uniform(16, 33))
        return (long, short) if rng.rand() < 0.5 else (short, long)

    return score_resizing(folder, n_images, options, sides)


def cameras(folder, n_images, options):
    """The same where all photographs are a third wider than high."""
    return score_resizing(folder, n_images, options, lambda rng: (24, 32))


def score_resizing(folder, n_images, options, sides):
    """Cut parts of some sides out of photographs of one category in six, and learn from files."""
    X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
    chosen = np.isin(y, np.unique(y)[::6])
    X, y = X[chosen], y[chosen]
    rng = np.random.RandomState(0)
    order = rng.permutation(len(X))[:n_images]
    X, y = X[order], y[order]
    paths = []
    for number, image in enumerate(X):
        height, width = sides(rng)
        top, left = rng.randint(33 - height), rng.randint(33 - width)
        paths.append(str(folder / f"{number:05}.png"))
        Image.fromarray(image[top : top + height, left : left + width]).save(paths[-1])
    paths = np.array(paths)
    n_train = int(0.8 * len(paths))
    accuracy = {way: [] for way in ("crop", "pad", "stretch")}
    for seed in range(options.rounds):
        for way, found in accuracy.items():
            clf = ConvNetClassifier(image_shape=(32, 32), resize=way, random_state=seed)
            if options.quick:
                clf.set_params(max_epochs=1)
            clf.fit(paths[:n_train], y[:n_train])
            found.append(clf.score(paths[n_train:], y[n_train:]))
            print(f"seed {seed}, {way}: {found[-1]:.3f}", flush=True)
    return {
        "images": len(paths),
        "classes": len(np.unique(y)),
        "accuracy on held-out training images": {
            way: spread(found) for way, found in accuracy.items()
        },
    }


def sides(folder, n_images, options):
    """Accuracy and time by the size at which files are read."""
    X, y = make_organisms(
        n_samples=n_images, n_classes=10, image_size=160, difficulty=0.9, random_state=0
    )
    paths = np.array([str(folder / f"{number:05}.jpg") for number in range(n_images)])
    for path, image in zip(paths, X):
        Image.fromarray(image).save(path, quality=90)
    # What is scored takes little time, and makes the differences certain.
    n_train = int(0.15 * n_images)
    found = {}
    for seed in range(options.rounds):
        for side in (32, 48, 64, 96):
            clf = ConvNetClassifier(image_shape=(side, side), random_state=seed)
            if options.quick:
                clf.set_params(max_epochs=1)
            fit = partial(clf.fit, paths[:n_train], y[:n_train])
            (_, seconds), _ = timed(fit)
            accuracies, taken = found.setdefault(f"{side}x{side}", ([], []))
            accuracies.append(clf.score(paths[n_train:], y[n_train:]))
            taken.append(seconds)
            print(f"seed {seed}, {side}x{side}: {accuracies[-1]:.3f}, {seconds:.0f} s", flush=True)
    return {
        "images": n_train,
        "scored": n_images - n_train,
        "classes": len(np.unique(y)),
        "accuracy": {side: spread(accuracies) for side, (accuracies, _) in found.items()},
        "processor seconds of a fit": {side: spread(taken) for side, (_, taken) in found.items()},
    }


MODES = {
    "epochs": epochs,
    "jpegs": jpegs,
    "predict": predict,
    "stream": stream,
    "mutated": mutated,
    "cache": cache,
    "resize": resize,
    "cameras": cameras,
    "sides": sides,
}

if __name__ == "__main__":
    main()
