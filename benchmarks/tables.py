"""Write the tables of the documentation from the stored results.

    python benchmarks/tables.py [--check]

A table stands between the lines `<!-- table NAME -->` and `<!-- end of table -->` of a file in
docs/, of benchmarks/README.md or of README.md, which has one there. With --check nothing is
written, and it is an error where a table is not what the results make it.
"""

import argparse
import re
import sys
import textwrap
from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from reporting import load

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# In the order of the table: the files of results, and what their rows are called.
ACCURACY_JOBS = {
    "lesson": "baseline (lesson)",
    "default": "default",
    "fast": "fast",
    "transformer": "transformer",
    "laptop": "laptop",
    "narrow": "narrow",
    "compact": "compact",
}
TRANSFORMER_TRIALS = {
    "as it is": "the recipe: Muon, `lr=0.02`",
    "lr 0.01": "`lr=0.01`",
    "lr 0.05": "`lr=0.05`",
    "AdamW": "AdamW, `lr=0.001`, `weight_decay=0.05`",
}
FAST_UNITS = "fast / the lesson's job, skorch"
ACCURACY_HEAD = ["job", "parameters", "test accuracy", "seeds"]
GPU_JOBS = {
    "lesson": "baseline (lesson)",
    "default": "default",
    "accurate": "accurate",
}
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main():
    """Bring all tables up to date, or say which are not."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true")
    check = arguments.parse_args().check
    stale = []
    for path in FILES:
        before = path.read_text(encoding="utf-8")
        after = MARKED.sub(lambda m: f"{m[1]}{TABLES[m[2]]()}\n{m[3]}", before)
        if after != before:
            stale.append(path)
            if not check:
                path.write_text(after, encoding="utf-8")
    if check and stale:
        sys.exit(f"Not as the results make them: {', '.join(map(str, stale))}")


def table(head, rows):
    """Put together a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figures(result, names, digits=2):
    """Rows of some figures of a result: the median, and what the rounds lay between."""
    for name, shown in names.items():
        figure = result["figures"].get(name)
        if figure is None:
            continue
        if not isinstance(figure, dict):
            yield [shown, f"{figure:.{digits}f}", ""]
            continue
        low, median, high = (f"{figure[key]:,.{digits}f}" for key in ("min", "median", "max"))
        yield [shown, median, f"{low} to {high}"]


def measured_on(result, *, threads=True):
    """Say what a result was measured on, with how many threads where it is the same for all."""
    n_threads = int(result["threads"])
    used = ", one thread" if n_threads == 1 else f", {n_threads} threads"
    packages = ", ".join(
        f"{name} {version.partition('+')[0]}"
        for name, version in result["versions"].items()
        if name not in ("skcnn", "numpy")
    )
    return f"\nMeasured on: {result['machine']}{used if threads else ''}; {packages}."


def all_measured_on(results, *, threads=False):
    """Say what several results were measured on, and which of them on what where it differs."""
    names = {}
    for name, result in results.items():
        names.setdefault(measured_on(result, threads=threads), []).append(name)
    if len(names) == 1:
        return next(iter(names))
    # What most were measured on comes last, without a list of their names.
    most = max(names, key=lambda line: len(names[line]))
    if 2 * len(names[most]) > len(results):
        del names[most]
        names[most] = ["all others"]
    # Names of several parts have commas already.
    separator = "; " if any(", " in name for name in results) else ", "
    return "\n".join(
        line.replace("Measured on:", f"For {separator.join(rows)}, measured on:")
        for line, rows in names.items()
    )


TRAINING_RATIOS = {
    "skcnn / skorch": "skcnn against plain skorch",
    "skcnn / Keras": "skcnn against Keras on TensorFlow",
    "skcnn / loop by hand": "skcnn against a plain PyTorch loop, of the same precision and layout",
    "skcnn, float32 / skorch": 'skcnn with `precision="float32"` against plain skorch',
    "flips and shifts / none": "skcnn with flips and shifts against without",
}


def side_by_side(results, names, digits=2):
    """Rows of the same figures of several results, those of each in two further cells."""
    found = [figures(result, names, digits) for result in results]
    return [[rows[0][0], *chain(*(row[1:] for row in rows))] for rows in zip(*found, strict=True)]


def train_table():
    results = {
        "the columns without AMX": load("speed_train_cpu"),
        "those with it": load("speed_train_cpu_amx"),
    }
    found = results.values()
    seconds = {
        f"seconds, {name}": name
        for name in ("skcnn", "skcnn, float32", "loop by hand", "skorch", "Keras")
    }
    rate = {
        "steps, GFLOP/s": "what steps of training compute",
        "matrix product in bfloat16, GFLOP/s": "what a product of large matrices computes",
    }
    ratio = {"steps / matrix product": "share of it that steps of training reach"}
    head = ["median", "rounds", "with AMX", "rounds"]
    return "\n".join(
        [
            table(["time per epoch", "ratio", *head[1:]], side_by_side(found, TRAINING_RATIOS)),
            "",
            table(["seconds per epoch", *head], side_by_side(found, seconds, 1)),
            "",
            table(
                ["arithmetic, GFLOP/s", *head],
                [*side_by_side(found, rate, 0), *side_by_side(found, ratio)],
            ),
            all_measured_on(results, threads=True),
        ]
    )


def train_cuda_table():
    result = load("speed_train_cuda")
    ratios = [row[:2] for row in figures(result, TRAINING_RATIOS)]
    head = [f"time of {result['epochs']} epochs", "ratio, one round"]
    return table(head, ratios) + "\n" + measured_on(result, threads=False)


def predict_table():
    result = load("speed_predict_cpu")
    share = {
        "predict_proba / by hand": "`predict_proba` of 30,500 images against its bare network"
    }
    rate = {"images/s, predict_proba": "images per second"}
    single = {
        "one image, ms, predict_proba": "one image, ms",
        "one image, ms above the bare network": "one image, ms above its bare network",
    }
    rows = [*figures(result, share), *figures(result, rate, 0), *figures(result, single)]
    return table(["prediction", "median", "rounds"], rows) + "\n" + measured_on(result)


