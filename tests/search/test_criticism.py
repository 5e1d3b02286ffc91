"""What is said to have been weak about searches that were weak on purpose, and about none other."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.insight.criticism import Search, Weakness, criticism, weaknesses
from search.insight.effects import idle_settings, settings_at_an_end
from search.insight.next_study import next_study
from search.insight.observations import Evidence, Observation
from search.insight.rungs import foresight
from search.motion.simulation import PowerLaw
from search.store.ranges import RANGES
from search.study import Study
from search.trial import Trial
from spaces import Config, Int

Simulated = Callable[..., Path]
SOUND = PowerLaw(rate=4.0, noise=0.01)


def of_kind(folder: Path, kind: str) -> list[Weakness]:
    return [found for found in weaknesses(Search.of(folder)) if found.kind == kind]


@dataclass(frozen=True)
class Endless(PowerLaw):
    """The larger the better, at any learning rate nearly; the depth does nothing."""

    def end(self, config: Config) -> float:
        rate = math.log10(config["training"]["learning_rate"])
        return 10 - 9 * float(config["model"]["size"]) - 0.5 * rate


@dataclass(frozen=True)
class Turning(PowerLaw):
    """What is worst after the first epoch is best at the end."""

    def value(self, trial: Trial, epoch: int) -> float:
        end = self.end(trial.config)
        return 100 - end if epoch == 1 else end


@dataclass(frozen=True)
class LateFinder(PowerLaw):
    """Only the last trials are good."""

    def value(self, trial: Trial, epoch: int) -> float:
        late = trial.number >= 20 or trial.finalist_of is not None
        return super().value(trial, epoch) - 5 * late


@dataclass(frozen=True)
class Fragile(PowerLaw):
    """Diverges at most learning rates."""

    def value(self, trial: Trial, epoch: int) -> float:
        high = trial.config["training"]["learning_rate"] > 0.01
        return math.nan if high and epoch > 2 else super().value(trial, epoch)


def test_a_sound_search_is_not_criticised(simulated_study: Simulated) -> None:
    families = {"gru": SOUND, "rnn": PowerLaw(floor=2.0, rate=4.0, noise=0.01)}
    assert criticism(simulated_study(families)) == []


def test_best_values_at_an_end_and_settings_without_effect(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": Endless(rate=4.0)})
    (edge,) = of_kind(folder, "edge")
    assert (edge.family, edge.setting) == ("gru", "model/size")
    assert edge.sentence.startswith("gru: the best model/size (0.9")
    assert edge.sentence.endswith("lies at the upper end of its range, 0 .. 1.")
    (idle,) = of_kind(folder, "idle")
    assert idle.sentence == (
        "gru: no trace of an effect, in 24 trials at epoch 20, of model/depth."
    )


def test_without_known_ranges_nothing_is_said_of_settings(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": Endless(rate=4.0)})
    (folder / RANGES).write_text("{")
    assert not {found.kind for found in weaknesses(Search.of(folder))} & {"edge", "idle"}
    (folder / RANGES).unlink()
    assert not {found.kind for found in weaknesses(Search.of(folder))} & {"edge", "idle"}


def test_families_stopped_while_they_improved(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": SOUND, "rnn": PowerLaw(floor=2.0, rate=0.2, noise=0.01)})
    (found,) = of_kind(folder, "epochs")
    assert found.family == "rnn"
    share = (18**-0.2 - 20**-0.2) / (1 - 20**-0.2)
    assert f"the last 2 of 20 epochs brought {100 * share:.3g} % of" in found.sentence


def test_searches_that_were_still_finding_better_trials(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": LateFinder(rate=4.0, noise=0.01)})
    (found,) = of_kind(folder, "trials")
    assert "the last quarter of its 24 trials improved the best by" in found.sentence


def test_seeds_that_differ_more_than_families(simulated_study: Simulated) -> None:
    noisy = PowerLaw(rate=4.0, noise=1.0, spread=0.0)
    (found,) = of_kind(simulated_study({"gru": noisy, "rnn": noisy}), "seeds")
    assert found.sentence.startswith("Seeds differ more than families: standard deviations of ")


def test_families_of_which_many_trials_diverged(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": Fragile(rate=4.0, noise=0.01), "rnn": SOUND})
    (found,) = of_kind(folder, "diverged")
    trials = [t for t in Search.of(folder).history.summary.trials.values() if t.family == "gru"]
    diverged = sum(trial.state == "failed" for trial in trials)
    assert diverged > 5
    assert found.sentence == f"gru: {diverged} of 24 trials diverged."


def test_rungs_that_foretold_nothing(simulated_study: Simulated) -> None:
    asha = {"sampler": "random", "scheduler": "asha"}
    budget = {"trials_per_family": 27, "epochs": 27}
    turning = simulated_study({"gru": Turning()}, search=asha, budget=budget)
    (found,) = of_kind(turning, "rungs")
    assert "ranks at epoch 1 said little of those at epoch 3 (rank correlation -1.00 over" in (
        found.sentence
    )
    straight = simulated_study({"gru": SOUND}, name="straight", search=asha, budget=budget)
    assert of_kind(straight, "rungs") == []


def test_rank_correlations_from_rung_to_rung() -> None:
    early, late = [1.0, 2.0, 3.0, 4.0], [0.2, 0.1, 0.4, 0.3]
    curves = {n: {1: early[n], 3: late[n]} for n in range(4)}
    curves |= {number: {1: 9.0} for number in (4, 5)}
    (found,) = foresight("gru", curves)
    assert (found.from_epoch, found.to_epoch, found.trials) == (1, 3, 4)
    assert found.correlation == pytest.approx(0.6)  # 1 - 6 * 4 / (4 * 15), by hand
    assert foresight("gru", {}) == []
    (equal,) = foresight("gru", {n: {1: 1.0, 2: 2.0} for n in range(3)} | {3: {1: 5}, 4: {1: 5}})
    assert equal.correlation is None


def test_the_next_study_answers_what_was_left_open(simulated_study: Simulated) -> None:
    tie = PowerLaw(rate=0.2, noise=1.0, spread=0.0)
    beaten = PowerLaw(floor=100.0, rate=4.0, noise=0.01)
    folder = simulated_study(
        {"gru": tie, "tcn": tie, "rnn": beaten}, space={"rnn": {"dropout": 0.1}}, seed=5
    )
    text = next_study(folder)
    assert text.startswith("# After simulated, with another seed: a search is one draw.\n")
    (folder / "next.toml").write_text(text)
    following = Study.load(folder / "next.toml")
    assert (following.name, following.seed) == ("simulated-next", 6)
    assert following.families == ("gru", "tcn")
    assert following.space == {}
    assert following.confirm.seeds == 10
    assert following.budget.epochs == 40
    assert following.budget.trials_per_family == 24
    assert following.search == Study.load(folder / "study.toml").search


def test_the_next_study_takes_back_what_narrowed_too_much(simulated_study: Simulated) -> None:
    folder = simulated_study(
        {"gru": Endless(rate=4.0)},
        space={"gru": {"size": {"low": 0.0, "high": 1.0}, "depth": {"low": 0.1}}},
        confirm={"seeds": 3},
    )
    text = next_study(folder)
    assert "# The whole range again of gru: size.\n" in text
    (folder / "next.toml").write_text(text)
    following = Study.load(folder / "next.toml")
    assert following.space == {"gru": {"depth": {"low": 0.1}}}
    assert following.confirm.seeds == 5


def test_the_next_study_of_late_finders_and_blind_rungs(simulated_study: Simulated) -> None:
    late = simulated_study({"gru": LateFinder(rate=4.0, noise=0.01)})
    (late / "next.toml").write_text(next_study(late))
    assert Study.load(late / "next.toml").budget.trials_per_family == 48
    asha = {"sampler": "random", "scheduler": "asha"}
    budget = {"trials_per_family": 27, "epochs": 27}
    blind = simulated_study({"gru": Turning()}, name="blind", search=asha, budget=budget)
    (blind / "next.toml").write_text(next_study(blind))
    assert Study.load(blind / "next.toml").search.first_rung_epochs == 3


@settings(max_examples=30)
@given(
    st.sampled_from([SOUND, Fragile(), PowerLaw(spread=0.0), Turning()]),
    st.sampled_from(["none", "asha"]),
    st.integers(1, 25),
    st.integers(1, 12),
    st.integers(0, 2),
)
def test_any_search_can_be_criticised(
    tmp_path_factory: pytest.TempPathFactory,
    simulate_in: Simulated,
    family: PowerLaw,
    scheduler: str,
    trials: int,
    epochs: int,
    top: int,
) -> None:
    """Nothing that may come out of a search must break the end of a run."""
    folder = simulate_in(
        tmp_path_factory.mktemp("studies"),
        {"gru": family, "rnn": SOUND},
        budget={"trials_per_family": trials, "epochs": epochs},
        search={"sampler": "random", "scheduler": scheduler},
        confirm={"top_per_family": top, "seeds": 2},
    )
    sentences = criticism(folder)
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
    (folder / "next.toml").write_text(next_study(folder))
    assert Study.load(folder / "next.toml").name == "simulated-next"


def test_ranges_of_a_single_value_that_was_tried() -> None:
    """Whole numbers of which every trial drew the same."""
    leaf = {"width": Int(1, 2)}
    seen = [Observation(number, {"width": 1}, dict(leaf), float(number)) for number in range(30)]
    assert idle_settings(Evidence("gru", 1, seen, 0)) == []
    assert settings_at_an_end(Evidence("gru", 1, seen, 0)) == []
