"""From a study's directory to an exported model: the winner, or a trial that one asks for."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.problem import Problem
from search.results.index import summarize
from search.results.standing import Standing, standings
from search.results.summary import StudySummary, TrialSummary
from search.runner.refitting import refit_path
from search.store.behaviour import write_behaviour
from search.store.copies import present
from search.store.log import read_events
from search.store.mirror import handed_on
from search.store.sources import stored_sources
from search.store.store import ENVIRONMENT, checkpoint_path, read_study
from search.study import Study
from search.terminal.extras import load_extra
from search.trial import State
from spaces import did_you_mean
from trainers.behaviour import behaviour
from trainers.data.batching import DeviceData
from trainers.export import export
from trainers.export.card import Numbers, OnnxModels, OverSeeds
from trainers.export.recipe import Recipe, Source
from trainers.model import SequenceModel, build_model
from trainers.training.evaluation import fitted_dataset
from trainers.training.loop import Training
from trainers.training.refit import joined, refit

BEST = "best"

Choose = Callable[[StudySummary], tuple[TrialSummary, OverSeeds | None]]


def export_model(
    directory: Path,
    folder: Path | None,
    *,
    family: str | None = None,
    trial: int | None = None,
    onnx: bool = False,
) -> str:
    """Export the winner, the best of a family or a trial; what is where, in a sentence.

    Args:
        folder: `best` in the study's folder if None.
        onnx: As ONNX, too.

    Raises:
        ValueError: Both are asked for, or there is no such trial, or none that is complete.
        OSError: A file cannot be read or written.
    """
    if family is not None and trial is not None:
        raise ValueError("a model is exported by --family or by --trial, got both")
    choose = winner if family is None else best_of_family(family)
    target = folder or directory / BEST
    chosen = export_trial(
        directory, target, choose if trial is None else numbered(trial), onnx=onnx
    )
    return f"trial {chosen.trial} ({chosen.family}) is in {handed_on(directory, target)}"


def export_trial(
    directory: Path, folder: Path, choose: Choose, *, onnx: bool = False
) -> TrialSummary:
    """Export one trial of the study in `directory` to `folder`; returns the trial.

    Args:
        choose: Which one, with what its configuration reached over seeds; see `winner`,
            `best_of_family` and `numbered`.
        onnx: As ONNX, too.

    Raises:
        ValueError: There is no such trial, or none that is complete; or it cannot be said in ONNX.
        OSError: A file cannot be read or written; checkpoints of most trials are not kept.
    """
    return _export(directory, folder, choose, onnx=onnx).trial


def export_winner(directory: Path) -> TrialSummary:
    """Export the winner to `best`, and keep what it does over the time of an example.

    Raises:
        ValueError: No trial is complete.
        OSError: A file cannot be read or written.
    """
    done = _export(directory, directory / BEST, winner)
    valid = DeviceData(done.problem.dataset).valid
    with suppress(RuntimeError):  # a model of one's own through which no gradient flows
        write_behaviour(
            directory, done.trial.family, behaviour(done.model(), valid, done.problem.task)
        )
    return done.trial


@dataclass(frozen=True, slots=True)
class Exported:
    """A trial that was exported, and what it was made of."""

    trial: TrialSummary
    problem: Problem
    weights: Mapping[str, Any]

    def model(self) -> SequenceModel:
        """With the weights that were exported."""
        family = self.problem.families[self.trial.family]
        config = json.loads(self.trial.config)
        model = build_model(family, config, self.problem.task, seed=self.trial.seed)
        model.load_state_dict(self.weights)
        return model


def _export(directory: Path, folder: Path, choose: Choose, *, onnx: bool = False) -> Exported:
    study, summary = read_study(directory), summarize(directory)
    trial, over_seeds = choose(summary)
    problem = Problem.of(study, stored_sources(directory))
    checkpoint = present(checkpoint_path(directory, trial.trial))
    training = exported_from = _trained(trial, study, problem, checkpoint)
    refitted = trial.trial in summary.refitted
    if refitted:
        data = DeviceData(joined(problem.dataset))
        exported_from = refit(training, data, epochs=study.budget.epochs)
        exported_from.restore(present(refit_path(checkpoint)))
    exported = Exported(trial, problem, exported_from.best_weights())
    export(
        folder,
        recipe=replace(_recipe(trial, study, problem), refit=refitted),
        dataset=fitted_dataset(
            problem.families[trial.family],
            json.loads(trial.config),
            exported.weights,
            problem.dataset,
        ),
        weights=exported.weights,
        numbers=Numbers(
            metric=problem.metric,
            valid=training.best_value,
            valid_epoch=training.best_epoch,
            parameters=training.parameters,
            train_seconds=trial.train_seconds,
            test=_test_metrics(directory, trial.trial),
            test_over_seeds=over_seeds,
        ),
        environment=json.loads((directory / ENVIRONMENT).read_text("utf-8")),
        onnx=_onnx(exported) if onnx else None,
    )
    return exported


def winner(summary: StudySummary) -> tuple[TrialSummary, OverSeeds | None]:
    """The family that ranks first on the leaderboard, and of its runs the best on validation.

    Raises:
        ValueError: No trial is complete.
    """
    for standing in standings(summary):
        run = _best_run(summary, standing)
        if run is not None:
            return run, _over_seeds(standing)
    raise ValueError(f"study {summary.study!r} must have a complete trial to export, got none")


def best_of_family(family: str) -> Choose:
    """The best run of one family."""

    def choose(summary: StudySummary) -> tuple[TrialSummary, OverSeeds | None]:
        if family not in summary.families:
            hint = did_you_mean(family, set(summary.families))
            raise ValueError(f"study {summary.study!r} has no family {family!r}{hint}")
        standing = next(each for each in standings(summary) if each.family == family)
        run = _best_run(summary, standing)
        if run is None:
            raise ValueError(f"family {family!r} must have a complete trial to export, got none")
        return run, _over_seeds(standing)

    return choose


def numbered(number: int) -> Choose:
    """The trial of that number."""

    def choose(summary: StudySummary) -> tuple[TrialSummary, OverSeeds | None]:
        if number not in summary.trials:
            raise ValueError(f"study {summary.study!r} has no trial {number}")
        trial = summary.trials[number]
        if trial.state != State.complete:
            raise ValueError(f"trial {number} must be complete to be exported, it is {trial.state}")
        return trial, None

    return choose


def _best_run(summary: StudySummary, standing: Standing) -> TrialSummary | None:
    """The best complete one of the runs that the family is judged by: finalists, if it has any."""
    trials = [trial for trial in summary.trials.values() if trial.family == standing.family]
    chosen = standing.best and standing.best.trial
    finalists = [trial for trial in trials if trial.finalist_of == chosen]
    runs = [
        trial
        for trial in (finalists if standing.tests else trials)
        if trial.state == State.complete and trial.best is not None
    ]
    return min(runs, key=lambda trial: summary.loss(trial.best or 0.0), default=None)


def _over_seeds(standing: Standing) -> OverSeeds | None:
    test = standing.test
    return OverSeeds(test.mean, test.low, test.high, len(standing.tests)) if test else None


def _recipe(trial: TrialSummary, study: Study, problem: Problem) -> Recipe:
    text = problem.sources.get(trial.family)
    file = Path(trial.family.rpartition(":")[0]).name
    return Recipe(
        benchmark={"name": study.benchmark_name, **study.benchmark_options},
        config=json.loads(trial.config),
        seed=trial.seed,
        epochs=study.budget.epochs,
        patience=study.budget.patience,
        threads=study.resources.cpus_per_trial,
        metric=problem.metric.name,
        earlier=trial.phases,
        source=None if text is None else Source(file, text),
    )


def _trained(trial: TrialSummary, study: Study, problem: Problem, checkpoint: Path) -> Training:
    """The training as its last checkpoint has it."""
    training = Training(
        problem.families[trial.family],
        json.loads(trial.config),
        DeviceData(problem.dataset),
        seed=trial.seed,
        epochs=study.budget.epochs,
        metric=problem.metric.name,
        earlier=trial.phases,
    )
    training.restore(checkpoint)
    return training


def _onnx(exported: Exported) -> OnnxModels:
    """The best weights as ONNX, tried on inputs of the validation split."""
    module = load_extra("trainers.export.onnx_export", "onnx")
    valid = DeviceData(exported.problem.dataset).valid
    models: OnnxModels = module.to_onnx(exported.model(), valid)
    return models


def _test_metrics(directory: Path, number: int) -> dict[str, Any]:
    for event in read_events(directory):
        if event["event"] == "tested" and event["trial"] == number:
            return dict(event["test"])
    return {}