def onnx_table():
    result = load("speed_onnx_cpu")
    names = {
        name: name.removeprefix("CPU time, skcnn / onnxruntime, ")
        for name in result["figures"]
        if name.startswith("CPU time")
    }
    rows = figures(result, names)
    head = ["CPU time of skcnn / of onnxruntime, 5,000 images", "median", "rounds"]
    greatest = max(v for name, v in result["figures"].items() if name.startswith("greatest"))
    note = f"Probabilities differ by {greatest:.0e} at most."
    runtime = f"onnxruntime {result['onnxruntime']}"
    return f"{table(head, rows)}\n\n{note} {measured_on(result).strip()[:-1]}, {runtime}."


def memory_table():
    result = load("speed_memory_cpu")
    names = {
        "MB above torch and X, lesson": "baseline",
        "MB above torch and X, default": "`ConvNetClassifier()`",
        "MB of which imports": "of which imports",
    }
    head = [f"MB, a fit of {result['n_images']:,} images", "median", "rounds"]
    return table(head, figures(result, names, 0)) + "\n" + measured_on(result)


def compile_table():
    result = load("speed_compile_cpu")
    rows = []
    for job, shown in {"default": "`ConvNetClassifier()`", "fast": "`recipes.fast`"}.items():
        (ratio,) = figures(result, {f"epoch, compiled / not, {job}": shown})
        ((_, *seconds),) = figures(result, {f"seconds to compile, {job}": shown}, 0)
        rows.append([*ratio, *seconds])
    head = ["processor time", "an epoch, compiled / not", "rounds", "seconds to compile", "rounds"]
    return table(head, rows) + "\n" + measured_on(result)


def busy_table():
    result = load("busy")
    names = sorted({name.partition(", ")[2] for name in result["figures"]}, key=_busy_order)
    rows = []
    for name in names:
        cells = [f"`{name}`" if "=" in name else name]
        for place in ("alone", "beside others"):
            figure = result["figures"][f"{place}, {name}"]
            cells.append(f"{figure['median']:.1f} ({figure['min']:.1f} to {figure['max']:.1f})")
        cells.append("yes" if result["same bits as they are"][name] else "no")
        rows.append(cells)
    head = [
        "setting",
        "seconds, alone",
        f"seconds, beside {result['other programs']} busy programs",
        "same network",
    ]
    return table(head, rows) + "\n" + measured_on(result)


def _busy_order(name):
    return ("as it is" not in name, name)


def accuracy_table():
    rows, results = [], {}
    speeds = [load(f"speed_recipes_{name}") for name in ("cpu", "cpu_amd", "cpu_float32")]
    # Of the baseline, an epoch says it all.
    of_lesson = [load(f"speed_train_{name}") for name in ("cpu_amx", "cpu")]
    for name, shown in ACCURACY_JOBS.items():
        found = results[shown] = load(f"accuracy_{name}")
        shares = [speed["figures"].get(f"{name} / the lesson's job, skorch") for speed in speeds]
        if name == "lesson":
            shares = [*(epochs["figures"]["skcnn / skorch"] for epochs in of_lesson), None]
        rows.append(
            [
                *accuracy_cells(shown, found),
                # Seconds beside other programs are no measure of the fit.
                "" if found.get("beside_others") else f"{np.median(found['fit_seconds']):.0f}",
                str(found["threads"]),
                *(f"{share['median']:.2f}" if share else "" for share in shares),
            ]
        )
    head = [*ACCURACY_HEAD, "seconds", "threads", "AMX", "avx512_bf16", "float32"]
    return table(head, rows) + "\n" + all_measured_on(results)


def transformer_trials_table():
    result = load("trials_transformer_cpu")
    rows = [
        [shown, f"{result['trials'][name]['0']['accuracy']:.3f}"]
        for name, shown in TRANSFORMER_TRIALS.items()
    ]
    note = (
        f"{result['n_training_images']:,} images, {result['epochs']} epochs, one seed; accuracy "
        f"on {result['n_scored']:,} other training images."
    )
    return "\n".join([table(["setting", "accuracy"], rows), "", note, "", measured_on(result)])


def headline():
    """Accuracy, training time and parameters of the recipe beside those of the baseline."""
    fast, lesson = load("accuracy_fast"), load("accuracy_lesson")
    share, slower = (
        load(f"speed_recipes_{machine}")["figures"][FAST_UNITS]
        for machine in ("cpu", "cpu_float32")
    )
    # Ratios of one column are of one kind of machine.
    ours = load("speed_train_cpu_amx")["figures"]["skcnn / skorch"]
    rows = [
        [
            shown,
            "{:.1f}% ± {:.1f}".format(*_percent(found["accuracies"])),
            f"{ratio['median']:.2f}",
            f"{found['n_parameters']:,}",
        ]
        for shown, found, ratio in (
            ("baseline CNN", lesson, ours),
            ("`recipes.fast`", fast, share),
        )
    ]
    head = ["", "test accuracy, 61 classes", "training time", "parameters"]
    note = (
        f"Accuracy on {fast['n_test_images']:,} test images, mean and standard deviation over "
        f"{len(fast['accuracies'])} seeds. Training time on a CPU with AMX, in units of plain "
        "skorch training the baseline: below 1 is faster. Where bfloat16 is not fast, "
        f"`recipes.fast` takes {slower['median']:.1f} units."
    )
    return "\n".join([table(head, rows), "", *textwrap.wrap(note, 99)])


def _percent(accuracies):
    values = 100 * np.array(accuracies)
    return values.mean(), values.std(ddof=1)


def accuracy_cuda_table():
    rows = []
    results = {shown: load(f"accuracy_{name}_cuda") for name, shown in GPU_JOBS.items()}
    for shown, found in results.items():
        first, *later = (f"{seconds:.0f}" for seconds in found["fit_seconds"])
        rows.append([*accuracy_cells(shown, found), first, ", ".join(later)])
    head = [*ACCURACY_HEAD, "seconds of the first fit", "of later ones"]
    return table(head, rows) + "\n" + all_measured_on(results)


