"""These modules import PyTorch and have no examples, so they are not searched for any."""

collect_ignore = ["census.py", "compare.py", "differences.py", "missing.py", "names.py"]
