"""A Dask cluster as the place where a run's work is done; nothing of this suite is installed on it."""
