"""Ask a running study, from any terminal that sees its folder, to end or to end one trial."""

import time
from collections.abc import Callable
from pathlib import Path

from search.results.index import summarize
from search.store.copies import refresh, shown
from search.store.lock import LOCK, living_writer
from search.store.requests import StopRequest, ask
from search.trial import State

LOOK_SECONDS = 0.2


def stop(directory: Path, trial: int | None, say: Callable[[str], object]) -> None:
    """Ask, and wait until it is done.

    Args:
        trial: Only this one; None stops the study.

    Raises:
        ValueError: The study does not run, or the trial has ended or was never begun.
        OSError: The folder cannot be read or written.
    """
    place = shown(directory)
    holder = living_writer(directory / LOCK)
    if holder is None:
        raise ValueError(f"{place} must be running to be stopped, and it is not")
    if trial is not None:
        _check_trial(directory, trial)
    request = ask(directory, StopRequest(trial))
    while living_writer(directory / LOCK) == holder and (trial is None or request.exists()):
        time.sleep(LOOK_SECONDS)
        refresh(directory)
    if trial is None:
        say(f"stopped, everything is saved; go on with: seqtune resume {place}")
    else:
        say(f"trial {trial} ends after the epoch that it trains now")


def _check_trial(directory: Path, number: int) -> None:
    trials = summarize(directory).trials
    if number not in trials:
        raise ValueError(f"{shown(directory)} has no trial {number}; it has begun {len(trials)}")
    state = State(trials[number].state)
    if state.final:
        raise ValueError(f"trial {number} must not have ended to be stopped, it is {state}")
