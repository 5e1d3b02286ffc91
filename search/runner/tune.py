"""The five things that Ray Tune asks for: searcher, trainable, callback, scheduler and stopper."""

import faulthandler
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.tune import Callback, Stopper, Trainable
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.runner.desk import Desk
from search.runner.interruption import Interruption
from search.runner.message import LeaseWorker, Message, failure
from search.runner.private import forget_ended, keep_idle_workers
from search.trial import Lease

FORGET_EVERY = 100  # leases; Tune keeps all that it ever had, and looks at them in each step
GRACE_SECONDS = 5.0  # a worker that reports within this time after a signal loses nothing
STDERR = 2
DEATHS = (r"exit detail: (.*?)(?:\. |\n|$)", r"(?:died|dead) because (?:of )?(.*?)(?:\. |\n|$)")

Arrays = dict[str, np.ndarray]


class LeaseSearcher(Searcher):  # type: ignore[misc]  # Ray has no types
    """Hands leases out to Tune: one or an array for each of its trials, as its configuration."""

    def __init__(self, desk: Desk, checkpoint_path: Callable[[int], Path]) -> None:
        super().__init__()
        self._desk = desk
        self._checkpoint_path = checkpoint_path
        self._slots = 1

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Take the limit over: Tune's own forgets slots of trials that failed while starting."""
        self._slots = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next lease; None if there is none now, and Tune then asks again a little later."""
        desk = self._desk
        if desk.finished or desk.over:
            return str(Searcher.FINISHED)
        free = self._desk.in_flight < self._slots
        lease = self._desk.hand_out(trial_id) if free else None
        if lease is None:
            return None
        leases = [
            (each.to_json(), str(self._checkpoint_path(each.trial.number)))
            for each in (lease, *desk.mates(trial_id))
        ]
        return {"leases": json.dumps(leases)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: results come through the callback, which is told of every one of them."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's log is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, for the same reason."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher; nobody reads it


class LeaseTrainable(Trainable):  # type: ignore[misc]  # Ray has no types
    """Carries leases, one after another, in one process."""

    def setup(
        self,
        config: dict[str, Any],
        hire: Callable[[Arrays], LeaseWorker],
        arrays: list[Any],
        watchdog_seconds: float,
    ) -> None:
        """Called once in a process.

        Args:
            hire: Makes the worker, out of the arrays.
            arrays: A reference to them in the object store, in a list lest Ray fetches it itself.
            watchdog_seconds: The process ends itself where a step takes longer.
        """
        self._hire = hire
        self._arrays = arrays
        self._watchdog_seconds = watchdog_seconds
        self._worker: LeaseWorker | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another lease; Tune waits for ever if this says False."""
        self._leases = [
            (Lease.from_json(lease), Path(checkpoint))
            for lease, checkpoint in json.loads(new_config["leases"])
        ]
        self._over = [False for _ in self._leases]
        self._taken = False
        return True

    def step(self) -> dict[str, Any]:
        """Work for a short while; `done` with the last message of a lease."""
        # a thread of C, which needs no turn of the interpreter: whatever hangs, it ends the process
        seconds = self._watchdog_seconds * len(self._leases)  # an array takes its time
        faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)
        try:
            message = self._work()
        except Exception as error:  # no data, no memory for it, a broken installation
            failed = Message([], failure(error))
            message = replace(failed, mates=(failed,) * (len(self._leases) - 1))
        finally:
            faulthandler.cancel_dump_traceback_later()
        for place, told in enumerate((message, *message.mates)):
            self._over[place] |= told.outcome is not None
        return {"message": message.to_text(), "done": all(self._over)}

    def cleanup(self) -> None:
        """Called before the process ends."""
        if self._worker is not None:
            self._worker.put_down()

    def _work(self) -> Message:
        if self._worker is None:
            self._worker = self._hire(ray.get(self._arrays[0]))
        if not self._taken:
            (lease, checkpoint), *mates = self._leases
            self._worker.take(lease, checkpoint, *mates)
            self._taken = True
        return self._worker.work()


class LeaseCallback(Callback):  # type: ignore[misc]  # Ray has no types
    """Brings back what came of the leases."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker has come up for the lease, or an idle one has taken it."""
        self._desk.begin(trial.trial_id)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A worker's message; `done` also where the scheduler has just stopped the lease."""
        message = Message.from_text(result["message"])
        self._desk.hear(trial.trial_id, message, last=result["done"])

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A worker is gone: what goes wrong inside a lease is a message, not an error."""
        self._desk.lose(trial.trial_id, cause_of_death(Path(trial.error_file).read_text()))

    def __getstate__(self) -> dict[str, Any]:
        return {}


class LeaseScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray has no types
    """Lets every lease run to its end, or to the first message after which it is not wanted."""

    def __init__(self, desk: Desk, slots: int) -> None:
        super().__init__()
        self._desk = desk
        self._slots = slots
        self._added = 0

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Called with each lease; the first one tells what a worker is given."""
        if self._added == 0:
            keep_idle_workers(tune_controller, trial.placement_group_factory, self._slots)
        self._added += 1
        if self._added % FORGET_EVERY == 0:
            forget_ended(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Whether the lease goes on; the callback hears of the result afterwards."""
        wanted = self._desk.wants(trial.trial_id)
        return str(TrialScheduler.CONTINUE if wanted else TrialScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Patience(Stopper):  # type: ignore[misc]  # Ray has no types
    """Stops the study after a signal, and ends what does not come to a message in time."""

    def __init__(self, desk: Desk, interruption: Interruption) -> None:
        self._desk = desk
        self._interruption = interruption
        self._deadline: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether one trial has to stop: that is the scheduler's matter."""
        return False

    def stop_all(self) -> bool:
        """Whether the time is over; Tune asks several times a second."""
        self._desk.attend()
        if self._interruption.signum is None:
            return False
        self._desk.stop()
        if self._interruption.pausing:
            return False  # no work is to be lost, and nobody is in a hurry
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS
        return time.monotonic() >= self._deadline

    def __getstate__(self) -> dict[str, Any]:
        return {}


def cause_of_death(text: str) -> str:
    """What Ray says of a worker that is gone, in words that are the same for the same cause."""
    if "OutOfMemoryError" in text:
        return "out of memory: Ray's memory monitor killed the worker"
    for says in DEATHS:
        if found := re.search(says, text):
            return f"worker died: {found.group(1)}"
    return f"worker died: {text.partition(chr(10))[2]}"
