"""Where a run's calls arrive: a file a backend, all of one contract (`base`), listed in `table`."""
