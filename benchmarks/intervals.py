"""How often confidence intervals hold the true accuracy: python benchmarks/intervals.py

Draws studies of sites whose accuracy differs, and counts how often intervals by
`skcnn.uncertainty.bootstrap_interval` hold the true accuracy over all sites: with sites as groups,
and with images taken as independent. Writes results/intervals.json, and the table of the page
about trust. Takes a minute.
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
TRUE_ACCURACY = 0.8
WAYS = {"groups": "`groups=sites`", "images": "images as independent"}


def draw_study(random: np.random.Generator, n_sites: int, n_images: int) -> tuple:
    """Right and wrong answers, and the site of each; sites differ in size and in accuracy."""
    rates = random.beta(6, 1.5, size=n_sites)
    sizes = random.integers(n_images // 2, 3 * n_images // 2, size=n_sites)
    site = np.repeat(np.arange(n_sites), sizes)
    return random.random(len(site)) < rates[site], site


def coverage(n_studies: int, n_sites: int, n_images: int, level: float) -> dict[str, float]:
    """Fraction of studies whose interval holds the true accuracy, in both ways."""
    random = np.random.default_rng(0)
    held = dict.fromkeys(WAYS, 0)
    for study in range(n_studies):
        right, site = draw_study(random, n_sites, n_images)
        truth = np.ones_like(right)
        for way, groups in (("groups", site), ("images", None)):
            interval = bootstrap_interval(
                truth, right, groups=groups, level=level, n_resamples=1000, random_state=study
            )
            held[way] += interval.low <= TRUE_ACCURACY <= interval.high
    return {way: count / n_studies for way, count in held.items()}


def main() -> None:
    """Count, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--studies", type=int, default=500)
    arguments.add_argument("--no-store", action="store_true", help="only print")
    options = arguments.parse_args()
    figures = {
        str(n_sites): coverage(options.studies, n_sites, 30, 0.95) for n_sites in (10, 20, 40, 80)
    }
    lines = [
        "| sites | " + " | ".join(WAYS.values()) + " |",
        "| --- | --- | --- |",
        *(
            f"| {n_sites} | " + " | ".join(f"{row[way]:.1%}" for way in WAYS) + " |"
            for n_sites, row in figures.items()
        ),
    ]
    print("\n".join(lines))
    if not options.no_store:
        stored = {"machine": describe_machine("cpu"), "versions": versions(), "held": figures}
        RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
