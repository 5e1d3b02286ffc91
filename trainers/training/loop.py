"""The loop: one configuration with one seed, trained epoch by epoch."""

from trainers.training.array import TrainingArray
from trainers.training.member import Diverged, Measurement, Member

__all__ = ["Diverged", "Measurement", "Training", "TrainingArray"]


class Training(Member):
    """One configuration with one seed, trained epoch by epoch; knows neither Ray nor the study.

    A training that is saved, and restored in another process, goes on as if nothing had happened:
    on the CPU bit for bit at the same number of threads.
    """

    def run_epoch(self) -> Measurement:
        """Train for one epoch and validate.

        Raises:
            Diverged: The loss, the weights or the validation value are no longer finite.
        """
        (found,) = TrainingArray([self]).run_epoch()
        if isinstance(found, Diverged):
            raise found
        return found
