"""What the charts of a report show, on hand-written logs with known answers."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from search.report.alternatives import panel_words, sizes_words, spending_words, spreads_words
from search.report.charts import (
    Line,
    Panel,
    best_by_spending,
    learning_curves,
    parallels,
    settings,
    settled_range,
    sizes,
    spreads,
    usual_range,
)
from search.report.drawing import (
    PALETTE,
    draw_ledger,
    draw_panel,
    draw_parallel,
    draw_sizes,
    draw_spending,
    draw_spreads,
    family_colours,
)
from search.report.tables import accounts
from search.results.history import History, read_history
from search.results.standing import Standing, standings
from search.store.log import LOG

Event = dict[str, Any]
HEAD: list[Event] = [
    {"event": "study", "format": 1, "study": "s", "benchmark": "b"},
    {"event": "opened", "metric": "mse", "maximize": False, "families": ["gru", "a.py:<b>B"]},
    {"event": "baseline", "name": "mean", "valid": {"mse": 1.1}, "test": {"mse": 1.2}},
]


def of_trial(kind: str, trial: int, epoch: int, attempt: int = 1, **more: Any) -> Event:
    return {"event": kind, "trial": trial, "attempt": attempt, "epoch": epoch, **more}


def trial_events(
    trial: int,
    family: str,
    values: Iterable[float | None],
    *,
    state: str | None = "complete",
    of: int | None = None,
    test: float | None = None,
    **model: Any,
) -> list[Event]:
    """A trial with these validation values, two seconds an epoch."""
    config = {"model": {"name": family, **model}, "training": {"rate": 0.1 ** (trial % 4)}}
    proposal = {"family": family, "config": config, "seed": trial, "finalist_of": of}
    events = [of_trial("proposed", trial, 0, 0, **proposal), of_trial("leased", trial, 0)]
    measured = {"seconds": 2.0, "parameters": 100 * (trial + 1)}
    epochs = list(enumerate(values, 1))
    events += [of_trial("reported", trial, at, value=value, **measured) for at, value in epochs]
    if test is not None:
        events.append(of_trial("tested", trial, 1, test={"mse": test}))
    if state:
        events.append(of_trial("ended", trial, 9, state=state, cause="boom" * (state == "failed")))
    return events


EVENTS = [
    *HEAD,
    *trial_events(0, "gru", [0.9, 0.5, 0.7], size=8, cell="a"),
    *trial_events(1, "gru", [0.8, None, 0.2], size=64, cell="b"),
    *trial_events(2, "gru", [0.95], state="pruned", size=16, cell="a"),
    *trial_events(3, "a.py:<b>B", [0.6, 0.4], size=8, deep=True),
    *trial_events(4, "a.py:<b>B", [], state="failed", size=8, deep=False),
    *trial_events(5, "gru", [0.3, 0.25], of=1, test=0.3),
    *trial_events(6, "gru", [0.35, 0.2], of=1, test=0.4),
    {"event": "closed", "time": 1000.0},
]


def history_of(folder: Path, events: Iterable[Event]) -> History:
    (folder / LOG).write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    return read_history(folder)


@pytest.fixture
def told(tmp_path: Path) -> tuple[History, list[Standing]]:
    history = history_of(tmp_path, EVENTS)
    return history, standings(history.summary)


Told = tuple[History, list[Standing]]


def test_the_best_so_far_falls_as_seconds_are_spent_on_the_search_alone(told: Told) -> None:
    gru, own = best_by_spending(*told)
    assert (gru.name, own.name) == ("gru", "a.py:<b>B")
    assert gru.points == [(2, 0.9), (4, 0.5), (12, 0.2), (14, 0.2)]
    assert own.points == [(2, 0.6), (4, 0.4)]
    assert spending_words([gru]) == "gru reached 0.2 in 14 s."


def test_an_epoch_that_was_trained_again_costs_again_and_a_copied_event_does_not(
    tmp_path: Path,
) -> None:
    events = trial_events(0, "gru", [0.9, 0.5], state=None)
    again = [
        of_trial("leased", 0, 1, 2),
        of_trial("reported", 0, 2, 2, value=0.5, seconds=3.0, parameters=7),
    ]
    history = history_of(tmp_path, [*HEAD, *events, events[-1], *again])
    assert history.best_by_spending["gru"] == [(2, 0.9), (4, 0.5), (7, 0.5)]
    assert history.summary.trials[0].train_seconds == 7


def test_learning_curves_by_family_without_what_was_not_finite(told: Told) -> None:
    gru, own = learning_curves(*told)
    assert [line.name for line in gru.search] == ["trial 1", "trial 0", "trial 2"]
    assert gru.search[0].points == [(1, 0.8), (3, 0.2)]
    assert [line.name for line in gru.finalists] == ["trial 6", "trial 5"]
    assert own.finalists == []
    assert panel_words(gru, told[0].summary) == (
        "2 finalists of gru, up to epoch 2; the best ends at 0.2."
    )


def test_the_usual_range_leaves_out_the_worst_tenth(told: Told) -> None:
    points = [(float(epoch), value) for epoch, value in enumerate([9.0, *range(1, 11)], 1)]
    panels = [Panel("gru", [Line("trial 0", points)], [])]
    assert usual_range(panels, told[0].summary) == (1, 9)
    told[0].summary.maximize = True
    assert usual_range(panels, told[0].summary) == (2, 10)


def test_the_settled_range_begins_when_a_twentieth_is_spent(told: Told) -> None:
    points = [(1.0, 9.0), (4.0, 0.7), (5.0, 0.5), (100.0, 0.5)]
    lines = [Line("gru", points), Line("tcn", [(3.0, 0.6)])]
    assert settled_range(lines, told[0].summary) == (0.5, 0.6)
    told[0].summary.maximize = True
    assert settled_range([Line("gru", [(0.1, 0.1), (3.0, 0.8), (90.0, 0.9)])], told[0].summary) == (
        0.8,
        0.9,
    )


def test_spreads_are_of_finalists_alone(told: Told) -> None:
    (row,) = spreads(told[1])
    assert (row.family, sorted(row.values)) == ("gru", [0.3, 0.4])
    assert row.interval.mean == pytest.approx(0.35)
    assert spreads_words([row]).startswith("gru 0.3 ± 0.6")


def test_the_front_is_of_what_is_small_and_good(told: Told) -> None:
    points = sizes(told[0].summary)
    assert [(point.trial, point.on_front) for point in points] == [(1, True), (3, False), (0, True)]
    assert sizes_words(points) == "gru 0.5 with 100 parameters; gru 0.2 with 200 parameters."


def test_parallel_axes_are_the_settings_that_varied(told: Told) -> None:
    (gru,) = parallels(told[0].summary, told[1])
    assert gru.trials == [1, 0, 2]
    by_name = {axis.name: axis for axis in gru.axes}
    assert set(by_name) == {"model/size", "model/cell", "training/rate", "mse"}
    assert by_name["model/size"].heights == [1, 0, pytest.approx(1 / 7)]
    assert by_name["model/size"].ticks == [(0.0, "8"), (1.0, "64")]
    assert by_name["model/cell"].texts == ["b", "a", "a"]
    rates = by_name["training/rate"].heights  # 0.1, 1 and 0.01: spread by their logarithm
    assert rates == [pytest.approx(0.5), 1, 0]
    assert by_name["mse"].heights[0] == 1  # the least loss on top


def test_settings_have_paths_and_no_family() -> None:
    config = {"model": {"name": "gru", "layers": [{"name": "x"}]}, "head": {}, "training": {"a": 1}}
    assert dict(settings(config)) == {"model/layers/0/name": "x", "training/a": 1}


def test_accounts_by_fate(told: Told) -> None:
    gru, own = accounts(told[0].summary, told[1])
    assert gru.trials == {"complete": 2, "pruned": 1, "finalists": 2}
    assert gru.seconds == {"complete": 12, "pruned": 2, "finalists": 8}
    assert gru.all_seconds == 22
    assert own.trials == {"complete": 1, "failed": 1}


def test_every_figure_is_one_that_plotly_knows_and_shows_names_as_they_are(told: Told) -> None:
    history, places = told
    summary = history.summary
    colours = family_colours([place.family for place in places])
    panels = learning_curves(history, places)
    figures = [
        draw_spending(best_by_spending(history, places), summary, colours, (0.2, 0.9)),
        draw_spreads(spreads(places), summary, colours, 0.5),
        draw_sizes(sizes(summary), summary, colours),
        draw_ledger(accounts(summary, places)),
        *(draw_panel(panel, summary, colours, (0.2, 0.9)) for panel in panels),
        *(draw_parallel(each, colours) for each in parallels(summary, places)),
    ]
    for figure in figures:
        go.Figure(figure)  # refuses what plotly does not know
        assert "<b>" not in json.dumps(figure)


def test_losses_that_span_much_get_a_logarithmic_axis(told: Told) -> None:
    history, _ = told
    lines = [Line("gru", [(1, 1.0), (2, 0.001)])]
    colours = family_colours(["gru"])
    drawn = draw_spending(lines, history.summary, colours, (0.001, 1.0))
    assert drawn["layout"]["yaxis"]["type"] == "log"
    panel = draw_panel(Panel("gru", lines, []), history.summary, colours, (0.001, 1.0))
    assert panel["layout"]["yaxis"]["range"] == pytest.approx([-3.18, 0.18])
    history.summary.maximize = True
    assert (
        "type"
        not in draw_spending(lines, history.summary, colours, (0.001, 1.0))["layout"]["yaxis"]
    )


def test_the_baseline_is_drawn_where_it_hides_nothing(told: Told) -> None:
    history, places = told
    rows, colours = spreads(places), family_colours(["gru"])
    assert "shapes" in draw_spreads(rows, history.summary, colours, 0.5)["layout"]
    assert "shapes" not in draw_spreads(rows, history.summary, colours, 50.0)["layout"]
    assert "shapes" not in draw_spreads(rows, history.summary, colours, None)["layout"]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("paper", ["#ffffff", "#14171b"])
@pytest.mark.parametrize("colour", PALETTE)
def test_colours_stand_out_from_the_light_and_the_dark_page(colour: str, paper: str) -> None:
    """By the contrast that WCAG 2.2 asks of graphics (success criterion 1.4.11)."""
    low, high = sorted((luminance(colour), luminance(paper)))
    assert (high + 0.05) / (low + 0.05) >= 3


def test_a_damaged_log_gives_what_is_whole(tmp_path: Path) -> None:
    lines = [json.dumps(event).encode() for event in EVENTS]
    lost = next(n for n, event in enumerate(EVENTS) if event["event"] == "proposed")
    lines[lost] = b'{"event": "propo'
    lines[-1] = b"\xff\xfe not text"
    (tmp_path / LOG).write_bytes(b"\n".join(lines) + b'\n{"event":"closed"')
    history = read_history(tmp_path)
    of_lost = [n for n, event in enumerate(EVENTS, 1) if event.get("trial") == 0]
    assert history.damaged == sorted({*of_lost, len(EVENTS)})
    assert set(history.summary.trials) == {1, 2, 3, 4, 5, 6}
    assert not history.finished


@pytest.mark.parametrize("line", ["nonsense", '{"event": "opened"}', "[]", '{"event": 3}'])
def test_a_log_of_nonsense_is_damaged_and_empty(tmp_path: Path, line: str) -> None:
    (tmp_path / LOG).write_text(f"{line}\n", "utf-8")
    history = read_history(tmp_path)
    assert (history.damaged, history.summary.trials) == ([1], {})


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="install a newer seqtune"):
        history_of(tmp_path, [{"event": "study", "format": 99, "version": "9"}])
