"""What only a machine with a CUDA GPU can show."""

import pickle

import numpy as np
import pytest
import torch

from skcnn import ConvNetClassifier

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(scope="module")
def fitted(images, labels):
    return ConvNetClassifier(filters=(8, 16), max_epochs=20, random_state=0).fit(images, labels)


def test_a_gpu_is_found_and_learns(fitted, images, labels):
    assert fitted.device_.type == "cuda"
    assert next(fitted.module_.parameters()).is_cuda
    assert fitted.score(images, labels) > 0.9


def test_a_gpu_predicts_what_the_cpu_does(fitted, images):
    on_cpu = pickle.loads(pickle.dumps(fitted))
    on_cpu.net_.module_.cpu()
    on_cpu.net_.device = "cpu"
    np.testing.assert_allclose(
        fitted.predict_proba(images), on_cpu.predict_proba(images), atol=1e-3
    )


def test_the_random_state_of_the_gpu_is_left_alone(images, labels):
    before = torch.cuda.get_rng_state()
    ConvNetClassifier(filters=(4,), dropout=0.5, max_epochs=1, random_state=0).fit(images, labels)
    assert torch.equal(torch.cuda.get_rng_state(), before)
