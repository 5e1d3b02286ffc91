"""Dilated convolutions of all members of an array at once, with the backward pass written out.

torch would make one grouped convolution of them. A product of all members for each tap of the
kernel is quicker, on steps that lie one behind the other: what a tap reads is a view, and what
lies beyond the ends of a sequence is not computed.

In shapes, M stands for members, T for time, B for batch, C and D for channels, K for taps.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op


@custom_op("seqtune::dilated_convolution", mutates_args=())
def dilated_convolution(
    x: Tensor, weight: Tensor, bias: Tensor, dilation: int, before: int, after: int
) -> Tensor:
    """A convolution over time, of each member with weights of its own.

    Args:
        x: (M, T, B, C).
        weight: (M, K, C, D).
        bias: (M, D).
        before: Zeros that stand before the first step.
        after: Zeros that stand after the last one.

    Returns:
        (M, T + before + after - (K - 1) * dilation, B, D).
    """
    members, time, batch, _ = x.shape
    steps = time + before + after - (weight.shape[1] - 1) * dilation
    y = bias[:, None, None].expand(members, steps, batch, -1).contiguous()
    for tap, written, read in _taps(weight, time, steps, dilation, before):
        y[:, written].flatten(1, 2).baddbmm_(x[:, read].flatten(1, 2), weight[:, tap])
    return y


def _backward(ctx: Any, of_y: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    of_y = of_y.contiguous()
    of_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
    of_weight = torch.zeros_like(weight)
    for tap, written, read in _taps(weight, x.shape[1], of_y.shape[1], ctx.dilation, ctx.before):
        of_product = of_y[:, written].flatten(1, 2)
        of_weight[:, tap] = x[:, read].flatten(1, 2).mT @ of_product
        if of_x is not None:
            of_x[:, read].flatten(1, 2).baddbmm_(of_product, weight[:, tap].mT)
    return of_x, of_weight, of_y.sum((1, 2)), None, None, None


def _taps(
    weight: Tensor, time: int, steps: int, dilation: int, before: int
) -> Iterator[tuple[int, slice, slice]]:
    """Each tap that meets the sequence, the steps that it writes to, and those that it reads."""
    for tap in range(weight.shape[1]):
        ahead = tap * dilation - before
        first, stop = max(0, -ahead), min(steps, time - ahead)
        if first < stop:
            yield tap, slice(first, stop), slice(first + ahead, stop + ahead)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - torch passes it by this name
    x, weight, _, ctx.dilation, ctx.before, _ = inputs
    ctx.save_for_backward(x, weight)


def _fold(info: Any, dims: Any, *inputs: Any) -> tuple[Tensor, int]:
    """The rule of `torch.func.vmap`: what is mapped over are more members."""
    size = info.batch_size

    def folded(tensor: Tensor, place: int | None) -> Tensor:
        if place is None:
            return tensor.expand(size, *tensor.shape).flatten(0, 1)
        return tensor.movedim(place, 0).flatten(0, 1)

    tensors = [folded(*each) for each in zip(inputs[:3], dims[:3], strict=True)]
    tensors[0] = tensors[0].contiguous()
    y = dilated_convolution(*tensors, *inputs[3:])
    return y.unflatten(0, (size, -1)), 0


dilated_convolution.register_autograd(_backward, setup_context=_keep)
dilated_convolution.register_vmap(_fold)
for device in ("cpu", "cuda"):  # as torch's own convolutions
    dilated_convolution.register_autocast(device, torch.bfloat16)
