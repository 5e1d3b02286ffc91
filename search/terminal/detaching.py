"""A run that goes on without its terminal."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from search.store.copies import shown
from search.store.lock import LOCK, living_writer
from search.store.log import read_events

RUN_LOG = "run.log"
LOOK_SECONDS = 0.2


def leave_terminal(directory: Path, say: Callable[[str], object]) -> int | None:
    """Go on in a process of its own, whose output goes to `run.log` in the study's folder.

    The process that was called waits until the study has begun, and says how to follow it.

    Args:
        directory: The study's folder; there only if it is resumed.

    Returns:
        None in the new process, which is to do the work; else the exit code: that of the work where
        it ended before it had begun.

    Raises:
        OSError: There is no place for the output.
    """
    draft = directory.parent / f".{directory.name}.{os.getpid()}.log"
    draft.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    begun = _times_begun(directory)
    sys.stdout.flush()
    worker = os.fork()
    if worker == 0:
        _let_go(output)
        return None
    os.close(output)
    try:
        return _wait(worker, directory, draft, begun, say)
    except KeyboardInterrupt:
        os.kill(worker, signal.SIGTERM)
        raise


def _let_go(output: int) -> None:
    """No terminal, and no signals of one; what is printed goes to `output`."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for mine, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(mine, standard)
        os.close(mine) if standard != 1 else None


def _wait(
    worker: int, directory: Path, draft: Path, begun: int, say: Callable[[str], object]
) -> int:
    while True:
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            sys.stderr.write(draft.read_text("utf-8"))
            draft.unlink()
            return os.waitstatus_to_exitcode(status)
        holder = living_writer(directory / LOCK)
        if holder is not None and holder.pid == worker and _times_begun(directory) > begun:
            break
        time.sleep(LOOK_SECONDS)
    draft.replace(directory / RUN_LOG)
    say(f"{directory.name} runs without this terminal, as process {worker}")
    place = shown(directory)
    say(f"follow it: seqtune watch {place}; end it: seqtune stop {place}")
    say(f"what it prints is in {place}/{RUN_LOG}")
    return 0


def _times_begun(directory: Path) -> int:
    """How often the study was opened so far."""
    with suppress(OSError):
        return sum(event["event"] == "opened" for event in read_events(directory))
    return 0
