"""Temporal convolutional network: residual blocks of dilated convolutions, causal or centred."""

from functools import partial
from typing import ClassVar, cast

from torch import Tensor, nn
from torch.nn import functional as F

from spaces import Choice, Float, Int, Node, SearchSpace
from trainers.backbone import Backbone, State
from trainers.models.convolution import DilatedConv
from trainers.models.layers import Dropout, zero_padding
from trainers.models.residual import check_at_least_one
from trainers.models.streaming import advance_through, initial_states


class TemporalBlock(nn.Module):
    """relu(x + y), where y is x after two dilated convolutions, each with relu and dropout.

    Where the widths differ, x goes through a linear map of each step. Centred, the convolutions
    share out their steps so that the block sees as far ahead as back.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        kernel_size: int,
        dilation: int,
        centred: bool,
        dropout: float,
        weight_norm: bool,
    ) -> None:
        super().__init__()
        reach = (kernel_size - 1) * dilation
        ahead = (reach // 2, reach - reach // 2) if centred else (0, 0)
        conv = partial(
            DilatedConv, kernel_size=kernel_size, dilation=dilation, weight_norm=weight_norm
        )
        self.conv1 = conv(input_size, hidden_size, lookahead=ahead[0])
        self.conv2 = conv(hidden_size, hidden_size, lookahead=ahead[1])
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        same = input_size == hidden_size
        self.shortcut = nn.Identity() if same else nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, time, input_size) -> (batch, time, hidden_size)."""
        y = self.dropout1(F.relu(self.conv1(x, mask)))
        y = self.dropout2(F.relu(self.conv2(y, mask)))
        return F.relu(y + self.shortcut(x))

    def initial_state(self, batch_size: int) -> State:
        """What each convolution still reaches."""
        return {
            "past1": self.conv1.initial_past(batch_size),
            "past2": self.conv2.initial_past(batch_size),
        }

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The next chunk (batch, time, input_size), and the state after it."""
        y, past1 = self.conv1.advance(x, state["past1"])
        y, past2 = self.conv2.advance(self.dropout1(F.relu(y)), state["past2"])
        y = F.relu(self.dropout2(F.relu(y)) + self.shortcut(x))
        return y, {"past1": past1, "past2": past2}


class TCN(Backbone):
    """Blocks whose dilation doubles from level to level, so that the reach grows exponentially.

    Dropout falls on single elements, as in the authors' code; their paper drops whole channels.
    Filters start as in `nn.Conv1d`.

    Args:
        num_layers: Levels, each of two convolutions.
        kernel_size: Taps of each convolution. It may be longer than a sequence: what lies beyond
            the ends counts as 0, so that taps which only meet that neither change nor learn.
        centred: See as far ahead as back; only where the task is not causal.

    Attributes:
        receptive_field: Number of input steps that one output step depends on.

    Reference:
        Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent
        networks for sequence modeling", arXiv 1803.01271, section 3.
    """

    reference: ClassVar[str] = (
        "Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent "
        "networks for sequence modeling, arXiv 1803.01271"
    )

    def __init__(
        self,
        input_size: int,
        *,
        causal: bool,
        hidden_size: int,
        num_layers: int,
        kernel_size: int,
        dropout: float,
        weight_norm: bool,
        centred: bool = False,
    ) -> None:
        super().__init__()
        check_at_least_one(hidden_size=hidden_size, num_layers=num_layers, kernel_size=kernel_size)
        if causal and centred:
            raise ValueError("a causal model cannot be `centred`, got centred=True; leave it out")
        self.output_size = hidden_size
        self.centred = centred
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2**num_layers - 1)
        self.blocks = nn.ModuleList(
            TemporalBlock(
                hidden_size if level else input_size,
                hidden_size,
                kernel_size=kernel_size,
                dilation=2**level,
                centred=centred,
                dropout=dropout,
                weight_norm=weight_norm,
            )
            for level in range(num_layers)
        )

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        """See `Backbone.space`; it holds the settings of the paper's experiments up to PTB."""
        children: dict[str, Node] = {
            "hidden_size": Int(8, 256, log=True, default=64),
            "num_layers": Int(1, 8, default=4),
            "kernel_size": Int(2, 9, default=5),
            "dropout": Float(0.0, 0.5, default=0.1),
            "weight_norm": Choice((True, False)),
        }
        if not causal:
            children["centred"] = Choice((True, False))
        return SearchSpace(children)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        y = zero_padding(x, mask)
        for block in self.blocks:
            y = block(y, mask)
        return zero_padding(y, mask)

    def summary(self, y: Tensor, mask: Tensor) -> Tensor:
        """The last real step, which saw the most; centred, the mean of all real steps."""
        if not self.centred:
            return super().summary(y, mask)
        return y.sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def initial_state(self, batch_size: int) -> State:
        """See `Backbone.initial_state`."""
        if self.centred:
            return super().initial_state(batch_size)
        return initial_states(self._parts(), batch_size)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Backbone.advance`."""
        if self.centred:
            return super().advance(x, state)
        return advance_through(self._parts(), x, state)

    def _parts(self) -> list[TemporalBlock]:
        return cast(list[TemporalBlock], list(self.blocks))
