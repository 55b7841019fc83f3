"""One fit in several processes: real ones, that torchrun starts and gloo connects."""

import json
import os
import subprocess
import sys
from pathlib import Path

import _several_processes as job
import numpy as np
import pytest
import torch
from _helpers import small_net, stripes

from skcnn._compute._process_group import ProcessGroup, broadcast_from_rank_zero, current_group
from skcnn.parallel import data_parallel


def run(n_processes, folder):
    """Run the job in several processes and return what each has found."""
    here = Path(__file__).parent
    # The package of this checkout, whichever is installed.
    path = os.pathsep.join([str(here), str(here.parent)])
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    ended = subprocess.run(
        [sys.executable, *torchrun, str(n_processes), job.__file__, str(folder)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(n_processes)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    # Shares of three are uneven more often than those of two, which a benchmark has.
    return run(3, tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def alone():
    return {name: job.figures(job.alike(name)) for name in job.ALIKE}


@pytest.mark.slow
@pytest.mark.parametrize("name", job.ALIKE)
def test_the_loss_curve_is_that_of_one_process(name, found, alone):
    for process in found:
        assert process["size"] == len(found)
        one, several = alone[name], process[name]
        assert several["n_iter"] == one["n_iter"]
        np.testing.assert_allclose(several["loss_curve"], one["loss_curve"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(several["valid_loss"], one["valid_loss"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            several["probabilities"], one["probabilities"], rtol=0, atol=1e-4
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*job.ALIKE, *job.OWN])
def test_all_processes_end_up_with_the_same_network(name, found):
    for process in found[1:]:
        assert process[name] == found[0][name]


@pytest.mark.slow
def test_each_process_has_its_share_of_the_images(found):
    shares = np.array([process["n_seen"] for process in found])
    assert (shares.sum(axis=0) == 151).all()
    assert np.ptp(shares, axis=0).max() <= 151 // 16 + 1


@pytest.mark.slow
def test_with_statistics_of_its_own_each_process_learns_all_the_same(found):
    assert found[0]["defaults"]["score"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other images", "images than process 0: 150 instead of 151"),
        ("other labels", "targets than process 0"),
        ("other epochs", "max_epochs than process 0: 2 instead of 1"),
    ],
)
def test_processes_that_would_do_different_things_are_told_so(name, words, found):
    for process in found:
        assert f"Process 1 has different {words}" in process[name]


@pytest.mark.slow
def test_a_batch_must_have_images_for_all(found):
    for process in found:
        assert f"batch_size={2 * len(found) - 1}" in process["small batches"]
        assert f"{len(found)} processes" in process["small batches"]


@pytest.mark.slow
def test_weights_are_not_resumed(found):
    for process in found:
        assert len(process["warnings"]) == 1
        assert "several processes" in process["warnings"][0]


@pytest.mark.slow
def test_behind_the_block_each_fits_by_itself(found):
    assert not any(process["group behind"] for process in found)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of threads")
def test_behind_the_block_no_thread_waits_for_the_others(found):
    # Such a thread can abort a process that ends.
    for process in found:
        assert process["threads behind"]
        assert not [name for name in process["threads behind"] if "gloo" in name]


def test_a_script_that_is_started_as_usual_does_what_it_always_does():
    X, y = stripes(60)
    with data_parallel():
        assert current_group() is None
        inside = small_net(max_epochs=2).fit(X, y)
    assert inside.loss_curve_ == small_net(max_epochs=2).fit(X, y).loss_curve_
    assert broadcast_from_rank_zero("something") == "something"


@pytest.mark.parametrize("n", [4, 7, 16, 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_make_up_the_mean_over_all_rows(n, weighted):
    values, labels = torch.rand(n), torch.arange(n)
    weight = torch.rand(n) if weighted else None
    means, seen = [], []
    for rank in range(2):
        group = object.__new__(ProcessGroup)
        group.rank, group.size = rank, 2
        part, numbers, w, beside = group.shard(values, labels, weight, values[:, None])
        assert torch.equal(beside[:, 0], part)
        means.append((part if w is None else part * w).mean())
        seen += numbers.tolist()
    assert seen == list(range(n))
    expected = (values * weight if weighted else values).mean()
    torch.testing.assert_close(torch.stack(means).mean(), expected)
