"""What is shown while a study runs, in a terminal and elsewhere."""

import io
from typing import Any

import pytest
from rich.console import Console

from search.results.summary import StudySummary
from search.study import Study
from search.terminal.progress import Progress, progress_block

STUDY = Study.from_mapping(
    {
        "name": "song",
        "benchmark": "adding",
        "families": ["gru", "tcn"],
        "budget": {"trials_per_family": 2, "epochs": 3},
        "confirm": {"seeds": 2},
    }
)


class Clock:
    """Time that goes on when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened() -> dict[str, Any]:
    return {"event": "opened", "families": ["gru", "tcn"], "metric": "mse", "maximize": False}


def trial_events(
    number: int, family: str, value: float, *, state: str = "complete", of: int | None = None
) -> list[dict[str, Any]]:
    """One trial from its proposal to its end, with ten seconds of training."""
    trial = {"trial": number, "attempt": 1, "epoch": 0}
    at = {**trial, "epoch": 3}
    config = {"model": {"name": family}}
    told = {"value": value, "seconds": 10.0, "parameters": 7}
    return [
        {**trial, "event": "proposed", "family": family, "config": config, "seed": 0}
        | {"finalist_of": of},
        {**trial, "event": "leased", "lease": number, "to_epoch": 3},
        {**at, "event": "reported", **told},
        {
            **at,
            "event": "ended",
            "state": state,
            "cause": "out of memory"[: 20 * (state == "failed")],
        },
    ]


def plain(clock: Clock) -> tuple[Progress, io.StringIO]:
    told = io.StringIO()
    return Progress(STUDY, Console(file=told, width=100), clock=clock), told


def test_a_line_now_and_then_where_there_is_no_terminal() -> None:
    clock = Clock()
    progress, told = plain(clock)
    with progress:
        progress.see(opened())
        for event in trial_events(0, "gru", 0.25):
            clock.now += 5.0
            progress.see(event)
        for event in trial_events(1, "tcn", 0.5, state="pruned"):
            clock.now += 0.1  # too soon for another line
            progress.see(event)
    lines = told.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "5 s  trial 1 of 4: starting"
    assert lines[-1].startswith("20 s  trial 1 of 4: 1 complete; best mse 0.25 (gru); about ")


def test_a_whole_day_prints_less_than_two_hundred_lines() -> None:
    clock = Clock()
    progress, told = plain(clock)
    for _ in range(24 * 360):
        clock.now += 10.0
        progress.see(opened())
    assert 50 < len(told.getvalue().splitlines()) < 200


def test_the_time_left_follows_what_trials_took() -> None:
    clock = Clock()
    progress, _ = plain(clock)
    progress.see(opened())
    assert progress.seconds_left() is None
    clock.now += 10.0
    for number, family in enumerate(("gru", "tcn")):
        for event in trial_events(number, family, 0.5, state=("complete", "pruned")[number]):
            progress.see(event)
    # two at once and 10 s for 3 epochs: of each family the search has 4 epochs (two trials of one,
    # the better goes on to 3), of which one is left, and the 4 finalists have 12
    assert progress.seconds_left() == pytest.approx((2 + 12) * 10 / 3 / 2)


def test_a_limit_of_seconds_limits_the_time_left() -> None:
    study = Study.from_mapping(
        {**STUDY.model_dump(), "budget": {"seconds": 12.0}, "confirm": {"top_per_family": 0}}
    )
    clock = Clock()
    progress = Progress(study, Console(file=io.StringIO()), clock=clock)
    progress.see(opened())
    clock.now += 10.0
    for event in trial_events(0, "gru", 0.5):
        progress.see(event)
    assert progress.seconds_left() == pytest.approx(2.0)


def test_what_was_before_a_resumption_is_shown_but_not_timed() -> None:
    clock = Clock()
    earlier = [opened(), *trial_events(0, "gru", 0.25), *trial_events(1, "tcn", 0.125)]
    progress = Progress(STUDY, Console(file=io.StringIO()), earlier=earlier, clock=clock)
    assert progress.seconds_left() is None
    clock.now += 5.0
    assert progress.line() == "5 s  trial 2 of 4: 2 complete; best mse 0.125 (tcn)"
    for event in trial_events(2, "gru", 0.0625, of=0):
        progress.see(event)
    assert progress.line().startswith("5 s  finalist 1 of 4: 3 complete; best mse 0.125 (tcn)")


def test_a_terminal_gets_a_table_that_is_gone_afterwards() -> None:
    told = io.StringIO()
    console = Console(file=told, width=120, force_terminal=True, color_system=None)
    with Progress(STUDY, console, clock=Clock()) as progress:
        progress.see(opened())
        for event in trial_events(0, "gru", 0.25, state="failed"):
            progress.see(event)
        progress._live.refresh()
    shown = told.getvalue()
    assert "song: trial 1 of 4" in shown
    assert "best mse" in shown
    assert "The last failure: out of memory" in shown
    assert shown.count("song: trial") < 10
    assert "\x1b[1A" in shown  # the cursor goes up, over the table


def test_fates_are_counted_family_by_family() -> None:
    summary = StudySummary("song")
    summary.add(opened())
    trials = [("gru", "complete", None), ("gru", "pruned", None), ("tcn", "failed", None)]
    for number, (family, state, of) in enumerate([*trials, ("gru", "complete", 0)]):
        for event in trial_events(number, family, 0.5 - number / 8, state=state, of=of):
            summary.add(event)
    block = progress_block(summary, "title")
    assert block.headings == [
        "family",
        "best mse",
        "training",
        "running",
        "complete",
        "pruned",
        "failed",
        "paused",
        "epoch",
    ]
    assert block.cells == [
        ["gru", "0.375", "30 s", "0", "1", "1", "0", "0", "3"],
        ["tcn", "0.25", "10 s", "0", "0", "0", "1", "0", "3"],
    ]


def test_fates_without_a_column_are_told_below() -> None:
    summary = StudySummary("song")
    events = [opened(), *trial_events(0, "gru", 0.5, state="infeasible")]
    for event in [*events, *trial_events(1, "tcn", 0.5, state="stopped")]:
        summary.add(event)
    assert "Besides these trials: 1 infeasible, 1 stopped." in progress_block(summary, "").notes


def test_an_extended_study_is_shown_as_it_is_now() -> None:
    progress, _ = plain(Clock())
    budget = {"trials_per_family": 5, "epochs": 3}
    more = {"budget": budget, "families": ["gru", "tcn", "rnn"], "confirm": {"seeds": 2}}
    progress.see(opened() | more)
    assert "trial 0 of 15" in progress.line()
