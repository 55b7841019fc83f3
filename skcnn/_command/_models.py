"""The model of a command."""

from pathlib import Path

from sklearn.base import BaseEstimator

from skcnn._estimators._saving import load
from skcnn._targets import ClassTarget, NumberTarget, Target


def read_model(text: str, kinds: tuple[type[Target], ...]) -> tuple[Path, BaseEstimator]:
    """Load a fitted network that leaves files out that it cannot read.

    Parameters
    ----------
    text : str
        Path of the file.
    kinds : tuple of type
        Targets that the command knows.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or something else in it.
    """
    path = Path(text).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no model {text}.")
    if path.is_dir():
        raise IsADirectoryError(f"{text} is a folder. Expected a file of skcnn train.")
    model = load(path)
    if not hasattr(model, "net_"):
        raise ValueError(f"{text} holds a {type(model).__name__} that is not trained.")
    target = model._target
    several = isinstance(target, NumberTarget) and target.n_outputs > 1
    if not isinstance(target, kinds) or several:
        named = {ClassTarget: "one label per photograph", NumberTarget: "one number"}
        known = ", or ".join(named[kind] for kind in named if kind in kinds)
        raise ValueError(
            f"{text} holds a {type(model).__name__} for other questions. This command takes "
            f"models that predict {known}. In a script, skcnn.load reads all models."
        )
    model.set_params(on_error="skip")
    return path, model
