"""Which settings mattered, for the report: a table of shares, and what to expect at each value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from search.insight.analysis import Analysis, Curve, analyse_family
from search.insight.observations import evidence
from search.report.charts import LOG_RATIO, word
from search.report.drawing import Figure, plain
from search.report.sections import Chart, Findings, Section
from search.report.tables import Cell, Column, Table, setting_cell
from search.results.cells import number
from search.results.summary import StudySummary
from search.store.ranges import read_ranges

MOST_SETTINGS = 12
MOST_CURVES = 6
LEAD = (
    "Over trials at an equal epoch. The charts show what {family} may expect at each value of a "
    "setting, the other settings as they were tried, all on one scale; the table, the share of the "
    "differences between trials that a setting explains alone (fANOVA)."
)


def mattering_section(directory: Path, found: Findings) -> Section | None:
    """Importances and dependences; None where too few trials say anything."""
    known = evidence(found.history, read_ranges(directory))
    analyses = {
        place.family: analyse_family(known[place.family])
        for place in found.places
        if place.family in known
    }
    analyses = {family: each for family, each in analyses.items() if each.curves}
    if not analyses:
        return None
    best = next(iter(analyses.values()))
    summary, colour = found.history.summary, found.colours[best.family]
    curves = best.curves[:MOST_CURVES]
    charts = [
        Chart(
            f"mattering-{index}",
            curve.setting,
            dependence_words(curve, summary),
            draw_dependence(curve, summary, colour, _limits(curves, summary)),
            height=200,
        )
        for index, curve in enumerate(curves)
    ]
    return Section(
        "mattering",
        "What mattered",
        lead=LEAD.format(family=best.family),
        small_charts=charts,
        tables=[importance_table(analyses)],
    )


def importance_table(analyses: Mapping[str, Analysis]) -> Table:
    """A row for each of the most important settings, a column for each family."""
    shares = {
        family: {each.setting: each.fanova for each in found.importances}
        for family, found in analyses.items()
    }
    names = dict.fromkeys(name for share in shares.values() for name in share)
    means = {name: fmean(share.get(name) or 0.0 for share in shares.values()) for name in names}
    first = sorted(means, key=means.__getitem__, reverse=True)[:MOST_SETTINGS]
    columns = [Column("setting", is_number=False), *(Column(family) for family in shares)]
    rows = [
        [setting_cell(name), *(_share(share.get(name)) for share in shares.values())]
        for name in first
    ]
    return Table("Shares of the differences between trials", columns, rows)


def draw_dependence(
    curve: Curve, summary: StudySummary, colour: str, limits: tuple[float, float]
) -> Figure:
    """The expected value over a setting: a line over numbers, dots over options.

    Args:
        limits: The values that the axis reaches from and to.
    """
    numbers = [value for value in curve.values if not isinstance(value, bool | str | None)]
    is_line = len(numbers) == len(curve.values)
    axis: dict[str, Any] = {"type": "linear" if is_line else "category"}
    if is_line and min(numbers) > 0 and max(numbers) >= LOG_RATIO * min(numbers):
        marked = [numbers[0], numbers[len(numbers) // 2], numbers[-1]]
        texts = [f"{value:.3g}" for value in marked]
        axis = {"type": "log", "tickvals": marked, "ticktext": texts}
    room = 0.08 * (limits[1] - limits[0])
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if is_line else "markers",
        "x": numbers if is_line else [plain(word(value)) for value in curve.values],
        "y": [_value(loss, summary) for loss in curve.losses],
        "line": {"width": 2, "color": colour},
        "marker": {"size": 5 if is_line else 9, "color": colour},
        "hovertemplate": "%{y:.4g} at %{x}<extra></extra>",
    }
    layout = {"xaxis": axis, "yaxis": {"range": [limits[0] - room, limits[1] + room]}}
    return {"data": [trace], "layout": {**layout, "showlegend": False}}


def dependence_words(curve: Curve, summary: StudySummary) -> str:
    """Where the best and the worst is to be expected."""
    ends = [min(curve.losses), max(curve.losses)]
    best, worst = (
        f"{number(_value(loss, summary))} at {word(curve.values[curve.losses.index(loss)])}"
        for loss in ends
    )
    return f"{curve.setting}: expected at best {best}, at worst {worst}."


def _limits(curves: Sequence[Curve], summary: StudySummary) -> tuple[float, float]:
    values = [_value(loss, summary) for curve in curves for loss in curve.losses]
    return min(values), max(values)


def _value(loss: float, summary: StudySummary) -> float:
    return -loss if summary.maximize else loss


def _share(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(f"{100 * value:.0f} %", value)
