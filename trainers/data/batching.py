"""Resident data and the batches made of it: gathering, padding, masks, length buckets.

Data stay on the device in the type they were stored in; a batch is a copy of some of it, cast to
the task's types, so that nothing is ever written into the stored arrays.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from spaces import Config
from trainers.data.batch import Batch
from trainers.data.dataset import SPLITS, Dataset, Sequences, Split
from trainers.data.streams import cut, stream_bounds
from trainers.randomness import generator, key
from trainers.tasks import CTC, Task
from trainers.tasks.ctc import steps_needed

BATCHES_PER_BUCKET: Final = 50
"""Sorting by length happens within so many batches of the shuffled order: enough to save most of
the padding, few enough that an epoch's batches stay close to random."""

EXAMPLES_AT_ONCE: Final = 4096
"""Of which targets are counted."""


class ResidentSequences:
    """Ragged sequences on a device.

    Args:
        dtype: The type of batches.
    """

    def __init__(self, sequences: Sequences, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = dtype
        self.lengths = _tensor(sequences.lengths)
        """(examples,) int64, on the CPU: to ask for a batch's longest must not wait for a GPU."""
        self.longest = int(self.lengths.max())
        self.is_ragged = int(self.lengths.min()) < self.longest
        values = _tensor(sequences.values)
        starts = _tensor(sequences.starts)
        self._rows = _whole_rows(len(values), starts, self.longest) and not self.is_ragged
        if self._rows:
            values = values.view(-1, self.longest, *values.shape[1:])
            starts = starts // self.longest
        self._values = values.to(device)
        self._starts = starts.to(device)
        self._device_lengths = self.lengths.to(device)
        self._steps = torch.arange(self.longest, device=device)
        self._full_mask = torch.ones(1, self.longest, dtype=torch.bool, device=device)

    def gather(self, indices: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """A copy of some examples, zero from their ends on, and the mask of what is real.

        Args:
            indices: (batch,) int64, on the device.
            longest: The greatest of their lengths.

        Returns:
            (batch, longest) or (batch, longest, size), and (batch, longest) bool.
        """
        starts = self._starts.index_select(0, indices)
        if self._rows:
            values = self._values.index_select(0, starts)
            return values.to(self.dtype), self._full_mask.expand(len(indices), -1)
        steps = self._steps[:longest]
        if not self.is_ragged:
            places = starts.unsqueeze(1) + steps
            return self._take(places), self._full_mask.expand(len(indices), -1)
        lengths = self._device_lengths.index_select(0, indices).unsqueeze(1)
        mask = steps < lengths
        places = starts.unsqueeze(1) + torch.minimum(steps, lengths - 1)
        values = self._take(places)
        padding = ~mask if values.ndim == 2 else ~mask.unsqueeze(2)
        return values.masked_fill_(padding, 0), mask

    def _take(self, places: Tensor) -> Tensor:
        flat = self._values.index_select(0, places.flatten())
        return flat.view(*places.shape, *flat.shape[1:]).to(self.dtype)


class DeviceSplit:
    """One split of a data set on a device."""

    def __init__(self, split: Split, task: Task, device: torch.device) -> None:
        self.examples = len(split)
        self.device = device
        self._inputs = ResidentSequences(split.inputs, task.input_dtype, device)
        self._targets = ResidentSequences(split.targets, task.target_dtype, device)
        self._needs_size = task.vocabulary is None and split.inputs.values.ndim == 1

    @property
    def lengths(self) -> Tensor:
        """(examples,) int64 on the CPU: steps of every input."""
        return self._inputs.lengths

    @property
    def is_ragged(self) -> bool:
        """Whether inputs differ in length."""
        return self._inputs.is_ragged

    def class_counts(self, classes: int) -> list[int]:
        """How many targets each class has, of a task of classes."""
        counts = torch.zeros(classes, dtype=torch.int64, device=self.device)
        for indices in torch.split(torch.arange(self.examples), EXAMPLES_AT_ONCE):
            longest = _longest(self._targets, indices)
            targets, real = self._targets.gather(indices.to(self.device), longest)
            counts += torch.bincount(targets[real], minlength=classes)
        return counts.tolist()

    def batch(self, indices: Tensor) -> Batch:
        """Copies of some examples, padded to the longest of them.

        Args:
            indices: (batch,) int64, on the CPU.
        """
        places = indices.to(self.device, non_blocking=True)
        inputs, mask = self._inputs.gather(places, _longest(self._inputs, indices))
        if self._needs_size:
            inputs = inputs.unsqueeze(2)
        targets, target_mask = self._targets.gather(places, _longest(self._targets, indices))
        return Batch(inputs, mask, targets, target_mask, places)


class StreamSplit(DeviceSplit):
    """Windows of streams on a device: in lanes that are read side by side, each in its order.

    Args:
        split: The windows, the lanes one after another. One that begins where the one before ends
            goes on with it.
        first: (lanes,) the first window of each lane, which goes on with nothing; without it, every
            stream is a lane.
    """

    def __init__(
        self, split: Split, task: Task, device: torch.device, first: np.ndarray | None = None
    ) -> None:
        super().__init__(split, task, device)
        self._split, self._task = split, task
        bounds = stream_bounds(split)[:-1]
        first = bounds if first is None else first
        self._first = torch.from_numpy(first)
        self._windows = torch.diff(self._first, append=torch.tensor([len(split)]))
        self._continues = torch.ones(len(split), dtype=torch.bool)
        self._continues[np.union1d(bounds, first)] = False

    def cut(self, lanes: int, steps: int) -> "StreamSplit":
        """The same streams in other lanes and windows; see `trainers.data.streams.cut`."""
        windows, first = cut(self._split, lanes, steps)
        return StreamSplit(windows, self._task, self.device, first)

    def order(self, most_lanes: int) -> Iterator[Tensor]:
        """Batches of the next window of each lane, the longest lanes first, until all are read.

        A lane has the same row in all its batches.

        Args:
            most_lanes: That are read at once.
        """
        longest_first = torch.argsort(self._windows, descending=True, stable=True)
        for lanes in torch.split(longest_first, most_lanes):
            first, windows = self._first[lanes], self._windows[lanes]
            for step in range(int(windows[0])):
                yield first[windows > step] + step

    def batch(self, indices: Tensor) -> Batch:
        """See `DeviceSplit.batch`; with the rows that go on from the batch before."""
        return replace(super().batch(indices), continues=self._continues[indices])


class DeviceData:
    """A data set on a device.

    Raises:
        ValueError: The inputs have another number of features than the task says, or fewer steps
            than CTC needs for the labels.
    """

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        self.name = dataset.name
        self.task = dataset.task
        self.device = torch.device(device)
        _check_features(dataset)
        if isinstance(dataset.task, CTC):
            for name in SPLITS:
                _check_steps(name, getattr(dataset, name))
        kind = StreamSplit if dataset.task.streams else DeviceSplit
        self.train = kind(dataset.train, dataset.task, self.device)
        self.valid = kind(dataset.valid, dataset.task, self.device)
        self.test = kind(dataset.test, dataset.task, self.device)

    def split(self, name: str) -> DeviceSplit:
        """The split of that name.

        Raises:
            ValueError: There is no such split.
        """
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        if name not in splits:
            raise ValueError(f"a split must be one of {', '.join(splits)}, got {name!r}")
        return splits[name]


def training_examples(data: DeviceData, settings: Config) -> DeviceSplit:
    """What a step of training takes some of: train examples, or windows of streams.

    Args:
        settings: The training section.
    """
    if isinstance(data.train, StreamSplit):
        return data.train.cut(settings["batch_size"], settings["bptt_steps"])
    return data.train


def epoch_order(split: DeviceSplit, batch_size: int, *, seed: int, epoch: int) -> list[Tensor]:
    """The batches of one training epoch: every example once, in an order that only the key decides.

    Where lengths differ, examples of similar length share a batch: the shuffled order is sorted
    within large pieces, and the batches are shuffled again. Windows of streams come in the order of
    their streams. A batch of fewer examples is the last, so that trainings of several seeds have as
    many in each of their steps.

    Returns:
        Indices, (batch,) int64 each, on the CPU.
    """
    if isinstance(split, StreamSplit):
        return list(split.order(batch_size))
    random = generator(key(seed, "order", epoch))
    order = torch.randperm(split.examples, generator=random)
    if not split.is_ragged:
        return list(torch.split(order, batch_size))
    lengths = split.lengths[order]
    buckets = torch.arange(split.examples) // (batch_size * BATCHES_PER_BUCKET)
    within = torch.argsort(buckets * (lengths.max() + 1) + lengths, stable=True)
    batches = torch.split(order[within], batch_size)
    full = split.examples // batch_size
    places = torch.randperm(full, generator=random).tolist()
    return [batches[place] for place in places] + list(batches[full:])


def evaluation_order(split: DeviceSplit, *, size: int, elements: int) -> Iterator[Tensor]:
    """Every example once, the longest first, in batches as large as `elements` allows.

    Args:
        size: Width of the widest (batch, time, size) tensor that a model makes of a batch.
        elements: The most elements that such a tensor may have; one example is always taken.

    Returns:
        Indices, (batch,) int64 each, on the CPU.
    """
    order = torch.argsort(split.lengths, descending=True, stable=True)
    lengths = split.lengths[order].tolist()
    start = 0
    while start < split.examples:
        stop = start + max(1, elements // (lengths[start] * size))
        yield order[start:stop]
        start = stop


def _longest(sequences: ResidentSequences, indices: Tensor) -> int:
    if not sequences.is_ragged:
        return sequences.longest
    return int(sequences.lengths[indices].max())


def _whole_rows(steps: int, starts: Tensor, length: int) -> bool:
    """Whether examples of one length are rows of the array seen as (rows, length)."""
    return steps % length == 0 and not bool((starts % length).any())


def _tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor over the same memory, which nobody may write to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def _check_features(dataset: Dataset) -> None:
    values = dataset.train.inputs.values
    size = 1 if values.ndim == 1 else values.shape[1]
    if dataset.task.vocabulary is None and size != dataset.task.input_size:
        raise ValueError(
            f"`input_size` of the task must be the number of features of {dataset.name}, "
            f"got {dataset.task.input_size} and {size}"
        )


def _check_steps(name: str, split: Split) -> None:
    targets = split.targets
    needed = steps_needed(targets.values, targets.starts, targets.lengths)
    short = np.flatnonzero(needed > split.inputs.lengths)
    if len(short):
        example = int(short[0])
        raise ValueError(
            f"every input must have a step for each of its labels and one between equal ones, but "
            f"example {example} of {name} has {split.inputs.lengths[example]} steps and needs "
            f"{needed[example]} (as do {len(short)} examples in all)"
        )
