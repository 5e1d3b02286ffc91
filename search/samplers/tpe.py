"""Tree-structured Parzen estimators, by Optuna."""

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.samplers.optuna_records import STATES, open_study, quiet, record, suggest
from search.samplers.results import best_and_even_sample
from search.samplers.sampler import Sampler
from search.trial import State
from spaces import Config, SearchSpace, build

BEST = 32  # results that TPE can look upon as good: it takes a tenth of those it sees
OTHERS = 72  # evenly over time; with 209, from which it takes 25, a suggestion takes twice as long
STARTUP = 5  # results before TPE stops drawing at random; 10 (Optuna's) did worse at 24 and 60


class TreeParzenSampler(Sampler):
    """Tree-structured Parzen estimators, with the settings of each branch modelled jointly.

    Trials that were pruned or are paused count at the epoch they reached; trials in flight count as
    bad ones, so that many at once do not crowd together; failed ones do not count. Of more than
    `BEST` + `OTHERS` results it looks at the best and at an even sample of the others.

    Reference:
        Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011; Watanabe, "Tree-
        structured Parzen estimator: understanding its algorithm components", arXiv 2304.11127.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        super().__init__(space, seed=seed, family=family)
        self._records: dict[int, FrozenTrial] = {}
        self._ranks: dict[int, tuple[bool, int, float, int]] = {}

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        if number not in self._records:
            self._records[number] = record(self.space, number, config)
        told = self._records[number]
        best, curve = float("inf"), {}
        for epoch, loss in history:
            curve[epoch] = best = min(best, loss)
        told.state = STATES[state]
        if state.final and not curve:
            told.state = TrialState.FAIL
        told.intermediate_values = {max(curve): best} if curve else {}  # all that TPE looks at
        told.value = best if told.state == TrialState.COMPLETE else None
        if told.state in (TrialState.COMPLETE, TrialState.PRUNED):
            # TPE's own order: complete ones by value, then pruned ones, those that went far first
            epoch = 0 if told.state == TrialState.COMPLETE else max(curve)
            self._ranks[number] = (bool(epoch), -epoch, best, number)
        else:
            self._ranks.pop(number, None)

    def _draw(self, rng: Random) -> Config:
        with quiet():
            shown = self._shown()
            trial = open_study(_ByBranch(shown, seed=rng.randrange(2**32)), shown).ask()
            return cast(Config, build(self.space, lambda path, leaf: suggest(trial, path, leaf)))

    def _shown(self) -> list[FrozenTrial]:
        """The records that Optuna gets to see, in the order of their numbers."""
        in_flight = [
            number for number, each in self._records.items() if each.state == TrialState.RUNNING
        ]
        # the latest alone would stand for the good region, and TPE would turn away from it
        finished = best_and_even_sample(self._ranks, best=BEST, others=OTHERS)
        return [self._records[number] for number in sorted([*in_flight[-OTHERS:], *finished])]


class _ByBranch(BaseSampler):
    """Optuna's sampler, asked for the settings of a branch once a configuration takes it.

    Settings that always occur together are drawn jointly, as Optuna does with `group`; but that
    draws for every branch of the space, and in a space of many branches most of it is in vain.
    """

    def __init__(self, shown: Sequence[FrozenTrial], seed: int) -> None:
        self._method = TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP)
        self._group_of = _groups(shown)
        self._drawn: dict[str, Any] = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if param_name not in self._drawn and param_name in self._group_of:
            group = self._group_of[param_name]
            self._drawn |= self._method.sample_relative(study, trial, group)
        if param_name in self._drawn:
            return self._drawn[param_name]
        return self._method.sample_independent(study, trial, param_name, param_distribution)


def _groups(shown: Sequence[FrozenTrial]) -> dict[str, dict[str, BaseDistribution]]:
    """By name, all settings with ranges that occur in just the same finished trials, sorted."""
    occurs: dict[str, list[int]] = defaultdict(list)
    ranges: dict[str, BaseDistribution] = {}
    for trial in shown:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            for name, distribution in trial.distributions.items():
                occurs[name].append(trial.number)
                ranges[name] = distribution
    groups: dict[tuple[int, ...], dict[str, BaseDistribution]] = defaultdict(dict)
    for name in sorted(occurs):
        if not ranges[name].single():
            groups[tuple(occurs[name])][name] = ranges[name]
    return {name: group for group in groups.values() for name in group}
