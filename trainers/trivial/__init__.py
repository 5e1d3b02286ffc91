"""What can be had without a model."""
