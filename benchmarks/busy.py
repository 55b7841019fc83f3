"""How fits fare on a machine that other programs keep busy.

    python benchmarks/busy.py [--rounds N] [--others N] [--epochs N] [--images N]

A fit of a network of one convolution per block on generated images of 48x48 runs in a process of
its own, alone and beside as many other programs as there are cores, each of which computes all the
time. Threads of OpenMP that have nothing to do look for work again and again for a while, which
keeps a core from those others, and these from them. Settings of the environment change that: fewer
threads, threads that sleep at once, and threads that look for work for a shorter while. All of
them run in turns.
Results go to results/busy.json: seconds of each fit, and whether all networks are the same bits.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import torch
from reporting import describe_machine, spread, store, versions

SETTINGS = {
    "as it is": {},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
}


def main():
    """Fit with each setting, alone and beside other programs."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--others", type=int, default=os.cpu_count())
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--images", type=int, default=313)
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        print(json.dumps(fit(options)))
        return
    taken = {(place, name): [] for place in ("alone", "beside others") for name in SETTINGS}
    bits = {name: set() for name in SETTINGS}
    for _ in range(options.rounds):
        for place, n_others in (("alone", 0), ("beside others", options.others)):
            with others(n_others):
                for name, environment in SETTINGS.items():
                    seconds, hashed = measure(environment, options)
                    taken[place, name].append(seconds)
                    bits[name].add(hashed)
                    print(f"{place}, {name}: {seconds:.1f} s", flush=True)
    store(
        "busy",
        {
            "figures": {f"{place}, {name}": spread(all_) for (place, name), all_ in taken.items()},
            "same bits as they are": {
                name: found == bits["as it is"] for name, found in bits.items()
            },
            "other programs": options.others,
            "epochs": options.epochs,
            "n_images": options.images,
            "machine": describe_machine("cpu"),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        },
    )


def fit(options):
    """Seconds that a fit takes, and a hash of what it predicts."""
    from skcnn import ConvNetClassifier
    from skcnn.datasets import make_organisms

    X, y = make_organisms(n_samples=options.images, image_size=48, random_state=0)
    clf = ConvNetClassifier(
        convs_per_block=1, max_epochs=options.epochs, random_state=0, verbose=0
    )
    start = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - start
    return seconds, hashlib.sha256(clf.predict_proba(X[:50]).tobytes()).hexdigest()


def measure(environment, options):
    """Fit in a new process: OpenMP reads its settings once."""
    given = {name: value for name, value in os.environ.items() if name[:4] not in ("OMP_", "GOMP")}
    numbers = ["--epochs", str(options.epochs), "--images", str(options.images)]
    command = [sys.executable, __file__, "--child", *numbers]
    done = subprocess.run(
        command, env={**given, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def others(n):
    """Keep cores busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
