import math
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.motion.halving import Asha
from search.motion.schedulers import SCHEDULERS
from search.motion.simulation import PowerLaw, Simulation
from search.study import Study
from search.trial import Outcome, State


def make_study(families=("a", "b"), **changes):
    study = {
        "name": "test",
        "benchmark": "none",
        "families": families,
        "budget": {"trials_per_family": 9, "epochs": 27},
        "search": {"sampler": "random"},
        "confirm": {"top_per_family": 1, "seeds": 3},
    }
    return Study.from_mapping(study | changes)


def run(study, families, **options):
    simulation = Simulation(study, families, **options)
    simulation.run()
    return simulation


def family_story(simulation, family):
    """What happened to a family in the search: fates and epochs, without anybody's numbers."""
    trials = simulation.conductor.state.trials
    return [
        (at.proposal, at.trial.config, at.state, at.epoch, at.history)
        for at in trials
        if at.in_search and at.trial.family == family
    ]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("sampler", ["random", "tpe", "cma_es", "evolution"])
def test_a_slow_starter_wins(sampler, scheduler):
    """Worst of all at the first rung, best at the end: no family can prune it away."""
    families = {
        "quick": PowerLaw(floor=1.0, rise=0.5, rate=1.0, noise=0.01),
        "steady": PowerLaw(floor=1.1, rise=1.0, rate=0.8, noise=0.01),
        "slow": PowerLaw(floor=0.5, rise=9.0, rate=1.2, noise=0.01),
    }
    search = {"sampler": sampler, "scheduler": scheduler}
    study = make_study(("quick", "steady", "slow"), search=search)
    trials = run(study, families, slots=3).conductor.state.trials
    search = [at for at in trials if at.in_search]
    begun = [at for at in search if at.trial.copied_from is None]
    first = {
        name: min(at.history[0][1] for at in begun if at.trial.family == name) for name in families
    }
    assert max(first, key=first.__getitem__) == "slow"
    worst_slow_start = min(at.history[0][1] for at in begun if at.trial.family == "slow")
    best_elsewhere = max(at.history[0][1] for at in search if at.trial.family != "slow")
    assert worst_slow_start > best_elsewhere
    assert min(search, key=lambda at: at.best_loss).trial.family == "slow"
    finalists = [at for at in trials if not at.in_search]
    means = {
        name: sum(at.best_loss for at in finalists if at.trial.family == name) / 3
        for name in families
    }
    assert min(means, key=means.__getitem__) == "slow"


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 5.0), st.floats(0.1, 9.0), st.floats(0.1, 2.0), st.integers(0, 5))
def test_a_familys_pruning_depends_on_no_other_familys_results(floor, rise, rate, seed):
    study = make_study(seed=seed)
    ours = PowerLaw(noise=0.3)
    theirs = [PowerLaw(), PowerLaw(floor=floor, rise=rise, rate=rate)]
    one, other = (run(study, {"a": ours, "b": their}) for their in theirs)
    assert family_story(one, "a") == family_story(other, "a")
    alone = run(make_study(("a",), seed=seed), {"a": ours})
    assert family_story(alone, "a") == family_story(one, "a")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 9), st.integers(2, 6))
def test_with_many_slots_too_each_promotion_follows_from_the_familys_own_results(seed, slots):
    """A scheduler that hears of one family alone names the trials that went on in the study."""
    families = {"a": PowerLaw(noise=0.3), "b": PowerLaw(floor=0.1, noise=0.3, epoch_seconds=0.4)}
    budget = {"trials_per_family": 20, "epochs": 27}
    study = make_study(seed=seed, budget=budget, confirm={"top_per_family": 0})
    simulation = run(study, families, slots=slots)
    ours = set(simulation.conductor.state.families["a"].trials)
    alone = Asha(27, study.search)
    best, begun = {}, 0
    for event in simulation.log:
        number = event.get("trial")
        if number not in ours:
            continue
        if event["event"] == "reported":
            best[number] = min(event["value"], best.get(number, math.inf))
        elif event["event"] == "paused":
            alone.enter(number, event["epoch"], best[number])
        elif event["event"] == "leased" and event["epoch"] == 0:
            begun += 1
        elif event["event"] == "leased":
            named = alone.promotion()
            assert number == (alone.closing_promotion() if named is None else named)
            assert named is not None or begun == 20
            alone.leave(number)
        elif event["event"] == "ended" and event["state"] == "complete":
            alone.enter(number, event["epoch"], best[number])


