"""The leaderboard: hand-written logs with known answers, in all formats."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest
from scipy import stats

import search
from search.results.index import INDEX
from search.results.leaderboard import FAMILY_COLUMNS, TRIAL_COLUMNS, Leaderboard
from search.store.log import LOG
from search.store.store import Store
from search.study import Study

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ["rnn", "lstm", "gru"]
CONTRACT = (
    "study,benchmark,rank,family,test_mean,test_low,test_high,tie_group,valid_best,valid_epoch,"
    "metric,parameters,train_seconds,trials,complete,pruned,failed,beats_baseline,"
    "test_low_over_examples,test_high_over_examples,beats_next_probability,latency_ms,state_bytes,"
    "redrawn"
)
TRIAL_CONTRACT = (
    "study,benchmark,trial,family,state,finalist,seed,valid_best,valid_epoch,epochs,parameters,"
    "train_seconds,cause,notes,origin,pareto,latency_ms,state_bytes,peak_memory_bytes,"
    "copied_from,copied_at_epoch"
)

Event = dict[str, Any]


def opened(*, maximize: bool = True, families: Iterable[str] = FAMILIES) -> Event:
    metric = "accuracy" if maximize else "log_loss"
    event = {"event": "opened", "metric": metric, "maximize": maximize}
    return event | {"families": list(families)}


def proposed(trial: int, family: str, seed: int = 0, finalist_of: int | None = None) -> Event:
    config = {
        "model": {"name": family, "hidden_size": 8 * (trial + 1), "layers": [{"name": "a"}]},
        "head": {},
        "training": {"optimizer": {"name": "adamw", "learning_rate": 0.01}},
    }
    event = {"event": "proposed", "trial": trial, "family": family, "proposal": trial}
    return event | {"config": config, "seed": seed, "finalist_of": finalist_of}


def leased(trial: int, attempt: int = 1, epoch: int = 0) -> Event:
    event = {"event": "leased", "trial": trial, "attempt": attempt, "epoch": epoch}
    return event | {"lease": trial, "to_epoch": 9}


def reported(trial: int, epoch: int, value: float | None, attempt: int = 1) -> Event:
    event = {"event": "reported", "trial": trial, "attempt": attempt, "epoch": epoch}
    return event | {"value": value, "seconds": 0.5, "parameters": 100 + trial}


def ended(trial: int, state: str = "complete", cause: str = "") -> Event:
    event = {"event": "ended", "trial": trial, "attempt": 1, "epoch": 9}
    return event | {"state": state, "cause": cause, "traceback": ""}


def measured(trial: int, value: float) -> Event:
    event = {"event": "tested", "trial": trial, "attempt": 1, "epoch": 2}
    return event | {"test": {"accuracy": value, "other": 7.0}}


def run(trial: int, family: str, *values: float, **place: Any) -> list[Event]:
    """A whole trial with these validation values, one an epoch."""
    reports = [reported(trial, epoch, value) for epoch, value in enumerate(values, 1)]
    return [proposed(trial, family, **place), leased(trial), *reports, ended(trial)]


def finalists(first: int, family: str, of: int, valid: float, tests: list[float]) -> list[Event]:
    events = []
    for seed, test in enumerate(tests):
        number = first + seed
        events += run(number, family, valid, seed=1000 + seed, finalist_of=of)
        streams = {"latency_ms": 0.25 * (1 + seed % 2 * (seed - 2)), "state_bytes": 64}
        events.append(measured(number, test) | ({"streaming": streams} if family == "gru" else {}))
    return events


def study(folder: Path, events: Iterable[Event], name: str = "mine") -> Path:
    description = {"name": name, "benchmark": "digits_rows", "families": FAMILIES}
    with Store.create(
        folder / name, Study.from_mapping(description | {"budget": {"seconds": 9}})
    ) as store:
        for event in events:
            store.append(event)
    return folder / name


GRU_TESTS = [0.90, 0.91, 0.92, 0.90, 0.91]
LSTM_TESTS = [0.80, 0.81, 0.80, 0.82, 0.80]
FINISHED = [
    opened(),
    *run(0, "rnn", 0.5, 0.7, 0.6),
    *run(1, "lstm", 0.6, 0.8),
    *run(2, "gru", 0.9, 0.95, 0.93, 0.2),
    *run(3, "gru", 0.4),
    proposed(4, "gru"),
    leased(4),
    reported(4, 1, 0.3),
    ended(4, "pruned"),
    proposed(5, "gru"),
    leased(5),
    ended(5, "failed", "out of memory"),
    *finalists(10, "gru", 2, 0.94, GRU_TESTS),
    *finalists(20, "lstm", 1, 0.81, LSTM_TESTS),
    {"event": "closed"},
]


def test_by_family(tmp_path: Path) -> None:
    rows = Leaderboard(study(tmp_path, FINISHED)).by_family()
    assert [row["family"] for row in rows] == ["gru", "lstm", "rnn"]
    gru, lstm, rnn = rows
    low, high = stats.t.interval(0.95, 4, loc=0.908, scale=stats.sem(GRU_TESTS))
    ahead = [one - other for one, other in zip(GRU_TESTS, LSTM_TESTS, strict=True)]
    chance = stats.t.cdf(fmean(ahead) / stats.sem(ahead), 4)
    assert gru == {
        "study": "mine",
        "benchmark": "digits_rows",
        "rank": 1,
        "family": "gru",
        "test_mean": pytest.approx(0.908),
        "test_low": pytest.approx(low),
        "test_high": pytest.approx(high),
        "tie_group": "a",
        "valid_best": 0.95,
        "valid_epoch": 2,
        "metric": "accuracy",
        "parameters": 102,
        "train_seconds": pytest.approx(0.5 * (4 + 1 + 1 + 5)),
        "trials": 4,
        "complete": 2,
        "pruned": 1,
        "failed": 1,
        "beats_baseline": None,
        "test_low_over_examples": None,
        "test_high_over_examples": None,
        "beats_next_probability": pytest.approx(chance),
        "latency_ms": 0.25,
        "state_bytes": 64,
        "redrawn": 0,
    }
    assert lstm["beats_next_probability"] is None  # rnn has no finalist
    assert (lstm["rank"], lstm["tie_group"], lstm["trials"]) == (2, "b", 1)
    assert (rnn["rank"], rnn["test_mean"], rnn["tie_group"]) == (3, None, None)
    assert (rnn["valid_best"], rnn["valid_epoch"]) == (0.7, 2)


def test_by_trial(tmp_path: Path) -> None:
    rows = Leaderboard(study(tmp_path, FINISHED)).by_trial()
    assert len(rows) == 16
    values = [row["valid_best"] for row in rows if row["valid_best"] is not None]
    assert values == sorted(values, reverse=True)
    best = rows[0]
    assert best == {
        "study": "mine",
        "benchmark": "digits_rows",
        "trial": 2,
        "family": "gru",
        "state": "complete",
        "finalist": False,
        "seed": 0,
        "valid_best": 0.95,
        "valid_epoch": 2,
        "epochs": 4,
        "parameters": 102,
        "train_seconds": 2.0,
        "cause": None,
        "notes": None,
        "origin": None,
        "pareto": "study",
        "latency_ms": None,
        "state_bytes": None,
        "peak_memory_bytes": None,
        "copied_from": None,
        "copied_at_epoch": None,
        "config.model.name": "gru",
        "config.model.hidden_size": 24,
        "config.model.layers.0.name": "a",
        "config.training.optimizer.name": "adamw",
        "config.training.optimizer.learning_rate": 0.01,
    }
    failed = rows[-1]
    assert (failed["state"], failed["cause"], failed["epochs"]) == ("failed", "out of memory", 0)
    assert sum(row["finalist"] for row in rows) == 10
    assert {row["seed"] for row in rows if row["finalist"]} == {1000, 1001, 1002, 1003, 1004}


def test_columns_are_the_documented_ones(tmp_path: Path) -> None:
    board = Leaderboard(study(tmp_path, FINISHED))
    assert ",".join(FAMILY_COLUMNS) == CONTRACT
    assert ",".join(TRIAL_COLUMNS) == TRIAL_CONTRACT
    assert all(",".join(row) == CONTRACT for row in board.by_family())
    for row in board.by_trial():
        settings_of_row = list(row)[len(TRIAL_COLUMNS) :]
        assert ",".join(row) == ",".join([TRIAL_CONTRACT, *settings_of_row])
        assert all(name.startswith("config.") for name in settings_of_row)


def test_smaller_may_be_better(tmp_path: Path) -> None:
    events = [
        opened(maximize=False),
        *run(0, "rnn", 0.5, 0.3, 0.4),
        *run(1, "gru", 0.6, 0.2),
    ]
    gru, rnn, lstm = Leaderboard(study(tmp_path, events)).by_family()
    assert (gru["family"], gru["valid_best"], gru["valid_epoch"], gru["rank"]) == ("gru", 0.2, 2, 1)
    assert (rnn["family"], rnn["valid_best"], rnn["valid_epoch"]) == ("rnn", 0.3, 2)
    assert (lstm["family"], lstm["rank"], lstm["valid_best"], lstm["trials"]) == (
        "lstm",
        None,
        None,
        0,
    )


def test_the_finalist_of_a_family_is_chosen_by_validation(tmp_path: Path) -> None:
    events = [
        opened(),
        *run(0, "gru", 0.90),
        *run(1, "gru", 0.91),
        *finalists(2, "gru", 0, 0.95, [0.5, 0.5]),
        *finalists(4, "gru", 1, 0.85, [0.99, 0.99]),
    ]
    row = Leaderboard(study(tmp_path, events)).by_family()[0]
    assert row["test_mean"] == 0.5
    assert row["valid_best"] == 0.90
    assert row["tie_group"] == "a"


def test_the_best_value_counts_although_an_attempt_was_lost(tmp_path: Path) -> None:
    events = [
        opened(),
        proposed(0, "gru"),
        leased(0),
        reported(0, 1, 0.5),
        reported(0, 2, 0.9),
        reported(0, 2, 0.9),
        {"event": "interrupted", "trial": 0, "attempt": 1, "epoch": 2, "lost": True, "cause": "x"},
        leased(0, attempt=2, epoch=2),
        reported(0, 1, 0.99),
        reported(0, 2, 0.9, attempt=2),
        reported(0, 3, 0.6, attempt=2),
        reported(0, 4, None, attempt=2),
    ]
    (row,) = Leaderboard(study(tmp_path, events)).by_trial()
    assert (row["valid_best"], row["valid_epoch"], row["epochs"]) == (0.9, 2, 4)
    assert row["train_seconds"] == 5 * 0.5


def test_a_running_trial_is_interrupted_once_its_driver_is_gone(tmp_path: Path) -> None:
    folder = study(tmp_path, [opened(), proposed(0, "gru"), leased(0), reported(0, 1, 0.5)])
    with Store.open(folder) as store:
        assert Leaderboard(folder).by_trial()[0]["state"] == "running"
        store.append({"event": "paused", "trial": 0, "attempt": 1, "epoch": 1})
        assert Leaderboard(folder).by_trial()[0]["state"] == "paused"
        store.append(leased(0, epoch=1))
        assert Leaderboard(folder).by_trial()[0]["state"] == "running"
    assert Leaderboard(folder).by_trial()[0]["state"] == "interrupted"


def baseline(valid: float, test: float) -> Event:
    event = {"event": "baseline", "name": "class frequencies"}
    return event | {"valid": {"accuracy": valid}, "test": {"accuracy": test}}


def test_a_baseline_has_a_row_in_its_place(tmp_path: Path) -> None:
    board = Leaderboard(study(tmp_path, [*FINISHED, baseline(valid=0.99, test=0.85)]))
    rows = board.by_family()
    assert [row["family"] for row in rows] == [
        "gru",
        "baseline (class frequencies)",
        "lstm",
        "rnn",
    ]
    assert [row["rank"] for row in rows] == [1, None, 2, 3]
    assert [row["beats_baseline"] for row in rows] == [True, None, False, False]
    trivial = rows[1]
    assert (trivial["test_mean"], trivial["test_low"], trivial["valid_best"]) == (0.85, None, 0.99)
    assert (trivial["trials"], trivial["train_seconds"], trivial["tie_group"]) == (None,) * 3
    assert "Not better than the baseline (class frequencies: 0.85): lstm, rnn." in board.text()
    assert all(f" {family} † " in board.text() for family in ("lstm", "rnn"))
    assert "gru †" not in board.text()


def test_a_baseline_is_compared_on_validation_without_finalists(tmp_path: Path) -> None:
    events = [opened(), baseline(valid=0.6, test=0.5), *run(0, "gru", 0.7), *run(1, "rnn", 0.5)]
    board = Leaderboard(study(tmp_path, events))
    rows = board.by_family()
    assert [(row["family"], row["test_mean"]) for row in rows] == [
        ("gru", None),
        ("baseline (class frequencies)", None),
        ("rnn", None),
        ("lstm", None),
    ]
    assert [row["beats_baseline"] for row in rows] == [True, None, False, None]
    assert "rnn †" in board.text()
    assert "† Not better than the baseline." in board.text()


def test_a_study_just_created_has_no_rows_but_all_columns(tmp_path: Path) -> None:
    board = Leaderboard(study(tmp_path, []))
    assert board.by_family() == []
    assert board.by_trial() == []
    assert json.loads(board.text(output_format="json")) == []
    assert board.text("trial", "csv").splitlines() == [",".join(TRIAL_COLUMNS)]
    assert board.text().startswith("mine on digits_rows")
    board.write(tmp_path / "rows.parquet", output_format="parquet")
    assert pq.read_table(tmp_path / "rows.parquet").column_names == [*FAMILY_COLUMNS]


def test_several_studies_and_a_folder_of_studies(tmp_path: Path) -> None:
    first = study(tmp_path, FINISHED, "b")
    second = study(tmp_path, [opened(families=["rnn"]), *run(0, "rnn", 0.5)], "a")
    (tmp_path / "other").mkdir()
    (tmp_path / ".draft").mkdir()
    (tmp_path / ".draft" / LOG).write_text("")
    assert [row["study"] for row in Leaderboard(first, second).by_family()] == ["b"] * 3 + ["a"]
    assert [row["study"] for row in Leaderboard(tmp_path).by_family()] == ["a"] + ["b"] * 3
    assert len(Leaderboard(first, tmp_path).summaries) == 2
    with pytest.raises(FileNotFoundError, match="other holds no study"):
        Leaderboard(tmp_path / "other")


def test_csv_json_and_parquet_agree(tmp_path: Path) -> None:
    folder = study(tmp_path, FINISHED)
    for by, rows in (
        ("family", Leaderboard(folder).by_family()),
        ("trial", Leaderboard(folder).by_trial()),
    ):
        board = Leaderboard(folder)
        assert json.loads(board.text(by, "json")) == rows  # type: ignore[arg-type]  # of a tuple
        read = list(csv.DictReader(io.StringIO(board.text(by, "csv"))))  # type: ignore[arg-type]
        assert read == [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in rows
        ]
        path = tmp_path / f"{by}.parquet"
        board.write(path, by, "parquet")  # type: ignore[arg-type]
        assert pq.read_table(path).to_pylist() == rows


def test_settings_of_several_types_go_to_parquet_as_text(tmp_path: Path) -> None:
    one, two, three = proposed(0, "rnn"), proposed(1, "rnn"), proposed(2, "rnn")
    one["config"] = {"model": {"window": 3, "rate": 1, "gone": None}}
    two["config"] = {"model": {"window": "all", "rate": 0.5}}
    three["config"] = {"model": {}}
    board = Leaderboard(study(tmp_path, [opened(), one, two, three]))
    board.write(tmp_path / "rows.parquet", "trial", "parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table["config.model.window"].to_pylist() == ["3", "all", None]
    assert table["config.model.rate"].to_pylist() == [1.0, 0.5, None]
    assert table["config.model.gone"].to_pylist() == [None] * 3


def test_the_table_for_people(tmp_path: Path) -> None:
    folder = study(tmp_path, FINISHED)
    text = Leaderboard(folder).text()
    assert "mine on digits_rows: accuracy, higher is better" in text
    (gru,) = (" ".join(line.split()) for line in text.splitlines() if " 102 " in line)
    assert gru == "1 gru 0.908 ± 0.010 a >99.9 % 0.95 2 102 5.5 s 4 2 1 1 0.25 64"
    assert "over 5 seeds" in text
    assert "Families that share a letter cannot be told apart." in text
    wide = max(map(len, text.splitlines()))
    narrow = Leaderboard(folder).text(width=60)
    assert max(map(len, narrow.splitlines())) <= 60 < wide


def test_a_long_table_is_cut_for_the_terminal_only(tmp_path: Path) -> None:
    events = [opened(), *(proposed(number, "rnn") for number in range(250))]
    board = Leaderboard(study(tmp_path, events))
    text = board.text("trial")
    assert sum(" rnn " in line for line in text.splitlines()) == 200
    assert "50 more rows are in the other formats." in text
    assert board.text("trial", "markdown").count(" rnn ") == 250


def test_markdown_escapes_what_users_name(tmp_path: Path) -> None:
    family = "my|mo*del.py:A_b"
    events = [
        opened(families=[family]),
        proposed(0, family),
        ended(0, "failed", "[bold]a\nb"),
    ]
    board = Leaderboard(study(tmp_path, events))
    assert "| my\\|mo\\*del.py:A\\_b |" in board.text("family", "markdown")
    assert "[bold]a" in board.text("trial")
    header, rule, _row = board.text("trial", "markdown").splitlines()[2:5]
    assert header.startswith("| trial | family | state |")
    assert rule.startswith("| --: | :-- | :-- |")


def test_parquet_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parquet must go to a file"):
        Leaderboard(study(tmp_path, FINISHED)).text(output_format="parquet")


def test_an_incomplete_event_is_named(tmp_path: Path) -> None:
    folder = study(tmp_path, [opened(), reported(7, 1, 0.5)])
    with pytest.raises(ValueError, match=r"is corrupt: line 3: an event 'reported' refers to 7"):
        Leaderboard(folder)


def test_reading_results_loads_no_heavy_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.results.index.WORTH_BYTES", 1)
    folder = study(tmp_path, FINISHED)
    assert Leaderboard(folder).by_family()
    assert (folder / INDEX).exists()
    program = (
        "import sys\n"
        "from search import Leaderboard\n"
        f"board = Leaderboard({str(folder)!r})\n"
        "print(board.text(), board.text('trial', 'json'))\n"
        "loaded = {'torch', 'ray', 'optuna', 'pandas'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "gru" in done.stdout


def test_unknown_names_of_the_package_are_refused() -> None:
    assert search.Study is Study
    with pytest.raises(AttributeError, match="no attribute 'Leaderbord'"):
        search.Leaderbord  # noqa: B018  # asks for a name that is not there
