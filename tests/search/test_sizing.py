"""Fair sizes: every proposal meets the limits on parameters before it is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.complaint import StudyError
from search.insight.observations import evidence
from search.motion.simulation import PowerLaw, Simulation
from search.motion.sizing import TOLERANCE, Sizing
from search.motion.width import Width
from search.problem import Problem, measures, narrowed_space, width_of
from search.results.history import read_history
from search.store.ranges import read_ranges, write_ranges
from search.study import SearchSettings, Study
from spaces import Choice, Config, Float, Int, SearchSpace, contains, default, flatten, sample
from trainers.data.dataset import Dataset
from trainers.model import build_model
from trainers.models import MODELS
from trainers.size import count_parameters
from trainers.training.weights import Weights

TARGETS = {"jsb_chorales": 300_000, "digits_pixels": 60_000}
DRAWS = 50


@pytest.fixture(scope="module", params=TARGETS)
def dataset(request: pytest.FixtureRequest, load_once: Callable[[str], Dataset]) -> Dataset:
    return load_once(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_counted_is_what_is_trained(name: str, dataset: Dataset) -> None:
    family, rng = MODELS[name], Random(name)
    space = narrowed_space(name, family, dataset, {})
    for _ in range(4):
        config = sample(space, rng)
        model = build_model(family, config, dataset.task, seed=1)
        assert count_parameters(family, config, dataset.task) == Weights(model).count


@pytest.mark.parametrize("name", MODELS)
def test_fifty_draws_of_every_family_match(name: str, dataset: Dataset) -> None:
    """They are of the wanted size, and few are drawn again.

    Where the width alone will not do, one or two other whole numbers of the model were changed.
    """
    target = TARGETS[dataset.name]
    limits = SearchSettings(match_parameters=target)
    family, rng = MODELS[name], Random(name)
    space = narrowed_space(name, family, dataset, {})
    made = Sizing(space, limits, measures(family, dataset), width_of(family))
    matched = drawn = 0
    while matched < DRAWS:
        drawn += 1
        config = sample(made.drawn, rng)
        fitted = made.fit(config)
        if fitted is None:
            continue
        matched += 1
        count = count_parameters(family, fitted, dataset.task)
        assert abs(count - target) <= TOLERANCE * target
        assert contains(made.space, fitted)
        assert contains(made.drawn, made.as_drawn(fitted))
        assert made.fit(config) == fitted
        before, after = flatten(made.space, config), flatten(made.space, fitted)
        changed = {path for path in after if after[path] != before[path]}
        others = changed - {f"model/{family.width}"}
        assert len(others) <= 2
        assert all(path.startswith("model/") and isinstance(after[path], int) for path in others)
        assert others or made.as_drawn(fitted) == config
    assert drawn <= 1.25 * DRAWS
    model = build_model(family, fitted, dataset.task, seed=0)
    assert abs(Weights(model).count - target) <= TOLERANCE * target


def toy(
    low: int = 1, high: int = 400, *, match: int | None = None, most: int | None = None
) -> Sizing:
    """Models with `depth` square layers and a map of a hundred inputs."""
    space = SearchSpace(
        {
            "model": SearchSpace({"depth": Int(1, 5), "width": Int(low, high)}),
            "head": SearchSpace({}),
        }
    )
    limits = SearchSettings(match_parameters=match, max_parameters=most)
    return Sizing(space, limits, {"parameters": toy_count}, Width("model/width", toy_step))


def toy_count(config: Config) -> int:
    depth, width = config["model"]["depth"], config["model"]["width"]
    return int(depth * width * width + 100 * width)


def toy_step(config: Config) -> int:
    return 3 if config["model"]["depth"] == 5 else 1


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(200, 900_000))
def test_the_width_is_the_nearest_there_is(depth: int, target: int) -> None:
    made = toy(match=target)
    config = {"model": {"depth": depth, "width": 200}, "head": {}}
    widths = [width for width in range(1, 401) if width % toy_step(config) == 0]
    counts = {width: toy_count({"model": {"depth": depth, "width": width}}) for width in widths}
    nearest = min(abs(count - target) for count in counts.values())
    fitted = made.fit(config)
    if nearest > TOLERANCE * target:
        assert fitted is None or abs(toy_count(fitted) - target) <= TOLERANCE * target
        assert fitted is None or fitted["model"]["depth"] != depth
    else:
        assert fitted is not None
        assert fitted["model"]["depth"] == depth
        assert abs(counts[fitted["model"]["width"]] - target) == nearest


def test_a_family_out_of_reach_is_refused_with_the_nearest_count() -> None:
    with pytest.raises(ValueError, match=r"reach of toy, got 1000000.*nearest has 835,905"):
        toy(match=1_000_000).check("toy")
    with pytest.raises(
        ValueError,
        match=r"toy must.*none of the 259.*`search.max_parameters = 90` \(.* over it is 101\)",
    ):
        toy(most=90).check("toy")
    toy(match=835_905).check("toy")
    toy(most=101).check("toy")


def test_both_limits_hold_at_once() -> None:
    made = toy(match=10_000, most=10_000)
    for seed in range(50):
        fitted = made.fit(sample(made.drawn, Random(seed)))
        assert fitted is None or 9_500 <= toy_count(fitted) <= 10_000


def test_a_width_that_is_no_number_is_refused() -> None:
    space = SearchSpace({"model": SearchSpace({"width": Choice(("wide", "narrow"))})})
    limits = SearchSettings(match_parameters=5)
    with pytest.raises(ValueError, match=r"must be a whole number, got wide \| narrow"):
        Sizing(space, limits, {"parameters": lambda config: 5}, Width("model/width"))
    with pytest.raises(ValueError, match="no setting 'size'"):
        Sizing(space, limits, {"parameters": lambda config: 5}, Width("model/size"))


class Sized(PowerLaw):
    """A stand-in of which some models are too large."""

    space = SearchSpace(
        {
            "model": SearchSpace({"size": Float(0, 1), "width": Int(1, 100), "depth": Int(1, 9)}),
            "training": SearchSpace({"learning_rate": Float(1e-4, 1.0, log=True)}),
        }
    )


def sized_study(sampler: str, **search: Any) -> Study:
    return Study.from_mapping(
        {
            "name": "sized",
            "benchmark": "none",
            "families": ["a"],
            "budget": {"trials_per_family": 30, "epochs": 9},
            "search": {"sampler": sampler, **search},
            "confirm": {"seeds": 2},
        }
    )


def squares(config: Config) -> int:
    return int(config["model"]["depth"] * config["model"]["width"] ** 2)


def simulate(study: Study, log: list[dict[str, Any]] | None = None) -> Simulation:
    made = Sizing(Sized.space, study.search, {"parameters": squares}, Width("model/width"))
    simulation = Simulation(study, {"a": Sized(noise=0.1)}, sizings={"a": made})
    if log is not None:
        simulation.resume(log)
    simulation.run()
    return simulation


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("limits", [{"match_parameters": 40_000}, {"max_parameters": 9_000}])
def test_a_study_trains_only_what_its_limits_admit(sampler: str, limits: dict[str, int]) -> None:
    simulation = simulate(sized_study(sampler, **limits))
    trials = [at.trial for at in simulation.conductor.state.trials]
    assert len(trials) == 30 + 2
    counts = [squares(trial.config) for trial in trials]
    if "match_parameters" in limits:
        assert all(abs(count - 40_000) <= TOLERANCE * 40_000 for count in counts)
    else:
        assert max(counts) <= 9_000
    begun = [event for event in simulation.log if event["event"] == "proposed"]
    redrawn = simulation.conductor.state.families["a"].redrawn
    assert redrawn == sum(event.get("redrawn", 0) for event in begun)
    assert redrawn > 0 or "match_parameters" in limits  # then the depth follows, too


@pytest.mark.parametrize("sampler", ["random", "tpe", "evolution"])
def test_no_configuration_is_trained_twice_where_several_draws_lead_to_it(sampler: str) -> None:
    study = sized_study(sampler, match_parameters=85_000)  # only nine layers are so large
    trials = [at.trial for at in simulate(study).conductor.state.trials if at.in_search]
    assert {trial.config["model"]["depth"] for trial in trials} == {9}
    assert len({str(trial.config) for trial in trials}) == len(trials) == 30


def test_a_model_takes_the_nearest_neighbour_that_fits() -> None:
    """Three layers of 100 and less are too small, so that there is a fourth, and not a fifth."""
    made = toy(high=100, match=45_000)
    fitted = made.fit({"model": {"depth": 3, "width": 50}, "head": {}})
    assert fitted is not None
    assert fitted["model"]["depth"] == 4


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("cut", [40, 111])
def test_a_resumed_study_draws_the_same_again(sampler: str, cut: int) -> None:
    study = sized_study(sampler, match_parameters=40_000)
    whole = simulate(study)
    resumed = simulate(study, whole.log[:cut])
    configs = [[at.trial.config for at in one.conductor.state.trials] for one in (whole, resumed)]
    assert configs[0] == configs[1]


def test_a_matched_width_is_nothing_that_a_sampler_sees() -> None:
    family = simulate(sized_study("tpe", match_parameters=40_000)).conductor.state.families["a"]
    assert family.sampler.outside == set()
    assert flatten(family.sampler.space, default(family.sampler.space))["model/width"] == 50
    assert isinstance(family.sampler.space.children["model"].children["width"], Choice)  # type: ignore[union-attr]


def test_trials_that_todays_limits_do_not_admit_are_neither_taught_nor_confirmed() -> None:
    free = simulate(sized_study("tpe", max_parameters=10**9))
    log = [event for event in free.log if event.get("finalist_of") is None]
    first = next(i for i, event in enumerate(log) if event["event"] == "searched")
    limited = simulate(sized_study("tpe", match_parameters=40_000), log[:first])
    state = limited.conductor.state
    outside = {
        number
        for number in range(30)
        if not state.families["a"].admits(state.trials[number].trial.config)
    }
    assert outside
    assert state.families["a"].sampler.outside == outside
    confirmed = {at.trial.finalist_of for at in state.trials if not at.in_search}
    assert not confirmed & outside


def test_a_space_that_the_limits_empty_says_so() -> None:
    study = sized_study("random", max_parameters=1)
    simulation = simulate(study)
    retired = [event for event in simulation.log if event["event"] == "retired"]
    assert "none of them met `search.max_parameters = 1`" in retired[0]["cause"]


def test_a_study_that_cannot_be_met_is_refused_before_it_starts() -> None:
    tables = {
        "name": "tiny",
        "benchmark": {"name": "adding", "length": 8, "train_examples": 64},
        "families": ["gru", "tcn"],
        "budget": {"trials_per_family": 1},
        "search": {"match_parameters": 300_000},
        "space": {"gru": {"hidden_size": {"high": 64}, "num_layers": 1}},
    }
    with pytest.raises(ValueError, match=r"match_parameters` must be within the reach of gru"):
        Problem.of(Study.from_mapping(tables))
    wrong = {"match_parameters": 300_000, "max_parameters": 200_000}
    with pytest.raises(StudyError, match="`search` must have a `max_parameters` no lower than"):
        Study.from_mapping(tables | {"search": wrong})


def test_what_is_said_of_settings_leaves_the_fitted_width_out(tmp_path: Path) -> None:
    """Its best value at an end, or its importance, would be that of the settings it follows."""
    simulation = simulate(sized_study("random", match_parameters=40_000))
    lines = [{"event": "study", "format": 1, "study": "sized"}]
    for event in simulation.log:
        known = {"metric": "value", "maximize": False} if event["event"] == "opened" else {}
        lines.append({**event, **known})
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sizing = simulation.conductor.state.families["a"].sizing
    assert sizing is not None
    write_ranges(tmp_path, {"a": sizing.space})
    found = evidence(read_history(tmp_path), read_ranges(tmp_path))["a"]
    assert found.outside == 0
    assert found.observations
    for each in found.observations:
        assert set(each.settings) == {"model/size", "model/depth", "training/learning_rate"}
