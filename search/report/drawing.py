"""The charts of a report as plotly figures: plain trees, which the page gives colours of its theme.

Whatever a user can name goes through `plain`, because plotly reads tags in its texts.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.report.charts import Line, Panel, Parallel, Size, Spread
from search.report.tables import FATES, FINALISTS, UNFINISHED, Account
from search.results.cells import interval
from search.results.history import Point
from search.results.summary import StudySummary
from search.trial import State

Figure = dict[str, Any]
Trace = dict[str, Any]
Colours = Mapping[str, str]

# Hues that keep a contrast of 3 to white and to the dark page alike; the first is the accent.
PALETTE = (
    "#2c80b4",
    "#d0702a",
    "#3a955a",
    "#a368c9",
    "#cf4f63",
    "#1b9793",
    "#a0764c",
    "#c75fa0",
    "#7d8a2e",
    "#6f7fd6",
)
NEUTRAL = "#868e97"
FATE_COLOURS = {
    FINALISTS: PALETTE[0],
    State.complete: PALETTE[5],
    State.pruned: NEUTRAL,
    State.stopped: PALETTE[8],
    State.failed: PALETTE[4],
    State.infeasible: PALETTE[1],
    UNFINISHED: PALETTE[6],
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
AMBIGUOUS = frozenset({"name", "kind"})  # words that need the one before them
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
LOG_RATIO = 50.0  # losses that span more are drawn on a logarithmic axis


def family_colours(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, the same in all charts; the first has the accent."""
    return {family: PALETTE[index % len(PALETTE)] for index, family in enumerate(families)}


def plain(text: str) -> str:
    """Text that plotly shows as it is."""
    return html.escape(text, quote=False)


def draw_spending(
    lines: Sequence[Line], summary: StudySummary, colours: Colours, limits: Point
) -> Figure:
    """The best value so far as a staircase over the seconds spent, a line for each family.

    Args:
        limits: The values that the axis reaches from and to.
    """
    unit, length = _time_unit(max(line.points[-1][0] for line in lines))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(line.name),
            "x": [x / length for x, _ in line.points],
            "y": [y for _, y in line.points],
            "line": {
                "shape": "hv",
                "width": 2.5,
                "color": colours[line.name],
                "dash": DASHES[index // len(PALETTE) % len(DASHES)],
            },
            "hovertemplate": f"%{{y:.4g}} after %{{x:.3g}} {unit}",
        }
        for index, line in enumerate(lines)
    ]
    layout = {
        "xaxis": {"title": {"text": f"{unit} of training"}, "rangemode": "tozero"},
        "yaxis": _limited_axis(summary, limits, f"best {_metric(summary)} on validation"),
        "legend": LEGEND,
    }
    return {"data": data, "layout": layout}


def draw_panel(panel: Panel, summary: StudySummary, colours: Colours, limits: Point) -> Figure:
    """The learning curves of one family: search trials pale, finalists in its colour.

    Args:
        limits: The values that the axis reaches from and to.
    """
    data = [_curve(line, NEUTRAL, 1.2, 0.55) for line in reversed(panel.search)]
    colour = colours[panel.family]
    data += [_curve(line, colour, 1.8, 0.9) for line in reversed(panel.finalists)]
    layout = {"yaxis": _limited_axis(summary, limits, ""), "showlegend": False}
    return {"data": data, "layout": layout}


def draw_spreads(
    rows: Sequence[Spread], summary: StudySummary, colours: Colours, baseline: float | None
) -> Figure:
    """A line for each family's 95 % interval, a dot on its mean, a small dot for each seed."""
    data: list[dict[str, Any]] = []
    for row in rows:
        name, colour = plain(row.family), colours[row.family]
        low, high, mean = row.interval.low, row.interval.high, row.interval.mean
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": row.values,
                "y": [name] * len(row.values),
                "marker": {"size": 7, "color": colour, "opacity": 0.35},
                "hovertemplate": "one seed: %{x:.4g}<extra></extra>",
            }
        )
        whiskers = {"type": "data", "array": [0], "arrayminus": [0], "color": colour}
        if low is not None and high is not None:
            whiskers |= {"array": [high - mean], "arrayminus": [mean - low]}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [mean],
                "y": [name],
                "marker": {"size": 12, "color": colour, "symbol": "diamond"},
                "error_x": {**whiskers, "symmetric": False, "thickness": 2.5, "width": 7},
                "hovertemplate": f"{interval(mean, low, high)}<extra>{name}</extra>",
            }
        )
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": f"{_metric(summary)} on the test split"}},
        "yaxis": {"autorange": "reversed", "type": "category", "showgrid": False},
        "showlegend": False,
    }
    return {"data": data, "layout": layout | _baseline(baseline, rows)}


def draw_sizes(points: Sequence[Size], summary: StudySummary, colours: Colours) -> Figure:
    """Value over parameters: a dot for each trial, a dotted line along the front."""
    data: list[dict[str, Any]] = []
    front = sorted((p.parameters, p.value) for p in points if p.on_front)
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "smaller or better",
            "x": [x for x, _ in front],
            "y": [y for _, y in front],
            "line": {"shape": "hv", "width": 1.5, "dash": "dot", "color": NEUTRAL},
            "hoverinfo": "skip",
        }
    )
    for index, family in enumerate(colours):
        own = [point for point in points if point.family == family]
        if own:
            data.append(_sizes_of(family, own, colours[family], SYMBOLS[index % len(SYMBOLS)]))
    layout = {
        "xaxis": {"title": {"text": "parameters"}, "type": "log", "dtick": 1},
        "yaxis": _value_axis(
            summary, [p.value for p in points], f"best {_metric(summary)} on validation"
        ),
        "legend": LEGEND,
    }
    return {"data": data, "layout": layout}


