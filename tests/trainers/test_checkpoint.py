import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spaces import Config, Int, Node, SearchSpace, build, default
from trainers.backbone import Backbone
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.models import MODELS
from trainers.tasks import Classification
from trainers.training.checkpoint import UnusableCheckpointError, read_checkpoint, write_checkpoint
from trainers.training.loop import Measurement, Training
from trainers.training.optim import OPTIMIZERS
from trainers.training.schedules import SCHEDULES

CPU = torch.device("cpu")
EPOCHS = 4


def made_up(examples: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 8, examples)
    inputs = [rng.standard_normal((length, 2), dtype=np.float32) for length in lengths]
    targets = np.array([[int(values.mean() > 0)] for values in inputs])
    return Split(Sequences.from_list(inputs), Sequences.from_array(targets))


@pytest.fixture(scope="module")
def data() -> DeviceData:
    task = Classification(input_size=2, classes=2)
    return DeviceData(
        Dataset("made up", task, made_up(7, 0), made_up(5, 1), made_up(5, 2), {}), "cpu"
    )


def tiny(space: Node) -> Config:
    """Smallest numbers, but every dropout at work."""

    def choose(path, parameter):
        if isinstance(parameter, Int):
            return parameter.low
        return 0.2 if "dropout" in path else parameter.default

    return build(space, choose)


def configuration(family: type[Backbone], data: DeviceData, **training: str) -> Config:
    config = tiny(family_space(family, data.task, 1000))
    settings = config["training"]
    settings["batch_size"] = 4
    settings["label_smoothing"] = 0.1
    if "optimizer" in training:
        name = training["optimizer"]
        settings["optimizer"] = {"name": name, **default(OPTIMIZERS[name].space)}
    if "schedule" in training:
        name = training["schedule"]
        settings["schedule"] = {"name": name, **default(SCHEDULES[name].space)}
        if name == "plateau":
            settings["schedule"]["patience"] = 1
    return config


def train(training: Training, epochs: int) -> list[Measurement]:
    return [training.run_epoch() for _ in range(epochs)]


def plain(measurements: list[Measurement]) -> list[dict]:
    """Without what the clock says."""
    return [{**measurement.to_json(), "seconds": 0} for measurement in measurements]


def check_resumed_is_uninterrupted(family, config, data, path) -> None:
    # a family's numbers must not hang on what else torch's generator was used for
    torch.manual_seed(1)
    whole = Training(family, config, data, seed=3, epochs=EPOCHS)
    expected = train(whole, EPOCHS)
    first = Training(family, config, data, seed=3, epochs=EPOCHS)
    before = train(first, 2)
    first.save(path)
    torch.manual_seed(2)
    second = Training(family, config, data, seed=3, epochs=EPOCHS)
    second.restore(path)
    assert second.epoch == 2
    assert plain(before + train(second, 2)) == plain(expected)
    assert (second.best_epoch, second.best_value) == (whole.best_epoch, whole.best_value)
    same(second.best_weights(), whole.best_weights())
    same(second.model.state_dict(), whole.model.state_dict())
    losses = second.evaluate("test").example_losses
    assert np.array_equal(losses, whole.evaluate("test").example_losses)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("family", MODELS)
def test_resumed_is_uninterrupted(family, optimizer, schedule, data, tmp_path):
    config = configuration(MODELS[family], data, optimizer=optimizer, schedule=schedule)
    check_resumed_is_uninterrupted(MODELS[family], config, data, tmp_path / "state")


@pytest.mark.parametrize("family", MODELS)
def test_with_averaged_weights_too(family, data, tmp_path):
    config = configuration(MODELS[family], data)
    config["training"]["weight_averaging"] = 0.7
    check_resumed_is_uninterrupted(MODELS[family], config, data, tmp_path / "state")


class Careless(Backbone):
    """A user's own: torch's dropout, torch's random numbers, running averages."""

    reference = "none"

    def __init__(self, input_size: int, *, causal: bool) -> None:
        super().__init__()
        self.output_size = 4
        self.layer = nn.Linear(input_size, 4)
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.3)

    @classmethod
    def space(cls, causal):
        return SearchSpace({})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.norm(self.layer(x).mT).mT
        if self.training:
            y = y + torch.randn(y.shape) * 0.1
        return self.dropout(y) * mask[..., None]


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_model_with_random_numbers_of_its_own_resumes_too(averaging, data, tmp_path):
    config = configuration(Careless, data)
    config["training"]["weight_averaging"] = averaging
    check_resumed_is_uninterrupted(Careless, config, data, tmp_path / "state")


