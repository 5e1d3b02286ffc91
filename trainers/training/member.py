"""One training: what its configuration says, where it stands, its checkpoints and best weights."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from spaces import Config
from trainers.backbone import Backbone
from trainers.data.batching import DeviceData, epoch_order, training_examples
from trainers.model import build_model
from trainers.tasks import ClassTask, Task
from trainers.training.checkpoint import read_checkpoint, write_checkpoint
from trainers.training.evaluation import Evaluation, fitted_task, measure_split
from trainers.training.gradients import Goal
from trainers.training.optim import OPTIMIZERS
from trainers.training.phases import Phase, Phases, check_begins
from trainers.training.schedules import SCHEDULES, Progress
from trainers.training.weights import Snapshot, Weights

AVERAGE = "average"
"""The slot of the averaged weights, where there are any."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one epoch gave; plain Python numbers.

    Attributes:
        epoch: From 1.
        train_loss: Mean training loss over the epoch's steps.
        valid: Metrics of the validation split after it.
        seconds: What training and validation took.
        diagnostics: See `trainers.training.diagnostics`.
    """

    epoch: int
    train_loss: float
    valid: dict[str, float]
    seconds: float
    diagnostics: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON tree."""
        return asdict(self)


class Diverged(ArithmeticError):  # noqa: N818 - what happened, in the words of the log
    """A training whose loss or weights are no longer finite."""


