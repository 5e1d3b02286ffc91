"""Facts of the Numenta Anomaly Benchmark: its files, its splits, its scores, and all families."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from spaces import smallest
from trainers.benchmarks.nab import read_stream, read_streams
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.models import MODELS
from trainers.tasks import AnomalyDetection
from trainers.tasks.anomalies import best_for_profile, nab_shares, watch
from trainers.tasks.nab_score import PROFILES
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

CacheOf = Callable[[str], Path]
LoadOnce = Callable[[str], Dataset]


def test_files_steps_and_windows(benchmark_cache: CacheOf) -> None:
    streams = read_streams(benchmark_cache("nab"))
    assert len(streams) == 58
    assert sum(len(each.values) for each in streams) == 365_558
    assert sum(int(each.windows.max()) for each in streams) == 116
    lengths = [len(each.values) for each in streams]
    assert (min(lengths), max(lengths)) == (1_127, 22_695)
    folders = [each.name.partition("/")[0] for each in streams]
    counts = {name: folders.count(name) for name in folders}
    assert list(counts.values()) == [5, 6, 17, 6, 7, 7, 10]
    assert all(not each.windows[: each.probation].any() for each in streams)
    assert {each.name: each.probation for each in streams}["realKnownCause/nyc_taxi.csv"] == 750
    taxi = next(each for each in streams if each.name == "realKnownCause/nyc_taxi.csv")
    assert np.flatnonzero(taxi.windows == 1)[[0, -1]].tolist() == [5_839, 6_045]


def test_splits_are_by_file(load_once: LoadOnce) -> None:
    dataset = load_once("nab")
    files = dataset.preprocessing["files"]
    assert [len(files[split]) for split in ("train", "valid", "test")] == [34, 13, 11]
    assert len({name for names in files.values() for name in names}) == 58
    for split, windows in ((dataset.train, 72), (dataset.valid, 22), (dataset.test, 22)):
        assert split.targets.values[:, 1].max() == windows
        assert (split.inputs.lengths <= 128).all()
        assert split.targets.values[:, 3].max() + 1 in (34, 13, 11)
    inputs, targets = dataset.test.inputs.example(0), dataset.test.targets.example(0)
    assert (inputs[1:, 0] == targets[:-1, 0]).all()
    assert not targets[:, 2].any()


def test_the_floors(load_once: LoadOnce) -> None:
    """The far from the mean: 9 of the 22 windows, and 1 passage without any."""
    last, mean = baselines(load_once("nab"))
    assert (last.name, mean.name) == ("last value", "mean of the probation")
    assert last.valid["window_f1"] == pytest.approx(0.277, abs=5e-4)
    assert mean.valid["window_f1"] == pytest.approx(18 / 32)
    assert mean.valid["window_precision"] == pytest.approx(9 / 10)
    assert mean.valid["window_recall"] == pytest.approx(9 / 22)


def gaussian(values: np.ndarray, width: int = 6_400, step: int = 100) -> np.ndarray:
    """(steps,) how likely less is than the distance from the mean of the values before.

    They are the first ones, or those of a window that moves by 100 steps.
    """
    shifted = values - values[0]
    sums, squares = (np.concatenate([[0.0], np.cumsum(x)]) for x in (shifted, shifted**2))
    steps = np.arange(len(values))
    start = np.maximum(steps - width, 0) // step * step
    stop = np.where(steps < width, steps, start + width)
    count = np.maximum(stop - start, 1)
    mean = (sums[stop] - sums[start]) / count
    deviation = np.sqrt(np.maximum((squares[stop] - squares[start]) / count - mean**2, 1e-12))
    distance = np.abs(shifted - mean) / deviation
    likelihood: np.ndarray = ndtr(distance)
    return likelihood


def test_the_windowed_gaussian_has_nearly_its_published_score(benchmark_cache: CacheOf) -> None:
    """Published are 39.6, 20.9 and 47.4, of another search for the threshold."""
    rows, alarms, begun = [], [], 0
    for number, each in enumerate(read_streams(benchmark_cache("nab"))):
        size = len(each.values)
        windows = np.where(each.windows > 0, each.windows + begun, 0)
        judged = np.arange(size) >= each.probation
        rows.append(np.stack([np.zeros(size), windows, judged, np.full(size, number)], axis=1))
        alarms.append(gaussian(each.values)[judged])
        begun += int(each.windows.max())
    seen = replace(watch(np.concatenate(rows)[None]), alarms=np.concatenate(alarms))
    threshold = best_for_profile(seen, PROFILES["nab_standard"])
    scores = []
    for profile in PROFILES.values():
        above, below = nab_shares(seen, threshold, profile)
        scores.append(above.sum() / below.sum())
    assert scores == pytest.approx([39.6, 20.9, 47.4], abs=1)


def test_a_spoiled_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,value\n2015-01-01 00:00:00,1\n", "utf-8")
    with pytest.raises(ValueError, match="must have the columns timestamp and value"):
        read_stream(path, "a.csv", [])
    path.write_text("timestamp,value\n2015-01-01 00:00:00,1\n", "utf-8")
    edges = ("2015-01-01 00:00:00.000000", "2015-01-02 00:00:00.000000")
    with pytest.raises(ValueError, match="must begin and end at a step"):
        read_stream(path, "a.csv", [edges])


@pytest.mark.parametrize("family", MODELS)
def test_every_family_trains_on_a_slice(family: str, load_once: LoadOnce) -> None:
    dataset = load_once("nab")
    some = np.arange(4)
    part = replace(
        dataset,
        train=dataset.train.select(some),
        valid=dataset.valid.select(some + 20),
        test=dataset.test.select(some),
    )
    config = smallest(family_space(MODELS[family], dataset.task, len(dataset.train)))
    training = Training(MODELS[family], config, DeviceData(part), seed=0, epochs=1)
    measurement = training.run_epoch()
    test = training.evaluate("test")
    assert set(measurement.valid) == {metric.name for metric in AnomalyDetection.metrics}
    numbers = [*measurement.valid.values(), *test.metrics.values(), measurement.train_loss]
    assert np.isfinite(numbers).all()
    assert test.example_losses.shape == (4,)
