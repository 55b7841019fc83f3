"""Write the tables of the documentation from the stored results.

    python benchmarks/tables.py [--check]

A table stands between the lines `<!-- table NAME -->` and `<!-- end of table -->` of a file in
docs/, of benchmarks/README.md or of README.md, which has a sentence there. With --check nothing is
written, and it is an error where a table is not what the results make it.
"""

import argparse
import re
import sys
import textwrap
from itertools import chain
from pathlib import Path

import numpy as np
from reporting import load

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# In the order of the table: the files of results, and what their rows are called.
ACCURACY_JOBS = {
    "lesson": "lesson",
    "default": "default",
    "fast": "fast",
    "short": "short",
    "narrow": "narrow",
    "compact": "compact",
}
ACCURACY_HEAD = ["job", "parameters", "test accuracy", "SD", "seeds"]
GPU_JOBS = {
    "lesson": "lesson",
    "default": "default",
    "fast": "fast, as it was",
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
    return "\n".join(
        line.replace("Measured on:", f"For {', '.join(rows)}, measured on:")
        for line, rows in names.items()
    )


TRAINING_RATIOS = {
    "skcnn / skorch": "skcnn against plain skorch",
    "skcnn / Keras": "skcnn against Keras on TensorFlow",
    "skcnn / loop by hand": "skcnn against a loop by hand, of the same precision and layout",
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
            table(["time of an epoch", "ratio", *head[1:]], side_by_side(found, TRAINING_RATIOS)),
            "",
            table(["seconds an epoch", *head], side_by_side(found, seconds, 1)),
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
    rate = {"images/s, predict_proba": "images a second"}
    single = {
        "one image, ms, predict_proba": "one image, ms",
        "one image, ms above the bare network": "one image, ms above its bare network",
    }
    rows = [*figures(result, share), *figures(result, rate, 0), *figures(result, single)]
    return table(["prediction", "median", "rounds"], rows) + "\n" + measured_on(result)


def fixed_table():
    result, memory = load("speed_fixed_cpu"), load("speed_memory_cpu")
    names = {
        "fit above its steps, ms": "`fit` of 200 images above its steps by hand, ms",
        "clone, ms": "`clone`, ms",
    }
    imports = {
        "import above torch, skorch and scikit-learn, s": (
            "`import skcnn` above torch, skorch and scikit-learn, s"
        )
    }
    most = {
        "MB above torch and X, lesson": (
            "most memory in `fit`, above torch imported and the images held, MB"
        ),
        "MB of which imports": "of which the other packages imported, MB",
    }
    rows = [*figures(result, names, 1), *figures(result, imports), *figures(memory, most, 0)]
    return table(["what it costs", "median", "rounds"], rows) + "\n" + measured_on(result)


def scaling_table():
    result = load("speed_scaling_cpu")
    rows = [
        [f"{size:,}", *row[1:]]
        for size in (3_000, 30_000, 300_000)
        for row in figures(result, {f"microseconds an image, {size:,} images": ""}, 0)
    ]
    head = ["training images", "microseconds an image and epoch", "rounds"]
    return table(head, rows) + "\n" + measured_on(result)


def accuracy_table():
    rows, results = [], {}
    speeds = [load("speed_recipes_cpu"), load("speed_recipes_cpu_without_amx")]
    for name, shown in ACCURACY_JOBS.items():
        found = results[shown] = load(f"accuracy_{name}")
        shares = [speed["figures"].get(f"{name} / the lesson's job, skorch") for speed in speeds]
        rows.append(
            [
                *accuracy_cells(shown, found),
                f"{np.median(found['fit_seconds']):.0f}",
                str(found["threads"]),
                *(f"{share['median']:.2f}" if share else "" for share in shares),
            ]
        )
    head = [*ACCURACY_HEAD, "seconds of fit", "threads", "units of time", "without AMX"]
    return table(head, rows) + "\n" + all_measured_on(results)


def headline():
    """What the recipe for minutes on a CPU makes of the lecture's job, in a sentence."""
    fast, lesson = load("accuracy_fast"), load("accuracy_lesson")
    share, slower = (
        load(f"speed_recipes_{machine}")["figures"]["fast / the lesson's job, skorch"]
        for machine in ("cpu", "cpu_without_amx")
    )
    percents = [np.array(found["accuracies"]) * 100 for found in (fast, lesson)]
    new, old = (f"{values.mean():.1f}% ± {values.std(ddof=1):.1f}" for values in percents)
    rounds = "one round"
    if share["n"] > 1:
        rounds = f"{share['min']:.2f} to {share['max']:.2f} of the time in {share['n']} rounds"
    text = (
        f"Of {fast['n_test_images']:,} photographs of {fast['n_classes']} categories that it has "
        f"not met, the lecture's network names {old} rightly. `recipes.fast` names {new}, trained "
        f"in {share['median']:.2f} of the time that plain skorch takes for the lecture's job "
        f"(mean and standard deviation over {len(percents[0])} seeds; {rounds}). Where a CPU "
        f"multiplies bfloat16 no faster than float32, it takes more: {slower['median']:.2f} on "
        "the same one with its AMX units switched off, in one round."
    )
    return (
        textwrap.fill(text, 99)
        + "\n"
        + all_measured_on({"the lecture's network": lesson, "the recipe": fast})
    )


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
        f"{values.mean():.3f}",
        f"{values.std(ddof=1):.3f}" if len(values) > 1 else "",
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


def ablation_table():
    tables = []
    for epochs in (6, 20):
        result = load(f"ablation_{epochs}_epochs")
        if result is not None:
            where = all_measured_on(result["variants"], threads=True)
            tables.append(table(*ablation_rows(result)) + "\n" + where)
    return "\n\n".join(tables)


def ablation_rows(result):
    """Head and rows of an ablation, the recipe first and what costs it most behind it."""
    variants = {
        name: (np.array(found["accuracies"]), found) for name, found in result["variants"].items()
    }
    recipe, _ = variants["recipe"]
    rows = [
        [
            name,
            f"{found['n_parameters']:,}",
            f"{accuracies.mean():.3f}",
            f"{accuracies.std(ddof=1):.3f}",
            "" if name == "recipe" else f"{accuracies.mean() - recipe.mean():+.3f}",
            # Of the seeds' times: what else a machine does can only add to them.
            f"{min(found['fit_seconds']):.0f}",
        ]
        for name, (accuracies, found) in sorted(
            variants.items(), key=lambda item: (item[0] != "recipe", item[1][0].mean())
        )
    ]
    head = [f"{result['epochs']} epochs, {len(recipe)} seeds", "parameters"]
    head += ["validation accuracy", "standard deviation", "difference", "least seconds"]
    return head, rows


def defaults_table():
    """A column for each kind of images, and a row for each setting."""
    result = load("defaults")
    jobs = result["jobs"].values()
    variants = list(next(iter(jobs)))
    n_images = [f"{found['default']['n_training_images']:,}" for found in jobs]
    n_seeds = [max(len(fits["accuracies"]) for fits in found.values()) for found in jobs]
    rows = [["training images", *n_images], ["seeds", *map(str, n_seeds)]]
    for variant in variants:
        found_here = [found.get(variant) for found in jobs]
        cells = [f"{np.mean(fits['accuracies']):.3f}" if fits else "" for fits in found_here]
        rows.append([variant, *cells])
    head = ["images", *result["jobs"]]
    return table(head, rows) + "\n" + all_measured_on(fits_by_row(result), threads=True)


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


def displays_table():
    result = load("displays_cpu")
    names = {name: f"`{name}`" for name in result["figures"]}
    return table(["seconds", "median", "rounds"], figures(result, names)) + (
        "\n" + measured_on(result)
    )


def search_table():
    runs = [load(f"search_time_{epochs}_epochs") for epochs in (2, 4)]
    seconds = {
        "seconds, 1 thread": "`n_jobs=1`, one thread",
        "seconds, 2 threads": "`n_jobs=1`, two threads",
        "seconds, 2 x 1 thread": "`n_jobs=2`, one thread each",
        "seconds, 2 in turns": "`n_jobs=2`, two threads, where work is worth them, in turns",
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
        "MB a worker at most": "most memory of a worker, its share of the images included, MB",
        "MB of images": "the images, MB",
    }
    above = {"search / loop": "`GridSearchCV`, `n_jobs=1` / its fits and scores in a bare loop"}
    heads = [f"{run['epochs']} epochs a fit" for run in runs]

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
            f"{runs[0]['n_images']:,} images; networks of 8 and 16, or 16 and 32 filters.",
            measured_on(runs[0]),
        ]
    )


