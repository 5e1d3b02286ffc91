"""A model trained again on train and validation together, for as many epochs as were best before.

Validation has told all that it can by then: the settings, and the epoch. So this second training
takes its examples as well, from the same seed and for that many epochs, and nothing is chosen any
more. What was fitted to the data before, such as scales and vocabularies, stays that of train.
"""

from dataclasses import replace

import numpy as np

from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Task
from trainers.training.loop import Training


def check_refits(task: Task) -> None:
    """Refuse a task for which a second training on validation examples has no sense.

    Raises:
        ValueError: Something is fitted to the model on the validation split.
    """
    if task.fits_on_valid:
        raise ValueError(
            f"`confirm.refit` must be left out for {task.name}: its thresholds are fitted on the "
            f"validation split, which must not be trained on"
        )


def joined(dataset: Dataset) -> Dataset:
    """The data set with the validation examples among those to train on.

    Every example stays what it was: no window is made of steps of both.
    """
    train, valid = dataset.train, dataset.valid
    both = Split(_both(train.inputs, valid.inputs), _both(train.targets, valid.targets))
    return replace(dataset, train=both)


def refit(run: Training, data: DeviceData, *, epochs: int) -> Training:
    """The second training, not yet begun: `epoch` is to reach the `best_epoch` of the first.

    Learning rates are those that the first training had in its epochs, also where they follow the
    validation value.

    Args:
        run: The first training, over.
        data: Of `joined`.
        epochs: The horizon of the learning-rate schedule, as in the first.
    """
    return Training(
        type(run.model.backbone),
        run.config,
        data,
        seed=run.seed,
        epochs=epochs,
        metric=run.metric.name,
        told=run.losses[: run.best_epoch],
        earlier=run.earlier,
    )


def _both(first: Sequences, second: Sequences) -> Sequences:
    values, shift = first.values, 0
    if second.values is not first.values:  # else they are windows of the same array
        between = first.values[:1]  # so that no stream of the one goes on with the other
        values, shift = np.concatenate([values, between, second.values]), len(values) + 1
    return Sequences(
        values,
        np.concatenate([first.starts, second.starts + shift]),
        np.concatenate([first.lengths, second.lengths]),
    )
