"""What the driver of a study writes down, and tells to whoever looks on."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from search.motion.events import Event
from search.problem import Problem
from search.runner.interruption import Interruption
from search.store.lock import StudyLockedError
from search.store.patience import StoragePatience
from search.store.store import Store
from trainers.trivial.baselines import baseline

logger = logging.getLogger(__name__)


class Journal:
    """Writes events to the log, adds what the conductor cannot know, and tells who wants to know.

    A log that cannot be written for a while is waited for, and all workers then wait, too.

    Args:
        readers: Told of each event, right after it was written. A terminal that is gone, or a full
            disk, where one of them writes, does not end a study.
        interruption: A signal ends the waiting.

    Attributes:
        has_baseline: Whether the log says what a trivial predictor reaches.
    """

    def __init__(
        self,
        store: Store,
        problem: Problem,
        readers: list[Callable[[Event], None]],
        interruption: Interruption,
    ) -> None:
        self.readers = readers
        self.has_baseline = False
        self._store = store
        self._problem = problem
        self._interruption = interruption
        self._storage = StoragePatience()

    def record(self, event: Event) -> None:
        """Write one event; to the opening of a study belongs what is measured.

        Raises:
            OSError: It could not be written for too long, or not when a signal came.
        """
        opening = event["event"] == "opened"
        if opening:
            metric = self._problem.metric
            event |= {"metric": metric.name, "maximize": metric.maximize}
        self._append(event)
        for reader in self.readers:
            with suppress(OSError):
                reader(event)
        if opening and not self.has_baseline:
            self.has_baseline = True
            if self._problem.account:
                self.record({"event": "data", "account": self._problem.account})
            with suppress(ValueError):  # there is none for this kind of task
                self.record({"event": "baseline", **asdict(baseline(self._problem.dataset))})

    def record_abort(self, cause: str) -> None:
        """Write that Ray Tune gave up."""
        self.record({"event": "aborted", "cause": cause})

    def close(self) -> None:
        """Write that this driver ends, if that can be written now."""
        with suppress(OSError):
            self._store.append({"event": "closed"})

    def _append(self, event: Event) -> None:
        while True:
            try:
                self._store.append(event)
            except StudyLockedError:
                raise
            except OSError as error:
                if self._interruption.signum is not None:
                    raise
                if not self._storage.waiting:
                    logger.warning("%s: the study waits until it can be written", error)
                self._storage.wait(error)
            else:
                self._storage.succeed()
                return
