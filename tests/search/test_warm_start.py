"""Warm starts: what an earlier study found is known, costs nothing, and survives in the log."""

import shutil
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from search.cli import main
from search.earlier import earlier_trials, told_in_words
from search.motion.simulation import PowerLaw, Simulation
from search.motion.warm_start import Past
from search.problem import Problem
from search.samplers import SAMPLERS
from search.store.store import Store
from search.study import Study
from spaces import Config


def stand_in_study(seed: int = 0, sampler: str = "tpe", trials: int = 8) -> Study:
    return Study.from_mapping(
        {
            "name": "warm",
            "benchmark": "none",
            "families": ["a"],
            "seed": seed,
            "budget": {"trials_per_family": trials, "epochs": 9},
            "search": {"sampler": sampler},
            "confirm": {"top_per_family": 0},
        }
    )


def run(
    study: Study, past: list[Past] | None = None, log: list[dict[str, Any]] | None = None
) -> Simulation:
    earlier = {"a": past} if past else {}
    simulation = Simulation(study, {"a": PowerLaw(noise=0.05)}, earlier=earlier)
    if log is not None:
        simulation.resume(log)
    simulation.run()
    return simulation


def past_of(simulation: Simulation) -> list[Past]:
    return [
        Past(at.trial.config, at.history, at.epoch == 9) for at in simulation.conductor.state.trials
    ]


def best(simulation: Simulation) -> float:
    return min(at.best_loss for at in simulation.conductor.state.trials)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_was_learnt_is_no_trial_and_resumes_from_the_log_alone(sampler: str) -> None:
    past = past_of(run(stand_in_study(seed=1, trials=12)))
    study = stand_in_study(sampler=sampler)
    whole = run(study, past)
    state = whole.conductor.state
    assert len(state.trials) == 8
    assert state.ledger.accounts["a"].proposed == 8
    (event,) = [event for event in whole.log if event["event"] == "warm_started"]
    assert (len(event["told"]), event["outside"]) == (12, 0)
    known = [each.config for each in past]
    assert all(at.trial.config not in known for at in state.trials)
    for cut in (2, 30):
        resumed = run(study, past, whole.log[:cut])
        configs = [
            [at.trial.config for at in one.conductor.state.trials] for one in (whole, resumed)
        ]
        assert configs[0] == configs[1]
        assert [event["event"] for event in resumed.log].count("warm_started") == 1


def test_a_warm_start_is_a_better_start() -> None:
    def gain(seed: int) -> float:
        past = past_of(run(stand_in_study(seed=100 + seed, trials=40)))
        return best(run(stand_in_study(seed))) - best(run(stand_in_study(seed), past))

    assert median(gain(seed) for seed in range(7)) > 0


def test_trials_outside_todays_space_are_left_out_and_counted() -> None:
    past = past_of(run(stand_in_study(seed=1)))
    wide = past[0].config | {"model": {"size": 5.0, "depth": 0.5}}
    whole = run(stand_in_study(), [*past, Past(wide, [(1, 0.1)], complete=False)])
    (event,) = [event for event in whole.log if event["event"] == "warm_started"]
    assert (len(event["told"]), event["outside"]) == (8, 1)


TABLES: dict[str, Any] = {
    "name": "today",
    "benchmark": "digits_rows",
    "families": ["gru"],
    "budget": {"trials_per_family": 2, "epochs": 4},
}


def earlier_study(folder: Path, configs: list[Config], metric: str = "accuracy") -> Path:
    """A study with these configurations, trained 2 or 6 epochs in turn; the last one failed."""
    study = Study.from_mapping({**TABLES, "name": "earlier"})
    with Store.create(folder / "earlier", study) as store:
        store.append({"event": "opened", "metric": metric, "maximize": True, "families": ["gru"]})
        for number, config in enumerate(configs):
            place = {"trial": number, "attempt": 1}
            store.append(
                {"event": "proposed", **place, "epoch": 0, "family": "gru", "proposal": number}
                | {"config": config, "seed": 0, "finalist_of": None}
            )
            for epoch in range(1, 3 + 4 * (number % 2)):
                store.append(
                    {"event": "reported", **place, "epoch": epoch, "seconds": 1.0}
                    | {"value": epoch / 10}
                )
            state = "failed" if number == len(configs) - 1 else "complete"
            store.append({"event": "ended", **place, "epoch": 2, "state": state, "cause": ""})
        store.append({"event": "closed"})
    return folder / "earlier"


