"""The summary of a study, kept as Parquet beside its log, so that only the log's tail is parsed.

The index is derived: it may be deleted at any time, and whatever is wrong with it, the log is read
from its beginning instead.
"""

import json
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from search.results.summary import Baseline, StudySummary, TrialSummary
from search.store.log import LOG, check_header, decode, open_log, whole_lines

INDEX = "index.parquet"
KEY = b"seqtune"
VERSION = 4
WORTH_BYTES = 1 << 18  # a shorter tail is parsed in milliseconds
CHECK_BYTES = 1 << 12


def summarize(directory: Path) -> StudySummary:
    """The study in `directory` as far as its log goes; leaves an index behind where it can.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: A line of the log is corrupt, or the log has another format.
    """
    check_header(directory)
    summary, start, number = _load(directory) or (StudySummary(directory.resolve().name), 0, 0)
    summary.directory = directory
    log, end = directory / LOG, start
    for line in whole_lines(directory, start):
        number += 1
        end += len(line) + 1
        event = decode(line, log, number)
        try:
            summary.add(event)
        except ValueError as error:
            raise ValueError(f"{log} is corrupt: line {number}: {error}") from None
    if end - start >= WORTH_BYTES:
        _save(directory, summary, end, number)
    return summary


def _load(directory: Path) -> tuple[StudySummary, int, int] | None:
    """The indexed summary, the byte it goes up to and its lines; None if it does not fit."""
    try:
        with pq.ParquetFile(directory / INDEX) as file:  # `pq.read_table` would load pandas
            table = file.read()
        about = json.loads(table.schema.metadata[KEY])
        if about["version"] != VERSION or about["check"] != _check(directory, about["end"]):
            return None
        baseline = about["study"].pop("baseline")
        summary = StudySummary(**about["study"], baseline=baseline and Baseline(**baseline))
        summary.racing = summary.racing and (summary.racing[0], summary.racing[1])
        summary.trials = {row["trial"]: _trial(row) for row in table.to_pylist()}
    except (OSError, ValueError, KeyError, TypeError):  # none, unreadable, or of another version
        return None
    return summary, about["end"], about["lines"]


def _save(directory: Path, summary: StudySummary, end: int, lines: int) -> None:
    """Write the index; quietly not at all where the folder cannot be written."""
    study = {item.name: getattr(summary, item.name) for item in fields(summary)}
    del study["trials"], study["directory"]
    study["baseline"] = summary.baseline and asdict(summary.baseline)
    about = {
        "version": VERSION,
        "end": end,
        "lines": lines,
        "check": _check(directory, end),
        "study": study,
    }
    names = [item.name for item in fields(TrialSummary)]
    trials = summary.trials.values()
    columns = {name: [getattr(trial, name) for trial in trials] for name in names}
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about)})
    draft = directory / f".{INDEX}.{uuid4().hex[:8]}"
    try:
        pq.write_table(table, draft)
        draft.replace(directory / INDEX)
    except OSError:
        draft.unlink(missing_ok=True)


def _trial(row: dict[str, Any]) -> TrialSummary:
    """A row of the index, in which pairs are lists."""
    row["reported"], row["leased"] = tuple(row["reported"]), tuple(row["leased"])
    return TrialSummary(**row)


def _check(directory: Path, end: int) -> int:
    """A checksum of the log's last bytes before `end`, by which a replaced log is noticed."""
    with open_log(directory) as file:
        file.seek(max(0, end - CHECK_BYTES))
        return zlib.crc32(file.read(min(end, CHECK_BYTES)))
