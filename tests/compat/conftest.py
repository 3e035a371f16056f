"""These modules import PyTorch and have no examples, so they are not searched for any."""

collect_ignore = ["compare.py", "missing.py", "names.py"]
