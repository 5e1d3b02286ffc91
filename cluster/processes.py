"""The processes of Ray's workers, as the Linux kernel lists them; elsewhere none are seen."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")
WORKER = b"ray::"  # what Ray calls its workers and agents, whatever they do


def workers_below(pid: int) -> set[int]:
    """Ray's workers and agents that process `pid` has started, directly or not."""
    parents = {process: _parent(process) for process in _processes()}
    return {process for process in parents if _is_below(process, pid, parents) and _works(process)}


def end_processes(processes: Iterable[int], patience_seconds: float) -> None:
    """Wait for processes to end by themselves; those that do not in time are killed."""
    deadline = time.monotonic() + patience_seconds
    left = set(processes)
    while left := {process for process in left if _works(process)}:
        if time.monotonic() >= deadline:
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.02)


def _processes() -> list[int]:
    if not PROCESSES.is_dir():
        return []
    return [int(entry.name) for entry in PROCESSES.iterdir() if entry.name.isdigit()]


def _is_below(process: int | None, ancestor: int, parents: dict[int, int | None]) -> bool:
    while process is not None and process != ancestor:
        process = parents.get(process)
    return process == ancestor


def _parent(process: int) -> int | None:
    """The parent of a process; None if there is no such process (any more)."""
    try:  # field 4; field 2 is in parentheses and may hold spaces
        return int((PROCESSES / f"{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _works(process: int) -> bool:
    """Whether the process lives and is Ray's; what has ended and was not waited for has no name."""
    try:
        return (PROCESSES / f"{process}/cmdline").read_bytes().startswith(WORKER)
    except OSError:
        return False
