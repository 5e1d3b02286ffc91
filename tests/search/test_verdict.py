"""What is said of finalists, in words and as data."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from search.cli import app
from search.results.leaderboard import PAIR_COLUMNS, Leaderboard
from search.results.statistics import holm_pairs
from search.results.verdict import ONE_DRAW, Verdict

Finished = Callable[..., Path]
GOOD = [0.10, 0.11, 0.12, 0.10, 0.11]
NEAR = [0.12, 0.10, 0.11, 0.11, 0.12]
POOR = [0.30, 0.31, 0.33, 0.30, 0.32]


def test_a_winner_is_said_to_beat_everybody(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({"rnn": POOR, "gru": GOOD}))
    assert (verdict.leader, verdict.winner) == ("gru", "gru")
    (pair,) = verdict.pairs
    assert (pair.better, pair.worse, pair.seeds, pair.examples, pair.beats) == (
        *("gru", "rnn", 5, None),
        True,
    )
    assert pair.difference.mean == pytest.approx(np.mean(POOR) - np.mean(GOOD))
    assert pair.corrected_p_value == pytest.approx(pair.p_value)
    assert pair.probability == pytest.approx(1 - pair.p_value / 2)
    first, alone, beats, last = verdict.sentences
    assert first == "gru wins with a test log_loss of 0.108 ± 0.010 (95 % interval over 5 seeds)."
    assert alone.startswith("The losses of single test examples are not known")
    assert beats.startswith("gru beats rnn by 0.204 ± 0.007 (corrected p < 0.0001, truly better")
    assert last == ONE_DRAW


def test_differences_read_the_same_where_larger_is_better(finished_study: Finished) -> None:
    turned = {"rnn": [1 - value for value in POOR], "gru": [1 - value for value in GOOD]}
    lower = Verdict.of(finished_study({"rnn": POOR, "gru": GOOD}))
    higher = Verdict.of(finished_study(turned, name="turned", maximize=True))
    for one, other in zip(lower.pairs, higher.pairs, strict=True):
        assert (one.better, one.beats) == (other.better, other.beats)
        assert other.difference.mean == pytest.approx(one.difference.mean)
        assert other.difference.low == pytest.approx(one.difference.low)
        assert other.p_value == pytest.approx(one.p_value)


def test_ties_are_said_and_nobody_wins(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({"gru": GOOD, "lstm": NEAR, "rnn": POOR}))
    assert (verdict.leader, verdict.winner) == ("gru", None)
    apart = {(pair.better, pair.worse) for pair in verdict.pairs if pair.beats}
    assert apart == {("gru", "rnn"), ("lstm", "rnn")}
    raw = {(pair.better, pair.worse): pair.p_value for pair in verdict.pairs}
    corrected = {(pair.better, pair.worse): pair.corrected_p_value for pair in verdict.pairs}
    assert corrected == pytest.approx(holm_pairs(raw))
    text = " ".join(verdict.sentences)
    assert "gru leads with" in text
    assert "gru and lstm cannot be told apart: gru is ahead by 0.004 ± 0.0" in text
    assert "gru beats rnn" in text
    assert "Nor can" not in text


def test_ties_among_the_others_are_said_too(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({"tcn": GOOD, "gru": POOR, "rnn": POOR[::-1]}))
    assert verdict.winner == "tcn"
    assert "Nor can these be told apart: gru and rnn." in verdict.sentences


@pytest.mark.parametrize("seeds", [2, 4])
def test_under_five_seeds_nobody_beats_anybody(finished_study: Finished, seeds: int) -> None:
    verdict = Verdict.of(finished_study({"gru": GOOD[:seeds], "rnn": POOR[:seeds]}))
    (pair,) = verdict.pairs
    assert (pair.beats, pair.corrected_p_value, verdict.winner) == (False, None, None)
    text = " ".join(verdict.sentences)
    assert "Under 5 seeds no family is said to beat another." in text
    assert "gru is ahead of rnn by 0.2" in text
    assert "beats rnn" not in text


def test_a_single_seed_says_nothing_of_certainty(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({"gru": GOOD[:1], "rnn": POOR[:1]}))
    assert verdict.pairs == []
    assert "gru leads with a test log_loss of 0.1, on a single seed" in verdict.sentences[0]
    assert "Too few seeds in common with gru: rnn." in verdict.sentences


def test_one_family_alone_has_no_rival(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({"gru": GOOD}, untested={"rnn": 0.5}))
    assert (verdict.leader, verdict.winner, verdict.pairs) == ("gru", None, [])
    assert "Only gru has finalists, so there is nothing to compare it with." in verdict.sentences
    assert "Without finalists, and so not judged: rnn." in verdict.sentences


def test_without_finalists_nothing_is_sure(finished_study: Finished) -> None:
    verdict = Verdict.of(finished_study({}, untested={"rnn": 0.5, "gru": 0.25}))
    assert (verdict.leader, verdict.pairs) == (None, [])
    (sentence,) = verdict.sentences
    assert sentence.startswith("There are no finalists, so nothing is sure: gru leads with")
    nothing = Verdict.of(finished_study({}, name="empty"))
    assert nothing.sentences == ["There is nothing to judge yet: no trial has a validation value."]


def test_a_baseline_that_is_not_beaten_is_named(finished_study: Finished) -> None:
    values = {"valid": {"log_loss": 2.0}, "test": {"log_loss": 0.31}}
    baseline = {"event": "baseline", "name": "last value", **values}
    poorer = [value + 0.05 for value in POOR]
    study = finished_study({"gru": GOOD, "tcn": POOR, "rnn": poorer}, extra=[baseline])
    sentences = Verdict.of(study).sentences
    assert "Not better than the baseline (last value: 0.31): tcn, rnn." in sentences
    near = [value - 0.005 for value in POOR]
    unsure = finished_study({"gru": GOOD, "tcn": near}, name="unsure", extra=[baseline])
    assert any(
        sentence.startswith("Not surely better than the baseline") and sentence.endswith("tcn.")
        for sentence in Verdict.of(unsure).sentences
    )


def examples(mean: float, seed: int, *, size: int = 40, steady: float = 0.001) -> list[np.ndarray]:
    """Five seeds that agree with each other on examples that do not."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(mean, 1.0, size=size)
    return [hard + rng.normal(0, steady, size=size) for _ in range(5)]


