import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.motion.halving import Asha, FullTraining, Hyperband
from search.motion.schedulers import SCHEDULERS
from search.study import SearchSettings


def asha(epochs=9, **settings):
    return Asha(epochs, SearchSettings(**settings))


def arrive(scheduler, losses, epoch):
    for number, loss in enumerate(losses):
        scheduler.enter(number, epoch, loss)


def promote(scheduler):
    number = scheduler.promotion()
    if number is not None:
        scheduler.leave(number)
    return number


@pytest.mark.parametrize(
    ("epochs", "settings", "rungs"),
    [
        (81, {}, [3, 9, 27, 81]),
        (30, {}, [1, 3, 10, 30]),
        (27, {}, [1, 3, 9, 27]),
        (2, {}, [2]),
        (1, {}, [1]),
        (81, {"first_rung_epochs": 9}, [9, 27, 81]),
        (81, {"first_rung_epochs": 100}, [81]),
        (16, {"reduction_factor": 2}, [2, 4, 8, 16]),
        (100, {"reduction_factor": 4}, [1, 6, 25, 100]),
    ],
)
def test_the_ladder(epochs, settings, rungs):
    scheduler = asha(epochs, **settings)
    assert [rung.epoch for rung in scheduler.rungs] == rungs
    stops = [scheduler.next_stop(0, 0)]
    while stops[-1] < epochs:
        stops.append(scheduler.next_stop(0, stops[-1]))
    assert stops == rungs


def test_only_the_best_third_goes_on():
    scheduler = asha()
    arrive(scheduler, [0.5, 0.1, 0.4, 0.3, 0.2, 0.6], epoch=1)
    assert [promote(scheduler) for _ in range(3)] == [1, 4, None]
    assert scheduler.waiting() == [0, 2, 3, 5]


def places(scheduler, number):
    """The epochs of the rungs that a trial ever stood at."""
    return [r.epoch for r in scheduler.rungs if number in (n for _, n in r._ranking)]


def test_a_settled_trial_competes_where_it_was_on_its_way_to():
    scheduler = asha(27)  # 1, 3, 9, 27
    assert not scheduler.settle(7, 5, 0.2)
    assert places(scheduler, 7) == [9]
    assert scheduler.waiting() == []
    arrive(scheduler, [0.1, 0.3, 0.4], epoch=9)
    assert promote(scheduler) == 0  # the best of four, of whom the settled one is second
    assert promote(scheduler) is None
    for number in (3, 4):
        scheduler.enter(number, 9, 0.5)
    assert places(scheduler, 7) == [9, 27]  # with six it is among the best third
    assert scheduler.promotion() is None
    assert scheduler.waiting() == [1, 2, 3, 4]


def test_a_settled_trial_goes_up_several_rungs_at_once_if_it_deserves_to():
    scheduler = asha(27)
    for epoch in (3, 9):
        for number in range(3):
            scheduler.enter(number, epoch, 0.5)
    assert scheduler.settle(7, 3, 0.1)  # settled exactly at a rung
    assert places(scheduler, 7) == [3, 9, 27]
    assert scheduler.missing_epochs() == 0


def test_a_settled_trial_is_never_promoted_nor_pruned():
    scheduler = asha(27)
    scheduler.settle(0, 2, 0.1)
    scheduler.enter(1, 3, 0.2)
    assert (scheduler.promotion(), scheduler.closing_promotion()) == (None, None)
    assert scheduler.waiting() == [1]


def test_a_poor_settled_trial_does_not_keep_the_best_from_being_completed():
    scheduler = asha(27)
    scheduler.settle(0, 2, 0.9)
    scheduler.enter(1, 3, 0.2)
    assert scheduler.completion() == scheduler.closing_promotion() == 1
    assert scheduler.missing_epochs() == 24


def test_full_training_counts_settled_trials_as_trained():
    scheduler = FullTraining(9, SearchSettings())
    assert scheduler.settle(0, 4, 0.5)
    assert scheduler.missing_epochs() == 0


def test_nothing_goes_on_before_eta_have_arrived():
    scheduler = asha()
    arrive(scheduler, [0.5, 0.1], epoch=1)
    assert scheduler.promotion() is None
    scheduler.enter(2, 1, 0.9)
    assert scheduler.promotion() == 1


def test_one_passed_over_is_promoted_when_more_arrive():
    scheduler = asha()
    arrive(scheduler, [0.1, 0.2, 0.3], epoch=1)
    assert [promote(scheduler), promote(scheduler)] == [0, None]
    for number in (3, 4, 5):
        scheduler.enter(number, 1, 0.9)
    assert [promote(scheduler), promote(scheduler)] == [1, None]


def test_higher_rungs_come_first():
    scheduler = asha(27)
    arrive(scheduler, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], epoch=1)
    for number in (0, 1, 2):
        assert promote(scheduler) == number
        scheduler.enter(number, 3, 0.1 * number)
    for number in (9, 10, 11):
        scheduler.enter(number, 1, 0.05)
    assert [promote(scheduler), promote(scheduler)] == [0, 9]


def test_failed_trials_rank_last_and_never_wait():
    scheduler = asha()
    arrive(scheduler, [math.inf, math.inf, 0.7], epoch=1)
    assert scheduler.waiting() == [2]
    assert promote(scheduler) == 2


def test_equal_losses_go_on_in_the_order_of_their_numbers():
    scheduler = asha()
    for number in (2, 0, 1):
        scheduler.enter(number, 1, 0.5)
    assert promote(scheduler) == 0


def test_one_that_left_is_not_promoted_but_keeps_its_rank():
    scheduler = asha()
    arrive(scheduler, [0.1, 0.2, 0.3], epoch=1)
    scheduler.leave(0)
    assert scheduler.promotion() is None
    for number in (3, 4, 5):
        scheduler.enter(number, 1, 0.9)
    assert scheduler.promotion() == 1


