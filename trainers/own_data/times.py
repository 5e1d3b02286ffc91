"""Times of rows: ISO dates or whole numbers."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainers.own_data.columns import Place, cast, joined, plain, refuse_missing

COMPACT_DATE: Final = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
EXPECTED: Final = {
    True: "dates such as 2024-01-31 or 2024-01-31 18:00",
    False: "whole numbers",
    None: "dates such as 2024-01-31 or 2024-01-31 18:00, or whole numbers",
}
MONTH: Final = re.compile(r"\d{4}-\d\d")


@dataclass(slots=True)
class Times:
    """(rows,) int64: whole numbers, or nanoseconds since 1970 of dates; zones become UTC."""

    name: str
    are_dates: bool | None = None
    _parts: list[np.ndarray] = field(default_factory=list)

    def add(self, array: Any, place: Place) -> None:
        """See `Column`.

        Raises:
            ValueError: A row is neither, or the other than the rows before.
        """
        array = plain(array)
        read = _read(array, self.are_dates)
        if read is None:
            self._refuse(array, place)
        values, self.are_dates = read
        self._parts.append(values)

    @property
    def values(self) -> np.ndarray:
        """All rows."""
        return joined(self._parts)

    @property
    def summary(self) -> str:
        """See `Column`."""
        values = self.values
        return f"times from {self.show(int(values.min()))} to {self.show(int(values.max()))}"

    def show(self, time: int) -> str:
        """A time as people write it."""
        return show_time(time, are_dates=bool(self.are_dates))

    def _refuse(self, array: Any, place: Place) -> NoReturn:
        wanted = self.are_dates
        for row, value in enumerate(array.to_pylist()):
            if value is None or value == "":
                refuse_missing(self.name, value, place(row))
            one = _read(array.slice(row, 1), wanted)
            if one is None:
                raise ValueError(
                    f"{place(row)}: column {self.name!r} must hold {EXPECTED[wanted]}, "
                    f"got {str(value)!r}"
                )
            wanted = one[1]
        raise ValueError(f"{place(0)}: column {self.name!r} must hold dates, got {array.type}")


def show_time(time: int, *, are_dates: bool) -> str:
    """A time as people write it: `2024-01-31`, `2024-01-31 18:00` or `17`."""
    if not are_dates:
        return str(time)
    text = str(np.datetime64(time, "ns")).replace("T", " ")
    text = re.sub(r"\.0+$", "", text).removesuffix(":00")
    return text.removesuffix(" 00:00")


def _read(array: Any, are_dates: bool | None) -> tuple[np.ndarray, bool] | None:
    """The values and whether they are dates; None where some are not what they should be."""
    dates = None if are_dates is False else _as_dates(array)
    if dates is not None:
        return dates, True
    numbers = None if are_dates else _as_numbers(array)
    return None if numbers is None else (numbers, False)


def _as_numbers(array: Any) -> np.ndarray | None:
    if pa.types.is_temporal(array.type) or pa.types.is_boolean(array.type):
        return None
    numbers = cast(array, pa.int64())  # of floats, whole ones only
    return None if numbers is None else numbers.to_numpy().astype(np.int64)


def _as_dates(array: Any) -> np.ndarray | None:
    if pa.types.is_integer(array.type):
        array = pc.cast(array, pa.string())
    if pa.types.is_string(array.type):
        array = _spelled_out(array)
    elif not (pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)):
        return None
    has_zone = pa.types.is_timestamp(array.type) and array.type.tz is not None
    for kind in (pa.timestamp("ns", "UTC"),) if has_zone else KINDS:
        dates = cast(array, kind)
        if dates is not None:
            return pc.cast(dates, pa.int64()).to_numpy().astype(np.int64)  # type: ignore[no-any-return] # pyarrow is untyped
    return None


KINDS: Final = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))


def _spelled_out(array: Any) -> Any:
    """20240131 as 2024-01-31 and 2024-01 as 2024-01-01, where all are written so."""
    words = array.to_pylist()
    if all(word and COMPACT_DATE.fullmatch(word) for word in words):
        return pa.array([f"{word[:4]}-{word[4:6]}-{word[6:]}" for word in words])
    if all(word and MONTH.fullmatch(word) for word in words):
        return pa.array([f"{word}-01" for word in words])
    return array
