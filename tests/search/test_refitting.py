"""Finalists that are trained again on train and validation: worker, log, verdict and export."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.export import export_winner
from search.motion.conductor import Conductor
from search.problem import Problem
from search.results.index import summarize
from search.results.verdict import REFITTED, Verdict
from search.runner import worker as worker_module
from search.runner.interruption import Interruption
from search.runner.journal import Journal
from search.runner.refitting import check_same_rule, refit_path
from search.runner.worker import Duty, Worker
from search.store.log import read_events
from search.store.store import Store, checkpoint_path
from search.study import Study, StudyError
from search.terminal.solo import train_alone
from search.trial import Lease, Outcome, Trial
from spaces import default
from trainers.data.batching import DeviceData
from trainers.export import load
from trainers.training.evaluation import measure_split

EPOCHS = 4


def study(**changes: Any) -> Study:
    return Study.from_mapping(
        {
            "name": "tiny",
            "benchmark": "digits_rows",
            "families": ["gru"],
            "budget": {"trials_per_family": 1, "epochs": EPOCHS},
            "search": {"sampler": "random", "scheduler": "none"},
            "space": {"gru": {"hidden_size": 16, "num_layers": 1, "batch_size": 64}},
            "confirm": {"seeds": 2, "refit": True},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.of(study())


def worker_of(problem: Problem, *, refit: bool = True) -> Worker:
    description, arrays = problem.dataset.to_parts()
    duty = Duty(description, {}, problem.metric.name, EPOCHS, checkpoint_seconds=1e9, refit=refit)
    return Worker(duty, arrays)


def carry(worker: Worker, lease: Lease, checkpoint: Path) -> tuple[list[int], Outcome]:
    """The epochs that were told, and how the lease ended."""
    worker.take(lease, checkpoint)
    epochs: list[int] = []
    while True:
        message = worker.work()
        epochs += [told["epoch"] for told in message.measurements]
        if message.outcome is not None:
            return epochs, message.outcome


@pytest.fixture
def lease(problem: Problem) -> Lease:
    trial = Trial(0, "gru", default(problem.spaces["gru"]), seed=3, finalist_of=0)
    return Lease(0, trial, 1, 0, EPOCHS, test=True)


def test_a_lease_ends_with_a_second_training(
    problem: Problem, lease: Lease, tmp_path: Path
) -> None:
    epochs, outcome = carry(worker_of(problem), lease, tmp_path / "0")
    assert epochs == list(range(1, EPOCHS + 1))  # those of the second training are not told
    assert outcome.refit is not None
    assert outcome.refit.epochs == outcome.test_epoch
    assert outcome.refit.seconds > 0
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    _, before = carry(worker_of(problem, refit=False), lease, tmp_path / "1")
    assert before.refit is None
    assert before.test != outcome.test


def test_a_lost_worker_goes_on_with_the_second_training(
    problem: Problem, lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = carry(worker_of(problem), lease, tmp_path / "0")
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    worker = worker_of(problem)
    worker.take(lease, tmp_path / "1")
    for _ in range(EPOCHS):  # with the last of them the first epoch of the second training
        assert worker.work().outcome is None
    worker.put_down()
    assert refit_path(tmp_path / "1").exists()
    trained = []
    run_epoch = worker_module.Training.run_epoch
    monkeypatch.setattr(
        worker_module.Training,
        "run_epoch",
        lambda training: trained.append(training.epoch) or run_epoch(training),
    )
    again = Lease(1, lease.trial, 2, EPOCHS, EPOCHS, test=True)
    epochs, outcome = carry(worker_of(problem), again, tmp_path / "1")
    assert epochs == []
    assert trained == list(range(1, outcome.refit.epochs))
    assert outcome.test == whole.test


def run(folder: Path, problem: Problem, interrupt: bool = False) -> Conductor:
    """The whole study in this process; or until the first lease of a finalist is stopped."""
    asked = study()
    with Store.create(folder, asked) if not folder.exists() else Store.open(folder) as store:
        log = list(store.events())
        check_same_rule(asked, log)
        journal = Journal(store, problem, [], Interruption())
        journal.has_baseline = bool(log)
        conductor = Conductor(
            spaces=problem.spaces,
            maximize=True,
            metric=problem.metric.name,
            study=asked,
            record=journal.record,
        )
        conductor.replay(log)
        worker = worker_of(problem)
        while not conductor.finished:
            lease = conductor.next_lease()
            if lease is None:
                continue
            worker.take(lease, store.checkpoint_path(lease.trial.number))
            outcome = None
            while outcome is None:
                message = worker.work()
                for told in message.measurements:
                    conductor.report(lease, told)
                outcome = message.outcome
                if interrupt and lease.test and outcome is None:
                    conductor.stop()
                    worker.put_down()
                    outcome = Outcome.reached(EPOCHS)
            conductor.end(lease, outcome)
    return conductor


def test_from_search_to_export(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny"
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    stopped = run(folder, problem, interrupt=True)
    assert [trial.state for trial in stopped.state.trials] == ["complete", "interrupted"]
    assert stopped.state.trials[1].losses == 0  # nobody lost a worker
    ended = run(folder, problem)
    assert [trial.state for trial in ended.state.trials] == ["complete"] * 3
    tested = [event for event in read_events(folder) if event["event"] == "tested"]
    assert [event["refit"]["epochs"] for event in tested] == [event["epoch"] for event in tested]

    summary = summarize(folder)
    assert summary.refitted == [1, 2]
    assert REFITTED in Verdict.of(folder).sentences
    chosen = export_winner(folder)
    (value,) = [event["value"] for event in tested if event["trial"] == chosen.trial]
    model = load(folder / "best")
    found = problem.task.summarize(
        measure_split(model, DeviceData(problem.dataset).test, problem.task, final=True)
    )
    assert found["accuracy"] == value
    card = (folder / "best" / "README.md").read_text("utf-8")
    assert "on train and validation together" in card
    assert "before the second training" in card

    said: list[str] = []
    config = folder / "best" / "config.toml"
    assert "refit = true" in config.read_text("utf-8")
    train_alone(config, {}, output=tmp_path / "again", trust=False, say=said.append)
    assert sum("on train and validation" in line for line in said) == chosen.best_epoch
    metrics = [
        json.loads((place / "metrics.json").read_text("utf-8"))
        for place in (folder / "best", tmp_path / "again")
    ]
    assert metrics[0]["test"] == metrics[1]["test"]
    assert metrics[0]["valid"] == metrics[1]["valid"]
    assert refit_path(checkpoint_path(folder, chosen.trial)).exists()


@pytest.mark.parametrize("refit", [True, False])
def test_finalists_are_not_mixed(refit: bool) -> None:
    told = {"event": "tested"} | ({} if refit else {"refit": {"epochs": 1, "seconds": 1.0}})
    changed = study(confirm={"refit": refit})
    with pytest.raises(ValueError, match=f"must stay {str(not refit).lower()}"):
        check_same_rule(changed, [told])
    check_same_rule(changed, [])


def test_what_has_no_sense_is_refused(benchmark_cache: Callable[[str], Path]) -> None:
    with pytest.raises(StudyError, match="must have finalists to `refit`"):
        study(confirm={"top_per_family": 0, "refit": True})
    benchmark_cache("nab")
    with pytest.raises(ValueError, match=r"`confirm\.refit` must be left out for anomaly"):
        Problem.of(study(benchmark="nab", space={}))
