"""Files for models of shared benchmarks: a sequence per line, as JSON in the benchmark's units."""

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.vocabulary import UNKNOWN, Vocabulary
from trainers.dataset import Sequences
from trainers.own_data import files
from trainers.own_data.examples import words_of
from trainers.prediction.asked import Asked, Kept, numbered
from trainers.prediction.own_files import of_sentences, read_lines, read_sentences

JSON_LINES = (".jsonl", ".ndjson")
SYMBOL = "(?s)."


def read_benchmark_file(path: Path, kept: Kept) -> Asked:
    """A sequence per line, as `{"inputs": ...}`; or sentences, where the benchmark is of words.

    Raises:
        ValueError: It is another kind of file, or something is wrong with a line.
        OSError: The file cannot be read.
    """
    kind = files.kind_of(path)
    if files.suffix_of(path) in JSON_LINES:
        return _read_json(path, kept)
    if kind == "lines" and "words" in kept:
        return read_lines(path, kept)
    has_words = kept["task"]["name"] == "tagging" and _is_open(kept)
    if has_words and kind in ("tags", "lines"):
        return read_sentences(path, kept)
    more = " or .txt, one text per line" if "words" in kept else ""
    more += " or CoNLL columns of words" if has_words else ""
    raise ValueError(
        f'{path} must be a .jsonl file, one {{"inputs": [...]}} per line{more}: the model was '
        f"trained on a shared benchmark"
    )


def _is_open(kept: Kept) -> bool:
    """Whether there are words that count as unknown."""
    return list(kept.get("vocabulary", ()))[:1] == [UNKNOWN]


def _read_json(path: Path, kept: Kept) -> Asked:
    lines = [(number, line) for number, line in files.read_lines(path) if line.strip()]
    if not lines:
        raise ValueError(f"{path} must hold one JSON object per line, got blank lines")
    rows = [(f"{path}, line {number}", _inputs(path, number, line)) for number, line in lines]
    if kept["task"]["vocabulary"] is None:
        return _of_features([_features(place, row, kept) for place, row in rows], kept)
    if _is_open(kept) and not any(_is_number(row) for _, row in rows):
        return of_sentences([_symbols(place, row, kept) for place, row in rows], kept, "row")
    tokens = [_tokens(place, row, kept) for place, row in rows]
    positions = [range(1, len(example) + 1) for example in tokens]
    return Asked(
        sequences=Sequences.from_list(tokens),
        keys=numbered(len(tokens)),
        steps={"position": positions, "word": [_words(example, kept) for example in tokens]},
    )


def _inputs(path: Path, number: int, line: str) -> Any:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {number} must be a JSON object, got {line[:40]!r}: {error.msg}"
        ) from None
    if not isinstance(row, dict) or not isinstance(row.get("inputs"), list | str):
        raise ValueError(f'{path}, line {number} must be {{"inputs": [...]}}, got {line[:40]!r}')
    if not row["inputs"]:
        raise ValueError(f"{path}, line {number}: a sequence must have at least one step, got none")
    return row["inputs"]


def _features(place: str, row: Any, kept: Kept) -> np.ndarray:
    """(time, size) in the benchmark's units."""
    size = kept["task"]["input_size"]
    try:
        values = np.array(row, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim == 1 and size == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != size:
        raise ValueError(f"{place}: every step must be a list of {size} numbers")
    if not np.isfinite(values).all():
        raise ValueError(f"{place}: every value must be finite, got a NaN or an infinity")
    order = kept.get("order", range(len(values)))
    if len(order) != len(values):
        raise ValueError(f"{place}: there must be {len(order)} steps, got {len(values)}")
    look_back = kept.get("look_back", 1)
    if len(values) < look_back:
        raise ValueError(
            f"{place}: there must be at least {look_back} steps, the look-back that the model was "
            f"trained with, got {len(values)}"
        )
    return values[order][-look_back if "look_back" in kept else 0 :]


def _of_features(examples: list[np.ndarray], kept: Kept) -> Asked:
    scaler = Scaler.from_json(kept["scaler"]) if "scaler" in kept else None
    scaled = [values if scaler is None else scaler.apply(values) for values in examples]
    horizon = kept["task"].get("horizon")
    lengths = [horizon or len(values) for values in scaled]
    return Asked(
        sequences=Sequences.from_list(scaled),
        keys=numbered(len(scaled)),
        steps={"position": [range(1, length + 1) for length in lengths]},
        scalers=[scaler] * len(scaled) if horizon and scaler else (),
    )


def _is_number(row: Any) -> bool:
    return all(type(symbol) is int for symbol in row)


def _symbols(place: str, row: Any, kept: Kept) -> list[str]:
    if isinstance(row, str):
        return words_of([row], kept.get("words", SYMBOL))[0] or _refuse_symbol(place, row)
    return [symbol if isinstance(symbol, str) else _refuse_symbol(place, symbol) for symbol in row]


def _tokens(place: str, row: Any, kept: Kept) -> np.ndarray:
    """(time,) numbers of tokens; given as such, or by their names."""
    size = kept["task"]["vocabulary"]
    if _is_number(row):
        for symbol in row:
            if not 0 <= symbol < size:
                raise ValueError(f"{place}: a token must be from 0 to {size - 1}, got {symbol}")
        return np.array(row, dtype=np.int64)
    words = kept.get("vocabulary", ())
    symbols = _symbols(place, row, kept)
    for symbol in symbols:
        if symbol not in words:
            _refuse_symbol(place, symbol)
    return Vocabulary(tuple(words)).encode(symbols)


def _words(tokens: np.ndarray, kept: Kept) -> list[str]:
    words = kept.get("vocabulary")
    return [str(token) if words is None else words[token] for token in tokens.tolist()]


def _refuse_symbol(place: str, symbol: object) -> NoReturn:
    raise ValueError(f"{place}: every step must be a token that the model knows, got {symbol!r}")
