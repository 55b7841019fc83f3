"""Searches on a cluster of real processes on this machine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from _helpers import small_net, stripes
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from skcnn._compute._slots import worker_kind
from skcnn.parallel import replicate_scattered_data


class Slow(Callback):
    """Makes epochs last, for there to be a midst of the search to be killed in."""

    def on_epoch_end(self, net, **kwargs):
        time.sleep(0.05)


def make_search():
    clf = small_net(max_epochs=3, augment=("flip",), dropout=0.1, callbacks=[Slow()])
    grid = {"lr": [0.02, 0.05, 0.1], "filters": [(4, 8), (8, 16)]}
    return GridSearchCV(clf, grid, cv=3, scoring="neg_log_loss", error_score="raise")


def assert_same_results(search, expected):
    for fold in range(3):
        key = f"split{fold}_test_score"
        assert_array_equal(search.cv_results_[key], expected.cv_results_[key])
    assert search.best_params_ == expected.best_params_


@pytest.fixture(scope="module")
def data():
    # Large enough for joblib to send images and folds ahead of the tasks.
    return stripes(450, size=12)


@pytest.fixture(scope="module")
def local(data):
    return make_search().fit(*data)


@pytest.fixture(scope="module")
def client():
    """Three worker processes, each of one thread, around a scheduler in this one."""
    distributed = pytest.importorskip(
        "distributed", reason='needs Dask, which pip install "skcnn[dask]" brings'
    )
    cluster = distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
    )
    with cluster, distributed.Client(cluster) as client:
        yield replicate_scattered_data(client)


@pytest.mark.slow
def test_processes_of_dask_know_that_they_are_workers(client):
    kinds = client.gather([client.submit(worker_kind, pure=False) for _ in range(6)])
    assert kinds == ["dask"] * 6
    assert worker_kind() is None


@pytest.mark.slow
def test_a_search_on_dask_survives_a_worker(client, data, local):
    pids = client.run(os.getpid)
    killed = []

    def kill():
        """Kill a worker that is at it, once some fits are done."""
        while not killed:
            time.sleep(0.05)
            busy = [address for address, keys in client.processing().items() if keys]
            if len(client.who_has()) > 4 and busy:
                os.kill(pids[busy[0]], signal.SIGKILL)
                killed.append(pids[busy[0]])

    killer = threading.Thread(target=kill, daemon=True)
    search = make_search()
    with joblib.parallel_config("dask"):
        killer.start()
        search.fit(*data)
    killer.join(30)
    assert len(killed) == 1
    assert killed[0] not in client.run(os.getpid).values()
    assert_same_results(search, local)
    assert_array_equal(search.predict(data[0]), local.predict(data[0]))


def test_replicate_scattered_data_patches_a_client_once():
    class Client:
        asynchronous = False
        scatter = submit = None

    client = Client()
    assert replicate_scattered_data(client) is client
    patched = client.scatter
    assert replicate_scattered_data(client).scatter is patched
    assert Client.scatter is None


@pytest.mark.parametrize("client", [None, object(), "scheduler:8786"], ids=repr)
def test_replicate_scattered_data_refuses_other_objects(client):
    with pytest.raises(TypeError, match=r"is not a synchronous Dask client.*skcnn\[dask\]"):
        replicate_scattered_data(client)


@pytest.mark.slow
def test_data_are_sent_alone_and_in_collections(client):
    one = client.scatter("a", broadcast=True)
    assert one.result() == "a"
    assert client.gather(client.scatter(["a", [1, 2]])) == ["a", [1, 2]]
    assert client.gather(client.scatter(("a", "b"))) == ("a", "b")
    named = client.scatter({"first": "a"})
    assert named["first"].key == "first"
    assert named["first"].result() == "a"


@pytest.mark.slow
def test_data_outlive_the_workers_that_hold_them(client):
    images = np.arange(4_000_000).reshape(1000, 4000)  # 32 MB, of which Dask warns
    future = client.scatter(images)
    assert future.result().sum() == images.sum()
    pids = client.run(os.getpid)
    holders = client.who_has()[future.key]
    assert holders
    for address in holders:
        os.kill(pids[address], signal.SIGKILL)
    sums = [client.submit(np.sum, future, pure=False) for _ in range(3)]
    assert client.gather(sums) == [images.sum()] * 3


@pytest.mark.slow
def test_a_search_on_ray(data, local, monkeypatch):
    ray = pytest.importorskip("ray", reason='needs Ray, which pip install "skcnn[ray]" brings')
    from ray.util.joblib import register_ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # For its workers to find what stands in this file.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        search = make_search()
        with joblib.parallel_config("ray", n_jobs=2):
            kinds = joblib.Parallel()(joblib.delayed(worker_kind)() for _ in range(2))
            search.fit(*data)
    finally:
        ray.shutdown()
    assert kinds == ["ray"] * 2
    assert_same_results(search, local)


def test_jobs_for_slurm_are_written_as_the_guide_has_them():
    """The dry run of dask-jobqueue: what it would hand to sbatch."""
    pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")
    script = Path(__file__).parents[1] / "docs" / "slurm_search.py"
    run = subprocess.run(
        [sys.executable, script, "--dry-run", "--queue", "long"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.strip().splitlines()
    assert lines[0].startswith("#!")
    for directive in ("-p long", "--gres=gpu:1", "--cpus-per-task=4", "-t 02:00:00"):
        assert f"#SBATCH {directive}" in lines
    assert "dask_worker" in lines[-1]
    assert "--nthreads 1" in lines[-1]
    subprocess.run(["bash", "-n"], input=run.stdout, text=True, check=True)
