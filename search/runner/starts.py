"""What copies of trials begin with: the checkpoints of others, as they are when they are copied."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.bucket import Bucket
from search.motion.events import Event
from search.motion.progress import TrialProgress
from search.store.copies import CHECKPOINTS
from search.store.drafts import draft_of
from search.store.patience import StoragePatience

PATIENCE_SECONDS = 60.0


class Starts:
    """Keeps, for each copy, the checkpoint of the trial that it was copied from.

    That trial waits until then, and goes on afterwards. A file of its own lets both be: the one is
    replaced when a checkpoint is written, never changed.

    Args:
        path: Where the checkpoint of a trial of that number lies.
        url: The study's, if it is in an object store; checkpoints are there alone.
    """

    def __init__(self, path: Callable[[int], Path], url: str | None = None) -> None:
        self._path = path
        self._bucket = None if url is None else Bucket(f"{url}/{CHECKPOINTS}")

    def see(self, event: Event) -> None:
        """Keep what a copy begins with, before anything else happens in the study."""
        if event.get("copied_from"):
            self._keep(event["trial"], event["copied_from"][0])

    def complete(self, trials: Sequence[TrialProgress]) -> None:
        """Keep what is missing, where the driver before ended between the two."""
        for at in trials[-1:]:
            if at.trial.copied_from and not at.attempt:
                self._keep(at.trial.number, at.trial.copied_from[0])

    def _keep(self, copy: int, donor: int) -> None:
        """Without the file the copy fails, and says why."""
        begun, start = self._path(donor), start_path(self._path(copy))
        patience = StoragePatience(PATIENCE_SECONDS)
        while True:
            try:
                self._write(begun, start)
            except FileNotFoundError:
                return
            except OSError as error:  # a full disk, or a store that does not answer
                patience.wait(error)
            else:
                return

    def _write(self, begun: Path, start: Path) -> None:
        if self._bucket is not None:
            self._bucket.write(start.name, self._bucket.read(begun.name))
            return
        with draft_of(start) as draft:
            shutil.copyfile(begun, draft)


def start_path(checkpoint: Path) -> Path:
    """Where lies what a copy begins with, beside its own checkpoint."""
    return checkpoint.with_name(f"{checkpoint.name}.start")