def search_dask_table():
    result = load("search_dask")
    names = {
        "seconds, local": "`n_jobs=1`",
        "seconds, three workers": "three workers, of which one dies",
    }
    what = {True: "the same", False: "not the same"}
    return "\n".join(
        [
            table(["search", "seconds"], [row[:2] for row in figures(result, names, 1)]),
            "",
            f"Scores are {what[result['same scores']]}, best parameters are "
            f"{what[result['same best parameters']]}. The three workers shared "
            "two cores with other programs: this is about what is kept, not about speed.",
            measured_on(result),
        ]
    )


def halving_table():
    result = load("halving")
    scratch = "constant rate, from scratch"
    names = {
        scratch: "halving, `lr_schedule=None`",
        "constant rate, going on": "the same with `memory`",
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
            f"With and without `memory`, all scores are {'the same' if same else 'not the same'}; "
            f"the folder held {kept:.0f} MB. {len(result['rounds'])} rounds of 16 candidates, 2 "
            f"folds, {result['n_images']:,} images of ten categories, up to {result['epochs']} "
            "epochs, factor 2. Each winner was fitted with the schedule to all of them, and "
            "scored on 1,000 other training images. Other programs ran beside it.",
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
            f"images, {result['epochs']} epochs, batches of 32, float32; accuracy on 1,000 other "
            "training images.",
            measured_on(result),
        ]
    )


TABLES = {
    "halving": halving_table,
    "processes": processes_table,
    "search": search_table,
    "search_dask": search_dask_table,
    "ablation": ablation_table,
    "precision": precision_table,
    "train": train_table,
    "train_cuda": train_cuda_table,
    "predict": predict_table,
    "fixed": fixed_table,
    "scaling": scaling_table,
    "accuracy": accuracy_table,
    "accuracy_cuda": accuracy_cuda_table,
    "headline": headline,
    "defaults": defaults_table,
    "displays": displays_table,
}

if __name__ == "__main__":
    main()
