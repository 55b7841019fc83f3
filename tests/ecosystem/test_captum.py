"""Captum says which pixels count."""

import numpy as np
import torch
from _ecosystem import needs, run_example

needs("captum")


def test_importance_adds_up_to_the_change_of_the_output():
    names = run_example("from captum.attr import IntegratedGradients")
    images, importance = names["images"], names["importance"]
    assert importance.shape == (4, 16, 16, 3)
    label = torch.tensor(names["y_test"][:4])[:, None]
    with torch.no_grad():
        network = names["clf"].module_
        change = network(images) - network(torch.full_like(images, 128))
    expected = change.gather(1, label)[:, 0].numpy()
    np.testing.assert_allclose(importance.sum((1, 2, 3)).detach(), expected, atol=0.3)


def test_the_network_is_that_of_the_estimator():
    names = run_example("from captum.attr import IntegratedGradients")
    with torch.no_grad():
        proba = names["clf"].module_(names["images"]).softmax(1).numpy()
    np.testing.assert_allclose(proba, names["clf"].predict_proba(names["X_test"][:4]), atol=1e-5)