def accuracy_cells(shown, found):
    """The columns that `ACCURACY_HEAD` names."""
    values = np.array(found["accuracies"])
    return [
        shown,
        f"{found['n_parameters']:,}",
        f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""),
        str(len(values)),
    ]


def precision_table():
    rows, result = [], None
    for precision in ("", "_float32"):
        result = load(f"accuracy_lesson_6_epochs{precision}")
        values = np.array(result["accuracies"])
        each = ", ".join(f"{value:.3f}" for value in values)
        rows.append([result["precision"].removeprefix("torch."), f"{values.mean():.3f}", each])
    head = ["training in", "test accuracy", "seeds 0, 1, 2"]
    return table(head, rows) + "\n" + measured_on(result)


def defaults_table():
    """A column for each kind of images, and a row for each setting."""
    result = load("defaults")
    jobs = result["jobs"].values()
    variants = list(dict.fromkeys(chain(*jobs)))
    n_images = [f"{found['default']['n_training_images']:,}" for found in jobs]
    n_seeds = [max(len(fits["accuracies"]) for fits in found.values()) for found in jobs]
    rows = [["training images", *n_images], ["seeds", *map(str, n_seeds)]]
    for variant in variants:
        found_here = [found.get(variant) for found in jobs]
        cells = [f"{np.mean(fits['accuracies']):.3f}" if fits else "" for fits in found_here]
        rows.append([variant, *cells])
    head = ["images", *result["jobs"]]
    return table(head, rows) + "\n" + all_measured_on(fits_by_row(result), threads=True)


def early_stopping_table():
    """A row for each way to fit, with accuracy and epochs for each kind of images."""
    kinds = load("early_stopping")["kinds"]
    first = next(iter(kinds.values()))
    names = {
        "all epochs": "all epochs",
        "early_stopping=True": "`early_stopping=True`",
        "all epochs, nine tenths of the images": "all epochs, nine tenths",
        "early_stopping=True, X_val": "`early_stopping=True`, with `X_val`",
        "early_stopping=True, lr_schedule=None": "`early_stopping=True`, `lr_schedule=None`",
    }
    rows = [
        [shown, *chain(*(early_stopping_cells(fits.get(variant)) for fits in kinds.values()))]
        for variant, shown in names.items()
    ]
    about = next(iter(first.values()))
    seeds = {len(fits["all epochs"]["accuracies"]) for fits in kinds.values()}
    note = (
        f"Test accuracy with its standard deviation over {' or '.join(map(str, sorted(seeds)))} "
        f"seeds, and the mean number of epochs, of {about['max_epochs']} at most. About 1,000 "
        "training images of each kind; `filters=(16, 32, 64), convs_per_block=1`."
    )
    head = ["fit", *chain(*([kind, "epochs"] for kind in kinds))]
    results = {kind: fits["all epochs"] for kind, fits in kinds.items()}
    return "\n".join([table(head, rows), "", note, all_measured_on(results, threads=True)])


def early_stopping_cells(fits):
    """Accuracy with its spread, and number of epochs."""
    if fits is None:
        return ["", ""]
    values = np.array(fits["accuracies"])
    return [f"{values.mean():.3f} ± {values.std(ddof=1):.3f}", f"{np.mean(fits['epochs']):.0f}"]


def learning_rate_table():
    """A row for each kind of images and optimizer."""
    result = load("learning_rate")
    rows, fits = [], {}
    for kind, optimizers in result["kinds"].items():
        for optimizer, found in optimizers.items():
            fits[f"{kind}, {optimizer}"] = found
            means = np.mean(found["accuracies"], axis=1)
            close = [r for r, m in zip(result["rates"], means) if m >= means.max() - 0.01]
            suggested = [one["suggestion"] for one in found["suggestions"]]
            nearest = [np.abs(np.log(np.array(result["rates"]) / s)).argmin() for s in suggested]
            rows.append(
                [
                    kind,
                    f'`"{optimizer}"`',
                    f"{found['best']:.2g}",
                    f"{min(close):.2g} to {max(close):.2g}",
                    ", ".join(f"{value:.2g}" for value in suggested),
                    f"{max(found['factors']):.1f}",
                    f"{100 * (means.max() - means[nearest].mean()):.1f}",
                ]
            )
    head = [
        "images",
        "`optimizer`",
        "best rate",
        "within 1 point",
        "suggested",
        "factor apart",
        "points lost",
    ]
    rates = result["rates"]
    note = (
        f"Best of {len(rates)} rates from {min(rates):.2g} to {max(rates):.2g} by the accuracy "
        f"on held-out images. Points lost: how much less accurate the rate nearest to the "
        f"suggestion is, in percentage points. Seeds: {result['seeds']}. About 1,000 training "
        "images of each kind; "
        "`filters=(16, 32, 64), convs_per_block=1`."
    )
    return "\n".join([table(head, rows), "", note, all_measured_on(fits, threads=True)])


def fits_by_row(result):
    """One of a variant's fits by its name, or each by that of its images where machines differ."""
    named = {}
    for job, found in result["jobs"].items():
        for variant, fits in found.items():
            named.setdefault(variant, {})[f"{variant}, {job}"] = fits
    rows = {}
    for variant, fits in named.items():
        machines = {measured_on(fit) for fit in fits.values()}
        rows |= fits if len(machines) > 1 else {variant: next(iter(fits.values()))}
    return rows


