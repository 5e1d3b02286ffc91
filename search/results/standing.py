"""Where each family of a study stands: its finalist, its rank, its ties."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from search.results.statistics import Interval, Losses, example_interval, mean_interval, tie_groups
from search.results.summary import Baseline, StudySummary, TrialSummary
from search.trial import State


@dataclass(slots=True)
class Standing:
    """One family of a study, or its trivial predictor.

    Attributes:
        best: The search trial that the family is judged by: the one its finalist repeats, else
            the best on validation.
        valid: The best validation value, that of `best`.
        tests: By seed, the finalist's values on the test split.
        losses: By seed, likewise, its loss on the test split, or those of the single examples.
        over_examples: The mean of `tests` with its interval over seeds and test examples.
        trials: The family's search trials.
        train_seconds: Training of all its trials, finalists included.
        rank: From 1; None for the trivial predictor and for a family without any value.
        tie_group: Letters; None without a test.
        beats_baseline: None without a baseline or a value.
        costs: What a step of a stream costs, medians over the finalist's runs.
    """

    family: str
    best: TrialSummary | None = None
    valid: float | None = None
    tests: dict[int, float] = field(default_factory=dict)
    losses: Losses = field(default_factory=dict)
    over_examples: Interval | None = None
    trials: list[TrialSummary] = field(default_factory=list)
    train_seconds: float = 0.0
    rank: int | None = None
    tie_group: str | None = None
    beats_baseline: bool | None = None
    is_baseline: bool = False
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def test(self) -> Interval | None:
        """The mean on the test split, with its interval where there are several seeds."""
        return mean_interval(list(self.tests.values())) if self.tests else None

    @property
    def marked(self) -> str:
        """The family, with a dagger where it is not better than the trivial predictor."""
        return f"{self.family} †" if self.beats_baseline is False else self.family

    def count(self, state: State) -> int:
        """The search trials in a state."""
        return sum(trial.state == state for trial in self.trials)


def standings(summary: StudySummary) -> list[Standing]:
    """The families of a study, best first, the trivial predictor in its place among them.

    A family with finalists is ranked by their mean on the test split, the others follow by their
    best validation value.
    """
    families = _families(summary)
    losses = {each.family: each.losses for each in families if each.tests}
    ties = tie_groups(losses, summary.looks())
    for each in families:
        each.tie_group = ties.get(each.family)
    if summary.baseline is not None:
        _compare(summary, families, summary.baseline)
        families.append(_baseline(summary.baseline, tested=bool(losses)))
    families.sort(key=lambda each: _place(summary, each))
    ranked = (each for each in families if each.valid is not None and not each.is_baseline)
    for rank, each in enumerate(ranked, 1):
        each.rank = rank
    return families


def best_first(summary: StudySummary) -> list[TrialSummary]:
    """All trials by their best validation value, those without one last."""
    return sorted(summary.trials.values(), key=lambda trial: _losses(summary, [trial]))


def _families(summary: StudySummary) -> list[Standing]:
    by_family = defaultdict(list)
    for trial in summary.trials.values():
        by_family[trial.family].append(trial)
    names = dict.fromkeys([*summary.families, *by_family])
    return [_standing(summary, name, by_family[name]) for name in names]


def _standing(summary: StudySummary, family: str, trials: list[TrialSummary]) -> Standing:
    search = [trial for trial in trials if trial.finalist_of is None]
    runs: dict[int, list[TrialSummary]] = defaultdict(list)
    for trial in trials:
        if trial.finalist_of is not None and trial.test is not None:
            runs[trial.finalist_of].append(trial)
    best = min(search, key=lambda trial: _losses(summary, [trial]), default=None)
    chosen: list[TrialSummary] = []
    if runs:  # chosen by validation: the test split must not choose what it is to judge
        number = min(runs, key=lambda number: _losses(summary, runs[number]))
        best, chosen = summary.trials[number], runs[number]
    losses: Losses = {run.seed: _test_loss(summary, run) for run in chosen}
    return Standing(
        family=family,
        best=best if best is not None and best.best is not None else None,
        valid=best.best if best is not None else None,
        tests={run.seed: run.test for run in chosen if run.test is not None},
        losses=losses,
        over_examples=_over_examples(summary, losses),
        trials=search,
        train_seconds=sum(trial.train_seconds for trial in trials),
        costs=_costs(chosen or ([best] if best is not None else [])),
    )


def _costs(runs: Iterable[TrialSummary]) -> dict[str, float]:
    """Medians of what was measured of the runs."""
    known = [json.loads(run.costs) for run in runs]
    return {
        name: median(costs[name] for costs in known if name in costs)
        for name in {name for costs in known for name in costs}
    }


def _test_loss(summary: StudySummary, run: TrialSummary) -> float | np.ndarray:
    """A finalist's loss on the test split; the examples' own where they are kept."""
    assert run.test is not None
    loss = summary.loss(run.test)
    examples = summary.example_losses(run.trial, loss)
    return loss if examples is None else examples


def _over_examples(summary: StudySummary, losses: Losses) -> Interval | None:
    """In the metric's own sign."""
    found = example_interval(losses) if losses else None
    if found is None or found.low is None or found.high is None or not summary.maximize:
        return found
    return Interval(-found.mean, -found.high, -found.low)


def _losses(summary: StudySummary, trials: Iterable[TrialSummary]) -> float:
    """The mean of the trials' best validation losses, infinite for one without."""
    return fmean(math.inf if t.best is None else summary.loss(t.best) for t in trials)


def _compare(summary: StudySummary, families: list[Standing], baseline: Baseline) -> None:
    for each in families:
        ours, trivial = each.valid, baseline.valid
        if each.test is not None and baseline.test is not None:
            ours, trivial = each.test.mean, baseline.test
        if ours is not None and trivial is not None:
            each.beats_baseline = summary.loss(ours) < summary.loss(trivial)


def _baseline(baseline: Baseline, *, tested: bool) -> Standing:
    """A row for the trivial predictor; its test value is shown once families have theirs."""
    name = f"baseline ({baseline.name})" if baseline.name else "baseline"
    tests = {0: baseline.test} if tested and baseline.test is not None else {}
    return Standing(name, valid=baseline.valid, tests=tests, is_baseline=True)


def _place(summary: StudySummary, standing: Standing) -> tuple[int, float]:
    """What to sort by: first those with a test, then those with a validation value."""
    if standing.test is not None:
        return 0, summary.loss(standing.test.mean)
    if standing.valid is not None:
        return 1, summary.loss(standing.valid)
    return 2, 0.0
