"""What goes wrong with a trial or a study, and what people stop."""

import math

import pytest

from search.trial import Outcome, State
from spaces import Choice, SearchSpace


def by_units(trial):
    return trial.config["units"] / 64


def test_a_trial_that_fails_ends_with_cause_and_traceback_and_the_study_goes_on(new_stage):
    stage = new_stage()
    stage.conductor.end(stage.lease(), Outcome.failed("ValueError: odd", "Traceback ..."))
    ended = stage.log[-1]
    assert (ended["state"], ended["cause"]) == ("failed", "ValueError: odd")
    assert ended["traceback"] == "Traceback ..."
    stage.run()
    assert [trial.state for trial in stage.conductor.state.trials].count(State.failed) == 1
    assert len(stage.conductor.state.trials) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_fails_the_trial_as_diverged(new_stage, value):
    stage = new_stage()
    lease = stage.lease()
    stage.finish(lease, value)
    assert stage.trial(0).state == State.failed
    assert stage.trial(0).cause.startswith("diverged")
    reported = next(event for event in stage.log if event["event"] == "reported")
    assert reported["value"] is None
    assert reported["valid"] == {"loss": None}


def test_a_trial_that_has_diverged_is_not_wanted_and_fails_even_if_the_driver_died(
    new_stage, new_study
):
    study = new_study(search={"sampler": "random", "scheduler": "none"})
    stage = new_stage(study)
    lease = stage.lease()
    stage.report(lease, 1)
    assert stage.conductor.wanted(lease)
    stage.report(lease, 2, math.nan)
    assert not stage.conductor.wanted(lease)
    later = new_stage(study, log=stage.log)
    assert later.lease().trial.number == 1
    assert later.trial(0).state == State.failed
    assert later.trial(0).history == [(1, 0.5)]
    stage.conductor.end(lease, Outcome.reached(2))
    assert stage.trial(0).cause == later.trial(0).cause


def test_a_lease_that_measured_nothing_fails_its_trial(new_stage):
    stage = new_stage()
    lease = stage.lease()
    stage.conductor.end(lease, Outcome.reached(lease.to_epoch))
    assert stage.trial(0).state == State.failed


