"""Optimisers as functions on flat vectors, and the space of the training section.

All parameters of a model lie in one vector, and so do all gradients, so that a step is a handful of
kernels whatever the model. Every function also takes a leading axis of members, with the numbers
as tensors of shape (members, 1): several trials then step as one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from spaces import Choice, Float, Int, OneOf, SearchSpace
from trainers.tasks import ClassTask, Task
from trainers.training.schedules import schedule_space

STEPS_PER_EPOCH: Final = 50
"""With fewer steps in an epoch, the usual number of epochs does not suffice to learn."""

Number = float | Tensor
Vectors = Mapping[str, Tensor]
Numbers = Mapping[str, Number]
Update = Callable[[Tensor, Tensor, Vectors, Number, Numbers], None]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A kind of optimiser.

    Attributes:
        space: Its settings; `learning_rate` is among them.
        slots: Names of the vectors that it keeps beside the parameters; they start at 0.
        update: Changes parameters (..., P) and slots in place, from the gradient (..., P), the
            number of this step (from 1) and the settings with the learning rate of this step.
    """

    space: SearchSpace
    slots: tuple[str, ...]
    update: Update


def adamw(
    parameters: Tensor, gradient: Tensor, slots: Vectors, step: Number, numbers: Numbers
) -> None:
    """Adam with weight decay apart from the gradient.

    Reference:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    parameters.mul_(1 - numbers["learning_rate"] * numbers["weight_decay"])
    _adam_step(parameters, gradient, slots, step, numbers["learning_rate"])


def adam(
    parameters: Tensor, gradient: Tensor, slots: Vectors, step: Number, numbers: Numbers
) -> None:
    """Adam with an L2 penalty in the gradient.

    Reference:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """
    penalised = gradient + parameters * numbers["weight_decay"]
    _adam_step(parameters, penalised, slots, step, numbers["learning_rate"])


def sgd(
    parameters: Tensor, gradient: Tensor, slots: Vectors, _step: Number, numbers: Numbers
) -> None:
    """Gradient descent with heavy-ball momentum.

    Reference:
        Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
        2013.
    """
    momentum = slots["momentum"]
    momentum.mul_(numbers["momentum"]).add_(gradient)
    parameters.sub_(momentum * numbers["learning_rate"])


def rmsprop(
    parameters: Tensor, gradient: Tensor, slots: Vectors, _step: Number, numbers: Numbers
) -> None:
    """Gradient over its running root mean square; torch's 0.99 and 1e-8.

    Reference:
        Tieleman and Hinton, "Lecture 6.5: RMSprop", Coursera 2012.
    """
    square = slots["square"]
    square.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
    root = square.sqrt().add_(1e-8)
    parameters.sub_(gradient.div(root).mul_(numbers["learning_rate"]))


def _adam_step(
    parameters: Tensor, gradient: Tensor, slots: Vectors, step: Number, learning_rate: Number
) -> None:
    """With the paper's 0.9, 0.999 and 1e-8."""
    mean, square = slots["mean"], slots["square"]
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    correction = (1 - 0.999**step) ** 0.5
    root = square.sqrt().add_(_as(square, 1e-8 * correction))
    change = mean.div(root).mul_(_as(mean, learning_rate * correction / (1 - 0.9**step)))
    parameters.sub_(change)


def _as(vectors: Tensor, number: Number) -> Number:
    """A number of each member in the type of the vectors; of steps it is computed in float64."""
    return number.to(vectors.dtype) if isinstance(number, Tensor) else number


def clip_scale(gradient: Tensor, clip_norm: Number) -> tuple[Tensor, Tensor]:
    """The norm of the gradient, and what to multiply it by so that it is at most `clip_norm`.

    Returns:
        (..., 1) each.

    Reference:
        Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
    return norm, (clip_norm / (norm + 1e-6)).clamp(max=1.0)


def average_weights(average: Tensor, parameters: Tensor, step: Number, decay: Number) -> None:
    """Move the exponential moving average of the parameters on by one step, in place.

    It is divided by what the weights of its terms sum to, so that it begins with the first
    parameters and not with 0: after few steps it is nearly their plain mean. A decay of 0 follows
    the parameters themselves.

    Args:
        step: Number of this step, from 1.
        decay: What one step leaves of the old average.

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal
        on Control and Optimization 1992; the exponential form of Morales-Brotons et al.,
        "Exponential moving average of weights in deep learning", TMLR 2024, with the correction of
        Kingma and Ba, "Adam", ICLR 2015, section 3.
    """
    average.lerp_(parameters, _as(average, (1 - decay) / (1 - decay**step)))


OPTIMIZERS: dict[str, Optimizer] = {
    "adamw": Optimizer(
        SearchSpace(
            {
                "learning_rate": Float(1e-4, 3e-2, log=True, default=2e-3),
                "weight_decay": Float(1e-3, 0.3, log=True, default=1e-2),
            }
        ),
        ("mean", "square"),
        adamw,
    ),
    "adam": Optimizer(
        SearchSpace(
            {
                "learning_rate": Float(1e-4, 3e-2, log=True, default=2e-3),
                "weight_decay": Float(1e-7, 1e-3, log=True, default=1e-6),
            }
        ),
        ("mean", "square"),
        adam,
    ),
    "sgd": Optimizer(
        SearchSpace(
            {
                "learning_rate": Float(1e-3, 1.0, log=True, default=0.1),
                "momentum": Float(0.0, 0.99, default=0.9),
            }
        ),
        ("momentum",),
        sgd,
    ),
    "rmsprop": Optimizer(
        SearchSpace({"learning_rate": Float(1e-4, 1e-2, log=True, default=1e-3)}),
        ("square",),
        rmsprop,
    ),
}


def training_space(task: Task, examples: int) -> SearchSpace:
    """The training section: what practitioners vary, in the ranges that they use.

    Streams are read in `batch_size` lanes side by side, in windows of `bptt_steps` steps: gradients
    reach no farther back, while states are carried on (truncated back-propagation through time).
    `weight_averaging` is the decay of `average_weights`, 0 for none; `class_weights` balances the
    classes of the training split in the loss, see `ClassTask.balanced`.

    Args:
        examples: Number of training examples; few of them start with small batches.

    Reference:
        Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent
        network trajectories", Neural Computation 1990.
    """
    windows = {"bptt_steps": Int(16, 512, log=True, default=64)} if task.streams else {}
    of_classes: dict[str, Float | Choice] = {}
    if task.has_classes and task.smooths_labels:
        of_classes["label_smoothing"] = Float(0.0, 0.2, default=0.0)
    if isinstance(task, ClassTask):
        of_classes["class_weights"] = Choice(("none", "balanced"), kind="scalar", held=True)
    return SearchSpace(
        {
            "batch_size": Int(4, 128, log=True, default=_usual_batch_size(examples)),
            "optimizer": OneOf(
                {name: kind.space for name, kind in OPTIMIZERS.items()}, default="adamw"
            ),
            "schedule": schedule_space(),
            "clip_norm": Float(0.1, 10.0, log=True, default=1.0),
            **windows,
            "weight_averaging": Float(0.0, 0.9999, default=0.0, held=True),
            **of_classes,
        }
    )


def _usual_batch_size(examples: int) -> int:
    """A power of two from 4 to 32 that leaves an epoch at least 50 steps, where one does."""
    return min(32, max(4, 1 << (examples // STEPS_PER_EPOCH).bit_length() >> 1))
