"""A study as a Ray Job: what is sent, and a real head with a token that runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import jobs
from cluster.jobs import pack, pack_question
from cluster.work import Work

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0e" * 32
EVIL = "a'b \"$(touch ran)`touch ran`\nc"
CSV = "time,y\n" + "".join(f"{step},{step % 7}.0\n" for step in range(200))
STUDY = """
name = "sent"
families = ["rnn"]
[data]
data = "sales.csv"
task = "forecasting"
time = "time"
target = "y"
horizon = 2
[budget]
trials_per_family = 1
epochs = 1
[confirm]
top_per_family = 0
"""


def test_a_package_holds_our_code_and_the_users_files(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("OWN = 1\n")
    package = tmp_path / "package"
    files = {"study.toml": STUDY, "families/own.py": tmp_path / "own.py"}
    pack(package, Work("sent", "study.toml", "/results", ".", "python"), files, ROOT)
    assert (package / "files/families/own.py").read_text() == "OWN = 1\n"
    assert (package / "files/study.toml").read_text() == STUDY
    assert (package / "search/cli.py").read_bytes() == (ROOT / "search/cli.py").read_bytes()
    assert list(package.rglob("__pycache__")) == []


def test_the_script_of_a_job_runs_nothing_that_is_in_a_value(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    python = room / f"python {EVIL}"
    python.write_text('#!/bin/bash\nprintf \'%s\\0\' "$PWD" "$@" > "$NOTES"\n')
    python.chmod(0o755)
    out = room / f"out {EVIL}"
    pack(room, Work("sent", "study.toml", str(out), ".", str(python)), {"study.toml": ""}, ROOT)
    subprocess.run(
        ["bash", "run.sh"],
        cwd=room,
        env={"PATH": os.environ["PATH"], "NOTES": str(tmp_path / "notes")},
        check=True,
    )
    call = (tmp_path / "notes").read_text().split("\0")[:-1]
    assert call[:5] == [f"{out}/sent.files", "-P", "-m", "search", "run"]
    assert call[5:] == ["study.toml", "--out", str(out)]
    assert not list(room.rglob("ran"))


def test_a_question_runs_nothing_that_is_in_a_value(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    python = room / f"python {EVIL}"
    python.write_text('#!/bin/bash\nprintf \'%s\\0\' "$PWD" "$@" > "$NOTES"\n')
    python.chmod(0o755)
    known = {"study": "sent", "directory": f"/out {EVIL}/sent", "companions": "none", "setup": ""}
    words = ["resume", "--set", f"a={EVIL}"]
    pack_question(room, known | {"python": str(python)}, words, ROOT)
    environ = {"PATH": os.environ["PATH"], "NOTES": str(tmp_path / "notes")}
    subprocess.run(["bash", "run.sh"], cwd=room, env=environ, check=True)
    call = (tmp_path / "notes").read_text().split("\0")[:-1]
    assert call == [str(room), "-P", "-m", "search", "resume", known["directory"], *words[1:]]
    assert not list(room.rglob("ran"))


def test_a_cluster_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(ConnectionError, match="the Jobs API at http://127") as caught:
        jobs.stop(f"http://127.0.0.1:{free_port()}", "none")
    assert "\n" not in str(caught.value)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A head with the Jobs API on loopback, and the environment of who has its token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    environ = {**kept, **token, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    short = Path(f"/tmp/sj-{os.getpid()}")  # noqa: S108  # Ray's sockets need a short path
    short.symlink_to(tmp_path)
    port, dashboard = free_port(), free_port()
    options = {
        "--port": port,
        "--dashboard-host": "127.0.0.1",
        "--dashboard-port": dashboard,
        "--dashboard-agent-listen-port": free_port(),
        "--ray-client-server-port": free_port(),
        "--num-cpus": 1,
        "--num-gpus": 0,
        "--object-store-memory": 80_000_000,
        "--min-worker-port": 0,
        "--max-worker-port": 0,
        "--temp-dir": short / "ray",
    }
    words = [str(word) for option in options.items() for word in option]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    with (tmp_path / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [*start, *words], env=environ, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(dashboard)
        yield f"http://127.0.0.1:{dashboard}", environ
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        short.unlink()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens at {port}")


@pytest.mark.slow
def test_a_study_is_sent_with_its_data_and_runs(
    head: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    address, environ = head
    (tmp_path / "sales.csv").write_text(CSV)
    (tmp_path / "sent.toml").write_text(STUDY)
    out = tmp_path / "results"
    seqtune = [sys.executable, "-P", "-m", "search", "cluster"]
    options = ["--address", address, "--out", out, "--python", sys.executable, "--follow"]
    sent = subprocess.run(
        [*seqtune, "submit", "sent.toml", *options],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "sent runs as job seqtune-sent-" in sent.stdout
    assert f"The best model, trial 0 (rnn), is in {out}/sent/best" in sent.stdout
    assert (out / "sent.files/data/0-sales.csv").read_text() == CSV
    asked = subprocess.run(
        [*seqtune, "ask", "--address", address, sent.stdout.split()[4].rstrip(";"), "status"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert f"{out}/sent: finished" in asked.stdout
    refused = subprocess.run(
        [*seqtune, "stop", "any", "--address", address],
        env=environ | {"RAY_AUTH_TOKEN": "00" * 32},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "is the token in RAY_AUTH_TOKEN" in refused.stderr
    assert refused.stderr.count("\n") == 1
