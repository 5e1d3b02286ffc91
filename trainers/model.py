"""The model of a trial: embed -> backbone -> head."""

import torch
from torch import Tensor, nn

from spaces import Config
from trainers.backbone import Backbone, State
from trainers.heads import Decoding, TiedPerStep
from trainers.randomness import key, torch_randomness
from trainers.tasks import Task

__all__ = ["Backbone", "SequenceModel", "State", "build_model", "check_inputs"]


class SequenceModel(nn.Module):
    """A backbone between what its task brings: an embedding of tokens, and a head.

    Args:
        embed: Tokens (batch, time) to (batch, time, size); the identity for features.
        head: `forward(y, mask, summary)`, see `Task.head`.
        head_reads_inputs: The head's `forward` takes the inputs, too.
        head_reads_targets: And the targets.
    """

    def __init__(
        self,
        embed: nn.Module,
        backbone: Backbone,
        head: nn.Module,
        *,
        head_reads_inputs: bool = False,
        head_reads_targets: bool = False,
    ) -> None:
        super().__init__()
        self.embed = embed
        self.backbone = backbone
        self.head = head
        self.head_reads_inputs = head_reads_inputs
        self.head_reads_targets = head_reads_targets

    def forward(self, inputs: Tensor, mask: Tensor, targets: Tensor | None = None) -> Tensor:
        """What the task asks for, from inputs (batch, time, size) or tokens (batch, time).

        Args:
            targets: (batch, steps) what a decoder is told of the steps before each; see `decode`.

        Raises:
            ValueError: There are none, and the model is a decoder.
        """
        y, summary = self._encode(inputs, mask)
        return self._ask_head(y, mask, summary, inputs, targets)

    @torch.no_grad()
    def decode(self, inputs: Tensor, mask: Tensor, *, beam_width: int = 1) -> list[list[int]]:
        """The labels of every sequence, where their number is not that of the steps.

        Args:
            beam_width: How many hypotheses are kept; with 1, the most probable at every step.

        Raises:
            ValueError: What this model says need not be decoded, or the beam holds nothing.
        """
        if not isinstance(self.head, Decoding):
            raise ValueError("only a model for sequences of their own length decodes; call it")
        if beam_width < 1:
            raise ValueError(f"`beam_width` must be at least 1, got {beam_width}")
        y, summary = self._encode(inputs, mask)
        return self.head.decode(y, mask, summary, beam_width)

    def initial_state(self, batch_size: int) -> State:
        """See `Backbone.initial_state`."""
        return self.backbone.initial_state(batch_size)

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs of one more chunk (all of it real), and the state after it."""
        y, state = self.backbone.advance(self.embed(inputs), state)
        mask = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
        return self._ask_head(y, mask, y[:, -1], inputs), state

    def _encode(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        y: Tensor = self.backbone(self.embed(inputs), mask)
        return y, self.backbone.summary(y, mask)

    def _ask_head(
        self,
        y: Tensor,
        mask: Tensor,
        summary: Tensor,
        inputs: Tensor,
        targets: Tensor | None = None,
    ) -> Tensor:
        more = [inputs] if self.head_reads_inputs else []
        if isinstance(self.head, TiedPerStep):
            assert isinstance(self.embed, nn.Embedding)
            more = [self.embed.weight]
        if self.head_reads_targets:
            if targets is None:
                raise ValueError("a decoder must be given targets; without any, use `decode`")
            more.append(targets)
        outputs: Tensor = self.head(y, mask, summary, *more)
        return outputs


def build_model(family: type[Backbone], config: Config, task: Task, *, seed: int) -> SequenceModel:
    """The untrained model of a configuration, on the CPU.

    The same seed gives the same weights, whatever ran before; torch's global generator is left as
    it was.

    Args:
        config: The whole tree, with `model` and `head`.
    """
    settings = {name: value for name, value in config["model"].items() if name != "name"}
    with torch_randomness(key(seed, "weights")):
        embed, size = _embedding(task, config["head"])
        backbone = family(size, causal=task.causal, **settings)
        head = task.head(backbone.output_size, config["head"])
        return SequenceModel(
            embed,
            backbone,
            head,
            head_reads_inputs=task.head_reads_inputs,
            head_reads_targets=task.head_reads_targets,
        )


def _embedding(task: Task, settings: Config) -> tuple[nn.Module, int]:
    if task.vocabulary is None:
        return nn.Identity(), task.input_size
    table = task.embedding(settings)
    return table, table.embedding_dim


def check_inputs(x: Tensor, mask: Tensor) -> None:
    """Refuse data that no model can take; for where batches are made, never inside a model.

    Args:
        x: (batch, time, size) features or (batch, time) tokens.
        mask: (batch, time) bool, True where real.

    Raises:
        ValueError: Nothing there, a sequence without a real step, padding before a real step, or a
            real value that is not finite.
    """
    if x.shape[:2] != mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"a mask must be bool and of the shape (batch, time) of its inputs, "
            f"got {mask.dtype} {tuple(mask.shape)} for inputs {tuple(x.shape)}"
        )
    if 0 in mask.shape:
        raise ValueError(
            f"a batch must hold at least one sequence and one step, got {tuple(x.shape)}"
        )
    empty = int((~mask.any(1)).sum())
    if empty:
        raise ValueError(f"every sequence must have a real step, got {empty} of only padding")
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError("padding must come after the real steps, got a mask with padding before")
    if x.is_floating_point() and not bool(torch.isfinite(x[mask]).all()):
        raise ValueError("inputs must be finite, got NaN or infinity; clean or drop them first")
