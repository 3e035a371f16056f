"""What is no test here."""

collect_ignore = ["record_accuracy.py"]
