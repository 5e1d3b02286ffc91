"""Storage that is full, read-only or out of reach for a while is waited for."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 0.5


class StoragePatience:
    """Waits out a storage that takes nothing, for people mend full disks.

    Args:
        seconds: It is waited for so long; None: for `PATIENCE_SECONDS`.
        pause: Lets time go by between two attempts to write.
    """

    def __init__(
        self, seconds: float | None = None, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._seconds = PATIENCE_SECONDS if seconds is None else seconds
        self._pause = pause
        self._since: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether the last attempt to write has failed."""
        return self._since is not None

    def wait(self, error: OSError) -> None:
        """Wait a moment, as an attempt to write has failed.

        Raises:
            OSError: The same error, with how long it has been waited for in vain.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seconds:
            said = error.strerror or str(error)
            raise OSError(error.errno, f"{said} (for {now - self._since:.0f} s)") from error
        self._pause(PAUSE_SECONDS)

    def succeed(self) -> None:
        """It could be written."""
        self._since = None