def test_few_test_examples_widen_the_interval_and_the_doubt(finished_study: Finished) -> None:
    tests = {"gru": examples(0.0, 1), "rnn": examples(0.3, 2)}
    folder = finished_study(tests)
    known, alone = Verdict.of(folder), Verdict.of(finished_study(_means(tests), name="alone"))
    assert alone.winner is not None
    assert known.winner is None
    (pair,) = known.pairs
    assert pair.examples == 40
    assert "over seeds and 40 test examples" in known.sentences[0]
    row = Leaderboard(folder).by_family()[0]
    assert row["test_low_over_examples"] < row["test_low"] < row["test_mean"]
    assert row["test_high_over_examples"] > row["test_high"]
    assert "over examples" in Leaderboard(folder).text()
    assert "over examples" not in Leaderboard(folder.with_name("alone")).text()


def _means(tests: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
    return {name: [float(losses.mean()) for losses in runs] for name, runs in tests.items()}


def test_the_interval_over_examples_is_in_the_metrics_own_sign(finished_study: Finished) -> None:
    losses = [-np.asarray(run > 0, dtype=float) for run in examples(0.5, 3, steady=0.1)]
    row = Leaderboard(finished_study({"gru": losses}, maximize=True)).by_family()[0]
    assert 0 < row["test_low_over_examples"] < row["test_mean"] < row["test_high_over_examples"]
    middle = (row["test_low_over_examples"] + row["test_high_over_examples"]) / 2
    assert middle == pytest.approx(row["test_mean"], abs=1e-6)


@pytest.mark.parametrize("fault", ["gone", "torn", "of another metric", "of another shape"])
def test_losses_that_are_of_no_use_are_left_aside(finished_study: Finished, fault: str) -> None:
    tests = {"gru": examples(0.0, 1), "rnn": examples(0.3, 2)}
    folder = finished_study(tests)
    for file in folder.glob("checkpoints/*.test.npy"):
        if fault == "gone":
            file.unlink()
        elif fault == "torn":
            file.write_bytes(file.read_bytes()[:50])
        else:
            shape = (40,) if fault == "of another metric" else (4, 10)
            np.save(file, np.full(shape, 9.0))
    verdict = Verdict.of(folder)
    (pair,) = verdict.pairs
    assert pair.examples is None
    assert Leaderboard(folder).by_family()[0]["test_low_over_examples"] is None


def test_pairs_in_all_formats(finished_study: Finished) -> None:
    folder = finished_study({"gru": GOOD, "lstm": NEAR, "rnn": POOR})
    board = Leaderboard(folder)
    rows = board.by_pair()
    assert [(row["better"], row["worse"]) for row in rows] == [
        ("gru", "lstm"),
        ("gru", "rnn"),
        ("lstm", "rnn"),
    ]
    assert all(list(row) == list(PAIR_COLUMNS) for row in rows)
    assert json.loads(board.text("pair", "json")) == rows
    assert board.text("pair", "csv").splitlines()[0] == ",".join(PAIR_COLUMNS)
    text = board.text("pair")
    assert ONE_DRAW in " ".join(text.split())
    assert "P(better)" in text


def test_the_command_line_shows_it(finished_study: Finished) -> None:
    folder = finished_study({"gru": GOOD, "rnn": POOR})
    shown = CliRunner().invoke(app, ["leaderboard", str(folder)]).output
    assert "gru beats rnn by" in shown
    rows = CliRunner().invoke(app, ["leaderboard", str(folder), "--by", "pair", "--format", "json"])
    assert json.loads(rows.output)[0]["beats"] is True
