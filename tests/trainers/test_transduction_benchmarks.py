"""Benchmarks whose answers have a length of their own: facts of them, and every family on them."""

from collections.abc import Callable

import numpy as np
import pytest

from spaces import default, narrow
from trainers.baselines import baselines
from trainers.batching import DeviceData
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space
from trainers.dataset import Dataset, Split
from trainers.loop import Training
from trainers.models import MODELS
from trainers.tasks.ctc import steps_needed

LoadOnce = Callable[[str], Dataset]


def part(dataset: Dataset, train: int, held: int) -> Dataset:
    """The first examples of each split."""
    splits = {"train": dataset.train, "valid": dataset.valid, "test": dataset.test}
    few = {
        name: split.select(np.arange(train if name == "train" else held))
        for name, split in splits.items()
    }
    return Dataset(dataset.name, dataset.task, preprocessing={}, **few)


def labels(split: Split) -> int:
    return int(split.targets.lengths.sum())


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("name", ["spoken_digits_ctc"])
def test_every_family_trains_on_it(name: str, family: str, load_once: LoadOnce) -> None:
    data = part(load_once(name), 8, 4)
    space = family_space(MODELS[family], data.task, len(data.train))
    config = default(narrow(space, {"training": {"batch_size": 4}}))
    training = Training(MODELS[family], config, DeviceData(data), seed=0, epochs=1)
    measured = training.run_epoch()
    assert set(measured.valid) == {metric.name for metric in data.task.metrics}
    assert np.isfinite(training.evaluate("test").example_losses).all()


def test_strings_are_made_of_the_recordings_of_their_split(load_once: LoadOnce) -> None:
    strings, recordings = load_once("spoken_digits_ctc"), load_once("spoken_digits")
    assert strings.task.to_json()["input_size"] == 120
    for ours, theirs, passes in (
        (strings.train, recordings.train, 4),
        (strings.valid, recordings.valid, 4),
        (strings.test, recordings.test, 4),
    ):
        assert labels(ours) == passes * len(theirs)
        spoken = np.bincount(ours.targets.values, minlength=10)
        assert (spoken == passes * len(theirs) // 10).all()
        # so many steps of three frames, less than one of them lost in each string
        lost = passes * theirs.inputs.lengths.sum() - 3 * ours.inputs.lengths.sum()
        assert 0 <= lost <= 2 * len(ours)
        targets = ours.targets
        needed = steps_needed(targets.values, targets.starts, targets.lengths)
        assert (needed <= ours.inputs.lengths).all()
        assert targets.lengths.max() == 7
        assert (targets.lengths < 3).sum() <= 6 * passes


def test_strings_of_digits_have_a_floor(load_once: LoadOnce) -> None:
    (row,) = baselines(load_once("spoken_digits_ctc"))
    assert row.test["label_error_rate"] == pytest.approx(0.8525)
    assert row.valid["label_error_rate"] == pytest.approx(0.8625)
    assert row.test["nats_per_label"] == pytest.approx(2.852, abs=1e-3)


def test_options_of_the_strings() -> None:
    with pytest.raises(ValueError, match="`stacked_frames` must be from 1 to 8, got 9"):
        load_benchmark("spoken_digits_ctc", {"stacked_frames": 9})
    with pytest.raises(ValueError, match="`passes` must be from 1 to 100, got 0"):
        load_benchmark("spoken_digits_ctc", {"passes": 0})
