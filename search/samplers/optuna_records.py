"""Trials, leaves and suggestions as Optuna has them, for the samplers that ask it."""

import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from search.trial import State
from spaces import (
    Choice,
    Config,
    Float,
    Int,
    Parameter,
    SearchSpace,
    Value,
    flatten,
    parameters,
)

STATES = {
    State.running: TrialState.RUNNING,
    State.interrupted: TrialState.RUNNING,
    State.paused: TrialState.PRUNED,
    State.pruned: TrialState.PRUNED,
    State.stopped: TrialState.PRUNED,
    State.complete: TrialState.COMPLETE,
    State.failed: TrialState.FAIL,
    State.infeasible: TrialState.FAIL,
}


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


def open_study(method: BaseSampler, records: list[FrozenTrial]) -> Study:
    """A study that asks `method` in the light of `records`, and of nothing else."""
    return optuna.create_study(storage=_Records(records), sampler=method)


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


def record(space: SearchSpace, number: int, config: Config) -> FrozenTrial:
    """`config` as a trial of Optuna without a result; number 0 is the one asked for."""
    leaves = parameters(space, config)
    names = {path: leaf_name(path, leaf) for path, leaf in leaves.items()}
    values = flatten(space, config)
    return FrozenTrial(
        number=number + 1,
        trial_id=number + 1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={names[path]: values[path] for path in leaves},
        distributions={names[path]: distribution(leaf) for path, leaf in leaves.items()},
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


def leaf_name(path: str, leaf: Parameter) -> str:
    """Branches may use one path for different ranges; to Optuna these are different parameters."""
    return f"{path} {distribution(leaf)}"


def suggest(trial: Trial, path: str, leaf: Parameter) -> Value:
    """The value that Optuna suggests for a leaf."""
    name = leaf_name(path, leaf)
    match leaf:
        case Float():
            return trial.suggest_float(name, leaf.low, leaf.high, log=leaf.log)
        case Int():
            return trial.suggest_int(name, leaf.low, leaf.high, log=leaf.log)
        case Choice():
            return cast(Value, trial.suggest_categorical(name, leaf.options))
