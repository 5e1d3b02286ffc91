"""More seeds for finalists whose ranking is still open."""

from collections import defaultdict
from collections.abc import Callable
from statistics import fmean

import numpy as np

from search.motion.confirm import confirmation_seeds
from search.motion.progress import TrialProgress
from search.motion.state import StudyState
from search.results.looks import looks
from search.results.statistics import Losses, open_families
from search.study import Study
from search.trial import Finalist

ExampleLosses = Callable[[int, float], np.ndarray | None]
"""What a run lost on each test example, by its number and mean loss; None if not known."""


def next_round(
    study: Study, state: StudyState, example_losses: ExampleLosses
) -> tuple[int, list[Finalist]]:
    """What is to be trained before the families are compared again; nothing if the race is over.

    Returns:
        How many looks will have been made by then, and the runs.
    """
    confirm = study.confirm
    assert confirm.racing is not None
    seeds = confirmation_seeds(study.seed, confirm.racing)
    planned = looks(seeds, first=confirm.seeds, most=confirm.racing)
    runs = _judged_runs(state)
    known: dict[str, Losses] = {
        family: {run.trial.seed: _loss(run, example_losses) for run in of_family}
        for family, of_family in runs.items()
    }
    trained = {(trial.trial.finalist_of, trial.trial.seed) for trial in state.trials}
    for made in range(state.looks, len(planned)):
        racing = open_families(known, planned[:made])
        entries = [(family, runs[family][0].trial.finalist_of) for family in racing]
        todo = [
            Finalist(family, trial, seed)
            for seed in planned[made].new
            for family, trial in entries
            if trial is not None and (trial, seed) not in trained
        ]
        if todo or not racing:
            return made + 1, todo
    return len(planned), []


def _judged_runs(state: StudyState) -> dict[str, list[TrialProgress]]:
    """By family, the tested runs of the finalist that the verdict will be about."""
    runs: dict[str, dict[int, list[TrialProgress]]] = defaultdict(lambda: defaultdict(list))
    for trial in state.trials:
        if trial.trial.finalist_of is not None and trial.test_loss is not None:
            runs[trial.trial.family][trial.trial.finalist_of].append(trial)
    return {
        family: min(of_family.values(), key=lambda each: fmean(run.best_loss for run in each))
        for family, of_family in runs.items()
    }


def _loss(run: TrialProgress, example_losses: ExampleLosses) -> float | np.ndarray:
    assert run.test_loss is not None
    examples = example_losses(run.trial.number, run.test_loss)
    return run.test_loss if examples is None else examples
