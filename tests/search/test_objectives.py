"""Several objectives and limits: fronts, the sampler that looks for them, and what is refused."""

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.complaint import StudyError
from search.domination import crowding, dominates, front, layers
from search.motion.simulation import METRIC, PowerLaw, Simulation
from search.motion.sizing import Sizing
from search.motion.width import Width
from search.problem import Problem, check_objectives
from search.report.report import report_html
from search.results.leaderboard import Leaderboard
from search.samplers import SAMPLERS
from search.store.store import Store
from search.study import SearchSettings, Study
from search.trial import State
from spaces import Config, Float, Int, OneOf, SearchSpace, default, sample
from trainers.catalog import family_space
from trainers.data.dataset import Dataset
from trainers.model import build_model
from trainers.models import MODELS
from trainers.size import latency_ms, state_bytes

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=25)


@given(points)
def test_the_front_is_what_nothing_dominates(given_points: list[tuple[int, int, int]]) -> None:
    expected = {
        place
        for place, one in enumerate(given_points)
        if not any(dominates(other, one) for other in given_points)
    }
    assert front(given_points) == expected


@given(points)
def test_layers_are_fronts_of_what_is_left(given_points: list[tuple[int, int, int]]) -> None:
    found = layers(given_points)
    assert sorted(place for layer in found for place in layer) == list(range(len(given_points)))
    for earlier, later in pairwise(found):
        for place in later:
            assert any(dominates(given_points[other], given_points[place]) for other in earlier)


def test_crowding_is_that_of_the_paper() -> None:
    """Side lengths of the box between the neighbours, each over the objective's range."""
    distances = crowding([(0, 10), (1, 6), (3, 2), (10, 0)])
    assert distances == [math.inf, 3 / 10 + 8 / 10, 9 / 10 + 6 / 10, math.inf]
    assert crowding([]) == []
    assert crowding([(1, 1), (1, 1)]) == [math.inf, math.inf]


SPACE = SearchSpace(
    {
        "place": Float(0, 1),
        "how": OneOf(
            {
                "good": SearchSpace({f"x{index}": Float(0, 1) for index in range(5)}),
                "bad": SearchSpace({"x": Float(0, 1)}),
            }
        ),
    }
)


def two_losses(config: Config) -> tuple[float, float]:
    """ZDT1 with few variables, and a branch that is worse: the best are f2 = 1 - sqrt(f1)."""
    how = config["how"]
    rest = [how[name] for name in how if name != "name"] if how["name"] == "good" else [1.0]
    g = 1 + 9 * sum(rest) / len(rest)
    first = config["place"]
    return first, g * (1 - math.sqrt(first / g))


def hypervolume(found: list[tuple[float, float]], corner: tuple[float, float] = (1, 10)) -> float:
    """The area that two objectives leave below a corner."""
    area, ceiling = 0.0, corner[1]
    for first, second in sorted(found):
        if first < corner[0] and second < ceiling:
            area += (corner[0] - first) * (ceiling - second)
            ceiling = second
    return area


def searched(name: str, seed: int, count: int = 120) -> float:
    sampler = SAMPLERS[name](SPACE, seed=seed, family="a")
    found = []
    for number in range(count):
        config = sampler.propose(number)
        assert config is not None
        losses = two_losses(config)
        sampler.tell(number, config, [], State.running, [losses[1]])
        sampler.tell(number, config, [(1, losses[0])], State.complete, [losses[1]])
        found.append(losses)
    return hypervolume(found)


def test_nsga2_finds_a_better_front_than_chance() -> None:
    ours = median(searched("nsga2", seed) for seed in range(9))
    chance = median(searched("random", seed, 360) for seed in range(9))
    assert ours > chance


def objective_study(**tables: Any) -> Study:
    whole = {
        "name": "several",
        "benchmark": "none",
        "families": ["a", "b"],
        "budget": {"trials_per_family": 40, "epochs": 3},
        "search": {
            "sampler": "nsga2",
            "scheduler": "none",
            "objectives": [METRIC, "state_bytes", "train_seconds"],
        },
        "confirm": {"seeds": 2},
    }
    return Study.from_mapping(whole | tables)


class Sized(PowerLaw):
    """A stand-in with a width, which costs state."""

    space = SearchSpace(
        {
            "model": SearchSpace({"size": Float(0, 1), "depth": Float(0, 1), "width": Int(1, 99)}),
            "training": SearchSpace({"learning_rate": Float(1e-4, 1.0, log=True)}),
        }
    )


MEASURES = {
    "parameters": lambda config: config["model"]["width"] ** 2,
    "state_bytes": lambda config: 8 * config["model"]["width"],
}


def run(study: Study, log: list[dict[str, Any]] | None = None, record: Any = None) -> Simulation:
    sizing = Sizing(Sized.space, study.search, MEASURES, Width("model/width"), study.limits)
    families = {"a": Sized(noise=0.1), "b": Sized(floor=2.0)}
    simulation = Simulation(study, families, sizings=dict.fromkeys(families, sizing), record=record)
    if log is not None:
        simulation.resume(log)
    simulation.run()
    return simulation


