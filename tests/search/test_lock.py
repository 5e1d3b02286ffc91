"""The writer's lock: living and dead holders, here, on other hosts and without kernel locks."""

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from search.store import lock as lock_module
from search.store.lock import Holder, StudyLockedError, WriterLock, living_writer, read_holder


def write_holder(path: Path, age: float = 0.0, **changes: Any) -> bytes:
    holder = replace(Holder.this_process(), **changes)
    record = asdict(holder) | {"heartbeat": f"{time.time() - age:.3f}"}
    path.write_text(json.dumps(record))
    return path.read_bytes()


def test_a_remote_writer_with_a_fresh_heartbeat_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    write_holder(path, age=5, host="elsewhere")
    assert living_writer(path) is not None
    with pytest.raises(StudyLockedError, match=r"on host elsewhere \(last .* 5 s ago\); if that"):
        WriterLock.acquire(path)


def test_a_remote_writer_gone_silent_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "WATCH_SECONDS", 0.01)
    path = tmp_path / "lock"
    write_holder(path, age=lock_module.STALE_SECONDS + 1, host="elsewhere")
    assert living_writer(path) is None
    lock = WriterLock.acquire(path)
    found = read_holder(path)
    assert found is not None
    assert found[0] == Holder.this_process()
    lock.release()


def test_a_remote_writer_with_a_slow_clock_is_still_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    write_holder(path, age=500, host="elsewhere")
    monkeypatch.setattr(
        "search.store.lock.time.sleep", lambda _: write_holder(path, age=499, host="elsewhere")
    )
    with pytest.raises(StudyLockedError, match="on host elsewhere"):
        WriterLock.acquire(path)


@pytest.mark.parametrize("content", [b"", b"\x00", b"[]", b'{"pid": 1}', b'{"heartbeat": 1}'])
def test_a_lock_file_that_says_nothing_is_free(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    path.write_bytes(content)
    assert living_writer(path) is None
    WriterLock.acquire(path).release()


@pytest.fixture
def no_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.01)


@pytest.mark.usefixtures("no_kernel_locks")
def test_without_kernel_locks_the_text_decides(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    write_holder(path, started="before this process")  # its number was used again
    lock = WriterLock.acquire(path)
    with pytest.raises(StudyLockedError, match=f"pid {os.getpid()}"):
        WriterLock.acquire(path)
    lock.release()
    WriterLock.acquire(path).release()


@pytest.mark.usefixtures("no_kernel_locks")
def test_without_kernel_locks_the_last_of_two_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    monkeypatch.setattr("search.store.lock.time.sleep", lambda _: write_holder(path, pid=1))
    with pytest.raises(StudyLockedError, match="pid 1 "):
        WriterLock.acquire(path)
