"""The study in motion: which lease next, and what a result means; plain Python without Ray."""
