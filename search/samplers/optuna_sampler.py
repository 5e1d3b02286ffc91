"""Samplers that ask Optuna."""

import warnings
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from heapq import nsmallest
from random import Random
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from search.samplers.sampler import Sampler
from search.trial import State
from spaces import (
    Choice,
    Config,
    Float,
    Int,
    Parameter,
    SearchSpace,
    Value,
    build,
    flatten,
    parameters,
)

BEST = 32  # results that TPE can look upon as good: it takes a tenth, and never more than 25
OTHERS = 209  # evenly over time; 241 in all are the fewest of which it takes as many as 25
STARTUP = 5  # results before TPE stops drawing at random; 10 (Optuna's) did worse at 24 and 60

STATES = {
    State.running: TrialState.RUNNING,
    State.interrupted: TrialState.RUNNING,
    State.paused: TrialState.PRUNED,
    State.pruned: TrialState.PRUNED,
    State.stopped: TrialState.PRUNED,
    State.complete: TrialState.COMPLETE,
    State.failed: TrialState.FAIL,
}


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
            self._records[number] = _record(self.space, number, config)
        record = self._records[number]
        best, curve = float("inf"), {}
        for epoch, loss in history:
            curve[epoch] = best = min(best, loss)
        record.state = STATES[state]
        if state.final and not curve:
            record.state = TrialState.FAIL
        record.intermediate_values = curve
        record.value = best if record.state == TrialState.COMPLETE else None
        if record.state in (TrialState.COMPLETE, TrialState.PRUNED):
            # TPE's own order: complete ones by value, then pruned ones, those that went far first
            epoch = 0 if record.state == TrialState.COMPLETE else max(curve)
            self._ranks[number] = (bool(epoch), -epoch, best, number)
        else:
            self._ranks.pop(number, None)

    def _draw(self, rng: Random) -> Config:
        with quiet():
            method = TPESampler(
                seed=rng.randrange(2**32), multivariate=True, group=True, n_startup_trials=STARTUP
            )
            trial = _ask(method, self._shown())
            return cast(Config, build(self.space, lambda path, leaf: _suggest(trial, path, leaf)))

    def _shown(self) -> list[FrozenTrial]:
        """The records that Optuna gets to see, in the order of their numbers."""
        in_flight = [
            number for number, record in self._records.items() if record.state == TrialState.RUNNING
        ]
        finished = sorted(self._ranks)
        if len(finished) > BEST + OTHERS:
            best = set(nsmallest(BEST, finished, key=self._ranks.__getitem__))
            others = [number for number in finished if number not in best]
            # the latest alone would stand for the good region, and TPE would turn away from it
            spread = [others[place * len(others) // OTHERS] for place in range(OTHERS)]
            finished = [*best, *spread]
        return [self._records[number] for number in sorted([*in_flight[-OTHERS:], *finished])]


class _Records(InMemoryStorage):
    """A storage that holds the trial being asked for and shows our own records as its history."""

    def __init__(self, records: list[FrozenTrial]) -> None:
        super().__init__()
        self._shown = records

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return [record for record in self._shown if states is None or record.state in states]


def _ask(method: BaseSampler, records: list[FrozenTrial]) -> Trial:
    """A trial whose suggestions `method` makes in the light of `records`, and of nothing else."""
    study = optuna.create_study(storage=_Records(records), sampler=method)
    return study.ask()


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces each study, and that `group` (of release 2.8) is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _record(space: SearchSpace, number: int, config: Config) -> FrozenTrial:
    """`config` as a trial of Optuna without a result; number 0 is the one asked for."""
    leaves = parameters(space, config)
    distributions = {path: distribution(leaf) for path, leaf in leaves.items()}
    values = flatten(space, config)
    return FrozenTrial(
        number=number + 1,
        trial_id=number + 1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={_name(path, distributions[path]): values[path] for path in leaves},
        distributions={_name(path, each): each for path, each in distributions.items()},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def distribution(leaf: Parameter) -> BaseDistribution:
    """What a leaf is to Optuna."""
    match leaf:
        case Float():
            return FloatDistribution(leaf.low, leaf.high, log=leaf.log)
        case Int():
            return IntDistribution(leaf.low, leaf.high, log=leaf.log)
        case Choice():
            return CategoricalDistribution(leaf.options)


def _name(path: str, values: BaseDistribution) -> str:
    """Branches may use one path for different ranges; to Optuna these are different parameters."""
    return f"{path} {values}"


def _suggest(trial: Trial, path: str, leaf: Parameter) -> Value:
    name = _name(path, distribution(leaf))
    match leaf:
        case Float():
            return trial.suggest_float(name, leaf.low, leaf.high, log=leaf.log)
        case Int():
            return trial.suggest_int(name, leaf.low, leaf.high, log=leaf.log)
        case Choice():
            return cast(Value, trial.suggest_categorical(name, leaf.options))
