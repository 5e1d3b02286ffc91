"""What a trained model does over the time of one example: hidden states, and how far it looks."""

from typing import Any, Final

import torch
from torch import Tensor

from trainers.data.batch import Batch
from trainers.data.batching import DeviceSplit
from trainers.model import SequenceModel
from trainers.tasks import Task
from trainers.training.carrying import read

MOST_UNITS: Final = 48
MOST_COLUMNS: Final = 200
DECIMALS: Final = 4


def behaviour(model: SequenceModel, split: DeviceSplit, task: Task) -> dict[str, Any]:
    """Of the example of median length, the first of equals, run without dropout.

    Returns:
        A JSON tree, in which a long example is cut into `MOST_COLUMNS` equal parts:

        - `example` and `steps`: its place in the split, and its length;
        - `hidden`: (units, parts), means of the backbone's outputs: the units that change most,
          those that rise and fall alike side by side;
        - `gradient`: (parts,), the norm of the gradient of the example's loss with respect to what
          the backbone is given, as a share of the largest.
    """
    lengths = split.lengths
    example = int((lengths == lengths.median()).nonzero()[0])
    outputs, gradient = _look(model.eval(), split.batch(torch.tensor([example])), task)
    steps = int(lengths[example])
    strength = _parts(gradient[0, :steps].norm(dim=1).unsqueeze(0))[0]
    strength = strength / strength.max().clamp(min=torch.finfo(strength.dtype).tiny)
    return {
        "example": example,
        "steps": steps,
        "hidden": _rounded(_parts(_most_moving(outputs[0, :steps]))),
        "gradient": _rounded(strength),
    }


def _look(model: SequenceModel, batch: Batch, task: Task) -> tuple[Tensor, Tensor]:
    """The backbone's outputs and the gradient of its inputs, (1, time, size) each."""
    seen: list[Tensor] = []

    def watch_inputs(_module: object, _inputs: object, x: Tensor) -> Tensor:
        seen.append(x.detach().requires_grad_())
        return seen[0]

    handles = [
        model.embed.register_forward_hook(watch_inputs),
        model.head.register_forward_pre_hook(lambda _module, taken: seen.append(taken[0].detach())),
    ]
    try:
        outputs, _ = read(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    (gradient,) = torch.autograd.grad(task.total_loss(outputs, batch), seen[0])
    return seen[1], gradient


def _most_moving(outputs: Tensor) -> Tensor:
    """(units, time) of (time, size): those with the largest deviation, ordered by similarity.

    The order is that of the projection on the direction in which units differ most.
    """
    chosen = outputs.std(0, correction=0).argsort(descending=True)[:MOST_UNITS].sort().values
    units = outputs[:, chosen].T
    centred = units - units.mean(1, keepdim=True)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return units[(centred @ directions[0]).argsort()]


def _parts(rows: Tensor) -> Tensor:
    """(rows, parts): means over equal parts of (rows, time)."""
    time = rows.shape[1]
    return torch.nn.functional.adaptive_avg_pool1d(rows.unsqueeze(0), min(time, MOST_COLUMNS))[0]


def _rounded(values: Tensor) -> list[Any]:
    scale = 10**DECIMALS
    rounded: list[Any] = ((values.double() * scale).round() / scale).tolist()
    return rounded
