"""What was weak about a search, in sentences: where it may have missed something."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from search.insight.effects import idle_settings, settings_at_an_end
from search.insight.observations import Evidence, at_epoch, best_so_far, evidence, search_curves
from search.insight.rungs import Foresight, foresight
from search.results.cells import number
from search.results.history import History, read_history
from search.results.standing import Standing, standings
from search.store.ranges import read_ranges
from search.trial import State

NOTABLE_FAILURES = 0.2  # of a family's trials
LATE = 0.1  # the last part of a training
LATE_PROGRESS = 0.1  # the last part's progress for its length, as a share of that on average
LATE_TRIALS = 0.25  # the last part of a search
FEW_EPOCHS = 3  # fewer have no last part
FEW_TRIALS = 8  # likewise
FORESIGHT = 0.5  # a rank correlation below which a rung foretells little
FORESIGHT_TRIALS = 6

Kind = Literal["edge", "idle", "epochs", "trials", "seeds", "diverged", "failed", "rungs"]


@dataclass(frozen=True, slots=True)
class Weakness:
    """One thing to know before one trusts a search.

    Attributes:
        family: Whom it is about; None for all of them.
        setting: Which setting, by path, where it is about one.
    """

    kind: Kind
    sentence: str
    family: str | None = None
    setting: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A study as its critics look at it.

    Attributes:
        places: Where the families stand, best first.
        evidence: By family, what its trials say of its settings; nothing without known ranges.
    """

    history: History
    places: list[Standing]
    evidence: dict[str, Evidence]

    @classmethod
    def of(cls, directory: str | Path) -> Self:
        """The search of the study in `directory`.

        Raises:
            FileNotFoundError: There is no study.
            ValueError: Its log has a format that this version does not read.
        """
        history = read_history(Path(directory))
        places = [place for place in standings(history.summary) if not place.is_baseline]
        return cls(history, places, evidence(history, read_ranges(Path(directory))))

    def best_curve(self, place: Standing) -> dict[int, float]:
        """The best loss so far of the trial that a family is judged by; empty without one."""
        return best_so_far(self.history, place.best.trial) if place.best else {}


def criticism(directory: str | Path) -> list[str]:
    """The weaknesses of the search in `directory`, a sentence each; none if none were found.

    Raises:
        FileNotFoundError: There is no study.
        ValueError: Its log has a format that this version does not read.
    """
    return [weakness.sentence for weakness in weaknesses(Search.of(directory))]


def weaknesses(search: Search) -> list[Weakness]:
    """What was weak about a search, what concerns the verdict first."""
    return [weakness for criticise in CRITICS for weakness in criticise(search)]


def seed_noise(places: Sequence[Standing]) -> float | None:
    """Standard deviation between seeds of one configuration, pooled; None with single seeds."""
    tests = [list(place.tests.values()) for place in places if len(place.tests) > 1]
    if not tests:
        return None
    squares = sum((len(values) - 1) * float(np.var(values, ddof=1)) for values in tests)
    return math.sqrt(squares / sum(len(values) - 1 for values in tests))


def _seeds(search: Search) -> list[Weakness]:
    """More noise between seeds than difference between families."""
    noise = seed_noise(search.places)
    means = [place.test.mean for place in search.places if place.test and len(place.tests) > 1]
    if noise is None or len(means) < 2:
        return []
    spread = float(np.std(means, ddof=1))
    if noise <= spread:
        return []
    return [
        Weakness(
            "seeds",
            f"Seeds differ more than families: standard deviations of {number(noise)} between "
            f"seeds of one configuration and {number(spread)} between the families' means; "
            "more seeds may tell more.",
        )
    ]


