"""Which settings mattered: stand-ins of which that is known, and the forms of a space."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from search.insight.analysis import FEW_TRIALS, Analysis, analyse, analyse_family
from search.insight.observations import Evidence, Observation, evidence
from search.motion.simulation import PowerLaw
from search.results.history import read_history
from spaces import Choice, Config, Float, Int, OneOf, SearchSpace, flatten, parameters, sample

SPACE = SearchSpace(
    {
        "width": Int(8, 512, log=True),
        "dropout": Float(0.0, 0.5),
        "cell": Choice(("a", "b", "c")),
        "optimizer": OneOf(
            {
                "sgd": SearchSpace({"rate": Float(1e-3, 1.0, log=True), "momentum": Float(0, 1)}),
                "adam": SearchSpace({"rate": Float(1e-5, 1e-2, log=True)}),
            }
        ),
    }
)


def tried(loss: Callable[[Config], float], count: int) -> Evidence:
    rng = random.Random(0)
    configs = [sample(SPACE, rng) for _ in range(count)]
    seen = [
        Observation(number, flatten(SPACE, config), parameters(SPACE, config), loss(config))
        for number, config in enumerate(configs)
    ]
    return Evidence("gru", 9, sorted(seen, key=lambda each: each.loss), outside=0)


def by_setting(found: Analysis) -> dict[str, float]:
    return {each.setting: each.ped_anova for each in found.importances}


def test_what_matters_is_found_and_its_curve_too() -> None:
    found = analyse_family(tried(lambda config: abs(math.log2(config["width"] / 64)), 60))
    first = found.importances[0]
    assert first.setting == "width"
    assert first.fanova is not None
    assert first.fanova > 0.8
    assert max(by_setting(found), key=by_setting(found).__getitem__) == "width"
    curve = found.curves[0]
    assert (curve.setting, curve.values[0], curve.values[-1]) == ("width", 8, 512)
    best = min(zip(curve.losses, curve.values, strict=True))[1]
    assert isinstance(best, int)
    assert 40 <= best <= 100
    assert curve.losses[0] > 2 < curve.losses[-1]
    flat = next(each for each in found.curves if each.setting == "dropout")
    assert max(flat.losses) - min(flat.losses) < 0.5


def test_options_and_branches_have_their_importance() -> None:
    def loss(config: Config) -> float:
        step = config["optimizer"]
        slow = abs(math.log10(step["rate"]) + 1) if step["name"] == "sgd" else 5.0
        return slow + 0.1 * "abc".index(config["cell"])

    found = analyse_family(tried(loss, 80))
    importance = by_setting(found)
    assert sum(importance.values()) == pytest.approx(1)
    assert "optimizer/rate (0.001 .. 1 (log))" in importance
    assert "optimizer/rate (1e-05 .. 0.01 (log))" in importance
    assert importance["optimizer/rate (0.001 .. 1 (log))"] > importance["dropout"]
    shares = {each.setting: each.fanova for each in found.importances if each.fanova is not None}
    assert set(shares) == {"width", "dropout", "cell", "optimizer/name"}
    assert max(shares, key=shares.__getitem__) == "optimizer/name"
    assert sum(shares.values()) == pytest.approx(1)
    curves = {each.setting: each for each in found.curves}
    assert curves["optimizer/name"].values == ["sgd", "adam"]
    assert curves["optimizer/name"].losses[0] < curves["optimizer/name"].losses[1]


def test_few_trials_or_equal_ones_say_nothing() -> None:
    few = analyse_family(tried(lambda config: config["dropout"], FEW_TRIALS - 1))
    assert (few.trials, few.importances, few.curves) == (FEW_TRIALS - 1, [], [])
    assert analyse_family(tried(lambda _: 1.0, 30)).importances == []


def test_an_analysis_repeats_itself() -> None:
    known = tried(lambda config: config["dropout"], 20)
    assert analyse_family(known) == analyse_family(known)


def test_trials_are_compared_at_the_epoch_that_half_of_them_reached(
    simulated_study: Callable[..., Path],
) -> None:
    asha = {"sampler": "random", "scheduler": "asha"}
    budget = {"trials_per_family": 27, "epochs": 27}
    folder = simulated_study({"gru": PowerLaw(rate=4.0)}, search=asha, budget=budget)
    (found,) = analyse(folder)
    assert (found.family, found.epoch, found.trials) == ("gru", 1, 27)
    assert {each.setting for each in found.importances} == {
        "model/size",
        "model/depth",
        "training/learning_rate",
    }
    full = simulated_study({"gru": PowerLaw(rate=4.0)}, name="full", budget=budget)
    assert analyse(full)[0].epoch == 27


def test_trials_outside_of_todays_ranges_are_counted_and_left_out(
    simulated_study: Callable[..., Path],
) -> None:
    folder = simulated_study({"gru": PowerLaw(rate=4.0)})
    narrow = SearchSpace(
        {
            **PowerLaw.space.children,
            "model": SearchSpace({"size": Float(0, 0.5), "depth": Float(0, 1)}),
        }
    )
    (found,) = evidence(read_history(folder), {"gru": narrow, "rnn": narrow}).values()
    assert found.outside + len(found.observations) == 24
    assert 0 < found.outside < 24
    assert all(float(each.settings["model/size"]) <= 0.5 for each in found.observations)