def draw_parallel(parallel: Parallel, colours: Colours) -> Figure:
    """An upright for each setting and a line for each trial, the best in the family's colour."""
    names = [plain(_short(axis.name)) for axis in parallel.axes]
    data = []
    for place in reversed(range(len(parallel.trials))):  # the best on top
        best = place == 0
        texts = [plain(axis.texts[place]) for axis in parallel.axes]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": f"trial {parallel.trials[place]}",
                "x": list(range(len(names))),
                "y": [axis.heights[place] for axis in parallel.axes],
                "text": [f"{name}: {text}" for name, text in zip(names, texts, strict=True)],
                "line": {
                    "color": colours[parallel.family] if best else NEUTRAL,
                    "width": 3 if best else 1.2,
                },
                "marker": {"size": 7 if best else 4},
                "opacity": 1.0 if best else 0.5,
                "connectgaps": True,
                "hovertemplate": "%{text}",
            }
        )
    marks = [
        _mark(place, height, text)
        for place, axis in enumerate(parallel.axes)
        for height, text in axis.ticks
    ]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "tickangle": -35,
            "range": [-0.4, len(names) - 0.4],
            "zeroline": False,
        },
        "yaxis": {"visible": False, "range": [-0.08, 1.1]},
        "annotations": marks,
        "showlegend": False,
    }
    return {"data": data, "layout": layout}


def draw_ledger(books: Sequence[Account]) -> Figure:
    """A bar for each family: the seconds that it trained, by what became of them."""
    unit, length = _time_unit(max(account.all_seconds for account in books))
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": str(fate),
            "y": [plain(account.family) for account in books],
            "x": [account.seconds.get(fate, 0.0) / length for account in books],
            "marker": {"color": FATE_COLOURS[fate]},
            "hovertemplate": f"%{{x:.3g}} {unit}",
        }
        for fate in (FINALISTS, *FATES)
        if any(account.seconds.get(fate) for account in books)
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.45,
        "xaxis": {"title": {"text": f"{unit} of training"}},
        "yaxis": {"autorange": "reversed", "type": "category", "showgrid": False},
        "legend": LEGEND,
        "showlegend": True,
    }
    return {"data": data, "layout": layout}


def _curve(line: Line, colour: str, width: float, opacity: float) -> Trace:
    xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
    return {
        "type": "scatter",
        "mode": "lines" if len(xs) > 1 else "markers",
        "name": line.name,
        "x": xs,
        "y": ys,
        "line": {"width": width, "color": colour},
        "marker": {"size": 5, "color": colour},
        "opacity": opacity,
        "hovertemplate": f"{line.name}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    }


def _sizes_of(family: str, points: Sequence[Size], colour: str, symbol: str) -> Trace:
    """The dots of one family."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(family),
        "x": [point.parameters for point in points],
        "y": [point.value for point in points],
        "text": [f"trial {point.trial}" for point in points],
        "marker": {"size": 10, "color": colour, "symbol": symbol},
        "hovertemplate": "%{text}: %{y:.4g}, %{x:,} parameters",
    }


def _baseline(value: float | None, rows: Sequence[Spread]) -> dict[str, Any]:
    """A dashed line at the trivial predictor, unless that is so far off that it hides the rest."""
    ends = [end for row in rows for end in (row.interval.low, row.interval.high)]
    seen = [x for x in (*ends, *(v for row in rows for v in row.values)) if x is not None]
    if value is None or not seen:
        return {}
    low, high = min(seen), max(seen)
    if not low - 2 * (high - low) <= value <= high + 2 * (high - low):
        return {}
    line = {"color": NEUTRAL, "dash": "dash", "width": 1.5}
    at = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper"}
    label = {"text": "baseline", "textposition": "end"}
    return {"shapes": [{"type": "line", **at, "line": line, "label": label}]}


def _mark(place: int, height: float, text: str) -> dict[str, Any]:
    """A word beside an upright: above its top, below its foot, else at its side."""
    side = {"yshift": 11} if height == 1 else {"yshift": -11} if height == 0 else {"xshift": 6}
    return {
        "x": place,
        "y": height,
        "text": plain(text),
        "showarrow": False,
        "xanchor": "center" if "yshift" in side else "left",
        "font": {"size": 11},
        **side,
    }


def _value_axis(summary: StudySummary, values: Sequence[float], title: str) -> dict[str, Any]:
    """The objective's axis: logarithmic for losses that span much."""
    axis: dict[str, Any] = {"title": {"text": title}} if title else {}
    low, high = min(values, default=1.0), max(values, default=1.0)
    if not summary.maximize and low > 0 and high / low > LOG_RATIO:
        axis |= {"type": "log"}
    return axis


def _time_unit(longest_seconds: float) -> tuple[str, float]:
    """The unit in which times read best, and its seconds."""
    if longest_seconds >= 2 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if longest_seconds >= 5 * 60 else ("seconds", 1.0)


def _limited_axis(summary: StudySummary, limits: Point, title: str) -> dict[str, Any]:
    """The objective's axis from one value to another, with a little room."""
    axis = _value_axis(summary, limits, title)
    low, high = (math.log10(limit) for limit in limits) if "type" in axis else limits
    room = 0.06 * (high - low) or 0.1
    return axis | {"range": [low - room, high + room]}


def _metric(summary: StudySummary) -> str:
    return plain(summary.metric or "value").replace("_", " ")


def _short(path: str) -> str:
    """The last word of a setting's path, with the one before it where that says more."""
    *outer, last = path.split("/")
    return f"{outer[-1]} {last}" if last in AMBIGUOUS and outer else last