def _failures(search: Search) -> list[Weakness]:
    """Families of which many trials diverged or failed."""
    found = []
    for place in search.places:
        failed = [trial for trial in place.trials if trial.state == State.failed]
        diverged = sum((trial.cause or "").startswith("diverged") for trial in failed)
        of = len(place.trials)
        if diverged and diverged >= NOTABLE_FAILURES * of:
            sentence = f"{place.family}: {diverged} of {of} trials diverged."
            found.append(Weakness("diverged", sentence, place.family))
        others = Counter((trial.cause or "").partition("\n")[0] for trial in failed)
        total = len(failed) - diverged
        if total and total >= NOTABLE_FAILURES * of:
            cause = next(c for c, _ in others.most_common() if not c.startswith("diverged"))
            sentence = f"{place.family}: {total} of {of} trials failed, most often of: {cause}."
            found.append(Weakness("failed", sentence, place.family))
    return found


def _epochs(search: Search) -> list[Weakness]:
    """Families still improving when their training ended."""
    found = []
    for place in search.places:
        curve = search.best_curve(place)
        length = max(curve, default=0)
        late = math.ceil(LATE * length)
        before = at_epoch(curve, length - late)
        if length < FEW_EPOCHS or before is None:
            continue
        first, end = curve[min(curve)], curve[length]
        share = (before - end) / (first - end) if first > end else 0.0
        if share > LATE_PROGRESS * late / length:
            last = "the last" if late == 1 else f"the last {late}"
            sentence = (
                f"{place.family} was still improving when its training ended: {last} of {length} "
                f"epochs brought {100 * share:.3g} % of its best trial's progress."
            )
            found.append(Weakness("epochs", sentence, place.family))
    return found


def _trials(search: Search) -> list[Weakness]:
    """Families whose search was still finding better trials when it ended."""
    noise, found = seed_noise(search.places), []
    for place in search.places:
        losses = [
            math.inf if trial.best is None else search.history.summary.loss(trial.best)
            for trial in sorted(place.trials, key=lambda trial: trial.trial)
            if trial.copied_from is None
        ]
        early = losses[: math.ceil((1 - LATE_TRIALS) * len(losses))]
        if noise is None or len(losses) < FEW_TRIALS:
            continue
        gain = min(early) - min(losses)
        if math.isfinite(gain) and gain > noise:
            sentence = (
                f"{place.family} was still finding better settings: the last quarter of its "
                f"{len(losses)} trials improved the best by {number(gain)}, more than seeds "
                f"differ ({number(noise)})."
            )
            found.append(Weakness("trials", sentence, place.family))
    return found


def _rungs(search: Search) -> list[Weakness]:
    """Rungs at which the scheduler may have stopped the wrong trials."""
    found = []
    for place in search.places:
        steps = foresight(place.family, search_curves(search.history, place.family))
        poor = [step for step in steps if _is_poor(step)]
        if poor:
            step = min(poor, key=lambda step: step.correlation or 0.0)
            sentence = (
                f"{place.family}: ranks at epoch {step.from_epoch} said little of those at epoch "
                f"{step.to_epoch} (rank correlation {step.correlation:.2f} over {step.trials} "
                "trials), so that better trials may have been stopped."
            )
            found.append(Weakness("rungs", sentence, place.family))
    return found


def _is_poor(step: Foresight) -> bool:
    known = step.correlation is not None and step.trials >= FORESIGHT_TRIALS
    return known and (step.correlation or 0.0) < FORESIGHT


def _edges(search: Search) -> list[Weakness]:
    """Settings whose best values lie at an end of their range."""
    return [
        Weakness(
            "edge",
            f"{family}: the best {edge.setting} ({number(edge.best)}) lies at the {edge.end} end "
            f"of its range, {edge.described}.",
            family,
            edge.setting,
        )
        for family, known in search.evidence.items()
        for edge in settings_at_an_end(known)
    ]


def _idle(search: Search) -> list[Weakness]:
    """Settings that left no trace in the results."""
    found = []
    for family, known in search.evidence.items():
        names = idle_settings(known)
        if names:
            sentence = (
                f"{family}: no trace of an effect, in {len(known.observations)} trials at epoch "
                f"{known.epoch}, of {', '.join(names)}."
            )
            found.append(Weakness("idle", sentence, family))
    return found


CRITICS: Sequence[Callable[[Search], list[Weakness]]] = (
    _seeds,
    _failures,
    _epochs,
    _trials,
    _rungs,
    _edges,
    _idle,
)
