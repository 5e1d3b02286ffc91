"""The verdict of a study: who leads, by how much, how surely, and who cannot be told apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from search.results.cells import count, interval, number, p_is, probability
from search.results.index import summarize
from search.results.pairs import PairVerdict, pair_verdicts
from search.results.standing import Standing, standings
from search.results.statistics import BEATS_SEEDS, Interval
from search.results.summary import StudySummary

ONE_DRAW = (
    "The search itself was one draw: this is about the finalists it found, and another search "
    "might have found better ones of any family."
)
REFITTED = (
    "Finalists were trained again, on train and validation together, for the epochs that had been "
    "best on validation; test values are of these models, validation values are from before."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of the families of one study.

    Attributes:
        leader: The family with the best mean on the test split; None without finalists.
        winner: The leader, if it beats every other family that has finalists.
        pairs: Every pair of families that can be compared, those of the better families first.
        sentences: All of it in words.
    """

    leader: str | None
    winner: str | None
    pairs: list[PairVerdict]
    sentences: list[str]

    @classmethod
    def of(cls, directory: str | Path) -> Self:
        """The verdict of the study in `directory`, as far as that is.

        Raises:
            FileNotFoundError: There is no study.
            ValueError: Its log is corrupt.
        """
        summary = summarize(Path(directory))
        return cls.over(summary, standings(summary))

    @classmethod
    def over(cls, summary: StudySummary, places: Sequence[Standing]) -> Self:
        """The verdict on families that stand so, best first."""
        tested = [place for place in places if place.tests and not place.is_baseline]
        if not tested:
            return cls(None, None, [], [_unconfirmed(summary, places)])
        pairs = pair_verdicts(tested, summary.looks())
        leader, rivals = tested[0].family, {place.family for place in tested[1:]}
        beaten = {pair.worse for pair in pairs if pair.beats and pair.better == leader}
        winner = leader if rivals and rivals <= beaten else None
        sentences = [
            *_about_leader(summary, tested, winner),
            *_about_pairs(tested, pairs),
            *_about_race(summary),
            *_about_baseline(summary, places),
            *_about_unconfirmed(places),
            *([REFITTED] if summary.refitted else []),
            ONE_DRAW,
        ]
        return cls(leader, winner, pairs, sentences)


def _unconfirmed(summary: StudySummary, places: Sequence[Standing]) -> str:
    leader = next((place for place in places if place.rank == 1), None)
    if leader is None:
        return "There is nothing to judge yet: no trial has a validation value."
    return (
        f"There are no finalists, so nothing is sure: {leader.family} leads with a validation "
        f"{summary.metric} of {number(leader.valid)}, which is one seed and the best of many "
        f"trials, so too good to be true."
    )


def _about_leader(
    summary: StudySummary, tested: Sequence[Standing], winner: str | None
) -> list[str]:
    leader = tested[0]
    test, wide, seeds = leader.test, leader.over_examples, len(leader.tests)
    assert test is not None
    verb = "wins" if winner else "leads"
    value = f"{leader.family} {verb} with a test {summary.metric} of {_mean(test)}"
    if seeds == 1:
        return [f"{value}, on a single seed: that says nothing of how sure it is."]
    over = f"{value} (95 % interval over {seeds} seeds"
    if wide is None:
        alone = "The losses of single test examples are not known, so that all is over seeds alone."
        return [f"{over}).", alone]
    examples = len(_row(leader))
    return [f"{over}; {_mean(wide)} over seeds and {count(examples)} test examples)."]


def _about_pairs(tested: Sequence[Standing], pairs: Sequence[PairVerdict]) -> list[str]:
    leader = tested[0].family
    if len(tested) == 1:
        return [f"Only {leader} has finalists, so there is nothing to compare it with."]
    sentences = []
    if not any(pair.seeds >= BEATS_SEEDS for pair in pairs):
        sentences.append(f"Under {BEATS_SEEDS} seeds no family is said to beat another.")
    of_leader = [pair for pair in pairs if leader in {pair.better, pair.worse}]
    sentences += [_against(leader, pair) for pair in of_leader]
    compared = {family for pair in of_leader for family in (pair.better, pair.worse)}
    strangers = [place.family for place in tested[1:] if place.family not in compared]
    if strangers:
        sentences.append(f"Too few seeds in common with {leader}: {_list(strangers)}.")
    return sentences + _among_others(leader, pairs)


def _against(leader: str, pair: PairVerdict) -> str:
    """What may be said of the leader and one other family."""
    other = pair.worse if pair.better == leader else pair.better
    ahead = "ahead" if pair.better == leader else "behind on the seeds they share"
    by = f"by {_mean(pair.difference)}"
    chance = pair.probability if pair.better == leader else 1 - pair.probability
    sure = f"truly better with probability {probability(chance)}"
    if pair.corrected_p_value is None:
        return f"{leader} is {ahead} of {other} {by} ({sure})."
    sure = f"corrected {p_is(pair.corrected_p_value)}, {sure}"
    if pair.beats and pair.better == leader:
        return f"{leader} beats {other} {by} ({sure})."
    return f"{leader} and {other} cannot be told apart: {leader} is {ahead} {by} ({sure})."


def _among_others(leader: str, pairs: Sequence[PairVerdict]) -> list[str]:
    others = [
        pair
        for pair in pairs
        if leader not in {pair.better, pair.worse} and pair.seeds >= BEATS_SEEDS
    ]
    ties = [f"{pair.better} and {pair.worse}" for pair in others if not pair.beats]
    return [f"Nor can these be told apart: {'; '.join(ties)}."] if ties else []


def _about_race(summary: StudySummary) -> list[str]:
    if summary.racing is None:
        return []
    first, most = summary.racing
    ends = [len(look.seeds) for look in summary.looks()]
    return [
        f"Families that could not be told apart were given more seeds, {first} at a time and "
        f"{most} at most: they were compared at {_list([str(end) for end in ends])} seeds, and the "
        f"corrected p-values allow for all these looks."
    ]


def _about_baseline(summary: StudySummary, places: Sequence[Standing]) -> list[str]:
    """Who is not, or not surely, better than a trivial predictor."""
    baseline = summary.baseline
    if baseline is None or baseline.test is None:
        return []
    name = f"the baseline ({baseline.name}: {number(baseline.test)})"
    beaten = [place.family for place in places if place.beats_baseline is False]
    unsure = [
        place.family
        for place in places
        if place.beats_baseline and _reaches(place.over_examples or place.test, baseline.test)
    ]
    sentences = []
    if beaten:
        sentences.append(f"Not better than {name}: {_list(beaten)}.")
    if unsure:
        sentences.append(
            f"Not surely better than {name}, which is in the interval: {_list(unsure)}."
        )
    return sentences


def _about_unconfirmed(places: Sequence[Standing]) -> list[str]:
    names = [place.family for place in places if not place.tests and not place.is_baseline]
    return [f"Without finalists, and so not judged: {_list(names)}."] if names else []


def _reaches(found: Interval | None, value: float) -> bool:
    """Whether an interval holds a value."""
    if found is None or found.low is None or found.high is None:
        return False
    return found.low <= value <= found.high


def _row(place: Standing) -> list[float]:
    """The losses of one seed, example by example."""
    losses = next(iter(place.losses.values()))
    return [losses] if isinstance(losses, float) else losses.tolist()


def _mean(found: Interval) -> str:
    return interval(found.mean, found.low, found.high)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