def transfer_few_table():
    """A row for each kind of images and way, columns for numbers of images per class."""
    photographs, made_up = load("transfer_few"), load("transfer_kinds")
    kinds = {"photographs": photographs["figures"], **made_up["figures"]}
    numbers = ("10", "25", "50")
    elsewhere = photographs.get("measured elsewhere", {}) | made_up.get("measured elsewhere", {})
    rows, results, draws = [], {}, set()
    for kind, figures in kinds.items():
        for way in dict.fromkeys(name.partition(", ")[2] for name in figures):
            found = [np.array(figures.get(f"{number}, {way}", [])) for number in numbers]
            accuracies = [mean_and_spread(runs[:, 0]) if len(runs) else "" for runs in found]
            seconds = [f"{np.median(runs[:, 1]):.0f}" if len(runs) else "" for runs in found]
            shown = way if way.startswith("features") else f"`{way}`"
            sources = {
                number: elsewhere.get(f"{kind}, {number}, {way}", photographs)
                for number, runs in zip(numbers, found)
                if len(runs)
            }
            if len(set(map(measured_on, sources.values()))) == 1:
                sources = {"": next(iter(sources.values()))}
            results |= {
                " ".join(filter(None, (kind, number, shown))): source
                for number, source in sources.items()
            }
            draws |= set(map(len, found))
            # With columns of their own, kinds and numbers of draws would not fit on the page.
            rows.append([f"{kind}: {shown}", *accuracies, ", ".join(filter(None, seconds))])
    assert draws <= {0, 1, max(draws)}, f"not all have as many draws: {draws}"
    single = "; where it is missing, there was one draw" if 1 in draws else ""
    note = f"± is the standard deviation over {max(draws)} draws of training images{single}."
    head = ["images and way", *numbers, "seconds"]
    return f"{table(head, rows)}\n\n{note}\n{all_measured_on(results, threads=True)}"


def few_table():
    """A row for each kind and number of images, a column for each way to train from scratch."""
    ways = ["ConvNetClassifier()", "recipes.fast", "recipes.few"]
    rows, results = [], {}
    for kind, numbers in load("few")["kinds"].items():
        for number, found in sorted(numbers.items()):
            if not set(ways) <= set(found):
                continue
            # The draws that all of them had.
            drawn = set.intersection(*(set(found[way]["accuracies"]) for way in ways))
            values = [np.array([found[way]["accuracies"][one] for one in drawn]) for way in ways]
            n_classes = found[ways[0]]["n_training_images"] // int(number)
            cells = map(mean_and_spread, values)
            rows.append([kind, str(n_classes), number, str(len(drawn)), *cells])
            results |= {f"{kind}, {number}, {way}": found[way] for way in ways}
    head = ["images", "classes", "per class", "draws", *(f"`{way}`" for way in ways)]
    return table(head, rows) + "\n" + all_measured_on(results, threads=True)


def mean_and_spread(accuracies):
    """The mean of some accuracies with their standard deviation, where there are several."""
    several = len(accuracies) > 1
    # Spaces at which no line breaks.
    spread = f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{accuracies.std():.3f}" if several else ""
    return f"{accuracies.mean():.3f}{spread}"


# Frozen, with a new head, on the lecture's own computer and its own test images.
LECTURE_VGG16 = {"accuracy": 0.603, "n_classes": 56, "n_images": 28_000}


def transfer_all_table():
    """A row for each set of categories, beside what the lecture has and a network from scratch."""
    result = load("transfer_all")
    scratch, speed = load("accuracy_fast"), load("speed_recipes_cpu_amd")
    # What plain skorch takes to train the baseline for 30 epochs.
    unit_per_image = (
        30 * speed["figures"]["seconds an epoch, skorch"]["median"] / speed["n_images"]
    )
    rows = []
    for n_classes, found in result["figures"].items():
        features, fit = found["features, seconds"], found["fit, seconds"]
        rows.append(
            [
                "features of efficientnet_lite0, logistic regression",
                n_classes,
                f"{found['n_images']:,}",
                f"{found['accuracy']:.3f}",
                f"{found['n_held_out']:,} training images",
                f"{features:.0f} + {fit:.0f}",
                f"{(features + fit) / found['n_images'] / unit_per_image:.2f}",
            ]
        )
    rows.append(
        [
            "VGG16 of ImageNet, frozen, as the lecture reports",
            str(LECTURE_VGG16["n_classes"]),
            f"{LECTURE_VGG16['n_images']:,}",
            f"{LECTURE_VGG16['accuracy']:.3f}",
            "test images",
            "",
            "",
        ]
    )
    rows.append(
        [
            "`recipes.fast`, from scratch",
            str(scratch["n_classes"]),
            f"{scratch['n_training_images']:,}",
            f"{np.mean(scratch['accuracies']):.3f}",
            f"{scratch['n_test_images']:,} test images",
            "",
            f"{speed['figures'][FAST_UNITS]['median']:.2f}",
        ]
    )
    head = ["network", "categories", "images", "accuracy", "scored on", "seconds", "units of time"]
    return table(head, rows) + "\n" + measured_on(result)


def transfer_search_table():
    """Seconds of a search with and without features on disk."""
    result = load("transfer_search")
    found = result["figures"]
    seconds = {way: np.array(times) for way, times in found["seconds"].items()}
    rows = [[f"{way} `cache_dir`", f"{np.median(times):.0f}"] for way, times in seconds.items()]
    ratios = seconds["without"] / seconds["with"]
    rows.append(["ratio", f"{np.median(ratios):.1f}"])
    n_scores, n_other = found["scores"], found["scores that differ"]
    largest = found["greatest difference of a score"]
    note = (
        f"{result['n_images']:,} images of {result['n_classes']} categories, at "
        f"{result['size']}x{result['size']} pixels in the network, {result['epochs']} epochs. "
        + (
            f"All {n_scores} scores are the same."
            if not n_other
            else f"{n_other} of {n_scores} scores differ, by {largest:.4f} at most."
        )
    )
    return "\n".join([table(["search", "seconds"], rows), "", note, measured_on(result)])


def transfer_sizes_table():
    """A row for each size of images in the network."""
    result = load("transfer_sizes")
    rows = [
        [f"{size}x{size}", f"{accuracy:.3f}", f"{milliseconds:.0f}"]
        for size, (accuracy, milliseconds) in result["figures"].items()
    ]
    head = ["`image_size`", "accuracy", "ms per image"]
    return table(head, rows) + "\n" + measured_on(result)


def transfer_inputs_table():
    """A row for each scale of pixels and padding."""
    result = load("transfer_inputs")
    rows = [
        [name, f"{accuracy:.3f}", f"{entropy:.2f}"]
        for name, (accuracy, entropy) in result["figures"].items()
    ]
    head = ["input", "accuracy", "entropy (nats)"]
    return table(head, rows) + "\n" + measured_on(result)


