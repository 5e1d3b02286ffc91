"""Which trials train on: one scheduler for each family, so that no family can end another's."""

from search.motion.halving import Asha, FullTraining, Hyperband
from search.motion.population import PopulationTraining
from search.motion.scheduler import Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {
    "none": FullTraining,
    "asha": Asha,
    "hyperband": Hyperband,
    "pbt": PopulationTraining,
}
