"""Prepared sequences, resident on a device, and the batches made of them."""
