"""Ray's workers among the processes, with stand-ins that bear their names."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.processes import end_processes, workers_below

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")

Start = Callable[[str, str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(name, script)`: a shell under another name, once it has said that it runs."""
    with ExitStack() as stack:

        def run(name: str, script: str) -> int:
            process = stack.enter_context(
                subprocess.Popen(
                    ["bash", "-c", f"exec -a {name} bash -c '{script}'"], stdout=subprocess.PIPE
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"runs\n"
            return process.pid

        yield run


def test_only_workers_below_a_process_are_seen(start: Start) -> None:
    worker = start("ray::LeaseTrainable", "echo runs; read -t 60 < /dev/zero; sleep 60")
    other = start("raylet", "echo runs; sleep 60")
    below = workers_below(os.getpid())
    assert worker in below
    assert other not in below
    assert workers_below(other) == set()


def test_what_ends_by_itself_is_waited_for(start: Start) -> None:
    worker = start("ray::IDLE", "echo runs; sleep 0.2")
    end_processes({worker}, patience_seconds=30.0)
    assert workers_below(os.getpid()) == set()


def test_what_does_not_end_is_killed(start: Start) -> None:
    worker = start("ray::IDLE", 'trap "" TERM; echo runs; while true; do sleep 0.1; done')
    begin = time.monotonic()
    end_processes({worker}, patience_seconds=0.1)
    assert time.monotonic() - begin < 5.0
    assert os.waitpid(worker, 0)[1] == 9
