"""Which trials no other beats in all objectives at once."""

from collections import defaultdict
from dataclasses import dataclass

from search.domination import front
from search.results.cells import count, number
from search.results.summary import StudySummary, TrialSummary
from search.trial import State

MOST_NAMED = 8  # trials in a sentence

WHOLE, OWN = "study", "family"
"""On the front of the study, and so of its family; on that of its family alone."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete trial of the search with all that it is judged by.

    Args:
        values: In the order of `objectives`, as measured.
    """

    trial: TrialSummary
    values: tuple[float, ...]


def objectives(summary: StudySummary) -> list[str]:
    """The study's own; where it has one alone, that and the number of parameters."""
    return summary.objectives or [summary.metric or "value", "parameters"]


def fronts(summary: StudySummary) -> dict[int, str]:
    """By trial, on which front it is; trials on none are left out."""
    candidates = _candidates(summary)
    by_family: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_family[candidate.trial.family].append(candidate)
    found = {
        each.trial.trial: OWN for group in by_family.values() for each in _front(summary, group)
    }
    return found | {each.trial.trial: WHOLE for each in _front(summary, candidates)}


def study_front(summary: StudySummary) -> list[Candidate]:
    """The trials on the front of the whole study, the best by the metric first."""
    found = _front(summary, _candidates(summary))
    return sorted(found, key=lambda each: summary.loss(each.trial.best or 0.0))


def front_sentence(summary: StudySummary) -> str | None:
    """The front in words; None without several objectives, or before a trial is complete."""
    found = study_front(summary)
    if not summary.objectives or not found:
        return None
    named = [
        f"trial {each.trial.trial} ({each.trial.family}: "
        f"{', '.join(shown(value) for value in each.values)})"
        for each in found[:MOST_NAMED]
    ]
    more = len(found) - len(named)
    rest = f" and {more} more (leaderboard --by trial)" if more else ""
    return f"Not beaten in {' and '.join(summary.objectives)} at once: {', '.join(named)}{rest}."


def shown(value: float) -> str:
    """Whole numbers in full, others by their first digits."""
    return count(value) if isinstance(value, int) else number(value)


def _candidates(summary: StudySummary) -> list[Candidate]:
    found = []
    for trial in summary.trials.values():
        if trial.finalist_of is not None or trial.state != State.complete:
            continue
        known: dict[str, float | None] = {
            **trial.known_costs,
            summary.metric or "value": trial.best,
            "parameters": trial.parameters,
            "train_seconds": trial.train_seconds,
        }
        values = [known.get(name) for name in objectives(summary)]
        measured = tuple(value for value in values if value is not None)
        if len(measured) == len(values):
            found.append(Candidate(trial, measured))
    return found


def _front(summary: StudySummary, candidates: list[Candidate]) -> list[Candidate]:
    names = objectives(summary)
    points = [
        [
            summary.loss(value) if name == summary.metric else value
            for name, value in zip(names, candidate.values, strict=True)
        ]
        for candidate in candidates
    ]
    return [candidates[place] for place in sorted(front(points))]
