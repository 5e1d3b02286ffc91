"""The directory of a study: `study.toml`, `environment.json`, `events.jsonl`, `checkpoints/`.

The log `events.jsonl` is the only state. It is append-only, one JSON object a line; its first line
states the format. One process writes, under a lock; anybody reads, at any time.
"""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from cluster.bucket import url_of
from search.store.copies import CHECKPOINTS, fetched
from search.store.environment import describe_environment, installed_version
from search.store.lock import HEARTBEAT_SECONDS, LOCK, StudyLockedError, WriterLock
from search.store.log import FORMAT, LOG, check_header, read_events, whole_bytes
from search.store.mirror import Mirror
from search.study import Study

STUDY = "study.toml"
ENVIRONMENT = "environment.json"


class Store:
    """The writer's end of one study's directory; `create` and `open` take the lock.

    An event is handed to the operating system before `append` returns, so a killed process loses
    nothing; once a second a thread has it written to the disk, and renews the lock.
    """

    def __init__(self, directory: Path, lock: WriterLock) -> None:
        self.directory = directory
        self._lock = lock
        self._mirror = Mirror.of(directory)
        self._log = os.open(directory / LOG, os.O_RDWR | os.O_APPEND)
        self._size = whole_bytes(directory / LOG)
        os.ftruncate(self._log, self._size)  # a torn last line
        self._writing = threading.Lock()
        self._unsynced = False
        self._torn = False
        self._fault: OSError | None = None
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="study-store", daemon=True)

    @classmethod
    def create(cls, directory: str | Path, study: Study, *, devices: Sequence[str] = ()) -> Self:
        """Make the directory of a new study, whole or not at all.

        Args:
            directory: The study's own folder, `results/<study>`; where that is a copy (see
                `copies.workplace`), what is written here is sent to the object store.
            devices: The accelerators in words, for `environment.json`.

        Raises:
            FileExistsError: The folder is there already.
            OSError: It cannot be written.
        """
        directory = Path(directory)
        if directory.exists():
            raise _exists(directory)
        draft = directory.with_name(f".{directory.name}.{uuid4().hex[:8]}")
        lock = None
        try:
            draft.mkdir(parents=True)
            _fill(draft, study, devices)
            lock = WriterLock.acquire(draft / LOCK)  # goes with the folder when it is renamed
            draft.rename(directory)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if lock is not None:
                lock.release()
            if not isinstance(error, OSError):
                raise
            raise _unwritable(directory, error) from error
        lock.path = directory / LOCK
        return cls._begin(directory, lock)

    @classmethod
    def open(cls, directory: str | Path) -> Self:
        """Go on writing an existing study; a torn last line of its log is cut off.

        Raises:
            FileNotFoundError: There is no study.
            StudyLockedError: Another living process writes it.
            ValueError: The log is not one that this version can continue.
        """
        directory = Path(directory)
        check_header(directory)
        try:
            lock = WriterLock.acquire(directory / LOCK)
        except PermissionError as error:
            raise _unwritable(directory, error) from error
        return cls._begin(directory, lock)

    @classmethod
    def _begin(cls, directory: Path, lock: WriterLock) -> Self:
        try:
            store = cls(directory, lock)
        except BaseException:
            lock.release()
            raise
        if not store._size:
            store.append(_header())
        store._keeper.start()
        return store

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event as a line, stamped with the unix `time` where it has none.

        Raises:
            ValueError: The event is not plain JSON, or holds NaN or infinity.
            OSError: It could not be written; the log is as it was before.
        """
        line = encode(event)
        with self._writing:
            if self._fault is not None:
                raise self._fault
            if self._mirror is not None and self._mirror.fault is not None:
                raise self._mirror.fault
            self._write(line)

    def events(self) -> Iterator[dict[str, Any]]:
        """The events so far, oldest first, without duplicates."""
        return read_events(self.directory)

    def replace_study(self, study: Study) -> None:
        """Put a changed study (more budget, another family) in the place of `study.toml`."""
        draft = self.directory / f"{STUDY}.draft"
        _write_file(draft, study.to_toml())
        draft.replace(self.directory / STUDY)

    def checkpoint_path(self, trial: int) -> Path:
        """Where the checkpoint of a trial lies; the path is made by whoever saves it."""
        return checkpoint_path(self.directory, trial)

    def discard_sent(self, trials: set[int]) -> None:
        """Have the checkpoints of these trials deleted from the object store, if it is in one."""
        if self._mirror is not None:
            self._mirror.discard_checkpoints(trials)

    def close(self) -> None:
        """Write everything to the disk and give the lock back; a second call does nothing.

        Raises:
            OSError: It could not be sent to the object store that it belongs to.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        try:
            with self._writing:
                os.fsync(self._log)
        finally:
            os.close(self._log)
            try:
                if self._mirror is not None:
                    self._mirror.close()
            finally:
                self._lock.release()

    def remove(self) -> None:
        """Close it, and take the study away as if it had never been."""
        if self._mirror is not None:
            self._mirror.remove()
            self._mirror = None
        self.close()
        shutil.rmtree(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            self._mend()
            self._torn = True
            while written < len(line):
                written += os.write(self._log, line[written:])
        except OSError as error:  # a full disk must not leave half a line behind
            with suppress(OSError):  # not even that may be possible now
                self._mend()
            raise _unwritable(self.directory / LOG, error) from error
        self._torn = False
        self._size += len(line)
        self._unsynced = True

    def _mend(self) -> None:
        """Cut off half a line that an earlier attempt has left."""
        if self._torn:
            os.ftruncate(self._log, self._size)
            self._torn = False

    def _keep(self) -> None:
        """Renew the lock and sync the log each second; a fault is raised by the next `append`.

        That the lock cannot be renewed for a while, on storage that is read-only or out of reach,
        is no fault: `append` says so itself, and others see who has it as soon as it can be.
        """
        while not self._closing.wait(HEARTBEAT_SECONDS):
            try:
                try:
                    self._lock.beat()
                except StudyLockedError:
                    raise
                except OSError:
                    continue
                if self._unsynced:
                    self._unsynced = False
                    os.fsync(self._log)
            except OSError as error:
                self._fault = error
                return


def encode(event: Mapping[str, Any]) -> bytes:
    """One event as a line of the log: its kind and time first, compact.

    Raises:
        ValueError: It is not plain JSON, or holds NaN or infinity.
    """
    stamped = {"event": event["event"], "time": round(time.time(), 3), **event}
    try:
        return json.dumps(stamped, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (ValueError, TypeError) as error:
        kind = event["event"]
        raise ValueError(f"an event must be finite plain JSON, got {kind!r}: {error}") from error


def read_study(directory: str | Path) -> Study:
    """The study whose results lie in `directory`."""
    return Study.load(Path(directory) / STUDY)


def study_folders(directory: str | Path) -> list[Path]:
    """The folder itself if it holds a study, else those inside it that do, by name.

    Of studies at a URL these are copies, as they are now.

    Raises:
        FileNotFoundError: There is no study.
        OSError: An object store does not answer.
    """
    if url_of(directory) is not None:
        return fetched(directory)
    directory = Path(directory)
    if (directory / LOG).is_file():
        return [directory]
    folders = sorted(log.parent for log in directory.glob(f"[!.]*/{LOG}"))
    if not folders:
        raise FileNotFoundError(f"{directory} holds no study: it has no {LOG}")
    return folders


def checkpoint_path(directory: str | Path, trial: int) -> Path:
    """Where the checkpoint of a trial lies, for readers."""
    return Path(directory, CHECKPOINTS, f"{trial:05d}")


def _header() -> dict[str, Any]:
    return {"event": "study", "format": FORMAT, "version": installed_version("seqtune")}


def _fill(directory: Path, study: Study, devices: Sequence[str]) -> None:
    """Write the first contents of a study's directory, down to the disk."""
    (directory / CHECKPOINTS).mkdir()
    header = _header() | {"study": study.name, "benchmark": study.benchmark_name}
    _write_file(directory / LOG, encode(header).decode())
    _write_file(directory / STUDY, study.to_toml())
    _write_file(directory / ENVIRONMENT, json.dumps(describe_environment(devices), indent=2))


def _write_file(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _exists(directory: Path) -> FileExistsError:
    return FileExistsError(
        f"{directory} exists already: continue it with `seqtune resume {directory}`, "
        "or give the study another name"
    )


def _unwritable(path: Path, error: OSError) -> OSError:
    if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:  # somebody else was quicker
        return _exists(path)
    return OSError(error.errno, f"cannot write {path}: {error.strerror}")
