"""Spoken digits as log-mel frames."""

import csv
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.mel import log_mel, mel_filters
from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RATE = 8_000
WINDOW = 200  # 25 ms
HOP = 80  # 10 ms
TRANSFORM = 256
BANDS = 40
ORIGIN = (
    "https://raw.githubusercontent.com/Jakobovski/free-spoken-digit-dataset/"
    "26eb9aaf76e81b692f806f9140c2d2777410d7a1/recordings"
)
LISTING = Path(__file__).with_name("spoken_digits.csv")


@dataclass(frozen=True, slots=True)
class Recording:
    """One digit by one speaker, for the `number`-th time; frames are (frames, bands)."""

    digit: int
    speaker: str
    number: int
    frames: np.ndarray


def _recordings() -> tuple[RemoteFile, ...]:
    """The 3,000 recordings; their sizes and sums are too many to write down in code."""
    with LISTING.open(encoding="utf-8", newline="") as file:
        return tuple(
            RemoteFile(
                f"fsdd/recordings/{row['name']}",
                f"{ORIGIN}/{row['name']}",
                int(row["size_bytes"]),
                row["sha256"],
            )
            for row in csv.DictReader(file)
        )


RECORDINGS = _recordings()


def read_recordings(folder: Path) -> Iterator[Recording]:
    """All recordings as log-mel frames."""
    filters = mel_filters(BANDS, TRANSFORM, RATE)
    for file in RECORDINGS:
        path = folder / file.path
        digit, speaker, number = path.stem.split("_")
        frames = log_mel(read_wave(path), filters, WINDOW, HOP)
        yield Recording(int(digit), speaker, int(number), frames)


def official_split(number: int) -> str:
    """Recordings 0 to 4 of each digit and speaker are test, as published; 5 to 9 are valid."""
    return "test" if number < 5 else "valid" if number < 10 else "train"


@dataclass(frozen=True, kw_only=True)
class SpokenDigits(Benchmark):
    """One digit in English; frames of 25 ms every 10 ms, 40 mel bands up to 4 kHz.

    Attributes:
        test_speaker: Leave this speaker out: all of theirs are test, all of the next speaker's in
            alphabetical order (after the last, the first) are valid. Without one, the official
            split, in which every speaker is heard in every split.
    """

    name = "spoken_digits"
    summary = "which digit is spoken, from log-mel frames of a recording (FSDD)"
    task = "classification"
    metric = "accuracy"
    splits = (
        "of every digit and speaker recordings 0 to 4 are test, as published, 5 to 9 valid, the "
        "others train: 2,400 / 300 / 300; or 2,000 / 500 / 500 with `test_speaker`"
    )
    licence = "CC BY-SA 4.0 (Free Spoken Digit Dataset)"
    published = (
        "none on the official split; a BiLSTM on 39 MFCC has accuracy 0.973 on a random tenth "
        "(aniruddhapal211316/spoken_digit_recognition)"
    )
    files = RECORDINGS

    test_speaker: str | None = None

    def __post_init__(self) -> None:
        if self.test_speaker is not None and self.test_speaker not in SPEAKERS:
            names = ", ".join(SPEAKERS)
            raise ValueError(f"`test_speaker` must be one of {names}, got {self.test_speaker!r}")

    def prepare(self, folder: Path) -> Dataset:
        """Every mel band is scaled by its mean and deviation over the frames of train."""
        frames: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
        digits: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
        for recording in read_recordings(folder):
            split = self._split_of(recording.speaker, recording.number)
            frames[split].append(recording.frames)
            digits[split].append(recording.digit)
        scaler = Scaler.fit(np.concatenate(frames["train"]))
        splits = {
            split: Split(
                Sequences.from_list([scaler.apply(case) for case in frames[split]]),
                Sequences.from_array(np.array(digits[split], dtype=np.int64)[:, None]),
            )
            for split in frames
        }
        return Dataset(
            name=self.name,
            task=Classification(input_size=BANDS, classes=10),
            preprocessing=preprocessing(scaler),
            **splits,
        )

    def _split_of(self, speaker: str, number: int) -> str:
        if self.test_speaker is None:
            return official_split(number)
        after = SPEAKERS[(SPEAKERS.index(self.test_speaker) + 1) % len(SPEAKERS)]
        return {self.test_speaker: "test", after: "valid"}.get(speaker, "train")


def preprocessing(scaler: Scaler) -> dict[str, Any]:
    """How the frames were made, for `Dataset.preprocessing`."""
    return {
        "scaler": scaler.to_json(),
        "classes": [str(digit) for digit in range(10)],
        "log_mel": {
            "rate": RATE,
            "window": WINDOW,
            "hop": HOP,
            "transform": TRANSFORM,
            "bands": BANDS,
        },
    }


def read_wave(path: Path) -> np.ndarray:
    """(samples,) float64 in [-1, 1) of a 16-bit recording of one channel at 8,000 Hz.

    Raises:
        ValueError: It is another kind of recording.
    """
    try:
        with wave.open(str(path)) as file:
            kind = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} must be a wave file: {error}") from error
    if kind != (1, 2, RATE) or not content:
        raise ValueError(
            f"{path} must have 1 channel of 2 bytes at {RATE} Hz, "
            f"got {kind[0]} of {kind[1]} at {kind[2]} Hz and {len(content)} bytes"
        )
    return np.frombuffer(content, dtype="<i2") / 32_768.0
