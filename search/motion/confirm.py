"""The finalists: which configurations are trained again, and on which seeds."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from search.motion.events import Event
from search.motion.progress import TrialProgress
from search.motion.randomness import key
from search.motion.state import StudyState
from search.study import Study
from search.trial import USELESS, Finalist, State, Trial


def confirmation_seeds(study_seed: int, count: int) -> list[int]:
    """Different seeds, none of them the search's own; a longer list begins with the shorter one."""
    seeds: list[int] = []
    draw = 0
    while len(seeds) < count:
        seed = key(study_seed, "confirmation", draw) % 2**31
        if seed != study_seed and seed not in seeds:
            seeds.append(seed)
        draw += 1
    return seeds


def best_trials(trials: Iterable[TrialProgress], count: int) -> list[TrialProgress]:
    """The best by their best validation value: of those that are complete, then of the longest.

    Trials that failed or that a person stopped are no candidates. One that is complete since it had
    ceased to improve counts as such while none that could have gone on was better by then.
    """
    candidates = [
        trial for trial in trials if trial.state not in (*USELESS, State.stopped) and trial.history
    ]
    unfinished = [trial.best_loss for trial in candidates if trial.state != State.complete]
    bar = min(unfinished, default=math.inf)
    return sorted(candidates, key=lambda trial: _merit(trial, bar))[:count]


def first_finalists(study: Study, state: StudyState) -> list[Finalist]:
    """Those to be trained once the search is over; trials outside today's limits are left out."""
    admitted = {
        name: [
            state.trials[number]
            for number in family.trials
            if family.admits(state.trials[number].trial.config)
        ]
        for name, family in state.families.items()
    }
    return finalists(
        admitted,
        top_per_family=study.confirm.top_per_family,
        seeds=confirmation_seeds(study.seed, study.confirm.seeds),
        confirmed={(trial.trial.finalist_of, trial.trial.seed) for trial in state.trials},
    )


FIXED: Final = {
    "proposed": (
        "budget.epochs",
        "search.scheduler",
        "search.first_rung_epochs",
        "search.reduction_factor",
        "search.perturbation_epochs",
    ),
    "tested": ("budget.patience",),
}
"""By kind of event, the settings that stay as they were from the first one on."""


def check_same_length(study: Study, log: Iterable[Event]) -> None:
    """Refuse to compare trials of one length with trials of another.

    Learning rates follow the epochs of a trial, and those that wait at a rung would be on no other
    ladder.

    Raises:
        ValueError: Some were begun to be trained, or to be compared, at other epochs; or some were
            tested that were trained with other patience.
    """
    opened: Event = {}
    for event in log:
        if event["event"] == "opened":
            opened = event
        for setting in FIXED.get(event["event"], ()):
            section, _, name = setting.partition(".")
            before, now = opened.get(section), getattr(getattr(study, section), name)
            if before is not None and before.get(name) != now:
                raise ValueError(
                    f"`{setting}` must stay {before.get(name) or 'unset'}, as it was for the "
                    f"trials that were {event['event']}, got {now or 'none'}; for another, begin "
                    f"a study of its own with `search.warm_start`"
                )


def finalists(
    trials_by_family: Mapping[str, Iterable[TrialProgress]],
    *,
    top_per_family: int,
    seeds: list[int],
    confirmed: Collection[tuple[int | None, int]],
) -> list[Finalist]:
    """What is still to be confirmed: the best of each family on the same seeds.

    The list goes seed by seed, so that early results compare all families.

    Args:
        confirmed: Pairs of search trial and seed that have been trained already.
    """
    best = {
        family: best_trials(trials, top_per_family) for family, trials in trials_by_family.items()
    }
    return [
        Finalist(family, trial.trial.number, seed)
        for place in range(top_per_family)
        for seed in seeds
        for family, trials in best.items()
        for trial in trials[place : place + 1]
        if (trial.trial.number, seed) not in confirmed
    ]


def confirming_run(state: StudyState, finalist: Finalist) -> Trial:
    """The trial that confirms a configuration on a seed, from scratch.

    Where the search trial was a copy, it goes through the settings that led to its weights.
    """
    chosen = state.trials[finalist.trial].trial
    return Trial(
        number=len(state.trials),
        family=finalist.family,
        config=chosen.config,
        seed=finalist.seed,
        finalist_of=finalist.trial,
        earlier=chosen.earlier,
    )


def _merit(trial: TrialProgress, bar: float) -> tuple[bool, int, float, int]:
    complete = trial.state == State.complete and (not trial.early or trial.best_loss <= bar)
    return not complete, 0 if complete else -trial.epoch, trial.best_loss, trial.trial.number