def transfer_settings_table(job):
    """A row for each setting of a job."""
    result = load(f"transfer_{job}")
    rows = []
    for setting, runs in result["figures"].items():
        accuracies, seconds = np.array(runs).T
        cells = [mean_and_spread(accuracies), f"{np.median(seconds):.0f}"]
        is_code = setting.startswith("unfreeze")
        rows.append([f"`{setting}`" if is_code else setting, *cells])
    return table(["setting", "accuracy", "seconds to fit"], rows) + "\n" + measured_on(result)


def search_table():
    runs = [load(f"search_time_{epochs}_epochs") for epochs in (2, 4)]
    seconds = {
        "seconds, 1 thread": "`n_jobs=1`, one thread",
        "seconds, 2 threads": "`n_jobs=1`, two threads",
        "seconds, 2 x 1 thread": "`n_jobs=2`, one thread each",
        "seconds, 2 in turns": (
            "`n_jobs=2`, two threads for each larger fit, one such fit at a time"
        ),
    }
    ratios = {
        "1 thread / 2 x 1 thread": "one process of one thread / two of them",
        "without refit, 1 thread / 2 x 1 thread": "the same, without the final fit on all images",
        "2 threads / 2 x 1 thread": "one process of two threads / two of one thread",
    }
    parts = {
        "epochs, s, 2 x 1 thread": "epochs of a fit",
        "rest of fit, s, 2 x 1 thread": "all else in a fit",
        "scoring, s, 2 x 1 thread": "scoring it",
        "else, s, 2 x 1 thread": "around it, its share of the start of the workers included",
        "start-up, s, 2 x 1 thread": "once: until a worker begins its first fit",
    }
    memory = {
        "MB a worker at most": "most memory per worker, its share of the images included, MB",
        "MB of images": "the images, MB",
    }
    above = {"search / loop": "`GridSearchCV`, `n_jobs=1` / its fits and scores in a bare loop"}
    heads = [f"{run['epochs']} epochs per fit" for run in runs]

    def side_by_side(names, digits):
        """Medians of both lengths of fits, each with what the rounds lay between."""
        rows = zip(*(figures(run, names, digits) for run in runs))
        return [[row[0][0], *(with_rounds(found) for found in row)] for row in rows]

    def with_rounds(row):
        low, _, high = row[2].partition(" to ")
        return row[1] if low == high else f"{row[1]} ({row[2]})"

    same = all(
        run[f"same scores with n_jobs=1 and 2, {threads}"]
        for run in runs
        for threads in ("one thread", "two threads")
    )
    differ = max(run["most that scores differ between one and two threads"] for run in runs)
    rows = [
        *figures(load("search_overhead"), above, 3),
        *figures(load("search_memory"), memory, 0),
    ]
    return "\n".join(
        [
            table(["seconds of a search", *heads], side_by_side(seconds, 1)),
            "",
            table(["how many times as long", *heads], side_by_side(ratios, 2)),
            "",
            table(["`n_jobs=2`, one thread each: seconds", *heads], side_by_side(parts, 2)),
            "",
            table(["what comes on top", "median", "rounds"], rows),
            "",
            f"Scores of one process and of two are {'the same' if same else 'not the same'}; "
            f"between one thread and two they differ by up to {differ:.3f}. "
            f"{runs[0]['n_images']:,} images; networks of 8 and 16, or 16 and 32 "
            "filters, with one convolution per block.",
            measured_on(runs[0]),
        ]
    )


def halving_table():
    result = load("halving")
    scratch = "constant rate, from scratch"
    names = {
        scratch: "halving, `lr_schedule=None`",
        "constant rate, going on": "the same with `checkpoint_dir`",
        "one-cycle, from scratch": 'halving, `lr_schedule="onecycle"`',
        "one-cycle, all epochs": '`GridSearchCV`, all epochs, `lr_schedule="onecycle"`',
    }
    rows = []
    for name, shown in names.items():
        cells = [
            next(figures(result, {key: ""}, digits), ["", "1", ""])
            for key, digits in (
                (f"seconds, {name}", 0),
                (f"{name} / {scratch}", 2),
                (f"accuracy, {name}", 3),
            )
        ]
        rows.append([shown, *(f"{m} ({r})" if r else m for _, m, r in cells)])
    same = all(one["same scores"] for one in result["rounds"])
    kept = result["figures"]["megabytes kept"]["median"]
    return "\n".join(
        [
            table(["search", "seconds", "in units of the first", "accuracy of its winner"], rows),
            "",
            f"With and without `checkpoint_dir`, all scores are "
            f"{'the same' if same else 'not the same'}; "
            f"the folder held {kept:.0f} MB. {len(result['rounds'])} rounds of 16 candidates, 2 "
            f"folds, {result['n_images']:,} images of ten categories, up to {result['epochs']} "
            "epochs, factor 2; `filters=(8, 16), convs_per_block=1`. Each winner was fitted with "
            "the schedule to all of them, and scored on 1,000 other training images. Other "
            "programs ran beside it.",
            measured_on(result),
        ]
    )


def processes_table():
    result = load("processes")
    rows = []
    for name, apart in result["figures"].items():
        for what, shown in {
            "two processes": "two processes",
            "nudged": "one, pixels changed",
        }.items():
            first, curve, accuracy = apart[what].values()
            rows.append([name, shown, f"{first:.0e}", f"{curve:.0e}", f"{accuracy:.3f}"])
    head = ["network", "beside one process", "loss of the first epoch", "of any epoch", "accuracy"]
    return "\n".join(
        [
            table(head, rows),
            "",
            f"The greatest differences over {len(result['seeds'])} seeds; {result['n_images']:,} "
            f"images, {result['epochs']} epochs, batches of 32, float32, `filters=(16, 32, 64), "
            "convs_per_block=1`; accuracy on 1,000 other training images.",
            measured_on(result),
        ]
    )


