"""Where a worker's checkpoints go: where they are written, or to the study's object store and back.

A worker of a study in an object store works in a folder of its own, and the store is always right:
before a lease begins, what lies here is made equal to what lies there, be that nothing.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from cluster.bucket import Bucket
from search.store.copies import CHECKPOINTS
from search.store.patience import StoragePatience

PREFIX = "seqtune-worker-"
PATIENCE_SECONDS = 60.0  # an outage is no fault of a trial


class Exchange:
    """Checkpoints in a folder that every worker sees: nothing has to be done."""

    def get(self, checkpoint: Path) -> Path:
        """Where the checkpoint lies for this worker, as new as it is."""
        return checkpoint

    def put(self, checkpoint: Path) -> None:
        """Hand on what lies at and beside a checkpoint."""

    @staticmethod
    def of(url: str | None) -> "Exchange":
        """That of a study in a folder, or at a URL."""
        return Exchange() if url is None else StoreExchange(url)


class StoreExchange(Exchange):
    """Checkpoints in an object store.

    Args:
        url: The study's.
    """

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(f"{url}/{CHECKPOINTS}")
        _remove_abandoned()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self._sent: dict[str, tuple[int, int]] = {}
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)

    def get(self, checkpoint: Path) -> Path:
        """See `Exchange`.

        Raises:
            OSError: The store says no, or nothing for too long.
        """
        patience = StoragePatience(PATIENCE_SECONDS)
        while True:
            try:
                return self._get(checkpoint.name)
            except ConnectionError as error:
                patience.wait(error)

    def put(self, checkpoint: Path) -> None:
        """See `Exchange`; the checkpoint itself goes last, so that what describes it is there.

        Raises:
            OSError: The store does not answer; it has older ones.
        """
        for file in sorted(self._folder.glob("[!.]*"), key=lambda file: file == checkpoint):
            mark = _mark(file)
            if self._sent.get(file.name) != mark:
                self._bucket.write(file.name, file.read_bytes())
                self._sent[file.name] = mark

    def _get(self, name: str) -> Path:
        for file in self._folder.iterdir():
            file.unlink()
        self._sent.clear()
        for found in self._bucket.sizes():
            if found == name or found.startswith(f"{name}."):
                file = self._folder / found
                file.write_bytes(self._bucket.read(found))
                self._sent[found] = _mark(file)
        return self._folder / name


def _mark(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_size, about.st_mtime_ns


def _remove_abandoned() -> None:
    """Remove the folders of workers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if Path("/proc/self").exists() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)
