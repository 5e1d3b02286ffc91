"""`seqtune leaderboard --by setting`: what mattered, and what was weak."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from typer.testing import CliRunner

from search.cli import app
from search.insight.criticism import criticism
from search.insight.setting_view import COLUMNS, SETTINGS
from search.motion.simulation import PowerLaw
from search.results.leaderboard import Leaderboard

Simulated = Callable[..., Path]


def test_settings_in_all_formats(simulated_study: Simulated, tmp_path: Path) -> None:
    families = {"gru": PowerLaw(rate=0.2, noise=0.01), "rnn": PowerLaw(rate=4.0, noise=0.01)}
    folder = simulated_study(families)
    rows, columns = Leaderboard(folder).rows(SETTINGS)
    assert list(columns) == list(COLUMNS)
    assert [row["family"] for row in rows] == ["gru"] * 3 + ["rnn"] * 3
    for family in families:
        own = [row for row in rows if row["family"] == family]
        assert abs(sum(row["ped_anova"] for row in own) - 1) < 1e-9
        assert abs(sum(row["fanova"] for row in own) - 1) < 1e-9
    words = ["leaderboard", str(folder), "--by", "setting"]
    assert json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).output) == rows
    text = " ".join(CliRunner().invoke(app, words).output.split())
    assert "model/size" in text
    for sentence in criticism(folder):
        assert sentence in text
    file = tmp_path / "settings.parquet"
    CliRunner().invoke(app, [*words, "--format", "parquet", "-o", str(file)])
    assert pq.read_table(file).to_pylist() == rows


def test_too_few_trials_give_no_rows(simulated_study: Simulated) -> None:
    folder = simulated_study({"gru": PowerLaw()}, budget={"trials_per_family": 5, "epochs": 3})
    assert Leaderboard(folder).rows(SETTINGS) == ([], dict(COLUMNS))
    assert "Of trials at an equal epoch, and of 10 or more." in Leaderboard(folder).text(SETTINGS)
