"""Trained models: presets, the `.aeanet` file, published checkpoints, feature statistics."""
