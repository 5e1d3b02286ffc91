"""A running study, watched from any terminal through its log."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from search.store.copies import refresh
from search.store.lock import LOCK, living_writer
from search.store.log import LOG, check_header, decode, whole_lines
from search.store.store import read_study
from search.terminal.progress import Progress
from search.terminal.status import status_text

POLL_SECONDS = 1.0


def follow(
    directory: Path, console: Console | None = None, *, wait: Callable[[float], None] = time.sleep
) -> None:
    """Show the study in `directory` until nobody runs it any more, then how it stands.

    Ctrl-C ends the watching alone.

    Args:
        console: Where to draw; standard output if None. In a terminal the table is refreshed in
            place, elsewhere a line is printed now and then.
        wait: Sleeps between two looks at the log.

    Raises:
        FileNotFoundError: There is no study.
        ValueError: Its log is corrupt.
    """
    console = console or Console()
    check_header(directory)
    tail = Tail(directory)
    if living_writer(directory / LOCK) is not None:
        try:
            _follow(directory, tail, console, wait)
        except KeyboardInterrupt:
            return
    console.print(status_text([directory]), markup=False, highlight=False, soft_wrap=True, end="")


class Tail:
    """What is added to the log of a study, look after look."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bytes = 0
        self._lines = 0

    def read(self) -> list[dict[str, Any]]:
        """The whole events that were added since the last call.

        Raises:
            ValueError: A line is corrupt.
        """
        events = []
        for line in whole_lines(self._directory, self._bytes):
            self._lines += 1
            self._bytes += len(line) + 1
            events.append(decode(line, self._directory / LOG, self._lines))
        return events


def _follow(directory: Path, tail: Tail, console: Console, wait: Callable[[float], None]) -> None:
    """Show what the living writer writes, until it has ended."""
    events = tail.read()
    begun = [at for at, event in enumerate(events) if event["event"] == "opened"]
    last = begun[-1] if begun else len(events)
    started = events[last]["time"] if begun else None
    with Progress(
        read_study(directory), console, earlier=events[:last], clock=time.time, started=started
    ) as progress:
        progress.catch_up(events[last:])
        while living_writer(directory / LOCK) is not None:
            wait(POLL_SECONDS)
            refresh(directory)
            for event in tail.read():
                progress.see(event)
