"""Studies written for other tools, read back with each tool's own library."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.cli import main
from search.store.store import Store
from search.study import Study
from search.tracking import MODULES, track
from search.tracking.database import address

Event = dict[str, Any]
OWN = "my models/own.py:Own"
STUDY = Study.from_mapping(
    {"name": "song", "benchmark": "adding", "families": ["gru", OWN], "budget": {"seconds": 9}}
)
BEGUN = 1_700_000_000.0


def of_trial(kind: str, trial: int, epoch: int, attempt: int = 1, **more: Any) -> Event:
    time = BEGUN + 100 * trial + epoch
    return {"event": kind, "trial": trial, "attempt": attempt, "epoch": epoch, "time": time, **more}


def trial_events(
    trial: int, family: str, values: list[float | None], state: str | None, of: int | None = None
) -> Iterator[Event]:
    optimizer = {"name": ["sgd", "adamw"][trial % 2], "learning_rate": 10.0 ** -(trial + 1)}
    model = {"name": family, "size": 8 << trial, "deep": trial == 0, "kernels": [3, trial]}
    config = {"model": model, "head": {}, "training": {"optimizer": optimizer}}
    given = {"family": family, "config": config, "seed": 7 + trial, "finalist_of": of}
    yield of_trial("proposed", trial, 0, 0, **given)
    yield of_trial("leased", trial, 0)
    for epoch, value in enumerate(values, 1):
        told = {"valid": {"mse": value, "mae": 0.5}, "train_loss": 1.0 / epoch, "parameters": 7}
        yield of_trial("reported", trial, epoch, value=value, seconds=2.0, **told)
    if of is not None:
        yield of_trial("tested", trial, 2, test={"mse": 0.3, "mae": 0.4})
    if state is not None:
        cause = "boom" if state == "failed" else ""
        yield of_trial("ended", trial, 9, state=state, cause=cause, traceback="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracking") / "song"
    with Store.create(folder, STUDY) as store:
        store.append(
            {"event": "opened", "families": ["gru", OWN], "metric": "mse"} | {"maximize": False}
        )
        for events in (
            trial_events(0, "gru", [0.9, 0.2, 0.4], "complete"),
            trial_events(1, "gru", [0.8], "pruned"),
            trial_events(2, "gru", [None], "failed"),
            trial_events(3, "gru", [0.7, 0.6], None),
            trial_events(4, OWN, [0.5, None], "complete"),
            trial_events(5, "gru", [0.5, 0.1], "complete", of=0),
        ):
            for event in events:
                store.append(event)
    return folder


def test_optuna_reads_the_families_as_its_studies(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "what? 50%#1.db"
    assert track(folder, "optuna", target).startswith("4 trials; look at them with")
    assert [file.name for file in tmp_path.iterdir()] == [target.name]
    names = optuna.get_all_study_names(address(target))
    assert names == ["song/gru", f"song/{OWN}"]
    gru, own = (optuna.load_study(study_name=name, storage=address(target)) for name in names)
    assert gru.direction is optuna.study.StudyDirection.MINIMIZE
    complete, pruned, failed = gru.trials
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert [trial.state for trial in gru.trials] == states
    assert complete.value == gru.best_value == 0.2
    assert complete.intermediate_values == {1: 0.9, 2: 0.2, 3: 0.4}
    assert complete.params == {
        "model/size": 8,
        "model/deep": True,
        "model/kernels/0": 3,
        "model/kernels/1": 0,
        "training/optimizer/name": "sgd",
        "training/optimizer/learning_rate": 0.1,
    }
    assert complete.distributions["model/size"] == IntDistribution(8, 32)
    assert complete.distributions["model/deep"] == CategoricalDistribution([False, True])
    rates = FloatDistribution(0.001, 0.1, log=True)
    assert complete.distributions["training/optimizer/learning_rate"] == rates
    assert complete.duration is not None
    assert complete.duration.total_seconds() == 9
    assert complete.user_attrs["finalist_tests"] == [{"mse": 0.3, "mae": 0.4}]
    assert complete.user_attrs["best_epoch"] == 2
    assert pruned.intermediate_values == {1: 0.8}
    assert failed.user_attrs["cause"] == "boom"
    assert [trial.value for trial in own.trials] == [0.5]


def test_tensorboard_reads_a_run_for_each_trial(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "board"
    assert track(folder, "tensorboard", target).startswith("6 runs; look at them with: tensorboard")
    runs = sorted(str(file.parent.relative_to(target)) for file in target.rglob("events.*"))
    searched = [f"gru/trial-0000{number}" for number in range(4)]
    assert runs == ["gru/finalist-00005", *searched, "my models_own.py:Own/trial-00004"]
    run = EventAccumulator(str(target / "gru" / "trial-00000")).Reload()
    curve = run.Scalars("valid/mse")
    assert [event.step for event in curve] == [1, 2, 3]
    assert [event.value for event in curve] == pytest.approx([0.9, 0.2, 0.4])
    assert curve[0].wall_time == BEGUN + 1
    assert run.Scalars("train_loss")[1].value == pytest.approx(0.5)
    assert [event.value for event in run.Scalars("best")] == pytest.approx([0.2])
    plugin = run.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert b"training/optimizer/learning_rate" in plugin.content
    finalist = EventAccumulator(str(target / "gru" / "finalist-00005")).Reload()
    assert finalist.Scalars("test/mse")[0].value == pytest.approx(0.3)
    diverged = EventAccumulator(str(target / "gru" / "trial-00002")).Reload()
    assert "valid/mse" not in diverged.Tags()["scalars"]


READ_BACK = """
import sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
(experiment,) = [each for each in client.search_experiments() if each.name == "song"]
runs = client.search_runs([experiment.experiment_id])
(run,) = [each for each in runs if each.info.run_name == "trial 0"]
history = client.get_metric_history(run.info.run_id, "valid/mse")
print(len(runs), sorted({each.info.status for each in runs}))
print([(each.step, each.value) for each in history], run.data.metrics["best"])
print(run.data.params["model/size"], run.data.tags["family"])
"""


@pytest.mark.slow
def test_mlflow_reads_a_run_for_each_trial(folder: Path, tmp_path: Path) -> None:
    """In processes of its own, as its import warns of its own dependencies."""
    if find_spec("mlflow") is None:
        pytest.skip("MLflow comes with the extra `tracking` only")
    target = tmp_path / "mlflow.db"
    write = f"track(Path({str(folder)!r}), 'mlflow', Path({str(target)!r}))"
    write = f"from pathlib import Path\nfrom search.tracking import track\n{write}"
    for code in (write, READ_BACK):
        ran = subprocess.run(
            [sys.executable, "-c", code, address(target)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "6 ['FAILED', 'FINISHED', 'KILLED']",
        "[(1, 0.9), (2, 0.2), (3, 0.4)] 0.2",
        "8 gru",
    ]


@pytest.mark.parametrize("tracker", ["optuna", "tensorboard"])
def test_a_study_without_trials_and_a_target_that_is_there(tmp_path: Path, tracker: Any) -> None:
    Store.create(tmp_path / "song", STUDY).close()
    assert track(tmp_path / "song", tracker).startswith("0 ")
    with pytest.raises(FileExistsError, match="must be new, and is there already"):
        track(tmp_path / "song", tracker)


def test_a_tool_that_is_not_installed_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "mlflow", "no_such_package.module")
    with pytest.raises(ValueError, match=r"needs the package 'no_such_package': pip install"):
        track(folder, "mlflow", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_for_a_tool(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "optuna.db"
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(folder), "--to", "optuna", "-o", str(target)])
    assert capsys.readouterr().out.startswith("4 trials; look at them with: optuna-dashboard")
    assert target.is_file()
