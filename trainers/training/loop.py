"""The loop: one configuration with one seed, trained epoch by epoch."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from trainers.randomness import key, torch_randomness
from trainers.tasks import ClassTask, Task
from trainers.training.checkpoint import read_checkpoint, write_checkpoint
from trainers.training.diagnostics import GradientWatch, ReachProbe, SaturationProbe, notes
from trainers.training.evaluation import Evaluation, fitted_task, measure_split
from trainers.training.gradients import Gradients
from trainers.training.optim import OPTIMIZERS, average_weights, clip_scale
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


class Training:
    """One configuration with one seed, trained epoch by epoch; knows neither Ray nor the study.

    With `weight_averaging` it is the averaged weights that are validated, kept as the best and
    tested; the training itself goes on from the others.

    A training that is saved, and restored in another process, goes on as if nothing had happened:
    on the CPU bit for bit at the same number of threads.

    Args:
        epochs: The horizon of the learning-rate schedule.
        metric: What tells the best epoch; the task's first without one.
        told: What an earlier training lost on validation, epoch by epoch: this one goes by that,
            for as many epochs, and does not validate; see `trainers.training.refit`.
        earlier: Training settings that hold before those of `config`, see `phases`.

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
        self._data = data
        self._phases = Phases(config["training"], earlier)
        self._settings = self._phases.at(0)
        self._weights = Weights(self.model)
        self._gradients = Gradients(
            self.model,
            self._weights,
            _training_task(data, self._settings),
            seed=seed,
            label_smoothing=self._settings.get("label_smoothing", 0.0),
        )
        self._optimizer = OPTIMIZERS[self._settings["optimizer"]["name"]]
        self._averaging = self._settings.get("weight_averaging", 0.0)
        self._slots = {
            name: torch.zeros_like(self._weights.vector) for name in self._optimizer.slots
        }
        if self._averaging:
            self._slots[AVERAGE] = self._weights.vector.clone()
        self._examples = training_examples(data, self._settings)
        self._steps_per_epoch = len(self._order(0))
        self._horizon = epochs * self._steps_per_epoch
        self._told = list(told)
        self._losses: list[float] = []
        self._others = 0  # epochs of the training that this one was copied from
        self._best: Snapshot = {}

    @property
    def task(self) -> Task:
        """What the model is trained for."""
        return self._data.task

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return self._weights.count

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self._losses)

    @property
    def earlier(self) -> Sequence[Phase]:
        """Training settings that held, or hold, before those of `config`."""
        return self._phases.earlier

    @property
    def losses(self) -> list[float]:
        """The validation value after each epoch, as a number to minimise."""
        return list(self._losses)

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

    def run_epoch(self) -> Measurement:
        """Train for one epoch and validate.

        Raises:
            Diverged: The loss, the weights or the validation value are no longer finite.
        """
        start = perf_counter()
        self._take_settings()
        watch = GradientWatch(self._weights, self._settings["clip_norm"])
        reach = ReachProbe()
        with torch_randomness(key(self.seed, "epoch", self.epoch)):
            train_loss = self._train(watch, reach)
        probe = SaturationProbe()
        with self._averages_in_place():
            valid = self._validate(probe)
            self._keep_if_best(valid)
        report = watch.report() | reach.report() | {"saturated_share": probe.share()}
        report["notes"] = notes(report, watch.clip_norm)
        return Measurement(self.epoch, train_loss, valid, perf_counter() - start, report)

    def _take_settings(self) -> None:
        """Those of the epoch that begins."""
        self._settings = self._phases.at(self.epoch)
        self._averaging = self._settings.get("weight_averaging", 0.0)
        self._gradients.label_smoothing = self._settings.get("label_smoothing", 0.0)

    def _train(self, watch: GradientWatch, reach: ReachProbe) -> float:
        """All steps of one epoch; the mean loss of its examples."""
        self.model.train()
        order = self._order(self.epoch)
        first = self.epoch * self._steps_per_epoch
        steps = range(first, first + len(order))
        total = torch.zeros((), dtype=torch.float64, device=self._data.device)
        for step, indices, rate in zip(steps, order, self._learning_rates(steps), strict=True):
            self._gradients.probe = reach if step == steps[-1] else None
            loss, gradient = self._gradients.of(self._examples.batch(indices), step)
            total.add_(loss, alpha=len(indices))
            if self._data.device.type == "cpu":  # a GPU would have to be waited for
                self._check_finite(loss, "training loss", watch)
            norm, scale = clip_scale(gradient, watch.clip_norm)
            with watch.last_step(gradient) if step == steps[-1] else nullcontext():
                self._update(gradient.mul_(scale), step, rate)
            watch.add(norm)
        self._check_finite(total, "training loss", watch)
        self._check_finite(self._weights.vector.sum(), "sum of all weights", watch)
        return total.item() / self._examples.examples

    def _validate(self, probe: SaturationProbe) -> dict[str, float]:
        if self._told:
            return {self.metric.name: self.metric.loss(self._told[self.epoch])}
        with probe.watching(self.model.head):
            examples = measure_split(self.model, self._data.valid, self._data.task)
        return self._data.task.summarize(examples)

    def _order(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch, counted from 0."""
        return epoch_order(
            self._examples, self._settings["batch_size"], seed=self.seed, epoch=epoch
        )

    def _learning_rates(self, steps: range) -> list[float]:
        settings = self._settings["schedule"]
        progress = Progress(self._horizon, self._losses)
        factors = SCHEDULES[settings["name"]].factors(steps, progress, settings)
        return [self._settings["optimizer"]["learning_rate"] * factor for factor in factors]

    def _update(self, gradient: Tensor, step: int, learning_rate: float) -> None:
        numbers = {**self._settings["optimizer"], "learning_rate": learning_rate}
        self._optimizer.update(self._weights.vector, gradient, self._slots, step + 1, numbers)
        if self._averaging:
            average = self._slots[AVERAGE]
            average_weights(average, self._weights.vector, step + 1, self._averaging)

    def _check_finite(self, value: Tensor, what: str, watch: GradientWatch) -> None:
        number = value.item()
        if not math.isfinite(number):
            raise Diverged(
                f"the {what} became {number} in epoch {self.epoch + 1}; {watch.describe()}; "
                f"the learning rate is {self._settings['optimizer']['learning_rate']:.3g}"
            )

    def _keep_if_best(self, valid: dict[str, float]) -> None:
        for name, value in valid.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} on validation became {value} in epoch {self.epoch + 1}")
        loss = self.metric.loss(valid[self.metric.name])
        if loss < min(self._losses[self._others :], default=math.inf):
            self._best = self._weights.snapshot()
        self._losses.append(loss)

    def evaluate(self, split: str, *, best: bool = True) -> Evaluation:
        """What the weights of the best epoch, or those of now, reach on a split.

        Raises:
            ValueError: There is no such split, or no best epoch yet.
        """
        start = perf_counter()
        with self._best_in_place() if best else self._averages_in_place():
            task = fitted_task(self.model, self._data)
            examples = measure_split(self.model, self._data.split(split), task, final=True)
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
    def _averages_in_place(self) -> Iterator[None]:
        """The averaged weights, where there are any, in place of those that are trained."""
        if not self._averaging:
            yield
            return
        with self._in_place(self._weights.snapshot() | {"vector": self._slots[AVERAGE]}):
            yield

    @contextmanager
    def _in_place(self, snapshot: Snapshot) -> Iterator[None]:
        """Other weights in place of those that are trained."""
        current = self._weights.snapshot()
        self._weights.load(snapshot)
        try:
            yield
        finally:
            self._weights.load(current)

    def save(self, path: Path) -> None:
        """Write the whole state, best weights included, in place of the file at `path`.

        Raises:
            OSError: It cannot be written.
        """
        tensors = {f"slot/{name}": slot for name, slot in self._slots.items()}
        tensors |= {f"now/{name}": tensor for name, tensor in self._weights.snapshot().items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self._best.items()}
        write_checkpoint(
            path,
            tensors,
            self._identity()
            | {
                "losses": self._losses,
                "others": self._others,
                "parts": self._gradients.parts,
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
        tensors, state = read_checkpoint(path, self._data.device)
        mine = self._identity()
        check_begins(state, mine, len(state["losses"]), path)
        self._weights.load(_below("now", tensors))
        for name, slot in _below("slot", tensors).items():
            self._slots[name].copy_(slot)
        own = all(state.get(key, []) == mine[key] for key in ("config", "earlier"))
        self._best = _below("best", tensors) if own else {}
        self._losses = state["losses"]
        self._others = state.get("others", 0) if own else self.epoch
        self._gradients.parts = state["parts"]

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in, as JSON."""
        return {
            "config": self.config,
            "earlier": self._phases.earlier,
            "seed": self.seed,
            "metric": self.metric.name,
            "shapes": self._weights.shapes,
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
