"""A disk that is full or read-only for a while: what writes waits for it, and leaves no halves."""

import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.problem import Problem
from search.runner.interruption import Interruption
from search.runner.journal import Journal
from search.runner.worker import Duty, Worker
from search.store import patience
from search.store.example_losses import read_losses
from search.store.log import LOG, read_events
from search.store.patience import StoragePatience
from search.store.store import Store
from search.study import Study
from search.trial import Lease, Trial
from spaces import default
from tests.chaos.disk import Disk, small_disk

EPOCHS = 3


@pytest.fixture
def disk(disks: None, tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture(autouse=True)
def brief_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def problem() -> Problem:
    study = {
        "name": "tiny",
        "benchmark": {"name": "adding", "length": 8, "train_examples": 64},
        "families": ["gru"],
        "budget": {"trials_per_family": 1, "epochs": EPOCHS},
        "space": {"gru": {"hidden_size": 16, "num_layers": 1, "batch_size": 32}},
    }
    return Problem.of(Study.from_mapping(study))


@pytest.fixture
def worker(problem: Problem, disk: Disk) -> Worker:
    description, arrays = problem.dataset.to_parts()
    duty = Duty(description, {}, problem.metric.name, EPOCHS, checkpoint_seconds=0.0)
    worker = Worker(duty, arrays)
    trial = Trial(0, "gru", default(problem.spaces["gru"]), seed=3)
    worker.take(Lease(0, trial, 1, 0, EPOCHS, test=True), disk.folder / "0")
    return worker


@pytest.mark.parametrize(
    ("spoil", "mend"), [(Disk.fill, Disk.free), (Disk.protect, Disk.unprotect)]
)
def test_a_trial_is_kept_until_its_checkpoint_can_be_saved(
    worker: Worker, disk: Disk, spoil: Callable[[Disk], None], mend: Callable[[Disk], None]
) -> None:
    spoil(disk)
    messages = [worker.work() for _ in range(5)]
    told = [epoch["epoch"] for message in messages for epoch in message.measurements]
    assert told == [1, 2, 3]  # training goes on meanwhile, and tells what it measures
    assert [message.outcome for message in messages] == [None] * 5
    mend(disk)
    assert whole(disk) <= {"0.history.json"}
    last = worker.work()
    assert last.outcome is not None
    assert (last.outcome.kind, last.outcome.epoch) == ("reached", EPOCHS)
    assert last.outcome.test is not None
    assert whole(disk) == {"0", "0.history.json", "0.test.npy"}
    assert read_losses(disk.folder / "0", last.outcome.test["mse"]) is not None


def test_a_disk_that_stays_full_ends_the_trial_with_its_cause(
    worker: Worker, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    disk.fill()
    messages = [worker.work()]
    while messages[-1].outcome is None:
        messages.append(worker.work())
    outcome = messages[-1].outcome
    assert outcome.kind == "failed"
    assert outcome.cause == "OSError: [Errno 28] No space left on device (for 0 s)"
    disk.free()
    assert whole(disk) <= {"0.history.json"}


def whole(disk: Disk) -> set[str]:
    """The files of the disk, all of which are there in full."""
    names = {file.name for file in disk.folder.iterdir()}
    assert not any(name.endswith(".part") for name in names)
    return names


@pytest.fixture
def store(disk: Disk, problem: Problem) -> Iterator[Store]:
    budget = {"trials_per_family": 1, "epochs": 2}
    study = {"name": "s", "benchmark": "adding", "families": ["gru"], "budget": budget}
    with Store.create(disk.folder / "s", Study.from_mapping(study)) as created:
        yield created


def event(trial: int) -> dict[str, Any]:
    return {"event": "retired", "trial": trial, "cause": "x" * 3000}


def numbers(store: Store) -> list[int]:
    return [told["trial"] for told in read_events(store.directory) if "trial" in told]


def test_the_log_on_a_full_disk_waits_for_space(
    disk: Disk, store: Store, problem: Problem, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(store, problem, [], Interruption())
    journal.record(event(0))
    disk.fill()
    timer = threading.Timer(0.3, disk.free)
    timer.start()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for trial in range(1, 5):
            journal.record(event(trial))
    assert time.monotonic() - began >= 0.25
    assert numbers(store) == [0, 1, 2, 3, 4]
    (warning,) = caplog.messages
    assert "No space left on device: the study waits until it can be written" in warning
    timer.join()


def test_a_signal_ends_the_waiting_with_the_log_whole(
    disk: Disk, store: Store, problem: Problem
) -> None:
    interruption = Interruption()
    journal = Journal(store, problem, [], interruption)
    disk.fill()
    journal.record(event(0))
    with interruption.patience():
        threading.Timer(0.2, interruption.handle, (signal.SIGTERM, None)).start()
        with pytest.raises(OSError, match=f"cannot write .*{LOG}: No space left on device"):
            journal.record(event(1) | {"cause": "x" * 10_000})
    disk.free()
    assert numbers(store) == [0]


def test_a_terminal_that_is_gone_does_not_end_a_study(store: Store, problem: Problem) -> None:
    def show(event: dict[str, Any]) -> None:
        raise BrokenPipeError

    seen: list[dict[str, Any]] = []
    Journal(store, problem, [show, seen.append], Interruption()).record(event(0))
    assert numbers(store) == [0]
    assert len(seen) == 1


def test_half_a_line_that_cannot_be_cut_off_at_once_is_cut_off_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.EROFS, "Read-only file system")
        return write(descriptor, data[: len(data) - 10])

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    store.append(event(0))
    with monkeypatch.context() as patch:
        patch.setattr("search.store.store.os.write", half)
        patch.setattr("search.store.store.os.ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="Read-only file system"):
                store.append(event(1))
    store.append(event(2))
    assert numbers(store) == [0, 2]


def test_a_lock_that_cannot_be_renewed_for_a_while_is_no_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = threading.Semaphore(0)

    def refuse() -> None:
        beaten.release()
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("search.store.store.HEARTBEAT_SECONDS", 0.01)
        patch.setattr(store._lock, "beat", refuse)
        for _ in range(3):
            assert beaten.acquire(timeout=30)
    store.append(event(0))
    assert numbers(store) == [0]
    assert store._keeper.is_alive()


def test_a_lock_on_read_only_storage_is_given_back_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("search.store.lock.os.ftruncate", refuse)
        store.close()
    with Store.open(store.directory):
        pass


def test_patience_lasts_from_the_first_failure_to_the_next_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    waiting = StoragePatience(10.0, pause=lambda seconds: now.__setitem__(0, now[0] + 4.0))
    full = OSError(errno.ENOSPC, "No space left on device")
    waiting.wait(full)
    assert waiting.waiting
    waiting.wait(full)
    waiting.succeed()
    assert not waiting.waiting
    for _ in range(3):
        waiting.wait(full)
    with pytest.raises(OSError, match=r"No space left on device \(for 12 s\)") as caught:
        waiting.wait(full)
    assert caught.value.errno == errno.ENOSPC
