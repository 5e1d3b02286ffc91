"""What a trained model says of a file, as text, CSV, JSON or Parquet, printed or in a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from search.results.tables import Row, to_csv, to_json, write_parquet
from trainers.prediction import Predictions, predict

FORMATS: Final = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".conll": "text",
    ".iob": "text",
    ".bio": "text",
}


def answer_file(
    folder: Path, file: Path, output: Path | None, output_format: str | None, *, trust: bool
) -> tuple[str, Sequence[str]]:
    """Ask the model in `folder`; what to print, and what one should know of it.

    Args:
        output: The file to write, whole or not at all; None to print the answers.
        output_format: None for what the name of `output` says; printed are text, where the task has
            such a form, else CSV.

    Raises:
        ValueError: The file is not as it was in training, or there is no such format.
        OSError: A file cannot be read or written.
    """
    if output is not None:
        _check_output(output, file)
        output_format = output_format or _format_of(output)
    if output is None and output_format == "parquet":
        raise ValueError("Parquet is written to a file: give --output FILE.parquet")
    predictions = predict(folder, file, trust=trust)
    if output_format is None:
        output_format = "csv" if predictions.text is None else "text"
    if output is None:
        return _text(predictions, output_format), predictions.notes
    _write(output, predictions, output_format)
    count = len(next(iter(predictions.columns.values())))
    return f"{count:,} rows are in {output}\n", predictions.notes


def _check_output(output: Path, file: Path) -> None:
    if output.is_dir():
        raise IsADirectoryError(f"{output} must be a file, got a folder")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {output.parent}")
    if output.resolve() == file.resolve():
        raise ValueError(f"{output} must be another file than the one that is read")


def _format_of(output: Path) -> str:
    suffix = output.suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"{output} must end in one of {known}; or give --format")
    return FORMATS[suffix]


def _text(predictions: Predictions, output_format: str) -> str:
    if output_format == "text":
        if predictions.text is None:
            raise ValueError("such answers are a table: choose csv, json, jsonl or parquet")
        return predictions.text
    rows = _rows(predictions)
    if output_format == "csv":
        return to_csv(rows, predictions.columns)
    if output_format == "json":
        return to_json(rows)
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)


def _rows(predictions: Predictions) -> list[Row]:
    names = list(predictions.columns)
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*predictions.columns.values(), strict=True)
    ]


def _write(output: Path, predictions: Predictions, output_format: str) -> None:
    draft = output.with_name(f".{output.name}.{uuid4().hex[:8]}")
    try:
        if output_format == "parquet":
            write_parquet(draft, _rows(predictions), dict.fromkeys(predictions.columns))
        else:
            draft.write_text(_text(predictions, output_format), encoding="utf-8")
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
