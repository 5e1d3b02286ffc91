"""What proposes configurations: one sampler for each family."""

from search.samplers.optuna_sampler import TreeParzenSampler
from search.samplers.random_sampler import RandomSampler
from search.samplers.sampler import Sampler

SAMPLERS: dict[str, type[Sampler]] = {
    "random": RandomSampler,
    "tpe": TreeParzenSampler,
}

__all__ = ["SAMPLERS", "RandomSampler", "Sampler", "TreeParzenSampler"]
