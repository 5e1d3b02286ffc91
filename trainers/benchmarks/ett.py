"""Electricity transformers: hourly loads and oil temperature, forecast days to a month ahead."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.windows import Series, Yardstick, cut_windows
from trainers.data.dataset import Dataset
from trainers.tasks import Forecasting

COLUMNS = ("date", "HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTH = 30 * 24
VALID_FROM, TEST_FROM, STEPS = 12 * MONTH, 16 * MONTH, 20 * MONTH
SEASON = 24


@dataclass(frozen=True, kw_only=True)
class ETTh1(Benchmark):
    """Two years of a transformer in China, hour by hour: six loads and the oil temperature.

    Every channel is scaled by its mean and deviation over the train months. Every window of a split
    counts, also those of the last batch, which some published loaders drop.

    Attributes:
        horizon: Hours asked for; published are 96, 192, 336 and 720.
        look_back: Hours seen.
        univariate: The oil temperature (OT) alone, seen and asked for, instead of all channels.

    Reference:
        Zhou et al., "Informer: beyond efficient Transformer for long sequence time-series
        forecasting", AAAI 2021.
    """

    name = "ett_h1"
    summary = "loads and oil temperature of a transformer for 96 hours, from the 96 hours before"
    task = "forecasting"
    metric = "mse"
    splits = (
        "8,449 / 2,785 / 2,785 windows unless set, of 12 / 4 / 4 months of 30 days, later hours "
        "unused; the look-back of valid and test reaches into the part before"
    )
    licence = "CC BY-ND 4.0 (ETDataset): verbatim copies only"
    published = (
        "mse 0.368, mae 0.395 at horizon 96 and look-back 96, SegRNN (its authors); iTransformer "
        "0.386, DLinear 0.386; repeating the last value 1.294"
    )
    files = (
        RemoteFile(
            "ett/ETTh1.csv",
            "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/"
            "1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTh1.csv",
            2_589_657,
            "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        ),
    )

    horizon: int = 96
    look_back: int = 96
    univariate: bool = False

    def __post_init__(self) -> None:
        check_range("horizon", self.horizon, 1, TEST_FROM - VALID_FROM)
        check_range("look_back", self.look_back, 1, VALID_FROM - self.horizon)

    def prepare(self, folder: Path) -> Dataset:
        """Windows overlap in one array of the 20 months."""
        values = read_hours(folder / self.files[0].path)
        if self.univariate:
            values = values[:, -1:]
        nothing = np.empty((STEPS, 0))
        yardstick = Yardstick.fit(values[:VALID_FROM], SEASON)
        series = Series(values, nothing, nothing, VALID_FROM, TEST_FROM, yardstick)
        train, valid, test = cut_windows([series], look_back=self.look_back, horizon=self.horizon)
        channels = values.shape[1]
        return Dataset(
            name=self.name,
            task=Forecasting(
                input_size=channels, channels=channels, horizon=self.horizon, season=SEASON
            ),
            train=train,
            valid=valid,
            test=test,
            preprocessing={
                "scaler": yardstick.scaler.to_json(),
                "channels": list(COLUMNS[-channels:]),
                "look_back": self.look_back,
            },
        )


def read_hours(path: Path) -> np.ndarray:
    """(STEPS, 7) the hours that are used.

    Raises:
        ValueError: The file has other columns, or fewer hours.
    """
    with path.open(encoding="utf-8") as file:
        columns = tuple(file.readline().rstrip().split(","))
        if columns != COLUMNS:
            raise ValueError(f"{path} must have the columns {COLUMNS}, got {columns}")
        hours = np.loadtxt(file, delimiter=",", usecols=range(1, len(COLUMNS)), max_rows=STEPS)
    if len(hours) != STEPS:
        raise ValueError(f"{path} must have at least {STEPS:,} hours, got {len(hours):,}")
    return hours
