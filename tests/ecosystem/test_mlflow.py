"""MLflow logs a network, loads it, and serves its predictions."""

import threading
import time

import numpy as np
import pytest
import requests
from _ecosystem import needs, run_example
from _helpers import small_net, stripes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

mlflow = needs("mlflow")

pytestmark = [
    # Of its own use of other packages.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("GIT_PYTHON_REFRESH", "quiet")
        patch.chdir(folder)
        # A folder, since a new database takes half a minute.
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri(f"file://{folder}/runs")
        mlflow.create_experiment("organisms", artifact_location=f"file://{folder}/files")
        mlflow.set_experiment("organisms")
        yield


@pytest.fixture(scope="module")
def names(tracking):
    return run_example("import mlflow")


def test_what_is_loaded_predicts_as_what_was_logged(names):
    clf, X_test = names["clf"], names["X_test"]
    np.testing.assert_array_equal(names["again"].predict_proba(X_test), clf.predict_proba(X_test))
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.metrics["train_loss"] == pytest.approx(clf.loss_curve_[-1])
    assert run.data.params["filters"] == "(16, 32)"


def test_predictions_are_served(names):
    import uvicorn
    from mlflow.pyfunc import load_model, scoring_server

    app = scoring_server.init(load_model(names["logged"].model_uri))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        end = time.monotonic() + 60
        while not server.started and time.monotonic() < end:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        answer = requests.post(
            f"http://127.0.0.1:{port}/invocations",
            json={"inputs": names["X_test"][:5].tolist()},
            timeout=60,
        )
    finally:
        server.should_exit = True
        thread.join(30)
    assert answer.status_code == 200, answer.text
    expected = names["clf"].predict(names["X_test"][:5]).tolist()
    assert answer.json()["predictions"] == expected


def test_autolog_records_the_fit_of_a_pipeline_alone(tracking):
    X, y = stripes(30)
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    try:
        counts = []
        for model in (small_net(max_epochs=1), small_net(max_epochs=1)):
            model = make_pipeline(FunctionTransformer(), model) if counts else model
            model.fit(X, y)
            counts.append(len(mlflow.search_runs()))
    finally:
        mlflow.sklearn.autolog(disable=True)
    assert counts[1] == counts[0] + 1
