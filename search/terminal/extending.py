"""Ask a running study, from any terminal that sees its folder, to go on with changes."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from search.extension import Extension
from search.problem import Problem
from search.store.copies import refresh, shown
from search.store.lock import LOCK, living_writer
from search.store.requests import ExtendRequest, ask
from search.store.sources import unchanged_sources
from search.terminal.watch import Tail

LOOK_SECONDS = 0.2


def extend_running(directory: Path, extension: Extension, say: Callable[[str], object]) -> bool:
    """Have the driver of a running study take up an extension, and wait until it has.

    Returns:
        False where nobody runs the study, or nothing is asked for: it is for the caller to run it.

    Raises:
        ValueError: The changed study is wrong, or its driver cannot go on with it.
        OSError: The folder cannot be read or written.
    """
    holder = living_writer(directory / LOCK)
    if holder is None or not extension:
        return False
    known = unchanged_sources(directory)
    problem = Problem.of(extension.of(directory), known)  # what is wrong is said here
    new = {name: text for name, text in problem.sources.items() if name not in known}
    extension = replace(extension, sources=new)
    tail = Tail(directory)
    tail.read()
    ask(directory, ExtendRequest(extension.to_json()))
    while living_writer(directory / LOCK) == holder:
        for event in tail.read():
            if event["event"] == "extension" and event["request"] == extension.id:
                return _told(shown(directory), event["refused"], say)
        time.sleep(LOOK_SECONDS)
        refresh(directory)
    return False  # it has ended, and whoever drives the study next forgets the request


def _told(place: str, refused: str | None, say: Callable[[str], object]) -> bool:
    if refused is not None:
        raise ValueError(f"the driver of {place} goes on as before: {refused}")
    say(f"{place} goes on with the changes; follow it: seqtune watch {place}")
    return True
