"""A study's folder: its log, its lock, and what lies beside them."""
