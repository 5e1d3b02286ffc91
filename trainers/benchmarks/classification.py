"""Time series of the UCR and UEA archives, each with one class."""

from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.splitting import hold_out
from trainers.benchmarks.ts_files import read_ts
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification

ORIGIN = (
    "https://raw.githubusercontent.com/aeon-toolkit/aeon/"
    "a101ddc8b35a65441609b45c9bcce5aeafa0c131/aeon/datasets/data"
)


def _remote(folder: str, name: str, size_bytes: int, sha256: str) -> RemoteFile:
    url = f"{ORIGIN}/{name.rpartition('_')[0]}/{name}"
    return RemoteFile(f"{folder}/{name}", url, size_bytes, sha256)


class _Archive(Benchmark):
    """The archive's own train and test files, `files[0]` and `files[1]`."""

    task = "classification"
    metric = "accuracy"
    licence = (
        "not stated for the series of the UCR and UEA archives (timeseriesclassification.com); "
        "the repository they come from is BSD-3-Clause"
    )

    def prepare(self, folder: Path) -> Dataset:
        """Every channel is scaled by its mean and deviation over the steps of the train split."""
        train, test = (read_ts(folder / file.path) for file in self.files)
        if (train.classes, train.cases[0].shape[1]) != (test.classes, test.cases[0].shape[1]):
            raise ValueError(f"{self.name}: train and test must have the same classes and channels")
        kept, held = hold_out(train.labels, 1 / 4)
        scaler = Scaler.fit(np.concatenate([train.cases[place] for place in kept]))

        def split(cases: list[np.ndarray], labels: np.ndarray) -> Split:
            series = Sequences.from_list([scaler.apply(case) for case in cases])
            return Split(series, Sequences.from_array(labels[:, None]))

        return Dataset(
            name=self.name,
            task=Classification(input_size=len(scaler.mean), classes=len(train.classes)),
            train=split([train.cases[place] for place in kept], train.labels[kept]),
            valid=split([train.cases[place] for place in held], train.labels[held]),
            test=split(test.cases, test.labels),
            preprocessing={"scaler": scaler.to_json(), "classes": list(train.classes)},
        )


class JapaneseVowels(_Archive):
    """12 coefficients of speech, 7 to 29 steps, from 9 speakers.

    Reference:
        Kudo, Toyama & Shimbo, "Multidimensional curve classification using passing-through
        regions", Pattern Recognition Letters 20, 1999.
    """

    name = "japanese_vowels"
    summary = "which of 9 speakers says a vowel, from 12 coefficients over 7 to 29 steps"
    splits = (
        "test as published; a quarter of every class of the train file is held out for valid with "
        "seed 0: 198 / 72 / 370 series"
    )
    published = (
        "accuracy 0.993, FCN; ResNet 0.992, MLP 0.976 (means of 10 runs on the same test series, "
        "dl-4-tsc of Ismail Fawaz et al. 2019)"
    )
    files = (
        _remote(
            "japanese_vowels",
            "JapaneseVowels_TRAIN.ts",
            487_971,
            "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
        ),
        _remote(
            "japanese_vowels",
            "JapaneseVowels_TEST.ts",
            649_132,
            "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
        ),
    )


class BasicMotions(_Archive):
    """Accelerometer and gyroscope of a watch, 100 steps of 6 channels."""

    name = "basic_motions"
    summary = "standing, walking, running or badminton, from 6 channels of a watch over 100 steps"
    splits = (
        "test as published; a quarter of every class of the train file is held out for valid with "
        "seed 0: 28 / 12 / 40 series"
    )
    published = "accuracy 1.0, signature kernel and global alignment kernel (KSig of Toth et al.)"
    files = (
        _remote(
            "basic_motions",
            "BasicMotions_TRAIN.ts",
            227_790,
            "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
        ),
        _remote(
            "basic_motions",
            "BasicMotions_TEST.ts",
            227_713,
            "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
        ),
    )


class ItalyPowerDemand(_Archive):
    """The power demand of a day, hour by hour."""

    name = "italy_power_demand"
    summary = "winter or summer half of the year, from the power demand of 24 hours"
    splits = (
        "test as published; a quarter of every class of the train file is held out for valid with "
        "seed 0: 50 / 17 / 1,029 series"
    )
    published = (
        "accuracy 0.970, ROCKET; InceptionTime 0.965, ResNet 0.963, LSTM-FCN 0.962 "
        "(their authors' result tables)"
    )
    files = (
        _remote(
            "italy_power_demand",
            "ItalyPowerDemand_TRAIN.ts",
            18_300,
            "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
        ),
        _remote(
            "italy_power_demand",
            "ItalyPowerDemand_TEST.ts",
            274_054,
            "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
        ),
    )
