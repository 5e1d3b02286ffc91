"""Trivial predictors against values worked out by hand."""

import math

import numpy as np
import pytest

from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification, MultilabelFrames, Regression, Tagging, Task
from trainers.trivial.baselines import baseline, baselines


def dataset(task: Task, train: Split, test: Split) -> Dataset:
    return Dataset("toy", task, train, test, test, {})


def split(inputs: list[list[int]], targets: list[list[int]], dtype: type = np.uint8) -> Split:
    return Split(
        Sequences.from_list([np.array(steps, dtype=dtype) for steps in inputs]),
        Sequences.from_list([np.array(steps, dtype=dtype) for steps in targets]),
    )


def test_class_frequencies() -> None:
    train = split([[0]] * 4, [[1], [1], [1], [0]])
    test = split([[0]] * 2, [[1], [2]])
    row = baseline(dataset(Classification(classes=3), train, test))
    shares = [(1 + 1 / 3) / 5, (3 + 1 / 3) / 5, (1 / 3) / 5]
    assert row.test["accuracy"] == 0.5
    expected = -(math.log(shares[1]) + math.log(shares[2])) / 2
    assert row.test["log_loss"] == pytest.approx(expected)


def test_mean_of_the_targets() -> None:
    train = split([[0]] * 2, [[1], [4]], np.float32)
    test = split([[0]] * 2, [[2], [5]], np.float32)
    row = baseline(dataset(Regression(), train, test))
    assert row.test == pytest.approx({"mse": (0.25 + 6.25) / 2, "mae": (0.5 + 2.5) / 2})


def test_mean_of_several_targets() -> None:
    inputs = Sequences.from_array(np.zeros((2, 1, 1), dtype=np.float32))
    targets = Sequences.from_array(np.array([[[1.0, 10.0]], [[3.0, 30.0]]], dtype=np.float32))
    both = Split(inputs, targets)
    row = baseline(dataset(Regression(outputs=2), both, both))
    assert row.test == pytest.approx({"mse": (1 + 100) / 2, "mae": (1 + 10) / 2})


def test_class_frequencies_of_the_token() -> None:
    """Token 0 always has class 0, token 1 always class 1; lengths differ."""
    train = split([[0, 1, 1], [0, 0, 1, 1, 0, 1]], [[0, 1, 1], [0, 0, 1, 1, 0, 1]])
    test = split([[0, 1], [2]], [[0, 1], [1]])
    rows = baselines(dataset(Tagging(vocabulary=3, classes=2), train, test))
    assert [row.name for row in rows] == ["class frequencies", "class frequencies of the token"]
    ones = (5 + 1 / 2) / 10
    surprise = -math.log((4 + 1 - ones) / 5) - math.log((5 + ones) / 6) - math.log(ones)
    assert rows[1].test == pytest.approx(
        {"log_loss": surprise / 3, "accuracy": 1.0, "macro_f1": 1.0}
    )


def test_class_frequencies_of_the_step() -> None:
    """The class alternates whatever the input; only the place tells."""
    inputs = np.random.default_rng(0).integers(0, 2, (50, 6)).tolist()
    both = split(inputs, [[0, 1, 0, 1, 0, 1]] * 50)
    row = baseline(dataset(Tagging(vocabulary=2, classes=2, causal=True), both, both))
    assert row.name == "class frequencies of the step"
    assert row.test["accuracy"] == 1.0
    assert row.test["log_loss"] == pytest.approx(-math.log(50.5 / 51))


def test_label_frequencies_after_on_and_after_off() -> None:
    """Label 0 keeps its state, label 1 flips it: its frequency says nothing, its past all."""
    roll = np.array([[1, 0], [1, 1]] * 20 + [[0, 0], [0, 1]] * 20, dtype=np.uint8)
    frames = Sequences(roll, np.array([0]), np.array([79]))
    both = Split(frames, Sequences(roll, np.array([1]), np.array([79])))
    plain, markov = baselines(dataset(MultilabelFrames(input_size=2, labels=2), both, both))
    assert plain.test["nats_per_frame"] == pytest.approx(2 * math.log(2), abs=0.01)
    assert markov.test["nats_per_frame"] < 0.2
    assert baseline(dataset(MultilabelFrames(input_size=2, labels=2), both, both)) == markov


def test_overlapping_windows_are_each_counted() -> None:
    values = np.arange(5, dtype=np.float32)
    starts = np.arange(3)
    windows = Split(
        Sequences(values[:, None], starts, np.full(3, 2)),
        Sequences(values, starts + 2, np.ones(3, dtype=np.int64)),
    )
    row = baseline(dataset(Regression(), windows, windows))
    assert row.test["mse"] == pytest.approx(np.var([2, 3, 4]))


def test_a_task_without_a_trivial_predictor_is_named() -> None:
    class Riddle(Regression):
        name = "riddle"

    both = split([[0]], [[1]], np.float32)
    with pytest.raises(ValueError, match="no trivial predictor for the task 'riddle'"):
        baselines(dataset(Riddle(), both, both))
