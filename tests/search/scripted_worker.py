"""A worker on a script, for the tests of the runner. Imports no torch."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from search.runner.message import Message
from search.trial import Lease, Outcome

METRIC = "error"


class ScriptedWorker:
    """Counts epochs, and does what the script says at the third epoch of a trial's first attempt.

    Its checkpoint is a file with the number of epochs done.
    """

    def __init__(
        self, script: Mapping[int, str], arrays: dict[str, np.ndarray], share: float = 1.0
    ) -> None:
        self.script = script
        self.share = share
        self.arrays = arrays
        self.leases = 0

    def take(self, lease: Lease, checkpoint: Path) -> None:
        self.lease, self.checkpoint = lease, checkpoint
        self.epoch = int(checkpoint.read_text()) if checkpoint.exists() else 0
        self.leases += 1

    def work(self) -> Message:
        try:
            return self.train()
        except RuntimeError as error:
            from search.runner.worker import ending  # noqa: PLC0415 - it loads torch

            return Message([], ending(error, shares=self.share < 1))

    def train(self) -> Message:
        self.epoch += 1
        act = self.script.get(self.lease.trial.number, "")
        if self.epoch == 3 and (self.lease.attempt == 1 or act.startswith("always")):
            self.perform(act.removeprefix("always "))
            self.starve(act.removeprefix("always "))
        self.checkpoint.write_text(str(self.epoch))
        measured = {
            "epoch": self.epoch,
            "valid": {METRIC: float("nan") if act == "nan" else 1.0 / self.epoch},
            "train_loss": 1.0,
            "seconds": 0.01,
            "parameters": 1,
            "pid": os.getpid(),
            "leases": self.leases,
            "share": self.share,
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            "writeable": any(array.flags.writeable for array in self.arrays.values()),
        }
        over = self.epoch >= self.lease.to_epoch
        early = act == "settle" and self.epoch == 3
        test = {METRIC: 1.0} if self.lease.test else None
        outcome = Outcome.reached(self.epoch, test=test, test_epoch=self.epoch, early=early)
        return Message([measured], outcome if over or early else None)

    def perform(self, act: str) -> None:
        if act == "raise":
            raise ValueError("the script says so")
        if act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "sleep":
            time.sleep(0.25)
        if act.startswith("meet"):
            (self.checkpoint.parent / f"met.{os.getpid()}").touch()
            while len(list(self.checkpoint.parent.glob("met.*"))) < int(act.split()[1]):
                time.sleep(0.01)
        if act == "long":
            time.sleep(60)
        if act.startswith("hog"):
            self.hoard = np.ones(int(act.split()[1]), dtype=np.uint8)
            time.sleep(60)  # for the memory monitor, which ends it

    def starve(self, act: str) -> None:
        if act == "oom everywhere" or (act == "oom" and self.share < 1):
            import torch  # noqa: PLC0415 - a worker that needs none has none

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")

    def put_down(self) -> None:
        self.checkpoint.with_suffix(".put_down").write_text(str(self.epoch))