def questions_table(job, shown):
    """Rows of figures of one of the jobs of questions.py."""
    result = load(f"questions_{job}")
    n_seeds = max(figure["n"] for figure in result["figures"].values())
    head = ["", "median", f"{n_seeds} seeds"] if n_seeds > 1 else ["", "one seed"]
    rows = [row[: len(head)] for row in figures(result, shown)]
    return "\n".join([table(head, rows), measured_on(result)])


def counts_table():
    shown = {
        "mean absolute error": "mean absolute error of the network",
        "mean absolute error, ridge": "mean absolute error of ridge regression on the pixels",
        "ratio of both": "ratio of both",
        "128x128: mean predicted / mean actual": (
            "images of 128x128 pixels, 0 to 120 organisms: mean predicted / mean actual number"
        ),
        "128x128: mean absolute error": "mean absolute error in these",
    }
    return questions_table("counts", shown)


def sizes_table():
    shown = {
        "R2": "R² of the network, lengths of 8 to 40 pixels",
        "R2, ridge": "R² of ridge regression on the pixels",
        "mean absolute error": "mean absolute error of the network, in pixels",
    }
    return questions_table("sizes", shown)


def quantiles_table():
    shown = {
        "share between": "share of new numbers between the quantiles 0.1 and 0.9",
        "share below": "share below",
        "share above": "share above",
        "width / width without images": "width of the interval / width without looking at images",
        "share between, calibrated": "share in intervals of 80% by `ConformalRegressor`",
        "width / width without images, calibrated": "their width / width without images",
    }
    return questions_table("quantiles", shown)


def covariates_table():
    shown = {
        "accuracy": "accuracy with images and numbers",
        "accuracy, images alone": "with images alone",
        "accuracy, numbers alone": "with numbers alone, by gradient boosting",
        "best possible accuracy": "best possible: the genus known, and the odds at each elevation",
        "share of the gap": "share of the gap between the better one alone and the best possible",
    }
    return questions_table("covariates", shown)


def labels_table():
    shown = {
        "mean average precision": "mean average precision of one network",
        "mean average precision, one network each": "of one network for each label",
        "subset accuracy": "images with all labels right, one network",
        "subset accuracy, one network each": "one network for each label",
        "time / time of one network each": "time to train one / one for each label",
    }
    return questions_table("labels", shown)


ORDINAL_WAYS = {
    "most likely class": "classes: the most likely one",
    "mean class, rounded": "classes: the mean class, rounded",
    "squared_error": 'numbers: `"squared_error"`, rounded',
    "absolute_error": 'numbers: `"absolute_error"`, rounded',
}


def ordinal_table():
    """One row for each way to predict classes that have an order."""
    result = load("questions_ordinal")
    measures = ["accuracy", "mean absolute error", "kappa"]
    rows = []
    for way, shown in ORDINAL_WAYS.items():
        found = [result["figures"][f"{measure}, {way}"] for measure in measures]
        cells = ["{median:.2f} ({min:.2f} to {max:.2f})".format_map(figure) for figure in found]
        rows.append([shown, *cells])
    return "\n".join([table(["learned as", *measures], rows), measured_on(result)])


def tasks_table():
    shown = {
        "accuracy, category": "accuracy of the category, both questions",
        "accuracy, category alone": "of the category alone",
        "accuracy, superclass": "accuracy of the superclass, both questions",
        "accuracy, superclass by sums, both questions": (
            "by sums of the categories' probabilities, both questions"
        ),
        "accuracy, superclass by sums, category alone": "by sums, the category alone",
    }
    return questions_table("tasks", shown)


FILE_RATIOS = {
    "epochs": {
        "files / array, processor time": "one epoch of {images:,} PNG files against arrays, in "
        "processor time",
        "empty cache / array, processor time": "with an empty cache against arrays, the same",
        "filled cache / array, processor time": "with a filled cache against arrays, the same",
    },
    "jpegs": {
        "loop over Pillow / skcnn, time": "a loop over Pillow against skcnn, {files:,} JPEG files "
        "of 4000x3000 pixels to 96x96",
        "loop over Pillow / skcnn, processor time": "the same, in processor time",
        "Keras / skcnn, time": "Keras against skcnn, the same files",
        "Keras / skcnn, processor time": "the same, in processor time",
    },
    "predict": {
        "time per image, over that of few": "`predict_proba` of {images:,} paths against "
        "{few images:,}, per image",
        "MB more than for few": "MB of memory that {images:,} take more than {few images:,}",
    },
    "stream": {
        "time per image, over that of few": "one epoch of {images:,} cached images, read batch by "
        "batch, against {few images:,}, per image",
        "MB more than for few": "MB of memory that {images:,} take more than {few images:,}",
    },
}


def files_table():
    results = {mode: load(f"files_{mode}") for mode in FILE_RATIOS}
    rows = []
    for mode, names in FILE_RATIOS.items():
        if results[mode] is None:
            continue
        found = results[mode]["figures"]
        shown = {name: what.format_map(found) for name, what in names.items()}
        # Megabytes, too, are no finer than that.
        rows += figures(results[mode], shown, digits=1 if mode in ("predict", "stream") else 2)
    rows = [
        [what, median, "one" if rounds == f"{median} to {median}" else rounds]
        for what, median, rounds in rows
    ]
    results = {mode: result for mode, result in results.items() if result is not None}
    return "\n".join(
        [
            table(["what", "ratio, or MB", "rounds"], rows),
            all_measured_on(results, threads=True),
        ]
    )


def resize_table():
    """A row for each way of giving images of other proportions the shape of all."""
    results = {"from 1:2 to 2:1": load("files_resize"), "of 4:3": load("files_cameras")}
    found = next(iter(results.values()))["figures"]
    names = {name: f'`resize="{name}"`' for name in ("crop", "pad", "stretch")}
    rows = [[shown] for shown in names.values()]
    for result in results.values():
        accuracies = result["figures"]["accuracy on held-out training images"]
        for row, (_, median, limits) in zip(rows, figures({"figures": accuracies}, names, 3)):
            row.append(f"{median} ({limits})")
    note = (
        f"Accuracy on photographs that are not square, and are read as 32x32 pixels: "
        f"median of {accuracies['pad']['n']} seeds (least to greatest). {found['images']:,} "
        f"photographs of {found['classes']} categories of CIFAR-100, of which parts were cut out. "
        "A fifth of them is scored."
    )
    head = ["way", *(f"files {name}" for name in results)]
    return f"{table(head, rows)}\n\n{note}\n{all_measured_on(results, threads=True)}"


