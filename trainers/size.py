"""What an untrained model costs: its parameters, and what a step of a stream takes."""

from statistics import median
from time import perf_counter
from typing import Final

import torch
from torch import Tensor

from spaces import Config
from trainers.backbone import Backbone
from trainers.model import SequenceModel, build_model
from trainers.spelling import FEATURES
from trainers.tasks import Task

WARM_UP: Final = 3
STEPS: Final = 15


def count_parameters(family: type[Backbone], config: Config, task: Task) -> int:
    """The trainable parameters of a whole model, embedding and head included.

    Args:
        config: The whole tree, with `model` and `head`.

    Raises:
        ValueError: There is no such model: its settings do not fit one another.
    """
    weights = _weightless(family, config, task).parameters()
    return sum(weight.numel() for weight in weights if weight.requires_grad)


def state_bytes(family: type[Backbone], config: Config, task: Task) -> int:
    """What a stream carries from step to step, for one sequence.

    Raises:
        ValueError: The model does not stream.
    """
    state = _weightless(family, config, task).initial_state(1)
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def latency_ms(family: type[Backbone], config: Config, task: Task) -> float:
    """Milliseconds of a stream's step: one sequence, one core of this machine, the median of some.

    Raises:
        ValueError: The model does not stream.
    """
    _weightless(family, config, task).initial_state(1)  # says in no time if it does not stream
    model = build_model(family, config, task, seed=0).eval()
    step = _step(task)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken = []
    try:
        with torch.inference_mode():
            state = model.initial_state(1)
            for _ in range(WARM_UP + STEPS):
                start = perf_counter()
                _, state = model.advance(step, state)
                taken.append(perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1000 * median(taken[WARM_UP:])


def streaming_costs(family: type[Backbone], config: Config, task: Task) -> dict[str, float]:
    """`latency_ms` and `state_bytes`; empty where the model does not stream."""
    try:
        return {
            "latency_ms": latency_ms(family, config, task),
            "state_bytes": state_bytes(family, config, task),
        }
    except ValueError:
        return {}


def _weightless(family: type[Backbone], config: Config, task: Task) -> SequenceModel:
    """The model without the numbers in its weights, where the family can do without them."""
    try:
        with torch.device("meta"):
            return build_model(family, config, task, seed=0)
    except RuntimeError:  # a family of one's own that looks at the values of its weights
        return build_model(family, config, task, seed=0)


def _step(task: Task) -> Tensor:
    """One step of one sequence."""
    if task.vocabulary is not None:
        shape = (1, 1, 1 + FEATURES) if task.reads_spelling else (1, 1)
        return torch.zeros(shape, dtype=torch.int64)
    return torch.zeros(1, 1, task.input_size)