class Levelling(PowerLaw):
    """Improves for six epochs, and then no more."""

    def value(self, trial, epoch):
        return super().value(trial, min(epoch, 6))


@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_patience_ends_trials_and_finalists_that_no_longer_improve(scheduler):
    budget = {"trials_per_family": 12, "epochs": 27, "patience": 4}
    study = make_study(budget=budget, search={"sampler": "random", "scheduler": scheduler})
    trials = run(study, {"a": Levelling(), "b": PowerLaw()}, slots=2).conductor.state.trials
    levelled = [at for at in trials if at.trial.family == "a" and at.state == State.complete]
    assert {(at.epoch, at.best_epoch, at.early) for at in levelled} == {(10, 6, True)}
    assert {at.cause for at in levelled} == {"it had ceased to improve"}
    assert {at.epoch for at in trials if at.trial.family == "b" and at.state == "complete"} == {27}
    for family in "ab":
        finalists = [at for at in trials if at.trial.family == family and not at.in_search]
        assert len(finalists) == 3
        assert all(at.tested and at.state == State.complete for at in finalists)
        searched = [at for at in trials if at.trial.family == family and at.in_search]
        best = min(searched, key=lambda at: at.best_loss)
        assert {at.trial.finalist_of for at in finalists} == {best.trial.number}


def test_what_a_trial_leaves_of_its_epochs_goes_back_to_its_family():
    def begun(**budget):
        study = make_study(
            ("a",),
            budget={"device_seconds": 270.0, "epochs": 27} | budget,
            search={"sampler": "random", "scheduler": "none"},
            confirm={"top_per_family": 0},
        )
        state = run(study, {"a": Levelling()}).conductor.state
        account = state.ledger.accounts["a"]
        assert account.reserved_epochs == 0
        assert account.device_seconds == pytest.approx(
            sum(at.device_seconds for at in state.trials)
        )
        return len(state.trials), account.device_seconds

    (impatient, spent), (patient, _) = begun(patience=4), begun()
    assert impatient == pytest.approx(patient * 2.7, rel=0.25)
    assert spent == pytest.approx(270, abs=15)


def test_a_poor_trial_that_settled_is_no_finalist_before_a_better_one_that_could_not_go_on():
    @dataclass(frozen=True)
    class First(PowerLaw):
        """The first trial is flat; time runs out before another can be trained to the end."""

        def value(self, trial, epoch):
            return 9.0 if trial.number == 0 else super().value(trial, epoch)

    study = make_study(
        ("a",),
        budget={"seconds": 24.0, "epochs": 27, "patience": 2},
        search={"sampler": "random", "first_rung_epochs": 3},
        confirm={"top_per_family": 1, "seeds": 1},
    )
    trials = run(study, {"a": First()}, slots=2).conductor.state.trials
    assert (trials[0].state, trials[0].early) == (State.complete, True)
    (finalist,) = (at for at in trials if not at.in_search)
    assert not any(at.state == State.complete for at in trials[1:] if at.in_search)
    assert finalist.trial.finalist_of != 0


def test_several_slots_are_kept_busy():
    one = run(make_study(), {"a": PowerLaw(), "b": PowerLaw()}, slots=1)
    four = run(make_study(), {"a": PowerLaw(), "b": PowerLaw()}, slots=4)
    assert len(four.conductor.state.trials) == len(one.conductor.state.trials)
    assert four.now < 0.5 * one.now


