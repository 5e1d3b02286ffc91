"""Cut the log anywhere, replay it, go on: nothing is lost, nothing is done twice."""

import json
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.motion.conductor import Conductor
from search.motion.randomness import key
from search.motion.schedulers import SCHEDULERS
from search.motion.simulation import METRIC, PowerLaw, Simulation
from search.samplers import SAMPLERS
from search.study import Study
from search.trial import Outcome, State
from spaces import Choice, Float, SearchSpace, contains


class Levelling(PowerLaw):
    """Improves up to an epoch that hangs on the size, and then no more."""

    def value(self, trial, epoch):
        return super().value(trial, min(epoch, 1 + int(7 * trial.config["model"]["size"])))


FAMILIES = {
    "levelling": Levelling(),
    "quick": PowerLaw(rate=1.0, noise=0.05),
    "slow": PowerLaw(floor=0.8, rise=3.0, rate=0.4, epoch_seconds=2.0),
    "noisy": PowerLaw(floor=1.1, noise=0.5, epoch_seconds=0.5),
}


QUICK = [name for name in SAMPLERS if name != "gp"]
"""Samplers that take milliseconds; the other one is cut in fewer places."""


@dataclass(frozen=True)
class Mishaps:
    """Faults that depend on the trial, the epoch and the attempt alone, not on who asks or when."""

    seed: int
    failures: float
    losses: float

    def __call__(self, lease, epoch):
        trial = (lease.trial.family, str(lease.trial.config), lease.trial.seed)
        rng = Random(key(self.seed, *trial, epoch))
        if rng.random() < self.failures:
            return Outcome.failed("ValueError: mishap", "Traceback")
        if rng.random() < self.losses and lease.attempt <= 2:
            return Outcome.lost("worker died")
        return None


@dataclass(frozen=True)
class Case:
    study: Study
    slots: int
    mishaps: Mishaps

    @property
    def families(self):
        return {name: FAMILIES[name] for name in self.study.families}

    def simulation(self, log=None, record=None):
        simulation = Simulation(
            self.study, self.families, slots=self.slots, fault=self.mishaps, record=record
        )
        if log is not None:
            simulation.resume(log)
        return simulation


def make_study(families=("quick", "slow"), **changes):
    study = {
        "name": "test",
        "benchmark": "none",
        "families": families,
        "budget": {"trials_per_family": 5, "epochs": 9},
        "search": {"sampler": "random"},
        "confirm": {"top_per_family": 1, "seeds": 2},
    }
    return Study.from_mapping(study | changes)


@st.composite
def cases(draw, most_slots=4):
    families = draw(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, unique=True))
    scheduler = draw(st.sampled_from([*SCHEDULERS]))
    budget = draw(
        st.fixed_dictionaries({"trials_per_family": st.integers(1, 9)})
        | st.fixed_dictionaries({"seconds": st.sampled_from([5.0, 40.0])})
        | st.fixed_dictionaries({"device_seconds": st.sampled_from([5.0, 60.0])})
        if scheduler != "pbt"
        else st.fixed_dictionaries(
            {"trials_per_family": st.integers(4, 9), "seconds": st.sampled_from([None, None, 60.0])}
        )
    )
    study = make_study(
        families,
        seed=draw(st.integers(0, 3)),
        budget=budget
        | {
            "epochs": draw(st.sampled_from([1, 2, 9, 10])),
            "patience": draw(st.sampled_from([None, 1, 3])) if scheduler != "pbt" else None,
        },
        search={
            "sampler": draw(st.sampled_from([*QUICK])),
            "scheduler": scheduler,
        },
        confirm=draw(
            st.fixed_dictionaries({"top_per_family": st.integers(0, 2), "seeds": st.integers(1, 2)})
            | st.just({"seeds": 2, "racing": 4})
        ),
    )
    mishaps = Mishaps(
        draw(st.integers(0, 3)),
        draw(st.sampled_from([0.0, 0.1])),
        draw(st.sampled_from([0.0, 0.2])),
    )
    return Case(study, draw(st.integers(1, most_slots)), mishaps)


def by_trials(case):
    budget = case.study.budget
    return budget.trials_per_family is not None and budget.seconds is None


