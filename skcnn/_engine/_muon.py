"""Muon: steps along orthogonalized momentum, for the filters of convolutions."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

# Coefficients of a polynomial that moves all singular values towards 1, small ones fastest.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_TINY = 1e-7
# Each iteration multiplies rounding errors of small products, which would soon look like singular
# values.
_ITERATIONS_AT_ONCE = 3


class Muon(torch.optim.Optimizer):
    """Muon for the filters of convolutions, and SGD with Nesterov momentum for everything else.

    The momentum of a layer's filters, as a matrix with one filter per row, is replaced by the
    nearest orthogonal matrix, so that every direction gets a step of equal size. In groups with
    `keeps_norm`, filters are rescaled after each step (mean squared norm per filter 1) in place
    of weight decay; other filters decay as in AdamW.

    Parameters
    ----------
    params : iterable of torch.nn.Parameter or of dict
        Parameters or groups of them, as for any optimizer of torch. Groups with
        ``role="filters"`` hold the filters; without a role, parameters of more than two
        dimensions are filters.
    lr : float, default=0.1
        Learning rate of both kinds of steps.
    weight_decay : float, default=5e-4
        Weight decay, but for filters that keep their norm.
    momentum : float, default=0.6
        Fraction of the filters' momentum that a step keeps.
    sgd_momentum : float, default=0.9
        The same for SGD.
    n_iterations : int, default=3
        Iterations of the orthogonalization.
    dtype : {"float32", "bfloat16"}, default="float32"
        Floating-point type of the orthogonalization.
    batched : bool, default=False
        Whether filters of the same shape are orthogonalized by one product of all of them.
    head_lr_factor : float, default=1.0
        Kept in the groups for `set_lr`, which multiplies the rate of groups with
        ``role="weights"`` by it.

    References
    ----------
    Jordan et al.: Muon: an optimizer for hidden layers in neural networks. 2024,
    https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        weight_decay: float = 5e-4,
        momentum: float = 0.6,
        sgd_momentum: float = 0.9,
        n_iterations: int = 3,
        dtype: str = "float32",
        batched: bool = False,
        head_lr_factor: float = 1.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "sgd_momentum": sgd_momentum,
            "n_iterations": n_iterations,
            "dtype": dtype,
            "batched": batched,
            "head_lr_factor": head_lr_factor,
            "role": None,
            "keeps_norm": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            role = group["role"]
            filters = [p for p in parameters if role == "filters" or (not role and p.ndim > 2)]
            if group["batched"]:
                self._step_by_shape(filters, group)
            else:
                for parameter in filters:
                    self._step_filters(parameter, group)
            if not filters:
                self._step_others(parameters, group)
            elif role is None:
                self._step_others([p for p in parameters if p.ndim <= 2], group)
        return loss

    def _step_filters(self, p: Tensor, group: dict[str, Any]) -> None:
        dtype: torch.dtype = getattr(torch, group["dtype"])
        ahead = self._momentum_ahead(p, group["momentum"])
        self._move(p, orthogonalize(ahead, group["n_iterations"], dtype), group)

    def _step_by_shape(self, filters: list[Tensor], group: dict[str, Any]) -> None:
        """Step all filters: a GPU does one large product sooner than many small ones."""
        dtype: torch.dtype = getattr(torch, group["dtype"])
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p in filters:
            ahead = self._momentum_ahead(p, group["momentum"])
            alike[ahead.shape].append((p, ahead))
        for pairs in alike.values():
            several = torch.stack([ahead for _, ahead in pairs])
            matrices = orthogonalize(several, group["n_iterations"], dtype)
            for (p, _), matrix in zip(pairs, matrices):
                self._move(p, matrix, group)

    def _momentum_ahead(self, p: Tensor, momentum: float) -> Tensor:
        """Update a momentum, and return Nesterov's look ahead, with one filter per row."""
        assert p.grad is not None
        buffer = self.state[p]["momentum_buffer"]
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum).flatten(1)

    def _move(self, p: Tensor, matrix: Tensor, group: dict[str, Any]) -> None:
        step = matrix * (group["lr"] * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5)
        if group["keeps_norm"]:
            p.mul_(len(p) ** 0.5 / (p.norm() + _TINY))
        else:
            p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(step.view(p.shape))

    def _step_others(self, others: list[Tensor], group: dict[str, Any]) -> None:
        sgd(
            others,
            [p.grad for p in others if p.grad is not None],
            [self.state[p]["momentum_buffer"] for p in others],
            fused=True,
            lr=group["lr"],
            momentum=group["sgd_momentum"],
            nesterov=True,
            dampening=0.0,
            weight_decay=group["weight_decay"],
            maximize=False,
        )


def orthogonalize(matrix: Tensor, n_iterations: int, dtype: torch.dtype) -> Tensor:
    """Take the singular values of a matrix, or of several, near to 1 by Newton-Schulz iterations.

    Three of them are computed at once, out of the products of its rows with each other.

    Parameters
    ----------
    matrix : torch.Tensor of shape (n, m) or (n_matrices, n, m)
    n_iterations : int
        With three of them, singular values come out between about 0.3 and 1.2, unless they are
        smaller than a hundredth of the root of the sum of all squares.
    dtype : torch.dtype
        What is computed in.

    Returns
    -------
    matrix : torch.Tensor of the same shape, float32

    References
    ----------
    Zhang, Amsel, Chen, Dao: Gram Newton-Schulz. 2026,
    https://dao-lab.ai/blog/2026/gram-newton-schulz.

    Examples
    --------
    >>> import torch
    >>> matrix = torch.diag(torch.tensor([4.0, 1.0]))
    >>> singular = torch.linalg.svdvals(orthogonalize(matrix, 5, torch.float32))
    >>> bool(((singular > 0.5) & (singular < 1.3)).all())
    True
    """
    # The norm of the whole is computed in another way than that of parts, with other last bits.
    norm = matrix.norm() if matrix.ndim == 2 else matrix.norm(dim=(1, 2), keepdim=True)
    x = matrix / (norm + _TINY)
    is_wide = matrix.shape[-2] <= matrix.shape[-1]
    x = (x if is_wide else x.mT).to(dtype)
    for done in range(0, n_iterations, _ITERATIONS_AT_ONCE):
        x = _iterate(x, min(n_iterations - done, _ITERATIONS_AT_ONCE))
    result: Tensor = x if is_wide else x.mT
    return result.float()


def _iterate(x: Tensor, n_iterations: int) -> Tensor:
    # Each iteration multiplies x by a polynomial of its products with itself, a small matrix
    # where filters are few and long. What the next one needs, and all of them together, comes
    # out of such small matrices alone.
    products = x @ x.mT
    factor = whole = _polynomial(products)
    for _ in range(n_iterations - 1):
        products = factor @ products @ factor
        factor = _polynomial(products)
        whole = factor @ whole
    return whole @ x


def _polynomial(products: Tensor) -> Tensor:
    a, b, c = _COEFFICIENTS
    multiply = torch.addmm if products.ndim == 2 else torch.baddbmm
    result = multiply(products, products, products, beta=b, alpha=c)
    result.diagonal(dim1=-2, dim2=-1).add_(a)
    return result
