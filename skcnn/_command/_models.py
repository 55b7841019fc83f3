"""The model of a command."""

from pathlib import Path

from sklearn.base import BaseEstimator

from skcnn._estimators._saving import load
from skcnn._targets import (
    AnswersTarget,
    ClassTarget,
    MaskTarget,
    MultilabelTarget,
    MultioutputTarget,
    NumberTarget,
    Target,
)

_QUESTIONS: dict[type[Target], str] = {
    ClassTarget: "one label per photograph",
    NumberTarget: "one number per photograph",
    MultilabelTarget: "several labels per photograph",
    MultioutputTarget: "several columns of labels",
    MaskTarget: "masks",
    AnswersTarget: "answers to several questions",
}


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
        raise IsADirectoryError(
            f"{text} is a folder. Expected a file of skcnn train: MODEL comes first, then FOLDER."
        )
    model = load(path)
    if not hasattr(model, "net_"):
        raise ValueError(f"{text} holds a {type(model).__name__} that is not trained.")
    target = model._target
    several = isinstance(target, NumberTarget) and target.n_outputs > 1
    if not isinstance(target, kinds) or several:
        known = ", or ".join(_QUESTIONS[kind] for kind in _QUESTIONS if kind in kinds)
        found = "several numbers" if several else _QUESTIONS.get(type(target), "other questions")
        raise ValueError(
            f"{text} holds a {type(model).__name__} that predicts {found}. This command "
            f"takes models that predict {known}. In a script, skcnn.load reads all models."
        )
    model.set_params(on_error="skip")
    return path, model
