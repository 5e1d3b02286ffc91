"""The leaderboard by setting: what mattered in each family's search, and where it was weak."""

from pathlib import Path

from search.insight.analysis import FEW_TRIALS, Analysis, analyse
from search.insight.criticism import criticism
from search.results.cells import count
from search.results.display import title
from search.results.leaderboard import View
from search.results.summary import StudySummary
from search.results.tables import Block, Row

COLUMNS: dict[str, type] = {
    "study": str,
    "benchmark": str,
    "family": str,
    "setting": str,
    "ped_anova": float,
    "fanova": float,
    "trials": int,
    "epoch": int,
}
MEANING = (
    "fANOVA: the share of the variance that a setting explains alone. PED-ANOVA: what it does for "
    f"being among the best. Of trials at an equal epoch, and of {FEW_TRIALS} or more."
)


def _rows(summary: StudySummary) -> list[Row]:
    return [
        {
            "study": summary.study,
            "benchmark": summary.benchmark,
            "family": found.family,
            "setting": each.setting,
            "ped_anova": each.ped_anova,
            "fanova": each.fanova,
            "trials": found.trials,
            "epoch": found.epoch,
        }
        for found in analyse(_folder(summary))
        for each in found.importances
    ]


def _block(summary: StudySummary) -> Block:
    analyses = analyse(_folder(summary))
    return Block(
        title=title(summary),
        headings=["family", "setting", "fANOVA", "PED-ANOVA", "trials", "epoch"],
        words=frozenset({"family", "setting"}),
        cells=[cells for found in analyses for cells in _cells(found)],
        notes=[MEANING, *criticism(_folder(summary))],
    )


def _cells(found: Analysis) -> list[list[str]]:
    return [
        [
            found.family,
            each.setting,
            "" if each.fanova is None else f"{100 * each.fanova:.0f} %",
            f"{100 * each.ped_anova:.0f} %",
            count(found.trials),
            count(found.epoch),
        ]
        for each in found.importances
    ]


def _folder(summary: StudySummary) -> Path:
    assert summary.directory is not None
    return summary.directory


SETTINGS = View(COLUMNS, _rows, _block)
