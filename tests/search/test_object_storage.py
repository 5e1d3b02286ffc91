"""Studies in an object store, piece by piece, against a server that speaks S3."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import bucket as bucket_module
from cluster.bucket import Bucket, url_of
from search.cli import main
from search.runner.exchange import StoreExchange
from search.store import copies, mirror, object_lock, segments
from search.store.copies import fetched, origin_of, present, refresh, shown, workplace
from search.store.example_losses import losses_path
from search.store.lock import Holder, StudyLockedError, sign_of_life
from search.store.log import LOG, read_events
from search.store.object_lock import ObjectLock
from search.store.requests import StopRequest, ask, take_requests
from search.store.segments import LogSender, Segment, chain, read_log
from search.store.store import Store, checkpoint_path, study_folders
from search.study import Study

STUDY = Study.from_mapping(
    {
        "name": "s",
        "benchmark": "none",
        "families": ["gru"],
        "budget": {"trials_per_family": 1},
    }
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine."""
    monkeypatch.setattr(object_lock, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(object_lock, "WATCH_SECONDS", 0.3)
    monkeypatch.setattr(object_lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(mirror, "SEND_SECONDS", 0.05)
    monkeypatch.setattr(mirror, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(copies, "REFRESH_SECONDS", 0.0)


def create(url: str) -> Store:
    return Store.create(workplace(f"{url}/s", resume=False), STUDY)


def reopen(url: str) -> Store:
    return Store.open(workplace(f"{url}/s", resume=True))


def append(store: Store, *trials: int) -> None:
    for trial in trials:
        store.append({"event": "proposed", "trial": trial})


def trials_of(directory: Path) -> list[int]:
    return [event["trial"] for event in read_events(directory) if "trial" in event]


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def other_machine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on this process has the cache of another machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "elsewhere"))


# ---- places -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("results/one", None),
        ("/s3/results", None),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        (Path("gs://bucket/a") / "b", "gs://bucket/a/b"),
        (Path("s3://bucket/a") / "b", "s3://bucket/a/b"),
    ],
)
def test_a_url_is_known_by_its_scheme(place: str | Path, url: str | None) -> None:
    assert url_of(place) == url


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("http://host/x", "results go to a folder, to s3://BUCKET/FOLDER or to gs://"),
        ("hdfs://host/x", "results go to a folder"),
        ("s3://", "results go to a folder"),
        ("s3://key:secret@bucket/x", "give these in the environment"),
        ("gs://bucket/x?key=secret", "give these in the environment"),
    ],
)
def test_what_is_no_place_is_refused_and_no_key_is_repeated(place: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        url_of(place)
    assert "secret" not in str(caught.value)


# ---- what goes wrong is one sentence, soon ----------------------------------------------------


def says(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the program says on its way out with exit code 2; it takes seconds."""
    began = time.monotonic()
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert time.monotonic() - began < 15
    said = capsys.readouterr().err
    assert said.startswith("seqtune: ")
    assert said.count("\n") == 1
    return said


COMMANDS = [
    ("status", "{}"),
    ("run", "--benchmark", "digits_rows", "--families", "gru", "--out", "{}"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_bucket(
    command: tuple[str, ...], bucket_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = says(capsys, *(word.format("s3://no-such-bucket/x") for word in command))
    assert "there is no bucket no-such-bucket" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_no_network(
    command: tuple[str, ...],
    bucket_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = says(capsys, *(word.format("s3://studies/x") for word in command))
    assert "s3://studies/x" in said
    assert "does not answer" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_keys(
    command: tuple[str, ...],
    strict_store: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in strict_store.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    said = says(capsys, *(word.format("s3://studies/x") for word in command))
    assert "refuses: its keys are missing or wrong" in said
    assert "very-secret" not in said


def test_google_without_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same code path; there is no server for it to be tried on here."""
    monkeypatch.setattr(bucket_module, "REQUEST_SECONDS", 1)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:9")
    assert "gs://studies/x does not answer" in says(capsys, "status", "gs://studies/x")


def test_no_study(bucket_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "leaderboard", "resume", "report", "export", "stop", "watch"):
        said = says(capsys, command, bucket_url)
        assert said == f"seqtune: {bucket_url} holds no study: it has no events\n"


# ---- the log in parts -------------------------------------------------------------------------


def test_a_log_is_the_same_in_parts(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "LONG_BYTES", 30)
    bucket, log = Bucket(bucket_url), tmp_path / LOG
    log.write_bytes(b"")
    sender = LogSender(tmp_path, bucket)
    for number in range(16):
        with log.open("ab") as file:
            file.write(f"line {number}\n".encode())
        if number == 9:
            sender = LogSender(tmp_path, bucket)  # another driver
        sender.send()
        whole = log.read_bytes()
        start, content = read_log(bucket)
        assert (start, content) == (0, whole)
        for known in (1, len(whole) // 2, len(whole)):
            start, content = read_log(bucket, known)
            assert start <= known
            assert content == whole[start:]
    parts = bucket.sizes("events")
    assert 2 < len(parts) <= len(log.read_bytes()) / 30 + 1
    with log.open("ab") as file:
        file.write(b"half a li")
    sender.send()
    assert read_log(bucket)[1] == whole


def test_overlapping_parts_are_read_once_and_a_missing_one_is_noticed() -> None:
    names = [Segment(*ends).name for ends in ((0, 10), (0, 14), (14, 20), (14, 30), (30, 31))]
    assert chain(["events/x", *names]) == [Segment(0, 14), Segment(14, 30), Segment(30, 31)]
    assert chain([]) == []
    with pytest.raises(ValueError, match="its part from byte 0 on is missing"):
        chain(names[2:])
    with pytest.raises(ValueError, match="its part from byte 10 on is missing"):
        chain([names[0], names[3]])


# ---- one writer -------------------------------------------------------------------------------


def test_a_living_driver_elsewhere_is_refused_and_a_dead_one_replaced(bucket_url: str) -> None:
    bucket = Bucket(bucket_url)
    lock, mine = ObjectLock(bucket), Holder.this_process()
    theirs = replace(mine, host="another")
    bucket.write("lock", sign_of_life(theirs))
    with pytest.raises(StudyLockedError, match=f"{bucket_url} is being run by pid .* on host ano"):
        lock.acquire()
    stale = json.loads(sign_of_life(theirs)) | {"heartbeat": f"{time.time() - 31:.3f}"}
    bucket.write("lock", json.dumps(stale).encode())
    lock.acquire()
    lock.beat()
    bucket.write("lock", sign_of_life(theirs))
    with pytest.raises(StudyLockedError):
        lock.beat()
    lock.release()
    assert b"another" in bucket.read("lock")


def test_a_driver_whose_lock_was_taken_writes_nothing_more(bucket_url: str) -> None:
    store = create(bucket_url)
    append(store, 0)
    bucket = Bucket(f"{bucket_url}/s")
    bucket.write("lock", sign_of_life(replace(Holder.this_process(), host="another")))
    wait_until(lambda: store._mirror is not None and store._mirror.fault is not None)
    with pytest.raises(StudyLockedError):
        append(store, 1)
    store.close()
    assert b"another" in bucket.read("lock")


# ---- a study's life ---------------------------------------------------------------------------


def test_what_is_written_here_is_read_there(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{bucket_url}/s"
    with create(bucket_url) as store:
        append(store, 0, 1)
        assert shown(store.directory) == url
        (copy,) = study_folders(Path(bucket_url))
        wait_until(lambda: refresh(copy) or trials_of(copy) == [0, 1])
        assert origin_of(copy) == url
        assert copy.name == "s"
        assert (copy / "study.toml").read_text() == STUDY.to_toml()
        append(store, 2)
        wait_until(lambda: refresh(copy) or trials_of(copy) == [0, 1, 2])
        with pytest.raises(StudyLockedError):
            reopen(bucket_url)
        other_machine(monkeypatch, tmp_path)
        with pytest.raises(FileExistsError, match=f"seqtune resume {url}"):
            workplace(url, resume=False)
    assert "lock" not in Bucket(url).files()
    with reopen(bucket_url) as store:
        append(store, 3)
    assert trials_of(fetched(url)[0]) == [0, 1, 2, 3]


def test_requests_go_through_the_store(bucket_url: str) -> None:
    with create(bucket_url) as store:
        wait_until(lambda: Bucket(f"{bucket_url}/s").sizes("events"))
        (copy,) = study_folders(bucket_url)
        asked = ask(copy, StopRequest(3))
        wait_until(lambda: not asked.exists())
        wait_until(lambda: take_requests(store.directory) == [StopRequest(3)])


def test_a_killed_driver_is_followed_by_one_that_knows_what_it_had_not_sent(
    bucket_url: str,
) -> None:
    with create(bucket_url) as store:
        append(store, 0)
        directory = store.directory
    with (directory / LOG).open("ab") as log:  # told here, and never sent
        log.write(b'{"event":"proposed","time":1,"trial":1}\n{"event":"prop')
    with reopen(bucket_url) as store:
        assert store.directory == directory
        append(store, 2)
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == [0, 1, 2]


def test_what_was_told_here_does_not_outlive_another_course_of_the_study(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = os.environ["XDG_CACHE_HOME"]
    with create(bucket_url) as store:
        append(store, 0)
        directory = store.directory
    other_machine(monkeypatch, tmp_path)
    with reopen(bucket_url) as store:
        append(store, 1)
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    with (directory / LOG).open("ab") as log:
        log.write(b'{"event":"proposed","time":1,"trial":9}\n')
    with reopen(bucket_url) as store:
        append(store, 2)
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == [0, 1, 2]


def test_an_outage_delays_and_loses_nothing(bucket_url: str, object_store: Any) -> None:
    with create(bucket_url) as store:
        append(store, 0)
        object_store.process.send_signal(signal.SIGSTOP)
        try:
            append(store, 1)
            time.sleep(0.5)
            append(store, 2)
        finally:
            object_store.process.send_signal(signal.SIGCONT)
        append(store, 3)
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == [0, 1, 2, 3]


def test_a_store_that_stays_away_leaves_all_on_this_machine(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LAST_SECONDS", 0.1)
    store = create(bucket_url)
    assert store._mirror is not None
    for away in (store._mirror._bucket, store._mirror._lock._bucket):
        monkeypatch.setattr(away, "_root", "no-such-bucket/s")
    append(store, 0)
    with pytest.raises(OSError, match=f"`seqtune resume {bucket_url}/s` on this machine sends"):
        store.close()
    assert trials_of(store.directory) == [0]
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == []
    with reopen(bucket_url):
        pass
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == [0]


def test_a_study_that_is_removed_and_begun_anew_is_not_mixed_with_the_old(bucket_url: str) -> None:
    with create(bucket_url) as store:
        append(store, 0, 1, 2)
    assert trials_of(fetched(f"{bucket_url}/s")[0]) == [0, 1, 2]
    Bucket(f"{bucket_url}/s").delete_all()
    with create(bucket_url) as store:
        append(store, 7)
    (copy,) = fetched(f"{bucket_url}/s")
    assert trials_of(copy) == [7]
    store = reopen(bucket_url)
    store.remove()
    assert Bucket(f"{bucket_url}/s").sizes() == {}
    assert not store.directory.exists()


# ---- checkpoints ------------------------------------------------------------------------------


def test_workers_exchange_checkpoints(bucket_url: str, tmp_path: Path) -> None:
    url = f"{bucket_url}/s"
    one, two = StoreExchange(url), StoreExchange(url)
    asked = tmp_path / "00003"
    here = one.get(asked)
    assert not here.exists()
    for epoch in (b"1", b"2"):
        here.write_bytes(epoch)
        here.with_name("00003.history.json").write_bytes(epoch)
        one.put(here)
        there = two.get(asked)
        assert there != here
        assert there.read_bytes() == there.with_name("00003.history.json").read_bytes() == epoch
    losses_path(there).write_bytes(b"losses")
    two.put(there)
    assert Bucket(url).read("checkpoints/00003.test.npy") == b"losses"
    assert one.get(tmp_path / "00004").exists() is False
    assert not here.exists(), "what one trial left is not there for the next"
    Bucket(url).delete(Bucket(url).sizes())
    assert not two.get(asked).exists(), "the store is right, also where it has nothing"


def test_checkpoints_are_at_hand_when_they_are_asked_for_and_go_when_they_are_not(
    bucket_url: str,
) -> None:
    bucket = Bucket(f"{bucket_url}/s")
    with create(bucket_url) as store:
        for number in (1, 2):
            bucket.write(f"checkpoints/{number:05d}", b"weights")
        file = present(checkpoint_path(store.directory, 2))
        assert file.read_bytes() == b"weights"
        assert not present(checkpoint_path(store.directory, 5)).exists()
        store.discard_sent({2, 5})
        wait_until(lambda: set(bucket.sizes("checkpoints")) == {"checkpoints/00001"})
