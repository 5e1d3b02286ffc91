import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.motion import events
from search.motion.confirm import (
    best_trials,
    check_same_length,
    confirmation_seeds,
    finalists,
)
from search.motion.progress import TrialProgress
from search.study import Study
from search.trial import Finalist, State, Trial
from spaces import SearchSpace


def progress(number, loss, *, epoch=9, state=State.complete, family="a"):
    trial = TrialProgress(Trial(number, family, {"x": number}, 0), number, state=state)
    if loss is not None:
        trial.add(epoch, loss)
    return trial


@given(st.integers(0, 2**63 - 1), st.integers(0, 12), st.integers(0, 12))
def test_seeds_are_different_not_the_searchs_own_and_a_longer_list_begins_alike(seed, few, more):
    seeds = confirmation_seeds(seed, few + more)
    assert len(set(seeds)) == len(seeds) == few + more
    assert seed not in seeds
    assert confirmation_seeds(seed, few) == seeds[:few]
    assert all(0 <= number < 2**31 for number in seeds)


def test_a_study_seed_that_would_be_drawn_is_skipped():
    drawn = confirmation_seeds(7, 40)
    assert all(seed not in confirmation_seeds(seed, 5) for seed in drawn)


def test_complete_trials_go_before_longer_pruned_ones_and_these_before_better_short_ones():
    trials = [
        progress(0, 0.1, epoch=1, state=State.pruned),
        progress(1, 0.5, epoch=3, state=State.pruned),
        progress(2, 0.4, epoch=3, state=State.pruned),
        progress(3, 0.9),
        progress(4, 0.8),
        progress(5, 0.0, state=State.failed),
        progress(6, 0.0, state=State.stopped),
        progress(7, None, state=State.pruned),
    ]
    assert [trial.trial.number for trial in best_trials(trials, 9)] == [4, 3, 2, 1, 0]
    assert [trial.trial.number for trial in best_trials(trials, 1)] == [4]


def test_the_best_epoch_counts_not_the_last():
    one, other = progress(0, 0.5), progress(1, 0.2)
    other.add(10, 0.9)
    assert best_trials([one, other], 1) == [other]
    assert (other.best_loss, other.best_epoch) == (0.2, 9)


def test_equal_trials_rank_by_number():
    assert best_trials([progress(3, 0.5), progress(1, 0.5)], 1)[0].trial.number == 1


def test_finalists_go_seed_by_seed_over_all_families():
    chosen = finalists(
        {
            "a": [progress(0, 0.5), progress(1, 0.4)],
            "b": [progress(2, 0.3, family="b")],
            "c": [progress(3, 0.3, state=State.failed)],
        },
        top_per_family=2,
        seeds=[11, 12],
        confirmed={(None, 5), (2, 12)},
    )
    assert chosen == [
        Finalist("a", 1, 11),
        Finalist("b", 2, 11),
        Finalist("a", 1, 12),
        Finalist("a", 0, 11),
        Finalist("a", 0, 12),
    ]


def test_no_finalists_where_none_are_wanted():
    assert finalists({"a": [progress(0, 0.5)]}, top_per_family=0, seeds=[1], confirmed=()) == []


def settings(**changes):
    return Study.from_mapping(
        {"name": "s", "benchmark": "none", "families": ["lstm"]}
        | {"budget": {"trials_per_family": 4, "epochs": 4}}
        | changes
    )


def test_trials_of_one_study_are_of_one_length():
    opened = events.opened({"lstm": SearchSpace({})}, settings())
    longer = settings(budget={"trials_per_family": 4, "epochs": 9})
    check_same_length(longer, [opened])  # none was begun yet
    log = [opened, {"event": "proposed"}]
    check_same_length(settings(budget={"trials_per_family": 40, "epochs": 4, "patience": 2}), log)
    check_same_length(settings(search={"sampler": "random"}), log)
    with pytest.raises(ValueError, match=r"`budget.epochs` must stay 4, .* got 9; .*warm_start`"):
        check_same_length(longer, log)
    for name, value in (
        ("scheduler", "none"),
        ("first_rung_epochs", 2),
        ("reduction_factor", 4),
        ("perturbation_epochs", 2),
    ):
        scheduler = {"scheduler": "pbt"} if name == "perturbation_epochs" else {}
        first = events.opened({"lstm": SearchSpace({})}, settings(search=scheduler))
        with pytest.raises(ValueError, match=f"`search.{name}` must stay .* got {value}"):
            check_same_length(
                settings(search=scheduler | {name: value}), [first, {"event": "proposed"}]
            )


def test_finalists_of_one_study_are_trained_alike():
    opened = events.opened({"lstm": SearchSpace({})}, settings())
    log = [opened, {"event": "proposed"}, {"event": "tested"}, {"event": "closed"}]
    check_same_length(
        settings(budget={"trials_per_family": 4, "epochs": 4, "device_seconds": 9.0}), log
    )
    with pytest.raises(ValueError, match=r"`budget.patience` must stay unset, .* got 2"):
        check_same_length(
            settings(budget={"trials_per_family": 4, "epochs": 4, "patience": 2}), log
        )
