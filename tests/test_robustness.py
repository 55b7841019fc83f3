"""Short versions of benchmarks/robustness.py: threads, Ctrl-C between any two lines, any input."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def robustness():
    """The scripts as modules."""
    sys.path.insert(0, str(BENCHMARKS))
    import robustness_forks
    import robustness_interrupts
    import robustness_threads

    yield robustness_threads, robustness_forks, robustness_interrupts
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def calls(robustness):
    return robustness[0].Calls()


@pytest.mark.parametrize(
    "name",
    [
        "ArchitectureDisplay",
        "ConfusionDisplay",
        "ConvNetRegressor.predict",
        "ConvNetSegmenter.predict",
        "FeatureExtractor.fit",
        "FeatureExtractor.transform",
        "GradCAMDisplay",
        "MaskDisplay",
        "attention_maps",
        "decision_function",
        "density_map",
        "feature_maps",
        "filters",
        "fit",
        "fit_transform",
        "get_feature_names_out",
        "grad_cam",
        "history_",
        "learning_rate_curve",
        "partial_fit",
        "pickle",
        "predict",
        "predict_log_proba",
        "predict_proba",
        "score",
        "summary",
        "summary, not fitted",
        "transform",
    ],
)
# The shortest learning-rate curves say little.
@pytest.mark.filterwarnings("ignore:The learning-rate curve says little:UserWarning")
@pytest.mark.filterwarnings("ignore:The loss is lowest at the end:UserWarning")
def test_threads_get_the_answers_of_a_single_one(name, calls, robustness):
    before = torch.get_num_threads(), torch.get_rng_state()
    n_calls = 8 if name.endswith(("Display", "curve")) else 24
    figures = robustness[0].call_in_threads(calls.by_name[name], 4, n_calls)
    assert figures["wrong"] == 0, figures["what"]
    assert torch.get_num_threads() == before[0] == robustness[0].new_number_of_threads()
    assert torch.equal(torch.get_rng_state(), before[1])


def test_figures_and_calls_are_compared(robustness):
    """Two threads that get in each other's way are found."""
    import threading

    place, both = [0], threading.Barrier(2)

    def shared(number):
        place[0] = number
        if threading.current_thread() is not threading.main_thread():
            both.wait(20)
        return np.array(place)

    figures = robustness[0].call_in_threads(shared, 2, 4)
    assert figures["wrong"] == 2
    assert figures["what"] == ["another result"]


N_LINES = {"search": 12, "learning-rate test": 6, "inspection": 12}


@pytest.mark.parametrize(
    "name",
    [
        "fit",
        "predict",
        "search",
        "fit with averaging",
        "fit that continues",
        "fit with early stopping",
        "fit of a backbone",
        "features",
        "inspection",
        "learning-rate test",
    ],
)
def test_ctrl_c_before_any_line_leaves_nothing_half_changed(name, robustness, monkeypatch):
    interrupts = robustness[2]
    # Two epochs of two batches have all lines that more of them have.
    monkeypatch.setattr(interrupts.Fit, "n_images", 32)
    for kind in (interrupts.Fit, interrupts.StoppingFit):
        monkeypatch.setattr(kind, "parameters", kind.parameters | {"max_epochs": 2})
    subject, tracer = interrupts.SUBJECTS[name](), interrupts.Tracer()
    subject.prepare()
    n_lines = tracer.count(subject.call)
    outcomes = [
        interrupts.interrupt(subject, tracer, int(line))
        for line in np.linspace(1, n_lines - 1, N_LINES.get(name, 20))
    ]
    subject.again()
    # It is not the same everywhere.
    assert len(outcomes) > 1
    if name in ("predict", "search"):
        assert set(outcomes) == {"KeyboardInterrupt"}
    elif "fit" in name:
        assert "kept with a warning" in outcomes


def test_faults_are_found(robustness):
    """A setting that stays changed, and a Ctrl-C that is swallowed."""
    interrupts = robustness[2]

    class Careless(interrupts.Predict):
        def compute(self):
            before = torch.is_grad_enabled()
            torch.set_grad_enabled(False)
            found = self.clf.predict_proba(self.X)
            torch.set_grad_enabled(before)
            return found

    class Deaf(interrupts.Predict):
        def compute(self):
            try:
                return self.clf.predict_proba(self.X)
            except KeyboardInterrupt:
                return self.clf.predict_proba(self.X)

    tracer = interrupts.Tracer()
    with torch.enable_grad():
        for kind, message in ((Careless, "changed: gradient mode"), (Deaf, "had no effect")):
            subject = kind()
            middle = tracer.count(subject.compute) // 2
            with pytest.raises(interrupts.FaultError, match=message):
                interrupts.interrupt(subject, tracer, middle)


def test_ctrl_c_from_another_process(robustness):
    interrupts = robustness[2]
    subject, sender = interrupts.SUBJECTS["predict"](), interrupts.Sender()
    longest = interrupts.seconds_of(subject)
    try:
        outcomes = {
            interrupts.interrupt(subject, sender, moment)
            for moment in np.linspace(0.1, 2, 6) * longest
        }
    finally:
        sender.close()
    assert outcomes == {"KeyboardInterrupt", "whole"}


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_the_precision_is_the_same_in_every_process(robustness, monkeypatch):
    forks = robustness[1]
    decided = {forks.ask_in_fork(forks.decide)[0] for _ in range(10)}
    assert decided == {str(forks.decide())}


def test_any_parameters_and_data_are_fitted_or_refused_with_words(robustness, monkeypatch):
    import robustness_fuzz

    figures = robustness_fuzz.fuzz(40)
    assert figures["other"] == 0
    assert min(figures["fitted"], figures["refused"]) > 3


def test_other_outcomes_are_found(robustness, monkeypatch):
    import robustness_fuzz as fuzzing

    sound = fuzzing.Case("classifier", {"lr": -1}, fuzzing.SOUND_IMAGES, "sound", None, False)
    assert fuzzing.try_case(sound) == "refused"
    for error, message in (
        (ValueError("it is wrong"), "does not say what is wrong"),
        (AttributeError("lr"), "another kind"),
    ):

        def fit(self, X, y, error=error, **beside):
            self.net_ = None
            raise error

        monkeypatch.setattr(fuzzing.ConvNetClassifier, "fit", fit)
        with pytest.raises(fuzzing.FaultError, match=message):
            fuzzing.try_case(sound)
    monkeypatch.setattr(
        fuzzing.ConvNetClassifier,
        "fit",
        lambda self, X, y: setattr(self, "net_", None) or (_ for _ in ()).throw(ValueError("lr")),
    )
    with pytest.raises(fuzzing.FaultError, match=r"left \['net_'\]"):
        fuzzing.try_case(sound)
