"""Columns of a table as arrays: numbers, words and texts, refused by row where they are not."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Place = Callable[[int], str]
"""Where a row of a batch stands, in words."""

MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "?")


class Column(Protocol):
    """A column that grows batch by batch."""

    @property
    def name(self) -> str:
        """As the file has it."""

    @property
    def summary(self) -> str:
        """What it holds, in words."""

    def add(self, array: Any, place: Place) -> None:
        """Take in the next rows.

        Raises:
            ValueError: A row holds something else than it should.
        """


@dataclass(slots=True)
class Numbers:
    """(rows,) float64, all of them finite; yes and no are 1 and 0."""

    name: str
    _parts: list[np.ndarray] = field(default_factory=list)

    def add(self, array: Any, place: Place) -> None:
        """See `Column`."""
        array = plain(array)
        numbers = cast(array, pa.float64())
        if numbers is None and pa.types.is_string(array.type):
            truths = cast(array, pa.bool_())
            numbers = None if truths is None else cast(truths, pa.float64())
        if numbers is None:
            self._refuse(array, place)
        values = numbers.to_numpy(zero_copy_only=False)
        if not np.isfinite(values).all():
            self._refuse(array, place)
        self._parts.append(values)

    @property
    def values(self) -> np.ndarray:
        """All rows."""
        return joined(self._parts)

    def show(self, row: int) -> str:
        """What stands in a row."""
        return f"{self.values[row]:g}"

    @property
    def summary(self) -> str:
        """See `Column`."""
        values = self.values
        return f"numbers from {values.min():g} to {values.max():g}"

    def _refuse(self, array: Any, place: Place) -> NoReturn:
        for row, value in enumerate(array.to_pylist()):
            if _is_missing(value):
                refuse_missing(self.name, value, place(row))
            number = _as_number(value)
            if number is None:
                hint = "; write decimals with a point" if "," in str(value) else ""
                raise ValueError(
                    f"{place(row)}: column {self.name!r} must hold numbers, got {value!r}{hint}"
                )
            if not np.isfinite(number):
                raise ValueError(
                    f"{place(row)}: column {self.name!r} must hold finite numbers, got {value!r}"
                )
        raise ValueError(f"{place(0)}: column {self.name!r} must hold numbers, got {array.type}")


@dataclass(slots=True)
class PartialNumbers(Numbers):
    """(rows,) float64; NaN where there is no value."""

    def add(self, array: Any, place: Place) -> None:
        """See `Column`."""
        array = plain(array)
        there = np.flatnonzero([not _is_missing(value) for value in array.to_pylist()])
        values = np.full(len(array), np.nan)
        if len(there):
            Numbers.add(self, array.take(pa.array(there)), lambda row: place(int(there[row])))
            values[there] = self._parts.pop()
        self._parts.append(values)


@dataclass(slots=True)
class Words:
    """(rows,) int64 codes of words, in the order in which the words were met."""

    name: str
    _numbers: dict[str, int] = field(default_factory=dict)
    _parts: list[np.ndarray] = field(default_factory=list)

    def add(self, array: Any, place: Place) -> None:
        """See `Column`."""
        encoded = _words(array, self.name, place).dictionary_encode()
        words = encoded.dictionary.to_pylist()
        codes = np.array([self._numbers.setdefault(word, len(self._numbers)) for word in words])
        self._parts.append(codes[encoded.indices.to_numpy()].astype(np.int64))

    @property
    def codes(self) -> np.ndarray:
        """All rows."""
        return joined(self._parts)

    def show(self, row: int) -> str:
        """What stands in a row."""
        return repr(self.words[int(self.codes[row])])

    @property
    def words(self) -> list[str]:
        """The words by their codes."""
        return list(self._numbers)

    @property
    def summary(self) -> str:
        """See `Column`."""
        return f"{len(self._numbers):,} different words"


@dataclass(slots=True)
class Texts:
    """Every row as it is written."""

    name: str
    texts: list[str] = field(default_factory=list)

    def add(self, array: Any, place: Place) -> None:
        """See `Column`."""
        self.texts += _words(array, self.name, place).to_pylist()

    @property
    def summary(self) -> str:
        """See `Column`."""
        lengths = [len(text) for text in self.texts]
        return f"texts of {min(lengths):,} to {max(lengths):,} characters"


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """All parts, which become one."""
    parts[:] = [np.concatenate(parts)]
    return parts[0]


def _words(array: Any, name: str, place: Place) -> Any:
    """The array as trimmed strings, none of them empty."""
    array = plain(array)
    try:
        strings = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        problem = f"column {name!r} must hold text, got {array.type}"
        raise ValueError(f"{place(0)}: {problem}") from None
    empty = pc.fill_null(pc.equal(strings, ""), fill_value=True)
    if pc.any(empty).as_py():
        row = int(np.flatnonzero(empty.to_numpy(zero_copy_only=False))[0])
        refuse_missing(name, array[row].as_py(), place(row))
    return strings


def plain(array: Any) -> Any:
    """The array without dictionaries; strings are short ones, without blanks around them."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type):
        array = pc.cast(array, pa.string())
    if pa.types.is_string(array.type):
        array = pc.utf8_trim_whitespace(array)
    return array


def cast(array: Any, kind: Any) -> Any:
    """The array in another type; None where a value has no such form or one is missing."""
    try:
        cast = pc.cast(array, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return None if cast.null_count else cast


def _is_missing(value: object) -> bool:
    return value is None or value in MISSING or (isinstance(value, float) and math.isnan(value))


def _as_number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def refuse_missing(name: str, value: object, place: str) -> NoReturn:
    """Refuse a row that lacks a value.

    Raises:
        ValueError: Always.
    """
    got = "nothing" if value in (None, "") else repr(value)
    raise ValueError(
        f"{place}: column {name!r} must have a value in every row, got {got}; fill it in, or leave "
        f"the row out"
    )


def kinds_in(batch: Any) -> dict[str, str]:
    """`number`, `time` or `word` for each column of a batch, going by all of its values.

    A column of nothing of these is called by pyarrow's name for it.
    """
    return {name: _kind_of(plain(batch.column(name))) for name in batch.schema.names}


def _kind_of(array: Any) -> str:
    if pa.types.is_temporal(array.type):
        return "time"
    if pa.types.is_string(array.type):
        present = array.filter(pc.invert(pc.is_in(array, pa.array(MISSING))))
        for kind, name in (
            (pa.float64(), "number"),
            (pa.bool_(), "number"),
            (pa.timestamp("ns"), "time"),
            (pa.timestamp("ns", "UTC"), "time"),
        ):
            if len(present) and cast(present, kind) is not None:
                return name
        return "word"
    return "number" if cast(array.drop_null(), pa.float64()) is not None else str(array.type)
