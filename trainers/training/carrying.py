"""State carried from one window of a stream to the next, where the model has one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from trainers.backbone import State, can_stream
from trainers.data.batch import Batch
from trainers.model import SequenceModel

CARRIED: Final = "carried/"


def going_on(model: SequenceModel, batch: Batch, carried: State) -> Batch:
    """The batch with the state that each of its rows begins with.

    A row of a stream goes on from `carried`, the state after the row of the same place in the batch
    before, or begins afresh. A batch of no streams is given back as it is, and so is any batch of a
    model that has no state: it reads every window by itself.
    """
    if batch.continues is None or not can_stream(type(model.backbone)):
        return batch
    fresh = model.initial_state(len(batch))
    if not bool(batch.continues.any()):
        return replace(batch, state=fresh)
    goes_on = batch.continues.to(batch.mask.device)

    def begin(name: str, value: Tensor) -> Tensor:
        rows = goes_on.view(-1, *[1] * (value.ndim - 1))
        return torch.where(rows, carried[name][: len(batch)].to(value.dtype), value)

    return replace(batch, state={name: begin(name, value) for name, value in fresh.items()})


def read(model: SequenceModel, batch: Batch) -> tuple[Tensor, State]:
    """The model's outputs, and the state after the batch; empty where it begins with none.

    Only a stream's last window may have padding, and nothing goes on from there.
    """
    if batch.state is None:
        return model(batch.inputs, batch.mask, batch.targets), {}
    return model.advance(batch.inputs, batch.state)


def joined(parts: Sequence[State], dim: int = 0) -> State:
    """The state after a batch from those after its parts; no gradient flows back through it.

    Args:
        dim: Along which examples lie.
    """
    if len(parts) == 1:
        return {name: value.detach() for name, value in parts[0].items()}
    return {name: torch.cat([part[name].detach() for part in parts], dim) for name in parts[0]}


def packed(state: State) -> State:
    """A state among other tensors: by names that are nothing else's."""
    return {f"{CARRIED}{name}": value for name, value in state.items()}


def unpacked(tensors: State) -> State:
    """The state that was `packed` among `tensors`."""
    return {
        name.removeprefix(CARRIED): value
        for name, value in tensors.items()
        if name.startswith(CARRIED)
    }
