"""The tables of a study that people read."""

from collections.abc import Mapping

from search.results.cells import count, interval, number, p_value, probability, seconds
from search.results.fronts import front_sentence, fronts
from search.results.health import health_notes
from search.results.pairs import PairVerdict, beats_next
from search.results.searching import search_notes
from search.results.standing import Standing, best_first, standings
from search.results.statistics import BEATS_SEEDS
from search.results.summary import StudySummary, TrialSummary
from search.results.tables import Block
from search.results.verdict import Verdict
from search.trial import State

OVER_EXAMPLES = "over examples"
FATES = (State.complete, State.pruned, State.failed)


def family_block(summary: StudySummary) -> Block:
    """A study's families, best first."""
    places = standings(summary)
    metric = summary.metric or "value"
    wide = any(place.over_examples for place in places)
    headings = ["rank", "family", f"test {metric}", *([OVER_EXAMPLES] if wide else [])]
    chances = beats_next(places)
    headings += [
        "tie",
        *(["P(beats next)"] if chances else []),
        f"valid {metric}",
        "epoch",
        "parameters",
        "training",
        "trials",
        *FATES,
    ]
    cells = [_family_cells(place, chances, wide=wide) for place in places]
    if any("latency_ms" in place.costs for place in places):
        headings += ["ms a step", "state bytes"]
        cells = [[*row, *_streaming(place)] for row, place in zip(cells, places, strict=True)]
    return Block(
        title=title(summary),
        headings=headings,
        words=frozenset({"family", "tie"}),
        cells=cells,
        notes=_notes(summary, places),
    )


def pair_block(summary: StudySummary) -> Block:
    """A study's families two by two, and the verdict."""
    verdict = Verdict.over(summary, standings(summary))
    return Block(
        title=title(summary),
        headings=["better", "worse", "ahead by", "corrected p", "P(better)", "beats", "seeds"],
        words=frozenset({"better", "worse", "beats"}),
        cells=[_pair_cells(pair) for pair in verdict.pairs],
        notes=verdict.sentences,
    )


def trial_block(summary: StudySummary) -> Block:
    """A study's trials, best first, without their settings."""
    on = fronts(summary)
    headings = ["trial", "family", "state", "finalist of", "seed", f"valid {summary.metric or ''}"]
    trials = best_first(summary)
    copies = any(trial.copied_from is not None for trial in trials)
    headings[4:4] = ["copied from"] if copies else []
    headings += ["epoch", "epochs", "parameters", "training", "pareto", "origin", "cause", "notes"]
    return Block(
        title=title(summary),
        headings=headings,
        words=frozenset({"family", "state", "pareto", "origin", "cause", "notes"}),
        cells=[_trial_cells(trial, on.get(trial.trial, ""), copies=copies) for trial in trials],
    )


def title(summary: StudySummary) -> str:
    """The study, its benchmark and its metric."""
    words = f"{summary.study} on {summary.benchmark}" if summary.benchmark else summary.study
    if summary.metric is None:
        return words
    return f"{words}: {summary.metric}, {'higher' if summary.maximize else 'lower'} is better"


def _family_cells(place: Standing, chances: Mapping[str, float], *, wide: bool) -> list[str]:
    test, best = place.test, place.best
    over = place.over_examples
    cells = [
        count(place.rank),
        place.marked,
        interval(test.mean, test.low, test.high) if test else "",
        *([interval(over.mean, over.low, over.high) if over else ""] if wide else []),
        place.tie_group or "",
        *([_chance(chances.get(place.family))] if chances else []),
        number(place.valid),
        count(best.best_epoch) if best else "",
        count(best.parameters) if best else "",
    ]
    if place.is_baseline:
        return [*cells, "", "", *("" for _ in FATES)]
    fates = [count(place.count(state)) for state in FATES]
    return [*cells, seconds(place.train_seconds), count(len(place.trials)), *fates]


def _streaming(place: Standing) -> list[str]:
    """What a step of a stream costs the family's finalist."""
    state = place.costs.get("state_bytes")
    return [
        number(place.costs.get("latency_ms")),
        count(None if state is None else round(state)),
    ]


def _chance(value: float | None) -> str:
    return "" if value is None else probability(value)


def _pair_cells(pair: PairVerdict) -> list[str]:
    found = pair.difference
    return [
        pair.better,
        pair.worse,
        interval(found.mean, found.low, found.high),
        "" if pair.corrected_p_value is None else p_value(pair.corrected_p_value),
        probability(pair.probability),
        "yes" if pair.beats else "no",
        count(pair.seeds),
    ]


def _trial_cells(trial: TrialSummary, front: str, *, copies: bool) -> list[str]:
    return [
        str(trial.trial),
        trial.family,
        trial.state,
        "" if trial.finalist_of is None else str(trial.finalist_of),
        *([_origin(trial)] if copies else []),
        str(trial.seed),
        number(trial.best),
        count(trial.best_epoch),
        count(trial.epochs),
        count(trial.parameters),
        seconds(trial.train_seconds),
        front,
        trial.origin or "",
        (trial.cause or "").partition("\n")[0],
        "; ".join(trial.notes),
    ]


def _origin(trial: TrialSummary) -> str:
    """The trial that a copy began as, and after which epoch."""
    return "" if trial.copied_from is None else f"{trial.copied_from} at {trial.copied_at}"


def _notes(summary: StudySummary, places: list[Standing]) -> list[str]:
    """What the table means and amounts to, in sentences."""
    tested = [place for place in places if place.tests and not place.is_baseline]
    notes = []
    if tested:
        seeds = sorted({len(place.tests) for place in tested})
        several = " to ".join(str(bound) for bound in dict.fromkeys((seeds[0], seeds[-1])))
        notes.append(f"Test: mean ± 95 % interval over {several} seeds.")
        if any(place.over_examples for place in places):
            notes[0] += f" {OVER_EXAMPLES.capitalize()}: over seeds and test examples."
        if seeds[-1] >= BEATS_SEEDS:
            notes.append("Families that share a letter cannot be told apart.")
    if any(place.beats_baseline is False for place in places):
        notes.append("† Not better than the baseline.")
    if not summary.trials:
        return notes
    front = front_sentence(summary)
    notes += [] if front is None else [front]
    notes += search_notes(summary, places)
    return [*notes, *Verdict.over(summary, places).sentences, *health_notes(summary)]
