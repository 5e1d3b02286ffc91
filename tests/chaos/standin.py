"""A worker that trains nothing, but keeps checkpoints and tells its epochs as the real one does.

Its epochs take as long as the laboratory says, and one of its trials does what the laboratory has
ordered. Imports no torch.
"""

import json
import os
import resource
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from search.runner.message import Message
from search.store.drafts import draft_of
from search.store.patience import StoragePatience
from search.trial import Lease, Outcome
from tests.chaos.machines import MACHINE

PACE = "pace"  # the file with the seconds of an epoch
ORDERS, TAKEN = "orders", "taken"  # folders of files named after what is to be done, and was
HANG, MEMORY, ERROR = "hang", "memory", "error"
CAP_BYTES = 1 << 26  # above what the process has


class UnserialisableError(Exception):
    """Holds what cannot leave its process."""

    def __init__(self) -> None:
        super().__init__("this cannot be serialised")
        self.lock = threading.Lock()


class StandIn:
    """Counts epochs.

    Args:
        folder: The laboratory's.
        metric: What the study asks for.
    """

    def __init__(self, folder: str, metric: str, arrays: dict[str, np.ndarray]) -> None:
        self._folder = Path(folder)
        self._metric = metric

    def take(self, lease: Lease, checkpoint: Path) -> None:
        """Go on from the checkpoint: what all epochs so far have measured."""
        self._lease, self._checkpoint = lease, checkpoint
        self._history: list[dict[str, Any]] = []
        with suppress(FileNotFoundError):
            self._history = json.loads(checkpoint.read_text("utf-8"))
        self._saved = len(self._history)
        self._told = min(lease.from_epoch, self._saved)  # what was lost is told again
        self._storage = StoragePatience()

    def work(self) -> Message:
        """One epoch, and what the checkpoint has and the log has not."""
        last = self._lease.to_epoch
        if len(self._history) < last:
            self._obey()
            time.sleep(float((self._folder / PACE).read_text()))
            self._history.append(self._measured())
            if len(self._history) < last:
                with suppress(OSError):
                    self._save()
        outcome = self._close() if len(self._history) >= last else None
        news = [
            {**told, "saved": min(self._saved, told["epoch"])}
            for told in self._history[self._told : last]
        ]
        self._told += len(news)
        return Message(news, outcome)

    def put_down(self) -> None:
        """All is saved that can be."""

    def _measured(self) -> dict[str, Any]:
        epoch = len(self._history) + 1
        quality = self._lease.trial.config["training"]["optimizer"].get("learning_rate", 0.5)
        return {
            "epoch": epoch,
            "valid": {self._metric: 1.0 / epoch + quality},
            "train_loss": 1.0 / epoch,
            "seconds": 0.1,
            "parameters": 1,
            "machine": os.environ.get(MACHINE, ""),
            "pid": os.getpid(),
        }

    def _save(self) -> None:
        with draft_of(self._checkpoint) as draft:
            draft.write_text(json.dumps(self._history), encoding="utf-8")
        self._saved = len(self._history)

    def _close(self) -> Outcome | None:
        if self._saved < len(self._history):
            try:
                self._save()
            except OSError as error:
                self._storage.wait(error)
                return None
        test = {self._metric: 1.0} if self._lease.test else None
        return Outcome.reached(self._lease.to_epoch, test=test, test_epoch=1)

    def _obey(self) -> None:
        """Carry out an order that no other worker was quicker to take."""
        for order in (self._folder / ORDERS).glob("*"):
            place = f"{order.name}.{self._lease.trial.number}.{self._lease.number}"
            try:
                order.rename(self._folder / TAKEN / place)
            except FileNotFoundError:
                continue
            if order.name == HANG:
                time.sleep(3600)
            if order.name == MEMORY:
                exhaust_memory()
            raise UnserialisableError


def exhaust_memory() -> None:
    """Ask for more memory than the process may have.

    Raises:
        MemoryError: Always.
    """
    cap = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text()
    used = int(status.partition("VmData:")[2].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + CAP_BYTES, cap[1]))
    try:
        np.ones(8 * CAP_BYTES, dtype=np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, cap)
