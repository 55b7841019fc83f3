"""Warnings point at the line of whoever called, through scikit-learn's callbacks or not."""

import signal

import pytest
from _helpers import small_net, stripes
from skorch.callbacks import Callback


class Stop(Callback):
    def on_batch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_warning_points_at_the_line_of_the_caller(method):
    call = getattr(small_net(callbacks=[Stop]), method)
    with pytest.warns(UserWarning, match="interrupted in epoch 1") as caught:
        call(*stripes(60))
    assert [warning.filename for warning in caught] == [__file__]
