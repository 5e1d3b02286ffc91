"""Tables in files, batch by batch: CSV, JSON Lines and Parquet, read once by pyarrow."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pa_parquet

from trainers.own_data.files import open_text, suffix_of

BLOCK_BYTES: Final = 1 << 22
"""What is read at once; a longer row cannot be read."""
SEPARATORS: Final = {".csv": ",;\t|", ".tsv": "\t"}


def column_names(path: Path) -> list[str]:
    """The columns of a table, in their order.

    Raises:
        ValueError: The file has no columns, or two of one name.
        OSError: It cannot be read.
    """
    suffix = suffix_of(path)
    if suffix in SEPARATORS:
        names = _csv_header(path)[0]
    elif suffix in (".parquet", ".pq"):
        names = _parquet(path).schema_arrow.names
    else:
        names = next(_json_batches(path)).schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: every column must have a name of its own, got {twice[0]!r} twice"
        )
    return list(names)


def batches(path: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """Record batches of the rows in their order, each with all of `columns`.

    Columns of CSV files are text; those of others have the types of the file.

    Raises:
        ValueError: The file is not what its name says; the message names the row.
        OSError: It cannot be read.
    """
    suffix = suffix_of(path)
    if suffix in SEPARATORS:
        return _csv_batches(path, columns)
    if suffix in (".parquet", ".pq"):
        return _parquet_batches(path, columns)
    return _json_batches(path, columns)


def _csv_header(path: Path) -> tuple[list[str], str, int]:
    """The names in the first line that is not blank, what parts them, and the line's number."""
    with open_text(path) as file:
        numbered = ((line, number) for number, line in enumerate(file, 1) if line.strip())
        line, number = next(numbered, (b"", 0))
    first = line.decode("utf-8").rstrip("\r\n")
    if not first:
        raise ValueError(f"{path} must begin with a line that names the columns, got blank lines")
    known = SEPARATORS[suffix_of(path)]
    separator = next((mark for mark in known if mark in first), known[0])
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    if all(_is_number(name) for name in names):
        raise ValueError(f"{path}: the first line must name the columns, got {first[:60]!r}")
    return names, separator, number


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _csv_batches(path: Path, columns: list[str] | None) -> Iterator[Any]:
    names, separator, header_line = _csv_header(path)
    wrong: list[Any] = []

    def remember(row: Any) -> str:
        wrong.append(row)
        return "error"

    with open_text(path) as file:
        try:
            yield from pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(
                    use_threads=False,  # with threads pyarrow does not know the number of a row
                    block_size=BLOCK_BYTES,
                    column_names=names,
                    skip_rows=header_line,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=separator, newlines_in_values=True, invalid_row_handler=remember
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), include_columns=columns
                ),
            )
        except pa.ArrowInvalid as error:
            if not wrong:
                raise ValueError(f"{path} cannot be read as CSV: {_first_line(error)}") from None
            row = wrong[0]
            raise ValueError(
                f"{path}, row {row.number - header_line} must have {row.expected_columns} columns, "
                f"got {row.actual_columns}: {row.text[:60]!r}"
            ) from None


def _parquet(path: Path) -> Any:
    try:
        return pa_parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} must be a Parquet file: {_first_line(error)}") from None


def _parquet_batches(path: Path, columns: list[str] | None) -> Iterator[Any]:
    try:
        yield from _parquet(path).iter_batches(columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise OSError(f"{path} is damaged: {_first_line(error)}") from None


def _json_batches(path: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """What a row lacks is missing; a column that a whole block lacks, too."""
    done = 0
    with open_text(path) as file:
        while block := _whole_lines(file):
            try:
                options = pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1)
                table = pa_json.read_json(io.BytesIO(block), options)
            except pa.ArrowInvalid as error:
                _refuse_json(path, block, done, _first_line(error))
            for name in columns or []:
                if name not in table.schema.names:
                    table = table.append_column(name, pa.nulls(table.num_rows))
            done += table.num_rows
            yield from (table.select(columns) if columns else table).to_batches()
    if not done:
        raise ValueError(f"{path} must hold one JSON object a line, got blank lines")


def _whole_lines(file: BinaryIO) -> bytes:
    """About `BLOCK_BYTES` of lines that are not blank; nothing at the end."""
    while lines := file.readlines(BLOCK_BYTES):
        block = b"".join(line for line in lines if line.strip())
        if block:
            return block
    return b""


def _refuse_json(path: Path, block: bytes, done: int, reason: str) -> NoReturn:
    kinds: dict[str, tuple[type, int]] = {}
    for number, line in enumerate(block.splitlines(), done + 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, row {number} must be a JSON object, got {_short(line)}: {error.msg}"
            ) from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, row {number} must be a JSON object, got {_short(line)}")
        for name, value in row.items():
            kind = float if type(value) is int else type(value)
            before = kinds.setdefault(name, (kind, number)) if value is not None else (kind, number)
            if kind is not before[0]:
                raise ValueError(
                    f"{path}, row {number}: column {name!r} must hold values of one kind, "
                    f"got {_short(json.dumps(value).encode())} and another kind in row {before[1]}"
                )
    raise ValueError(f"{path} cannot be read as JSON Lines: {reason}")


def _short(line: bytes) -> str:
    return repr(line.decode("utf-8")[:40])


def _first_line(error: Exception) -> str:
    return next(islice(str(error).splitlines(), 1), "").rstrip(".")
