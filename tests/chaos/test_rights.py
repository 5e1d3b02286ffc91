"""Where machines and disks cannot be made, one line says why."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.rights import no_disks, no_machines


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for asked in (no_disks, no_machines):
        asked.cache_clear()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    yield
    for asked in (no_disks, no_machines):
        asked.cache_clear()


def test_tools_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    every = "ip, mount, nsenter, ps, unshare"
    assert no_machines() == f"machines and disks need {every}, not found here"
    assert no_disks() == "machines and disks need mount, unshare, not found here"


def test_others_than_root_need_not_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert no_machines() == no_disks() == "machines and disks are made by root on Linux"


def test_root_without_the_right_to_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tool in ("ip", "mount", "nsenter", "ps", "unshare"):
        refuses = f"#!/bin/sh\necho '{tool}: Operation not permitted' >&2\necho more >&2\nexit 1\n"
        (tmp_path / tool).write_text(refuses)
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = "this process may not mount disks: unshare: Operation not permitted"
    assert no_disks() == no_machines() == said