def test_restoring_brings_back_the_best_even_if_it_is_past(data, tmp_path):
    config = configuration(MODELS["gru"], data)
    training = Training(MODELS["gru"], config, data, seed=0, epochs=EPOCHS)
    train(training, EPOCHS)
    training.save(tmp_path / "state")
    again = Training(MODELS["gru"], config, data, seed=0, epochs=EPOCHS)
    again.restore(tmp_path / "state")
    assert again.evaluate("valid").metrics["accuracy"] == training.best_value
    same(again.best_weights(), training.best_weights())


def test_another_trainings_checkpoint_is_refused(data, tmp_path):
    family = MODELS["gru"]
    config = configuration(family, data)
    path = tmp_path / "state"
    Training(family, config, data, seed=0, epochs=EPOCHS).save(path)
    with pytest.raises(ValueError, match="must be of this training, got another: its seed is 0"):
        Training(family, config, data, seed=1, epochs=EPOCHS).restore(path)
    other = configuration(family, data, optimizer="sgd")
    with pytest.raises(ValueError, match="must be of this training, got another: its config"):
        Training(family, other, data, seed=0, epochs=EPOCHS).restore(path)
    by_loss = Training(family, config, data, seed=0, epochs=EPOCHS, metric="log_loss")
    with pytest.raises(ValueError, match="must be of this training, got another: its metric"):
        by_loss.restore(path)
    Training(family, config, data, seed=0, epochs=EPOCHS * 2).restore(path)


TENSORS = {
    "now/vector": torch.linspace(0, 1, 100),
    "best/state/count": torch.tensor(7),
    "slot/mean": torch.zeros(100, dtype=torch.bfloat16),
}
STATE = {"losses": [0.1, 1e-300, -3.5], "config": {"model": {"name": "lstm"}}}


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    write_checkpoint(tmp_path / "state", TENSORS, STATE)
    tensors, state = read_checkpoint(tmp_path / "state", CPU)
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, TENSORS[name])
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_what_was_read_does_not_change_with_the_file(tmp_path):
    path = tmp_path / "state"
    write_checkpoint(path, TENSORS, STATE)
    tensors, _ = read_checkpoint(path, CPU)
    path.write_bytes(b"\x00" * path.stat().st_size)
    assert torch.equal(tensors["now/vector"], TENSORS["now/vector"])


def test_a_missing_checkpoint_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "state", CPU)


def test_every_cut_is_refused(tmp_path):
    path = tmp_path / "state"
    write_checkpoint(path, TENSORS, STATE)
    whole = path.read_bytes()
    for length in [*range(60), *range(60, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UnusableCheckpointError, match="is damaged or no checkpoint"):
            read_checkpoint(path, CPU)


def test_every_turned_bit_of_the_tensors_is_refused(tmp_path):
    path = tmp_path / "state"
    write_checkpoint(path, TENSORS, STATE)
    whole = path.read_bytes()
    body = 8 + int.from_bytes(whole[:8], "little")
    for place in range(body, len(whole), 29):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(UnusableCheckpointError, match="do not match their sum"):
            read_checkpoint(path, CPU)


def foreign(path: Path, header: object) -> None:
    save_file({"a": torch.zeros(1)}, path, {"seqtune": json.dumps(header)} if header else None)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "is no checkpoint of seqtune"),
        ([], "is no checkpoint of seqtune"),
        ({"sum": 1}, "is no checkpoint of seqtune"),
        ({"format": 99}, "is of format 99, and this version of seqtune reads format 1"),
    ],
)
def test_a_foreign_file_is_refused(header, words, tmp_path):
    foreign(tmp_path / "state", header)
    with pytest.raises(UnusableCheckpointError, match=words):
        read_checkpoint(tmp_path / "state", CPU)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "state"
    write_checkpoint(path, TENSORS, STATE)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(path, {"other": torch.ones(3)}, {})
    monkeypatch.undo()
    assert read_checkpoint(path, CPU)[1] == STATE
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
