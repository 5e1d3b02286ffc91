"""Leaves nothing behind of a laboratory, however the process that made it comes to its end.

A process of its own holds the laboratory's name, so that there is one of that name at a time. It
waits until its standard input ends, as it does with whoever started it, and then sweeps.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.processes import living

ROOT = Path(__file__).resolve().parents[2]
MARK = "SEQTUNE_LAB"  # in the environment of all processes of a laboratory: its name
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
LOOKS = 3  # that find nothing: a process has no environment for a moment, when it becomes another
READY = b"ready\n"


@contextmanager
def kept(name: str, folder: Path) -> Iterator[None]:
    """Sweep before the block and after it, also if this process is killed meanwhile.

    Args:
        name: What network namespaces and links begin with, mounts have as their source, and
            processes as `MARK`. While another process keeps this name, it is waited for.
        folder: Removed at the end.

    Raises:
        ChildProcessError: The keeper does not come up.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.chaos.keeper", name, folder],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,  # closed at the end of the block, and by the end of this process
        stdout=subprocess.PIPE,
        start_new_session=True,  # what a terminal sends to all does not reach it
    )
    try:
        with keeper:
            assert keeper.stdout is not None
            if keeper.stdout.readline() != READY:
                raise ChildProcessError(f"nobody keeps the laboratory {name}")
            yield
    finally:
        if keeper.returncode != 0:
            sweep(name)


def sweep(name: str) -> None:
    """End and remove all that bears the name."""
    deadline, looks = time.monotonic() + PATIENCE_SECONDS, 0
    while looks < LOOKS and time.monotonic() < deadline:
        pids = living(MARK, name)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        looks = 0 if pids else looks + 1
        time.sleep(0.05)
    for kind, found in (("link", links(name)), ("netns", namespaces(name))):
        for each in found:
            _run("ip", kind, "del", each)  # the second end of a link goes with the first
    for place in reversed(mounts(name)):
        _run("umount", "--lazy", place)


def links(name: str) -> list[str]:
    """Network devices of the laboratory."""
    return [link for _, link in socket.if_nameindex() if link.startswith(name)]


def namespaces(name: str) -> list[str]:
    """Network namespaces of the laboratory."""
    return [entry.name for entry in Path("/run/netns").glob(f"{name}*")]


def mounts(name: str) -> list[str]:
    """Where disks of the laboratory are mounted."""
    lines = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [place for source, place, *_ in lines if source == name]


def _run(*command: str) -> None:
    subprocess.run(command, check=False, capture_output=True)


def _hold(name: str) -> socket.socket | None:
    """The name, once nobody else has it; the kernel frees it. None if it is not wanted any more."""
    held = socket.socket(socket.AF_UNIX)
    while True:
        try:
            held.bind(f"\0seqtune-{name}")
        except OSError:
            if select.select([0], [], [], LOOK_SECONDS)[0]:
                return None
        else:
            return held


def main(name: str, folder: str) -> None:
    """Keep the laboratory of that name until standard input ends."""
    held = _hold(name)
    if held is None:
        return
    with held:
        sweep(name)  # what a keeper left that was killed itself
        with suppress(BrokenPipeError):
            sys.stdout.buffer.write(READY)
            sys.stdout.buffer.flush()
            sys.stdin.buffer.read()
        sweep(name)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
