"""The leaderboard of one or several studies, from their logs; needs neither torch nor ray.

By family, a row is about the family's finalist, or its best trial as long as it has none:

- `rank`: by the mean on the test split, else by the best validation value;
- `test_mean`, `test_low`, `test_high`: over the finalist's seeds, with a 95 % interval;
- `test_low_over_examples`, `test_high_over_examples`: the wider interval over seeds and test
  examples, of what other examples of the same kind would show;
- `tie_group`: families that share a letter cannot be told apart;
- `valid_best`, `valid_epoch`, `parameters`: of the search trial that the finalist repeats;
- `train_seconds`: training of all the family's trials, finalists included;
- `trials`, `complete`, `pruned`, `failed`: trials of the search, the copies of population-based
  training included;
- `redrawn`: proposals that were drawn again, as the study's limits did not admit them;
- `beats_next_probability`: that the family's finalist is truly better than that of the family
  ranked next, by the seeds (and test examples) they share;
- `latency_ms`, `state_bytes`: of its finalist where that streams, medians over its runs;
- `beats_baseline`: whether it is better than the trivial predictor, where the log has one.

By pair, a row says how far `better` is ahead of `worse` over their common seeds and, where their
number is given, test `examples`: `difference`, `low`, `high` (95 %), `p_value`,
`corrected_p_value` (for all pairs), the `probability` that it is truly better, and whether it
`beats` the other.

By trial, a row is about one trial, finalists included, with a `config.*` column for each setting.
`train_seconds` counts epochs that were trained again after an interruption. `pareto` is `study`
where no complete trial is better in all objectives (in the metric and in `parameters`, where the
study has one objective), `family` where none of the same family is. `origin` says whence the
configuration of a search trial is: a `starting point` of the table, the `default`, or the
`sampler`. `latency_ms`, `state_bytes` and `peak_memory_bytes` are known where they were limited or
objectives; the first two of every finalist that streams: milliseconds of a step of one sequence on
one core, and what is carried between steps.
Under population-based training, `copied_from` is the trial whose weights a copy began with, those
of `copied_at_epoch`; `config.training` is what it, or the run that confirms it, ended with.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from search.results.display import family_block, pair_block, trial_block
from search.results.fronts import fronts
from search.results.index import summarize
from search.results.pairs import beats_next
from search.results.standing import Standing, best_first, standings
from search.results.summary import StudySummary, TrialSummary, interrupt
from search.results.tables import (
    Block,
    Row,
    to_csv,
    to_json,
    to_markdown,
    to_terminal,
    write_parquet,
)
from search.results.verdict import Verdict
from search.store.lock import LOCK, living_writer
from search.store.store import study_folders
from search.trial import State
from spaces import did_you_mean

By = Literal["family", "pair", "trial"]
FILE_WIDTH = 160
Format = Literal["table", "markdown", "csv", "json", "parquet"]

FAMILY_COLUMNS: dict[str, type] = {
    "study": str,
    "benchmark": str,
    "rank": int,
    "family": str,
    "test_mean": float,
    "test_low": float,
    "test_high": float,
    "tie_group": str,
    "valid_best": float,
    "valid_epoch": int,
    "metric": str,
    "parameters": int,
    "train_seconds": float,
    "trials": int,
    "complete": int,
    "pruned": int,
    "failed": int,
    "beats_baseline": bool,
    "test_low_over_examples": float,
    "test_high_over_examples": float,
    "beats_next_probability": float,
    "latency_ms": float,
    "state_bytes": int,
    "redrawn": int,
}
PAIR_COLUMNS: dict[str, type] = {
    "study": str,
    "benchmark": str,
    "better": str,
    "worse": str,
    "seeds": int,
    "examples": int,
    "p_value": float,
    "corrected_p_value": float,
    "probability": float,
    "beats": bool,
    "difference": float,
    "low": float,
    "high": float,
    "metric": str,
}
TRIAL_COLUMNS: dict[str, type] = {
    "study": str,
    "benchmark": str,
    "trial": int,
    "family": str,
    "state": str,
    "finalist": bool,
    "seed": int,
    "valid_best": float,
    "valid_epoch": int,
    "epochs": int,
    "parameters": int,
    "train_seconds": float,
    "cause": str,
    "notes": str,
    "origin": str,
    "pareto": str,
    "latency_ms": float,
    "state_bytes": int,
    "peak_memory_bytes": int,
    "copied_from": int,
    "copied_at_epoch": int,
}


@dataclass(frozen=True, slots=True)
class View:
    """What a row of a leaderboard is about.

    Args:
        columns: Those that every row has, with their types.
        rows: Of one study.
        block: Of one study, for people; None leaves the study out.
    """

    columns: Mapping[str, type]
    rows: Callable[[StudySummary], list[Row]]
    block: Callable[[StudySummary], Block | None]


class Leaderboard:
    """What came out of the studies in some directories, as far as they are.

    Args:
        directories: Studies' own folders, or folders of such folders.
        benchmarks: Only studies on one of these; none means any.

    Raises:
        FileNotFoundError: There is no study in one of them.
        ValueError: A log is corrupt, or no study is on one of the benchmarks.
    """

    def __init__(self, *directories: str | Path, benchmarks: Collection[str] = ()) -> None:
        folders = [folder for directory in directories for folder in study_folders(directory)]
        self.summaries = [_current(folder) for folder in dict.fromkeys(folders)]
        known = {summary.benchmark for summary in self.summaries if summary.benchmark}
        for name in benchmarks:
            if name not in known:
                raise ValueError(f"no study is on benchmark {name!r}{did_you_mean(name, known)}")
        if benchmarks:
            self.summaries = [each for each in self.summaries if each.benchmark in benchmarks]

    def by_family(self) -> list[Row]:
        """One flat row for each family of each study, best first; a baseline has a row too."""
        return self.rows("family")[0]

    def by_pair(self) -> list[Row]:
        """One flat row for each two families of each study that have finalists on common seeds."""
        return self.rows("pair")[0]

    def by_trial(self) -> list[Row]:
        """One flat row for each trial of each study, best first."""
        return self.rows("trial")[0]

    def rows(self, by: By | View) -> tuple[list[Row], dict[str, type | None]]:
        """Flat rows, and the columns that they have even if there are no rows."""
        view = by if isinstance(by, View) else VIEWS[by]
        rows = [row for summary in self.summaries for row in view.rows(summary)]
        columns = dict.fromkeys(column for row in rows for column in row) | dict(view.columns)
        return [{column: row.get(column) for column in columns} for row in rows], columns

    def text(
        self, by: By | View = "family", output_format: Format = "table", *, width: int | None = None
    ) -> str:
        """The leaderboard as text: `table` and `markdown` for people, `csv` and `json` complete.

        Args:
            by: What a row is about.
            output_format: One of those four.
            width: Of a `table`, in characters; None means the terminal's.

        Raises:
            ValueError: The format is not text.
        """
        if output_format == "parquet":
            raise ValueError("parquet must go to a file, and none was given")
        if output_format in ("csv", "json"):
            rows, columns = self.rows(by)
            return to_csv(rows, columns) if output_format == "csv" else to_json(rows)
        view = by if isinstance(by, View) else VIEWS[by]
        found = (view.block(summary) for summary in self.summaries)
        blocks = [block for block in found if block is not None]
        if output_format == "markdown":
            return to_markdown(blocks)
        return to_terminal(blocks, width=width)

    def write(
        self, path: str | Path, by: By | View = "family", output_format: Format = "table"
    ) -> None:
        """Write the leaderboard to a file, in any format.

        Raises:
            OSError: The file cannot be written.
        """
        if output_format == "parquet":
            write_parquet(Path(path), *self.rows(by))
        else:
            Path(path).write_text(self.text(by, output_format, width=FILE_WIDTH), encoding="utf-8")


def _current(folder: Path) -> StudySummary:
    """The summary of a study; what a dead driver left running is interrupted."""
    summary = summarize(folder)
    if living_writer(folder / LOCK) is None:
        interrupt(summary)
    return summary


def _family_rows(summary: StudySummary) -> list[Row]:
    places = standings(summary)
    chances = beats_next(places)
    return [_family_row(summary, place, chances.get(place.family)) for place in places]


def _family_row(summary: StudySummary, place: Standing, chance: float | None) -> Row:
    test, wide, best = place.test, place.over_examples, place.best
    counted = not place.is_baseline
    return {
        "study": summary.study,
        "benchmark": summary.benchmark,
        "rank": place.rank,
        "family": place.family,
        "test_mean": test.mean if test else None,
        "test_low": test.low if test else None,
        "test_high": test.high if test else None,
        "tie_group": place.tie_group,
        "valid_best": place.valid,
        "valid_epoch": best.best_epoch if best else None,
        "metric": summary.metric,
        "parameters": best.parameters if best else None,
        "train_seconds": place.train_seconds if counted else None,
        "trials": len(place.trials) if counted else None,
        "complete": place.count(State.complete) if counted else None,
        "pruned": place.count(State.pruned) if counted else None,
        "failed": place.count(State.failed) if counted else None,
        "beats_baseline": place.beats_baseline,
        "test_low_over_examples": wide.low if wide else None,
        "test_high_over_examples": wide.high if wide else None,
        "beats_next_probability": chance,
        "latency_ms": place.costs.get("latency_ms"),
        "state_bytes": round(place.costs["state_bytes"]) if "state_bytes" in place.costs else None,
        "redrawn": sum(trial.redrawn for trial in place.trials) if counted else None,
    }


def _pair_rows(summary: StudySummary) -> list[Row]:
    about = {"study": summary.study, "benchmark": summary.benchmark}
    pairs = Verdict.over(summary, standings(summary)).pairs
    return [about | pair.to_row() | {"metric": summary.metric} for pair in pairs]


def _trial_rows(summary: StudySummary) -> list[Row]:
    on = fronts(summary)
    return [_trial_row(summary, trial, on.get(trial.trial)) for trial in best_first(summary)]


def _trial_row(summary: StudySummary, trial: TrialSummary, front: str | None) -> Row:
    costs = json.loads(trial.costs)
    return {
        "study": summary.study,
        "benchmark": summary.benchmark,
        "trial": trial.trial,
        "family": trial.family,
        "state": str(trial.state),
        "finalist": trial.finalist_of is not None,
        "seed": trial.seed,
        "valid_best": trial.best,
        "valid_epoch": trial.best_epoch,
        "epochs": trial.epochs,
        "parameters": trial.parameters,
        "train_seconds": trial.train_seconds,
        "cause": trial.cause,
        "notes": "; ".join(trial.notes) or None,
        "origin": trial.origin,
        "pareto": front,
        **{name: costs.get(name) for name in ("latency_ms", "state_bytes", "peak_memory_bytes")},
        "copied_from": trial.copied_from,
        "copied_at_epoch": trial.copied_at if trial.copied_from is not None else None,
        **dict(_settings(json.loads(trial.config), "config")),
    }


def _settings(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each leaf of a configuration under its dotted name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _settings(value, f"{name}.{key}")
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _settings(value, f"{name}.{index}")
    else:
        yield name, tree


VIEWS: dict[By, View] = {
    "family": View(FAMILY_COLUMNS, _family_rows, family_block),
    "pair": View(PAIR_COLUMNS, _pair_rows, pair_block),
    "trial": View(TRIAL_COLUMNS, _trial_rows, trial_block),
}
