import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaces import Config, SearchSpace, default
from trainers.backbone import Backbone
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.heads import PerStep
from trainers.models import MODELS
from trainers.tasks import Regression
from trainers.training.diagnostics import (
    GradientWatch,
    ReachProbe,
    SaturationProbe,
    notes,
    taken_up,
)
from trainers.training.loop import Diverged, Training
from trainers.training.weights import Weights


@pytest.fixture
def data() -> DeviceData:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((20, 5, 2), dtype=np.float32)
    split = Split(Sequences.from_array(inputs), Sequences.from_array(inputs[:, :1, 0]))
    return DeviceData(Dataset("made up", Regression(input_size=2), split, split, split, {}))


class Chain(Backbone):
    """Two layers, the first of which hardly matters when `gain` is small."""

    reference = "none"

    def __init__(self, input_size: int, *, causal: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.output_size = 3
        self.gain = gain
        self.first = nn.Linear(input_size, 3)
        self.second = nn.Linear(3, 3)

    @classmethod
    def space(cls, causal):
        return SearchSpace({})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = torch.tanh(self.second(torch.tanh(self.first(x)) * self.gain)) * mask[..., None]
        return y.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]


def training(data: DeviceData, family: type[Backbone] = Chain, **settings: float) -> Training:
    config: Config = default(family_space(family, data.task, 1000))
    config["model"] |= {name: value for name, value in settings.items() if name == "gain"}
    config["training"] |= {name: value for name, value in settings.items() if name != "gain"}
    return Training(family, config, data, seed=0, epochs=2)


def test_numbers_are_those_of_the_last_step(data):
    run = training(data, batch_size=20, clip_norm=0.1)
    batch = data.train.batch(torch.arange(20))
    before = run.weights.vector.clone()
    loss = data.task.loss(run.model(batch.inputs, batch.mask), batch)
    loss.backward()
    expected = {
        name: torch.stack([p.grad.norm() for p in module.parameters()]).norm().item()
        for name, module in run.model.named_modules()
        if list(module.parameters(recurse=False))
    }
    found = run.run_epoch().diagnostics
    assert list(found["gradient_norms"]) == ["backbone.first", "backbone.second", "head.linear"]
    assert found["gradient_norms"] == pytest.approx(expected, rel=1e-4)
    whole = math.hypot(*expected.values())
    assert found["largest_gradient_norm"] == pytest.approx(whole, rel=1e-4)
    change = (run.weights.vector - before).norm() / before.norm()
    assert found["update_ratio"] == pytest.approx(change.item(), rel=1e-4)
    assert found["clipped_share"] == float(whole > 0.1)
    json.dumps(found, allow_nan=False)


def watch_of_nothing() -> GradientWatch:
    weights = Weights(nn.Linear(2, 2))
    return GradientWatch(weights.vector[None], weights, 1.0)


def test_numbers_stay_json_when_a_norm_overflows():
    watch = watch_of_nothing()
    with watch.last_step(torch.full((1, 32), 1e30)):
        watch.add(torch.tensor([[math.inf]]))
    report = watch.report()
    json.dumps(report, allow_nan=False)
    assert report["largest_gradient_norm"] > 1e38


def test_a_healthy_training_has_nothing_to_say(data):
    found = training(data, clip_norm=10.0).run_epoch().diagnostics
    assert found["notes"] == []
    assert found["clipped_share"] == 0.0
    assert 0 <= found["saturated_share"] <= 1


def test_vanishing_gradients_are_told(data):
    (note,) = training(data, gain=1e-9, clip_norm=10.0).run_epoch().diagnostics["notes"]
    assert note.startswith("gradients vanish: backbone.first gets ")
    assert " where head.linear gets " in note


def test_gradients_clipped_in_most_steps_are_told(data):
    found = training(data, clip_norm=1e-3).run_epoch().diagnostics
    largest = found["largest_gradient_norm"]
    assert found["clipped_share"] == 1.0
    assert largest > 0.1
    words = f"100% of them were clipped to 0.001, the largest norm was {largest:.3g}"
    assert found["notes"] == [f"gradients explode: {words}"]
    found["largest_gradient_norm"] = 0.05
    (note,) = notes(found, 1e-3)
    assert note.startswith("`clip_norm` rules the steps: 100% of them were clipped")


