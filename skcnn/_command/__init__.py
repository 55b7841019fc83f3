"""The command line: train, predict and report, without a script."""

from skcnn._command._main import main

__all__ = ["main"]
