import itertools
import time

import pytest

from search.trial import Outcome, State


def by_units(trial):
    return trial.config["units"] / 64


def test_the_first_lease_is_the_default_from_scratch_to_the_first_rung(new_stage):
    stage = new_stage()
    lease = stage.lease()
    assert (lease.number, lease.attempt, lease.from_epoch, lease.to_epoch) == (0, 1, 0, 1)
    assert lease.trial.config == {"x": 0.5, "units": 32}
    assert (lease.trial.seed, lease.trial.finalist_of, lease.test) == (0, None, False)
    assert stage.kinds() == ["opened", "proposed", "leased"]


def test_a_small_search_trains_exactly_its_budget_and_completes_its_best(new_stage):
    stage = new_stage()
    leases = stage.run(by_units)
    states = [trial.state for trial in stage.conductor.state.trials]
    assert sorted(states) == [State.complete, State.pruned, State.pruned]
    best = min(stage.conductor.state.trials, key=lambda trial: by_units(trial.trial))
    assert best.state == State.complete
    assert [lease.number for lease in leases] == list(range(5))
    assert stage.conductor.finished


def test_the_log_of_one_trial_reads_like_a_story(new_stage, new_study):
    stage = new_stage(new_study(budget={"trials_per_family": 1, "epochs": 3}))
    stage.run()
    story = [(event["event"], event.get("epoch")) for event in stage.log]
    assert story == [
        ("opened", None),
        ("proposed", 0),
        ("leased", 0),
        ("reported", 1),
        ("paused", 1),
        ("leased", 1),
        ("reported", 2),
        ("reported", 3),
        ("ended", 3),
        ("searched", None),
    ]
    reported = stage.log[3]
    assert {key: reported[key] for key in ("trial", "attempt", "value", "valid", "seconds")} == {
        "trial": 0,
        "attempt": 1,
        "value": 0.5,
        "valid": {"loss": 0.5},
        "seconds": 1.0,
    }
    assert all("time" in event for event in stage.log)


def test_what_record_raises_leaves_the_state_as_it_was(new_stage):
    stage = new_stage()
    lease = stage.lease()

    def full(event):
        raise OSError("no space left on device")

    stage.conductor._record = full
    with pytest.raises(OSError, match="no space"):
        stage.report(lease, 1)
    with pytest.raises(OSError, match="no space"):
        stage.conductor.end(lease, Outcome.reached(1))
    assert stage.trial(0).history == []
    assert stage.trial(0).state == State.running


def test_a_metric_to_maximize_is_turned_once(new_stage):
    stage = new_stage(maximize=True)
    stage.run(by_units)
    complete = [trial for trial in stage.conductor.state.trials if trial.state == State.complete]
    assert [by_units(trial.trial) for trial in complete] == [
        max(by_units(trial.trial) for trial in stage.conductor.state.trials)
    ]
    assert complete[0].best_loss == -by_units(complete[0].trial)
    values = {event["value"] for event in stage.log if event["event"] == "reported"}
    assert min(values) > 0


def test_families_share_equally(new_stage, new_study):
    stage = new_stage(new_study(("a", "b"), budget={"trials_per_family": 5, "epochs": 9}))
    proposed = []
    while lease := stage.lease():
        proposed = [len(family.trials) for family in stage.conductor.state.families.values()]
        assert max(proposed) - min(proposed) <= 1
        stage.finish(lease, by_units(lease.trial))
    assert proposed == [5, 5]


def test_finalists_are_trained_in_full_on_the_same_seeds_and_tested_once(new_stage, new_study):
    stage = new_stage(new_study(("a", "b"), confirm={"top_per_family": 1, "seeds": 3}))
    leases = stage.run(by_units)
    final = [lease for lease in leases if lease.trial.finalist_of is not None]
    assert [lease.trial.family for lease in final] == ["a", "b"] * 3
    assert len({lease.trial.seed for lease in final}) == 3
    assert all(lease.trial.seed != 0 for lease in final)
    assert all((lease.from_epoch, lease.to_epoch, lease.test) == (0, 9, True) for lease in final)
    search = stage.conductor.state.trials[:6]
    for lease in final:
        original = search[lease.trial.finalist_of]
        assert original.state == State.complete
        assert original.trial.config == lease.trial.config
    tested = [event for event in stage.log if event["event"] == "tested"]
    assert [event["trial"] for event in tested] == [lease.trial.number for lease in final]
    assert all(event["test"].keys() == {"loss"} for event in tested)
    assert stage.conductor.finished
    assert not any(lease.test for lease in leases if lease.trial.finalist_of is None)


def test_the_search_is_not_charged_for_its_finalists(new_stage, new_study):
    stage = new_stage(new_study(confirm={"top_per_family": 1, "seeds": 4}))
    stage.run()
    account = stage.conductor.state.ledger.accounts["a"]
    assert account.proposed == sum(account.trials_by_fate.values()) == 3
    assert account.trained_epochs == 3 + 8


