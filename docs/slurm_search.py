"""Search parameters on a SLURM cluster, with one GPU per worker.

    python slurm_search.py --queue gpu --workers 8 [--dry-run]

Start it where jobs are submitted, and adapt `make_cluster` to your cluster. With --dry-run it
prints the job script that `sbatch` would get, and submits nothing.
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
    """Describe a job: one worker with one GPU and one fit at a time."""
    return SLURMCluster(
        queue=queue,
        processes=1,
        # Fits per worker at the same time. Its number of cores is on the next line.
        cores=1,
        job_cpu=4,
        memory="16GB",
        walltime="02:00:00",
        # SLURM shows the worker only this GPU, and device="auto" uses it.
        job_extra_directives=["--gres=gpu:1"],
        job_script_prologue=["source ~/skcnn/bin/activate"],
    )


def main():
    """Search, or print the job script."""
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
    """Search on the workers of a cluster."""
    X, y = fetch_cifar100(categories="ecology", return_X_y=True)
    grid = {"filters": [(32, 64, 128), (64, 128, 256)], "dropout": [0.0, 0.2], "lr": [0.05, 0.1]}
    # All fits are distributed at once, so that workers that join later get some.
    found = GridSearchCV(ConvNetClassifier(random_state=0), grid, cv=3, pre_dispatch="all")
    client.wait_for_workers(1)
    replicate_scattered_data(client)
    with joblib.parallel_config("dask"):
        found.fit(X, y)
    print(found.best_params_, found.best_score_)


if __name__ == "__main__":
    main()
