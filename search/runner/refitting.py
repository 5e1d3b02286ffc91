"""The last part of a finalist's lease where finalists are trained again on validation examples."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from search.motion.events import Event
from search.study import Study
from search.trial import Refit
from trainers.training.checkpoint import UnusableCheckpointError
from trainers.training.loop import Training


def refit_path(checkpoint: Path) -> Path:
    """Where the checkpoint of the second training lies, beside that of the first."""
    return checkpoint.with_name(f"{checkpoint.name}.refit")


def check_same_rule(study: Study, log: Iterable[Event]) -> None:
    """Refuse to mix finalists that were trained again with others.

    Raises:
        ValueError: Some were tested under the other rule.
    """
    tested = [event for event in log if event["event"] == "tested"]
    if any(("refit" in event) != study.confirm.refit for event in tested):
        before = str(not study.confirm.refit).lower()
        raise ValueError(
            f"`confirm.refit` must stay {before}, as it was for the finalists that were tested; "
            f"for another, begin a study of its own"
        )


class Refitting:
    """The second training of a finalist, with a checkpoint of its own.

    Args:
        make: From the first training, over, to the second; see `trainers.training.refit`.
        checkpoint: Of the first.
        checkpoint_seconds: The least time between two checkpoints.
    """

    def __init__(
        self, make: Callable[[Training], Training], checkpoint: Path, checkpoint_seconds: float
    ) -> None:
        self._make = make
        self._checkpoint_seconds = checkpoint_seconds
        self._path = refit_path(checkpoint)
        self._training: Training | None = None
        self._seconds = 0.0
        self._saved_at = time.monotonic()

    def advance(self, run: Training, *, until: float) -> Training | None:
        """Train at least one epoch, until that time; the training once it is over.

        Raises:
            OSError: It is over, and cannot be written.
        """
        training = self._begun(run)
        while training.epoch < run.best_epoch:
            self._seconds += training.run_epoch().seconds
            if time.monotonic() >= until:
                break
        if training.epoch >= run.best_epoch:
            self.save()
            return training
        if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
            with suppress(OSError):  # there is an older one, or the first training's
                self.save()
        return None

    def told(self, run: Training) -> Refit:
        """What the log says of it."""
        return Refit(epochs=run.best_epoch, seconds=self._seconds)

    def save(self) -> None:
        """Write the checkpoint."""
        if self._training is not None and self._training.epoch:
            self._training.save(self._path)
        self._saved_at = time.monotonic()

    def _begun(self, run: Training) -> Training:
        """Goes on from its checkpoint, if there is one of this very training."""
        if self._training is None:
            self._training = self._make(run)
            with suppress(FileNotFoundError, UnusableCheckpointError, ValueError):
                self._training.restore(self._path)
        return self._training
