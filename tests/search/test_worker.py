"""What a worker process does with its leases, in this process."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search.problem import Problem
from search.runner import worker as worker_module
from search.runner.run import history_path
from search.runner.worker import Duty, Worker
from search.store.example_losses import losses_path, read_losses
from search.study import Study
from search.trial import Lease, Outcome, Trial
from spaces import default
from trainers.training.loop import Diverged, Training

EPOCHS = 5


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.of(
        Study.from_mapping(
            {
                "name": "tiny",
                "benchmark": {"name": "adding", "length": 8, "train_examples": 64},
                "families": ["gru"],
                "budget": {"trials_per_family": 1, "epochs": EPOCHS},
                "space": {"gru": {"hidden_size": 16, "num_layers": 1, "batch_size": 32}},
            }
        )
    )


@pytest.fixture
def duty(problem: Problem) -> Duty:
    description, _ = problem.dataset.to_parts()
    return Duty(description, {}, problem.metric.name, EPOCHS, checkpoint_seconds=1e9)


@pytest.fixture
def worker(problem: Problem, duty: Duty) -> Worker:
    _, arrays = problem.dataset.to_parts()
    for array in arrays.values():
        array.flags.writeable = False  # as the object store gives them
    return Worker(duty, arrays)


@pytest.fixture
def trial(problem: Problem) -> Trial:
    return Trial(0, "gru", default(problem.spaces["gru"]), seed=3)


def carry(worker: Worker, lease: Lease, checkpoint: Path) -> list[Any]:
    """All messages of a lease, one after another."""
    worker.take(lease, checkpoint)
    messages = [worker.work()]
    while messages[-1].outcome is None:
        messages.append(worker.work())
    return messages


def values(messages: list[Any]) -> list[tuple[int, float, float]]:
    return [
        (told["epoch"], told["train_loss"], told["valid"]["mse"])
        for message in messages
        for told in message.measurements
    ]


def test_leases_go_on_from_checkpoints_as_if_they_were_one(
    worker: Worker, trial: Trial, tmp_path: Path
) -> None:
    whole = carry(worker, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "whole")
    first = carry(worker, Lease(1, trial, 1, 0, 2), tmp_path / "parts")
    second = carry(worker, Lease(2, trial, 1, 2, EPOCHS), tmp_path / "parts")
    assert [epoch for epoch, *_ in values(whole)] == list(range(1, EPOCHS + 1))
    assert values(first) + values(second) == values(whole)
    assert second[-1].outcome.epoch == EPOCHS
    assert whole[0].measurements[0]["parameters"] > 0


def test_a_trial_that_no_longer_improves_ends_before_its_lease(
    problem: Problem, duty: Duty, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, arrays = problem.dataset.to_parts()
    kept = Training.keep_if_best
    # from the second epoch on nothing is better than the first
    monkeypatch.setattr(
        Training,
        "keep_if_best",
        lambda training, valid: kept(training, valid if not training.epoch else {"mse": 9.0}),
    )
    worker = Worker(replace(duty, patience=2), arrays)
    whole = carry(worker, Lease(0, trial, 1, 0, EPOCHS, test=True), tmp_path / "whole")
    outcome = whole[-1].outcome
    assert (outcome.epoch, outcome.early, outcome.test_epoch) == (3, True, 1)
    assert set(outcome.test) == {"mse", "mae"}
    assert read_losses(tmp_path / "whole", outcome.test["mse"]) is not None
    # in two leases, the first of them cut at its end; and again with nothing left to do
    first = carry(worker, Lease(1, trial, 1, 0, 2), tmp_path / "parts")
    assert (first[-1].outcome.epoch, first[-1].outcome.early) == (2, False)
    second = carry(worker, Lease(2, trial, 1, 2, EPOCHS), tmp_path / "parts")
    assert (second[-1].outcome.epoch, second[-1].outcome.early) == (3, True)
    assert values(first) + values(second) == values(whole)
    again = carry(worker, Lease(3, trial, 2, 3, EPOCHS), tmp_path / "parts")
    assert values(again) == []
    assert (again[-1].outcome.epoch, again[-1].outcome.early) == (3, True)


def test_short_epochs_are_told_together(
    worker: Worker, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 1e9)
    assert len(carry(worker, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "0")) == 1
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    assert len(carry(worker, Lease(1, trial, 1, 0, EPOCHS), tmp_path / "1")) == EPOCHS


def test_epochs_that_the_log_lacks_are_told_from_the_checkpoint(
    worker: Worker, trial: Trial, tmp_path: Path
) -> None:
    first = carry(worker, Lease(0, trial, 1, 0, 3), tmp_path / "0")
    # the driver was killed before it had written down epochs 2 and 3
    again = carry(worker, Lease(1, trial, 2, 1, 3), tmp_path / "0")
    assert values(again) == values(first)[1:]
    # and here it had not even written down the end of the lease
    end = carry(worker, Lease(2, trial, 2, 3, 3), tmp_path / "0")
    assert values(end) == []
    assert end[0].outcome.epoch == 3


def test_a_lost_worker_goes_on_from_what_was_saved_on_the_way(
    worker: Worker, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    whole = carry(worker, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "whole")
    worker.take(Lease(1, trial, 1, 0, EPOCHS), tmp_path / "0")
    worker.work()
    worker.work()
    assert not (tmp_path / "0").exists()  # too early for a checkpoint
    worker.put_down()
    rest = carry(worker, Lease(2, trial, 2, 2, EPOCHS), tmp_path / "0")
    assert values(rest) == values(whole)[2:]


def test_checkpoints_are_saved_between_epochs(
    problem: Problem, duty: Duty, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    _, arrays = problem.dataset.to_parts()
    often = Duty(duty.description, {}, duty.metric, EPOCHS, checkpoint_seconds=0.0)
    worker = Worker(often, arrays)
    worker.take(Lease(0, trial, 1, 0, EPOCHS), tmp_path / "checkpoints" / "0")
    worker.work()
    history = json.loads(history_path(tmp_path / "checkpoints" / "0").read_text())
    assert [told["epoch"] for told in history] == [1]


def test_another_lease_saves_the_one_that_was_not_wanted_any_more(
    worker: Worker, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "REPORT_SECONDS", 0.0)
    worker.take(Lease(0, trial, 1, 0, EPOCHS), tmp_path / "0")
    worker.work()
    worker.take(Lease(1, trial, 1, 0, 1), tmp_path / "1")
    assert (tmp_path / "0").exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"half of a checkpoi"])
def test_a_damaged_checkpoint_means_from_scratch(
    worker: Worker, trial: Trial, tmp_path: Path, damage: bytes
) -> None:
    whole = carry(worker, Lease(0, trial, 1, 0, 2), tmp_path / "0")
    (tmp_path / "0").write_bytes(damage)
    history_path(tmp_path / "0").write_bytes(damage)
    assert values(carry(worker, Lease(1, trial, 2, 0, 2), tmp_path / "0")) == values(whole)


def test_a_finalist_is_measured_on_the_test_split_once(
    worker: Worker, trial: Trial, tmp_path: Path
) -> None:
    searched = carry(worker, Lease(0, trial, 1, 0, 2), tmp_path / "0")[-1].outcome
    assert searched.test is None
    finalist = carry(worker, Lease(1, trial, 1, 0, 2, test=True), tmp_path / "1")[-1].outcome
    assert set(finalist.test) >= {"mse"}
    assert finalist.test_epoch in (1, 2)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Diverged("the loss became nan"), "diverged: the loss became nan"),
        (MemoryError(), "out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB"),
            "out of memory: DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB",
        ),
        (ValueError("two\nlines"), "ValueError: two lines"),
    ],
)
def test_what_goes_wrong_in_training_is_an_outcome(
    worker: Worker,
    trial: Trial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    cause: str,
) -> None:
    run_epoch = Training.run_epoch

    def fail_in_second(training: Training) -> Any:
        if training.epoch == 1:
            raise error
        return run_epoch(training)

    monkeypatch.setattr(Training, "run_epoch", fail_in_second)
    messages = carry(worker, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "0")
    assert [epoch for epoch, *_ in values(messages)] == [1]
    no_memory = cause.startswith("out of memory")
    assert messages[-1].outcome.kind == ("infeasible" if no_memory else "failed")
    assert messages[-1].outcome.cause == cause
    assert "fail_in_second" in messages[-1].outcome.traceback
    monkeypatch.undo()  # the process is fit for the next lease
    assert carry(worker, Lease(1, trial, 1, 0, 1), tmp_path / "1")[-1].outcome.kind == "reached"


def test_a_worker_that_shares_a_gpu_gives_a_trial_back_that_needs_more(
    problem: Problem, duty: Duty, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    worker = Worker(replace(duty, gpu_share=0.25), problem.dataset.to_parts()[1])
    monkeypatch.setattr(Training, "run_epoch", run_out)
    outcome = carry(worker, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "0")[-1].outcome
    assert outcome == Outcome.crowded("out of memory: CUDA out of memory. (in a share of a GPU)")
    monkeypatch.undo()
    monkeypatch.setattr(worker_module, "DeviceData", run_out)  # not even the data have room
    other = Worker(replace(duty, gpu_share=0.25), problem.dataset.to_parts()[1])
    outcome = carry(other, Lease(0, trial, 1, 0, EPOCHS), tmp_path / "1")[-1].outcome
    assert outcome.kind == "crowded"


def test_a_configuration_that_cannot_be_built_fails_by_its_cause(
    worker: Worker, trial: Trial, tmp_path: Path
) -> None:
    wrong = Trial(1, "my_model.py:Absent", trial.config, 0)
    (message,) = carry(worker, Lease(0, wrong, 1, 0, 1), tmp_path / "0")
    assert message.outcome.kind == "failed"
    assert message.outcome.cause.startswith("FileNotFoundError: ")


def test_a_finalists_losses_are_kept_example_by_example(
    worker: Worker, trial: Trial, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "00007"
    plain = carry(worker, Lease(0, trial, 1, 0, 2), checkpoint)
    assert not losses_path(checkpoint).exists()
    assert plain[-1].outcome.test is None
    outcome = carry(worker, Lease(1, trial, 1, 2, EPOCHS, test=True), checkpoint)[-1].outcome
    losses = read_losses(checkpoint, mean=outcome.test["mse"])
    assert losses is not None
    assert losses.std() > 0
    assert losses.mean() == pytest.approx(outcome.test["mse"])
