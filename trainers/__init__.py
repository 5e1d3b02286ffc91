"""One configuration in, measurements out: models, tasks, data and the training of one trial."""