@pytest.mark.parametrize(("clipped", "told"), [(5, False), (6, True)])
def test_more_than_half_of_the_steps_must_be_clipped(clipped, told):
    watch = watch_of_nothing()
    for step in range(10):
        watch.add(torch.tensor([[2.0 if step < clipped else 0.5]]))
    report = watch.report()
    assert report["clipped_share"] == clipped / 10
    assert report["largest_gradient_norm"] == 2.0
    report |= {"gradient_norms": {"a": 1.0, "b": 1.0}, **ReachProbe().report()}
    assert bool(notes(report, 1.0)) == told
    assert "reached a norm of 2" in watch.describe(0, 1.0)


def test_saturation_counts_real_steps_of_bounded_units(data):
    class Edge(Chain):
        def forward(self, x, mask):
            y = torch.zeros(*mask.shape, 3)
            y[:, :2] = torch.tensor([1.0, -0.995, 0.98])
            return y + 0 * self.second.weight.sum()

    assert training(data, Edge).run_epoch().diagnostics["saturated_share"] == pytest.approx(4 / 15)
    probe = SaturationProbe()
    backbone, head = Edge(2, causal=False), PerStep(3, 1)

    def run(mask):
        y = backbone(torch.zeros(*mask.shape, 2), mask)
        head(y, mask, backbone.summary(y, mask))

    with taken_up(head) as seen:
        run(torch.tensor([[True, True, False], [True, False, False]]))
        run(torch.ones(2, 1, dtype=torch.bool))
    probe.look(*seen)
    probe.look(torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool))
    assert probe.share() == pytest.approx(2 / 3)
    run(torch.ones(1, 3, dtype=torch.bool))
    assert probe.share() == pytest.approx(2 / 3)


def test_unbounded_units_cannot_saturate(data):
    class Unbounded(Chain):
        def forward(self, x, mask):
            return super().forward(x, mask) * 5

    assert training(data, Unbounded).run_epoch().diagnostics["saturated_share"] is None
    assert SaturationProbe().share() is None


def test_a_real_rnn_that_saturates_is_seen(data):
    run = training(data, MODELS["rnn"])
    assert run.run_epoch().diagnostics["saturated_share"] == 0.0
    run.weights.vector.mul_(1000.0)
    with torch.no_grad():
        batch = data.valid.batch(torch.arange(20))
        probe = SaturationProbe()
        with taken_up(run.model.head) as seen:
            run.model.eval()
            run.model(batch.inputs, batch.mask)
        probe.look(*seen)
    share = probe.share()
    assert share is not None
    assert share > 0.9


class TestDivergence:
    def test_a_loss_that_is_not_finite_names_its_epoch(self, data):
        run = training(data, batch_size=8)
        run.run_epoch()
        run.settings["optimizer"]["learning_rate"] = 1e30
        words = r"training loss became (inf|nan) in epoch 2; in the \d steps before, .* 1e\+30"
        with pytest.raises(Diverged, match=words):
            run.run_epoch()

    def test_weights_that_are_not_finite_are_seen_after_the_last_step(self, data):
        run = training(data, batch_size=20)
        run.settings["optimizer"]["learning_rate"] = math.inf
        with pytest.raises(Diverged, match="sum of all weights became nan in epoch 1"):
            run.run_epoch()

    def test_a_first_step_says_so(self, data):
        run = training(data, batch_size=8)
        run.weights.vector.fill_(math.nan)
        with pytest.raises(Diverged, match="training loss became nan in epoch 1; it was the first"):
            run.run_epoch()

    def test_a_validation_value_that_is_not_finite(self, data, monkeypatch):
        run = training(data, batch_size=8)
        monkeypatch.setattr(
            Regression, "summarize", lambda self, examples: {"mse": math.nan, "mae": 1.0}
        )
        with pytest.raises(Diverged, match="mse on validation became nan in epoch 1"):
            run.run_epoch()
        assert run.epoch == 0
