"""Train a model on pairs: settings, plan, data, trainer, validation, run folder."""
