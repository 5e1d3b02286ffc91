"""Ctrl-C, SIGTERM, SIGUSR1, `seqtune stop`: one ends a run with all saved, a second at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; all that was done is saved.

    Attributes:
        signum: Which signal; by custom a program then exits with 128 + this number.
    """

    def __init__(self, signum: int, by: str | None = None) -> None:
        super().__init__(f"interrupted by {by or signal.Signals(signum).name}")
        self.signum = signum


class Paused(Interrupted):
    """The run ended only to go on with a changed study."""


class Interruption:
    """What the signal handlers and the running study share.

    Attributes:
        signum: The last signal that asked the run to end; None until one came.
        patient: Whether the run looks at `signum` often and ends by itself. While it is not, a
            signal raises `Interrupted` where the program stands.
        pausing: Whether the run is asked to end only for a moment.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.patient = False
        self.pausing = False
        self._by: str | None = None

    @contextmanager
    def patience(self) -> Iterator[None]:
        """For the time of a block that looks at `signum` by itself."""
        self.patient = True
        try:
            yield
        finally:
            self.patient = False

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            Interrupted: Nobody is patient, or it is the second signal.
        """
        first, self.signum = self.signum is None or self.pausing, signum
        self.pausing, self._by = False, None
        if not (self.patient and first):
            raise Interrupted(signum)

    def ask(self, by: str) -> None:
        """End the run as SIGTERM would, for somebody who cannot send one.

        Args:
            by: What asked, in words.
        """
        if self.signum is None or self.pausing:
            self.signum, self._by, self.pausing = signal.SIGTERM, by, False

    def pause(self) -> None:
        """End the run with everything saved; whoever drives it then goes on with another study."""
        if self.signum is None:
            self.signum, self.pausing = signal.SIGTERM, True

    def go_on(self) -> None:
        """The pause is over."""
        if self.pausing:
            self.signum, self.pausing = None, False

    def check(self) -> None:
        """End here if a signal came.

        Raises:
            Interrupted: One did.
        """
        ended = self.ended()
        if ended is not None:
            raise ended

    def ended(self) -> Interrupted | None:
        """What ended the run, if anything did."""
        if self.signum is None:
            return None
        return (Paused if self.pausing else Interrupted)(self.signum, self._by)


@contextmanager
def catch_signals() -> Iterator[Interruption]:
    """Handle these signals for a while; not outside the main thread, where nobody can.

    Raises:
        Interrupted: A signal came, and ended the block.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {signum: signal.signal(signum, interruption.handle) for signum in SIGNALS}
    try:
        yield interruption
    except (
        KeyboardInterrupt
    ):  # a signal in the middle of one of Ray's calls comes out as a plain one
        raise interruption.ended() or Interrupted(signal.SIGINT) from None
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
