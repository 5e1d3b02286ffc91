"""Captions of photographs, from German to English."""

from dataclasses import dataclass
from pathlib import Path

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.parallel import MINIMUM_COUNT, Pairs, translation_data
from trainers.data.dataset import SPLITS, Dataset

ORIGIN = (
    "https://raw.githubusercontent.com/multi30k/dataset/"
    "a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/tok"
)


def _remote(name: str, size_bytes: int, sha256: str) -> RemoteFile:
    return RemoteFile(f"multi30k/tok/{name}", f"{ORIGIN}/{name}", size_bytes, sha256)


@dataclass(frozen=True, kw_only=True)
class Multi30kDeEn(Benchmark):
    """Sentences as the origin has parted them into words, in lower case, with Moses' tools.

    BLEU is over these words, in lower case; figures by other tools do not compare strictly.

    Attributes:
        minimum_count: Words that are rarer in train are unknown, on both sides.

    Reference:
        Elliott et al., "Multi30K: multilingual English-German image descriptions", 2016.
    """

    name = "multi30k_de_en"
    summary = "captions of photographs, from German into English (Multi30k, text only)"
    task = "translation"
    metric = "bleu"
    splits = (
        "as published, the test of 2016: 29,000 / 1,014 / 1,000 pairs, "
        "377,534 / 13,308 / 12,968 English words"
    )
    licence = "non-commercial research and education (multi30k/dataset, from Flickr30k)"
    published = (
        "BLEU 28.1, a bidirectional GRU with attention; 36.5, a Transformer of 3 layers "
        "(bentrevett/pytorch-seq2seq; words by spaCy, greedy decoding)"
    )
    files = (
        _remote(
            "train.lc.norm.tok.de",
            2_150_008,
            "cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505",
        ),
        _remote(
            "train.lc.norm.tok.en",
            1_837_696,
            "08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119",
        ),
        _remote(
            "val.lc.norm.tok.de",
            77_273,
            "97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00",
        ),
        _remote(
            "val.lc.norm.tok.en",
            64_608,
            "46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec",
        ),
        _remote(
            "test_2016_flickr.lc.norm.tok.de",
            71_917,
            "c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4",
        ),
        _remote(
            "test_2016_flickr.lc.norm.tok.en",
            63_307,
            "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2",
        ),
    )

    minimum_count: int = MINIMUM_COUNT

    def __post_init__(self) -> None:
        check_range("minimum_count", self.minimum_count, 1, 1_000)

    def prepare(self, folder: Path) -> Dataset:
        """Words of the vocabularies of the train split."""
        sides = [_sentences(folder / file.path) for file in self.files]
        splits = {
            name: Pairs(sides[2 * place], sides[2 * place + 1]) for place, name in enumerate(SPLITS)
        }
        return translation_data(self.name, splits, {"words": r"\S+"}, self.minimum_count)


def _sentences(path: Path) -> list[list[str]]:
    """The words of every line; they stand between blanks."""
    lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    return [line.split() for line in lines]
