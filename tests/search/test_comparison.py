"""Several studies side by side, from their folders to the text on the screen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.cli import app
from search.insight.comparison import Comparison

Finished = Callable[..., Path]
GOOD, FAIR, POOR = [0.10, 0.12], [0.20, 0.22], [0.30, 0.32]


@pytest.fixture
def twelve(finished_study: Finished) -> list[Path]:
    """Twelve benchmarks on which the order is tcn, gru, rnn, but for one turn; rnn once fails."""
    tests = {"rnn": POOR, "gru": FAIR, "tcn": GOOD}
    turned = {"rnn": POOR, "gru": GOOD, "tcn": FAIR}
    return [
        finished_study(turned if index == 0 else tests, name=f"s{index}", benchmark=f"b{index}")
        for index in range(12)
    ]


def test_ranks_over_benchmarks(twelve: list[Path]) -> None:
    found = Comparison.of(*twelve)
    assert found.test.families == ["tcn", "gru", "rnn"]
    assert found.test.mean_rank("tcn") == pytest.approx(13 / 12)
    assert found.test.mean_rank("rnn") == 3
    assert list(found.means) == [f"b{index}" for index in range(12)]
    assert found.means["b1"]["gru"] == pytest.approx(0.21)
    tcn, gru, rnn = (found.test.groups[family] for family in ("tcn", "gru", "rnn"))
    assert (tcn, gru, rnn) == ("a", "ab", "b") or (tcn, gru, rnn) == ("a", "a", "b")
    assert found.sentences()[0].startswith("Friedman test (F of Iman and Davenport) over 12")
    assert not any("rough" in sentence for sentence in found.sentences())


def test_metrics_where_larger_is_better_are_ranked_as_such(finished_study: Finished) -> None:
    lower = finished_study({"rnn": POOR, "gru": GOOD}, name="lower", benchmark="b1")
    higher = finished_study(
        {"rnn": GOOD, "gru": POOR}, name="higher", benchmark="b2", maximize=True
    )
    assert Comparison.of(lower, higher).test.ranks == {"rnn": [2.0, 2.0], "gru": [1.0, 1.0]}


def test_two_studies_of_a_benchmark_count_once(finished_study: Finished) -> None:
    first = finished_study({"rnn": POOR, "gru": GOOD}, name="first")
    second = finished_study({"rnn": GOOD, "gru": FAIR}, name="second")
    found = Comparison.of(first, second)
    assert found.means == {"digits_rows": pytest.approx({"rnn": 0.21, "gru": 0.16})}
    assert found.sentences() == ["One benchmark shows ranks, but proves nothing about others."]
    other = finished_study({"rnn": GOOD, "gru": FAIR}, name="other", maximize=True)
    with pytest.raises(ValueError, match=r"digits_rows must have one metric .*log_loss, accuracy"):
        Comparison.of(first, other)


def test_benchmarks_with_other_options_are_others(finished_study: Finished) -> None:
    folders = [
        finished_study(
            {"rnn": POOR, "gru": GOOD},
            name=f"s{length}",
            benchmark={"name": "adding", "length": length},  # type: ignore[arg-type]
        )
        for length in (50, 100)
    ]
    assert list(Comparison.of(*folders).means) == ["adding (length=50)", "adding (length=100)"]


def test_families_must_be_everywhere(finished_study: Finished) -> None:
    first = finished_study({"rnn": POOR, "gru": GOOD, "tcn": FAIR}, name="a", benchmark="b1")
    second = finished_study({"rnn": POOR, "gru": GOOD}, name="b", benchmark="b2")
    third = finished_study({"gru": GOOD, "tcn": GOOD}, name="c", benchmark="b3")
    found = Comparison.of(first, second)
    assert found.left_out == ["tcn"]
    assert "Left out, as they lack finalists in some study: tcn." in found.sentences()
    assert "Sign test over 2 benchmarks: p = 0.5" in found.sentences()[1]
    assert any("Under 10 benchmarks" in sentence for sentence in found.sentences())
    with pytest.raises(ValueError, match="two families with finalists in every study, got gru"):
        Comparison.of(first, second, third)


def test_the_diagram_is_to_scale(twelve: list[Path]) -> None:
    head, tcn, gru, rnn = Comparison.of(*twelve).diagram().splitlines()
    assert head.split() == ["1", "2", "3"]
    assert tcn.index("*") == head.index("1") + 1
    assert gru.index("*") == head.index("2") - 1
    assert rnn.index("*") == head.index("3")
    assert tcn.count("-") == round(3.314 / 2**0.5 * (12 / 72) ** 0.5 * 12)
    assert rnn.endswith("*")


def test_formats(twelve: list[Path], tmp_path: Path) -> None:
    found = Comparison.of(tmp_path)
    tree = json.loads(found.text("json"))
    assert [row["family"] for row in tree["families"]] == found.test.families
    assert tree["families"][0]["ranks"][0] == 2
    assert tree["critical_difference"] == pytest.approx(found.test.critical_difference)
    text = CliRunner().invoke(app, ["compare", str(tmp_path)]).output
    assert "3 families on 12 benchmarks" in text
    assert found.diagram() in text
    markdown = CliRunner().invoke(app, ["compare", str(tmp_path), "--format", "markdown"]).output
    assert "| family | mean rank | group | b0 |" in markdown
    assert f"```text\n{found.diagram()}```" in markdown
