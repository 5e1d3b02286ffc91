"""What proposes configurations: one sampler for each family."""

from search.samplers.cma_es import CmaEsSampler
from search.samplers.evolution import EvolutionSampler
from search.samplers.gaussian_process import GaussianProcessSampler
from search.samplers.nondominated import NondominatedSorting
from search.samplers.random_sampler import RandomSampler
from search.samplers.sampler import Sampler
from search.samplers.tpe import TreeParzenSampler

SAMPLERS: dict[str, type[Sampler]] = {
    "random": RandomSampler,
    "tpe": TreeParzenSampler,
    "gp": GaussianProcessSampler,
    "cma_es": CmaEsSampler,
    "evolution": EvolutionSampler,
    "nsga2": NondominatedSorting,
}

__all__ = [
    "SAMPLERS",
    "CmaEsSampler",
    "EvolutionSampler",
    "GaussianProcessSampler",
    "NondominatedSorting",
    "RandomSampler",
    "Sampler",
    "TreeParzenSampler",
]
