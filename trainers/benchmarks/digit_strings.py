"""Strings of spoken digits, which nobody has cut into digits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.draws import Draws
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.speech import (
    BANDS,
    RECORDINGS,
    Recording,
    official_split,
    preprocessing,
    read_recordings,
)
from trainers.data.dataset import SPLITS, Dataset, Sequences, Split
from trainers.tasks import CTC

SHORTEST, LONGEST = 3, 7
"""Digits in a string; the last string of a speaker may have fewer."""
HELD_PASSES = 4
SEED = 0


@dataclass(frozen=True, kw_only=True)
class SpokenDigitsCTC(Benchmark):
    """The digits of a string in their order; where each begins is not told.

    A string is recordings of one speaker, one behind the other, without a pause of ours. The
    recordings of a speaker in a split are dealt in random order into strings of 3 to 7, every
    length as likely, until all are used; then again in another order.

    Attributes:
        passes: How often each recording of train is used. Those of valid and test are used 4 times.
        stacked_frames: So many neighbouring frames become one step.

    Reference:
        Sak et al., "Fast and accurate recurrent neural network acoustic models for speech
        recognition", Interspeech 2015, for stacked frames.
    """

    name = "spoken_digits_ctc"
    summary = "which digits are spoken one after another, 3 to 7 of them, without an alignment"
    task = "ctc"
    metric = "label_error_rate"
    splits = (
        "recordings as in spoken_digits, so that strings of a split are made of its recordings "
        "only; strings drawn with seed 0: 1,917 / 257 / 246, of 9,600 / 1,200 / 1,200 digits"
    )
    licence = "CC BY-SA 4.0 (Free Spoken Digit Dataset)"
    published = "none found for strings of these recordings"
    files = RECORDINGS

    passes: int = 4
    stacked_frames: int = 3

    def __post_init__(self) -> None:
        check_range("passes", self.passes, 1, 100)
        check_range("stacked_frames", self.stacked_frames, 1, 8)

    def prepare(self, folder: Path) -> Dataset:
        """Every mel band is scaled by its mean and deviation over the frames of train."""
        by_split: dict[str, list[Recording]] = {name: [] for name in SPLITS}
        for recording in read_recordings(folder):
            by_split[official_split(recording.number)].append(recording)
        scaler = Scaler.fit(np.concatenate([one.frames for one in by_split["train"]]))
        splits = {
            name: self._split(recordings, scaler, SPLITS.index(name))
            for name, recordings in by_split.items()
        }
        return Dataset(
            name=self.name,
            task=CTC(input_size=BANDS * self.stacked_frames, classes=10),
            preprocessing={
                **preprocessing(scaler.repeated(self.stacked_frames)),
                "stacked_frames": self.stacked_frames,
            },
            **splits,
        )

    def _split(self, recordings: list[Recording], scaler: Scaler, number: int) -> Split:
        inputs, targets = [], []
        for place, speaker in enumerate(sorted({one.speaker for one in recordings})):
            own = [one for one in recordings if one.speaker == speaker]
            draws = Draws(SEED, number, place)
            for _ in range(HELD_PASSES if number else self.passes):
                for string in _deal(own, draws):
                    frames = scaler.apply(np.concatenate([one.frames for one in string]))
                    inputs.append(stacked(frames, self.stacked_frames))
                    targets.append(np.array([one.digit for one in string], dtype=np.uint8))
        return Split(Sequences.from_list(inputs), Sequences.from_list(targets))


def _deal(recordings: list[Recording], draws: Draws) -> list[list[Recording]]:
    """All of them, in strings."""
    order = [recordings[place] for place in draws.permutation(len(recordings)).tolist()]
    strings = []
    while order:
        length = SHORTEST + int(draws.below(LONGEST - SHORTEST + 1, 1)[0])
        strings.append(order[:length])
        order = order[length:]
    return strings


def stacked(frames: np.ndarray, count: int) -> np.ndarray:
    """(frames // count, count * bands); the few frames left at the end are dropped."""
    whole = len(frames) // count * count
    return frames[:whole].reshape(whole // count, -1)
