"""Detectors of anomalies without a model: what streams are expected to do next is trivial."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from trainers.benchmarks.scaling import Scaler
from trainers.data.batching import DeviceData, DeviceSplit
from trainers.data.dataset import Dataset
from trainers.tasks import Task

PASSAGES_AT_ONCE = 1 << 10

Row = tuple[str, dict[str, float], dict[str, float]]
"""A name, and the metrics on valid and on test."""


def trivial_detectors(dataset: Dataset) -> Iterator[Row]:
    """Every trivial forecast, with its thresholds fitted on the validation split."""
    data = DeviceData(dataset)
    for name, forecast in _forecasts(dataset):
        valid = _measure(forecast, data.valid, dataset.task)
        task = dataset.task.fitted(valid)
        test = _measure(forecast, data.test, task)
        yield name, task.summarize(valid), task.summarize(test)


def _forecasts(dataset: Dataset) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """From values (batch, time, channels) to what comes next."""
    yield "last value", lambda values: values
    if "series" in dataset.preprocessing:  # each is scaled by its train part
        yield "mean of the train part", torch.zeros_like
    if "scaler" in dataset.preprocessing:
        mean = float(Scaler.from_json(dataset.preprocessing["scaler"]).apply(np.zeros(1))[0])
        yield "mean of the probation", lambda values: torch.full_like(values, mean)


def _measure(
    forecast: Callable[[Tensor], Tensor], split: DeviceSplit, task: Task
) -> dict[str, np.ndarray]:
    parts = []
    for indices in torch.split(torch.arange(split.examples), PASSAGES_AT_ONCE):
        batch = split.batch(indices)
        parts.append(task.measure(forecast(batch.inputs), batch))
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
