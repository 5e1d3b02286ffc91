"""Several models of one shape called as one: one after another for the price of one batch."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from trainers.model import SequenceModel
from trainers.models.convolution import DilatedConv
from trainers.models.layers import Dropout
from trainers.randomness import key
from trainers.training.weights import Weights

Own = dict[str, Tensor]
"""Tensors of which every member has its own: (members, ...) outside of `One`, (...) inside."""
One = Callable[[SequenceModel, Own], Any]
"""What is done with one model: gives tensors, in tuples and dictionaries."""


class Members:
    """Models of one shape, each with weights of its own, that are called as one.

    A single one is called as it is, through torch's fused kernels; several through
    `torch.func.vmap`, so that a matrix product of each becomes one batched product of all.

    The weights of the models, and all else that they hold, become rows of what is shared here, so
    that every model can still be used by itself.

    Args:
        weights: Of every model; a single one that is not trained needs none.

    Attributes:
        vectors: (members, P), all weights.

    Reference:
        Wang et al., "Horizontally fused training array", MLSys 2021, for the idea.
    """

    vectors: Tensor

    def __init__(self, models: Sequence[SequenceModel], weights: Sequence[Weights] = ()) -> None:
        self.models = list(models)
        self._caller: _Caller | None = None
        self._leaves: dict[str, Tensor] = {}
        self._held: dict[str, Tensor] = {}
        if weights:
            self._layout = weights[0]
            self.vectors = stacked([each.vector for each in weights])
            self._leaves = dict(zip(weights[0].shapes, weights[0].parameters, strict=True))
        if len(models) > 1:
            for each, row in zip(weights, self.vectors, strict=True):
                each.move_to(row)
            parts = weights[0].parts(self.vectors)
            self._leaves = {
                name: part.detach().requires_grad_()
                for name, part in zip(self._leaves, parts, strict=True)
            }
            self._held = _held_together(models, self._leaves)
            self._caller = _Caller(models)
        self._keys = {place: self._key_of(place) for place in sorted(_places(models))}

    def __len__(self) -> int:
        return len(self.models)

    def part(self, rows: slice) -> "Members":
        """Some of the members."""
        part = copy.copy(self)
        part.models, part.vectors = self.models[rows], self.vectors[rows]
        part._leaves = {
            name: leaf[rows].detach().requires_grad_() for name, leaf in self._leaves.items()
        }
        part._held = {name: held[rows] for name, held in self._held.items()}
        part._keys = {place: keys[rows] for place, keys in self._keys.items()}
        return part

    def _key_of(self, place: str) -> Tensor:
        """(members,): the keys of the dropout at a place, which the models look at."""
        if len(self) > 1:
            return self._held[f"{place}.key"]
        return self.models[0].get_submodule(place).get_buffer("key").view(1)

    def train(self, training: bool = True) -> None:
        """Put all models into the mode of training, or of evaluation."""
        for model in self.models:
            model.train(training)
        if self._caller is not None:
            self._caller.train(training)

    def set_dropout_step(self, seeds: Sequence[int], steps: Sequence[int]) -> None:
        """See `trainers.models.layers.set_dropout_step`; a seed and a step of each member."""
        for place, keys in self._keys.items():
            drawn = [
                key(seed, "dropout", step, place) for seed, step in zip(seeds, steps, strict=True)
            ]
            keys.copy_(torch.tensor(drawn))

    def run(self, one: One, own: Own) -> Any:
        """Do `one` with every member; all that it gives has an axis of members in front."""
        caller = self._caller
        if caller is None:
            return _with_axis(one(self.models[0], {name: each[0] for name, each in own.items()}))

        def member(leaves: Own, held: Own, own: Own) -> Any:
            return functional_call(caller, leaves | held, (one, own))

        return vmap(member)(_named(self._leaves), _named(self._held), own)

    def gradient(self, losses: Tensor) -> Tensor:
        """(members, P): of each member's loss (members,), 0 where it does not depend on a weight.

        Their sum is what is differentiated, since no member's loss depends on another's weights.
        """
        leaves = list(self._leaves.values())
        found = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
        return self._layout.laid_out(found)


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """(members, ...) of the rows; of a single one, the row itself seen so."""
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(list(rows))


class _Caller(nn.Module):
    """A model without weights: calls what it is told with the ones that it is given."""

    def __init__(self, models: Sequence[SequenceModel]) -> None:
        super().__init__()
        self.model = copy.deepcopy(models[0]).to("meta")
        active = _places(models)
        for place, module in self.model.named_modules():
            if isinstance(module, Dropout):
                module.active = place in active
            elif isinstance(module, DilatedConv):
                module.of_members = True

    def forward(self, one: One, own: Own) -> Any:
        """See `Members.run`."""
        return one(self.model, own)


def _named(tensors: Mapping[str, Tensor]) -> Own:
    """By the names that they have in `_Caller`."""
    return {f"model.{name}": tensor for name, tensor in tensors.items()}


def _held_together(models: Sequence[SequenceModel], leaves: Mapping[str, Tensor]) -> Own:
    """What models hold beside their weights, (members, ...) each, of which theirs become rows."""
    held = {}
    for name, _ in models[0].named_buffers():
        held[name] = torch.stack([model.get_buffer(name) for model in models])
        owner, _, last = name.rpartition(".")
        for model, row in zip(models, held[name], strict=True):
            model.get_submodule(owner)._buffers[last] = row
    for name, _ in models[0].named_parameters():
        if name not in leaves:  # it is not trained
            held[name] = torch.stack([model.get_parameter(name).detach() for model in models])
    return held


def _places(models: Sequence[nn.Module]) -> set[str]:
    """Where any of them drops something."""
    return {
        place
        for model in models
        for place, module in model.named_modules()
        if isinstance(module, Dropout) and module.active
    }


def _with_axis(found: Any) -> Any:
    """Every tensor of what one member gave, with an axis of members."""
    if isinstance(found, Tensor):
        return found.unsqueeze(0)
    if isinstance(found, dict):
        return {name: _with_axis(each) for name, each in found.items()}
    return tuple(_with_axis(each) for each in found)
