"""Files for models of shared benchmarks: a sequence per line, as JSON in the benchmark's units."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from trainers.benchmarks.digit_strings import stacked
from trainers.benchmarks.mel import log_mel, mel_filters
from trainers.benchmarks.nab import scaled_stream
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.speech import read_wave
from trainers.benchmarks.vocabulary import UNKNOWN
from trainers.data.dataset import Sequences
from trainers.own_data import files
from trainers.own_data.examples import words_of
from trainers.own_data.texts import read_texts
from trainers.prediction.asked import Asked, Kept, numbered
from trainers.prediction.own_files import of_sentences, read_sentences

JSON_LINES = (".jsonl", ".ndjson")
WAVE = ".wav"
SYMBOL = "(?s)."
RARE = "<unk>"
"""What benchmarks of text have in place of rare words."""


def read_benchmark_file(path: Path, kept: Kept) -> Asked:
    """A sequence per line, as `{"inputs": ...}`; or text, or a recording, as the benchmark is.

    Raises:
        ValueError: It is another kind of file, or something is wrong with a line.
        OSError: The file cannot be read.
    """
    if "log_mel" in kept and files.suffix_of(path) == WAVE:
        return _read_recording(path, kept)
    kind = files.kind_of(path)
    if files.suffix_of(path) in JSON_LINES:
        return _read_json(path, kept)
    if kind == "lines" and "words" in kept:
        texts = words_of(read_texts(path), kept["words"])
        return _of_symbols([(f"{path}, line {n}", text) for n, text in enumerate(texts, 1)], kept)
    has_words = "tagging" in kept["task"]["name"] and _is_open(kept)
    if has_words and kind in ("tags", "lines"):
        return read_sentences(path, kept)
    more = " or .txt, one text per line" if "words" in kept else ""
    more += " or CoNLL columns of words" if has_words else ""
    more += " or .wav, a recording" if "log_mel" in kept else ""
    raise ValueError(
        f'{path} must be a .jsonl file, one {{"inputs": [...]}} per line{more}: the model was '
        f"trained on a shared benchmark"
    )


def _read_recording(path: Path, kept: Kept) -> Asked:
    files.check_there(path)
    parts = kept["log_mel"]
    filters = mel_filters(parts["bands"], parts["transform"], parts["rate"])
    frames = log_mel(read_wave(path), filters, parts["window"], parts["hop"])
    return _of_features([stacked(frames, kept.get("stacked_frames", 1))], kept)


def _is_open(kept: Kept) -> bool:
    """Whether there are words that count as unknown, as in a user's own data."""
    return list(kept.get("vocabulary", ()))[:1] == [UNKNOWN]


def _read_json(path: Path, kept: Kept) -> Asked:
    lines = [(number, line) for number, line in files.read_lines(path) if line.strip()]
    if not lines:
        raise ValueError(f"{path} must hold one JSON object per line, got blank lines")
    rows = [(f"{path}, line {number}", _inputs(path, number, line)) for number, line in lines]
    if kept["task"]["vocabulary"] is None:
        return _of_features([_features(place, row, kept) for place, row in rows], kept)
    if all(_are_numbers(row) for _, row in rows):
        return _of_tokens([_tokens(place, row, kept) for place, row in rows], kept)
    return _of_symbols([(place, _symbols(place, row, kept)) for place, row in rows], kept)


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
            f"{place}: there must be at least {look_back} steps, as the model was trained with, "
            f"got {len(values)}"
        )
    return values[order][-look_back if "look_back" in kept else 0 :]


def _of_features(examples: list[np.ndarray], kept: Kept) -> Asked:
    if "probation" in kept:  # each stream is on a scale of its own first
        examples = [scaled_stream(values[:, 0])[:, None] for values in examples]
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


def _are_numbers(row: Any) -> bool:
    return all(type(symbol) is int for symbol in row)


def _tokens(place: str, row: list[int], kept: Kept) -> np.ndarray:
    """(time,) of tokens that are given by their numbers."""
    size = kept["task"]["vocabulary"]
    for number in row:
        if not 0 <= number < size:
            raise ValueError(f"{place}: a token must be from 0 to {size - 1}, got {number}")
    return np.array(row, dtype=np.int64)


def _symbols(place: str, row: Any, kept: Kept) -> list[str]:
    """The names of tokens; of a text, its words or characters."""
    symbols = words_of([row], kept.get("words", SYMBOL))[0] if isinstance(row, str) else row
    for symbol in symbols or [row]:
        if not isinstance(symbol, str) or not symbols:
            _refuse_symbol(place, symbol)
    return list(symbols)


def _of_symbols(rows: Sequence[tuple[str, list[str]]], kept: Kept) -> Asked:
    if _is_open(kept):
        return of_sentences([symbols for _, symbols in rows], kept, "row")
    numbers = {word: number for number, word in enumerate(kept.get("vocabulary", ()))}
    unknown = 0
    for place, symbols in rows:
        others = [symbol for symbol in symbols if symbol not in numbers]
        if others and RARE not in numbers:
            _refuse_symbol(place, others[0])
        unknown += len(others)
    rare = numbers.get(RARE, 0)
    tokens = [np.array([numbers.get(symbol, rare) for symbol in symbols]) for _, symbols in rows]
    return replace(_of_tokens(tokens, kept), unknown=unknown)


def _of_tokens(tokens: list[np.ndarray], kept: Kept) -> Asked:
    names = kept.get("vocabulary") or [str(number) for number in range(kept["task"]["vocabulary"])]
    if kept["task"].get("reads_spelling", False):
        return of_sentences(
            [[names[token] for token in one.tolist()] for one in tokens], kept, "row"
        )
    return Asked(
        sequences=Sequences.from_list(tokens),
        keys=numbered(len(tokens)),
        steps={
            "position": [range(1, len(example) + 1) for example in tokens],
            "word": [[names[token] for token in example.tolist()] for example in tokens],
        },
        words=sum(len(example) for example in tokens),
    )


def _refuse_symbol(place: str, symbol: object) -> NoReturn:
    raise ValueError(f"{place}: every step must be a token that the model knows, got {symbol!r}")
