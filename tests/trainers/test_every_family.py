"""Every benchmark under every family: a few examples of the real files, for one short epoch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from spaces import smallest
from trainers.benchmarks import BENCHMARKS
from trainers.catalog import family_space
from trainers.data.batch import Batch
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.models import MODELS
from trainers.tasks import TASKS
from trainers.training.carrying import read
from trainers.training.loop import Training

LoadOnce = Callable[[str], Dataset]

EXAMPLES = {"train": 6, "valid": 3, "test": 3}


@pytest.fixture(scope="session", params=BENCHMARKS)
def small(request: pytest.FixtureRequest, load_once: LoadOnce) -> Dataset:
    """A few examples of each split, in arrays of their own."""
    whole = load_once(request.param)
    splits = {name: few(getattr(whole, name), count) for name, count in EXAMPLES.items()}
    return Dataset(whole.name, whole.task, preprocessing=whole.preprocessing, **splits)


def few(split: Split, count: int) -> Split:
    """The shortest examples; of texts, which are read on and on, the first passages."""
    shortest = np.argsort(split.inputs.lengths, kind="stable")[:count]
    part = split.select(np.sort(shortest))
    return Split(*(copied(side) for side in (part.inputs, part.targets)))


def copied(part: Sequences) -> Sequences:
    return Sequences.from_list([part.example(index) for index in range(len(part))])


def shape(dataset: Dataset, batch: Batch) -> tuple[int, ...]:
    """What a head must say of a batch: (batch, size), or (batch, steps, size)."""
    task, steps = dataset.task.to_json(), batch.mask.shape[1]
    of_kind: dict[str, Callable[[], tuple[int, ...]]] = {
        "classification": lambda: (task["classes"],),
        "regression": lambda: (task["outputs"],),
        "tagging": lambda: (steps, task["classes"]),
        "multilabel_frames": lambda: (steps, task["labels"]),
        "language_modelling": lambda: (steps, task["vocabulary"]),
        "anomaly_detection": lambda: (steps, 1),
        "forecasting": lambda: (task["horizon"], task["channels"]),
        "ctc": lambda: (steps, task["classes"] + 1),
        "translation": lambda: (batch.target_mask.shape[1], task["classes"]),
        "captioning": lambda: (batch.target_mask.shape[1], task["classes"]),
    }
    return (len(batch), *of_kind[task["name"]]())


def test_a_slice_keeps_what_the_benchmark_is(small: Dataset) -> None:
    assert small.task.name == BENCHMARKS[small.name].task
    assert [len(getattr(small, name)) for name in EXAMPLES] == list(EXAMPLES.values())


@pytest.mark.parametrize("family", MODELS)
def test_every_family_trains_on_every_benchmark(family: str, small: Dataset) -> None:
    space = family_space(MODELS[family], small.task, len(small.train))
    config = smallest(space)
    config["training"]["batch_size"] = 3
    data = DeviceData(small)
    metric = BENCHMARKS[small.name].metric
    training = Training(MODELS[family], config, data, seed=0, epochs=1, metric=metric)
    measured = training.run_epoch()
    assert np.isfinite(measured.train_loss)
    assert set(measured.valid) == {metric.name for metric in small.task.metrics}
    assert np.isfinite(list(measured.valid.values())).all()
    tested = training.evaluate("test")
    assert np.isfinite(tested.metrics[metric])
    assert tested.example_losses.shape == (3,)
    assert np.isfinite(tested.example_losses).all()
    batch = data.test.batch(torch.arange(2))
    with torch.no_grad():
        outputs, _ = read(training.model.eval(), batch)
    assert outputs.shape == shape(small, batch)
    assert torch.isfinite(outputs).all()


def test_no_kind_of_task_is_without_a_benchmark_unless_told() -> None:
    """Entities are tagged in a user's own files; their kind of task is tested there."""
    assert set(TASKS) - {kind.task for kind in BENCHMARKS.values()} == {"entity_tagging"}
