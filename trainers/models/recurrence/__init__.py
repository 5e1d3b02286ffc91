"""Recurrences over time: kinds of cells, for one model and for all members of an array at once."""
