"""The one writer of a study: a lock file with a heartbeat.

The kernel's `flock` decides on one machine, and wherever the file system carries it between
machines: it ends with its process, however that ends. The text in the file tells people, and file
systems without such locks, who writes.
"""

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

LOCK = "lock"
HEARTBEAT_SECONDS = 1.0
STALE_SECONDS = 30.0  # file servers may show a change half a minute late
WATCH_SECONDS = 3.0  # a few heartbeats, for hosts whose clocks differ
RECORD_BYTES = 512
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class StudyLockedError(OSError):
    """Another living process writes this study."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes; number and start time together survive the reuse of numbers."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Self:
        """The process that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), pid, _start_time(pid))

    @property
    def is_local(self) -> bool:
        """Whether it ran on this machine since it was last started."""
        return (self.host, self.boot) == (socket.gethostname(), _boot())

    @property
    def is_running(self) -> bool:
        """Whether a local process still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it runs, as somebody else
        return _start_time(self.pid) == self.started

    def lives(self, heartbeat: float) -> bool:
        """Whether it writes still, as far as a mere reader can tell from its last sign of life."""
        return self.is_running if self.is_local else time.time() - heartbeat < STALE_SECONDS


class WriterLock:
    """The held lock of one study; `acquire` makes one."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._holder = Holder.this_process()

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock, also from a writer that no longer lives.

        Raises:
            StudyLockedError: A living process holds it.
            OSError: The file cannot be written.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            certain = _flock(descriptor, path)
            _refuse_living(path, certain)
            lock = cls(path, descriptor)
            lock._write()
            if not certain:  # two may have come this far: the last to write stays
                time.sleep(HEARTBEAT_SECONDS)
                lock.beat()
        except BaseException:
            os.close(descriptor)
            raise
        return lock

    def beat(self) -> None:
        """Renew the sign of life.

        Raises:
            StudyLockedError: Somebody else has taken the lock meanwhile.
            OSError: The file is gone or cannot be written.
        """
        found = read_holder(self.path)
        if found is not None and found[0] != self._holder:
            raise locked(self.path.parent, *found)
        self._write()

    def release(self) -> None:
        """Give the lock back; the file stays, empty."""
        found = read_holder(self.path)
        try:
            if found is not None and found[0] == self._holder:
                os.ftruncate(self._descriptor, 0)
        except OSError:
            pass  # the storage is read-only now: it says who wrote last, and that process ends
        finally:
            os.close(self._descriptor)

    def _write(self) -> None:
        # One length for all, so that readers never see half of one; a descriptor that is closed,
        # so that a network file system sends it at once.
        with self.path.open("r+b") as file:
            file.write(sign_of_life(self._holder))


def sign_of_life(holder: Holder) -> bytes:
    """What a lock says: who holds it, and that it lives now."""
    record = asdict(holder) | {"heartbeat": f"{time.time():.3f}"}
    return json.dumps(record).ljust(RECORD_BYTES - 1).encode() + b"\n"


def parse_holder(content: bytes) -> tuple[Holder, float] | None:
    """Who holds the lock that says `content`, and the unix time of the last sign of life."""
    try:
        record = json.loads(content)
        heartbeat = float(record.pop("heartbeat"))
        return Holder(**record), heartbeat
    except (ValueError, TypeError, AttributeError, KeyError):
        return None  # never held, released, or not written by us


def read_holder(path: Path) -> tuple[Holder, float] | None:
    """As `parse_holder`, of the lock file at `path`."""
    try:
        return parse_holder(path.read_bytes())
    except FileNotFoundError:
        return None


def living_writer(path: Path) -> Holder | None:
    """The living holder of the lock file at `path`, as far as a mere reader can tell."""
    found = read_holder(path)
    if found is None:
        return None
    holder, heartbeat = found
    return holder if holder.lives(heartbeat) else None


def _flock(descriptor: int, path: Path) -> bool:
    """Lock in the kernel; False where the file system has no such locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        if not isinstance(error, BlockingIOError):
            raise
        found = read_holder(path)
        if found is None:
            raise StudyLockedError(f"{path.parent} is being opened by another process") from None
        raise locked(path.parent, *found) from None
    return True


def _refuse_living(path: Path, certain: bool) -> None:
    """Refuse a holder that lives although the kernel gave us its lock, or has none to give."""
    found = read_holder(path)
    if found is None:
        return
    holder, heartbeat = found
    if holder.is_local:
        if not certain and holder.is_running:
            raise locked(path.parent, holder, heartbeat)
        return
    if time.time() - heartbeat < STALE_SECONDS:
        raise locked(path.parent, holder, heartbeat)
    time.sleep(WATCH_SECONDS)
    again = read_holder(path)
    if again is not None and again != found:
        raise locked(path.parent, *again)


def locked(study: Path | str, holder: Holder, heartbeat: float) -> StudyLockedError:
    """The error that says who runs a study."""
    age = max(0.0, time.time() - heartbeat)
    hint = ""
    if not holder.is_local:
        hint = f"; if that process is gone, try again in {max(1.0, STALE_SECONDS - age):.0f} s"
    return StudyLockedError(
        f"study {study} is being run by pid {holder.pid} on host {holder.host} "
        f"(last sign of life {age:.0f} s ago){hint}"
    )


def _boot() -> str:
    """What tells one start of this machine from the next; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """When the process was started, in clock ticks since boot; empty where unknown.

    Reference:
        proc_pid_stat(5): field 22, and 3 for the state; field 2 is in parentheses and may hold
        spaces.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]
