"""The worker that freezes datasets, measures models on them, and fits whitening, PCA and
calibrations."""
