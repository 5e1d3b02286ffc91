"""Plans: the scheduling of the study itself, at what its shapes take."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.machine import Machine
from search.cli import main
from search.plan import Plan
from search.results.index import summarize
from search.results.planned import against_plan, plan_path
from search.results.tables import to_terminal
from search.runner.packing import Gpu
from search.study import Study
from search.terminal.planning import _block, packed_here
from trainers.training.dry_run import Cost


def shapes(*epoch_seconds: float) -> tuple[Cost, ...]:
    return tuple(Cost(1000, seconds, 5000, 2000) for seconds in epoch_seconds)


def study(budget: dict[str, Any], **search: Any) -> Study:
    return Study.from_mapping(
        {
            "name": "planned",
            "benchmark": "none",
            "families": ["a", "b"],
            "budget": {"epochs": 9, **budget},
            "search": {"sampler": "random", "scheduler": "none", **search},
            "confirm": {"top_per_family": 1, "seeds": 3},
        }
    )


EVEN = {"a": shapes(1, 1, 1), "b": shapes(2, 2, 2)}


def plan_of(asked: Study, costs: dict[str, tuple[Cost, ...]], slots: int = 1) -> Plan:
    return Plan.from_shapes(asked, costs, slots=slots, device="cpu")


@pytest.mark.parametrize("trials", [4, 600])
def test_without_a_scheduler_the_sums_are_plain(trials: int) -> None:
    plan = plan_of(study({"trials_per_family": trials}), EVEN)
    a, b = plan.families["a"], plan.families["b"]
    assert (a.trials, b.trials) == (trials, trials)
    assert (a.search_seconds, b.search_seconds) == pytest.approx((9 * trials, 18 * trials))
    assert (a.confirm_seconds, b.confirm_seconds) == pytest.approx((27, 54))
    assert plan.wall_seconds == pytest.approx(plan.device_seconds)
    assert plan.kept_bytes == 2 * (3 + 3) * 2000
    assert plan.peak_bytes == 2 * max(trials, 6) * 2000


def test_slots_shorten_the_time_and_a_scheduler_the_spending() -> None:
    one, four = (plan_of(study({"trials_per_family": 27}), EVEN, slots) for slots in (1, 4))
    assert four.device_seconds == pytest.approx(one.device_seconds)
    assert four.wall_seconds < 0.35 * one.wall_seconds
    asha = plan_of(study({"trials_per_family": 27}, scheduler="asha"), EVEN)
    assert asha.device_seconds < 0.6 * one.device_seconds


@pytest.mark.parametrize("seconds", [100.0, 50_000.0])
def test_a_limit_of_seconds_is_spent(seconds: float) -> None:
    plan = plan_of(study({"device_seconds": seconds}), EVEN)
    searched = sum(family.search_seconds for family in plan.families.values())
    assert searched == pytest.approx(seconds, rel=0.3 if seconds < 1000 else 0.05)
    plan = plan_of(study({"seconds": seconds}), EVEN, slots=2)
    finalists = sum(family.confirm_seconds for family in plan.families.values())
    assert seconds <= plan.wall_seconds <= seconds + finalists + 20


def test_the_costs_of_shapes_are_mixed() -> None:
    costs = {"a": shapes(1, 2, 9), "b": shapes(1, 1, 1)}
    plan = plan_of(study({"trials_per_family": 400}), costs)
    mean = (1 + 2 + 2 + 9) / 4
    assert plan.families["a"].search_seconds == pytest.approx(400 * 9 * mean)


def test_a_plan_is_made_kept_and_held_against_what_was_spent(
    finished_study: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--benchmark", "digits_rows", "--families", "gru", "--trials-per-family", "1"]
    place = ["--name", "mine", "--out", str(tmp_path), "--set", "search.match_parameters=9000"]
    with pytest.raises(SystemExit) as end:
        main(["plan", *options, *place])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "mine: about" in printed
    assert "of training in all" in printed
    assert not (tmp_path / "mine").exists()
    planned = json.loads(plan_path(tmp_path / "mine").read_text())
    assert planned["families"]["gru"]["trials"] == 1
    assert all(
        8550 <= shape["parameters"] <= 9450 for shape in planned["families"]["gru"]["shapes"]
    )
    folder = finished_study({"gru": [0.5, 0.6]})
    (sentence,) = against_plan(folder, summarize(folder))
    assert sentence.startswith("Plan for gru: 1 of 1 trials, 3 s of ")
    with pytest.raises(SystemExit):
        main(["status", str(folder)])
    assert "Plan for gru" in capsys.readouterr().out


def test_a_study_without_a_plan_or_with_a_damaged_one_says_nothing(finished_study: Any) -> None:
    folder = finished_study({"gru": [0.5]})
    assert against_plan(folder, summarize(folder)) == []
    plan_path(folder).write_text('{"families": 3}')
    assert against_plan(folder, summarize(folder)) == []


def test_bad_input_is_refused_as_by_validate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", "--benchmark", "digits_rows", "--families", "gruu", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "there is no family 'gruu'; did you mean 'gru'?" in capsys.readouterr().err


def test_a_plan_shares_the_gpus_of_this_machine_as_a_run_would() -> None:
    costs = {name: (Cost(1000, 1.0, 2 * 10**9, 2000, busy=0.2),) * 3 for name in "ab"}
    gpu = Gpu("L4", 24 * 10**9, 10**9)
    packed = packed_here(study({"trials_per_family": 3}), costs, gpu, Machine(16.0, 2.0), 10**9)
    # 3 GB with the data, and CUDA's own; five keep a GPU busy all of the time
    assert (packed.per_gpu, packed.slots, packed.tensor_bytes) == (5, 10, 3_800_000_000)
    asked = study({"trials_per_family": 3})
    plan = Plan.from_shapes(asked, costs, slots=10, device="cuda", packing=packed.reason)
    assert "5 trials at a time on each L4 (24 GB)" in to_terminal([_block(asked, plan)])
