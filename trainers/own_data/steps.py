"""The step between two times of a regular series, and the season that goes with it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

SECOND: Final = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 24 * 3600 * SECOND
WEEK: Final = 7 * DAY
UNITS: Final = (
    (WEEK, "week"),
    (DAY, "day"),
    (HOUR, "hour"),
    (MINUTE, "minute"),
    (SECOND, "second"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What lies between one time and the next.

    Attributes:
        unit: `number`, `time` (nanoseconds), `month` (the same day, or the last one) or `weekday`.
        size: How many of the unit.
    """

    unit: str
    size: int

    def counts(self, times: np.ndarray) -> np.ndarray:
        """(rows - 1,) int64: steps from each time to the next; -1 where it is no whole number."""
        changes = _changes(self.unit, times)
        counts: np.ndarray = np.where(changes % self.size == 0, changes // self.size, -1)
        return counts

    def places(self, times: np.ndarray, first: int) -> np.ndarray:
        """(rows,) int64: how many steps the times lie after `first`, rounded down."""
        if self.unit == "month":
            passed = _months(times) - _months(np.array([first]))
        elif self.unit == "weekday":
            passed = _weekdays(np.full_like(times, first), times)
        else:
            passed = times - first
        places: np.ndarray = passed // self.size
        return places

    def following(self, time: int) -> int:
        """The time one step after `time`."""
        if self.unit == "month":
            month = np.datetime64(time, "ns").astype("M8[M]")
            within = time - _as_int(month)
            is_last = np.datetime64(time + DAY, "ns").astype("M8[M]") > month
            then = month + self.size
            length = _as_int(then + 1) - _as_int(then)
            return _as_int(then) + (length - DAY + within % DAY if is_last else within)
        if self.unit == "weekday":
            day = np.datetime64(time, "ns").astype("M8[D]")
            return time + _as_int(np.busday_offset(day, self.size)) - _as_int(day)
        return time + self.size

    def after(self, times: np.ndarray, count: int) -> np.ndarray:
        """(count,) the times that go on where `times`, evenly spaced by this step, end."""
        following = [int(times[-1])]
        for _ in range(count):
            following.append(self.following(following[-1]))
        if self.unit == "month":
            moments = times.astype("M8[ns]")
            within = moments - moments.astype("M8[M]")
            months = moments[-1].astype("M8[M]") + self.size * np.arange(1, count + 1)
            alike: np.ndarray = months + within[-1]
            # else it is the last day of each month
            if within.min() == within.max() and (alike.astype("M8[M]") == months).all():
                return alike.astype("M8[ns]").view(np.int64)
        return np.array(following[1:])

    @property
    def words(self) -> str:
        """Such as `1 hour` or `3 months`; of whole numbers the size alone."""
        unit, size = self.unit, self.size
        if unit == "number":
            return str(size)
        if unit == "time":
            length, unit = next((one for one in UNITS if size % one[0] == 0), (1, "nanosecond"))
            size //= length
        return f"{size} {unit}{'' if size == 1 else 's'}"

    @property
    def season(self) -> int:
        """Steps after which such series tend to repeat themselves: a year, a week, a day, ...

        Months and quarters repeat after a year, weeks after 52, days after 7, weekdays after 5;
        shorter steps after a day, or where that is more than 200 of them, after an hour.
        """
        match self.unit:
            case "month":
                return 12 // self.size if 12 % self.size == 0 else 1
            case "weekday":
                return 5
            case "time":
                return _season_of(self.size)
            case _:
                return 1


def infer_step(times: np.ndarray, begins: np.ndarray, *, are_dates: bool) -> Step:
    """The step that most times are apart from the ones before.

    Args:
        times: (rows,) growing within each series.
        begins: (rows,) bool, where a series begins.
    """
    inner = ~begins[1:]
    if not inner.any():
        return Step("time", DAY) if are_dates else Step("number", 1)
    steps = []
    # of units that fit as often, the first: three months are not 13 weeks
    for unit in ("month", "time", "weekday") if are_dates else ("number",):
        changes = _changes(unit, times)[inner]
        sizes, counts = np.unique(changes[changes > 0], return_counts=True)
        if len(sizes) and not (unit == "weekday" and sizes[counts.argmax()] != 1):
            steps.append((int(counts.max()), Step(unit, int(sizes[counts.argmax()]))))
    return max(steps, key=lambda one: one[0])[1]


def _season_of(size: int) -> int:
    if size in (DAY, WEEK):
        return 7 if size == DAY else 52
    for whole in (DAY, HOUR, MINUTE):
        if size < whole and whole % size == 0 and whole // size <= 200:
            return whole // size
    return 1


def _as_int(moment: np.datetime64) -> int:
    return int(moment.astype("M8[ns]").astype(np.int64))


def _months(times: np.ndarray) -> np.ndarray:
    months: np.ndarray = times.astype("M8[ns]").astype("M8[M]").astype(np.int64)
    return months


def _month_changes(times: np.ndarray) -> np.ndarray:
    """-1 where neither the place within the month, nor that before its end, is the same."""
    moments = times.astype("M8[ns]")
    months = moments.astype("M8[M]")
    within = (moments - months.astype("M8[ns]")).astype(np.int64)
    left = ((months + 1).astype("M8[ns]") - moments).astype(np.int64)
    alike = (np.diff(within) == 0) | ((np.diff(left) == 0) & (left[1:] <= DAY))
    return np.where(alike, np.diff(months.astype(np.int64)), -1)


def _weekdays(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    days = [moments.astype("M8[ns]").astype("M8[D]") for moments in (starts, stops)]
    return np.busday_count(days[0], days[1]).astype(np.int64)


def _weekday_changes(times: np.ndarray) -> np.ndarray:
    """-1 where a time is on a weekend, or at another time of the day."""
    days = times.astype("M8[ns]").astype("M8[D]")
    works = np.is_busday(days)
    alike = works[1:] & works[:-1] & (np.diff(times % DAY) == 0)
    return np.where(alike, _weekdays(times[:-1], times[1:]), -1)


def _changes(unit: str, times: np.ndarray) -> np.ndarray:
    """(rows - 1,) int64: units from each time to the next."""
    if unit == "month":
        return _month_changes(times)
    return _weekday_changes(times) if unit == "weekday" else np.diff(times)
