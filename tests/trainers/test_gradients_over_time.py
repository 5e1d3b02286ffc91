"""Gradients over time: what is measured, and that vanishing and exploding trainings say so."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.models import MODELS
from trainers.tasks import Regression, Tagging
from trainers.training.diagnostics import BINS, ReachProbe, notes
from trainers.training.gradients import Gradients
from trainers.training.loop import Training


def data(steps: int, *, ragged: bool = False) -> DeviceData:
    rng = np.random.default_rng(0)
    lengths = rng.integers(BINS, steps + 1, 24) if ragged else np.full(24, steps)
    inputs = [rng.standard_normal((length, 2), dtype=np.float32) for length in lengths]
    targets = [values[-1:, 0] for values in inputs]
    split = Split(Sequences.from_list(inputs), Sequences.from_list(targets))
    return DeviceData(
        Dataset("made up", Regression(input_size=2, causal=True), split, split, split, {})
    )


def training(on: DeviceData, family: str, *, model: dict | None = None, **settings) -> Training:
    config = default(family_space(MODELS[family], on.task, 1000))
    config["model"] |= {"dropout": 0.0, "num_layers": 1, "hidden_size": 16} | (model or {})
    config["training"] |= {"batch_size": 24} | settings
    return Training(MODELS[family], config, on, seed=0, epochs=2)


def recurrent_times(run: Training, factor: float) -> None:
    with torch.no_grad():
        for name, parameter in run.model.backbone.named_parameters():
            if "weight_hh" in name:
                parameter.mul_(factor)


@pytest.mark.parametrize("family", ["gru", "tcn", "transformer"])
@pytest.mark.parametrize("ragged", [False, True])
def test_it_is_the_gradient_of_what_the_backbone_is_given(family, ragged):
    on = data(19, ragged=ragged)
    config = default(family_space(MODELS[family], on.task, 1000))
    for name in config["model"]:
        if "dropout" in name:
            config["model"][name] = 0.0
    config["training"]["batch_size"] = 24
    run = Training(MODELS[family], config, on, seed=0, epochs=1)
    batch = on.train.batch(torch.arange(24))
    x = batch.inputs.clone().requires_grad_()
    run.model.train()
    on.task.loss(run.model(x, batch.mask), batch).backward()
    bins: list[list[float]] = [[] for _ in range(BINS)]
    for gradient, length in zip(x.grad, batch.mask.sum(1).tolist(), strict=True):
        for step in range(length):
            bins[step * BINS // length].append(gradient[step].square().sum().item())
    expected = [np.mean(values) ** 0.5 for values in bins]
    found = run.run_epoch().diagnostics
    assert found["gradient_over_time"] == pytest.approx(expected, rel=1e-3, abs=1e-9)
    first, last = np.mean(expected[:2]), np.mean(expected[-2:])
    assert found["gradient_reach"] == pytest.approx(first / last, rel=1e-3)
    json.dumps(found, allow_nan=False)


def test_tokens_are_looked_at_where_they_are_embedded():
    tokens = np.random.default_rng(0).integers(0, 5, (12, 3))
    split = Split(Sequences.from_array(tokens), Sequences.from_array(tokens))
    task = Tagging(vocabulary=5, classes=5, causal=True)
    on = DeviceData(Dataset("made up", task, split, split, split, {}))
    run = training(on, "gru", batch_size=5)
    found = run.run_epoch().diagnostics
    assert len(found["gradient_over_time"]) == 3  # no more parts than steps
    assert min(found["gradient_over_time"]) > 0
    assert found["notes"] == []


def test_looking_changes_no_number_of_the_training(monkeypatch):
    look = Gradients.of

    def blind(self, batch, steps):
        self.probe = None
        return look(self, batch, steps)

    weights = []
    for looks in (True, False):
        if not looks:
            monkeypatch.setattr(Gradients, "of", blind)
        run = training(data(12), "lstm", batch_size=8)
        run.run_epoch()
        weights.append(run.weights.vector.clone())
    assert torch.equal(*weights)


def test_a_batch_in_parts_is_looked_at_in_its_first():
    run = training(data(12), "gru")
    run.parts = 3
    found = run.run_epoch().diagnostics
    assert len(found["gradient_over_time"]) == BINS
    assert found["gradient_reach"] > 0


def test_a_real_rnn_whose_gradients_vanish_says_so():
    run = training(data(80), "rnn", clip_norm=10.0)
    recurrent_times(run, 0.3)
    found = run.run_epoch().diagnostics
    (note,) = found["notes"]
    assert note.startswith("gradients vanish over time: the beginning of sequences gets ")
    assert found["gradient_reach"] < 1e-7
    assert sorted(found["gradient_over_time"]) == found["gradient_over_time"]


def test_a_real_rnn_whose_gradients_explode_says_so():
    run = training(data(24), "rnn", model={"nonlinearity": "relu"}, batch_size=4, clip_norm=0.5)
    run.settings["optimizer"]["learning_rate"] = 1e-9  # it stays as it is
    recurrent_times(run, 1.6)
    found = run.run_epoch().diagnostics
    (note,) = found["notes"]
    assert note.startswith("gradients explode: 100% of them were clipped to 0.5, the largest norm")
    assert found["gradient_reach"] > 100


@pytest.mark.parametrize("family", ["lstm", "gru"])
def test_a_healthy_training_says_nothing(family):
    found = training(data(30), family, clip_norm=10.0).run_epoch().diagnostics
    assert found["notes"] == []
    assert 1e-7 < found["gradient_reach"] < 100


def test_a_model_that_only_sees_the_end_says_so():
    """A convolution cannot see beyond its receptive field; that is no fault of training alone."""
    on = data(200)
    run = training(on, "tcn", model={"kernel_size": 2, "num_layers": 2}, clip_norm=100.0)
    found = run.run_epoch().diagnostics
    assert found["gradient_over_time"][0] == 0
    assert [note.partition(":")[0] for note in found["notes"]] == ["gradients vanish over time"]


def test_nothing_seen_is_nothing_said():
    probe = ReachProbe()
    report = probe.report()
    assert report == {"gradient_over_time": [], "gradient_reach": None}
    rest: dict[str, object] = {
        "gradient_norms": {"a": 1.0},
        "clipped_share": 0.0,
        "largest_gradient_norm": Tensor([1.0]).item(),
    }
    assert notes(report | rest, 1.0) == []