class Member:
    """One configuration with one seed, and where its training stands; `loop` trains it.

    With `weight_averaging` it is the averaged weights that are validated, kept as the best and
    tested; the training itself goes on from the others.

    Args:
        epochs: The horizon of the learning-rate schedule.
        metric: What tells the best epoch; the task's first without one.
        told: What an earlier training lost on validation, epoch by epoch: this one goes by that,
            for as many epochs, and does not validate; see `trainers.training.refit`.
        earlier: Training settings that hold before those of `config`, see `phases`.

    Attributes:
        slots: What the optimiser keeps beside the weights, and the average of these.
        parts: See `Gradients`.

    Raises:
        ValueError: The task has no such metric, or the configuration cannot be built.
    """

    def __init__(
        self,
        family: type[Backbone],
        config: Config,
        data: DeviceData,
        *,
        seed: int,
        epochs: int,
        metric: str | None = None,
        told: Sequence[float] = (),
        earlier: Sequence[Phase] = (),
    ) -> None:
        self.config = config
        self.seed = seed
        self.metric = data.task.metric(metric)
        self.model = build_model(family, config, data.task, seed=seed).to(data.device)
        self.data = data
        self.parts = 1
        self._phases = Phases(config["training"], earlier)
        self._told = list(told)
        self._losses: list[float] = []
        self._others = 0  # epochs of the training that this one was copied from
        self._best: Snapshot = {}
        self.weights = Weights(self.model)
        self.optimizer = OPTIMIZERS[self.settings["optimizer"]["name"]]
        self.slots = {name: torch.zeros_like(self.weights.vector) for name in self.optimizer.slots}
        if self.averaging:
            self.slots[AVERAGE] = self.weights.vector.clone()
        self.examples = training_examples(data, self.settings)
        self._training_task = _training_task(data, self.settings)
        self._steps_per_epoch = len(self.order())
        self._horizon = epochs * self._steps_per_epoch

    @property
    def settings(self) -> Config:
        """The training section that holds in the next epoch."""
        return self._phases.at(self.epoch)

    @property
    def earlier(self) -> Sequence[Phase]:
        """Training settings that held, or hold, before those of `config`."""
        return self._phases.earlier

    @property
    def averaging(self) -> float:
        """What one step leaves of the old average in the next epoch; 0 where there is none."""
        decay: float = self.settings.get("weight_averaging", 0.0)
        return decay

    @property
    def goal(self) -> Goal:
        """What the next epoch is trained for."""
        return Goal(self._training_task, self.seed, self.settings.get("label_smoothing", 0.0))

    @property
    def task(self) -> Task:
        """What the model is trained for."""
        return self.data.task

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return self.weights.count

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self._losses)

    @property
    def losses(self) -> list[float]:
        """The validation value after each epoch, as a number to minimise."""
        return list(self._losses)

    @property
    def told(self) -> dict[str, float]:
        """What is known of the validation after the next epoch; nothing where it has to be seen."""
        return {self.metric.name: self.metric.loss(self._told[self.epoch])} if self._told else {}

    @property
    def best_epoch(self) -> int:
        """The epoch of the best validation value, the first of equals; 0 before any."""
        own = self._losses[self._others :]
        return self._others + own.index(min(own)) + 1 if own else 0

    @property
    def best_value(self) -> float:
        """The best validation value; infinitely bad before any."""
        return self.metric.loss(min(self._losses[self._others :], default=math.inf))

    def has_settled(self, patience: int | None) -> bool:
        """Whether so many epochs in a row have not improved on the best; None waits for ever."""
        return patience is not None and self.epoch - self.best_epoch >= patience

    @property
    def steps(self) -> range:
        """The steps of the next epoch, counted from 0 through all epochs."""
        first = self.epoch * self._steps_per_epoch
        return range(first, first + self._steps_per_epoch)

    def order(self) -> list[Tensor]:
        """The batches of the next epoch."""
        return epoch_order(
            self.examples, self.settings["batch_size"], seed=self.seed, epoch=self.epoch
        )

    def learning_rates(self) -> list[float]:
        """Those of the steps of the next epoch."""
        settings = self.settings["schedule"]
        progress = Progress(self._horizon, self._losses)
        factors = SCHEDULES[settings["name"]].factors(self.steps, progress, settings)
        return [self.settings["optimizer"]["learning_rate"] * factor for factor in factors]

    def diverged(self, what: str, steps: str) -> Diverged:
        """How the epoch that is being trained ends.

        Args:
            what: Happened.
            steps: What the epoch's steps were like.
        """
        rate = self.settings["optimizer"]["learning_rate"]
        return Diverged(
            f"{what} in epoch {self.epoch + 1}; {steps}; the learning rate is {rate:.3g}"
        )

    def keep_if_best(self, valid: dict[str, float]) -> None:
        """End the epoch with its validation values.

        Raises:
            Diverged: One of them is not finite.
        """
        for name, value in valid.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} on validation became {value} in epoch {self.epoch + 1}")
        loss = self.metric.loss(valid[self.metric.name])
        if loss < min(self._losses[self._others :], default=math.inf):
            self._best = self.weights.snapshot()
        self._losses.append(loss)

    def evaluate(self, split: str, *, best: bool = True) -> Evaluation:
        """What the weights of the best epoch, or those of now, reach on a split.

        Raises:
            ValueError: There is no such split, or no best epoch yet.
        """
        start = perf_counter()
        with self._best_in_place() if best else self.averages_in_place():
            task = fitted_task(self.model, self.data)
            examples = measure_split(self.model, self.data.split(split), task, final=True)
        losses = task.example_losses(examples, self.metric.name)
        return Evaluation(task.summarize(examples), losses, perf_counter() - start)

    def best_weights(self) -> dict[str, Tensor]:
        """The model's `state_dict` at its best epoch, on the CPU.

        Raises:
            ValueError: There is no best epoch yet.
        """
        with self._best_in_place():
            state = self.model.state_dict()
            return {name: tensor.cpu().clone() for name, tensor in state.items()}

    @contextmanager
    def _best_in_place(self) -> Iterator[None]:
        if not self._best:
            raise ValueError("there are no best weights before the first epoch; run one")
        with self._in_place(self._best):
            yield

    @contextmanager
    def averages_in_place(self) -> Iterator[None]:
        """The averaged weights, where there are any, in place of those that are trained."""
        if not self.averaging:
            yield
            return
        with self._in_place(self.weights.snapshot() | {"vector": self.slots[AVERAGE]}):
            yield

    @contextmanager
    def _in_place(self, snapshot: Snapshot) -> Iterator[None]:
        """Other weights in place of those that are trained."""
        current = self.weights.snapshot()
        self.weights.load(snapshot)
        try:
            yield
        finally:
            self.weights.load(current)

    def save(self, path: Path) -> None:
        """Write the whole state, best weights included, in place of the file at `path`.

        Raises:
            OSError: It cannot be written.
        """
        tensors = {f"slot/{name}": slot for name, slot in self.slots.items()}
        tensors |= {f"now/{name}": tensor for name, tensor in self.weights.snapshot().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        write_checkpoint(
            path,
            tensors,
            self._identity()
            | {
                "losses": self._losses,
                "others": self._others,
                "parts": self.parts,
                "threads": torch.get_num_threads(),
            },
        )

    def restore(self, path: Path) -> None:
        """Go on from a saved state: of this training, or of one that began as this one did.

        What another did is copied, and does not count for the best epoch. It may have had, or be
        about to have, other training settings than this one, in later epochs alone.

        Raises:
            OSError: The file is missing, damaged or no checkpoint.
            ValueError: It is of another training.
        """
        tensors, state = read_checkpoint(path, self.data.device)
        mine = self._identity()
        check_begins(state, mine, len(state["losses"]), path)
        self.weights.load(_below("now", tensors))
        for name, slot in _below("slot", tensors).items():
            self.slots[name].copy_(slot)
        own = all(state.get(key, []) == mine[key] for key in ("config", "earlier"))
        self._best = _below("best", tensors) if own else {}
        self._losses = state["losses"]
        self._others = state.get("others", 0) if own else self.epoch
        self.parts = state["parts"]

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in, as JSON."""
        return {
            "config": self.config,
            "earlier": self._phases.earlier,
            "seed": self.seed,
            "metric": self.metric.name,
            "shapes": self.weights.shapes,
            **({"told": self._told} if self._told else {}),
        }


def _training_task(data: DeviceData, settings: Config) -> Task:
    """The task as its training loss sees it: with classes balanced where that is asked for."""
    if settings.get("class_weights", "none") == "none":
        return data.task
    assert isinstance(data.task, ClassTask)
    return data.task.balanced(data.train.class_counts(data.task.classes))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }
