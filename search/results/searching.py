"""How a search went about its trials, where that is more than training each: in sentences."""

from collections.abc import Sequence

from search.results.standing import Standing
from search.results.summary import StudySummary


def search_notes(summary: StudySummary, places: Sequence[Standing]) -> list[str]:
    """What was drawn in vain, and what went on as a copy of another; nothing of plain searches."""
    return [*_redrawn(places), *_copied(summary), *changing_settings(places)]


def changing_settings(places: Sequence[Standing]) -> list[str]:
    """For each family whose best trial had other settings before: when they changed."""
    return [_changed(place) for place in places if place.best and place.best.phases]


def _redrawn(places: Sequence[Standing]) -> list[str]:
    """How many proposals the study's limits did not admit, family by family."""
    drawn = {place.family: sum(trial.redrawn for trial in place.trials) for place in places}
    proposed = {
        place.family: sum(trial.copied_from is None for trial in place.trials) for place in places
    }
    told = [f"{name} {often} for {proposed[name]}" for name, often in drawn.items() if often]
    if not told:
        return []
    return [f"Drawn again to keep to the study's limits, for so many trials: {', '.join(told)}."]


def _copied(summary: StudySummary) -> list[str]:
    copies = sum(trial.copied_from is not None for trial in summary.trials.values())
    if not copies:
        return []
    return [
        f"Population-based training: {copies} of the trials are copies that went on, with other "
        "training settings, in the place of others; they trained those others' remaining epochs."
    ]


def _changed(place: Standing) -> str:
    assert place.best is not None
    *epochs, last = [str(phase["until"]) for phase in place.best.phases]
    after = f"{', '.join(epochs)} and {last}" if epochs else last
    return (
        f"{place.family}: the training settings of its best changed after epoch {after}, and its "
        "finalists go through the same changes; those shown are the last."
    )
