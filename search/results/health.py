"""What trials say of their own training, family by family."""

from collections import Counter
from collections.abc import Iterable

from search.results.summary import StudySummary, TrialSummary
from search.trial import State

DIVERGED = "diverged"


def health_notes(summary: StudySummary) -> list[str]:
    """For each family in which it happened: how many trials diverged, and what others noted."""
    notes = []
    for family in summary.families:
        trials = [trial for trial in summary.trials.values() if trial.family == family]
        kinds = Counter(kind for trial in trials for kind in set(_kinds(trial)))
        if kinds:
            told = ", ".join(f"{kind} in {count}" for kind, count in sorted(kinds.items()))
            notes.append(f"{family}, of {_counted(len(trials))}: {told}.")
    return notes


def _kinds(trial: TrialSummary) -> Iterable[str]:
    """What is the matter, without this trial's numbers."""
    if trial.state == State.failed and (trial.cause or "").startswith(DIVERGED):
        yield DIVERGED
    yield from (note.partition(":")[0] for note in trial.notes)


def _counted(trials: int) -> str:
    return f"{trials} trial{'' if trials == 1 else 's'}"
