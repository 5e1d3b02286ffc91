"""Every benchmark's counts and what each trivial predictor reaches on its test split, in a table.

The floors of JSB, Nottingham, PTB, ETTh1 and the treebank agree with those that were computed from
the files apart from this package.
"""

from collections.abc import Callable

import numpy as np
import pytest

from trainers.benchmarks import BENCHMARKS
from trainers.data.dataset import Dataset
from trainers.trivial.baselines import baselines

Counts = tuple[int, int, int]
DIGITS = (1_076, 362, 359)
MNIST = (55_000, 5_000, 10_000)
GENERATED = (10_000, 1_000, 1_000)
TABLE: dict[str, tuple[Counts, Counts, dict[str, float]]] = {
    # benchmark: examples, steps of their inputs, and the metric's value by predictor
    "digits_rows": (DIGITS, (8_608, 2_896, 2_872), {"class frequencies": 36 / 359}),
    "digits_pixels": (DIGITS, (68_864, 23_168, 22_976), {"class frequencies": 36 / 359}),
    "digits_spelled": (DIGITS, DIGITS, {"most frequent sequence, label frequencies": 36 / 359}),
    "mnist_pixels": (MNIST, (43_120_000, 3_920_000, 7_840_000), {"class frequencies": 0.1135}),
    "mnist_permuted": (MNIST, (43_120_000, 3_920_000, 7_840_000), {"class frequencies": 0.1135}),
    "jsb_chorales": (
        (229, 76, 77),
        (13_578, 4_526, 4_648),
        {"label frequencies": 11.09, "label frequencies after on and after off": 10.49},
    ),
    "nottingham": (
        (694, 173, 170),
        (175_867, 45_340, 44_293),
        {"label frequencies": 10.26, "label frequencies after on and after off": 5.153},
    ),
    "ptb_char": (
        (39_200, 3_071, 3_457),
        (5_017_481, 393_041, 442_422),
        {"token frequencies": 4.346, "token frequencies after the last token": 3.365},
    ),
    "ptb_word": (
        (7_263, 577, 644),
        (929_588, 73_759, 82_429),
        {"token frequencies": 639.3, "token frequencies after the last token": 387.8},
    ),
    "adding": (
        (50_000, 5_000, 5_000),
        (10_000_000, 1_000_000, 1_000_000),
        {"mean of the targets": 0.1641},  # 1/6, but for the draw of the 5,000 test examples
    ),
    "copy_memory": (
        GENERATED,
        (2_200_000, 220_000, 220_000),
        {
            "class frequencies": 0.2794,
            "class frequencies of the token": 0.10975,
            "class frequencies of the step": 0.09456,  # 10 ln 8 / 220
        },
    ),
    "parity": (GENERATED, (205_159, 60_681, 60_406), {"class frequencies": 0.497}),
    "embedded_reber": (
        GENERATED,
        (110_830, 10_978, 11_004),
        {"class frequencies": 1.886, "class frequencies of the token": 1.272},
    ),
    "mackey_glass": (
        (5_817, 1_817, 1_817),
        (581_700, 181_700, 181_700),
        {"mean of the targets": 1.006},
    ),
    # as many of each class in train, so that the first is guessed, not the most frequent of test
    "japanese_vowels": ((198, 72, 370), (3_136, 1_138, 5_687), {"class frequencies": 31 / 370}),
    "basic_motions": ((28, 12, 40), (2_800, 1_200, 4_000), {"class frequencies": 0.25}),
    "italy_power_demand": (
        (50, 17, 1_029),
        (1_200, 408, 24_696),
        {"class frequencies": 513 / 1_029},
    ),
    "spoken_digits": ((2_400, 300, 300), (100_305, 12_606, 12_326), {"class frequencies": 0.1}),
    "spoken_digits_ctc": (
        (1_917, 257, 246),
        (133_113, 16_725, 16_353),
        {"most frequent sequence, label frequencies": 0.8525},
    ),
    "rotten_tomatoes": (
        (8_634, 960, 1_068),
        (182_232, 19_588, 22_228),
        {"class frequencies": 0.5},
    ),
    "ud_english_ewt": (
        (12_544, 2_001, 2_077),
        (204_577, 25_147, 25_094),
        {"class frequencies": 0.1643, "class frequencies of the token": 0.8709},
    ),
    "multi30k_de_en": (
        (29_000, 1_014, 1_000),
        (360_706, 12_828, 12_103),
        {
            "most frequent sequence, label frequencies": 0.4619,
            "words as they are, label frequencies": 0.2402,
        },
    ),
    "ett_h1": (
        (8_449, 2_785, 2_785),
        (811_104, 267_360, 267_360),
        {"last value": 1.294, "seasonal naive": 0.5122},
    ),
    "nab": (
        (1_680, 546, 656),
        (213_239, 68_945, 83_316),
        {"last value": 4 / 17, "mean of the probation": 6 / 17},
    ),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_counts_and_floors(name: str, load_once: Callable[[str], Dataset]) -> None:
    dataset = load_once(name)
    examples, steps, floors = TABLE[name]
    splits = (dataset.train, dataset.valid, dataset.test)
    assert tuple(len(split) for split in splits) == examples
    assert tuple(int(split.inputs.lengths.sum()) for split in splits) == steps
    metric = BENCHMARKS[name].metric
    found = {row.name: row.test[metric] for row in baselines(dataset)}
    assert list(found) == list(floors)
    for predictor, floor in floors.items():
        half_a_digit = 0.5 * 10.0 ** -(3 - np.floor(np.log10(floor)))  # of four
        assert found[predictor] == pytest.approx(floor, abs=1.001 * half_a_digit), predictor


def test_the_classes_and_vocabularies_are_as_counted(
    load_once: Callable[[str], Dataset],
) -> None:
    classes = {"japanese_vowels": 9, "basic_motions": 4, "italy_power_demand": 2}
    classes |= {"mnist_pixels": 10, "spoken_digits": 10, "ud_english_ewt": 17}
    for name, count in classes.items():
        assert load_once(name).task.to_json()["classes"] == count
    for name, count in {"ptb_word": 10_000, "ptb_char": 50, "rotten_tomatoes": 9_100}.items():
        assert load_once(name).task.vocabulary == count
