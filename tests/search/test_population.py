"""Population-based training in motion: who goes on as a copy of whom, and what that is worth."""

import json
import math
from dataclasses import dataclass
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.insight.observations import best_so_far, search_curves
from search.motion.copying import explore, varies
from search.motion.mates import ArraySize
from search.motion.population import PopulationTraining
from search.motion.rehearsal import rehearse
from search.motion.simulation import METRIC, Simulation, StandIn
from search.problem import Problem
from search.report.tables import accounts
from search.results.display import family_block, trial_block
from search.results.history import read_history
from search.results.standing import standings
from search.results.summary import StudySummary
from search.study import SearchSettings, Study
from search.trial import Outcome, State
from spaces import Choice, Float, Int, OneOf, SearchSpace, contains, sample
from trainers.tasks import Classification
from trainers.training.optim import training_space
from trainers.training.phases import Phases, frame

EPOCHS = 20
SPACE = SearchSpace(
    {
        "model": SearchSpace({"name": Choice(["a"]), "size": Float(0, 1)}),
        "training": SearchSpace({"learning_rate": Float(1e-4, 1.0, log=True)}),
    }
)


@dataclass(frozen=True)
class Moving(StandIn):
    """The best learning rate falls from 1 to 1e-4; an epoch gains by how near its rate was.

    All that was gained is in the weights, so that a copy begins with what its donors gained.
    """

    epoch_seconds: float = 1.0
    space = SPACE

    def value(self, trial, epoch):
        phases = Phases(trial.config["training"], trial.earlier)
        return 1 - sum(self.gain(phases.at(done), done) for done in range(epoch)) / EPOCHS

    @staticmethod
    def gain(training, done):
        best = -4 * done / (EPOCHS - 1)
        return math.exp(-2 * (math.log10(training["learning_rate"]) - best) ** 2)

    def seconds(self, trial):
        return self.epoch_seconds

    def test(self, trial):
        return self.value(trial, EPOCHS)


def make_study(scheduler="pbt", trials=8, families=("a",), **changes):
    study = {
        "name": "test",
        "benchmark": "none",
        "families": families,
        "budget": {"trials_per_family": trials, "epochs": EPOCHS},
        "search": {"sampler": "random", "scheduler": scheduler},
        "confirm": {"top_per_family": 1, "seeds": 2},
    }
    return Study.from_mapping(study | changes)


def run(study, slots=1, fault=None):
    families = {name: Moving(1 + place) for place, name in enumerate(study.families)}
    simulation = Simulation(study, families, slots=slots, fault=fault)
    simulation.run()
    return simulation


def play(scheduler, losses, first=0):
    """Begin members with these losses, and enter them at the first rung."""
    scheduler.expect(len(losses))
    for number, loss in enumerate(losses, first):
        scheduler.begin(number)
        scheduler.enter(number, 2, loss)


def test_the_worst_quarter_goes_on_as_copies_of_the_best():
    scheduler = PopulationTraining(EPOCHS, SearchSettings())
    play(scheduler, [0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0.4])
    todo = scheduler.replacements()
    assert [(each.number, each.donors, each.epoch, each.ended) for each in todo] == [
        (2, (1, 3), 2, False),
        (0, (1, 3), 2, False),
    ]
    scheduler.replace(2, 8)
    scheduler.replace(0, 9)
    assert scheduler.replacements() == []
    assert scheduler.replaced() == [0, 2]
    for number in scheduler.replaced():
        scheduler.give_up(number)
    went = []
    while (number := scheduler.promotion()) is not None:
        went.append(number)
        scheduler.leave(number)
    assert went == [1, 3, 5, 7, 6, 4]


def test_nobody_waits_for_the_rest_who_is_surely_in_neither_quarter():
    scheduler = PopulationTraining(EPOCHS, SearchSettings())
    scheduler.expect(8)
    for number in range(8):
        scheduler.begin(number)
    for number, loss in enumerate([0.1, 0.2, 0.3, 0.4]):
        scheduler.enter(number, 2, loss)
        assert scheduler.promotion() is None
    scheduler.enter(4, 2, 0.25)
    assert scheduler.promotion() == 4
    scheduler.leave(4)
    assert scheduler.promotion() is None
    assert scheduler.replacements() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=17), st.randoms(use_true_random=False))
