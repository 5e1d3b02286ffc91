"""The index beside a log: the same summary as the whole log gives, and quickly."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.results import index
from search.results.index import INDEX, summarize
from search.results.leaderboard import Leaderboard
from search.store.log import LOG

Event = dict[str, Any]

HEAD = [
    {"event": "study", "format": 1, "study": "s", "benchmark": "b"},
    {"event": "opened", "metric": "accuracy", "maximize": True, "families": ["rnn", "gru"]},
]


def of_trial(kind: str, trial: int, attempt: int = 1, epoch: int = 1, **fields: Any) -> Event:
    return {"event": kind, "trial": trial, "attempt": attempt, "epoch": epoch, **fields}


def proposed(trial: int, family: str) -> Event:
    config = {"model": {"name": family, "hidden_size": 8}, "training": {"batch_size": 32}}
    return of_trial("proposed", trial, 0, 0, family=family, config=config, seed=0, finalist_of=None)


def leased(trial: int, attempt: int, epoch: int) -> Event:
    return of_trial("leased", trial, attempt, epoch)


def reported(trial: int, attempt: int, epoch: int, value: float | None) -> Event:
    measured = {"accuracy": value, "log_loss": value}
    known = {"value": value, "valid": measured, "train_loss": 0.123456789}
    if value is not None and value > 0.5:
        known["diagnostics"] = {"notes": ["gradients vanish: a gets 0", "gradients explode: b"]}
    return of_trial("reported", trial, attempt, epoch, **known, seconds=0.5, parameters=100 + trial)


def ended(trial: int, state: str) -> Event:
    return of_trial("ended", trial, state=state, cause="x", traceback="")


def baseline(value: float) -> Event:
    return {"event": "baseline", "name": "n", "valid": {"accuracy": value}, "test": {"accuracy": 1}}


def lines(events: Iterable[Event]) -> Iterator[bytes]:
    for event in events:
        yield json.dumps(event, separators=(",", ":")).encode() + b"\n"


def complete_log(trials: int = 6, epochs: int = 3) -> Iterator[Event]:
    """A log of complete trials with known best values."""
    yield from HEAD
    for number in range(trials):
        yield proposed(number, ["rnn", "gru"][number % 2])
        yield leased(number, 1, 0)
        for epoch in range(1, epochs + 1):
            yield reported(number, 1, epoch, (number * 7919 + epoch * 104729) % 10007 / 10007)
        yield ended(number, "complete")


numbers = st.integers(0, 2)
later_events = st.lists(
    st.one_of(
        st.builds(leased, numbers, st.integers(1, 3), st.integers(0, 3)),
        st.builds(
            reported, numbers, st.integers(1, 3), st.integers(1, 4), st.none() | st.floats(0, 1)
        ),
        st.builds(ended, numbers, st.sampled_from(["complete", "pruned", "failed"])),
        st.builds(
            lambda trial, value: of_trial("tested", trial, test={"accuracy": value}),
            numbers,
            st.floats(0, 1),
        ),
        st.just({"event": "closed"}),
        st.just(HEAD[1]),
        st.builds(baseline, st.floats(0, 1)),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(events=later_events, cut=st.integers(0, 40))
def test_index_and_tail_equal_the_whole_log(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("study")
    log = list(lines([*HEAD, *(proposed(number, "rnn") for number in range(3)), *events]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WORTH_BYTES", 1)
        (folder / LOG).write_bytes(b"".join(log[: cut + 1]))
        summarize(folder)
        assert (folder / INDEX).exists()
        (folder / LOG).write_bytes(b"".join(log))
        continued = summarize(folder)
        again = summarize(folder)
        (folder / INDEX).unlink()
        assert continued == summarize(folder) == again


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(index, "WORTH_BYTES", 1)
    (tmp_path / LOG).write_bytes(b"".join(lines(complete_log())))
    summarize(tmp_path)
    assert (tmp_path / INDEX).exists()
    return tmp_path


def test_with_an_index_only_the_tail_is_parsed(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = summarize(indexed)
    parsed = []
    decode = index.decode

    def noted(line: bytes, path: Path, number: int) -> Event:
        parsed.append(number)
        return decode(line, path, number)

    monkeypatch.setattr(index, "decode", noted)
    assert summarize(indexed) == before
    assert parsed == []
    written = len((indexed / LOG).read_bytes().splitlines())
    with (indexed / LOG).open("ab") as file:
        file.writelines(lines([proposed(6, "gru")]))
    assert len(summarize(indexed).trials) == 7
    assert parsed == [written + 1]


def test_a_corrupt_line_after_the_index_has_its_true_number(indexed: Path) -> None:
    written = len((indexed / LOG).read_bytes().splitlines())
    with (indexed / LOG).open("ab") as file:
        file.write(b"{\n")
    with pytest.raises(ValueError, match=f"line {written + 1} is not an event"):
        summarize(indexed)


def test_an_index_that_does_not_fit_is_ignored(indexed: Path) -> None:
    expected = summarize(indexed)
    good = (indexed / INDEX).read_bytes()
    for wrong in (b"", b"PAR1", good[:-9] + b"x" * 9, good[: len(good) // 2]):
        (indexed / INDEX).write_bytes(wrong)
        assert summarize(indexed) == expected
    (indexed / INDEX).write_bytes(good)
    log = (indexed / LOG).read_bytes()
    (indexed / LOG).write_bytes(log.replace(b"complete", b"_failed_"))  # another log of one length
    assert summarize(indexed) != expected


def test_a_folder_that_cannot_be_written_has_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError("Read-only file system")

    monkeypatch.setattr(index, "WORTH_BYTES", 1)
    monkeypatch.setattr("search.results.index.pq.write_table", read_only)
    (tmp_path / LOG).write_bytes(b"".join(lines(complete_log())))
    assert len(summarize(tmp_path).trials) == 6
    assert [path.name for path in tmp_path.iterdir()] == [LOG]


@pytest.mark.slow
def test_ten_thousand_trials_are_read_from_the_index_at_once(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b"".join(lines(complete_log(trials=10_000, epochs=20))))
    whole = Leaderboard(tmp_path).by_family()
    begun = time.process_time()
    board = Leaderboard(tmp_path)
    rows = board.by_family()
    text = board.text()
    spent = time.process_time() - begun
    assert rows == whole
    assert sum(row["trials"] for row in rows) == 10_000
    assert "gru" in text
    assert spent < 1.0  # 0.2 s where it was written; the whole log takes ten times that