def test_a_lost_lease_goes_out_again_first_from_where_it_was(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    lease, other = stage.lease(), stage.lease()
    stage.train(lease, to_epoch=4)
    stage.conductor.end(lease, Outcome.lost("node gone"))
    again = stage.lease()
    assert (again.trial, again.attempt) == (lease.trial, 2)
    assert (again.from_epoch, again.to_epoch) == (4, 9)
    assert again.number == other.number + 1


def test_three_losses_without_progress_fail_the_trial(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    for attempt in (1, 2, 3):
        lease = stage.lease()
        assert (lease.trial.number, lease.attempt) == (0, attempt)
        stage.report(lease, 1)
        stage.conductor.end(lease, Outcome.lost("worker died"))
    assert stage.trial(0).state == State.failed
    assert stage.trial(0).cause == "lost 3 workers: worker died"
    assert stage.lease().trial.number == 1


def test_losses_with_progress_between_them_are_forgiven(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    for epoch in range(1, 9):
        lease = stage.lease()
        stage.report(lease, epoch)
        stage.conductor.end(lease, Outcome.lost("spot instance taken"))
    stage.finish(stage.lease())
    assert stage.trial(0).state == State.complete
    assert [epoch for epoch, _ in stage.trial(0).history] == list(range(1, 10))


def test_epochs_trained_again_cost_but_count_once(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    lease = stage.lease()
    stage.train(lease, to_epoch=4)
    stage.conductor.end(lease, Outcome.lost("node gone"))
    again = stage.lease()
    for epoch in range(3, 10):
        stage.report(again, epoch)
        stage.report(again, epoch)  # told twice
    stage.conductor.end(again, Outcome.reached(9))
    assert [epoch for epoch, _ in stage.trial(0).history] == list(range(1, 10))
    assert stage.conductor.state.ledger.accounts["a"].device_seconds == 4 + 7
    assert stage.conductor.state.ledger.accounts["a"].reserved_epochs == 0


def test_what_comes_from_a_lease_that_is_over_is_ignored(new_stage):
    stage = new_stage()
    old = stage.lease()
    stage.conductor.end(old, Outcome.lost("node gone"))
    new = stage.lease()
    before = len(stage.log)
    stage.report(old, 1)
    stage.conductor.end(old, Outcome.failed("late"))
    assert len(stage.log) == before
    assert not stage.conductor.wanted(old)
    assert stage.conductor.wanted(new)


def test_a_lease_ended_early_of_its_own_accord_counts_as_lost(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    lease = stage.lease()
    stage.train(lease, to_epoch=2)
    stage.conductor.end(lease, Outcome.reached(2))
    assert stage.trial(0).losses == 1
    assert stage.lease().from_epoch == 2


def test_a_failed_lease_is_charged_by_the_clock(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    lease = stage.lease()
    stage.report(lease, 1, seconds=2.0)
    stage.now += 60
    stage.conductor.end(lease, Outcome.failed("out of memory"))
    account = stage.conductor.state.ledger.accounts["a"]
    assert account.device_seconds == 62.0
    assert account.seconds_by_fate == {State.failed: 62.0}


def test_a_stopped_trial_in_flight_is_not_wanted_and_ends_where_it_stands(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    lease = stage.lease()
    stage.train(lease, to_epoch=2)
    stage.conductor.stop_trial(0)
    assert not stage.conductor.wanted(lease)
    stage.conductor.end(lease, Outcome.reached(2))
    assert stage.trial(0).state == State.stopped
    assert stage.lease().trial.number == 1


def test_a_stop_survives_the_driver(new_stage, new_study):
    stage = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}))
    stage.train(stage.lease(), to_epoch=2)
    stage.conductor.stop_trial(0)
    later = new_stage(new_study(search={"sampler": "random", "scheduler": "none"}), log=stage.log)
    assert later.lease().trial.number == 1
    assert later.trial(0).state == State.stopped


def test_a_waiting_trial_stops_at_once_and_an_ended_one_stays(new_stage):
    stage = new_stage()
    stage.finish(stage.lease())
    assert stage.trial(0).state == State.paused
    stage.conductor.stop_trial(0)
    assert stage.trial(0).state == State.stopped
    stage.run()
    before = len(stage.log)
    for number in range(3):
        stage.conductor.stop_trial(number)
    assert len(stage.log) == before


def test_a_stopped_trial_that_gets_to_a_rung_does_not_wait_there(new_stage):
    stage = new_stage()
    lease = stage.lease()
    stage.conductor.stop_trial(0)
    stage.finish(lease)
    assert stage.trial(0).state == State.stopped


def test_only_a_trial_that_exists_can_be_stopped(new_stage):
    with pytest.raises(ValueError, match="one of the 0 begun, got 3"):
        new_stage().conductor.stop_trial(3)


def test_a_stopped_study_finishes_what_is_in_flight_and_can_go_on(new_stage, new_study):
    study = new_study(search={"sampler": "random", "scheduler": "none"})
    stage = new_stage(study)
    first, second = stage.lease(), stage.lease()
    stage.conductor.stop()
    assert stage.lease() is None
    assert not stage.conductor.finished
    stage.finish(first)
    stage.train(second, to_epoch=3)
    assert not stage.conductor.wanted(second)
    stage.conductor.end(second, Outcome.reached(3))
    assert stage.conductor.finished
    assert stage.trial(1).losses == 0
    later = new_stage(study, log=stage.log)
    lease = later.lease()
    assert (lease.trial.number, lease.attempt, lease.from_epoch) == (1, 2, 3)
    later.finish(lease)
    later.run()
    assert [trial.state for trial in later.conductor.state.trials] == [State.complete] * 3


def test_an_exhausted_space_ends_the_share_early_and_says_so(new_stage, new_study):
    space = SearchSpace({"cell": Choice(["lstm", "gru"])})
    study = new_study(budget={"trials_per_family": 5, "epochs": 1})
    stage = new_stage(study, spaces={"a": space})
    stage.run()
    assert len(stage.conductor.state.trials) == 2
    retired = [event for event in stage.log if event["event"] == "retired"]
    assert [event["cause"] for event in retired] == ["its space has no configuration left after 2"]
    assert stage.conductor.state.ledger.idle("a") == 3
    assert stage.conductor.finished


def test_a_family_that_only_fails_is_given_up_and_the_others_go_on(new_stage, new_study):
    stage = new_stage(new_study(("a", "b"), budget={"trials_per_family": 30, "epochs": 3}))
    while lease := stage.lease():
        if lease.trial.family == "a":
            cause = "raised" if lease.trial.number < 3 else "out of memory"
            stage.conductor.end(lease, Outcome.failed(cause))
        else:
            stage.finish(lease, by_units(lease.trial))
    families = stage.conductor.state.families
    assert (len(families["a"].trials), len(families["b"].trials)) == (10, 30)
    assert families["a"].retired == "10 of its trials came to nothing and none got to a rung"
    assert stage.conductor.state.commonest_cause() == "out of memory"


def test_a_family_is_not_given_up_while_a_trial_of_it_is_in_flight(new_stage, new_study):
    stage = new_stage(new_study(budget={"trials_per_family": 30, "epochs": 3}))
    leases = [stage.lease() for _ in range(12)]
    for lease in leases[:11]:
        stage.conductor.end(lease, Outcome.failed("raised"))
    assert stage.lease() is None
    assert stage.conductor.state.families["a"].retired is None
    stage.finish(leases[11])
    stage.run(by_units)
    assert len(stage.conductor.state.trials) == 30


def test_a_study_in_which_all_fails_ends_and_says_why(new_stage, new_study):
    stage = new_stage(new_study(("a", "b"), confirm={"top_per_family": 1, "seeds": 2}))
    while lease := stage.lease():
        stage.conductor.end(lease, Outcome.failed("no CUDA device"))
    assert stage.conductor.finished
    assert {trial.state for trial in stage.conductor.state.trials} == {State.failed}
    assert stage.conductor.state.commonest_cause() == "no CUDA device"
    assert stage.log[-1]["finalists"] == []


def test_when_the_seconds_are_spent_nothing_new_begins_and_the_rest_is_pruned(new_stage, new_study):
    study = new_study(
        budget={"seconds": 10.0, "epochs": 9}, confirm={"top_per_family": 1, "seeds": 1}
    )
    stage = new_stage(study)
    for _ in range(4):
        stage.finish(stage.lease())
    long = stage.lease()
    stage.now = 1010.0
    assert not stage.conductor.wanted(long)
    stage.conductor.end(long, Outcome.reached(long.from_epoch))
    final = stage.lease()
    assert final.test
    assert stage.conductor.wanted(final)
    fates = {(trial.state, trial.cause) for trial in stage.conductor.state.trials[:-1]}
    assert fates == {(State.pruned, "the budget of seconds was spent")}
    stage.finish(final)
    assert stage.lease() is None


def test_seconds_count_only_while_a_driver_is_at_work(new_stage, new_study):
    study = new_study(budget={"seconds": 10.0, "epochs": 1})
    stage = new_stage(study)
    for _ in range(4):
        stage.finish(stage.lease())
    later = new_stage(study, log=stage.log)
    later.now = stage.now + 10**6
    assert later.lease() is not None
    assert later.conductor.state.search_seconds == 4.0
    later.now += 7
    assert later.lease() is None
