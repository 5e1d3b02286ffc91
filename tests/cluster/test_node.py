"""A cluster of two machines kept up by `cluster.node`, checked, and gone without a trace."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.node import own_address

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0f" * 32

NODE = [sys.executable, "-P", "-m", "cluster.node"]
SEQTUNE = [sys.executable, "-P", "-m", "search"]


def environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    small = {"RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": "80000000"}
    return {**kept, **small, "PYTHONPATH": str(ROOT), "HOME": str(folder), "TMPDIR": str(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Short enough for the paths of sockets."""
    short = Path(f"/tmp/seqtune-{os.getpid()}")  # noqa: S108  # a path of this test alone
    short.symlink_to(tmp_path)
    yield short
    short.unlink()


def live(process: subprocess.Popen[bytes], token: str) -> None:
    """Say the token, and then each second that the launcher lives."""
    with suppress(OSError, ValueError):
        process.stdin.write(f"{token}\n".encode())
        while True:
            process.stdin.write(b"\n")
            process.stdin.flush()
            time.sleep(1)


def ended_by(process: subprocess.Popen[bytes], command: str) -> int:
    """End a part of the cluster as its launcher would; its exit code."""
    if command == "head":
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    return process.wait(60)


@pytest.mark.slow
def test_two_machines_are_checked_and_leave_nothing(folder: Path) -> None:
    address = own_address("127.0.0.1")
    declared = ["--address", address, "--gpus", "0"]
    said = environ(folder)
    with (folder / "node.log").open("wb") as logs:
        head = subprocess.Popen(
            [*NODE, "head", *declared, "--cpus", "0"],
            env=said | {"RAY_AUTH_TOKEN": TOKEN},
            stdout=logs,
            stderr=logs,
        )
        worker = subprocess.Popen(
            [*NODE, "worker", "--connected", *declared, "--cpus", "1"],
            env=said,
            stdin=subprocess.PIPE,
            stdout=logs,
            stderr=logs,
        )
    try:
        threading.Thread(target=live, args=[worker, TOKEN], daemon=True).start()
        check = ["cluster", "check", "--address", address, "--nodes", "2", "--wait-seconds", "90"]
        done = subprocess.run(
            [*SEQTUNE, *check, "--out", folder / "results"],
            env=said | {"RAY_AUTH_TOKEN": TOKEN, "RAY_AUTH_MODE": "token"},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    finally:
        codes = [ended_by(worker, "worker"), ended_by(head, "head")]
    assert done.returncode == 0, done.stdout + done.stderr + (folder / "node.log").read_text()
    rows = [line.split() for line in done.stdout.splitlines() if " 3." in line]
    assert len(rows) == 2
    assert all(row[2] == "yes" and {"on", "shared", "right"} <= set(row) for row in rows)
    assert "All is right." in done.stdout
    assert codes == [0, 0]
    assert [file.name for file in folder.iterdir() if file.name.startswith("ray-")] == []
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 3", 3), ("sleep 100", 143), ("trap 'exit 7' TERM; sleep 100 & wait", 7)],
)
def test_a_driver_ends_with_its_launcher(script: str, code: int, tmp_path: Path) -> None:
    """Standard input is the connection; when it ends, the command is asked to."""
    note = f'echo "$RAY_AUTH_TOKEN" > {tmp_path}/token; '
    driver = subprocess.Popen(
        [*NODE, "driver", "--connected", "--", "bash", "-c", note + script],
        env=environ(tmp_path),
        stdin=subprocess.PIPE,
    )
    driver.stdin.write(b"secret\n\n")
    driver.stdin.flush()
    while not (tmp_path / "token").exists() or not (tmp_path / "token").read_text():
        assert driver.poll() is None or code == 3
    driver.stdin.close()
    assert driver.wait(20) == code
    assert (tmp_path / "token").read_text() == "secret\n"
