"""What a worker process does with a lease: train, keep checkpoints, say what came of it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.runner.exchange import Exchange
from search.runner.message import Message, failure
from search.runner.packages import check_packages
from search.runner.refitting import Refitting
from search.runner.starts import start_path
from search.store.drafts import draft_of
from search.store.example_losses import write_losses
from search.store.patience import StoragePatience
from search.trial import Lease, Outcome
from trainers.catalog import load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.device import (
    begin_peak,
    free_memory,
    is_out_of_memory,
    limit_memory,
    peak_bytes,
    use_threads,
)
from trainers.size import streaming_costs
from trainers.training.checkpoint import UnusableCheckpointError
from trainers.training.loop import Diverged, Training
from trainers.training.refit import joined, refit

REPORT_SECONDS = 0.5  # short epochs are reported together, so that a worker reports twice a second


@dataclass(frozen=True, slots=True)
class Duty:
    """What every worker of a study is told once, beside the arrays of the data set.

    Args:
        description: The data set's; together with the arrays it is the data set.
        sources: Source text of those families that are a user's own.
        metric: Name of the metric that tells a trial's best epoch.
        epochs: The most epochs of one trial, the horizon of its schedules.
        device: Where tensors live, in torch's words.
        patience: Epochs in a row without a better value, after which a trial is over.
        threads: CPU threads of one trial.
        gpu_share: Of a GPU, of one worker; below 1 others share it.
        tensor_bytes: What its tensors may take of that; None for all of its share.
        checkpoint_seconds: The least time between two checkpoints of a running lease.
        refit: Finalists are trained again on train and validation before they are tested.
        url: The study's, if it is in an object store; workers then exchange checkpoints there.
    """

    description: dict[str, Any]
    sources: dict[str, str]
    metric: str
    epochs: int
    device: str = "cpu"
    patience: int | None = None
    threads: int = 1
    gpu_share: float = 1.0
    tensor_bytes: int | None = None
    checkpoint_seconds: float = 5.0
    refit: bool = False
    url: str | None = None


class Worker:
    """One process that trains lease after lease on the same data; a `LeaseWorker`.

    Args:
        arrays: The data set's arrays; read-only maps of shared memory.
    """

    def __init__(self, duty: Duty, arrays: dict[str, np.ndarray]) -> None:
        check_packages()
        use_threads(duty.threads)
        self._duty = duty
        self._dataset = Dataset.from_parts(duty.description, arrays)
        self._data: DeviceData | None = None
        self._joined: DeviceData | None = None
        self._exchange = Exchange.of(duty.url)
        self._run: Run | None = None

    def take(self, lease: Lease, checkpoint: Path) -> None:
        """Make `lease` the work to do; the training itself is made when the work begins."""
        self.put_down()
        self._lease, self._checkpoint, self._run = lease, checkpoint, None

    def work(self) -> Message:
        """Train for about `REPORT_SECONDS`, at least one epoch; what goes wrong is an outcome."""
        news: list[dict[str, Any]] = []
        try:
            if self._run is None:
                self._checkpoint = self._exchange.get(self._checkpoint)
                self._run = Run(
                    self._training(),
                    self._lease,
                    self._checkpoint,
                    self._duty.patience,
                    self._refitting(),
                    self._exchange.put,
                )
                news.extend(self._run.restore())
            outcome = self._run.advance(news, self._duty.checkpoint_seconds)
        except Exception as error:
            outcome = ending(error, shares=self._duty.gpu_share < 1)
        if outcome is not None:
            self._run = None
            if outcome.kind != "reached":  # the error's traceback may still hold the whole model
                free_memory()
        seen = peak_bytes(self._duty.device)
        return Message([told | seen for told in news], outcome)

    def put_down(self) -> None:
        """Save what has been done of a lease that is not over; the process may end now."""
        if self._run is not None:
            with suppress(OSError):  # the trial has an older checkpoint, and the lease no listener
                self._run.put_down()
            self._run = None

    def _training(self) -> Training:
        trial, data = self._lease.trial, self._resident()
        begin_peak(self._duty.device)
        return Training(
            load_family(trial.family, self._duty.sources.get(trial.family)),
            trial.config,
            data,
            seed=trial.seed,
            epochs=self._duty.epochs,
            metric=self._duty.metric,
            earlier=trial.earlier,
        )

    def _resident(self) -> DeviceData:
        """The data on their device, where they stay."""
        if self._data is None:
            duty = self._duty
            if duty.device == "cuda" and duty.gpu_share < 1:
                limit_memory(duty.gpu_share, duty.tensor_bytes)
            self._data = DeviceData(self._dataset, duty.device)
        return self._data

    def _refitting(self) -> Refitting | None:
        if not (self._duty.refit and self._lease.test):
            return None
        return Refitting(self._refit, self._checkpoint, self._duty.checkpoint_seconds)

    def _refit(self, run: Training) -> Training:
        if self._joined is None:
            self._joined = DeviceData(joined(self._dataset), self._duty.device)
        return refit(run, self._joined, epochs=self._duty.epochs)


class Run:
    """One lease being worked on.

    Args:
        saved: Told of the checkpoint each time it, or what lies beside it, was written.

    Beside each checkpoint lies the history of its epochs, written before it: a checkpoint may be
    newer than the log (the driver was killed), and its epochs are then reported from there.
    """

    def __init__(
        self,
        training: Training,
        lease: Lease,
        checkpoint: Path,
        patience: int | None,
        refitting: Refitting | None = None,
        saved: Callable[[Path], None] = lambda checkpoint: None,
    ) -> None:
        self._refitting = refitting
        self._saved = saved
        self._training = training
        self._lease = lease
        self._checkpoint = checkpoint
        self._patience = patience
        self._history: list[dict[str, Any]] = []
        self._saved_epoch = 0
        self._saved_at = time.monotonic()
        self._storage = StoragePatience()

    def restore(self) -> list[dict[str, Any]]:
        """Go on from the trial's checkpoint; without one, or with a damaged one, from its start.

        Returns:
            Epochs of this lease that the checkpoint has and the log did not have.

        Raises:
            OSError: The trial is a copy, and what it was to begin with is missing or damaged.
        """
        try:
            self._training.restore(self._checkpoint)
        except (FileNotFoundError, UnusableCheckpointError):
            if self._lease.trial.copied_from is not None:
                self._training.restore(start_path(self._checkpoint))
            return []
        self._saved_epoch = self._training.epoch
        self._history = read_history(self._checkpoint, self._training.epoch)
        known, last = self._lease.from_epoch, self._lease.to_epoch
        return [told for told in self._history if known < told["epoch"] <= last]

    def advance(self, news: list[dict[str, Any]], checkpoint_seconds: float) -> Outcome | None:
        """Train epoch by epoch into `news`; the outcome if the lease is over then.

        Where the storage takes nothing, training goes on, and the end of the lease waits for it.

        Raises:
            OSError: What is to be kept of the lease could not be written for too long.
        """
        training = self._training
        deadline = time.monotonic() + REPORT_SECONDS
        while not self._over:
            measured = training.run_epoch().to_json() | {"parameters": training.parameters}
            self._history.append(measured)
            news.append(measured)
            if time.monotonic() >= deadline:
                break
        if self._over:
            return self._close(deadline)
        if time.monotonic() - self._saved_at >= checkpoint_seconds:
            with suppress(OSError):  # there is an older one
                self.save()
            self._saved_at = time.monotonic()
        return None

    def save(self) -> None:
        """Write the checkpoint, unless it is there already."""
        if self._saved_epoch != self._training.epoch:
            self._checkpoint.parent.mkdir(parents=True, exist_ok=True)  # a node with its own disk
            write_history(self._checkpoint, self._history)
            self._training.save(self._checkpoint)
            self._saved(self._checkpoint)
            self._saved_epoch = self._training.epoch

    def put_down(self) -> None:
        """Write all checkpoints."""
        self.save()
        if self._refitting is not None:
            self._refitting.save()
        self._saved(self._checkpoint)

    @property
    def _over(self) -> bool:
        return self._training.epoch >= self._lease.to_epoch or self._early

    @property
    def _early(self) -> bool:
        """Whether the trial has not improved for as long as the study waits.

        Decided here and not by the driver, which hears of epochs later: so it depends on no clock.
        """
        return self._training.has_settled(self._patience)

    def _close(self, deadline: float) -> Outcome | None:
        """Keep what the lease came to; None while storage takes nothing, or training goes on."""
        try:
            self.save()
            return self._finish(deadline)
        except OSError as error:
            self._storage.wait(error)
            return None

    def _finish(self, deadline: float) -> Outcome | None:
        training = tested = self._training
        epoch, early = training.epoch, self._early
        if not self._lease.test:
            return Outcome.reached(epoch, early=early)
        if self._refitting is not None:
            again = self._refitting.advance(training, until=deadline)
            if again is None:
                return None
            tested = again
        evaluation = tested.evaluate("test")
        write_losses(self._checkpoint, evaluation.example_losses)
        self._saved(self._checkpoint)
        family, task = type(training.model.backbone), training.task
        return Outcome.reached(
            epoch,
            test=evaluation.metrics,
            test_epoch=training.best_epoch,
            early=early,
            streaming=streaming_costs(family, training.config, task),
            refit=None if self._refitting is None else self._refitting.told(training),
        )


def history_path(checkpoint: Path) -> Path:
    """Where the history of a checkpoint lies."""
    return checkpoint.with_name(f"{checkpoint.name}.history.json")


def read_history(checkpoint: Path, epoch: int) -> list[dict[str, Any]]:
    """The epochs up to `epoch` that were told beside a checkpoint; none where that is damaged."""
    try:
        history = json.loads(history_path(checkpoint).read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [told for told in history if told["epoch"] <= epoch]


def write_history(checkpoint: Path, history: list[dict[str, Any]]) -> None:
    """Write the epochs so far beside a checkpoint, in full or not at all."""
    with draft_of(history_path(checkpoint)) as draft:
        draft.write_text(json.dumps(history), encoding="utf-8")


def ending(error: Exception, *, shares: bool) -> Outcome:
    """What an error means for the trial; a lack of memory is no fault of its training.

    Args:
        shares: Whether other workers share the GPU.
    """
    if not is_out_of_memory(error):
        return failure(error, "diverged" if isinstance(error, Diverged) else "")
    found = failure(error, "out of memory")
    if shares:
        return Outcome.crowded(f"{found.cause} (in a share of a GPU)")
    return Outcome.infeasible(found.cause, found.traceback)
