"""Data sets and task distributions of the experiments, as NumPy arrays."""
