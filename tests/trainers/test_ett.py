"""Facts of ETTh1: its windows, its scaling and its floors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trainers.benchmarks import find_benchmark, load_benchmark
from trainers.benchmarks.ett import read_hours
from trainers.data.dataset import Dataset
from trainers.trivial.baselines import baselines

CacheOf = Callable[[str], Path]
LoadOnce = Callable[[str], Dataset]


@pytest.mark.parametrize("horizon", [96, 192, 336, 720])
def test_counts_of_windows(horizon: int, benchmark_cache: CacheOf) -> None:
    cache = benchmark_cache("ett_h1")
    dataset = load_benchmark("ett_h1", {"horizon": horizon}, cache=cache)
    counts = [len(split) for split in (dataset.train, dataset.valid, dataset.test)]
    assert counts == [8_640 - 96 - horizon + 1, 2_880 - horizon + 1, 2_880 - horizon + 1]
    if horizon == 96:
        assert counts[2] == 2_785


def test_windows_look_at_the_hours_that_the_protocol_says(
    load_once: LoadOnce, benchmark_cache: CacheOf
) -> None:
    raw = read_hours(benchmark_cache("ett_h1") / "ett" / "ETTh1.csv")
    assert raw.shape == (14_400, 7)
    mean, std = raw[:8_640].mean(axis=0), raw[:8_640].std(axis=0)
    dataset = load_once("ett_h1")
    for split, number, first in (
        (dataset.train, 0, 96),
        (dataset.train, -1, 8_640 - 96),
        (dataset.valid, 0, 8_640),
        (dataset.test, 0, 11_520),
        (dataset.test, -1, 14_400 - 96),
    ):
        index = number % len(split)
        inputs, targets = split.inputs.example(index), split.targets.example(index)
        assert inputs * std + mean == pytest.approx(raw[first - 96 : first], abs=1e-4)
        assert targets[:, :7] * std + mean == pytest.approx(raw[first : first + 96], abs=1e-4)
    assert dataset.preprocessing["scaler"]["mean"] == pytest.approx(mean)
    assert dataset.preprocessing["channels"][-1] == "OT"


def test_the_floors(load_once: LoadOnce) -> None:
    last, seasonal = baselines(load_once("ett_h1"))
    assert (last.name, seasonal.name) == ("last value", "seasonal naive")
    assert round(last.test["mse"], 3) == 1.294
    assert round(last.test["mae"], 3) == 0.713
    assert round(seasonal.test["mse"], 3) == 0.512  # the same hour of the day before


def test_the_oil_temperature_alone(benchmark_cache: CacheOf) -> None:
    options = {"univariate": True, "look_back": 48, "horizon": 24}
    dataset = load_benchmark("ett_h1", options, cache=benchmark_cache("ett_h1"))
    assert (dataset.task.input_size, dataset.preprocessing["channels"]) == (1, ["OT"])
    assert dataset.train.inputs.example(0).shape == (48, 1)
    assert dataset.train.targets.example(0).shape == (24, 3)
    assert len(dataset.test) == 2_880 - 24 + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 2_881}, "`horizon` must be from 1 to 2880"),
        ({"look_back": 0}, "`look_back` must be from 1 to 8544"),
        ({"univariate": 1}, "'univariate' of 'ett_h1' must be bool"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_benchmark("ett_h1", options)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ETTh1.csv"
    path.write_text("date,OT\n2016-07-01,3\n", "utf-8")
    with pytest.raises(ValueError, match="must have the columns"):
        read_hours(path)
    hour = "2016-07-01 00:00:00" + ",1.5" * 7
    path.write_text(f"date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n{hour}\n{hour}\n", "utf-8")
    with pytest.raises(ValueError, match="at least 14,400 hours, got 2"):
        read_hours(path)
