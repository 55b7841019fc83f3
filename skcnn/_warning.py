"""Warnings that point at the caller's line."""

import inspect
import warnings

_BETWEEN = ("skcnn.", "sklearn.callback.")


def warn(message: str) -> None:
    """Give a UserWarning at the line that called into the package, by whatever way."""
    frame = inspect.currentframe()
    level = 1
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith(_BETWEEN):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
