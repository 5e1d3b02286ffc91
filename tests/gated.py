"""A study whose model trains only while a gate is there: for what befalls machines meanwhile."""

from pathlib import Path

STUDY = """
name = "digits"
benchmark = "digits_rows"
families = ["slow.py:Slow"]
budget = {{ trials_per_family = {trials}, epochs = {epochs} }}
search = {{ sampler = "random", scheduler = "{scheduler}" }}
confirm = {{ seeds = {seeds} }}
resources = {{ {resources} }}

[space."slow.py:Slow"]
hidden_size = 16
num_layers = 1
batch_size = 32
bidirectional = false
optimizer = "adamw"
"""
MODEL = """
import socket
import time
from pathlib import Path

from trainers.models.recurrent import GRU

PLACE = Path({place!r})


class Slow(GRU):
    # trains while the gate is there, and some time an epoch, however busy the machine is

    def forward(self, x, mask):
        while self.training and not (PLACE / "gate").exists():
            time.sleep(0.02)
        if self.training:
            (PLACE / "at" / socket.gethostname()).touch()
            time.sleep({step_seconds})
        return super().forward(x, mask)
"""


class Gate:
    """Where it stands in the file system that all machines share; closed at first.

    Args:
        place: Its folder, which is made.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "at").mkdir(parents=True)

    def open(self) -> None:
        """Let trials train."""
        (self.place / "gate").touch()

    def close(self) -> None:
        """Let them wait, in the middle of an epoch."""
        (self.place / "gate").unlink()

    def last_training_at(self, machine: str) -> float:
        """When a model was last trained there, in seconds of the epoch; 0 if never."""
        mark = self.place / "at" / machine
        return mark.stat().st_mtime if mark.exists() else 0.0

    def write_study(
        self,
        folder: Path,
        *,
        trials: int,
        epochs: int,
        seeds: int,
        scheduler: str = "asha",
        resources: str = "",
        step_seconds: float = 0.02,
    ) -> None:
        """`study.toml` and its model, in a folder.

        Args:
            trials: Of its only family.
            seeds: Of its only finalist.
            resources: More keys of that table.
            step_seconds: What a step takes at least; an epoch has about fifty.
        """
        study = STUDY.format(
            trials=trials, epochs=epochs, seeds=seeds, scheduler=scheduler, resources=resources
        )
        model = MODEL.format(place=str(self.place), step_seconds=step_seconds)
        (folder / "study.toml").write_text(study)
        (folder / "slow.py").write_text(model)
