"""MNIST read as a sequence of 784 pixels, in order or in a fixed random order."""

import gzip
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.draws import Draws
from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification

PIXELS = 784
HELD_OUT = 5_000
PERMUTATION_SEED = 784
ORIGIN = "https://raw.githubusercontent.com/fgnt/mnist/ae608a02b796c9ee908c082585a5f006fe05258e"


def _remote(name: str, size_bytes: int, sha256: str) -> RemoteFile:
    return RemoteFile(f"mnist/{name}", f"{ORIGIN}/{name}", size_bytes, sha256)


class _MNIST(Benchmark):
    """70,000 images of 28 by 28 pixels.

    Reference:
        Le, Jaitly & Hinton, "A simple way to initialize recurrent networks of rectified linear
        units", 2015.
    """

    task = "classification"
    metric = "accuracy"
    splits = (
        "test as published; valid is the last 5,000 images of the train file: "
        "55,000 / 5,000 / 10,000 images"
    )
    licence = (
        "not stated at the origin (MNIST of LeCun, Cortes & Burges, commonly listed as "
        "CC BY-SA 3.0)"
    )
    files = (
        _remote(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        _remote(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _remote(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _remote(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )
    permuted: ClassVar[bool]

    def prepare(self, folder: Path) -> Dataset:
        """Pixels as float16, whose 11 bits keep all 256 levels of grey apart."""
        images, labels, test_images, test_labels = (
            read_idx(folder / file.path) for file in self.files
        )
        order = Draws(PERMUTATION_SEED).permutation(PIXELS) if self.permuted else np.arange(PIXELS)
        scaler = Scaler.fit(images[:-HELD_OUT].reshape(-1, 1))

        def split(images: np.ndarray, labels: np.ndarray) -> Split:
            greys = scaler.apply(np.arange(256)).astype(np.float16)
            pixels = greys[images.reshape(-1, PIXELS)[:, order]]
            return Split(
                Sequences.from_array(pixels[:, :, None]), Sequences.from_array(labels[:, None])
            )

        return Dataset(
            name=self.name,
            task=Classification(input_size=1, classes=10, causal=True),
            train=split(images[:-HELD_OUT], labels[:-HELD_OUT]),
            valid=split(images[-HELD_OUT:], labels[-HELD_OUT:]),
            test=split(test_images, test_labels),
            preprocessing={
                "scaler": scaler.to_json(),
                "classes": [str(digit) for digit in range(10)],
                "order": order.tolist(),
            },
        )


class MNISTPixels(_MNIST):
    """Row by row, from the top left. Causal, as the published models read forwards only."""

    name = "mnist_pixels"
    summary = "which digit an image shows, read pixel by pixel in 784 steps"
    published = (
        "accuracy 0.9963, S4; of models with 70,000 parameters TCN 0.990, GRU 0.962, LSTM 0.872 "
        "(Gu et al. 2022; Bai, Kolter & Koltun 2018, table 1, who had no validation split)"
    )
    permuted = False


class MNISTPermuted(_MNIST):
    """In one random order for all images, drawn once with seed 784: no order is canonical.

    Causal, as the published models read forwards only.
    """

    name = "mnist_permuted"
    summary = "which digit an image shows, read in 784 steps in one fixed random order"
    published = (
        "accuracy 0.9876, LSSL; of models with 70,000 parameters TCN 0.972, GRU 0.873, LSTM 0.857 "
        "(Gu et al. 2022; Bai, Kolter & Koltun 2018, table 1), each with another order of pixels"
    )
    permuted = True


def read_idx(path: Path) -> np.ndarray:
    """The array of a gzipped IDX file of bytes, the format of MNIST.

    Raises:
        ValueError: It is not such a file.
    """
    with gzip.open(path) as file:
        content = file.read()
    dimensions = content[3] if content[:3] == b"\x00\x00\x08" else 0
    header_bytes = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header_bytes], dtype=">u4").astype(int)
    if not dimensions or len(content) != header_bytes + int(shape.prod()):
        raise ValueError(
            f"{path} must be a gzipped IDX file of bytes, got {len(content):,} bytes "
            f"that begin with {content[:4].hex(' ')}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)
