"""Flat rows as CSV, JSON and Parquet; tables for people as terminal text and Markdown."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]

ARROW_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
UNBOUNDED_WIDTH = 10_000
TERMINAL_ROWS = 200  # a row takes rich a millisecond, and nobody reads thousands


@dataclass(frozen=True, slots=True)
class Block:
    """A table for people.

    Attributes:
        words: Headings of the columns of words; the others hold numbers, aligned to the right.
        cells: Rows of text, as long as `headings`.
        notes: Sentences below the table.
        spare: Headings of words that a narrow terminal leaves out, as it does numbers.
    """

    title: str
    headings: Sequence[str]
    words: frozenset[str]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    spare: frozenset[str] = frozenset()


def to_csv(rows: Sequence[Row], columns: Iterable[str]) -> str:
    """Rows under a line of column names; what is missing is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """A list of flat objects; what is missing is null."""
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def write_parquet(path: Path, rows: Sequence[Row], columns: Mapping[str, type | None]) -> None:
    """Rows as a Parquet file.

    Args:
        columns: Each with its type; None for one that may hold anything, which becomes text where
            its values are of several types.

    Raises:
        OSError: The file cannot be written.
    """
    arrays = {name: _array([row[name] for row in rows], kind) for name, kind in columns.items()}
    pq.write_table(pa.table(arrays), path)


def to_terminal(blocks: Iterable[Block], *, width: int | None = None) -> str:
    """Tables as a terminal shows them, up to `TERMINAL_ROWS` rows each.

    Args:
        width: In characters; None means the terminal's, and as wide as need be where there is none.
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNBOUNDED_WIDTH
    buffer = io.StringIO()
    console = Console(file=buffer, width=width)
    for block in blocks:
        shown = _columns_that_fit(block, width)
        table = Table(title=Text(block.title), title_justify="left", box=box.SIMPLE_HEAD)
        for heading in (block.headings[place] for place in shown):
            table.add_column(Text(heading), justify="left" if heading in block.words else "right")
        for row in block.cells[:TERMINAL_ROWS]:
            table.add_row(*(Text(row[place]) for place in shown))
        console.print(table)
        for note in (*_left_out(block, shown), *block.notes):
            console.print(Text(f" {note}"))
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _columns_that_fit(block: Block, width: int) -> list[int]:
    """The places of the columns to show: numbers are left out from the right, words may wrap."""
    places = range(len(block.headings))
    widths = [  # with a blank on both sides and one between columns
        3 + max(cell_len(text) for text in (heading, *(row[place] for row in block.cells)))
        for place, heading in enumerate(block.headings)
    ]
    shown = list(places)
    for place in reversed(places):
        if sum(widths[kept] for kept in shown) + 1 <= width:
            break
        if block.headings[place] not in block.words - block.spare and place > 0:
            shown.remove(place)
    return shown


def _left_out(block: Block, shown: list[int]) -> list[str]:
    """What a terminal has no room for, in sentences."""
    notes = []
    rows = len(block.cells) - TERMINAL_ROWS
    if rows > 0:
        notes.append(f"{rows:,} more rows are in the other formats.")
    columns = [heading for place, heading in enumerate(block.headings) if place not in shown]
    if columns:
        notes.append(f"In a wider terminal: {', '.join(columns)}.")
    return notes


def to_markdown(blocks: Iterable[Block]) -> str:
    """Tables in GitHub's Markdown."""
    lines = []
    for block in blocks:
        rules = [":--" if heading in block.words else "--:" for heading in block.headings]
        rows = [block.headings, rules, *([_escape(cell) for cell in row] for row in block.cells)]
        lines += [f"**{_escape(block.title)}**", ""]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines += ["", *(f"{_escape(note)}  " for note in block.notes), ""]
    return "\n".join(lines)


def _array(values: list[Any], kind: type | None) -> pa.Array:
    if kind is not None:
        return pa.array(values, ARROW_TYPES[kind])
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pa.array(values, pa.float64())
    if len(kinds) > 1:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array(values)


def _escape(text: str) -> str:
    """What a cell of a Markdown table may hold: no bars, no markup, no line breaks."""
    for mark in "\\|*_`<[":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
