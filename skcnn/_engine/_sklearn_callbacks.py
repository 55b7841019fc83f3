"""Epochs as tasks that scikit-learn's callbacks hear of: its `ProgressBar`, for one."""

import copy
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's where there are no callbacks to support."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Leave a method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """A call of fit, its epochs, and the callbacks of scikit-learn that are told of them.

    Parameters
    ----------
    estimator : ConvNetClassifier
    n_epochs : int
    **about
        `X`, `y` and `metadata`, as the hooks of callbacks take them.
    """

    def __init__(self, estimator: Any, n_epochs: int, **about: Any) -> None:
        self.estimator = estimator
        self.about = about
        self.context: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, **about)

    def wrap_callbacks(self, callbacks: list[Any]) -> list[Any]:
        """Add what reports epochs to the callbacks of a net: nothing where nobody listens."""
        if self.context is None or not getattr(self.estimator, "_skl_callbacks", []):
            return callbacks
        epochs = _EpochReporter(self)
        # Reported first, since others may end the training; ended last, for them to see the epoch.
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
        # Let go of when training ends, lest images and callbacks live on in every pickle.
        self.task: FitTask | None = task
        self.stop = False

    def __getstate__(self) -> dict[str, Any]:
        # Other callbacks store nets in mid-training.
        return {"task": None, "stop": False}

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        assert self.task is not None
        estimator = self.task.estimator
        self.epoch_ = self.task.context.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(estimator=estimator, **self.task.about)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        assert self.task is not None
        self.stop = self.epoch_.call_on_fit_task_end(
            estimator=self.task.estimator,
            # Called only where a callback asks for the estimator as it is now.
            reconstruction_attributes=lambda: {"net_": _prediction_copy(net)},
            **self.task.about,
        )

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        self.task = self.epoch_ = None


class _StopOnRequest(Callback):
    """Ends the training where a callback of scikit-learn asks for that."""

    def __init__(self, epochs: _EpochReporter) -> None:
        self.epochs = epochs

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.epochs.stop:
            # This is how skorch's loop is told to end.
            raise KeyboardInterrupt


def _prediction_copy(net: Any) -> Any:
    """Copy a net in mid-training, as far as predictions need it."""
    seen = object.__new__(type(net))
    seen.__dict__ = {name: value for name, value in net.__dict__.items() if name != "_run"}
    seen.__dict__ |= {"module_": copy.deepcopy(net.module_).eval(), "callbacks": []}
    seen.__dict__["callbacks_"] = []
    return seen
