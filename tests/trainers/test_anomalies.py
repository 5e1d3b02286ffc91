"""Anomaly detection: alarms of the past alone, and windows and points counted by hand."""

from dataclasses import replace
from math import tanh
from typing import Any

import numpy as np
import pytest
import torch

from spaces import smallest
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.data.streams import passages_of
from trainers.models import MODELS
from trainers.tasks import AnomalyDetection, task_from_json
from trainers.tasks.anomalies import (
    NEVER,
    RECENT,
    Watch,
    alarm,
    best_for_profile,
    best_for_windows,
    nab_shares,
    watch,
    window_shares,
)
from trainers.tasks.nab_score import PROFILES, worth
from trainers.training.evaluation import measure_split
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

STANDARD = PROFILES["nab_standard"]
PASSAGE = 5
WINDOWS = np.array([0] * 10 + [1] * 5 + [0] * 5 + [2] * 3 + [0] * 7)


def seen(alarms: np.ndarray, windows: np.ndarray = WINDOWS, probation: int = 2) -> Watch:
    """One stream in passages of 5 steps, with alarms of our own."""
    steps = np.zeros((len(windows), 4))
    steps[:, 1] = windows
    steps[:, 2] = np.arange(len(windows)) >= probation
    return replace(watch(steps.reshape(-1, PASSAGE, 4)), alarms=alarms[probation:])


def fired(*places: int) -> np.ndarray:
    alarms = np.zeros(len(WINDOWS))
    alarms[list(places)] = 1.0
    return alarms


def ratio(shares: tuple[np.ndarray, np.ndarray]) -> float:
    return float(shares[0].sum() / shares[1].sum())


def windows_found(alarms: np.ndarray) -> dict[str, float]:
    shares = window_shares(seen(alarms), 0.5)
    return {name.removeprefix("window_"): ratio(each) for name, each in shares.items()}


def score(alarms: np.ndarray, profile: str = "nab_standard") -> float:
    return ratio(nab_shares(seen(alarms), 0.5, PROFILES[profile]))


def test_an_oracle_finds_every_window_and_nothing_else() -> None:
    assert windows_found(fired(12, 22)) == {"f1": 1.0, "precision": 1.0, "recall": 1.0}
    assert windows_found((WINDOWS > 0).astype(float)) == windows_found(fired(12, 22))


def test_windows_and_stray_passages_counted_by_hand() -> None:
    """One window of two; strays in the passages 5 to 9 (twice) and 15 to 19; probation aside."""
    found = windows_found(fired(0, 1, 6, 7, 11, 14, 19))
    assert found == pytest.approx({"f1": 2 / 5, "precision": 1 / 3, "recall": 1 / 2})


def test_always_firing_pays_for_every_passage_outside_of_windows() -> None:
    found = windows_found(np.ones(len(WINDOWS)))
    assert found == pytest.approx({"f1": 4 / 9, "precision": 2 / 7, "recall": 1.0})


@pytest.mark.parametrize("profile", PROFILES)
def test_numenta_score_of_nothing_and_of_perfect_detections(profile: str) -> None:
    assert score(fired(), profile) == 0
    assert score(fired(10, 20), profile) == pytest.approx(100)
    assert score((WINDOWS > 0).astype(float), profile) == pytest.approx(100)


def test_numenta_score_counted_by_hand() -> None:
    """Third step of the first window; one stray before, one behind it; the second is missed."""
    gain = tanh(2.5 * 3 / 5) / tanh(2.5)
    behind = tanh(2.5 * 3 / 4)
    alarms = fired(1, 4, 12, 13, 17)
    expected = 100 * (gain + 1 - 0.11 * (1 + behind)) / 4
    assert score(alarms) == pytest.approx(expected)
    assert score(alarms, "nab_low_fp") == pytest.approx(100 * (gain + 1 - 0.22 * (1 + behind)) / 4)
    assert score(alarms, "nab_low_fn") == pytest.approx(100 * (gain + 2 - 0.11 * (1 + behind)) / 6)


def test_worth_falls_along_the_sigmoid() -> None:
    """The values that the description of the benchmark names, scaled to 1 at the first step."""
    values = worth(np.array([0, 1, 1, *[0] * 9]))
    scale = tanh(2.5)
    assert values[:3] == pytest.approx([-1, 1, tanh(1.25) / scale])
    assert values[3:] == pytest.approx([-0.98661, -0.99991, *[-1] * 7], abs=1e-5)


