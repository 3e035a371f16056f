"""One module an experiment; `experiments.schema` names the class that runs it."""
