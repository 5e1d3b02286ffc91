"""One lease being worked on: where it stands, its checkpoints and its end."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.runner.refitting import Refitting
from search.runner.starts import start_path
from search.store.drafts import draft_of
from search.store.example_losses import write_losses
from search.store.patience import StoragePatience
from search.trial import Lease, Outcome
from trainers.size import streaming_costs
from trainers.training.checkpoint import UnusableCheckpointError
from trainers.training.loop import Measurement, Training


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
        self.training = training
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
            self.training.restore(self._checkpoint)
        except (FileNotFoundError, UnusableCheckpointError):
            if self._lease.trial.copied_from is not None:
                self.training.restore(start_path(self._checkpoint))
            return []
        self._saved_epoch = self.training.epoch
        self._history = read_history(self._checkpoint, self.training.epoch)
        known, last = self._lease.from_epoch, self._lease.to_epoch
        return [told for told in self._history if known < told["epoch"] <= last]

    def tell(self, measurement: Measurement) -> dict[str, Any]:
        """Take in an epoch that was trained; what is said of it."""
        measured = measurement.to_json() | {"parameters": self.training.parameters}
        self._history.append(measured)
        return measured

    def rest(self, deadline: float, checkpoint_seconds: float) -> Outcome | None:
        """After some epochs: the outcome if the lease is over then, or else a checkpoint is due.

        Where the storage takes nothing, training goes on, and the end of the lease waits for it.

        Raises:
            OSError: What is to be kept of the lease could not be written for too long.
        """
        if self.over:
            return self._close(deadline)
        if time.monotonic() - self._saved_at >= checkpoint_seconds:
            with suppress(OSError):  # there is an older one
                self.save()
            self._saved_at = time.monotonic()
        return None

    def save(self) -> None:
        """Write the checkpoint, unless it is there already."""
        if self._saved_epoch != self.training.epoch:
            self._checkpoint.parent.mkdir(parents=True, exist_ok=True)  # a node with its own disk
            write_history(self._checkpoint, self._history)
            self.training.save(self._checkpoint)
            self._saved(self._checkpoint)
            self._saved_epoch = self.training.epoch

    def put_down(self) -> None:
        """Write all checkpoints."""
        self.save()
        if self._refitting is not None:
            self._refitting.save()
        self._saved(self._checkpoint)

    @property
    def over(self) -> bool:
        """Whether no epoch is left to train."""
        return self.training.epoch >= self._lease.to_epoch or self._early

    @property
    def _early(self) -> bool:
        """Whether the trial has not improved for as long as the study waits.

        Decided here and not by the driver, which hears of epochs later: so it depends on no clock.
        """
        return self.training.has_settled(self._patience)

    def _close(self, deadline: float) -> Outcome | None:
        """Keep what the lease came to; None while storage takes nothing, or training goes on."""
        try:
            self.save()
            return self._finish(deadline)
        except OSError as error:
            self._storage.wait(error)
            return None

    def _finish(self, deadline: float) -> Outcome | None:
        training = tested = self.training
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
