"""Where trials run: this machine, or a cluster by its address."""
