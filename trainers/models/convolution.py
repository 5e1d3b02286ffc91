"""Dilated convolutions over time, causal or looking ahead."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Choice, SearchSpace
from trainers.backbone import State
from trainers.models.convolution_kernel import dilated_convolution
from trainers.models.layers import zero_padding
from trainers.models.residual import Mixer, check_at_least_one


class DilatedConv(nn.Module):
    """A convolution over time that keeps the length: zeros stand before and after the sequence.

    Args:
        lookahead: How many of the `(kernel_size - 1) * dilation` steps that it sees besides the
            present one lie in the future; 0 is causal.
        weight_norm: Learn length and direction of each filter apart.

    Attributes:
        of_members: It is called for several members of an array at once, by `torch.func.vmap`.

    Reference:
        Salimans and Kingma, "Weight normalization", arXiv 1602.07868.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        kernel_size: int,
        dilation: int,
        lookahead: int,
        weight_norm: bool,
    ) -> None:
        super().__init__()
        self.of_members = False
        self.dilation = dilation
        self.lookahead = lookahead
        self.past = (kernel_size - 1) * dilation - lookahead
        self.weight = nn.Parameter(torch.empty(output_size, input_size, kernel_size))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Conv1d
        bound = 1 / math.sqrt(input_size * kernel_size)
        self.bias = nn.Parameter(torch.empty(output_size).uniform_(-bound, bound))
        self.gain = nn.Parameter(_length(self.weight).detach()) if weight_norm else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, time, input_size) -> (batch, time, output_size); padding is read as zeros."""
        if self.lookahead:
            x = zero_padding(x, mask)
        return self._convolve(x, self.past, self.lookahead)

    def initial_past(self, batch_size: int) -> Tensor:
        """The steps before the first one, as far back as the kernel reaches: zeros."""
        return self.weight.new_zeros(batch_size, self.past, self.weight.shape[1])

    def advance(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next chunk (batch, time, input_size) after `past`, and what is past after it."""
        seen = torch.cat((past, x), dim=1)
        return self._convolve(seen, 0, 0), seen[:, seen.shape[1] - self.past :]

    def _convolve(self, x: Tensor, before: int, after: int) -> Tensor:
        """With so many zeros before the first step and after the last one."""
        weight: Tensor = self.weight
        if self.gain is not None:
            weight = self.gain * weight / _length(weight)
        if self.of_members:  # torch has a rule of its own to map `conv1d`, which cannot be replaced
            x, weight, bias = x.transpose(0, 1), weight.permute(2, 1, 0), self.bias
            parts = (each.unsqueeze(0) for each in (x, weight, bias))
            y: Tensor = dilated_convolution(*parts, self.dilation, before, after)
            return y.squeeze(0).transpose(0, 1)
        x = F.pad(x, (0, 0, before, after)).transpose(1, 2)
        return F.conv1d(x, weight, self.bias, dilation=self.dilation).transpose(1, 2)


def _length(weight: Tensor) -> Tensor:
    """The norm of each filter of (output, input, kernel), as (output, 1, 1)."""
    return weight.square().sum(dim=(1, 2), keepdim=True).sqrt()


class Convolution(Mixer):
    """A dilated convolution, a GELU and a linear map of each step; centred if not causal."""

    def __init__(self, hidden_size: int, *, causal: bool, kernel_size: int, dilation: int) -> None:
        super().__init__()
        check_at_least_one(kernel_size=kernel_size, dilation=dilation)
        reach = (kernel_size - 1) * dilation
        self.conv = DilatedConv(
            hidden_size,
            hidden_size,
            kernel_size=kernel_size,
            dilation=dilation,
            lookahead=0 if causal else reach // 2,
            weight_norm=False,
        )
        self.output = nn.Linear(hidden_size, hidden_size)

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Mixer.space`."""
        return SearchSpace(
            {
                "kernel_size": Choice((3, 5, 7, 9), default=5),
                "dilation": Choice((1, 2, 4, 8, 16)),
            }
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Mixer.forward`."""
        y: Tensor = self.output(F.gelu(self.conv(x, mask)))
        return y

    def initial_state(self, batch_size: int) -> State:
        """See `Mixer.initial_state`."""
        return {"past": self.conv.initial_past(batch_size)}

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Mixer.advance`."""
        y, past = self.conv.advance(x, state["past"])
        return self.output(F.gelu(y)), {"past": past}