def sides_table():
    """A row for each size at which files are read."""
    result = load("files_sides")
    found = result["figures"]
    accuracies, seconds = found["accuracy"], found["processor seconds of a fit"]
    rows = []
    for (side, accuracy), taken in zip(accuracies.items(), seconds.values()):
        limits = f"{accuracy['min']:.3f} to {accuracy['max']:.3f}"
        time = f"{taken['median']:,.0f}"
        rows.append([side, f"{accuracy['median']:.3f} ({limits})", time])
    note = (
        f"`ConvNetClassifier()` on {found['images']:,} JPEG files of 160x160 pixels with made-up "
        f"organisms of {found['classes']} classes; {found['scored']:,} others are scored. Median "
        f"of {accuracy['n']} seeds (least to greatest), and seconds of processor time of a fit."
    )
    head = ["read as", "accuracy", "seconds"]
    return f"{table(head, rows)}\n\n{note}\n{measured_on(result)}"


def damaged_files_table():
    results = {"damaged files": load("files_mutated"), "the cache": load("files_cache")}
    found, killed = (result["figures"] for result in results.values())
    share = killed["share of the images stored when killed"]
    disk = killed["full disk"]
    rows = [
        [
            f"{found['files']:,} damaged files among whole ones",
            f"{found['decoded']:,} decoded, {found['named']:,} named, "
            f"{found['wrong rows']} wrong rows",
        ],
        [
            f"{killed['kills']} processes killed while they fill a cache, at "
            f"{share['min']:.0%} to {share['max']:.0%} of the images",
            _equal(killed["results equal after a kill"]),
        ],
        ["two processes that fill it at once", _equal(killed["results equal of two at once"])],
    ]
    if isinstance(disk, dict):
        told = "an error in `fit`, a warning elsewhere, "
        assert disk["error in fit"], "no error on a full disk"
        assert disk["warning"], "no warning on a full disk"
        rows.append(["a full disk", told + _equal(disk["results equal"])])
    return "\n".join(
        [
            table(["what", "outcome"], rows),
            all_measured_on(results, threads=True),
        ]
    )


def _equal(is_equal):
    return "the results of an undisturbed process" if is_equal else "OTHER RESULTS"


def masks_classes_table():
    result = load("masks_classes")
    shown = {
        "U-Net": "mean IoU of the U-Net",
        "U-Net, 2% of the pixels labeled": "mean IoU with 2% of the pixels labeled",
        "random forest": "mean IoU of a random forest on features of pixels",
    }
    head = ["", "median", f"{result['figures']['U-Net']['n']} seeds"]
    return "\n".join([table(head, figures(result, shown, 3)), measured_on(result)])


def masks_tiles_table():
    result = load("masks_tiles")
    found = {**result["figures"], **load("masks_memory")["figures"]}
    largest = found["largest difference of a probability"]["max"]
    ratio = found["time in tiles / time as a whole"]["median"]
    rows = [
        ["largest difference of a probability", f"{largest:.0e}" if largest else "0"],
        ["time in tiles of 1024 / time as a whole", f"{ratio:.2f}"],
        *(
            [f"memory for a memory map of {size} pixels", f"{found[name]['max']:,.0f} MiB"]
            for size in ("2,000x2,000", "10,000x10,000")
            if (name := f"MiB for {size} pixels")
        ),
    ]
    return "\n".join([table(["", ""], rows), measured_on(result)])


def command_line_table():
    result = load("command_line")
    found, n = result["figures"], f"{result['images']:,} photographs"
    shown = {
        "train": f"`skcnn train`, {n}",
        "report": "`skcnn report`, on those that were held out",
        "predict": f"`skcnn predict`, {n}",
        "all three": "all three",
    }
    rows = [[what, f"{found[name]['median']:,.0f}"] for name, what in shown.items()]
    return "\n".join([table(["command", "seconds"], rows), measured_on(result)])


def robustness_table():
    """A row for each part of robustness.py that counts what is right."""
    parts = ("threads", "beside", "forks", "processes", "interrupts")
    results = {part: {"threads": 2, **load(f"robustness_{part}")} for part in parts}
    threads, beside, forks, processes, interrupts = (
        result["figures"] for result in results.values()
    )
    calls = threads["calls"]
    fit_seconds = beside.pop("fit of seconds")
    longest = max(found["seconds beside a fit"]["max"] for found in beside.values())
    rows = [
        [
            "threads",
            f"{sum(call['calls'] for call in calls.values()):,} calls of {len(calls)} functions",
            f"{sum(call['wrong'] for call in calls.values()):,} wrong results",
        ],
        [
            "beside",
            f"{sum(one['seconds beside a fit']['n'] for one in beside.values()):,} predictions "
            f"beside a fit of {fit_seconds:.0f} seconds",
            f"{sum(one['wrong'] for one in beside.values())} wrong results, none took longer than "
            f"{longest:.2f} s",
        ],
    ]
    for name, found in (("forks", forks), ("processes", processes)):
        n_children = sum(one["children"] for one in found.values())
        n_right = sum(one["right"] for one in found.values())
        rows.append([name, f"{n_children} child processes", f"{n_right} right answers"])
    ways = [
        way for found in interrupts.values() for way in found.values() if isinstance(way, dict)
    ]
    n_right, n_wrong = (
        sum(sum(way[what].values()) for way in ways) for what in ("outcomes", "faults")
    )
    done = f"Ctrl-C {n_right + n_wrong:,} times: {', '.join(interrupts)}"
    rows.append(["interrupts", done, f"{n_wrong} wrong states or results"])
    head = ["part", "done", "came out"]
    return f"{table(head, rows)}\n{all_measured_on(results)}"


