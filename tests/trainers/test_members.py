"""Recurrences of several models at once, against torch's kernels one by one."""

from typing import Any

import pytest
import torch
from torch import Tensor

from spaces import default, narrow
from trainers.catalog import family_space, load_family
from trainers.model import build_model
from trainers.models.recurrence.cells import CELLS
from trainers.models.recurrence.loops import ELEMENTS
from trainers.tasks import Tagging

MEMBERS, BATCH, TIME, SIZE, HIDDEN = 3, 2, 5, 4, 6


def tensors(*shape: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64).requires_grad_()


def inputs(cell: str) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    kind = CELLS[cell]
    rows = kind.gates * HIDDEN
    shapes = ((rows, SIZE), (rows, HIDDEN), (rows,), (rows,))
    weights = [tensors(MEMBERS, *shape, seed=10 + place) for place, shape in enumerate(shapes)]
    states = [tensors(MEMBERS, BATCH, HIDDEN, seed=20 + n) for n in range(len(kind.states))]
    return tensors(MEMBERS, BATCH, TIME, SIZE, seed=1), states, weights


def total(y: Tensor, states: Any) -> Tensor:
    """A number in which every output counts differently."""
    parts = [y, *states]
    return sum((part * torch.arange(part.numel()).view_as(part).cos()).sum() for part in parts)


@pytest.mark.parametrize("cell", ["tanh", "relu", "gru", "lstm"])
@pytest.mark.parametrize("elements", [1, 2 * MEMBERS * BATCH * HIDDEN, 2**15])
def test_values_and_gradients_are_those_of_the_kernels(
    cell: str, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ELEMENTS, "cpu", elements)
    x, states, weights = inputs(cell)
    run = CELLS[cell].run
    y, after = torch.func.vmap(lambda x, s, w: run(x, tuple(s), w))(x, states, weights)
    leaves = [x, *states, *weights]
    together = torch.autograd.grad(total(y, after), leaves)
    singles = [run(x[m], tuple(s[m] for s in states), [w[m] for w in weights]) for m in range(3)]
    y_alone = torch.stack([one for one, _ in singles])
    after_alone = [torch.stack(list(each)) for each in zip(*(s for _, s in singles), strict=True)]
    torch.testing.assert_close(y, y_alone, rtol=0, atol=1e-12)
    alone = torch.autograd.grad(total(y_alone, after_alone), leaves)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shared", ["batch", "weights"])
@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_members_may_share_the_batch_or_the_weights(shared: str, cell: str) -> None:
    x, states, weights = inputs(cell)
    run = CELLS[cell].run
    dims: tuple[Any, Any, Any] = (None, 0, 0) if shared == "batch" else (0, 0, None)
    given = (x[0], states, weights) if shared == "batch" else (x, states, [w[0] for w in weights])
    y, _ = torch.func.vmap(lambda x, s, w: run(x, tuple(s), w), in_dims=dims)(*given)
    for member in range(MEMBERS):
        mine = [x[0 if shared == "batch" else member], tuple(s[member] for s in states)]
        own = [w[member if shared == "batch" else 0] for w in weights]
        torch.testing.assert_close(y[member], run(*mine, own)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru", "cnn_rnn", "transformer", "stack"])
@pytest.mark.filterwarnings("ignore:There is a performance drop .*attention_for_cpu")
def test_gradients_of_whole_models_are_those_of_each_alone(family: str) -> None:
    task = Tagging(input_size=SIZE, classes=3)
    backbone = load_family(family)
    config = default(narrow(family_space(backbone, task, 100), {}))
    models = [build_model(backbone, config, task, seed=n).double().eval() for n in range(2)]
    x = tensors(2, BATCH, TIME, SIZE, seed=5).detach()
    mask = torch.tensor([[True] * TIME, [True] * 3 + [False] * 2]).expand(2, -1, -1)
    names = [name for name, _ in models[0].named_parameters()]
    stacked = {
        name: torch.stack([dict(m.named_parameters())[name].detach() for m in models])
        for name in names
    }
    for tensor in stacked.values():
        tensor.requires_grad_()

    def one(weights: dict[str, Tensor], x: Tensor, mask: Tensor) -> Tensor:
        outputs: Tensor = torch.func.functional_call(models[0], weights, (x, mask))
        return (outputs * mask.unsqueeze(2)).square().sum()

    losses = torch.func.vmap(one)(stacked, x, mask)
    together = torch.autograd.grad(losses.sum(), list(stacked.values()))
    for member, model in enumerate(models):
        loss = (model(x[member], mask[member]) * mask[member].unsqueeze(2)).square().sum()
        torch.testing.assert_close(losses[member], loss, rtol=1e-10, atol=1e-10)
        alone = torch.autograd.grad(loss, list(model.parameters()))
        for name, mine, other in zip(names, together, alone, strict=True):
            assert torch.allclose(mine[member], other, rtol=1e-8, atol=1e-9), name


def test_what_no_rule_is_for_is_said() -> None:
    model = torch.nn.LSTM(SIZE, HIDDEN, num_layers=2, batch_first=True)
    with pytest.raises(ValueError, match="must be of one layer in one direction"):
        torch.func.vmap(lambda x: model(x)[0])(torch.zeros(MEMBERS, BATCH, TIME, SIZE))
