"""The store: one locked writer, a log that survives kill -9, readers at any time."""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.store.environment import describe_environment
from search.store.lock import StudyLockedError, living_writer, read_holder
from search.store.log import LOG, read_events
from search.store.store import Store, read_study
from search.study import Study

ROOT = Path(__file__).resolve().parents[2]
STUDY = Study.from_mapping(
    {"name": "s", "benchmark": "adding", "families": ["rnn"], "budget": {"trials_per_family": 2}}
)


def reported(epoch: int, trial: int = 0, **more: Any) -> dict[str, Any]:
    return {"event": "reported", "trial": trial, "attempt": 0, "epoch": epoch, "value": 0.5} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results" / "s"
    with Store.create(path, STUDY, devices=["a GPU"]):
        return path


@pytest.fixture
def python() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a second process on a program, its standard output piped; none outlives the test."""
    started = []

    def start(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    return process.stdout.readline().strip()


HOLDS_THE_LOCK = """
import time
from search.store.store import Store
store = Store.open({folder!r})
print("ready", flush=True)
number = 0
while True:
    store.append({{"event": "reported", "trial": number, "attempt": 0, "epoch": 1}})
    print(number, flush=True)
    number += 1
    time.sleep(0.002)
"""


def test_create_makes_the_whole_directory(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "environment.json",
        "events.jsonl",
        "lock",
        "study.toml",
    ]
    assert read_study(folder) == STUDY
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["devices"] == ["a GPU"]
    assert environment["libraries"]["torch"] is not None
    (header,) = read_events(folder)
    assert header["event"] == "study"
    assert header["format"] == 1
    assert header["benchmark"] == "adding"
    assert [path.name for path in folder.parent.iterdir()] == ["s"]


def test_create_refuses_an_existing_folder_and_leaves_it_alone(folder: Path) -> None:
    before = (folder / LOG).read_bytes()
    with pytest.raises(FileExistsError, match="exists already: continue it with `seqtune resume"):
        Store.create(folder, STUDY)
    assert (folder / LOG).read_bytes() == before


def test_create_in_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/s: Not a directory"):
        Store.create(file / "s", STUDY)


@pytest.mark.parametrize(
    "words", [["run", "--on-finish", "curl -H key"], ["run", "--on-finish=curl -H key", "-q"]]
)
def test_what_is_to_be_run_at_the_end_is_not_written_down(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", words)
    told = describe_environment()["command"]
    assert "key" not in " ".join(told)
    assert told[0] == "run"
    assert len(told) == len(words)


@pytest.mark.parametrize("failing", ["describe_environment", "encode"])
def test_create_leaves_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"search.store.store.{failing}", fail)
    with pytest.raises(OSError, match=r"cannot write .*: No space left on device"):
        Store.create(tmp_path / "s", STUDY)
    assert not list(tmp_path.iterdir())


def test_create_loses_a_race_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s"

    def quicker(*_: object) -> list[str]:
        folder.mkdir(exist_ok=True)
        (folder / "theirs").write_text("")
        return []

    monkeypatch.setattr("search.store.store.describe_environment", quicker)
    with pytest.raises(FileExistsError, match="exists already"):
        Store.create(folder, STUDY)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_what_is_appended_is_read_while_it_is_written(folder: Path) -> None:
    with Store.open(folder) as store:
        store.append(reported(1))
        store.append({"event": "ended", "trial": 0, "attempt": 0, "epoch": 1, "time": 3})
        kinds = [event["event"] for event in read_events(folder)]
        assert kinds == ["study", "reported", "ended"]
        _, first, last = store.events()
    assert abs(first["time"] - time.time()) < 60
    assert last["time"] == 3
    assert b" " not in (folder / LOG).read_bytes().splitlines()[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_what_is_not_plain_json_is_refused(folder: Path, value: object) -> None:
    with Store.open(folder) as store:
        before = (folder / LOG).read_bytes()
        with pytest.raises(ValueError, match="an event must be finite plain JSON, got 'reported'"):
            store.append(reported(1, value=value))
        assert (folder / LOG).read_bytes() == before


def test_duplicates_are_read_once(folder: Path) -> None:
    with Store.open(folder) as store:
        for event in [reported(1), reported(2), reported(1), reported(1, trial=1)]:
            store.append(event)
        store.append(reported(1) | {"attempt": 1})
        for _ in range(2):
            store.append({"event": "opened"})
    read = [(e["event"], e.get("trial"), e.get("attempt"), e.get("epoch")) for e in store.events()]
    assert read[1:] == [
        ("reported", 0, 0, 1),
        ("reported", 0, 0, 2),
        ("reported", 1, 0, 1),
        ("reported", 0, 1, 1),
        ("opened", None, None, None),
        ("opened", None, None, None),
    ]


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 10_000), epochs=st.integers(0, 30))
def test_a_log_cut_at_any_byte_replays_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, cut: int, epochs: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole = [{"event": "study", "format": 1, "version": None}]
    whole += [reported(epoch, cause="é\n" * (epoch % 3)) for epoch in range(epochs)]
    data = "".join(f"{json.dumps(event)}\n" for event in whole).encode()
    cut %= len(data) + 1
    (folder / LOG).write_bytes(data[:cut])
    expected = whole[: data[:cut].count(b"\n")]
    assert list(read_events(folder)) == expected
    with Store.open(folder) as store:
        store.append(reported(99))
        kept = [{k: v for k, v in event.items() if k != "time"} for event in store.events()]
    assert kept[1:] == [*expected[1:], reported(99)]
    assert kept[0]["format"] == 1


def test_a_corrupt_line_in_the_middle_is_named_and_refused(folder: Path) -> None:
    with Store.open(folder) as store:
        for epoch in range(3):
            store.append(reported(epoch))
    for wrong in (b'{"event":"repor', b"[1]", b"", b"\x00\xff", b'{"trial":1}'):
        lines = (folder / LOG).read_bytes().split(b"\n")
        lines[2] = wrong
        (folder / LOG).write_bytes(b"\n".join(lines))
        with pytest.raises(ValueError, match=r"events\.jsonl is corrupt: line 3 is not an event"):
            list(read_events(folder))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"event": "study", "format": 2, "version": "9.0"}, "written by seqtune 9.0; this version"),
        ({"event": "reported"}, "must begin with its format, got 'reported'"),
    ],
)
def test_another_format_is_refused(folder: Path, header: dict[str, Any], sentence: str) -> None:
    (folder / LOG).write_text(json.dumps(header) + "\n")
    with pytest.raises(ValueError, match=sentence):
        list(read_events(folder))
    with pytest.raises(ValueError, match=sentence):
        Store.open(folder)


def test_a_folder_without_a_log_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no study"):
        list(read_events(tmp_path))
    with pytest.raises(FileNotFoundError, match="holds no study"):
        Store.open(tmp_path / "none")


def test_a_full_disk_leaves_the_log_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) - 10])

    with Store.open(folder) as store:
        before = (folder / LOG).read_bytes()
        monkeypatch.setattr("search.store.store.os.write", half)
        with pytest.raises(OSError, match=r"cannot write .*: No space left on device"):
            store.append(reported(1))
        monkeypatch.undo()
        assert (folder / LOG).read_bytes() == before
        store.append(reported(2))
    assert [event.get("epoch") for event in read_events(folder)] == [None, 2]


def test_a_changed_study_replaces_the_old(folder: Path) -> None:
    changed = Study.load(folder / "study.toml", ["budget.trials_per_family=9"])
    with Store.open(folder) as store:
        store.replace_study(changed)
    assert read_study(folder) == changed


def test_each_trial_has_its_own_checkpoint(folder: Path) -> None:
    with Store.open(folder) as store:
        paths = {store.checkpoint_path(trial) for trial in (0, 1, 10, 123456)}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {folder / "checkpoints"}


def test_a_living_writer_is_refused_and_a_killed_one_replaced(
    folder: Path, python: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = python(HOLDS_THE_LOCK.format(folder=str(folder)))
    assert line_from(process) == "ready"
    with pytest.raises(StudyLockedError, match=rf"is being run by pid {process.pid} on host \S+"):
        Store.open(folder)
    holder = living_writer(folder / "lock")
    assert holder is not None
    assert holder.pid == process.pid
    acknowledged = 0
    while acknowledged < 50:
        acknowledged = int(line_from(process))
    process.send_signal(signal.SIGKILL)
    process.wait()
    rest = (process.stdout.read() if process.stdout else "").split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    assert living_writer(folder / "lock") is None
    with Store.open(folder) as store:
        trials = [event["trial"] for event in store.events() if "trial" in event]
    assert trials[: acknowledged + 1] == list(range(acknowledged + 1))
    assert len(trials) <= acknowledged + 2


def test_closing_twice_gives_the_lock_back_once(folder: Path) -> None:
    store = Store.open(folder)
    with pytest.raises(StudyLockedError, match=f"pid {os.getpid()}"):
        Store.open(folder)
    store.close()
    again = Store.open(folder)
    store.close()
    assert living_writer(folder / "lock") is not None
    again.close()
    assert living_writer(folder / "lock") is None


def test_the_heartbeat_goes_on_without_events(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.store.store.HEARTBEAT_SECONDS", 0.01)
    with Store.open(folder):
        first = read_holder(folder / "lock")
        deadline = time.monotonic() + 30
        while read_holder(folder / "lock") == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_writer_whose_lock_was_taken_stops(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.store.store.HEARTBEAT_SECONDS", 0.01)
    with Store.open(folder) as store:
        theirs = json.loads((folder / "lock").read_bytes()) | {"host": "elsewhere"}
        (folder / "lock").write_text(json.dumps(theirs))
        store._keeper.join(30)
        with pytest.raises(StudyLockedError, match="on host elsewhere"):
            store.append(reported(1))
    assert json.loads((folder / "lock").read_bytes()) == theirs
