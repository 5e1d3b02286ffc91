"""Arrays of trials in a search: who trains with whom, and that the log knows only trials."""

import itertools
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search.motion.conductor import Conductor
from search.motion.events import Event
from search.motion.mates import ArraySize
from search.motion.simulation import PowerLaw, Simulation
from search.problem import Problem
from search.runner.arrays import ArraySizes
from search.runner.desk import Desk
from search.runner.message import Message
from search.runner.worker import Duty, Worker
from search.study import Study
from search.trial import Lease, Outcome, State, Trial
from spaces import Choice, Float, SearchSpace, default, shape
from trainers.training.array import TrainingArray

EPOCHS = 4


class Shaped(PowerLaw):
    """A family with a shape."""

    space = SearchSpace(
        {
            "model": SearchSpace({"size": Float(0, 1), "depth": Float(0, 1, default=0.1)}),
            "head": SearchSpace({"width": Choice((8, 16, 32))}),
            "training": SearchSpace({"learning_rate": Float(1e-4, 1.0, log=True)}),
        }
    )


def study_of(**changes: Any) -> Study:
    budget = {"trials_per_family": 20, "epochs": 9}
    tree: dict[str, Any] = {"name": "s", "benchmark": "b", "families": ["a"], "budget": budget}
    tree |= {"search": {"sampler": "random"}, "confirm": {"seeds": 3}} | changes
    return Study.from_mapping(tree)


def simulated(
    study: Study, size: int, slots: int = 1, log: list[Event] | None = None
) -> Simulation:
    simulation = Simulation(
        study,
        {name: Shaped(noise=0.1) for name in study.families},
        slots=slots,
    )
    simulation.conductor.array_sizes = {name: ArraySize(size, size) for name in study.families}
    if log is not None:
        simulation.resume(log)
    simulation.run()
    return simulation


def arrays_of(log: list[Event]) -> list[list[int]]:
    """The trials of each array."""
    found = defaultdict(list)
    for event in log:
        if event["event"] == "leased":
            found[event["array"]].append(event["trial"])
    return list(found.values())


@pytest.mark.parametrize("sampler", ["random", "tpe", "evolution", "cma_es"])
@pytest.mark.parametrize("scheduler", ["none", "asha", "hyperband"])
def test_an_array_is_of_one_shape_and_not_too_large(sampler: str, scheduler: str) -> None:
    study = study_of(families=["a", "b"], search={"sampler": sampler, "scheduler": scheduler})
    simulation = simulated(study, 4, slots=2)
    trials = simulation.conductor.state.trials
    arrays = arrays_of(simulation.log)
    assert max(map(len, arrays)) == 4
    for array in arrays:
        of = [trials[number].trial for number in array]
        assert len({trial.family for trial in of}) == 1
        assert len({json.dumps(shape(Shaped.space, trial.config)) for trial in of}) == 1
        assert len({trial.finalist_of for trial in of}) == 1
    searched = [at for at in trials if at.in_search]
    assert len(searched) == 40
    assert len({json.dumps((at.trial.family, at.trial.config)) for at in searched}) == 40
    assert len({at.trial.config["head"]["width"] for at in searched}) > 1
    assert all(at.state in (State.complete, State.pruned) for at in trials)


def test_the_seeds_of_a_finalist_are_an_array() -> None:
    simulation = simulated(study_of(families=["a", "b"]), 3)
    confirming = [at for at in simulation.conductor.state.trials if not at.in_search]
    assert len(confirming) == 6
    assert [len(array) for array in arrays_of(simulation.log)[-2:]] == [3, 3]


def test_without_arrays_the_log_does_not_know_of_them() -> None:
    plain = simulated(study_of(), 1)
    assert not any("array" in event for event in plain.log)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_log_that_is_cut_anywhere_goes_on(slots: int) -> None:
    whole = simulated(study_of(), 4, slots)
    for cut in range(0, len(whole.log), 7):
        again = simulated(study_of(), 4, slots, log=whole.log[:cut])
        trials = again.conductor.state.trials
        assert sum(at.in_search for at in trials) == 20
        assert sum(not at.in_search for at in trials) == 3
        assert all(at.state.final for at in trials)
        assert again.conductor.finished


# in workers


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.of(study_of_gru())


def study_of_gru(**changes: Any) -> Study:
    tree: dict[str, Any] = {
        "name": "tiny",
        "benchmark": {"name": "adding", "length": 6, "train_examples": 32},
        "families": ["gru"],
        "budget": {"trials_per_family": 6, "epochs": EPOCHS},
        "search": {"sampler": "random"},
        "confirm": {"seeds": 3},
        "space": {
            "gru": {"hidden_size": 16, "num_layers": 1, "batch_size": 16, "optimizer": "adamw"},
            "training": {"schedule": "cosine"},
        },
    }
    return Study.from_mapping(tree | changes)