def test_finalists_wait_for_all_families(new_stage, new_study):
    stage = new_stage(new_study(("a", "b"), confirm={"top_per_family": 1, "seeds": 1}))
    leases = list(itertools.takewhile(bool, (stage.lease() for _ in range(99))))
    slow = leases.pop()
    while leases:
        lease = leases.pop()
        stage.finish(lease)
        leases += itertools.takewhile(bool, (stage.lease() for _ in range(99)))
        assert all(lease.trial.finalist_of is None for lease in leases)
    assert not stage.conductor.finished
    stage.finish(slow)
    assert stage.run()[-1].test


def test_a_finalist_whose_test_did_not_arrive_is_measured_again(new_stage, new_study):
    stage = new_stage(new_study(confirm={"top_per_family": 1, "seeds": 1}))
    while not (lease := stage.lease()).test:
        stage.finish(lease)
    stage.train(lease)
    stage.conductor.end(lease, Outcome.reached(9))
    again = stage.lease()
    assert (again.trial, again.from_epoch, again.to_epoch, again.test) == (lease.trial, 9, 9, True)
    stage.finish(again)
    assert stage.trial(lease.trial.number).state == State.complete


def test_no_cause_where_nothing_failed(new_stage):
    stage = new_stage()
    stage.run()
    assert stage.conductor.state.commonest_cause() is None


def test_unknown_names_are_told(new_stage, new_study):
    with pytest.raises(ValueError, match=r"`search.sampler` has no 'tpee'; did you mean 'tpe'\?"):
        new_stage(new_study(search={"sampler": "tpee"}))
    with pytest.raises(
        ValueError, match=r"`search.scheduler` has no 'x'; it has: asha, hyperband, none"
    ):
        new_stage(new_study(search={"scheduler": "x"}))


def test_a_log_with_trials_of_a_family_that_the_study_dropped_is_refused(new_stage, new_study):
    stage = new_stage(new_study(("a", "b")))
    stage.run()
    with pytest.raises(ValueError, match="must keep the family 'b'"):
        new_stage(new_study(("a",)), log=stage.log)


def test_lines_of_others_and_duplicates_change_nothing(new_stage, new_study):
    stage = new_stage(new_study(confirm={"top_per_family": 1, "seeds": 1}))
    stage.conductor.end(stage.lease(), Outcome.lost("node gone"))
    stage.run()
    noisy = [{"event": "study", "format": 1, "time": 0.0}]
    for event in stage.log:
        noisy += [event, event]
    noisy.append({"event": "closed", "time": stage.now})
    assert new_stage(log=noisy).conductor.state.trials == stage.conductor.state.trials


@pytest.mark.slow
def test_the_cost_of_a_trial_is_small_and_flat(new_stage, new_study):
    study = new_study(
        ("a", "b"), budget={"trials_per_family": 5000, "epochs": 81}, confirm={"top_per_family": 0}
    )
    stage = new_stage(study)
    stage.conductor._record = lambda event: None
    costs = []
    while True:
        begun = time.perf_counter()
        lease = stage.conductor.next_lease()
        if lease is None:
            break
        stage.report(lease, lease.to_epoch, lease.trial.config["x"])
        stage.conductor.end(lease, Outcome.reached(lease.to_epoch))
        costs.append(time.perf_counter() - begun)
    assert len(stage.conductor.state.trials) == 10_000
    assert sum(costs) / len(costs) < 0.001
    assert sum(costs[-3000:]) < 4 * sum(costs[:3000])


def test_what_a_share_was_too_small_for_goes_on_alone_and_so_does_its_finalist(
    new_stage, new_study
):
    asked = new_study(
        budget={"trials_per_family": 1, "epochs": 9},
        search={"sampler": "random", "scheduler": "none"},
        confirm={"top_per_family": 1, "seeds": 1},
    )
    stage = new_stage(asked)
    lease = stage.lease()
    stage.train(lease, to_epoch=2)
    stage.now += 5
    stage.conductor.end(lease, Outcome.crowded("out of memory"))
    assert stage.trial(0).device_seconds == 7  # the whole time of the lease
    assert not stage.trial(0).losses
    again = new_stage(asked, log=stage.log)  # also after the driver has ended
    alone = again.lease()
    assert (alone.alone, alone.attempt, alone.from_epoch) == (True, 2, 2)
    again.finish(alone)
    finalist = again.lease()
    assert finalist.trial.finalist_of == 0
    assert finalist.alone
    again.conductor.end(finalist, Outcome.infeasible("out of memory: all of it"))
    assert again.trial(1).state == State.infeasible
    assert again.trial(1).cause == "out of memory: all of it"
