"""Compare images and models with the truth: scores, statistics, reports."""