def worker_of(problem: Problem, **changes: Any) -> Worker:
    description, arrays = problem.dataset.to_parts()
    duty = Duty(description, {}, problem.metric.name, EPOCHS, checkpoint_seconds=1e9)
    return Worker(replace(duty, **changes), arrays)


def run(problem: Problem, folder: Path, size: int) -> list[Event]:
    """The whole study in this process."""
    log: list[Event] = []
    conductor = Conductor(
        spaces=problem.spaces,
        maximize=problem.metric.maximize,
        metric=problem.metric.name,
        study=study_of_gru(),
        record=log.append,
    )
    conductor.array_sizes = {"gru": ArraySize(size, size)}
    desk, worker = Desk(conductor, mates=conductor.mates), worker_of(problem)
    for number in itertools.count():
        ticket = str(number)
        lease = desk.hand_out(ticket)
        if lease is None:
            assert desk.finished
            return log
        leases = [lease, *desk.mates(ticket)]
        worker.take(*_with_paths(leases, folder))
        while desk.in_flight:
            desk.hear(ticket, Message.from_text(worker.work().to_text()), last=False)
    raise AssertionError


def _with_paths(leases: list[Lease], folder: Path) -> tuple[Any, ...]:
    pairs = [(lease, folder / str(lease.trial.number)) for lease in leases]
    return (*pairs[0], *pairs[1:])


def test_a_search_with_arrays_gives_what_trials_give_alone(
    problem: Problem, tmp_path: Path
) -> None:
    log = run(problem, tmp_path, 3)
    assert max(map(len, arrays_of(log))) == 3
    reports = [event for event in log if event["event"] == "reported"]
    ends = [event for event in log if event["event"] == "ended"]
    assert len(ends) == 9
    assert {event["state"] for event in ends} <= {"complete", "pruned"}
    assert sum(event["event"] == "tested" for event in log) == 3
    for proposed in log:
        if proposed["event"] != "proposed":
            continue
        mine = [event for event in reports if event["trial"] == proposed["trial"]]
        assert [event["epoch"] for event in mine] == list(range(1, len(mine) + 1))
        trial = replace(
            _trial(problem), config=proposed["config"], seed=proposed["seed"], number=99
        )
        worker, folder = worker_of(problem), tmp_path / f"alone {proposed['trial']}"
        worker.take(Lease(0, trial, 1, 0, len(mine)), folder)
        told: list[dict[str, Any]] = []
        while True:
            message = worker.work()
            told += message.measurements
            if message.outcome is not None:
                break
        assert [each["train_loss"] for each in told] == pytest.approx(
            [event["train_loss"] for event in mine], rel=1e-3
        )


def _trial(problem: Problem) -> Any:

    return Trial(0, "gru", default(problem.spaces["gru"]), seed=3)


def leases_of(problem: Problem, count: int) -> list[Lease]:
    trial = _trial(problem)
    trials = [replace(trial, number=number, seed=number) for number in range(count)]
    return [Lease(each.number, each, 1, 0, EPOCHS, array=0) for each in trials]


def carried(worker: Worker, leases: list[Lease], folder: Path) -> list[Outcome]:
    worker.take(*_with_paths(leases, folder))
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(leases):
        message = worker.work()
        for place, told in enumerate((message, *message.mates)):
            if told.outcome is not None:
                assert place not in outcomes
                outcomes[place] = told.outcome
    return [outcomes[place] for place in range(len(leases))]


@pytest.mark.parametrize(
    ("error", "sizes"),
    [
        (torch.OutOfMemoryError("CUDA out of memory (not really)"), [4, 2]),
        (RuntimeError("not fusable"), [4]),
    ],
)
def test_an_array_that_fails_is_parted(
    problem: Problem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sizes: list[int],
) -> None:
    seen: list[int] = []
    run_epoch = TrainingArray.run_epoch

    def cramped(array: TrainingArray) -> Any:
        if len(array.trainings) > 1:
            seen.append(len(array.trainings))
        if len(array.trainings) > 2 or (len(array.trainings) > 1 and len(sizes) == 1):
            raise error
        return run_epoch(array)

    monkeypatch.setattr(TrainingArray, "run_epoch", cramped)
    outcomes = carried(worker_of(problem), leases_of(problem, 4), tmp_path)
    assert [outcome.kind for outcome in outcomes] == ["reached"] * 4
    assert list(dict.fromkeys(seen)) == sizes
    assert all((tmp_path / str(number)).exists() for number in range(4))


