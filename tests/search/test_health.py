"""What trials say of their own training is shown where people look."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.results.health import health_notes
from search.results.leaderboard import Leaderboard
from search.results.summary import StudySummary
from search.terminal.status import status_text

VANISH = "gradients vanish over time: the beginning gets 1e-09 where their end gets 0.1"
EXPLODE = "gradients explode: 80% of them were clipped to 1, the largest norm was 300"


def report(trial: int, epoch: int, *notes: str) -> dict[str, Any]:
    place = {"event": "reported", "trial": trial, "attempt": 1, "epoch": epoch}
    return place | {"value": 0.5, "seconds": 1.0, "diagnostics": {"notes": list(notes)}}


def proposed(trial: int, family: str) -> dict[str, Any]:
    place = {"event": "proposed", "trial": trial, "attempt": 0, "epoch": 0, "family": family}
    return place | {"proposal": trial, "config": {}, "seed": 0, "finalist_of": None}


def ended(trial: int, state: str, cause: str) -> dict[str, Any]:
    place = {"event": "ended", "trial": trial, "attempt": 1, "epoch": 2}
    return place | {"state": state, "cause": cause}


EVENTS = [
    *(proposed(trial, "rnn") for trial in (2, 3, 4)),
    report(2, 1, VANISH),
    report(2, 2, VANISH, EXPLODE),
    report(3, 1, VANISH),
    report(3, 2),  # it is over
    report(4, 1, EXPLODE),
    ended(2, "complete", ""),
    ended(3, "complete", ""),
    ended(4, "failed", "diverged: the training loss became nan in epoch 2"),
]
RNN = "rnn, of 4 trials: diverged in 1, gradients explode in 2, gradients vanish over time in 1."


def test_status_and_leaderboard_show_what_trials_note(
    finished_study: Callable[..., Path],
) -> None:
    folder = finished_study({}, untested={"rnn": 1.0, "gru": 1.0}, extra=EVENTS)
    assert RNN in status_text([folder])
    assert RNN in Leaderboard(folder).text(width=200)
    by_trial = {row["trial"]: row["notes"] for row in Leaderboard(folder).by_trial()}
    assert by_trial == {0: None, 1: None, 2: f"{VANISH}; {EXPLODE}", 3: None, 4: EXPLODE}
    shown = Leaderboard(folder).text("trial", width=400)
    assert f"{VANISH}; {EXPLODE}" in shown


def test_a_healthy_study_says_nothing() -> None:
    assert health_notes(StudySummary("mine", families=["rnn"])) == []
