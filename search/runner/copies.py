"""What copies of trials begin with: the checkpoints of others, as they are when they are copied."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from search.motion.events import Event
from search.motion.state import StudyState


class Starts:
    """Keeps, for each copy, the checkpoint of the trial that it was copied from.

    That trial waits until then, and goes on afterwards. A file of its own lets both be: the one is
    replaced when a checkpoint is written, never changed.

    Args:
        path: Where the checkpoint of a trial of that number lies.
    """

    def __init__(self, path: Callable[[int], Path]) -> None:
        self._path = path

    def see(self, event: Event) -> None:
        """Keep what a copy begins with, before anything else happens in the study."""
        if event.get("copied_from"):
            self._keep(event["trial"], event["copied_from"][0])

    def complete(self, state: StudyState) -> None:
        """Keep what is missing, where the driver before ended between the two."""
        for at in state.trials[-1:]:
            if at.trial.copied_from and not at.attempt:
                self._keep(at.trial.number, at.trial.copied_from[0])

    def _keep(self, copy: int, donor: int) -> None:
        """Without the file the copy fails, and says why."""
        start = start_path(self._path(copy))
        draft = start.with_name(f".{start.name}.{os.getpid()}.part")
        with suppress(FileNotFoundError):
            try:
                shutil.copyfile(self._path(donor), draft)
                draft.replace(start)
            finally:
                draft.unlink(missing_ok=True)


def start_path(checkpoint: Path) -> Path:
    """Where lies what a copy begins with, beside its own checkpoint."""
    return checkpoint.with_name(f"{checkpoint.name}.start")
