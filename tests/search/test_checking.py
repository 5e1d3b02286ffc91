"""`seqtune cluster check` without a cluster: its table, its exit code, what `run` refuses."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.findings import Findings
from search.cli import main
from search.runner import runner
from search.terminal import checking

SAID = {"python": "3.11.7", "ray": "2.60.0", "torch": "2.13.0", "seqtune": "0.1.0+aaaa"} | {
    "memory_bytes": 64_000_000_000,
    "authentication": True,
    "devices": [],
    "gpus": 0,
    "write_bytes_per_second": 5e8,
    "read_bytes_per_second": 5e8,
    "free_bytes": 10**12,
    "unread": [],
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The answers of a cluster's machines, for a test to change."""
    nodes = {"n1": SAID | {"name": "one"}, "n2": SAID | {"name": "two"}}

    @contextmanager
    def connect(*_: object, **__: object) -> Iterator[None]:
        yield

    def ask_nodes(folder: Path, device_question: str | None = None) -> Findings:
        return Findings(SAID, nodes, str(folder), device_question is not None)

    monkeypatch.setattr(checking, "connect", connect)
    monkeypatch.setattr(checking, "wait_for_nodes", lambda count, seconds: len(nodes))
    monkeypatch.setattr(runner, "living_nodes", lambda: list(nodes))
    for module in (checking, runner):
        monkeypatch.setattr(module, "ask_nodes", ask_nodes)
    return nodes


def check(*options: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["cluster", "check", *options])
    return int(left.value.code or 0)


def test_a_cluster_where_all_is_right(
    cluster: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("--nodes", "2") == 0
    assert "All is right." in capsys.readouterr().out


def test_what_is_wrong_is_marked_and_mended(
    cluster: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster["n2"]["torch"] = "2.12.0"
    assert check("--nodes", "3") == 2
    said = capsys.readouterr().out
    assert "! 2.12.0" in said
    assert "Mend two: install torch 2.13.0 there" in said
    assert "Mend the cluster: it must have 3 machines, and has 2" in said


def test_a_head_that_never_answers_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:  # bound and not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert check("--address", address, "--wait-seconds", "0.6") == 2
    assert f"nothing answers at {address}" in capsys.readouterr().err


def test_a_study_does_not_begin_on_machines_that_differ(
    cluster: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    runner.check_machines(tmp_path)
    cluster["n2"]["seqtune"] = None
    with pytest.raises(ValueError, match=r"two: install seqtune 0\.1\.0\+aaaa there"):
        runner.check_machines(tmp_path)
    del cluster["n1"]  # one machine alone has nobody to differ from
    runner.check_machines(tmp_path)
