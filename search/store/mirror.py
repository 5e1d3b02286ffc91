"""Keeps a study in an object store as it is in the folder where its driver works.

A thread sends what is new every few seconds, holds the lock of the study there, and brings in what
people ask of it. An outage does not stop the study: what could not be sent is sent later.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cluster.bucket import Bucket
from search.store.copies import CHECKPOINTS, origin_of
from search.store.lock import LOCK, StudyLockedError
from search.store.log import LOG
from search.store.object_lock import ObjectLock
from search.store.requests import REQUESTS
from search.store.segments import LogSender

SEND_SECONDS = 3.0
LAST_SECONDS = 60.0  # how long the end of a run waits for a store that does not answer
RETRY_SECONDS = 2.0
OWN = (LOG, LOCK, "index.parquet")  # sent in another way, or made anew by every reader


class Mirror:
    """What the driver of a study has to do with its object store; `begin` takes the lock.

    Attributes:
        fault: Why the study must not go on: another process writes it.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self.fault: StudyLockedError | None = None
        self._directory = directory
        self._bucket = Bucket(url)
        self._lock = ObjectLock(self._bucket)
        self._sent: dict[str, tuple[int, int]] = {}
        self._unneeded: set[int] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="study-mirror", daemon=True)

    @classmethod
    def of(cls, directory: Path) -> "Mirror | None":
        """The begun mirror of a driver's copy; None for a study that is here itself.

        Raises:
            StudyLockedError: Another living process writes the study.
            OSError: The store does not answer, or refuses.
        """
        url = origin_of(directory)
        if url is None:
            return None
        mirror = cls(directory, url)
        mirror._begin()
        return mirror

    def _begin(self) -> None:
        self._lock.acquire()
        self._log = LogSender(self._directory, self._bucket)
        self._bucket.delete(self._bucket.sizes(REQUESTS))  # asked of a driver that is gone
        self._send()
        self._thread.start()

    def discard_checkpoints(self, trials: set[int]) -> None:
        """Have the checkpoints of these trials deleted; they will not be needed again."""
        self._unneeded = trials

    def close(self) -> None:
        """Send the rest and give the lock back.

        Raises:
            OSError: The store does not answer any more; the copy here is whole.
        """
        self._closing.set()
        self._thread.join()
        if self.fault is not None:
            return
        deadline = time.monotonic() + LAST_SECONDS
        while True:
            try:
                self._send()
                self._lock.release()
            except StudyLockedError:
                raise
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise OSError(
                        f"{error}; the newest results are in {self._directory} alone: "
                        f"`seqtune resume {self._bucket.url}` on this machine sends them"
                    ) from None
                time.sleep(RETRY_SECONDS)
            else:
                return

    def remove(self) -> None:
        """Take the study away, from there; nothing of it was worth keeping."""
        self._closing.set()
        self._thread.join()
        if self.fault is None:
            self._bucket.delete_all()

    def _keep(self) -> None:
        while not self._closing.wait(SEND_SECONDS):
            try:
                self._send()
                self._take_requests()
                self._delete_checkpoints()
            except StudyLockedError as error:
                self.fault = error
                return
            except OSError:
                continue  # an outage: the next time sends all that this one did not

    def _send(self) -> None:
        """What is new; never without a look at who holds the lock, if the last is some time ago."""
        if self._lock.is_due:
            self._lock.beat()
        self._log.send()
        send_files(self._directory, self._bucket, self._sent)

    def _take_requests(self) -> None:
        for name in self._bucket.sizes(REQUESTS):
            place = self._directory / name
            place.parent.mkdir(exist_ok=True)
            draft = place.with_name(f".{place.name}")
            draft.write_bytes(self._bucket.read(name))
            draft.replace(place)
            self._bucket.delete([name])

    def _delete_checkpoints(self) -> None:
        if trials := self._unneeded:
            self._unneeded = set()
            names = self._bucket.sizes(CHECKPOINTS)
            self._bucket.delete(name for name in names if _trial_of(name) in trials)


def send_files(directory: Path, bucket: Bucket, sent: dict[str, tuple[int, int]]) -> None:
    """Send the files beside the log that have changed since they were noted in `sent`.

    Raises:
        OSError: The store does not answer.
    """
    for file in _files(directory):
        with suppress(FileNotFoundError):  # a draft, replaced meanwhile
            about = file.stat()
            mark = (about.st_size, about.st_mtime_ns)
            name = file.relative_to(directory).as_posix()
            if sent.get(name) != mark:
                bucket.write(name, file.read_bytes())
                sent[name] = mark


def publish(directory: Path) -> None:
    """Send what was made from a study after its run, such as its best model.

    Raises:
        OSError: The store does not answer.
    """
    url = origin_of(directory)
    if url is not None:
        send_files(directory, Bucket(url), {})


def handed_on(directory: Path, path: Path) -> str:
    """What people call a new file or folder; sent, where it lies in a copy of a study.

    Raises:
        OSError: The store does not answer.
    """
    url = origin_of(directory)
    if url is None or not path.is_relative_to(directory):
        return str(path)
    bucket = Bucket(url)
    for file in (path, *path.rglob("*")):
        if file.is_file():
            bucket.write(file.relative_to(directory).as_posix(), file.read_bytes())
    return f"{url}/{path.relative_to(directory).as_posix()}"


def _files(directory: Path) -> Iterator[Path]:
    for file in directory.rglob("*"):
        parts = file.relative_to(directory).parts
        hidden = any(part.startswith(".") for part in parts)
        if not hidden and parts[0] not in (*OWN, REQUESTS, CHECKPOINTS) and file.is_file():
            yield file


def _trial_of(name: str) -> int:
    number = name.rpartition("/")[2].lstrip(".").partition(".")[0]
    return int(number) if number.isdigit() else -1
