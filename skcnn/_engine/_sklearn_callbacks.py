"""Epochs as tasks of scikit-learn's callbacks, such as its `ProgressBar`."""

import copy
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback

from skcnn._utils import StopTraining

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn versions without callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method unchanged."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """One call of fit and its epochs, as reported to the callbacks of scikit-learn.

    Parameters
    ----------
    estimator : ConvNetClassifier
    n_epochs : int
    **about
        `X`, `y` and `metadata`, as the hooks of callbacks take them.
    """

    def __init__(self, estimator: BaseEstimator, n_epochs: int, **about: Any) -> None:
        self.estimator = estimator
        self.about = about
        self.context: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **about)

    def wrap_callbacks(self, callbacks: list[Any]) -> list[Any]:
        """Add a reporter of epochs to the callbacks of a net, if there are listeners."""
        if self.context is None or not getattr(self.estimator, "_skl_callbacks", []):
            return callbacks
        epochs = _EpochReporter(self)
        # The reporter comes first, since other callbacks may end the training; the request to stop
        # comes last, so that they see the epoch.
        return [epochs, *callbacks, _StopOnRequest(epochs)]

    def end(self) -> None:
        """Report that the estimator is fitted."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes={}, **self.about
            )


class _EpochReporter(Callback):
    """Reports the epochs of a fit."""

    def __init__(self, task: FitTask) -> None:
        # Released when training ends, so that no pickle holds images and callbacks.
        self.task: FitTask | None = task
        self.stop = False

    def __getstate__(self) -> dict[str, Any]:
        # Other callbacks store nets during training.
        return {"task": None, "stop": False}

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        assert self.task is not None
        estimator = self.task.estimator
        self.epoch_ = self.task.context.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(estimator=estimator, **self.task.about)

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        assert self.task is not None
        self.stop = self.epoch_.call_on_fit_task_end(
            estimator=self.task.estimator,
            # Called only if a callback asks for the current estimator.
            reconstruction_attributes=lambda: {"net_": prediction_copy(net)},
            **self.task.about,
        )

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        self.task = self.epoch_ = None


class _StopOnRequest(Callback):
    """Ends the training if a callback of scikit-learn asks for that."""

    def __init__(self, epochs: _EpochReporter) -> None:
        self.epochs = epochs

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        if self.epochs.stop:
            raise StopTraining


def prediction_copy(net: NeuralNet) -> Any:
    """Copy a net during training, as far as predictions need it."""
    seen = object.__new__(type(net))
    seen.__dict__ = {name: value for name, value in net.__dict__.items() if name != "_loop"}
    seen.__dict__ |= {"module_": copy.deepcopy(net.module_).eval(), "callbacks": []}
    seen.__dict__["callbacks_"] = []
    return seen
