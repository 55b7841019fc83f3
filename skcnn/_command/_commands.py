"""What each command does."""

from argparse import Namespace
from collections.abc import Callable

from skcnn._command._predict import predict
from skcnn._command._report import report
from skcnn._command._train import train

COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "train": train,
    "predict": predict,
    "report": report,
}