def test_whoever_may_go_on_early_changes_nobodys_fate(losses, rng):
    at_once = PopulationTraining(EPOCHS, SearchSettings())
    play(at_once, losses)
    bit_by_bit = PopulationTraining(EPOCHS, SearchSettings())
    bit_by_bit.expect(len(losses))
    for number in range(len(losses)):
        bit_by_bit.begin(number)
    order = list(enumerate(losses))
    rng.shuffle(order)
    for number, loss in order:
        while (early := bit_by_bit.promotion()) is not None:
            bit_by_bit.leave(early)
        bit_by_bit.enter(number, 2, loss)
    assert bit_by_bit.replacements() == at_once.replacements()


def test_a_failed_member_is_replaced_and_one_that_a_person_stopped_is_not():
    scheduler = PopulationTraining(EPOCHS, SearchSettings())
    scheduler.expect(6)
    for number in range(6):
        scheduler.begin(number)
    scheduler.give_up(5)
    for number, loss in enumerate([0.2, math.inf, math.inf, 0.1, 0.3]):
        scheduler.enter(number, 2, loss)
    todo = scheduler.replacements()
    assert [(each.number, each.donors, each.ended) for each in todo] == [
        (1, (3,), True),
        (2, (3,), True),
    ]


def test_the_rungs_are_equally_far_apart():
    assert PopulationTraining.ladder(30, SearchSettings()) == [*range(3, 31, 3)]
    every_4 = SearchSettings(perturbation_epochs=4)
    assert PopulationTraining.ladder(10, every_4) == [4, 8, 10]
    assert PopulationTraining.ladder(3, SearchSettings()) == [1, 2, 3]
    assert PopulationTraining.ladder(3, every_4) == [3]


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("trials", [4, 7, 12])
def test_a_population_spends_exactly_what_its_trials_would_without_a_scheduler(slots, trials):
    simulation = run(make_study(trials=trials, families=("a", "b")), slots)
    accounts = simulation.conductor.state.ledger.accounts
    assert {account.trained_epochs for account in accounts.values()} == {trials * EPOCHS}
    assert {account.proposed for account in accounts.values()} == {trials}
    for family in simulation.conductor.state.families.values():
        members = [simulation.conductor.state.trials[number] for number in family.trials]
        assert sum(at.state == State.complete for at in members) == trials
        copies = [at for at in members if at.trial.copied_from]
        assert len(copies) == 9 * (trials // 4)  # a quarter at each rung but the last
        assert sum(at.state == State.pruned for at in members) == len(copies)


def test_slots_stay_busy_but_for_moments():
    simulation = run(make_study(trials=12, confirm={"top_per_family": 0}), slots=2)
    assert simulation.now <= 1.05 * 12 * EPOCHS / 2


def test_members_that_fail_are_replaced_and_their_epochs_are_spent_by_copies():
    def fault(lease, epoch):
        return Outcome.failed("mishap") if (lease.trial.number, epoch) in {(0, 3), (5, 1)} else None

    simulation = run(make_study(trials=8, confirm={"top_per_family": 0}), 3, fault)
    trials = simulation.conductor.state.trials
    assert [at.trial.number for at in trials if at.state == State.failed] == [0, 5]
    assert sum(at.state == State.complete for at in trials) == 8
    # an epoch that fails is not reported, and its copies begin where the others stand then
    assert simulation.conductor.state.ledger.accounts["a"].trained_epochs == 8 * EPOCHS - 2 - 2


def test_each_copy_begins_where_its_donor_stands_with_other_training_settings_alone():
    simulation = run(make_study(trials=8), slots=3)
    trials = simulation.conductor.state.trials
    copies = [at for at in trials if at.trial.copied_from]
    assert copies
    for at in copies:
        number, epoch = at.trial.copied_from
        donor = trials[number].trial
        assert at.trial.config["model"] == donor.config["model"]
        assert at.trial.config["training"] != donor.config["training"]
        assert contains(SPACE, at.trial.config)
        assert [each for each, _ in at.history] == [*range(epoch + 1, at.epoch + 1)]
        *before, last = at.trial.earlier
        assert before == donor.earlier
        assert last == {"until": epoch, "training": donor.config["training"]}


def test_finalists_go_through_the_settings_that_led_to_the_winner():
    simulation = run(make_study(trials=8))
    trials = simulation.conductor.state.trials
    runs = [at for at in trials if not at.in_search]
    assert len(runs) == 2
    for at in runs:
        winner = trials[at.trial.finalist_of]
        assert winner.trial.copied_from is not None
        assert at.trial.earlier == winner.trial.earlier
        assert at.trial.copied_from is None
        assert at.history[-1] == winner.history[-1]  # this family knows no noise of seeds


def test_samplers_hear_of_trials_from_scratch_alone():
    simulation = run(make_study(trials=8, search={"sampler": "tpe", "scheduler": "pbt"}))
    family = simulation.conductor.state.families["a"]
    assert sorted(family.sampler._known) == list(range(8))


def final_best(study):
    return min(at.best_loss for at in run(study).conductor.state.trials if at.in_search)


def test_where_the_best_settings_change_on_the_way_it_beats_as_much_random_search():
    """20 seeds each; a worse method would win 15 of 20 by chance in 2 % of such tests."""
    with_pbt, without = (
        [final_best(make_study(scheduler, trials=12, seed=seed)) for seed in range(20)]
        for scheduler in ("pbt", "none")
    )
    assert sum(ours < theirs for ours, theirs in zip(with_pbt, without, strict=True)) >= 15
    assert median(with_pbt) < median(without)


def test_more_budget_adds_a_population_of_its_own():
    first = run(make_study(trials=8))
    later = Simulation(make_study(trials=14), {"a": Moving()})
    later.resume(first.log)
    later.run()
    state = later.conductor.state
    assert state.ledger.accounts["a"].trained_epochs == 14 * EPOCHS
    over = len(first.conductor.state.trials)
    for at in state.trials[over:]:
        if at.trial.copied_from:
            assert at.trial.copied_from[0] >= over


@pytest.mark.parametrize("examples", [100])
def test_every_training_setting_that_may_change_does_and_no_other(examples):
    task = Classification(input_size=2, classes=3, class_weights=(1.0, 1.0, 1.0))
    space = SearchSpace({"training": training_space(task, examples)})
    rng = Random(0)
    changed = set()
    for _ in range(200):
        config = sample(space, rng)
        other = explore(space, config, rng)
        assert contains(space, other)
        assert other != config
        assert frame(other["training"]) == frame(config["training"])
        mine, theirs = (flat(each["training"]) for each in (config, other))
        changed |= {name for name in mine if mine[name] != theirs[name]}
    assert changed == {
        "optimizer.learning_rate",
        "optimizer.weight_decay",
        "optimizer.momentum",
        "schedule.warmup",
        "schedule.factor",
        "schedule.patience",
        "clip_norm",
        "weight_averaging",
        "label_smoothing",
    }


def flat(tree, path=""):
    found = {}
    for name, value in tree.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{path}{name}.") if inner else {f"{path}{name}": value}
    return found


def test_a_setting_of_0_is_off_and_stays_off():
    space = SearchSpace({"training": SearchSpace({"a": Float(0, 1), "b": Float(1, 2)})})
    config = {"training": {"a": 0.0, "b": 1.5}}
    found = [explore(space, config, Random(seed))["training"] for seed in range(20)]
    assert {each["a"] for each in found} == {0.0}
    assert len({each["b"] for each in found}) > 5


def test_what_lies_outside_todays_ranges_is_copied_as_it_is():
    space = SearchSpace({"training": SearchSpace({"a": Float(0, 1)})})
    config = {"training": {"a": 2.0}}
    assert explore(space, config, Random(0)) == config


def test_whether_there_is_anything_to_change():
    fixed = SearchSpace({"training": SearchSpace({"a": Float(1, 1), "b": Int(1, 9)})})
    assert not varies(fixed)
    assert not varies(SearchSpace({"model": SearchSpace({"a": Float(0, 1)})}))
    branch = OneOf({"x": SearchSpace({"rate": Float(0, 1)})}, default="x")
    assert varies(SearchSpace({"training": SearchSpace({"optimizer": branch})}))


def test_the_log_is_plain_json():
    simulation = run(make_study(trials=4))
    for event in simulation.log:
        assert json.loads(json.dumps(event)) == event


REFUSED = {
    "patience": ({"trials_per_family": 8, "patience": 2}, "no `budget.patience`, got 2"),
    "device_seconds": (
        {"trials_per_family": 8, "device_seconds": 60.0},
        "no `budget.device_seconds`, got 60",
    ),
    "few": ({"trials_per_family": 3}, "the size of the population, of 4 or more, got 3"),
    "none": ({"seconds": 60.0}, "the size of the population, of 4 or more, got none"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_budgets_that_do_not_go_with_it_are_refused(case):
    budget, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        make_study(budget=budget)


def test_wall_clock_seconds_end_it_in_time():
    budget = {"trials_per_family": 8, "epochs": EPOCHS, "seconds": 50.0}
    simulation = run(make_study(budget=budget, confirm={"top_per_family": 0}), slots=2)
    assert 50 <= simulation.now <= 52
    assert all(at.state.final for at in simulation.conductor.state.trials)
    assert simulation.log[-1]["event"] == "searched"
    assert METRIC in simulation.log[5].get("valid", {METRIC})


def summary_of(simulation):
    summary = StudySummary("test")
    for event in simulation.log:
        known = {"metric": METRIC, "maximize": False} if event["event"] == "opened" else {}
        summary.add({**event, **known})
    return summary


def test_the_leaderboard_says_who_is_a_copy_and_when_settings_changed():
    simulation = run(make_study(trials=8))
    summary = summary_of(simulation)
    copies = [at.trial for at in simulation.conductor.state.trials if at.trial.copied_from]
    told = {trial.trial: trial for trial in summary.trials.values()}
    assert [each.number for each in copies] == [
        number for number, trial in told.items() if trial.copied_from is not None
    ]
    for each in copies:
        assert (told[each.number].copied_from, told[each.number].copied_at) == each.copied_from
    searched = [trial for trial in told.values() if trial.finalist_of is None]
    assert sum(trial.trained_epochs for trial in searched) == 8 * EPOCHS
    places = standings(summary)
    notes = family_block(summary).notes
    assert f"Population-based training: {len(copies)} of the trials are copies" in " ".join(notes)
    *before, last = [phase["until"] for phase in places[0].best.phases]
    epochs = f"{', '.join(map(str, before))} and {last}"
    changes = f"a: the training settings of its best changed after epoch {epochs}, "
    assert any(note.startswith(changes) for note in notes)
    block = trial_block(summary)
    place = block.headings.index("copied from")
    origins = {row[0]: row[place] for row in block.cells}
    assert origins[str(copies[0].number)] == "{} at {}".format(*copies[0].copied_from)
    assert [account.epochs for account in accounts(summary, places)] == [10 * EPOCHS]


def test_without_copies_nothing_is_said_of_them():
    summary = summary_of(run(make_study("none", trials=4)))
    assert "copied from" not in trial_block(summary).headings
    assert not any("Population" in note for note in family_block(summary).notes)


def test_a_curve_of_a_copy_begins_with_its_ancestors(tmp_path):
    simulation = run(make_study(trials=8))
    lines = [{"event": "study", "format": 1, "study": "test"}]
    for event in simulation.log:
        known = {"metric": METRIC, "maximize": False} if event["event"] == "opened" else {}
        lines.append({**event, **known})
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    history = read_history(tmp_path)
    at = next(at for at in reversed(simulation.conductor.state.trials) if at.trial.copied_from)
    curve = best_so_far(history, at.trial.number)
    assert list(curve) == [*range(1, at.epoch + 1)]
    lineage = [Moving().value(at.trial, epoch) for epoch in range(1, at.epoch + 1)]
    assert list(curve.values()) == pytest.approx(lineage)
    scratch = {
        at.trial.number for at in simulation.conductor.state.trials if at.proposal is not None
    }
    assert set(search_curves(history, "a")) == scratch


@pytest.mark.parametrize("trials", [8, 100])
def test_a_plan_foresees_its_work(trials):
    study = make_study(trials=trials)
    work = rehearse(study, {"a": 2.0}).families["a"]
    assert work.trials == trials
    assert work.search_seconds == pytest.approx(trials * EPOCHS * 2.0)
    assert work.confirm_seconds == pytest.approx(2 * EPOCHS * 2.0)


def test_a_space_without_anything_to_change_is_refused():
    study = {
        "name": "test",
        "benchmark": {"name": "adding", "length": 8, "train_examples": 64},
        "families": ["gru"],
        "budget": {"trials_per_family": 4},
        "search": {"scheduler": "pbt"},
        "space": {
            "training": {
                "optimizer": {"name": "rmsprop", "learning_rate": 0.001},
                "schedule": "constant",
                "clip_norm": 1.0,
            }
        },
    }
    with pytest.raises(ValueError, match="must have a number in the training section to change"):
        Problem.of(Study.from_mapping(study))


@pytest.mark.parametrize("slots", [1, 3])
def test_members_that_train_as_arrays_spend_as_much_and_donors_wait_for_their_copies(slots):
    study = make_study(trials=9)
    simulation = Simulation(study, {"a": Moving()}, slots=slots)
    simulation.conductor.array_sizes = {"a": ArraySize(3, 2)}
    simulation.run()
    assert simulation.conductor.state.ledger.accounts["a"].trained_epochs == 9 * EPOCHS
    copied = [event for event in simulation.log if "copied_from" in event]
    assert copied
    for event in copied:
        before = simulation.log[: simulation.log.index(event)]
        number, epoch = event["copied_from"]
        last = next(each for each in reversed(before) if each.get("trial") == number)
        assert (last["event"], last["epoch"]) == ("paused", epoch)
