"""Search for settings on a SLURM cluster, with one GPU a worker.

    python slurm_search.py --queue gpu --workers 8 [--dry-run]

Start it where jobs are submitted, and change `make_cluster` to what yours asks for. With
--dry-run it prints the script of a job, as `sbatch` would get it, and submits nothing.
"""

import argparse

import joblib
from dask_jobqueue import SLURMCluster
from distributed import Client
from sklearn.model_selection import GridSearchCV

from skcnn import ConvNetClassifier
from skcnn.datasets import fetch_cifar100
from skcnn.parallel import replicate_scattered_data


def make_cluster(queue):
    """Describe a job: one worker with one GPU, which does one fit at a time."""
    return SLURMCluster(
        queue=queue,
        processes=1,
        # So many fits at once; what the worker has to compute with is the next line.
        cores=1,
        job_cpu=4,
        memory="16GB",
        walltime="02:00:00",
        # SLURM shows the worker this GPU alone, and device="auto" takes it.
        job_extra_directives=["--gres=gpu:1"],
        job_script_prologue=["source ~/skcnn/bin/activate"],
    )


def main():
    """Search, or show the script of a job."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--queue", default="gpu", help="SLURM calls it a partition")
    arguments.add_argument("--workers", type=int, default=8)
    arguments.add_argument("--dry-run", action="store_true")
    options = arguments.parse_args()
    with make_cluster(options.queue) as cluster:
        if options.dry_run:
            print(cluster.job_script())
            return
        cluster.scale(jobs=options.workers)
        with Client(cluster) as client:
            search(client)


def search(client):
    """Search on whatever workers there are, as on one machine."""
    X, y = fetch_cifar100(categories="ecology", return_X_y=True)
    grid = {"filters": [(32, 64, 128), (64, 128, 256)], "dropout": [0.0, 0.2], "lr": [0.05, 0.1]}
    # All fits are handed out at once, for workers that come later to find some.
    found = GridSearchCV(ConvNetClassifier(random_state=0), grid, cv=3, pre_dispatch="all")
    client.wait_for_workers(1)
    replicate_scattered_data(client)
    with joblib.parallel_config("dask"):
        found.fit(X, y)
    print(found.best_params_, found.best_score_)


if __name__ == "__main__":
    main()
