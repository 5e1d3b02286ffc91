"""The training of one configuration: loop, optimisers, schedules, checkpoints, diagnostics."""
