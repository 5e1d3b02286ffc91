"""Starting points: proposed first, alike for all families, and good where they were not learnt."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from search.insight.portfolio import SAME_TASK, Evaluations, portfolio
from search.motion.family import FamilySearch
from search.motion.mates import ArraySize
from search.motion.simulation import METRIC, PowerLaw, Simulation
from search.motion.sizing import Sizing
from search.motion.starting_points import ANY_TASK, offer, read_table, starting_points
from search.motion.warm_start import Past
from search.motion.width import Width
from search.problem import narrowed_space
from search.report.tables import trials_table
from search.results.display import trial_block
from search.results.leaderboard import VIEWS
from search.results.summary import StudySummary
from search.samplers import SAMPLERS
from search.study import Study
from spaces import Choice, Config, Float, SearchSpace, contains, default, narrow, project
from trainers.benchmarks import load_benchmark
from trainers.models import MODELS
from trainers.tasks import TASKS

EVALUATIONS = Path(__file__).parents[2] / "perf" / "starting_points.json"
POINTS = [
    {"model/size": 0.7, "model/depth": 0.3, "training/learning_rate": 0.004},
    {"model/size": 0.2, "model/depth": 7.0},
    {"model/size": 0.2, "model/depth": 1.0},
]
POINT_CONFIGS = [
    {"model": {"size": 0.7, "depth": 0.3}, "training": {"learning_rate": 0.004}},
    {"model": {"size": 0.2, "depth": 1.0}, "training": {"learning_rate": 0.01}},
]


def study(sampler: str = "tpe", **search: Any) -> Study:
    return Study.from_mapping(
        {
            "name": "starts",
            "benchmark": "none",
            "families": ["a", "b"],
            "budget": {"trials_per_family": 8, "epochs": 3},
            "search": {"sampler": sampler, "scheduler": "none", **search},
            "confirm": {"top_per_family": 0},
        }
    )


def run(
    asked: Study,
    *,
    log: list[dict[str, Any]] | None = None,
    space: SearchSpace = PowerLaw.space,
    **options: Any,
) -> Simulation:
    """A study of two families, of which `a` has starting points."""
    families = {name: PowerLaw() for name in asked.families}
    object.__setattr__(families["a"], "space", space)
    simulation = Simulation(asked, families, **options)
    simulation.conductor.state.families["a"].starts = POINTS
    if log is not None:
        simulation.resume(log)
    simulation.run()
    return simulation


def proposed(simulation: Simulation, family: str = "a") -> list[tuple[str, Config]]:
    return [
        (event["origin"], event["config"])
        for event in simulation.log
        if event["event"] == "proposed" and event["family"] == family
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_goes_on_from_the_points_and_resumes(sampler: str) -> None:
    objectives = {"objectives": ["value", "train_seconds"]} if sampler == "nsga2" else {}
    asked = study(sampler, **objectives)
    whole = run(asked)
    origins, configs = zip(*proposed(whole), strict=True)
    skipped = "sampler, as starting point 3 is known in this space"  # its depth is the nearest end
    assert origins == ("starting point 1", "starting point 2", skipped, *["sampler"] * 5)
    assert list(configs[:2]) == POINT_CONFIGS
    for cut in (2, 9, 20):
        assert proposed(run(asked, log=whole.log[:cut])) == proposed(whole)


def test_a_family_without_points_starts_from_its_default() -> None:
    origin, config = proposed(run(study()), "b")[0]
    assert (origin, config) == ("default", default(PowerLaw.space))


def test_points_are_brought_into_a_narrowed_space() -> None:
    narrowed = narrow(PowerLaw.space, {"model": {"size": 0.5, "depth": {"high": 0.2}}})
    found = proposed(run(study(), space=narrowed))
    assert found[0] == (
        "starting point 1",
        {"model": {"size": 0.5, "depth": 0.2}, "training": {"learning_rate": 0.004}},
    )
    assert all(contains(narrowed, config) for _, config in found)


def test_points_that_limits_do_not_admit_are_passed_over_in_words() -> None:
    model = {"size": Float(0, 1, kind="shape"), "depth": Float(0, 1, default=0.1)}
    sizing = Sizing(
        SearchSpace(PowerLaw.space.children | {"model": SearchSpace(model)}),
        study(max_parameters=50).search,
        {"parameters": lambda config: int(100 * config["model"]["size"])},
        Width("model/size"),
    )
    simulation = run(study(max_parameters=50), space=sizing.space, sizings={"a": sizing})
    origins = [origin for origin, _ in proposed(simulation)]
    assert origins[:2] == [
        "default, as starting point 1 does not meet the limits",
        "starting point 2",
    ]
    first = next(event for event in simulation.log if event["event"] == "proposed")
    assert first["redrawn"] == 1


def test_in_an_array_starting_points_keep_their_shape() -> None:
    space = SearchSpace(PowerLaw.space.children | {"head": SearchSpace({"width": Choice((8, 16))})})
    families = {name: PowerLaw() for name in ("a", "b")}
    for family in families.values():
        object.__setattr__(family, "space", space)
    simulation = Simulation(study("random"), families)
    simulation.conductor.array_sizes = dict.fromkeys(families, ArraySize(3, 1))
    starts = [
        {"head/width": width, "model/size": size}
        for width, size in ((8, 0.1), (16, 0.2), (16, 0.3))
    ]
    simulation.conductor.state.families["a"].starts = starts
    simulation.run()
    found = proposed(simulation)
    widths = [config["head"]["width"] for _, config in found]
    assert [origin for origin, _ in found][:3] == [f"starting point {n}" for n in (1, 2, 3)]
    assert widths[:3] == [8, 16, 16]
    together = {
        event["trial"]: event["array"] for event in simulation.log if event["event"] == "leased"
    }
    first, second, third = [
        event["trial"]
        for event in simulation.log
        if event["event"] == "proposed" and event["family"] == "a"
    ][:3]
    assert together[first] != together[second] == together[third]
    assert len(found) == 8


def test_what_an_earlier_study_found_comes_before_the_table() -> None:
    past = Past(default(PowerLaw.space), [(3, 0.5)], complete=True)
    simulation = run(study(), earlier={"a": [past]})
    assert {origin for origin, _ in proposed(simulation)} == {"sampler"}


def test_every_built_in_family_has_as_many_points_and_a_users_own_has_none() -> None:
    asked = study()
    spaces = dict.fromkeys((*MODELS, "mine.py:Mine"), PowerLaw.space)
    for task in [*TASKS, "another"]:
        families = {name: FamilySearch(name, space, asked) for name, space in spaces.items()}
        offer(families, task, asked.search.starting_points)
        counts = {name: len(family.starts) for name, family in families.items()}
        assert counts == dict.fromkeys(MODELS, 3) | {"mine.py:Mine": 0}
    offer(families, task, 0)
    assert not any(family.starts for family in families.values())


@pytest.mark.parametrize("benchmark", ["digits_rows", "adding", "digits_spelled"])
def test_points_of_the_table_fit_the_families_as_they_are(benchmark: str) -> None:
    """No value is out of range today, and none falls away but for what the task does not have."""
    dataset = load_benchmark(benchmark, {} if "digits" in benchmark else {"train_examples": 50})
    for name, family in MODELS.items():
        space = narrowed_space(name, family, dataset, {})
        made = [project(space, point) for point in starting_points(name, dataset.task.name)]
        assert len(made) == 5
        for config, point in zip(made, starting_points(name, dataset.task.name), strict=True):
            assert contains(space, config)
            for path in ("training/optimizer/learning_rate", "training/clip_norm"):
                place: Any = config
                for part in path.split("/"):
                    place = place[part]
                assert place == point.get(path, place)


def test_a_portfolio_covers_every_benchmark() -> None:
    """The second is best on the whole, then the third for what the second is bad at."""
    losses = np.array(
        [
            [0.9, 90.0, 900.0, np.inf],
            [0.2, 20.0, 200.0, 3.0],
            [0.8, 80.0, 800.0, 1.0],
            [0.1, 70.0, 700.0, 2.0],
        ]
    )
    assert portfolio(losses, [1, 1, 1, 1], 4) == [1, 2, 3, 0]
    assert portfolio(losses, [1, 1, 1, 9], 1) == [2]
    assert portfolio(losses, [1, 1, 1, 1], 9) == [1, 2, 3, 0]


def test_the_task_in_question_counts_more_and_the_benchmark_left_out_does_not() -> None:
    losses = np.array([[5.0, 5.0, 5.0], [1.0, 1.0, 9.0], [2.0, 2.0, 1.0], [3.0, 3.0, 2.0]])
    found = Evaluations(
        {"one": "x", "two": "x", "three": "y"}, {"a": [{"n": n} for n in range(4)]}, {"a": losses}
    )
    assert SAME_TASK > 2
    assert found.first("a", "x", 1) == [1]
    assert found.first("a", "y", 1) == [2]
    assert found.first("a", "x", 1, without="two") == [1]
    assert found.rank_left_out("a", "three") == 3
    assert found.rank_left_out("a", "two") == 1
    assert found.tasks() == ["x", "y"]
    assert found.table(1) == {
        "a": {"points": [{"n": 1}, {"n": 2}], "first": {ANY_TASK: [1], "x": [0], "y": [1]}}
    }


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    return Evaluations.from_json(json.loads(EVALUATIONS.read_text("utf-8")))


def test_the_table_is_what_was_learnt(evaluations: Evaluations) -> None:
    table = read_table()
    assert table["families"] == evaluations.table(5)
    assert table["made"] == json.loads(EVALUATIONS.read_text("utf-8"))["made"]
    assert {"command", "date", "versions", "draws", "benchmarks"} <= table["made"].keys()
    assert set(evaluations.points) == set(MODELS)


def test_the_first_point_is_in_the_top_quarter_on_a_benchmark_left_out(
    evaluations: Evaluations,
) -> None:
    """In the median over families, of 40 draws that are all but the default."""
    draws = len(next(iter(evaluations.points.values()))) - 1
    assert draws == 40
    for benchmark in evaluations.benchmarks:
        ranks = [evaluations.rank_left_out(family, benchmark) for family in evaluations.points]
        assert median(ranks) <= draws / 4, (benchmark, ranks)


def test_leaderboard_and_report_say_where_a_trial_came_from() -> None:
    summary = StudySummary("starts")
    for event in run(study()).log:
        summary.add(event | {"metric": METRIC, "maximize": False})
    rows = VIEWS["trial"].rows(summary)
    assert [row["origin"] for row in sorted(rows, key=lambda row: row["trial"])][:2] == [
        "starting point 1",
        "default",
    ]
    block = trial_block(summary)
    place = list(block.headings).index("origin")
    assert [cells[place] for cells in block.cells] == [row["origin"] for row in rows]
    table = trials_table(summary, {})
    place = [column.heading for column in table.columns].index("origin")
    assert [cells[place].text for cells in table.rows] == [row["origin"] for row in rows]
