"""Whether a study that went through faults is what it would have been without them.

Everything is read from its log: the exact budget, every trial at its end and for a true cause,
epochs told once in each attempt, attempts that go on where the last checkpoint was.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.motion.intake import MOST_LOSSES
from search.store.log import read_events, whole_lines

Event = Mapping[str, Any]
ENDS = {"complete", "pruned", "failed"}


class Budget:
    """What a study was given.

    Args:
        trials: Of the search, over all families.
        finalists: Runs that confirm.
        epochs: Of a trial that trains to its end.
    """

    def __init__(self, trials: int, finalists: int, epochs: int) -> None:
        self.trials = trials
        self.finalists = finalists
        self.epochs = epochs


def problems_of(
    directory: Path, budget: Budget, causes: Mapping[int, str] | None = None
) -> list[str]:
    """What is wrong with a study that has ended, in words; nothing if nothing is.

    Args:
        causes: By number of the trial, what its failure must say, where it was made to fail.
    """
    told = list(read_events(directory))
    written = len(whole_lines(directory))
    if len(told) != written:
        return [f"{written - len(told)} lines of the log tell an event a second time"]
    trials: dict[int, list[Event]] = defaultdict(list)
    for event in told:
        if "trial" in event:
            trials[event["trial"]].append(event)
    found = list(_of_budget(told, budget))
    for number, events in sorted(trials.items()):
        cause = (causes or {}).get(number)
        found += [f"trial {number} {words}" for words in _of_trial(events, budget, cause)]
    return found


def _of_budget(told: Sequence[Event], budget: Budget) -> Iterator[str]:
    proposed = [event for event in told if event["event"] == "proposed"]
    searched = sum(event["finalist_of"] is None for event in proposed)
    if [event["trial"] for event in proposed] != list(range(len(proposed))):
        yield "trials are not numbered one after another"
    if searched != budget.trials:
        yield f"the search has {searched} trials, and its budget is {budget.trials}"
    if len(proposed) - searched != budget.finalists:
        yield f"{len(proposed) - searched} runs confirm, and there must be {budget.finalists}"
    if told[-1]["event"] != "closed":
        yield f"the log ends with {told[-1]['event']!r}"


def _of_trial(events: Sequence[Event], budget: Budget, cause: str | None) -> Iterator[str]:
    ends = [event for event in events if event["event"] == "ended"]
    if len(ends) != 1:
        yield f"ended {len(ends)} times"
        return
    state, epochs = ends[0]["state"], {e["epoch"] for e in events if e["event"] == "reported"}
    if state not in ENDS:
        yield f"ended as {state}"
    if epochs != set(range(1, len(epochs) + 1)):
        yield f"told of epochs {sorted(epochs)}"
    if state == "complete" and len(epochs) != budget.epochs:
        yield f"is complete after {len(epochs)} epochs"
    tests = sum(event["event"] == "tested" for event in events)
    if tests != (events[0]["finalist_of"] is not None and state == "complete"):
        yield f"was tested {tests} times"
    if state == "failed":
        yield from _of_failure(events, ends[0], cause)
    elif cause is not None:
        yield f"is {state}, and was made to fail with {cause!r}"
    yield from _of_attempts(events)


def _of_failure(events: Sequence[Event], end: Event, cause: str | None) -> Iterator[str]:
    """A failure must be what was done to the trial, or that it lost worker after worker."""
    lost = [event["epoch"] for event in events if event["event"] == "interrupted" and event["lost"]]
    gone = end["cause"].startswith(f"lost {MOST_LOSSES} workers: ")
    if gone and lost.count(end["epoch"]) == MOST_LOSSES - 1:
        return
    if cause is None or not end["cause"].startswith(cause):
        yield f"failed of {end['cause']!r}, and not of {cause!r}"


def _of_attempts(events: Sequence[Event]) -> Iterator[str]:
    """Attempts go on from the last checkpoint; `saved` is what it then held."""
    saved, attempt, last = 0, 0, 0
    for event in events:
        if event["event"] != "reported":
            continue
        epoch = event["epoch"]
        if event["attempt"] != attempt:
            if not saved < epoch <= last + 1:
                yield (
                    f"goes on with epoch {epoch} in attempt {event['attempt']}; "
                    f"told were {last} epochs, and saved {saved}"
                )
            attempt = event["attempt"]
        elif epoch != last + 1:
            yield f"tells epoch {epoch} after {last} in attempt {attempt}"
        saved, last = event.get("saved", 0), epoch