def test_the_log_tells_virtual_time():
    simulation = run(make_study(), {"a": PowerLaw(), "b": PowerLaw(epoch_seconds=3.0)}, slots=2)
    times = [event["time"] for event in simulation.log]
    assert times == sorted(times)
    seconds = sum(event["seconds"] for event in simulation.log if event["event"] == "reported")
    assert times[-1] <= seconds <= 2 * times[-1]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([30.0, 100.0, 500.0]),
    st.sampled_from([1, 9, 27]),
    st.floats(0.2, 3.0),
    st.sampled_from([name for name in SCHEDULERS if name != "pbt"]),  # refused with them
)
def test_no_familys_device_seconds_differ_from_its_share_by_more_than_a_trial(
    share, epochs, slow, scheduler
):
    families = {"a": PowerLaw(epoch_seconds=0.3), "b": PowerLaw(epoch_seconds=slow)}
    study = make_study(
        budget={"device_seconds": 2 * share, "epochs": epochs},
        search={"sampler": "random", "scheduler": scheduler},
        confirm={"top_per_family": 0},
    )
    conductor = run(study, families, slots=1).conductor
    for name, account in conductor.state.ledger.accounts.items():
        longest = 1.5 * families[name].epoch_seconds * epochs
        assert abs(account.device_seconds - share) <= longest
        assert any(
            at.state == State.complete for at in conductor.state.trials if at.trial.family == name
        )


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([20.0, 200.0]), st.integers(1, 5))
def test_wall_clock_seconds_end_the_search_within_an_epoch(seconds, slots):
    study = make_study(budget={"seconds": seconds, "epochs": 27}, confirm={"top_per_family": 0})
    simulation = run(study, {"a": PowerLaw(), "b": PowerLaw(epoch_seconds=2.0)}, slots=slots)
    assert seconds <= simulation.now <= seconds + 3.0
    assert simulation.conductor.finished


def test_a_trial_that_diverges_fails_and_its_family_goes_on():
    @dataclass(frozen=True)
    class Fragile(PowerLaw):
        def value(self, trial, epoch):
            fragile = trial.config["training"]["learning_rate"] > 0.1
            return math.nan if fragile and epoch > 2 else super().value(trial, epoch)

    families = {"a": Fragile(), "b": PowerLaw()}
    study = make_study(search={"sampler": "random", "scheduler": "none"}, seed=1)
    trials = run(study, families, slots=2).conductor.state.trials
    fates = {at.state for at in trials if at.trial.family == "a" and at.in_search}
    assert fates == {State.complete, State.failed}
    assert all("diverged" in at.cause for at in trials if at.state == State.failed)


def test_faults_are_those_that_were_asked_for():
    def fault(lease, epoch):
        return Outcome.lost("node gone") if lease.attempt == 1 and epoch == 2 else None

    simulation = run(make_study(), {"a": PowerLaw(), "b": PowerLaw()}, slots=2, fault=fault)
    kinds = [event["event"] for event in simulation.log]
    assert kinds.count("interrupted") == len(
        [at for at in simulation.conductor.state.trials if at.epoch >= 2]
    )
    assert not any(at.state == State.failed for at in simulation.conductor.state.trials)


def test_the_same_seed_makes_the_same_study():
    logs = [
        run(make_study(seed=4), {"a": PowerLaw(noise=0.2), "b": PowerLaw()}, slots=3).log
        for _ in range(2)
    ]
    assert logs[0] == logs[1]


def test_curves_are_what_they_are_said_to_be():
    family = PowerLaw(floor=1.0, rise=2.0, rate=1.0, noise=0.0)
    trials = run(make_study(("a",)), {"a": family}).conductor.state.trials
    for at in trials:
        for epoch, loss in at.history:
            assert loss == pytest.approx(family.end(at.trial.config) + 2.0 / epoch)


def test_a_simulation_needs_neither_ray_nor_torch():
    program = "import sys, search.motion.simulation; print({'ray', 'torch'} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == "set()"
