"""Apply a model to an image: exactly in tiles, or patch by patch."""
