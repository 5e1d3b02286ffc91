"""Which settings mattered, as the report shows it: of stand-ins of which that is known."""

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
import pytest

from search.insight.analysis import Curve
from search.motion.simulation import PowerLaw
from search.report.drawing import family_colours
from search.report.mattering import dependence_words, draw_dependence, mattering_section
from search.report.report import report_html
from search.report.sections import Findings
from search.results.history import read_history
from search.results.standing import standings
from search.results.summary import StudySummary
from search.results.verdict import Verdict

Simulated = Callable[..., Path]


def findings(folder: Path) -> Findings:
    history = read_history(folder)
    places = standings(history.summary)
    colours = family_colours([place.family for place in places])
    return Findings(history, places, Verdict.over(history.summary, places), colours)


def test_shares_of_every_family_and_curves_of_the_best(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": PowerLaw(noise=0.01), "rnn": PowerLaw(rate=4.0, noise=0.01)})
    found = findings(folder)
    section = mattering_section(folder, found)
    assert section is not None
    (table,) = section.tables
    assert {column.heading for column in table.columns} == {"setting", "gru", "rnn"}
    for column in (1, 2):
        shares = [row[column].key for row in table.rows]
        assert sum(share for share in shares if isinstance(share, float)) == pytest.approx(1)
    assert [row[0].text for row in table.rows] == [row[0].key for row in table.rows]
    assert 1 <= len(section.small_charts) <= 6
    assert f"what {found.places[0].family} may expect" in section.lead
    ranges = {tuple(each.figure["layout"]["yaxis"]["range"]) for each in section.small_charts}
    assert len(ranges) == 1
    for chart in section.small_charts:
        go.Figure(chart.figure)
    assert 'id="mattering"' in report_html(folder)


def test_too_few_trials_say_nothing(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": PowerLaw()}, budget={"trials_per_family": 5, "epochs": 3})
    assert mattering_section(folder, findings(folder)) is None


@pytest.mark.parametrize(
    ("values", "kind", "mode"),
    [
        ([0.001, 0.01, 0.1], "log", "lines+markers"),
        ([1, 2, 3], "linear", "lines+markers"),
        (["<b>a</b>", "b", "c"], "category", "markers"),
        ([False, True, None], "category", "markers"),
    ],
)
def test_an_axis_for_every_kind_of_setting(values: list[object], kind: str, mode: str) -> None:
    curve = Curve("model/size", values, [-0.9, -0.5, -0.7])  # type: ignore[arg-type] # all are values
    summary = StudySummary("s", maximize=True)
    figure = draw_dependence(curve, summary, "#2c80b4", (0.5, 0.9))
    go.Figure(figure)
    (trace,) = figure["data"]
    assert trace["y"] == [0.9, 0.5, 0.7]
    assert (figure["layout"]["xaxis"]["type"], trace["mode"]) == (kind, mode)
    assert "<b>" not in str(trace["x"])
    assert dependence_words(curve, summary).startswith("model/size: expected at best 0.9 at ")
