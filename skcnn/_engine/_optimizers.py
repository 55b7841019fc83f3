"""Optimizers: their specifications, and the torch classes they stand for."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator

from skcnn._engine._light_optimizers import plain_class
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._utils import Interval, StrOptions, check_values

_MOMENTUM = [Interval(Real, 0, 1, closed="left")]
_EPS = [Interval(Real, 0, None, closed="left")]


class OptimizerSpec(BaseEstimator):
    """Base of optimizer specifications, for the parameter `optimizer` of an estimator.

    The learning rate and the weight decay are parameters of the estimator.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    _torch_class: ClassVar[type[torch.optim.Optimizer]]

    def check(self) -> None:
        """Raise a ValueError if an option is not as described."""
        check_values(type(self).__name__, self._parameter_constraints, self.get_params(deep=False))

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Arguments of the torch class."""


class SGD(OptimizerSpec):
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    momentum : float, default=0.9
        Fraction of the previous step in [0, 1) that is kept.
    nesterov : bool, default=True
        Whether to use Nesterov momentum [1]_; not with ``momentum=0``.

    References
    ----------
    .. [1] Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in
       deep learning. ICML 2013.

    Examples
    --------
    >>> from skcnn import ConvNetClassifier
    >>> from skcnn.optimizers import SGD
    >>> clf = ConvNetClassifier(optimizer=SGD(momentum=0.8))
    >>> clf.set_params(optimizer__nesterov=False).optimizer
    SGD(momentum=0.8, nesterov=False)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "momentum": _MOMENTUM,
        "nesterov": ["boolean"],
    }
    _torch_class = torch.optim.SGD

    def __init__(self, momentum: float = 0.9, *, nesterov: bool = True) -> None:
        self.momentum = momentum
        self.nesterov = nesterov

    def check(self) -> None:
        """Raise a ValueError if an option is not as described."""
        super().check()
        if self.nesterov and not self.momentum:
            raise ValueError(
                f"SGD has momentum={self.momentum} and nesterov=True, which needs momentum. Set "
                "nesterov=False, or a momentum above 0."
            )

    def _options(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov, "fused": True}


class RMSprop(OptimizerSpec):
    """RMSprop: steps divided by a running average of the gradients' magnitude.

    Parameters
    ----------
    alpha : float, default=0.9
        Fraction of the average in [0, 1) that is kept; Keras calls it rho.
    eps : float, default=1e-7
        Added to the denominator, from 0.
    momentum : float, default=0.0
        Fraction of the previous step in [0, 1) that is kept.

    References
    ----------
    Tieleman, Hinton: Lecture 6.5 - RMSProp. COURSERA: Neural Networks for Machine Learning, 2012.

    Examples
    --------
    >>> from skcnn.optimizers import RMSprop
    >>> RMSprop().get_params()
    {'alpha': 0.9, 'eps': 1e-07, 'momentum': 0.0}
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": _MOMENTUM,
        "eps": _EPS,
        "momentum": _MOMENTUM,
    }
    _torch_class = torch.optim.RMSprop

    def __init__(self, alpha: float = 0.9, *, eps: float = 1e-7, momentum: float = 0.0) -> None:
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum

    def _options(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "eps": self.eps,
            "momentum": self.momentum,
            "foreach": True,
        }


