"""The recorders import other libraries and have no examples, so they are not searched for any."""

collect_ignore = ["record_torch.py", "record_optax.py", "record_schedules.py"]