def test_one_that_diverges_ends_and_the_others_go_on(problem: Problem, tmp_path: Path) -> None:
    leases = leases_of(problem, 3)
    config = json.loads(json.dumps(leases[1].trial.config))
    config["training"]["optimizer"]["learning_rate"] = 1e30
    leases[1] = replace(leases[1], trial=replace(leases[1].trial, config=config))
    outcomes = carried(worker_of(problem), leases, tmp_path)
    assert [outcome.kind for outcome in outcomes] == ["reached", "failed", "reached"]
    assert outcomes[1].cause.startswith("diverged: the training loss became")


def test_an_array_that_is_put_down_goes_on_from_its_checkpoints(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.runner.worker.REPORT_SECONDS", 0.0)
    worker, leases = worker_of(problem), leases_of(problem, 2)
    worker.take(*_with_paths(leases, tmp_path))
    first = worker.work()
    worker.put_down()
    assert [len(each.measurements) for each in (first, *first.mates)] == [1, 1]
    again = worker_of(problem)
    again.take(*_with_paths([replace(lease, from_epoch=1) for lease in leases], tmp_path))
    second = again.work()
    assert [each.measurements[0]["epoch"] for each in (second, *second.mates)] == [2, 2]


def test_a_lease_of_an_array_that_is_not_wanted_ends_alone() -> None:
    class Leases:
        finished = False
        ended: list[tuple[int, int | None]] = []  # noqa: RUF012 - of one test

        def __init__(self, leases: list[Lease]) -> None:
            self.todo = leases

        def next_lease(self) -> Lease | None:
            return self.todo.pop(0) if self.todo else None

        def mates(self, _lease: Lease) -> list[Lease]:
            return [self.todo.pop(0)]

        def wanted(self, lease: Lease) -> bool:
            return lease.number != 1

        def report(self, lease: Lease, measurement: Any) -> None: ...

        def end(self, lease: Lease, outcome: Outcome) -> None:
            self.ended.append((lease.number, outcome.epoch))

        def stop(self) -> None: ...

    trial = _trial_of_nothing()
    leases = Leases([Lease(number, trial, 1, 0, 3, array=0) for number in range(2)])
    desk = Desk(leases, mates=leases.mates)
    desk.hand_out("a")
    assert len(desk.mates("a")) == 1
    told = Message([{"epoch": 1}], mates=(Message([{"epoch": 1}]),))
    desk.hear("a", told, last=False)
    assert leases.ended == [(1, 1)]
    assert desk.wants("a")
    desk.hear("a", Message([], Outcome.reached(3), mates=(Message([]),)), last=True)
    assert leases.ended == [(1, 1), (0, 3)]
    assert (desk.in_flight, desk.handed_out, desk.ended) == (0, 1, 2)


def _trial_of_nothing() -> Any:

    return Trial(0, "gru", {}, seed=3)


# how many


def sizes_of(
    problem: Problem, study: Study, log: list[Event], *, over: bool = False
) -> dict[str, ArraySize]:
    config = default(problem.spaces["gru"])
    sizes = ArraySizes(
        study,
        problem,
        device="cpu",
        slots=1,
        record=log.append,
        config_of=lambda number: config,
    )
    sizes.begin(list(log))
    if over:
        sizes.see({"event": "searched", "finalists": [{"family": "gru", "trial": 0, "seed": 1}]})
    return sizes.sizes


def test_a_size_that_is_asked_for_is_taken(problem: Problem) -> None:
    log: list[Event] = []
    assert sizes_of(problem, study_of_gru(resources={"array_size": 1}), log) == {}
    assert log == []
    assert sizes_of(problem, study_of_gru(resources={"array_size": 5}), log) == {
        "gru": ArraySize(5, 5)
    }
    assert log[0]["reasons"] == {"gru": "`resources.array_size` says so"}


def test_auto_measures_once_and_leaves_shapes_to_be_tried(problem: Problem) -> None:
    log: list[Event] = []
    many = study_of_gru(budget={"trials_per_family": 32, "epochs": 2}, confirm={"seeds": 5})
    (found,) = sizes_of(problem, many, log).values()
    assert 1 <= found.search <= 4
    assert found.finalists <= 5
    assert sizes_of(problem, many, log) == {"gru": found}
    assert len(log) == 1
    few = study_of_gru(confirm={"top_per_family": 0})
    assert sizes_of(problem, few, []) == {}


def test_what_only_finalists_need_is_measured_after_the_search(problem: Problem) -> None:
    log: list[Event] = []
    study = study_of_gru(confirm={"seeds": 5})
    assert sizes_of(problem, study, log) == {}
    (found,) = sizes_of(problem, study, log, over=True).values()
    assert found.search == 1
    assert found.finalists <= 5
    assert len(log) == 1
    assert sizes_of(problem, study, log) == {"gru": found}
    assert len(log) == 1
