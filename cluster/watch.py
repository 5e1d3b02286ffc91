"""Whether the head of a cluster still answers, and an end with a word where it does not."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # Ray's own; for heads that come back
LOST = 2  # exit code, as for all that a user can mend


class HeadWatch:
    """Tries the head's port again and again, in a thread of its own.

    A process whose head is gone hangs in whatever it asks of Ray next, deaf to signals, until Ray
    ends it after a minute. Here it is ended with a sentence that says what to do.

    Args:
        address: `host:port` of the head.
        patience_seconds: A head that is silent for so long is gone.
    """

    def __init__(self, address: str, patience_seconds: float | None = None) -> None:
        self._address = address
        if patience_seconds is None:
            patience_seconds = float(os.environ.get(VARIABLE, PATIENCE_SECONDS))
        self._patience_seconds = patience_seconds
        self._heard = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="head-watch", daemon=True)

    def check(self) -> None:
        """For a process that does not hang: see to it that the head has answered lately.

        Raises:
            ConnectionError: It has not, for most of the time that it is given.
        """
        if self._silent > self._patience_seconds * 2 / 3:
            raise ConnectionError(self._sentence())

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()

    @property
    def _silent(self) -> float:
        return time.monotonic() - self._heard

    def _sentence(self) -> str:
        return (
            f"the head of the cluster at {self._address} has not answered for {self._silent:.0f} s;"
            f" what was reported is saved: start the cluster again, and resume the study"
        )

    def _watch(self) -> None:
        host, _, port = self._address.rpartition(":")
        while not self._over.wait(LOOK_SECONDS):
            try:
                socket.create_connection((host, int(port)), timeout=LOOK_SECONDS).close()
            except OSError:
                if self._silent > self._patience_seconds:
                    sys.stderr.write(f"Error: {self._sentence()}\n")
                    sys.stderr.flush()
                    os._exit(LOST)
            else:
                self._heard = time.monotonic()


@contextmanager
def watch_head(address: str) -> Iterator[HeadWatch]:
    """Watch the head of a cluster for a while."""
    watch = HeadWatch(address)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
