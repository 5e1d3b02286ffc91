"""The one writer of a study in an object store: an object with a heartbeat.

Object stores know no locks. Who wants to write puts its name there, waits, and looks whether it is
there still: of two that come at once, the last to write stays. A writer that was replaced notices
at its next heartbeat, before it sends anything more.
"""

import time

from cluster.bucket import Bucket
from search.store.lock import LOCK, Holder, locked, parse_holder, sign_of_life

BEAT_SECONDS = 5.0
SETTLE_SECONDS = 1.0  # longer than a read and a write of an object take
WATCH_SECONDS = 2 * BEAT_SECONDS + SETTLE_SECONDS  # for hosts whose clocks differ


class ObjectLock:
    """The lock of the study in a bucket; held from `acquire` on."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._holder = Holder.this_process()
        self._beaten = 0.0

    def acquire(self) -> None:
        """Take the lock, also from a writer that no longer lives.

        Raises:
            StudyLockedError: A living process holds it.
            OSError: The store cannot be read or written.
        """
        found = self._read()
        if found is not None and found[0] != self._holder:
            self._refuse_living(*found)
        self._write()
        time.sleep(SETTLE_SECONDS)
        self.beat()

    def beat(self) -> None:
        """Renew the sign of life.

        Raises:
            StudyLockedError: Somebody else has taken the lock meanwhile.
            OSError: The store cannot be read or written.
        """
        found = self._read()
        if found is not None and found[0] != self._holder:
            raise locked(self._bucket.url, *found)
        self._write()

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next sign of life."""
        return time.monotonic() - self._beaten >= BEAT_SECONDS

    def release(self) -> None:
        """Give the lock back.

        Raises:
            OSError: The store cannot be read or written.
        """
        found = self._read()
        if found is not None and found[0] == self._holder:
            self._bucket.delete([LOCK])

    def _read(self) -> tuple[Holder, float] | None:
        try:
            return parse_holder(self._bucket.read(LOCK))
        except FileNotFoundError:
            return None

    def _write(self) -> None:
        self._bucket.write(LOCK, sign_of_life(self._holder))
        self._beaten = time.monotonic()

    def _refuse_living(self, holder: Holder, heartbeat: float) -> None:
        if holder.lives(heartbeat):
            raise locked(self._bucket.url, holder, heartbeat)
        if holder.is_local:
            return
        time.sleep(WATCH_SECONDS)
        again = self._read()
        if again is not None and again != (holder, heartbeat):
            raise locked(self._bucket.url, *again)
