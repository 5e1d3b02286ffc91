"""Read `.ts` files, the text format of the UCR and UEA archives of time series."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """The cases of one file.

    Attributes:
        cases: (time, channels) float64 each; times may differ.
        labels: The class of each case, by its place in `classes`.
        classes: In the order the file declares them.
    """

    cases: list[np.ndarray]
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(slots=True)
class _Header:
    """What the lines beginning with @ say; a tag's words are kept in lower case."""

    tags: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    def read(self, line: str) -> None:
        name, _, value = line[1:].partition(" ")
        self.tags[name.lower()] = value.strip().lower()
        if name.lower() == "classlabel":
            self.classes = tuple(value.split()[1:])

    def says(self, name: str, value: str) -> bool:
        return self.tags.get(name, "") == value


def read_ts(path: Path) -> LabelledSeries:
    """Read a file of labelled series without time stamps and without missing values.

    Raises:
        ValueError: The file is not such a file; the message names the line.
    """
    header, first = _read_header(path)
    _check_classes(path, first, header)
    cases, labels = _read_cases(path, header, first)
    codes = []
    for number, label in labels:
        if label.strip() not in header.classes:
            allowed = ", ".join(header.classes)
            _refuse(path, number, f"the class must be one of {allowed}, got {label!r}")
        codes.append(header.classes.index(label.strip()))
    return LabelledSeries(cases, np.array(codes, dtype=np.int64), header.classes)


def read_ts_numbers(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read a file of series with a number each: (time, channels) each, and (cases,) float64.

    Raises:
        ValueError: The file is not such a file; the message names the line.
    """
    header, first = _read_header(path)
    _check_numbers(path, first, header)
    cases, labels = _read_cases(path, header, first)
    numbers = [_read_channel(path, number, label) for number, label in labels]
    return cases, np.concatenate(numbers)


def read_ts_series(path: Path) -> list[np.ndarray]:
    """Read a file of series that may lack labels, (time, channels) each; labels are left out.

    Raises:
        ValueError: The file is not such a file; the message names the line.
    """
    header, first = _read_header(path)
    has_labels = any(
        header.tags.get(name, "").startswith("true") for name in ("classlabel", "targetlabel")
    )
    return _read_cases(path, header, first, has_labels=has_labels)[0]


def _read_cases(
    path: Path, header: _Header, first: int, *, has_labels: bool = True
) -> tuple[list[np.ndarray], list[tuple[int, str]]]:
    """The series, and each one's label with the number of its line."""
    if header.says("timestamps", "true"):
        _refuse(path, first, "series with time stamps cannot be read: values alone are expected")
    cases, labels = [], []
    for number, line in enumerate(_lines(path)[first:], first + 1):
        if line.strip():
            channels = line.strip().split(":")
            label = channels.pop() if has_labels else ""
            cases.append(_read_case(path, number, channels, header))
            labels.append((number, label))
    if not cases:
        raise ValueError(f"{path}: there must be at least one case after @data, got none")
    _check_alike(path, cases, header)
    return cases, labels


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")


def _read_header(path: Path) -> tuple[_Header, int]:
    """The header and the place of the line after @data."""
    header = _Header()
    for number, line in enumerate(_lines(path), 1):
        if line.strip().lower() == "@data":
            return header, number
        if line.startswith("@"):
            header.read(line)
        elif line.strip() and not line.startswith("#"):
            _refuse(path, number, f"a line before @data must begin with # or @, got {line[:40]!r}")
    raise ValueError(f"{path}: there must be a line @data, got none")


def _check_classes(path: Path, number: int, header: _Header) -> None:
    if not header.tags.get("classlabel", "").startswith("true") or len(header.classes) < 2:
        _refuse(path, number, "a line `@classLabel true A B ...` must name at least two classes")


def _check_numbers(path: Path, number: int, header: _Header) -> None:
    if not header.tags.get("targetlabel", "").startswith("true"):
        _refuse(path, number, "a line `@targetLabel true` must say that cases end in a number")


def _read_case(path: Path, number: int, channels: list[str], header: _Header) -> np.ndarray:
    expected = header.tags.get("dimensions", "1" if header.says("univariate", "true") else "")
    if not channels or (expected and len(channels) != int(expected)):
        wanted = expected or "some"
        _refuse(path, number, f"a case must have {wanted} channels, got {len(channels)}")
    series = [_read_channel(path, number, text) for text in channels]
    lengths = sorted({len(values) for values in series})
    if len(lengths) > 1:
        _refuse(path, number, f"all channels of a case must be of one length, got {lengths}")
    return np.stack(series, axis=1)


def _read_channel(path: Path, number: int, text: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split(",")])
    except ValueError:
        wrong = next(word for word in text.split(",") if not _is_number(word))
        hint = "; missing values cannot be read" if wrong.strip() == "?" else ""
        _refuse(path, number, f"a value must be a number, got {wrong!r}{hint}")
    if not np.isfinite(values).all():
        _refuse(path, number, "every value must be finite, got a NaN or an infinity")
    return values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_alike(path: Path, cases: Iterable[np.ndarray], header: _Header) -> None:
    channels = {case.shape[1] for case in cases}
    lengths = {len(case) for case in cases}
    if len(channels) > 1:
        raise ValueError(f"{path}: all cases must have the same channels, got {sorted(channels)}")
    declared = header.tags.get("serieslength")
    if header.says("equallength", "true") and len(lengths | {int(declared or min(lengths))}) > 1:
        raise ValueError(
            f"{path}: @equalLength and @seriesLength promise cases of one length, "
            f"got {sorted(lengths)} instead of {declared or 'one'}"
        )


def _refuse(path: Path, number: int, problem: str) -> NoReturn:
    raise ValueError(f"{path}, line {number}: {problem}")
