"""Some rows of a leaderboard, by family and by a condition."""

import json
from pathlib import Path

import pytest

from search.cli import main
from search.results.leaderboard import VIEWS, Leaderboard
from search.results.selection import Selection
from search.store.store import Store
from search.study import Study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies; four trials of two families, one of them without a value."""
    for name, benchmark in (("one", "digits_rows"), ("two", "parity")):
        settings = {"name": name, "benchmark": benchmark, "families": ["rnn", "gru"]}
        with Store.create(
            tmp_path / name, Study.from_mapping(settings | {"budget": {"seconds": 9}})
        ) as store:
            store.append(
                {"event": "opened", "metric": "accuracy", "maximize": True}
                | {"families": ["rnn", "gru"]}
            )
            for trial, (family, value) in enumerate([("rnn", 0.5), ("gru", 0.9), ("gru", None)]):
                model = {"name": family, "hidden_size": 8 << trial}
                config = {"model": model, "training": {"rate": 0.5 if trial else "high"}}
                store.append(
                    {"event": "proposed", "trial": trial, "family": family, "proposal": trial}
                    | {"config": config, "seed": 0, "finalist_of": None}
                )
                store.append(
                    {"event": "reported", "trial": trial, "attempt": 1, "epoch": 1}
                    | {"value": value, "seconds": 0.5, "parameters": 100 * (trial + 1)}
                )
    return tmp_path


def trials(folder: Path, selection: Selection) -> list[tuple[str, int]]:
    board = Leaderboard(folder)
    rows = json.loads(board.text(selection.of(board, VIEWS["trial"]), "json"))
    return sorted((row["study"], row["trial"]) for row in rows)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("parameters < 250", {0, 1}),
        ("valid_best > 0.6", {1}),
        ('family == "gru" and parameters > 200', {2}),
        ("config.model.hidden_size >= 16", {1, 2}),
        ("not `config.model.hidden_size` >= 16", {0}),
        ('`config.training.rate` == "high"', {0}),
        ("valid_best == valid_best", {0, 1}),
        ("parameters > 1e9", set()),
    ],
)
def test_a_condition_keeps_what_it_holds_for(folder: Path, condition: str, kept: set[int]) -> None:
    found = trials(folder, Selection(where=condition))
    assert found == sorted((study, trial) for study in ("one", "two") for trial in kept)


def test_a_family_and_a_condition_hold_together(folder: Path) -> None:
    assert trials(folder, Selection(["gru"], "parameters < 250")) == [("one", 1), ("two", 1)]
    board = Leaderboard(folder)
    text = board.text(Selection(["gru"]).of(board, VIEWS["family"]), "markdown")
    assert [line.split(" | ")[1] for line in text.splitlines() if line[:3] == "| 1"] == ["gru"] * 2
    assert "rnn" not in text


def test_rank_is_that_among_all(folder: Path) -> None:
    board = Leaderboard(folder, benchmarks=["parity"])
    (row,) = board.rows(Selection(["rnn"]).of(board, VIEWS["family"]))[0]
    assert (row["study"], row["rank"]) == ("two", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--where", "size < 3"], "'size' is not defined"),
        (["--where", "parameters <"], "must be a condition on columns"),
        (["--where", "parameters + 1"], "neither true nor false"),
        (["--where", "family < 3"], "must be a condition on columns"),
        (["--where", "7"], "neither true nor false"),
        (["--where", "@x < 3"], "must be a condition on columns"),
        (["--family", "grru"], "no row is about 'grru'; did you mean 'gru'?"),
        (["--benchmark", "paraty"], "no study is on benchmark 'paraty'; did you mean 'parity'?"),
    ],
)
def test_what_cannot_be_read_is_said(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", str(folder), *options])
    assert left.value.code == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1


def test_nothing_left_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", str(folder), "--where", "parameters > 1e9"])
    assert left.value.code == 0
    assert capsys.readouterr().out == "no row is left\n"