def fuzz_table():
    result = load("robustness_fuzz")
    found = result["figures"]
    rows = [
        [f"`{name}`", *(f"{outcomes.get(what, 0):,}" for what in ("fitted", "refused", "other"))]
        for name, outcomes in found["by estimator"].items()
    ]
    rows.append(["in all", *(f"{found[what]:,}" for what in ("fitted", "refused", "other"))])
    head = ["estimator", "fitted", "refused with a reason", "anything else"]
    return "\n".join([table(head, rows), measured_on({"threads": 1, **result}, threads=False)])


def _from_to(figure, digits=1):
    low, median, high = (f"{100 * figure[key]:.{digits}f}%" for key in ("min", "median", "max"))
    return [median, f"{low} to {high}"]


def _held_out_table(rows):
    result = load("uncertainty_held_out")
    found = result["figures"]
    made = [[what, *_from_to(found[name])] for name, what in rows.items()]
    n = found["accepted"]["n"]
    return "\n".join([table(["", "median", f"of {n} splits"], made), measured_on(result)])


def calibration_table():
    rows = {
        "calibration error": "calibration error as the network is",
        "calibration error, temperature": "calibration error after temperature scaling",
    }
    return _held_out_table(rows)


def conformal_table():
    result = load("uncertainty_held_out")
    found = result["figures"]
    shown = {"lac": '`method="lac"`', "aps": '`method="aps"`', "raps": '`method="raps"`'}
    rows = [
        [
            what,
            *_from_to(found[f"coverage, {name}"]),
            f"{found[f'labels in a set, {name}']['median']:.1f}",
        ]
        for name, what in {**shown, "per class": "`per_class=True`"}.items()
    ]
    head = ["", "sets that hold the true label", "splits", "labels in a set"]
    return "\n".join([table(head, rows), measured_on(result)])


def novelty_table():
    result = load("uncertainty_novelty")
    rows = [
        [
            name.replace(", ", ', `method="') + '"`',
            *(
                " (".join(_from_to(found[what])) + ")"
                for what in ("false alarms", "unknown images found")
            ),
            f"{found['pairs in the right order']['median']:.2f}",
        ]
        for name, found in result["figures"].items()
    ]
    head = ["", "known images called unknown", "unknown images found", "pairs in the right order"]
    return "\n".join([table(head, rows), measured_on(result)])


def review_table():
    rows = {"accepted": "accepted", "wrong among the accepted": "wrong among these"}
    return _held_out_table(rows)


def wrong_labels_table():
    result = load("uncertainty_labels")
    rows = [
        [
            name,
            _from_to(found["accuracy"], 0)[0],
            " (".join(_from_to(found["found among the first tenth"], 0)) + ")",
            str(found["accuracy"]["n"]),
        ]
        for name, found in result["figures"].items()
    ]
    head = ["predicted by", "accuracy", "changed labels among the first tenth", "draws"]
    return "\n".join([table(head, rows), measured_on(result)])


def duplicates_table():
    result = load("uncertainty_duplicates")
    found = result["figures"]
    counted = {
        "sets": f"sets of copies among {result['images']:,} photographs",
        "sets with two labels": "sets with two labels",
        "sets with two labels and exact copies": "of these, copies with the same pixels",
    }
    rows = [[what, f"{found[name]:,}"] for name, what in counted.items()]
    compared = found["pairs with two labels by pixels"]
    n_images, n_ordered = found["images in sets with two labels"], result["images in order"]
    rows.append(
        [
            "pairs with two labels by a comparison of the pixels of all pairs",
            f"{compared}, of which `find_duplicates` finds {found['of these found']}",
        ]
    )
    shares = {
        "images among the first tenth": f"of {n_images} images with two labels among the first "
        f"tenth of {n_ordered:,}, by the probability of their label",
        "sets with one among the first tenth": "sets with two labels of which one image is there",
    }
    for name, what in shares.items():
        rows.append([what, " (".join(_from_to(found[name], 0)) + ")"])
    labels = Counter(" and ".join(sorted(one["labels"])) for one in result["with two labels"])
    listed = ", ".join(f"{pair} ({n})" if n > 1 else pair for pair, n in labels.most_common())
    return "\n".join(
        [
            table(["", ""], rows),
            "",
            textwrap.fill(
                f"The labels: {listed.replace('_', ' ')}. The order is that of pretrained "
                f"features, {found['images among the first tenth']['n']} times.",
                width=118,
            ),
            measured_on(result),
        ]
    )


TABLES = {
    "robustness": robustness_table,
    "fuzz": fuzz_table,
    "calibration": calibration_table,
    "conformal": conformal_table,
    "novelty": novelty_table,
    "review": review_table,
    "wrong_labels": wrong_labels_table,
    "duplicates": duplicates_table,
    "command_line": command_line_table,
    "files": files_table,
    "damaged_files": damaged_files_table,
    "resize": resize_table,
    "sides": sides_table,
    "halving": halving_table,
    "processes": processes_table,
    "search": search_table,
    "precision": precision_table,
    "train": train_table,
    "train_cuda": train_cuda_table,
    "predict": predict_table,
    "onnx": onnx_table,
    "memory": memory_table,
    "compile": compile_table,
    "busy": busy_table,
    "accuracy": accuracy_table,
    "accuracy_cuda": accuracy_cuda_table,
    "transformer_trials": transformer_trials_table,
    "headline": headline,
    "defaults": defaults_table,
    "transfer_all": transfer_all_table,
    "few": few_table,
    "transfer_few": transfer_few_table,
    "transfer_search": transfer_search_table,
    "transfer_inputs": transfer_inputs_table,
    "transfer_sizes": transfer_sizes_table,
    "transfer_unfreeze": partial(transfer_settings_table, "unfreeze"),
    "transfer_donors": partial(transfer_settings_table, "donors"),
    "counts": counts_table,
    "sizes": sizes_table,
    "quantiles": quantiles_table,
    "covariates": covariates_table,
    "labels": labels_table,
    "ordinal": ordinal_table,
    "tasks": tasks_table,
    "early_stopping": early_stopping_table,
    "learning_rate": learning_rate_table,
    "masks_classes": masks_classes_table,
    "masks_tiles": masks_tiles_table,
}

if __name__ == "__main__":
    main()