def test_the_close_lets_the_best_of_a_short_rung_go_on():
    scheduler = asha()
    arrive(scheduler, [0.2, 0.1], epoch=1)
    assert scheduler.promotion() is None
    assert scheduler.closing_promotion() == 1
    scheduler.leave(1)
    scheduler.enter(1, 3, 0.05)
    assert scheduler.closing_promotion() == 1
    scheduler.leave(1)
    scheduler.enter(1, 9, 0.01)
    assert scheduler.closing_promotion() is None
    assert scheduler.waiting() == [0]


def test_the_close_completes_another_where_the_best_failed():
    scheduler = asha()
    arrive(scheduler, [0.2, 0.1], epoch=1)
    scheduler.leave(1)
    scheduler.enter(1, 3, math.inf)
    assert scheduler.closing_promotion() == 0


def test_missing_epochs_are_those_of_the_furthest():
    scheduler = asha()
    assert scheduler.missing_epochs() == 0
    scheduler.enter(0, 1, 0.5)
    assert scheduler.missing_epochs() == 8
    scheduler.enter(1, 3, 0.9)
    assert scheduler.missing_epochs() == 6
    assert scheduler.completion() == 1
    scheduler.enter(2, 9, 0.9)
    assert scheduler.missing_epochs() == 0
    assert scheduler.completion() is None


def test_full_training_promotes_nobody():
    scheduler = FullTraining(30, SearchSettings())
    assert scheduler.next_stop(0, 0) == 30
    scheduler.enter(0, 30, 0.5)
    assert scheduler.waiting() == []
    assert scheduler.promotion() is None
    assert scheduler.closing_promotion() is None
    assert scheduler.missing_epochs() == 0


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "pbt"])
@given(losses=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, math.inf]), max_size=40))
def test_every_scheduler_brings_one_trial_to_the_end(name, losses):
    scheduler = SCHEDULERS[name](27, SearchSettings())
    completed = set()

    def train(number):
        epoch = at[number] = scheduler.next_stop(number, at.get(number, 0))
        scheduler.leave(number)
        scheduler.enter(number, epoch, losses[number])
        if epoch == 27 and losses[number] < math.inf:
            completed.add(number)

    at = {}
    for number in range(len(losses)):
        scheduler.begin(number)
        train(number)
        while (promoted := scheduler.promotion()) is not None:
            train(promoted)
    while (promoted := scheduler.closing_promotion()) is not None:
        train(promoted)
    finite = [loss for loss in losses if loss < math.inf]
    assert bool(completed) == bool(finite)
    if finite:
        assert min(losses[number] for number in completed) == min(finite)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(2, 4))
def test_asha_promotes_as_the_definition_says(losses, eta):
    """Oracle: Algorithm 2 of the paper, written with sets and sorting."""
    scheduler = asha(eta**3, reduction_factor=eta)
    reached = [{} for _ in scheduler.rungs]
    gone_on = [set() for _ in scheduler.rungs]

    def oracle():
        for k in reversed(range(len(reached) - 1)):
            ranking = sorted(reached[k], key=lambda number: (reached[k][number], number))
            best = [n for n in ranking[: len(ranking) // eta] if n not in gone_on[k]]
            if best:
                return best[0], k
        return None, None

    for number, loss in enumerate(losses):
        scheduler.enter(number, 1, loss)
        reached[0][number] = loss
        expected, rung = oracle()
        assert scheduler.promotion() == expected
        if expected is not None:
            gone_on[rung].add(expected)
            reached[rung + 1][expected] = losses[expected] + rung
            scheduler.leave(expected)
            scheduler.enter(expected, scheduler.rungs[rung + 1].epoch, losses[expected] + rung)


def test_the_brackets_are_those_of_the_paper():
    """Algorithm 1 with R = 27 and eta = 3, worked out by hand."""
    paper = Hyperband(27, SearchSettings())
    assert [[rung.epoch for rung in each.rungs] for each in paper.brackets] == [
        [1, 3, 9, 27],
        [3, 9, 27],
        [9, 27],
        [27],
    ]
    assert paper.shares == [27, 12, 6, 4]
    for number in range(49):
        paper.begin(number)
    assert paper.begun == [27, 12, 6, 4]
    assert [rung.epoch for rung in paper.brackets[-1].rungs] == [27]


@given(st.integers(1, 60))
def test_every_bracket_gets_its_share_from_the_start(trials):
    scheduler = Hyperband(27, SearchSettings())
    for number in range(trials):
        scheduler.begin(number)
    for begun, share in zip(scheduler.begun, scheduler.shares, strict=True):
        assert abs(begun - trials * share / 49) <= 1.5


def test_a_trial_is_judged_in_its_own_bracket():
    """One that begins at epoch 3 does not compete with those promoted from epoch 1."""
    scheduler = Hyperband(9, SearchSettings())
    for number in range(13):
        scheduler.begin(number)
    first = {number: scheduler.next_stop(number, 0) for number in range(13)}
    assert sorted(first.values()).count(1) == max(scheduler.begun)
    short = [number for number, epoch in first.items() if epoch == 1]
    middle = [number for number, epoch in first.items() if epoch == 3]
    for rank, number in enumerate(short):
        scheduler.enter(number, 1, 0.1 * rank)
    promoted = promote(scheduler)
    assert promoted == short[0]
    scheduler.enter(promoted, 3, 0.01)
    for number in middle[:3]:
        scheduler.enter(number, 3, 0.5 + number / 100)
    assert promote(scheduler) == short[1]
    scheduler.enter(short[1], 3, 0.02)
    assert promote(scheduler) == middle[0]
