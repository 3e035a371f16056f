"""The run folder: claimed by one process, filled by atomic writes, and whole however the run ends."""
