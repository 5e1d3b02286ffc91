"""From one language to another, judged by BLEU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from sacrebleu.metrics.bleu import BLEU
from torch import Tensor

from trainers.data.batch import Batch
from trainers.tasks.decoded import SURPRISE, Decoded
from trainers.tasks.task import Metric, check_at_least
from trainers.tasks.transduction import Labels

ORDERS = 4


@dataclass(frozen=True, kw_only=True)
class Translation(Decoded):
    """Sequence to sequence: words in, words out.

    BLEU is that of sacrebleu over words as they were parted beforehand: of the whole corpus, up to
    four words, a count of none smoothed by sacrebleu's `exp`. Unknown words match nothing.

    Attributes:
        unknown: The first so many classes stand for words that are not known.

    Reference:
        Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002;
        Post, "A call for clarity in reporting BLEU scores", WMT 2018.
    """

    name: ClassVar[str] = "translation"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("bleu", maximize=True, unit="BLEU, 0 to 100"),
        SURPRISE,
    )

    unknown: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("unknown", self.unknown, 0)

    def measure_answers(self, answers: Sequence[Labels], batch: Batch) -> dict[str, Tensor]:
        """(batch, 10) what BLEU is made of: lengths of answer and reference, matches and totals."""
        scorer = BLEU(tokenize="none", effective_order=True)
        rows = []
        for answer, reference in zip(answers, self.references(batch), strict=True):
            found = scorer.sentence_score(
                self._words(answer, "unknown"), [self._words(reference, "missing")]
            )
            rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
        return {"bleu": torch.tensor(rows, dtype=torch.float64)}

    def _words(self, labels: Labels, stand_in: str) -> str:
        return " ".join(stand_in if label < self.unknown else str(label) for label in labels)

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """See `Task.summarize`; BLEU is of all examples at once."""
        nats = examples[self.surprise].sum(dtype=np.float64)
        count = examples["count"].sum(dtype=np.float64)
        return {"bleu": _bleu(examples["bleu"].sum(axis=0)), self.surprise: float(nats / count)}

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """See `Task.example_losses`; an example counts by what BLEU is without it.

        Reference:
            Miller, "The jackknife - a review", Biometrika 1974; values are shifted so that their
            mean is the BLEU of all, without its correction for bias.
        """
        if metric != "bleu":
            return super().example_losses(examples, metric)
        rows = examples["bleu"]
        whole = rows.sum(axis=0)
        without = np.array([_bleu(whole - row) for row in rows])
        values: np.ndarray = (len(rows) - 1) * (without.mean() - without)
        return -_bleu(whole) - values


def _bleu(counts: np.ndarray) -> float:
    """Of a corpus."""
    answer, reference, *rest = counts.astype(np.int64).tolist()
    score = BLEU.compute_bleu(
        rest[:ORDERS], rest[ORDERS:], answer, reference, smooth_method="exp", max_ngram_order=ORDERS
    )
    return float(score.score)
