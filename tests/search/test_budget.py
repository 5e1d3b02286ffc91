import pytest

from search.motion.budget import Ledger
from search.study import Budget
from search.trial import State


def ledger(families=("a", "b"), **budget):
    return Ledger(Budget(epochs=10, **budget), families)


def test_trials_are_counted_by_family():
    shares = ledger(trials_per_family=2)
    assert shares.may_propose("a", held_back_epochs=0)
    shares.accounts["a"].proposed = 2
    assert not shares.may_propose("a", held_back_epochs=0)
    assert shares.may_propose("b", held_back_epochs=0)
    assert shares.may_train("a")
    assert (shares.idle("a"), shares.idle("b")) == (0, 2)


def test_with_trials_the_order_does_not_depend_on_the_clock():
    shares = ledger(families=("a", "b", "c"), trials_per_family=9)
    for name, seconds in (("a", 100.0), ("b", 1.0), ("c", 10.0)):
        shares.accounts[name].proposed = 2
        shares.accounts[name].device_seconds = seconds
    assert shares.order() == ["a", "b", "c"]
    shares.accounts["a"].reserved_epochs = 3
    shares.accounts["b"].trained_epochs = 4
    assert shares.order() == ["c", "a", "b"]
    shares.accounts["c"].proposed = 3
    assert shares.order() == ["a", "b", "c"]


def test_device_seconds_count_what_is_reserved():
    shares = ledger(device_seconds=100.0)
    for name, seconds in (("a", 20.0), ("b", 30.0)):
        shares.accounts[name].proposed = 1
        shares.accounts[name].trained_epochs = 10
        shares.accounts[name].device_seconds = seconds
    assert shares.order() == ["a", "b"]
    shares.accounts["a"].reserved_epochs = 6  # at two seconds each
    assert shares.order() == ["b", "a"]
    assert shares.may_propose("a", held_back_epochs=8)
    assert not shares.may_propose("a", held_back_epochs=9)
    shares.accounts["a"].reserved_epochs = 15
    assert not shares.may_train("a")
    assert shares.may_train("b")
    assert shares.idle("b") == 20.0


def test_the_first_trial_always_fits_and_the_second_waits_for_a_measured_epoch():
    shares = ledger(device_seconds=0.001)
    assert shares.may_propose("a", held_back_epochs=0)
    shares = ledger(device_seconds=100.0)
    account = shares.accounts["a"]
    account.proposed, account.reserved_epochs = 1, 10
    assert not shares.may_propose("a", held_back_epochs=0)
    account.reserved_epochs, account.trained_epochs, account.device_seconds = 9, 1, 2.0
    assert shares.may_propose("a", held_back_epochs=0)


def test_a_family_without_an_epoch_is_reckoned_at_the_mean_of_the_others():
    shares = ledger(device_seconds=100.0)
    measured, new = shares.accounts["a"], shares.accounts["b"]
    measured.trained_epochs, measured.device_seconds = 10, 40.0
    new.reserved_epochs = 9
    assert shares.order() == ["b", "a"]
    new.reserved_epochs = 11
    assert shares.order() == ["a", "b"]


def test_all_limits_hold_together():
    shares = ledger(trials_per_family=3, device_seconds=10.0)
    account = shares.accounts["a"]
    account.proposed, account.trained_epochs, account.device_seconds = 1, 10, 6.0
    assert not shares.may_propose("a", held_back_epochs=0)
    assert not shares.may_train("a")


def test_wall_clock_seconds_limit_no_family():
    shares = ledger(seconds=5.0)
    shares.accounts["a"].proposed = 1000
    assert shares.may_propose("a", held_back_epochs=10)
    assert shares.idle("a") == 0.0


def test_ends_are_booked_by_fate():
    account = ledger(trials_per_family=3).accounts["a"]
    account.book_end(State.pruned, 1.5)
    account.book_end(State.pruned, 2.0)
    account.book_end(State.failed, 0.5)
    assert account.trials_by_fate == {State.pruned: 2, State.failed: 1}
    assert account.seconds_by_fate == pytest.approx({State.pruned: 3.5, State.failed: 0.5})