def test_thresholds_are_the_best_of_all() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        these = seen(random.integers(0, 12, len(WINDOWS)) / 4)
        every = [*np.unique(these.alarms), NEVER]
        f1s = [ratio(window_shares(these, each)["window_f1"]) for each in every]
        best = ratio(window_shares(these, best_for_windows(these))["window_f1"])
        assert best == pytest.approx(max(f1s))
        for profile in PROFILES.values():
            scores = [ratio(nab_shares(these, each, profile)) for each in every]
            fitted = ratio(nab_shares(these, best_for_profile(these, profile), profile))
            assert fitted == pytest.approx(max(scores))


def test_without_windows_nothing_is_ever_detected() -> None:
    these = seen(fired(3), np.zeros_like(WINDOWS))
    assert best_for_windows(these) == best_for_profile(these, STANDARD) == NEVER


def test_alarms_are_of_the_past_alone() -> None:
    random = np.random.default_rng(0)
    errors = np.abs(random.normal(size=60))
    alarms = alarm(errors)
    for stop in (1, RECENT, 40):
        assert alarm(errors[:stop]) == pytest.approx(alarms[:stop])
    before, recent = errors[: 50 - RECENT], errors[50 - RECENT : 50]
    assert alarms[49] == pytest.approx((recent.mean() - before.mean()) / before.std())


def stream_dataset() -> Dataset:
    """Waves with a jump in each, in passages of 16 steps; the jumps are the windows."""
    random = np.random.default_rng(0)

    def split(streams: int) -> Split:
        inputs, targets = [], []
        for number in range(streams):
            values = np.sin(np.arange(100) / 3) + 0.1 * random.normal(size=100)
            values[60:] += 4
            windows = np.zeros(100)
            windows[55:75] = number + 1
            judged = np.arange(100) >= 15
            inputs.append(values[:, None].astype(np.float32))
            columns = [values, windows, judged, np.full(100, number)]
            targets.append(np.stack(columns, axis=1).astype(np.float32))
        made = passages_of(inputs, 16)
        where = made.targets
        return Split(made.inputs, Sequences(np.concatenate(targets), where.starts, where.lengths))

    return Dataset("waves", AnomalyDetection(passage=16), split(3), split(2), split(2), {})


@pytest.mark.parametrize("family", ["gru", "transformer"])
def test_thresholds_of_the_test_split_come_from_validation(family: str) -> None:
    """Of a model that carries its state and one that does not."""
    dataset = stream_dataset()
    config = smallest(family_space(MODELS[family], dataset.task, len(dataset.train)))
    data = DeviceData(dataset)
    training = Training(MODELS[family], config, data, seed=0, epochs=1)
    measurement = training.run_epoch()
    valid, test = training.evaluate("valid"), training.evaluate("test")
    assert valid.metrics == pytest.approx(measurement.valid)
    measured = measure_split(training.model, data.valid, dataset.task)
    fitted = dataset.task.fitted(measured)
    examples = measure_split(training.model, data.test, dataset.task)
    assert test.metrics == pytest.approx(fitted.summarize(examples))
    for metric in dataset.task.metrics:
        losses = fitted.example_losses(examples, metric.name)
        assert losses.shape == (len(dataset.test),)
        assert losses.mean() == pytest.approx(metric.loss(test.metrics[metric.name]))


def test_a_perfect_forecast_but_for_the_anomalies_finds_them_all() -> None:
    dataset = stream_dataset()
    data = DeviceData(dataset)
    batch = data.valid.batch(torch.arange(len(dataset.valid)))
    wrong = (batch.targets[..., 1] > 0).float()
    starts = torch.cat([wrong[:, :1] * 0, wrong.diff(dim=1)], dim=1).clamp(min=0)
    outputs = batch.targets[..., :1] + starts[..., None]
    measured = {name: each.numpy() for name, each in dataset.task.measure(outputs, batch).items()}
    metrics = dataset.task.summarize(measured)
    assert metrics["window_f1"] == metrics["window_precision"] == metrics["window_recall"] == 1


def test_trivial_detectors_have_all_metrics() -> None:
    (row,) = baselines(stream_dataset())
    assert row.name == "last value"
    assert set(row.valid) == set(row.test) == {metric.name for metric in AnomalyDetection.metrics}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"causal": False}, "must be causal and of features, not of tokens"),
        ({"vocabulary": 2}, "must be causal and of features, not of tokens"),
        ({"passage": 0}, "`passage` must be at least 1, got 0"),
        ({"thresholds": (1.0,)}, "one for each of window_f1, nab_standard"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AnomalyDetection(**fields)


def test_thresholds_travel_as_json() -> None:
    task = AnomalyDetection(thresholds=(1.0, 2.0, 3.0, NEVER))
    assert task_from_json(task.to_json()) == task
