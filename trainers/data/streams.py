"""Streams, such as texts: stored as passages that follow one another, and cut into windows."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from trainers.data.dataset import Sequences, Split

PASSAGE: Final = 128
"""Steps of a passage: what a verdict takes for an example, and all that a model sees at once which
cannot carry a state."""


def passages_of(streams: Sequence[np.ndarray], length: int = PASSAGE) -> Split:
    """Passages of streams, (steps, ...) each; at every step the next one is asked for.

    A passage that begins where the one before ends goes on with it. The last step of a stream is
    no input, so that there is a gap between streams.

    Raises:
        ValueError: A stream has no next step.
    """
    short = next((number for number, stream in enumerate(streams) if len(stream) < 2), None)
    if short is not None:
        raise ValueError(
            f"a stream must have at least 2 steps, got {len(streams[short])} in stream {short}"
        )
    ends = np.cumsum([len(stream) for stream in streams])
    starts, lengths = [], []
    for end, stream in zip(ends.tolist(), streams, strict=True):
        first, last = end - len(stream), end - 1
        begins = np.arange(first, last, length)
        starts.append(begins)
        lengths.append(np.minimum(length, last - begins))
    values = np.concatenate(streams)
    where, sizes = np.concatenate(starts), np.concatenate(lengths)
    return Split(Sequences(values, where, sizes), Sequences(values, where + 1, sizes))


def stream_bounds(split: Split) -> np.ndarray:
    """(streams + 1,): the first passage of every stream, and the number of passages."""
    inputs, targets = split.inputs, split.targets
    goes_on = np.ones(len(split) - 1, dtype=bool)
    for side in (inputs, targets):
        goes_on &= side.starts[1:] == side.starts[:-1] + side.lengths[:-1]
    return np.concatenate([[0], np.flatnonzero(~goes_on) + 1, [len(split)]])


def cut(split: Split, lanes: int, steps: int) -> tuple[Split, np.ndarray]:
    """The streams of a split, dealt out to lanes of equal length, in windows of `steps`.

    Streams are laid end to end and parted evenly, so that a lane may hold several streams and
    pieces of streams. A window ends at the latest where its stream or its lane does.

    Returns:
        The windows lane by lane, each after the one before it, and the first window of each lane.
    """
    first = stream_bounds(split)[:-1]
    starts = split.inputs.starts[first]
    shifts = split.targets.starts[first] - starts
    sizes = np.add.reduceat(split.inputs.lengths, first)
    ends = np.cumsum(sizes)  # end to end, as are all places below
    lane_starts = np.arange(0, ends[-1], -(-ends[-1] // lanes))
    pieces = np.union1d(ends - sizes, lane_starts)
    lengths = np.diff(pieces, append=ends[-1])
    counts = -(-lengths // steps)
    piece = np.repeat(np.arange(len(pieces)), counts)
    within = (np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)) * steps
    begins = pieces[piece] + within
    stream = np.searchsorted(ends, begins, side="right")
    where = begins - (ends - sizes)[stream] + starts[stream]
    length = np.minimum(steps, lengths[piece] - within)
    windows = Split(
        Sequences(split.inputs.values, where, length),
        Sequences(split.targets.values, where + shifts[stream], length),
    )
    return windows, np.searchsorted(begins, lane_starts)
