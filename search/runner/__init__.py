"""Ray Tune carries the leases: driver, workers, and what happens when either dies."""
