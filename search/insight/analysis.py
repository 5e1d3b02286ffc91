"""Which settings mattered in a search, and how: importances and partial dependence, per family."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from sklearn.ensemble import RandomForestRegressor

from search.insight.effects import common_settings
from search.insight.observations import Evidence, Observation, evidence
from search.results.history import read_history
from search.samplers.optuna_records import distribution, quiet
from search.store.ranges import read_ranges
from spaces import Choice, Float, Parameter, Value

FEW_TRIALS = 10  # fewer say nothing about settings
TREES = 64  # Optuna's own number for fANOVA
GOOD_TRIALS = 5  # the fewest that PED-ANOVA should look upon as good, says Optuna
CURVE_POINTS = 11


@dataclass(frozen=True, slots=True)
class Importance:
    """How much one setting mattered; over all settings of a family each column adds up to 1.

    Attributes:
        ped_anova: For being among the best trials; settings of single branches included.
        fanova: The share of the variance that the setting explains alone; None for settings that
            not all trials have.
    """

    setting: str
    ped_anova: float
    fanova: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """Partial dependence: the loss to be expected at each value, the other settings as tried."""

    setting: str
    values: list[Value]
    losses: list[float]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a family's trials say about its settings.

    Attributes:
        epoch: Trials are compared by their best loss up to here.
        trials: How many reached it.
        importances: The most important first; none with fewer than ten trials.
        curves: In the same order, of the settings that all trials have.
    """

    family: str
    epoch: int
    trials: int
    importances: list[Importance]
    curves: list[Curve]


def analyse(directory: str | Path) -> list[Analysis]:
    """The analysis of each family of a study whose ranges are known and which has trials.

    Raises:
        FileNotFoundError: There is no study.
        ValueError: Its log has a format that this version does not read.
    """
    folder = Path(directory)
    known = evidence(read_history(folder), read_ranges(folder))
    return [analyse_family(each) for each in known.values()]


def analyse_family(known: Evidence) -> Analysis:
    """Importances and curves of one family.

    Reference:
        Hutter et al., "An efficient approach for assessing hyperparameter importance", ICML 2014
        (fANOVA). Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in
        arbitrary subspaces", IJCAI 2023. Friedman, "Greedy function approximation: a gradient
        boosting machine", Annals of Statistics 29, 2001, section 8.2 (partial dependence).
    """
    trials = known.observations
    if len(trials) < FEW_TRIALS or len({trial.loss for trial in trials}) < 2:
        return Analysis(known.family, known.epoch, len(trials), [], [])
    common = common_settings(trials)
    good = min(max(GOOD_TRIALS / len(trials), 0.1), 0.5)
    importances = _importances(trials, None, PedAnovaImportanceEvaluator(target_quantile=good))
    shares = _importances(trials, common, FanovaImportanceEvaluator(n_trees=TREES, seed=0))
    found = [Importance(name, value, shares.get(name)) for name, value in importances.items()]
    found.sort(key=lambda each: (each.fanova or 0.0, each.ped_anova), reverse=True)
    curves = _curves(trials, [each.setting for each in found if each.setting in shares])
    return Analysis(known.family, known.epoch, len(trials), found, curves)


def _importances(
    trials: Sequence[Observation], names: list[str] | None, evaluator: BaseImportanceEvaluator
) -> dict[str, float]:
    """By setting, of those in `names` or of all; one that has two ranges has two names."""
    twice = _ranged_twice(trials)
    records = [_record(trial, twice) for trial in trials]
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # a branch that hardly any trial took; nobody can mend that from here
        warnings.filterwarnings("ignore", message="Some regimes for parameter")
        study = optuna.create_study()
        study.add_trials(records)
        return get_param_importances(study, evaluator=evaluator, params=names)


def _record(trial: Observation, split: set[str]) -> optuna.trial.FrozenTrial:
    names = {
        path: f"{path} ({leaf.describe()})" if path in split else path
        for path, leaf in trial.ranges.items()
    }
    return optuna.trial.create_trial(
        params={names[path]: value for path, value in trial.settings.items()},
        distributions={names[path]: distribution(leaf) for path, leaf in trial.ranges.items()},
        value=trial.loss,
    )


def _ranged_twice(trials: Sequence[Observation]) -> set[str]:
    """Settings with one range in one branch and another in another."""
    first: dict[str, Parameter] = {}
    return {
        path
        for trial in trials
        for path, leaf in trial.ranges.items()
        if first.setdefault(path, leaf) != leaf
    }


def _curves(trials: Sequence[Observation], names: Sequence[str]) -> list[Curve]:
    """The mean over trials of what a forest expects, one setting put at each value in turn."""
    ranges = trials[0].ranges
    table = np.array([[_number(ranges[name], t.settings[name]) for name in names] for t in trials])
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
    forest.fit(table, [trial.loss for trial in trials])
    curves = []
    for column, name in enumerate(names):
        values, losses = _points(ranges[name]), []
        for value in values:
            changed = table.copy()
            changed[:, column] = _number(ranges[name], value)
            losses.append(float(forest.predict(changed).mean()))
        curves.append(Curve(name, values, losses))
    return curves


def _number(parameter: Parameter, value: Value) -> float:
    """Options as their places: trees may part them anyhow, in a few steps."""
    if isinstance(parameter, Choice):
        return float(parameter.options.index(value))
    assert not isinstance(value, str)
    return math.log(value) if parameter.log else float(value)


def _points(parameter: Parameter) -> list[Value]:
    """All options, or up to eleven numbers evenly over the range."""
    if isinstance(parameter, Choice):
        return list(parameter.options)
    low, high = float(parameter.low), float(parameter.high)
    space = np.geomspace if parameter.log else np.linspace
    values = [min(max(float(v), low), high) for v in space(low, high, CURVE_POINTS)]
    if isinstance(parameter, Float):
        return list(values)
    return sorted({round(value) for value in values})