def picture(value: Any) -> Any:
    """All that an object holds, as plain containers; what is being computed is no state."""
    if isinstance(value, dict):
        return {str(name): picture(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [picture(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if hasattr(value, "__dict__") and not isinstance(value, State | Future):
        return picture(vars(value))
    if hasattr(value, "__slots__"):
        return {name: picture(getattr(value, name)) for name in value.__slots__}
    return None if isinstance(value, Future) else repr(value)


def run_log(case):
    """The log of a whole run."""
    log = []
    case.simulation(
        record=lambda event: log.append(json.loads(json.dumps(event, allow_nan=False)))
    ).run()
    return log


def pictures(case, cuts):
    """What the state looks like when the log of a run has got to each of these lengths."""
    taken, length = {}, 0

    def look():
        if length in cuts:
            taken[length] = picture(simulation.conductor.state)

    def record(_event):
        nonlocal length
        look()
        length += 1

    simulation = case.simulation(record=record)
    simulation.run()
    look()
    return taken


def results(conductor):
    """What became of each trial, without the number of attempts that it took."""
    return [
        (at.trial, at.proposal, at.state, at.epoch, at.history, at.cause, at.tested)
        for at in conductor.state.trials
    ]


def check_whole(case, log, conductor):
    """What holds of every study that has come to its end, whatever happened on the way."""
    assert conductor.finished
    trials = conductor.state.trials
    assert [at.trial.number for at in trials] == list(range(len(trials)))
    assert all(at.state.final for at in trials)
    budget = case.study.budget
    for at in trials:
        if at.state == State.complete:
            assert at.early == (at.epoch < budget.epochs)
        assert not at.early or at.epoch - at.best_epoch == budget.patience
    proposals, configurations = set(), set()
    for at in trials:
        if at.in_search:
            assert contains(FAMILIES[at.trial.family].space, at.trial.config)
        if at.proposal is not None:
            proposals.add((at.trial.family, at.proposal))
            configurations.add((at.trial.family, json.dumps(at.trial.config)))
    searched = sum(at.in_search for at in trials)
    copies = sum(at.trial.copied_from is not None for at in trials)
    assert len(proposals) == len(configurations) == searched - copies
    confirmed = {(at.trial.finalist_of, at.trial.seed) for at in trials if not at.in_search}
    assert len(confirmed) == len(trials) - searched
    for family in conductor.state.families.values():
        check_family(case, family, [trials[number] for number in family.trials])
    for account in conductor.state.ledger.accounts.values():
        assert account.reserved_epochs == 0
    check_leases(log)


def check_family(case, family, trials):
    made = [at.proposal for at in trials if at.proposal is not None]
    assert made == list(range(family.proposals))
    if by_trials(case):
        assert family.proposals == case.study.budget.trials_per_family
        alive = [at for at in trials if at.state != State.failed]
        completed = any(at.state == State.complete for at in alive)
        assert not alive or completed or case.study.search.scheduler == "pbt"


def check_leases(log):
    """No lease number twice; no trial starts from scratch that has reported an epoch."""
    leases = [event for event in log if event["event"] == "leased"]
    assert [event["lease"] for event in leases] == list(range(len(leases)))
    furthest = {}
    for event in log:
        if event["event"] == "reported":
            furthest[event["trial"]] = max(event["epoch"], furthest.get(event["trial"], 0))
        elif event["event"] == "leased":
            assert event["epoch"] == furthest.get(event["trial"], 0)
        elif event["event"] == "proposed":
            furthest[event["trial"]] = event["epoch"]
            assert event["epoch"] == 0 or at_a_rung(event, log)
    keys = [
        (event["event"], event["trial"], event["attempt"], event["epoch"])
        for event in log
        if "trial" in event
    ]
    assert len(set(keys)) == len(keys), "a reader would take one of them for a duplicate"


def at_a_rung(event, log):
    """Whether what a copy begins with is where its donor waits when the copy is made."""
    donor, epoch = event["copied_from"]
    before = log[: log.index(event)]
    last = next(each for each in reversed(before) if each.get("trial") == donor)
    return (last["event"], last["epoch"]) == ("paused", epoch)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.data())
def test_a_log_cut_anywhere_replays_to_the_state_that_wrote_it(case, data):
    log = run_log(case)
    cuts = data.draw(st.lists(st.integers(0, len(log)), min_size=1, max_size=4))
    taken = pictures(case, cuts)
    for cut in cuts:
        simulation = case.simulation(log[:cut])
        assert picture(simulation.conductor.state) == taken[cut]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_cut_and_resumed_again_and_again_the_study_comes_to_a_whole_end(case, cuts):
    simulation = case.simulation()
    simulation.run()
    check_whole(case, simulation.log, simulation.conductor)
    for cut in cuts:
        simulation = case.simulation(simulation.log[: int(cut * len(simulation.log))])
        simulation.run()
        check_whole(case, simulation.log, simulation.conductor)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(most_slots=1).filter(by_trials), st.floats(0, 1))
def test_with_one_slot_a_resumed_study_equals_the_uninterrupted_one(case, cut):
    whole = case.simulation()
    whole.run()
    resumed = case.simulation(whole.log[: int(cut * len(whole.log))])
    resumed.run()
    assert results(resumed.conductor) == results(whole.conductor)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_with_any_sampler_at_every_cut_that_matters(sampler):
    study = make_study(
        ("quick",), budget={"trials_per_family": 13, "epochs": 9}, search={"sampler": sampler}
    )
    case = Case(study, 1, Mishaps(0, 0.02, 0.1))
    log = run_log(case)
    whole = case.simulation(log)
    cuts = range(30, len(log), 23 if sampler in QUICK else 40)
    taken = pictures(case, cuts)
    for cut in cuts:
        resumed = case.simulation(log[:cut])
        assert picture(resumed.conductor.state) == taken[cut]
        resumed.run()
        assert results(resumed.conductor) == results(whole.conductor)


def extend(case, study):
    """Run a study to its end, then go on with another one over the same log."""
    simulation = case.simulation()
    simulation.run()
    before = len(simulation.log)
    later = Case(study, case.slots, case.mishaps).simulation(simulation.log)
    later.run()
    return simulation.conductor, later.conductor, later.log[before:]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases().filter(by_trials), st.integers(1, 6))
def test_more_budget_gives_every_family_new_trials_and_confirms_only_what_is_new(case, more):
    budget = {
        "trials_per_family": case.study.budget.trials_per_family + more,
        "epochs": case.study.budget.epochs,
    }
    study = Study.from_mapping(case.study.model_dump() | {"budget": budget})
    first, extended, _ = extend(case, study)
    for name, family in extended.state.families.items():
        assert family.proposals == first.state.families[name].proposals + more
    assert results(extended)[: len(first.state.trials)] == results(first)
    runs = [
        (at.trial.finalist_of, at.trial.seed) for at in extended.state.trials if not at.in_search
    ]
    assert len(set(runs)) == len(runs)


def test_nothing_new_to_confirm_means_no_new_runs():
    case = Case(make_study(), 2, Mishaps(0, 0, 0))
    first, extended, news = extend(case, make_study())
    assert [event["event"] for event in news] == ["opened"]
    assert results(first) == results(extended)


def test_more_seeds_train_the_same_finalists_on_the_new_seeds_only():
    case = Case(make_study(), 2, Mishaps(0, 0, 0))
    study = make_study(confirm={"top_per_family": 1, "seeds": 5})
    first, extended, _ = extend(case, study)
    finalists = {at.trial.finalist_of for at in first.state.trials if not at.in_search}
    runs = [at.trial for at in extended.state.trials if not at.in_search]
    assert {trial.finalist_of for trial in runs} == finalists
    assert len({trial.seed for trial in runs}) == 5
    assert len(runs) == 2 * 5


def test_a_new_family_gets_its_whole_share():
    case = Case(make_study(), 2, Mishaps(0, 0, 0))
    first, extended, _ = extend(case, make_study(("quick", "slow", "noisy")))
    counts = {name: len(family.trials) for name, family in extended.state.families.items()}
    assert counts == {"quick": 5, "slow": 5, "noisy": 5}
    new = extended.state.trials[len(first.state.trials) :]
    assert {at.trial.family for at in new} == {"noisy"}


@pytest.mark.parametrize("epochs", [3, 27])
def test_another_length_of_training_leaves_what_is_over_alone(epochs):
    case = Case(make_study(), 2, Mishaps(0, 0, 0))
    study = make_study(budget={"trials_per_family": 8, "epochs": epochs})
    first, extended, news = extend(case, study)
    over = len(first.state.trials)
    assert results(extended)[:over] == results(first)
    assert all(event["trial"] >= over for event in news if "trial" in event)
    assert all(at.state.final for at in extended.state.trials)
    complete = [at for at in extended.state.trials[over:] if at.state == State.complete]
    assert {at.epoch for at in complete} == {epochs}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_outside_a_changed_range_are_left_out_of_the_sampler_and_counted(sampler):
    wide = SearchSpace({"x": Float(0, 1), "cell": Choice(["lstm", "gru"])})
    narrow = SearchSpace({"x": Float(0, 0.6), "cell": Choice(["lstm", "gru"])})
    study = make_study(("a",), search={"sampler": sampler}, confirm={"top_per_family": 0})
    log = []

    def conductor(space, study):
        made = Conductor(
            spaces={"a": space}, maximize=False, metric=METRIC, study=study, record=log.append
        )
        made.replay(list(log))
        while lease := made.next_lease():
            measured = {"valid": {METRIC: lease.trial.config["x"]}, "seconds": 1.0}
            made.report(lease, {"epoch": lease.to_epoch, **measured})
            made.end(lease, Outcome.reached(lease.to_epoch))
        return made

    first = conductor(wide, study)
    outside = [at.proposal for at in first.state.trials if at.trial.config["x"] > 0.6]
    assert outside
    more = make_study(
        ("a",),
        budget={"trials_per_family": 12, "epochs": 9},
        search={"sampler": sampler},
        confirm={"top_per_family": 0},
    )
    later = conductor(narrow, more)
    assert later.state.families["a"].sampler.outside == set(outside)
    assert len(later.state.trials) == 12
    assert all(at.trial.config["x"] <= 0.6 for at in later.state.trials[5:])


def test_a_retired_family_tries_again_when_its_space_has_grown():
    small = SearchSpace({"cell": Choice(["lstm", "gru"])})
    large = SearchSpace({"cell": Choice(["lstm", "gru", "rnn"])})
    study = make_study(("a",), confirm={"top_per_family": 0})
    log = []
    for space, trials in ((small, 2), (small, 2), (large, 3)):
        conductor = Conductor(
            spaces={"a": space}, maximize=False, metric=METRIC, study=study, record=log.append
        )
        conductor.replay(list(log))
        while lease := conductor.next_lease():
            conductor.report(lease, {"epoch": lease.to_epoch, "valid": {METRIC: 1}, "seconds": 1})
            conductor.end(lease, Outcome.reached(lease.to_epoch))
        assert len(conductor.state.trials) == trials
    assert [event["event"] for event in log].count("retired") == 2
