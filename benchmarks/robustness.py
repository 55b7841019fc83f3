"""Threads, forks, other processes, Ctrl-C: what comes out of them, as numbers.

    python benchmarks/robustness.py [PART ...] [--calls N] [--forks N] [--interrupts N]
                                    [--examples N]

The parts are

threads      16 threads call each public method of a fitted estimator, and each function and
             display of skcnn.inspection, 640 times in all; each result must be that of one thread
beside       predictions while another thread fits for 30 seconds
forks        answers of forked children: after a fit and a prediction, while a thread fits, and
             while two threads compute networks of many sizes
processes    answers of spawned children and of joblib's workers
precision    what precision="auto" is in 300 processes while the CPU is busy
interrupts   Ctrl-C at 300 random moments, and before 300 random lines of Python, of a fit, a
             prediction, a search, and others; --subjects chooses among them
fuzz         3,000 random combinations of an estimator, its parameters, images and answers, most of
             them with faults: each must be fitted, or refused with an error that says why

All of it takes about an hour on two cores. Fits and predictions of `beside`, `forks` and
`processes` use two threads. Prints the figures and stores them in results/robustness_PART.json.
"""

import argparse
import os
import time

# Read by skcnn for each computation, here and in child processes.
os.environ.setdefault("SKCNN_NUM_THREADS", "2")

import robustness_forks
import robustness_interrupts
import robustness_threads
from reporting import describe_machine, store, versions


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    parser.add_argument("--calls", type=int, default=640)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--interrupts", type=int, default=300)
    parser.add_argument("--examples", type=int, default=3_000, help="in `fuzz`")
    parser.add_argument("--seed", type=int, default=0, help="of the examples in `fuzz`")
    parser.add_argument("--seconds", type=float, default=30, help="of the fit in `beside`")
    parser.add_argument(
        "--subjects",
        nargs="+",
        choices=robustness_interrupts.SUBJECTS,
        default=[*robustness_interrupts.SUBJECTS],
        metavar="SUBJECT",
    )
    options = parser.parse_args()
    for part in options.parts or PARTS:
        began = time.monotonic()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        figures = PARTS[part](options)
        result = {
            "machine": describe_machine("cpu"),
            "versions": versions("joblib", "matplotlib"),
            "load before": load,
            "seconds": time.monotonic() - began,
            "figures": figures,
        }
        store(f"robustness_{part}", result)


def fuzz(options):
    # It alone needs hypothesis.
    import robustness_fuzz

    return robustness_fuzz.fuzz(options.examples, options.seed)


PARTS = {
    "threads": lambda options: robustness_threads.all_in_threads(n_calls=options.calls),
    "beside": lambda options: robustness_threads.predict_beside_a_fit(options.seconds),
    "forks": lambda options: robustness_forks.forks(options.forks),
    "processes": lambda options: robustness_forks.other_processes(),
    "precision": lambda options: robustness_forks.choices_of_precision(),
    "interrupts": lambda options: {
        name: robustness_interrupts.interrupt_often(name, options.interrupts)
        for name in options.subjects
    },
    "fuzz": fuzz,
}


if __name__ == "__main__":
    main()
