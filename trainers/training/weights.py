"""The weights of a model in one vector, and its gradient in another."""

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
        self._parameters = [parameter for _, parameter in named]
        self.shapes = {name: list(parameter.shape) for name, parameter in named}
        self.count = sum(parameter.numel() for parameter in self._parameters)
        starts = [0]
        for parameter in self._parameters:
            starts.append(starts[-1] + -(-parameter.numel() // ALIGNMENT) * ALIGNMENT)
        self.layers = _layers([name for name, _ in named], starts)
        self.vector = self._parameters[0].new_zeros(starts[-1]).detach()
        self._gaps: list[Tensor] = []
        for parameter, (start, stop) in zip(self._parameters, pairwise(starts), strict=True):
            end = start + parameter.numel()
            self.vector[start:end] = parameter.detach().flatten()
            parameter.data = self.vector[start:end].view(parameter.shape)
            self._gaps.append(self.vector.new_zeros(stop - end))

    def gradient(self, loss: Tensor) -> Tensor:
        """(P,): the gradient of `loss`, 0 for parameters that it does not depend on."""
        gradients = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        pieces: list[Tensor] = []
        for gradient, gap in zip(gradients, self._gaps, strict=True):
            pieces.append(gradient.reshape(-1))
            if len(gap):
                pieces.append(gap)
        return torch.cat(pieces)

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
        """(layers,): the norms of the parts of a vector laid out as this one."""
        return torch.stack([vector[part.start : part.stop].norm() for part in self.layers])

    def _others(self) -> dict[str, Tensor]:
        mine = {id(parameter) for parameter in self._parameters}
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
