"""How often confidence intervals hold the true accuracy: python benchmarks/intervals.py

Draws studies of sites whose accuracy differs, and counts how often intervals by
`skcnn.uncertainty.bootstrap_interval` hold the true accuracy over all sites: with sites as groups,
and with images taken as independent. Then other kinds of sites, as groups. Writes
results/intervals.json, and the tables of the page about trust. Takes nine minutes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from reporting import describe_machine, versions

from skcnn.uncertainty import bootstrap_interval

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results" / "intervals.json"
TABLE = BENCHMARKS.parent / "docs" / "recorded" / "intervals.md"
LEVEL, N_IMAGES = 0.95, 30
N_SITES = (10, 20, 40, 80)
WAYS = {"groups": "`groups=sites`", "images": "images as independent"}
# Both numbers of the beta distribution that the accuracy of sites is drawn from; None is 0.8 for
# all sites. Sizes are even from half to one and a half of N_IMAGES, unless sites are "unequal".
KINDS = {
    "as above": (6, 1.5),
    "from 1 to 200 images each": (6, 1.5),
    "all of the same accuracy, 0.8": None,
    "mean accuracy 0.8, standard deviation 0.08": (20, 5),
    "mean 0.95, standard deviation 0.05": (19, 1),
    "mean 0.5, standard deviation 0.22": (2, 2),
}
UNEQUAL = "from 1 to 200 images each"


def draw_study(random: np.random.Generator, kind: str, n_sites: int) -> tuple:
    """Right and wrong answers, and the site of each; sites differ in size and in accuracy."""
    numbers = KINDS[kind]
    rates = np.full(n_sites, 0.8) if numbers is None else random.beta(*numbers, size=n_sites)
    if kind == UNEQUAL:
        sizes = np.clip(N_IMAGES * random.lognormal(-0.5, 1, size=n_sites), 1, 200).astype(int)
    else:
        sizes = random.integers(N_IMAGES // 2, 3 * N_IMAGES // 2, size=n_sites)
    site = np.repeat(np.arange(n_sites), sizes)
    return random.random(len(site)) < rates[site], site


def coverage(n_studies: int, kind: str, n_sites: int, ways: tuple[str, ...]) -> dict[str, float]:
    """Fraction of studies whose interval holds the true accuracy, in some ways."""
    random = np.random.default_rng(0)
    numbers = KINDS[kind]
    true_accuracy = 0.8 if numbers is None else numbers[0] / sum(numbers)
    held = dict.fromkeys(ways, 0)
    for study in range(n_studies):
        right, site = draw_study(random, kind, n_sites)
        truth = np.ones_like(right)
        for way in ways:
            interval = bootstrap_interval(
                truth,
                right,
                groups=site if way == "groups" else None,
                level=LEVEL,
                n_resamples=1000,
                random_state=study,
            )
            held[way] += interval.low <= true_accuracy <= interval.high
    return {way: count / n_studies for way, count in held.items()}


def main() -> None:
    """Count, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--studies", type=int, default=2000)
    arguments.add_argument("--no-store", action="store_true", help="only print")
    options = arguments.parse_args()
    first, *others = KINDS
    held = {
        str(n_sites): coverage(options.studies, first, n_sites, tuple(WAYS)) for n_sites in N_SITES
    }
    by_kind = {first: {n_sites: row["groups"] for n_sites, row in held.items()}}
    for kind in others:
        by_kind[kind] = {
            str(n_sites): coverage(options.studies, kind, n_sites, ("groups",))["groups"]
            for n_sites in N_SITES
        }
    lines = [
        "| sites | " + " | ".join(WAYS.values()) + " |",
        "| --- | --- | --- |",
        *(
            f"| {n_sites} | " + " | ".join(f"{row[way]:.1%}" for way in WAYS) + " |"
            for n_sites, row in held.items()
        ),
        "",
        "With `groups=sites`, for other kinds of sites:",
        "",
        "| kind | " + " | ".join(f"{n_sites} sites" for n_sites in N_SITES) + " |",
        "| --- |" + " --- |" * len(N_SITES),
        *(
            f"| {kind} | " + " | ".join(f"{share:.1%}" for share in row.values()) + " |"
            for kind, row in by_kind.items()
        ),
    ]
    print("\n".join(lines))
    if not options.no_store:
        stored = {
            "machine": describe_machine("cpu"),
            "versions": versions(),
            "studies": options.studies,
            "held": held,
            "held, by kind of sites": by_kind,
        }
        RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
