"""The earlier study that a warm start learns from: what fits today's, and what does not."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cluster.bucket import url_of
from search.motion.events import Event
from search.motion.warm_start import Past
from search.problem import Problem
from search.results.history import History, read_history
from search.results.summary import TrialSummary
from search.store.copies import fetched, shown
from search.store.store import read_study
from search.study import Study
from search.trial import USELESS
from spaces import Config, contains, default

SECTIONS = ("model", "head", "training")


def earlier_trials(
    study: Study, problem: Problem, log: Iterable[Event] = ()
) -> dict[str, list[Past]]:
    """By family, the trials that `search.warm_start` tells its sampler of.

    They are those from scratch that did not fail.

    Args:
        log: Of the study so far. Once it has begun with a warm start, the earlier study is not
            looked at again: the log has all that was told.

    Raises:
        FileNotFoundError: There is no earlier study.
        ValueError: It was about another benchmark or metric, or searched other settings; it has no
            trial that fits; or today's study has begun without it.
    """
    if study.search.warm_start is None:
        return {}
    kinds = {event["event"] for event in log}
    if "warm_started" in kinds:
        return {}
    if "proposed" in kinds:
        raise ValueError("`search.warm_start` must be set before a study begins, and it has trials")
    place = study.search.warm_start
    folder = fetched(place)[0] if url_of(place) else Path(place)
    history = read_history(folder)
    _check_question(folder, study, problem, history)
    found = {
        family: [
            _past(history, trial, study.budget.epochs)
            for trial in history.summary.trials.values()
            if trial.family == family and trial.finalist_of is None and trial.copied_from is None
            if trial.state not in USELESS and history.curves.get(trial.trial)
        ]
        for family in study.families
    }
    _check_fit(folder, problem, found)
    return found


def told_in_words(problem: Problem, earlier: Mapping[str, list[Past]]) -> list[str]:
    """A line for each family: how many trials it learns from, and how many are left out."""
    lines = []
    for family, past in earlier.items():
        inside = sum(_fits(problem, family, each.config) for each in past)
        left = len(past) - inside
        out = f"; {left} outside of today's ranges or limits are left out" if left else ""
        lines.append(f"{family} learns from {inside} earlier trials{out}")
    return lines


def _past(history: History, trial: TrialSummary, epochs: int) -> Past:
    curve = sorted(history.curves[trial.trial].items())
    losses = [(epoch, history.summary.loss(value)) for epoch, value in curve if epoch <= epochs]
    return Past(
        config=trial.settings,
        history=losses,
        complete=trial.epochs >= epochs,
        costs=trial.known_costs,
        train_seconds=trial.train_seconds,
    )


def _check_question(folder: Path, study: Study, problem: Problem, history: History) -> None:
    """Refuse values that mean something else."""
    before = read_study(folder)
    if (before.benchmark_name, before.benchmark_options) != (
        study.benchmark_name,
        study.benchmark_options,
    ):
        raise ValueError(
            f"`search.warm_start` must be a study on the same benchmark, {study.benchmark!r}, "
            f"got {shown(folder)} on {before.benchmark!r}"
        )
    metric = history.summary.metric
    if metric is not None and metric != problem.metric.name:
        raise ValueError(
            f"`search.warm_start` must be a study judged by {problem.metric.name}, "
            f"got {shown(folder)} judged by {metric}"
        )


def _check_fit(folder: Path, problem: Problem, found: Mapping[str, list[Past]]) -> None:
    """Refuse other settings, and a study of which nothing fits."""
    for family, past in found.items():
        today = _settings(default(problem.spaces[family]))
        for each in past:
            if _settings(each.config) != today:
                differing = ", ".join(sorted(_settings(each.config) ^ today))
                raise ValueError(
                    f"`search.warm_start` must have searched the same settings of {family}, "
                    f"got {shown(folder)}, which differs in {differing}"
                )
    fitting = any(
        _fits(problem, family, each.config) for family, past in found.items() for each in past
    )
    if not fitting:
        count = sum(map(len, found.values()))
        raise ValueError(
            f"`search.warm_start` must have trials in today's ranges and limits, got "
            f"{shown(folder)}, of which none of the {count} trials of these families is"
        )


def _fits(problem: Problem, family: str, config: Config) -> bool:
    sizing = problem.sizings.get(family)
    inside = contains(problem.spaces[family], config)
    return inside and (sizing is None or sizing.admits(config))


def _settings(config: Config) -> set[str]:
    """The names of the settings, as `model/hidden_size`; those inside branches left out."""
    return {f"{section}/{name}" for section in SECTIONS for name in config.get(section, {})}