class Adam(OptimizerSpec):
    """Adam: steps from running averages of the gradients and of their squares.

    Parameters
    ----------
    betas : tuple of (float, float), default=(0.9, 0.999)
        Fractions in [0, 1) of both averages that are kept.
    eps : float, default=1e-8
        Added to the denominator, from 0.

    References
    ----------
    Kingma, Ba: Adam: a method for stochastic optimization. ICLR 2015.

    Examples
    --------
    >>> from skcnn.optimizers import Adam
    >>> Adam(betas=(0.8, 0.99))
    Adam(betas=(0.8, 0.99))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "betas": [tuple, list],
        "eps": _EPS,
    }
    _torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adam

    def __init__(self, betas: tuple[float, float] = (0.9, 0.999), *, eps: float = 1e-8) -> None:
        self.betas = betas
        self.eps = eps

    def check(self) -> None:
        """Raise a ValueError if an option is not as described."""
        super().check()
        betas_valid = len(self.betas) == 2 and all(
            isinstance(beta, Real) and 0 <= beta < 1 for beta in self.betas
        )
        if not betas_valid:
            raise ValueError(
                f"The 'betas' parameter of {type(self).__name__} must be two numbers in [0, 1), "
                f"got {self.betas!r}."
            )

    def _options(self) -> dict[str, Any]:
        return {"betas": tuple(self.betas), "eps": self.eps, "fused": True}


class AdamW(Adam):
    """Adam whose weight decay is independent of the gradients.

    Parameters
    ----------
    betas : tuple of (float, float), default=(0.9, 0.999)
        Fractions in [0, 1) of both averages that are kept.
    eps : float, default=1e-8
        Added to the denominator, from 0.

    References
    ----------
    Loshchilov, Hutter: Decoupled weight decay regularization. ICLR 2019.

    Examples
    --------
    >>> from skcnn.optimizers import AdamW
    >>> AdamW().betas
    (0.9, 0.999)
    """

    _torch_class = torch.optim.AdamW


class Muon(OptimizerSpec):
    """Muon: orthogonalized steps for filters of convolutions, SGD for everything else.

    Parameters
    ----------
    momentum : float, default=0.6
        Fraction of the filters' momentum in [0, 1) that a step keeps.
    sgd_momentum : float, default=0.9
        The same for the steps of SGD, with Nesterov momentum.
    n_iterations : int, default=3
        Iterations of the orthogonalization, from 1.
    dtype : {"float32", "bfloat16"}, default="float32"
        Floating-point type of the orthogonalization. "bfloat16" takes less time on a GPU, and on
        CPUs that multiply it fast.
    batched : bool, default=False
        Whether filters of the same shape are orthogonalized together. This gives a GPU more work
        at once; results differ from those of ``batched=False`` by rounding.
    head_lr_factor : float, default=1.0
        Multiplier above 0 on the learning rate of the weights of dense layers and the head, which
        SGD steps. The estimator's `bias_lr_factor` is the one of biases and normalization layers.

    References
    ----------
    Jordan et al.: Muon: an optimizer for hidden layers in neural networks. 2024,
    https://kellerjordan.github.io/posts/muon/.

    Examples
    --------
    >>> from skcnn.optimizers import Muon
    >>> Muon(momentum=0.8)
    Muon(momentum=0.8)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "momentum": _MOMENTUM,
        "sgd_momentum": _MOMENTUM,
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"float32", "bfloat16"})],
        "batched": ["boolean"],
        "head_lr_factor": [Interval(Real, 0, None, closed="neither")],
    }
    _torch_class = MuonOptimizer

    def __init__(
        self,
        momentum: float = 0.6,
        *,
        sgd_momentum: float = 0.9,
        n_iterations: int = 3,
        dtype: str = "float32",
        batched: bool = False,
        head_lr_factor: float = 1.0,
    ) -> None:
        self.momentum = momentum
        self.sgd_momentum = sgd_momentum
        self.n_iterations = n_iterations
        self.dtype = dtype
        self.batched = batched
        self.head_lr_factor = head_lr_factor

    def _options(self) -> dict[str, Any]:
        return self.get_params(deep=False)  # type: ignore[no-any-return]


#: Names that the parameter `optimizer` takes.
OPTIMIZERS: Mapping[str, type[OptimizerSpec]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "muon": Muon,
}
Optimizer = str | OptimizerSpec | type[torch.optim.Optimizer] | partial[torch.optim.Optimizer]


def resolve_optimizer(optimizer: Any) -> tuple[Any, dict[str, Any]]:
    """Return the torch class and its options for a name, a specification or a class.

    Examples
    --------
    >>> resolve_optimizer("sgd")[1]
    {'momentum': 0.9, 'nesterov': True, 'fused': True}
    """
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[optimizer]()
    if isinstance(optimizer, OptimizerSpec):
        return optimizer._torch_class, optimizer._options()
    if isinstance(optimizer, partial):
        return optimizer.func, dict(optimizer.keywords)
    return optimizer, {}


def specification_of(optimizer: object) -> str:
    """Return how the specification of a name or a class is written, or that of Muon.

    Examples
    --------
    >>> specification_of("sgd"), specification_of(torch.optim.SGD), specification_of(None)
    ('skcnn.optimizers.SGD()', 'skcnn.optimizers.SGD()', 'skcnn.optimizers.Muon()')
    """
    kind = optimizer.func if isinstance(optimizer, partial) else optimizer
    found = [spec for name, spec in OPTIMIZERS.items() if kind in (name, spec._torch_class)]
    return f"skcnn.optimizers.{(found or [Muon])[0].__name__}()"


def supports_weight_decay(optimizer: Any) -> bool:
    """Whether an optimizer has the parameter weight_decay."""
    return "weight_decay" in signature(resolve_optimizer(optimizer)[0]).parameters


def make_capturable(optimizer: torch.optim.Optimizer, device: torch.device) -> bool:
    """Make an optimizer ready for CUDA graphs, and tell whether it can be captured.

    Only the optimizers in `OPTIMIZERS` are known to compute everything on the GPU.
    """
    on_gpu = device.type == "cuda"
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = on_gpu
    return on_gpu and plain_class(optimizer) in {spec._torch_class for spec in OPTIMIZERS.values()}


def add_missing_momenta(optimizer: torch.optim.Optimizer) -> None:
    """Let parameters join a fused SGD after its first step, such as those that were frozen.

    It takes a step only if all parameters that have a gradient have a momentum, or none.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        if not group.get("fused") or not group["momentum"]:
            continue
        states = [optimizer.state[p] for p in group["params"] if p.grad is not None]
        late = [state.get("momentum_buffer") is None for state in states]
        if any(late) and not all(late):
            for p in group["params"]:
                if p.grad is not None and optimizer.state[p].get("momentum_buffer") is None:
                    optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
