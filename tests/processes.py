"""Processes that tests start: waited for, and told from all others by a variable of their own."""

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def living(variable: str, value: str, name: str = "") -> list[int]:
    """Living processes with that variable whose command line has `name`."""
    return [
        pid
        for pid in pids()
        if environment_of(pid).get(variable) == value and name in command_of(pid)
    ]


def pids() -> list[int]:
    """All processes."""
    return sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*"))


def environment_of(pid: int) -> Mapping[str, str]:
    """As it was when the process was started; nothing once it has ended."""
    lines = _read(pid, "environ").split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def command_of(pid: int) -> str:
    """The command line of a process; nothing once it has ended."""
    return _read(pid, "cmdline").replace("\0", " ").strip()


def wait_until(
    holds: Callable[[], object],
    seconds: float,
    *,
    words: Callable[[], str] = lambda: "it does not hold in time",
    beside: subprocess.Popen | None = None,
    pause_seconds: float = 0.05,
) -> None:
    """Wait until it holds.

    Args:
        words: What is told where it does not.
        beside: A process that must live meanwhile.

    Raises:
        TimeoutError: It does not hold in time.
        ChildProcessError: The process has ended.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if beside is not None and beside.poll() is not None:
            raise ChildProcessError(words())
        if time.monotonic() > deadline:
            raise TimeoutError(words())
        time.sleep(pause_seconds)


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace")
    except OSError:
        return ""