def study_after(folder: Path, **tables: Any) -> tuple[Study, Problem]:
    search = {"warm_start": str(folder), **tables.pop("search", {})}
    study = Study.from_mapping({**TABLES, "search": search, **tables})
    return study, Problem.of(study)


@pytest.fixture
def configs() -> list[Config]:
    space = Problem.of(Study.from_mapping(TABLES)).spaces["gru"]
    sampler = SAMPLERS["random"](space, seed=3, family="gru")
    drawn = [sampler.propose(number) for number in range(1, 9)]
    return [config for config in drawn if config is not None]


def test_an_earlier_study_is_read_as_far_as_trials_train_today(
    tmp_path: Path, configs: list[Config]
) -> None:
    folder = earlier_study(tmp_path, configs)
    study, problem = study_after(folder)
    past = earlier_trials(study, problem)["gru"]
    assert [each.config for each in past] == configs[:-1]
    assert past[0].history == [(1, -0.1), (2, -0.2)]
    assert past[1].history == [(1, -0.1), (2, -0.2), (3, -0.3), (4, -0.4)]
    assert [each.complete for each in past[:2]] == [False, True]
    assert told_in_words(problem, {"gru": past}) == ["gru learns from 7 earlier trials"]


def test_narrower_ranges_and_limits_leave_trials_out(tmp_path: Path, configs: list[Config]) -> None:
    folder = earlier_study(tmp_path, configs)
    widths = sorted(config["model"]["hidden_size"] for config in configs[:-1])
    study, problem = study_after(folder, space={"gru": {"hidden_size": {"high": widths[3]}}})
    (line,) = told_in_words(problem, earlier_trials(study, problem))
    assert line.startswith("gru learns from 4 earlier trials; 3 outside of")
    study, problem = study_after(folder, search={"max_parameters": 40_000})
    past = earlier_trials(study, problem)["gru"]
    inside = [each for each in past if problem.parameters("gru", each.config) <= 40_000]
    (line,) = told_in_words(problem, {"gru": past})
    assert line.startswith(f"gru learns from {len(inside)} earlier trials; {7 - len(inside)} out")


def refusal(folder: Path, **tables: Any) -> str:
    study, problem = study_after(folder, **tables)
    with pytest.raises((ValueError, OSError)) as error:
        earlier_trials(study, problem)
    return str(error.value)


def test_another_question_is_refused(tmp_path: Path, configs: list[Config]) -> None:
    folder = earlier_study(tmp_path, configs)
    assert "same benchmark, 'digits_pixels'" in refusal(folder, benchmark="digits_pixels")
    assert "judged by log_loss, got" in refusal(folder, metric="log_loss")
    assert "none of the 0 trials of these families" in refusal(folder, families=["tcn"])
    assert "holds no study" in refusal(tmp_path / "nowhere")
    shutil.rmtree(folder)
    other = [{**config, "model": {**config["model"], "cells": 3}} for config in configs]
    words = refusal(earlier_study(tmp_path, other))
    assert "same settings of gru" in words
    assert "differs in model/cells" in words


def test_a_study_that_has_begun_cold_stays_cold(tmp_path: Path, configs: list[Config]) -> None:
    study, problem = study_after(earlier_study(tmp_path, configs))
    with pytest.raises(ValueError, match="must be set before a study begins"):
        earlier_trials(study, problem, [{"event": "opened"}, {"event": "proposed"}])
    assert earlier_trials(study, problem, [{"event": "warm_started"}, {"event": "proposed"}]) == {}


def test_validate_says_what_is_learnt(
    tmp_path: Path, configs: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = earlier_study(tmp_path, configs)
    file = tmp_path / "study.toml"
    file.write_text(study_after(folder)[0].to_toml())
    with pytest.raises(SystemExit) as end:
        main(["validate", str(file)])
    assert end.value.code == 0
    assert "gru learns from 7 earlier trials" in capsys.readouterr().out
