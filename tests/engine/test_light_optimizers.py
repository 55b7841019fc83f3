"""Optimizers of torch that start without its compiler."""

import copy
import pickle
import subprocess
import sys
from functools import partial

import pytest
import torch

from skcnn._engine import _light_optimizers
from skcnn._engine._light_optimizers import light, plain_class
from skcnn._engine._optimizers import OPTIMIZERS, make_capturable

KINDS = [*(spec._torch_class for spec in OPTIMIZERS.values()), torch.optim.Adagrad]


@pytest.fixture
def without_compiler(monkeypatch):
    """As in a process that has not imported the compiler."""
    monkeypatch.setattr(_light_optimizers, "_has_compiler", lambda: False)


def stepped(kind, n_steps=3, state=None):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 3, 3, 3)), torch.nn.Parameter(torch.randn(4))]
    optimizer = kind(weights, lr=0.1)
    if state is not None:
        optimizer.load_state_dict(state)
    for _ in range(n_steps):
        optimizer.zero_grad()
        sum((weight**2).sum() for weight in weights).backward()
        optimizer.step()
    return optimizer, [weight.detach() for weight in weights]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_steps_are_those_of_the_plain_class(kind, without_compiler):
    lighter = light(kind)
    assert lighter is not kind
    assert (lighter.__name__, lighter.__module__) == (kind.__name__, kind.__module__)
    expected, weights = stepped(kind)
    optimizer, found = stepped(lighter)
    assert isinstance(optimizer, kind)
    assert all(torch.equal(one, other) for one, other in zip(found, weights))
    # It goes on from the state of the other, and the other from its own.
    state = optimizer.state_dict()
    _, further = stepped(kind, state=state)
    _, as_far = stepped(lighter, state=expected.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(further, as_far))
    assert plain_class(optimizer) is plain_class(expected) is kind
    assert make_capturable(optimizer, torch.device("cuda")) == (kind is not torch.optim.Adagrad)


def test_copies_and_pickles_are_of_the_plain_class(without_compiler):
    optimizer, _ = stepped(light(torch.optim.SGD))
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert type(other) is torch.optim.SGD
        assert repr(other.state_dict()) == repr(optimizer.state_dict())
        other.step()


def test_hooks_and_closures_work(without_compiler):
    optimizer, _ = stepped(light(torch.optim.SGD))
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure():
        assert torch.is_grad_enabled()
        return 2.5

    assert optimizer.step(closure) == 2.5
    assert seen == ["before", "after"]


def test_all_else_stays_as_it_is(without_compiler, monkeypatch):
    class Own(torch.optim.SGD):
        pass

    own = partial(torch.optim.SGD, momentum=0.5)
    for kind in (Own, own, stepped):
        assert light(kind) is kind
    assert plain_class(stepped(Own)[0]) is Own
    monkeypatch.setattr(_light_optimizers, "_has_compiler", lambda: True)
    assert light(torch.optim.SGD) is torch.optim.SGD


def test_no_fit_imports_the_compiler():
    # A process that has to import it takes longer and more memory.
    code = (
        "import sys, numpy as np\n"
        "from skcnn import ConvNetClassifier\n"
        "from skcnn.optimizers import Adam, RMSprop\n"
        "X = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)\n"
        "for optimizer in ('muon', 'sgd', 'adamw', Adam(), RMSprop()):\n"
        "    clf = ConvNetClassifier((4,), max_epochs=1, verbose=0, optimizer=optimizer)\n"
        "    clf.fit(X, [0, 1] * 4).partial_fit(X, [0, 1] * 4).predict(X)\n"
        "print({'torch._dynamo', 'sympy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
