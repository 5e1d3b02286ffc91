"""Streams of servers, sensors, traffic and messages, with windows in which something went wrong."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.data.streams import PASSAGE, passages_of
from trainers.tasks import AnomalyDetection

ORIGIN = "https://raw.githubusercontent.com/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140"
LISTING = Path(__file__).with_name("nab.csv")
WINDOWS = "nab/labels/combined_windows.json"
SPLITS = ("train", "train", "valid", "test")
PROBATION_SHARE, LONGEST_PROBATION = 0.15, 750


@dataclass(frozen=True, slots=True)
class Stream:
    """One file.

    Attributes:
        name: Folder and file.
        values: (steps,) float64.
        windows: (steps,) the number of the window that a step lies in, 0 outside of any.
    """

    name: str
    values: np.ndarray
    windows: np.ndarray

    @property
    def probation(self) -> int:
        """First steps that are not judged, and by which the stream is scaled."""
        return first_steps(len(self.values))

    def scaled(self) -> np.ndarray:
        """(steps,), see `scaled_stream`."""
        return scaled_stream(self.values)


def first_steps(length: int) -> int:
    """Of a stream so long, how many steps are its probation."""
    return min(int(PROBATION_SHARE * length), LONGEST_PROBATION)


def scaled_stream(values: np.ndarray) -> np.ndarray:
    """(steps,) by mean and deviation of the probation; the inverse hyperbolic sine tames jumps.

    A stream that is constant so long is only shifted.
    """
    known = values[: max(first_steps(len(values)), 1)]
    deviation = known.std()
    scaled: np.ndarray = np.arcsinh((values - known.mean()) / (deviation if deviation > 0 else 1.0))
    return scaled


def _files() -> tuple[RemoteFile, ...]:
    """The 58 streams and their windows; sizes and sums are too many to write down in code."""
    with LISTING.open(encoding="utf-8", newline="") as file:
        return tuple(
            RemoteFile(
                f"nab/{row['name']}",
                f"{ORIGIN}/{row['name']}",
                int(row["size_bytes"]),
                row["sha256"],
            )
            for row in csv.DictReader(file)
        )


@dataclass(frozen=True, kw_only=True)
class NAB(Benchmark):
    """58 streams of a value every few minutes, with 116 windows around known anomalies.

    The first 15 % of a stream, at most 750 steps, are its probation: nothing is judged there, and
    its mean and deviation scale the stream. What comes of all streams is scaled by the train files.

    Reference:
        Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta Anomaly
        Benchmark", ICMLA 2015.
    """

    name = "nab"
    summary = "anomalies of 58 streams of servers, sensors, traffic and messages, by forecast error"
    task = "anomaly_detection"
    metric = "window_f1"
    splits = (
        "by file: of every four of a folder, in alphabetical order, two are train, the third "
        "valid, the fourth test: 34 / 13 / 11 files with 72 / 22 / 22 windows, in passages of "
        "128 steps: 1,680 / 546 / 656"
    )
    licence = "MIT (Numenta Anomaly Benchmark)"
    published = (
        "none on these test files with a threshold fitted on others; over all 58, with the "
        "threshold fitted there, Numenta HTM has nab_standard 70.5, windowed "
        "Gaussian 39.6, random 11.0"
    )
    files = _files()

    def prepare(self, folder: Path) -> Dataset:
        """Streams as passages that follow one another; see `AnomalyDetection` for the targets."""
        streams = read_streams(folder)
        parts = {
            split: [stream for stream in streams if _split_of(stream, streams) == split]
            for split in ("train", "valid", "test")
        }
        scaler = Scaler.fit(np.concatenate([each.scaled() for each in parts["train"]])[:, None])
        splits = {split: _passages(part, scaler) for split, part in parts.items()}
        return Dataset(
            name=self.name,
            task=AnomalyDetection(passage=PASSAGE),
            preprocessing={
                "scaler": scaler.to_json(),
                "probation": {"share": PROBATION_SHARE, "longest": LONGEST_PROBATION},
                "files": {split: [each.name for each in part] for split, part in parts.items()},
            },
            **splits,
        )


def read_streams(folder: Path) -> list[Stream]:
    """All of them, by folder and file.

    Raises:
        ValueError: A file has other columns, or a window begins or ends at no step of its stream.
    """
    windows = json.loads((folder / WINDOWS).read_text("utf-8"))
    return [
        read_stream(folder / "nab" / "data" / name, name, windows[name]) for name in sorted(windows)
    ]


def read_stream(path: Path, name: str, windows: Sequence[tuple[str, str]]) -> Stream:
    """One of them.

    Args:
        windows: The times of first and last step of each, with microseconds.

    Raises:
        ValueError: The file has other columns, or a window begins or ends at no step.
    """
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    if header != ["timestamp", "value"]:
        raise ValueError(f"{path} must have the columns timestamp and value, got {header}")
    times = [time for time, _ in rows]
    numbers = np.zeros(len(rows), dtype=np.int64)
    for number, edges in enumerate(windows, 1):
        first, last = (edge.partition(".")[0] for edge in edges)
        if first not in times or last not in times:
            raise ValueError(f"a window of {path} must begin and end at a step, got {edges}")
        numbers[times.index(first) : times.index(last) + 1] = number
    return Stream(name, np.array([float(value) for _, value in rows]), numbers)


def _split_of(stream: Stream, streams: Sequence[Stream]) -> str:
    folder = stream.name.partition("/")[0]
    place = [each.name for each in streams if each.name.startswith(f"{folder}/")].index(stream.name)
    return SPLITS[place % len(SPLITS)]


def _passages(streams: Sequence[Stream], scaler: Scaler) -> Split:
    inputs = [scaler.apply(each.scaled()[:, None]) for each in streams]
    targets, begun = [], 0
    for number, (each, values) in enumerate(zip(streams, inputs, strict=True)):
        windows = np.where(each.windows > 0, each.windows + begun, 0)
        judged = np.arange(len(values)) >= each.probation
        columns = [values[:, 0], windows, judged, np.full(len(values), number)]
        targets.append(np.stack(columns, axis=1).astype(np.float32))
        begun += int(each.windows.max())
    split = passages_of(inputs)
    following = split.targets
    return Split(
        split.inputs, Sequences(np.concatenate(targets), following.starts, following.lengths)
    )
