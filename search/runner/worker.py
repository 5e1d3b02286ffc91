"""What a worker process does with a lease: train, keep checkpoints, say what came of it."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from search.runner.exchange import Exchange
from search.runner.message import Message, failure
from search.runner.packages import check_packages
from search.runner.refitting import Refitting
from search.runner.run import Run
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
from trainers.training.epoch import Found
from trainers.training.loop import Diverged, Training, TrainingArray
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


@dataclass(slots=True)
class Work:
    """A lease that a worker has, and what it has not told of it.

    Args:
        run: None before it is begun, and where it has to begin again from its checkpoint.
    """

    lease: Lease
    checkpoint: Path
    exchange: Exchange
    run: Run | None = None
    news: list[dict[str, Any]] = field(default_factory=list)
    outcome: Outcome | None = None
    over: bool = False


class Worker:
    """One process that trains lease after lease on the same data; a `LeaseWorker`.

    The leases of an array are trained as one. What goes wrong with all of them, such as a lack of
    memory, parts the array, and they begin again from their checkpoints.

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
        self._exchanges: list[Exchange] = []
        self._array: TrainingArray | None = None
        self._work: list[Work] = []
        self._most = 1

    def take(self, lease: Lease, checkpoint: Path, *mates: tuple[Lease, Path]) -> None:
        """Make `lease` the work to do; the training itself is made when the work begins."""
        self.put_down()
        leases = [(lease, checkpoint), *mates]
        self._exchanges += [Exchange.of(self._duty.url) for _ in leases[len(self._exchanges) :]]
        self._work = [
            Work(lease, checkpoint, exchange)
            for (lease, checkpoint), exchange in zip(leases, self._exchanges, strict=False)
        ]
        self._most = len(leases)

    def work(self) -> Message:
        """Train for about `REPORT_SECONDS`, at least one epoch; what goes wrong is an outcome."""
        array = [work for work in self._work if not work.over][: self._most]
        for work in array:
            if work.run is None:
                self._begin(work)
        deadline = time.monotonic() + REPORT_SECONDS
        begun = [work for work in array if work.run is not None]
        training = [work for work in begun if work.run and not work.run.over]
        try:
            self._train(training, deadline)
        except Exception as error:
            self._fail(training, error)
        for work in begun:
            self._rest(work, deadline)
        return self._message(max(len(training), 1))

    def put_down(self) -> None:
        """Save what has been done of leases that are not over; the process may end now."""
        for work in self._work:
            if work.run is not None:
                with suppress(OSError):  # the trial has an older checkpoint, the lease no listener
                    work.run.put_down()
        self._work, self._array = [], None

    def _begin(self, work: Work) -> None:
        try:
            work.checkpoint = work.exchange.get(work.checkpoint)
            work.run = Run(
                self._training(work.lease),
                work.lease,
                work.checkpoint,
                self._duty.patience,
                self._refitting(work),
                work.exchange.put,
            )
            told = {news["epoch"] for news in work.news}
            work.news += [news for news in work.run.restore() if news["epoch"] not in told]
        except Exception as error:
            work.run, work.outcome = None, self._ending(error)

    def _train(self, training: Sequence[Work], deadline: float) -> None:
        """Epoch by epoch, until one of them is over, or that time."""
        runs = [work.run for work in training if work.run is not None]
        while runs:
            found = self._epoch([run.training for run in runs])
            for work, run, each in zip(training, runs, found, strict=True):
                if isinstance(each, Diverged):
                    work.run, work.outcome = None, self._ending(each)
                else:
                    work.news.append(run.tell(each))
            over = any(work.run is None or work.run.over for work in training)
            if over or time.monotonic() >= deadline:
                return

    def _rest(self, work: Work, deadline: float) -> None:
        """Save a lease now and then, and bring it to its end when it is over."""
        if work.run is None:
            return
        try:
            work.outcome = work.run.rest(deadline, self._duty.checkpoint_seconds)
        except Exception as error:
            work.outcome = self._ending(error)

    def _epoch(self, trainings: Sequence[Training]) -> Sequence[Found]:
        """One epoch of all: what each measured, or how it diverged."""
        if len(trainings) == 1:
            self._array = None
            try:
                return [trainings[0].run_epoch()]
            except Diverged as error:
                return [error]
        if self._array is None or self._array.trainings != list(trainings):
            self._array = TrainingArray(trainings)
        return self._array.run_epoch()

    def _fail(self, training: Sequence[Work], error: Exception) -> None:
        """What comes of an error while these were trained."""
        self._array = None
        for work in training:
            work.run = None
        if len(training) == 1:
            training[0].outcome = self._ending(error)
        else:
            self._most = len(training) // 2 if is_out_of_memory(error) else 1
            free_memory()

    def _ending(self, error: Exception) -> Outcome:
        return ending(error, shares=self._duty.gpu_share < 1)

    def _message(self, members: int) -> Message:
        """What is new of every lease; memory is shared out among as many as were trained."""
        seen = {name: peak // members for name, peak in peak_bytes(self._duty.device).items()}
        messages = []
        for work in self._work:
            messages.append(Message([told | seen for told in work.news], work.outcome))
            if work.outcome is not None and not work.over:
                work.over, work.run = True, None
                if work.outcome.kind != "reached":  # its traceback may still hold the whole model
                    free_memory()
            work.news, work.outcome = [], None
        return replace(messages[0], mates=tuple(messages[1:]))

    def _training(self, lease: Lease) -> Training:
        trial, data = lease.trial, self._resident()
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

    def _refitting(self, work: Work) -> Refitting | None:
        if not (self._duty.refit and work.lease.test):
            return None
        return Refitting(self._refit, work.checkpoint, self._duty.checkpoint_seconds)

    def _refit(self, run: Training) -> Training:
        if self._joined is None:
            self._joined = DeviceData(joined(self._dataset), self._duty.device)
        return refit(run, self._joined, epochs=self._duty.epochs)


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
