"""Anomaly detection in a user's own streams: long format, split by time, anomalies marked."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from trainers.benchmarks.nab import LONGEST_PROBATION, PROBATION_SHARE, first_steps
from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.data.streams import PASSAGE, passages_of
from trainers.own_data.account import KEY, Account
from trainers.own_data.by_time import split_by_time
from trainers.own_data.columns import Numbers, Words
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import NAMES
from trainers.own_data.leakage import warn_of_overlap
from trainers.own_data.long_tables import LongColumns, stacked
from trainers.own_data.marks import Marks
from trainers.own_data.panel import Panel, make_panel
from trainers.own_data.roles import IDS, TIMES, given_roles
from trainers.own_data.table import DATA, TEST, VALID, read_rows, sources_of, survey
from trainers.own_data.times import Times
from trainers.tasks import AnomalyDetection

LABELS: Final = ("anomaly", "is_anomaly", "anomalous", "label", "window")


@dataclass(frozen=True, slots=True)
class Stream:
    """One series, or a piece of it without gaps.

    Attributes:
        rows: Those of the panel.
        values: (steps, channels), scaled.
        windows: (steps,) the number of the window that a step lies in, 0 outside of any.
        splits: (steps,) the split of each, one after the other.
    """

    rows: slice
    values: np.ndarray
    windows: np.ndarray
    splits: np.ndarray

    @property
    def first(self) -> int:
        """Steps at the beginning that are not judged."""
        return first_steps(len(self.values))


def tamed(values: np.ndarray, scaler: Scaler) -> np.ndarray:
    """Deviations from the mean, (steps, channels) float32; large ones grow as their logarithm."""
    scaled: np.ndarray = np.arcsinh(scaler.apply(values))
    return scaled


def own_scaler(values: np.ndarray) -> Scaler:
    """Of a stream without a train part: by its first steps, (steps, channels)."""
    return Scaler.fit(values[: max(first_steps(len(values)), 1)])


def anomaly_data(own: OwnData) -> Dataset:
    """Streams as passages that follow one another; see `AnomalyDetection` for the targets.

    Raises:
        ValueError: Something is wrong with a column or a row, or a split has no anomaly.
        OSError: A file cannot be read.
    """
    account = Account()
    sources = sources_of(own)
    columns, marks = _columns(own, sources[0].path, account)
    read = [*columns.everything, marks]
    rows = read_rows(sources, read)
    panel = make_panel(rows, columns.time, columns.series)
    account.say(*rows.counts(), *(f"{column.name}: {column.summary}" for column in read))
    splits = split_by_time(own, panel, account, least=2)
    warn_of_overlap(panel, account)
    return _dataset(own, panel, splits, (columns, marks), account)


def _dataset(
    own: OwnData,
    panel: Panel,
    splits: np.ndarray,
    read: tuple[LongColumns, Marks],
    account: Account,
) -> Dataset:
    columns, marks = read
    values = stacked(columns.targets, panel.order)
    scalers = _scalers(panel, values, splits)
    streams = _streams(panel, values, splits, marks, scalers)
    train, valid, test = (_split(streams, part) for part in range(3))
    _check_windows(streams, marks, account)
    account.say(
        "scaling: every series by the mean and deviation of its train part (one that has none, by "
        "its first steps), and then by the inverse hyperbolic sine",
        f"judged: all but the first {PROBATION_SHARE:.0%} of a stream, at most "
        f"{LONGEST_PROBATION} steps; valid and test begin with as many of the part before",
        f"passages: {len(train):,} train / {len(valid):,} valid / {len(test):,} test",
    )
    return Dataset(
        name=own.name,
        task=AnomalyDetection(input_size=len(columns.targets), passage=PASSAGE),
        train=train,
        valid=valid,
        test=test,
        preprocessing={
            "columns": {**columns.to_json(), "marks": marks.name},
            "step": asdict(panel.step),
            "series": {panel.names[code]: scaler.to_json() for code, scaler in scalers.items()},
            KEY: account.to_json(),
        },
    )


def _columns(own: OwnData, path: Path, account: Account) -> tuple[LongColumns, Marks]:
    roles = given_roles(own, path, survey(path))
    time = own.time or roles.only("time", "time") or roles.named("time", TIMES)
    time = roles.needed("time", time, "the column of times")
    series = own.id or roles.named("id", IDS)
    marks = own.target[0] if own.target else roles.named("target", LABELS)
    marks = roles.needed("target", marks, "the column that marks anomalies, such as by 0 and 1")
    values = own.covariates or roles.rest("covariates", "number")
    if not values:
        roles.needed("covariates", None, "the columns of values to watch")
    account.say(*roles.words())
    watched = [Numbers(name) for name in values]
    named = None if series is None else Words(series)
    return LongColumns(Times(time), named, watched, [], []), Marks(marks)


def _scalers(panel: Panel, values: np.ndarray, splits: np.ndarray) -> dict[int, Scaler]:
    """By series, where it has a train part."""
    found = {}
    for code in range(len(panel.names)):
        train = values[(panel.codes == code) & (splits == DATA)]
        if len(train) > 1:
            found[code] = Scaler.fit(train)
    if not found:
        raise ValueError(
            f"{panel.place(0)}: there must be at least 2 steps to train on, got {len(values)} rows"
        )
    return found


def _streams(
    panel: Panel,
    values: np.ndarray,
    splits: np.ndarray,
    marks: Marks,
    scalers: dict[int, Scaler],
) -> list[Stream]:
    begins = np.flatnonzero(~panel.follows).tolist()
    streams = []
    for rows in map(slice, begins, [*begins[1:], len(splits)]):
        scaler = scalers.get(int(panel.codes[rows.start])) or own_scaler(values[rows])
        order = panel.order[rows]
        windows = numbered_windows(marks.codes[order], marks.marked[order])
        streams.append(Stream(rows, tamed(values[rows], scaler), windows, splits[rows]))
    return streams


def numbered_windows(codes: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """(steps,) from 1, the window that each step lies in: steps in a row that are marked alike."""
    begins = marked.copy()
    begins[1:] &= ~marked[:-1] | (codes[1:] != codes[:-1])
    return np.where(marked, np.cumsum(begins), 0)


def _split(streams: list[Stream], part: int) -> Split:
    """All streams of one split; each but those to train on begins with steps of the part before."""
    inputs: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    begun = 0
    for stream in streams:
        inside = np.flatnonzero(stream.splits == part)
        if not len(inside):
            continue
        start, stop = max(int(inside[0]) - stream.first, 0), int(inside[-1]) + 1
        if stop - start < 2:
            continue  # of a single step nothing can be foretold
        steps = np.arange(start, stop)
        judged = (steps >= stream.first) & (stream.splits[start:stop] == part)
        windows = stream.windows[start:stop]
        numbers = np.where(windows > 0, windows + begun, 0)
        begun += int(stream.windows.max())
        values = stream.values[start:stop]
        about = [numbers, judged, np.full(len(values), len(inputs))]
        inputs.append(values)
        targets.append(np.column_stack([values, *about]).astype(np.float32))
    if not inputs:
        raise ValueError(f"{NAMES[part]} must have at least 2 steps in a row of a series, got none")
    split = passages_of(inputs)
    following = split.targets
    return Split(
        split.inputs, Sequences(np.concatenate(targets), following.starts, following.lengths)
    )


def _check_windows(streams: list[Stream], marks: Marks, account: Account) -> None:
    """Refuse marks by which nothing can be fitted or measured."""
    words = []
    for part in (DATA, VALID, TEST):
        count = 0
        for stream in streams:
            judged = (stream.splits == part) & (np.arange(len(stream.values)) >= stream.first)
            count += len(np.unique(stream.windows[judged & (stream.windows > 0)]))
        words.append(f"{count:,} {NAMES[part]}")
        if not count and part != DATA:
            raise ValueError(
                f"column {marks.name!r} must mark at least one anomaly in {NAMES[part]}, after the "
                f"first steps of its streams, got none; hold out more (`valid_share`, "
                f"`test_share`), or give files of their own"
            )
    account.say(f"anomalies: {' / '.join(words)}; steps in a row that are marked alike are one")
    share = float(marks.marked.mean())
    if share == 1:
        raise ValueError(f"column {marks.name!r} must leave the usual rows unmarked, got none")
    if share > 0.5:
        account.warn(f"{share:.0%} of the rows are marked: is {marks.name!r} the other way round?")
