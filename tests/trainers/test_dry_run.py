"""Dry runs: what they say of a trial is what the trial takes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.models import MODELS
from trainers.training.dry_run import Kept, dry_run
from trainers.training.loop import Training


@pytest.fixture
def dataset(load_once: Callable[[str], Dataset]) -> Dataset:
    return load_once("digits_rows")


def config_of(name: str, dataset: Dataset, **training: object) -> dict[str, dict[str, object]]:
    config = default(family_space(MODELS[name], dataset.task, len(dataset.train)))
    return config | {"training": config["training"] | training}


def test_size_and_checkpoint_are_those_of_a_training(dataset: Dataset, tmp_path: Path) -> None:
    config = config_of("gru", dataset)
    cost = dry_run(MODELS["gru"], config, dataset, device="cpu")
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=3)
    training.run_epoch()
    training.save(tmp_path / "checkpoint")
    assert cost.parameters == training.parameters
    on_disk = (tmp_path / "checkpoint").stat().st_size
    assert cost.checkpoint_bytes == pytest.approx(on_disk, rel=0.01)
    assert cost.memory_bytes > on_disk
    assert cost.epoch_seconds > 0


def test_memory_grows_with_the_batch(dataset: Dataset) -> None:
    small, middle, large = (
        dry_run(MODELS["tcn"], config_of("tcn", dataset, batch_size=size), dataset, device="cpu")
        for size in (16, 64, 128)
    )
    step = (middle.memory_bytes - small.memory_bytes) / 48
    assert large.memory_bytes - middle.memory_bytes == pytest.approx(64 * step, rel=0.05)
    assert step > 4 * 8 * 64  # at least one tensor of (time, hidden_size) for each example


def test_a_learning_rate_that_diverges_costs_what_it_costs(dataset: Dataset) -> None:
    config = config_of("rnn", dataset)
    config["training"]["optimizer"] = {
        "name": "sgd",
        "learning_rate": 1e30,
        "weight_decay": 0.0,
        "momentum": 0.9,
    }
    cost = dry_run(MODELS["rnn"], config, dataset, device="cpu")
    assert 0 < cost.epoch_seconds < 60


def test_what_autograd_keeps_is_counted_once_and_until_it_is_given_back() -> None:
    kept = Kept()
    weight = torch.ones(100, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack):
        for _ in range(3):
            x = weight.exp()  # keeps its result
            (x * x).sum().backward()  # keeps it again
    assert kept.peak == 400


def test_windows_of_a_stream_are_as_long_as_in_training(
    load_once: Callable[[str], Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passages that follow one another, as many as fill the windows of two steps."""
    text = load_once("ptb_char")
    slivers: list[Dataset] = []

    def seen(dataset: Dataset, device: str) -> DeviceData:
        slivers.append(dataset)
        return DeviceData(dataset, device)

    monkeypatch.setattr("trainers.training.dry_run.DeviceData", seen)
    config = config_of("gru", text, batch_size=16, bptt_steps=200)
    cost = dry_run(MODELS["gru"], config, text, device="cpu")
    (sliver,) = slivers
    assert len(sliver.train) == round(2 * 16 * 200 / 128)
    windows = DeviceData(sliver).train.cut(16, 200)
    assert windows.lengths.max() == 200
    assert len(list(windows.order(16))) == 2
    share = len(sliver.train) / len(text.train)
    assert len(sliver.valid) == max(1, round(share * len(text.valid)))
    assert cost.epoch_seconds > 1
