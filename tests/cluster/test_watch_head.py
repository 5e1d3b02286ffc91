"""A head that answers no more is noticed, and a process that hangs for it is ended with a word."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import watch
from cluster.watch import HeadWatch, watch_head

ROOT = Path(__file__).resolve().parents[2]
HANGS = """
import sys, time
from cluster import watch
watch.LOOK_SECONDS = 0.05
watch.HeadWatch(sys.argv[1], 0.3).start()
print("up", flush=True)
time.sleep(120)
"""


@pytest.fixture
def head() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address_of(head: socket.socket) -> str:
    return f"127.0.0.1:{head.getsockname()[1]}"


def test_a_head_that_answers_is_all_right(
    head: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    with watch_head(address_of(head)) as watching:
        for _ in range(5):
            head.accept()[0].close()  # each look is a connection
            watching.check()
    assert watching._over.is_set()


def test_a_silent_head_is_told_before_the_process_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watching = HeadWatch("10.0.0.1:6379", 30.0)
    now[0] += 20.0
    watching.check()
    now[0] += 1.0
    with pytest.raises(ConnectionError, match=r"10\.0\.0\.1:6379 has not answered for 21 s; what"):
        watching.check()


def test_rays_own_variable_gives_heads_that_come_back_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "300")
    assert HeadWatch("10.0.0.1:6379")._patience_seconds == 300.0


def test_a_process_that_hangs_ends_with_a_sentence(head: socket.socket) -> None:
    address = address_of(head)
    command = [sys.executable, "-P", "-c", HANGS, address]
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        head.close()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.startswith(f"Error: the head of the cluster at {address} has not answered for ")
    assert said.endswith("start the cluster again, and resume the study\n")