def test_a_study_of_several_objectives_keeps_to_its_limits_and_resumes() -> None:
    study = objective_study(limits={"state_bytes": 400})
    whole = run(study)
    proposed = [event for event in whole.log if event["event"] == "proposed"]
    searched_trials = [event for event in proposed if event["finalist_of"] is None]
    assert len(searched_trials) == 80
    for event in searched_trials:
        assert event["costs"]["state_bytes"] == 8 * event["config"]["model"]["width"] <= 400
    assert sum(event.get("redrawn", 0) for event in proposed) > 0
    resumed = run(study, whole.log[:200])
    configs = [[at.trial.config for at in one.conductor.state.trials] for one in (whole, resumed)]
    assert configs[0] == configs[1]


def test_the_front_is_in_the_leaderboard_and_the_report(tmp_path: Any) -> None:
    study = objective_study()
    with Store.create(tmp_path / "several", study) as store:

        def record(event: dict[str, Any]) -> None:
            measured = {"metric": METRIC, "maximize": False}
            store.append(event | (measured if event["event"] == "opened" else {}))

        run(study, record=record)
        store.append({"event": "closed"})
    board = Leaderboard(tmp_path / "several")
    rows = [row for row in board.by_trial() if not row["finalist"]]
    keys = ("valid_best", "state_bytes", "train_seconds")
    values = {row["trial"]: [row[name] for name in keys] for row in rows}
    for family in ("a", "b"):
        own = [row for row in rows if row["family"] == family]
        for row in own:
            value = values[row["trial"]]
            beaten = any(dominates(values[each["trial"]], value) for each in own)
            assert (row["pareto"] is None) == beaten
            beaten_by_any = any(dominates(other, value) for other in values.values())
            assert (row["pareto"] == "study") == (not beaten_by_any)
    assert "Not beaten in value and state_bytes and train_seconds at once" in board.text()
    assert "Several objectives" in report_html(tmp_path / "several")


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"objectives": ["mse"]}, "at least two different `objectives`"),
        ({"objectives": ["mse", "mse"]}, "at least two different `objectives`"),
        ({"objectives": ["mse", "parameters"]}, '`scheduler = "none"`: others judge by'),
        (
            {"objectives": ["mse", "parameters"], "sampler": "tpe", "scheduler": "none"},
            '`sampler = "nsga2"`',
        ),
    ],
)
def test_what_several_objectives_need_is_said(search: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        objective_study(search=search)


def test_objectives_are_the_metric_and_costs() -> None:
    both = {"sampler": "nsga2", "scheduler": "none"}
    check_objectives(SearchSettings(objectives=("mse", "parameters"), **both), "mse")
    with pytest.raises(ValueError, match="no 'params'; did you mean 'parameters'"):
        check_objectives(SearchSettings(objectives=("mse", "params"), **both), "mse")
    with pytest.raises(ValueError, match="must hold the study's metric mse"):
        check_objectives(SearchSettings(objectives=("latency_ms", "parameters"), **both), "mse")


@pytest.mark.parametrize("name", MODELS)
def test_a_streams_state_and_step_are_measured(
    name: str, load_once: Callable[[str], Dataset]
) -> None:
    dataset = load_once("jsb_chorales")
    config = default(family_space(MODELS[name], dataset.task, len(dataset.train)))
    state = build_model(MODELS[name], config, dataset.task, seed=0).initial_state(1)
    real = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    assert state_bytes(MODELS[name], config, dataset.task) == real > 0
    assert 0 < latency_ms(MODELS[name], config, dataset.task) < 1000


def limited(benchmark: Any, space: dict[str, Any] | None = None, **limits: float) -> Problem:
    return Problem.of(
        Study.from_mapping(
            {
                "name": "limited",
                "benchmark": benchmark,
                "families": ["gru"],
                "budget": {"trials_per_family": 1},
                "limits": limits,
                "space": {"gru": space or {}},
            }
        )
    )


REBER = {"name": "embedded_reber", "train_examples": 64}


def test_limits_hold_before_anything_is_trained() -> None:
    problem = limited(REBER, state_bytes=500, latency_ms=1e6, peak_memory_bytes=10**9)
    sizing, space = problem.sizings["gru"], problem.spaces["gru"]
    fitted = [sizing.fit(sample(space, Random(seed))) for seed in range(12)]
    kept = [config for config in fitted if config is not None]
    assert 0 < len(kept) < 12
    for config in kept:
        costs = sizing.costs(config)
        assert set(costs) == {"parameters", "state_bytes", "latency_ms", "peak_memory_bytes"}
        assert costs["state_bytes"] <= 500


def test_limits_that_nobody_can_meet_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"none of the 259.*`limits.state_bytes = 10` \(the least that is over"
    ):
        limited(REBER, state_bytes=10)
    with pytest.raises(ValueError, match=r"`limits.latency_ms = 5` \(none of them streams"):
        limited("digits_rows", {"bidirectional": True}, latency_ms=5)
    with pytest.raises(StudyError, match="limits"):
        limited(REBER, latency=5)
