"""What a model does over the time of one example, against autograd by hand."""

import numpy as np
import pytest
import torch

from spaces import default, narrow
from trainers.behaviour import MOST_COLUMNS, MOST_UNITS, behaviour
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.model import SequenceModel, build_model


def model_and_data(
    benchmark: str, family: str, options: dict[str, object] | None = None
) -> tuple[SequenceModel, DeviceData]:
    data = DeviceData(load_benchmark(benchmark, options or {}))
    backbone = load_family(family)
    config = default(narrow(family_space(backbone, data.task, 100), {}))
    return build_model(backbone, config, data.task, seed=3), data


@pytest.mark.parametrize("family", ["gru", "tcn", "transformer"])
def test_the_gradient_is_that_of_the_examples_loss(family: str) -> None:
    model, data = model_and_data("digits_rows", family)
    found = behaviour(model, data.valid, data.task)
    batch = data.valid.batch(torch.tensor([found["example"]]))
    batch.inputs.requires_grad_()
    data.task.total_loss(model.eval()(batch.inputs, batch.mask), batch).backward()
    norms = batch.inputs.grad[0].norm(dim=1)
    assert found["steps"] == 8
    np.testing.assert_allclose(found["gradient"], norms / norms.max(), atol=1e-4)
    hidden = model.backbone(batch.inputs, batch.mask)[0].detach()
    assert len(found["hidden"]) == min(MOST_UNITS, hidden.shape[1])
    rows = {tuple(row) for row in found["hidden"]}
    scale = 10_000
    assert rows <= {tuple(((row * scale).round() / scale).tolist()) for row in hidden.double().T}


def test_long_examples_are_cut_into_parts() -> None:
    sizes = {"train_examples": 4, "valid_examples": 4, "test_examples": 4}
    model, data = model_and_data("adding", "gru", {"length": 450, **sizes})
    found = behaviour(model, data.valid, data.task)
    assert found["steps"] == 450
    assert {len(found["gradient"]), *map(len, found["hidden"])} == {MOST_COLUMNS}
    assert max(found["gradient"]) == 1.0


def test_tokens_have_a_gradient_where_they_are_embedded() -> None:
    model, data = model_and_data("embedded_reber", "lstm")
    found = behaviour(model, data.valid, data.task)
    assert len(found["gradient"]) == found["steps"]
    assert max(found["gradient"]) == 1.0
    assert not model.training
