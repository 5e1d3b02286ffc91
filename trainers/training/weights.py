"""The weights of a model in one vector, and its gradient in another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

Snapshot = dict[str, Tensor]
"""Copies of all that a model has learned: the vector, and other state by its name."""

ALIGNMENT: Final = 16
"""Every parameter starts at a multiple of so many elements: complex views need even places, and
vector loads 64 bytes."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The part of the vector that belongs to one module."""

    name: str
    start: int
    stop: int


class Weights:
    """The trainable parameters of a model as views of one vector.

    Attributes:
        vector: (P,), the parameters one after another with some zeros between them.
        parameters: The model's own, which are views of the vector.
        shapes: Shape of every parameter by name, in the vector's order.
        layers: Which part of the vector belongs to which module.
        count: Number of trainable parameters.

    Raises:
        ValueError: The model has no trainable parameter, or parameters of different types.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        dtypes = {p.dtype for _, p in named}
        if len(dtypes) != 1 or dtypes.pop().is_complex:
            kinds = sorted(str(p.dtype) for _, p in named)
            raise ValueError(f"trainable parameters must be real and of one type, got {kinds}")
        self.parameters = [parameter for _, parameter in named]
        self.shapes = {name: list(parameter.shape) for name, parameter in named}
        self.count = sum(parameter.numel() for parameter in self.parameters)
        self._starts = [0]
        for parameter in self.parameters:
            self._starts.append(self._starts[-1] + -(-parameter.numel() // ALIGNMENT) * ALIGNMENT)
        self.layers = _layers([name for name, _ in named], self._starts)
        self.vector = self.parameters[0].new_zeros(self._starts[-1]).detach()
        for part, parameter in zip(self.parts(self.vector), self.parameters, strict=True):
            part.copy_(parameter.detach())
            parameter.data = part

    def move_to(self, vector: Tensor) -> None:
        """Go on in another vector, such as a row of those of several models."""
        vector.copy_(self.vector)
        self.vector = vector
        for part, parameter in zip(self.parts(vector), self.parameters, strict=True):
            parameter.data = part

    def parts(self, vector: Tensor) -> list[Tensor]:
        """The parameters (..., *shape) as views of a vector (..., P), in its order."""
        return [
            vector[..., start : start + math.prod(shape)].view(*vector.shape[:-1], *shape)
            for start, shape in zip(self._starts[:-1], self.shapes.values(), strict=True)
        ]

    def laid_out(self, parts: Sequence[Tensor]) -> Tensor:
        """(members, P): what there is for every parameter, laid out as the vector is.

        Args:
            parts: (members, *shape) each; of a single member also just the shape.
        """
        pieces: list[Tensor] = []
        for part, shape, (start, stop) in zip(
            parts, self.shapes.values(), pairwise(self._starts), strict=True
        ):
            size = math.prod(shape)
            pieces.append(part.reshape(-1, size))
            if stop - start > size:
                pieces.append(part.new_zeros(len(pieces[-1]), stop - start - size))
        return torch.cat(pieces, dim=1)

    def snapshot(self) -> Snapshot:
        """Copies of the vector and of the model's other state, such as running averages."""
        others = {f"state/{name}": tensor.clone() for name, tensor in self._others().items()}
        return {"vector": self.vector.clone(), **others}

    def load(self, snapshot: Snapshot) -> None:
        """Put a snapshot of the same model back.

        Raises:
            ValueError: It is of another model.
        """
        mine = {"vector": self.vector}
        mine |= {f"state/{name}": tensor for name, tensor in self._others().items()}
        for name in mine.keys() | snapshot.keys():
            if name not in mine or name not in snapshot or mine[name].shape != snapshot[name].shape:
                raise ValueError(f"weights must be of this model, got others: {name} differs")
        for name, tensor in mine.items():
            tensor.copy_(snapshot[name])

    def layer_norms(self, vector: Tensor) -> Tensor:
        """(..., layers): the norms of the parts of a vector (..., P) laid out as this one."""
        parts = [vector[..., layer.start : layer.stop] for layer in self.layers]
        return torch.stack([torch.linalg.vector_norm(part, dim=-1) for part in parts], dim=-1)

    def _others(self) -> dict[str, Tensor]:
        mine = {id(parameter) for parameter in self.parameters}
        state = self._model.state_dict(keep_vars=True)
        return {name: tensor.detach() for name, tensor in state.items() if id(tensor) not in mine}


def _layers(names: list[str], starts: list[int]) -> list[Layer]:
    """Neighbours in the vector that belong to one module."""
    layers: list[Layer] = []
    for name, (start, stop) in zip(names, pairwise(starts), strict=True):
        module = name.rpartition(".")[0].partition(".parametrizations")[0]
        if layers and layers[-1].name == module:
            layers[-1] = Layer(module, layers[-1].start, stop)
        else:
            layers.append(Layer(module, start, stop))
    return layers
