"""Sequences drawn from a model of what comes next: texts, or music."""

import torch
from torch import Tensor, nn

from trainers.model import SequenceModel
from trainers.randomness import generator, key


@torch.no_grad()
def generate(
    model: SequenceModel, prompt: Tensor, steps: int, temperature: float = 1.0, seed: int = 0
) -> Tensor:
    """What a model goes on with after a prompt, step by step, each read as the next input.

    Tokens are drawn one for each step; of frames, every label is on or off by itself. A sequence of
    any length takes time in proportion to it, for the model's state has a fixed size.

    Args:
        model: Of `language_modelling`, or of `multilabel_frames` whose labels are its inputs.
        prompt: (batch, time) tokens or (batch, time, labels) frames of 0 and 1; at least one step.
        steps: How many follow.
        temperature: What the odds are sharpened by: 1 draws as the model foretells, less draws the
            likely more often, and 0 always takes the likeliest.
        seed: The same one draws the same.

    Returns:
        (batch, steps) tokens or (batch, steps, labels) frames, without the prompt.

    Raises:
        ValueError: The model does not stream or foretells something else than its inputs, the
            prompt does not fit it, or a number is out of range.
    """
    if steps < 1 or not temperature >= 0:
        raise ValueError(
            f"`steps` must be at least 1 and `temperature` at least 0, "
            f"got {steps} and {temperature}"
        )
    _check_prompt(model, prompt)
    was_training = model.training
    model.eval()
    try:
        outputs, state = model.advance(prompt, model.initial_state(len(prompt)))
        _check_outputs(model, prompt, outputs)
        drawn = [_draw(outputs[:, -1], prompt, temperature, key(seed, "generate", 0))]
        for step in range(1, steps):
            outputs, state = model.advance(drawn[-1].unsqueeze(1), state)
            drawn.append(_draw(outputs[:, 0], prompt, temperature, key(seed, "generate", step)))
    finally:
        model.train(was_training)
    return torch.stack(drawn, dim=1)


def _draw(logits: Tensor, prompt: Tensor, temperature: float, seed_key: int) -> Tensor:
    """The next token, (batch,), or frame, (batch, labels), from logits (batch, size).

    The largest of logits with Gumbel noise is a draw from them, and a logit with the difference of
    two such noises, which is logistic, is above 0 as often as its label is on.

    Reference:
        Maddison et al., "A* sampling", NeurIPS 2014, section 2.
    """
    uniform = torch.rand(logits.shape, generator=generator(seed_key), dtype=torch.float64)
    uniform = uniform.clamp(1e-300, 1 - 1e-16).to(logits.device)
    if prompt.is_floating_point():
        return (logits + temperature * torch.logit(uniform) > 0).to(prompt.dtype)
    return (logits - temperature * torch.log(-torch.log(uniform))).argmax(dim=1)


def _check_prompt(model: SequenceModel, prompt: Tensor) -> None:
    tokens = isinstance(model.embed, nn.Embedding)
    form = "(batch, time) whole numbers" if tokens else "(batch, time, labels) numbers"
    if tokens == prompt.is_floating_point() or prompt.ndim != (2 if tokens else 3):
        raise ValueError(f"a prompt must be {form}, got {prompt.dtype} {tuple(prompt.shape)}")
    if 0 in prompt.shape:
        raise ValueError(f"a prompt must have at least one step, got {tuple(prompt.shape)}")
    if isinstance(model.embed, nn.Embedding):
        known, highest = model.embed.num_embeddings, int(prompt.max())
        if highest >= known or int(prompt.min()) < 0:
            raise ValueError(
                f"tokens of a prompt must be from 0 to {known - 1}, "
                f"got {int(prompt.min())} to {highest}"
            )


def _check_outputs(model: SequenceModel, prompt: Tensor, outputs: Tensor) -> None:
    size = prompt.shape[2] if prompt.ndim == 3 else getattr(model.embed, "num_embeddings", 0)
    if outputs.shape != (*prompt.shape[:2], size):
        raise ValueError(
            f"a model must foretell the next of its own inputs at every step, "
            f"{(*prompt.shape[:2], size)}, got outputs {tuple(outputs.shape)}"
        )
