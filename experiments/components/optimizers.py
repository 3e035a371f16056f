"""Optimizers, schedules and minimizers of `optim`, as components."""

import optim
from experiments.components.derive import base
from experiments.components.registry import register
from optim import schedules
from optim.base import Optimizer
from optim.hyper import Online
from optim.meta import LearnedLSTM, LearnedMLP
from optim.minimizer import Minimizer
from optim.schedules import Schedule

base("optimizer", Optimizer)
base("schedule", Schedule)
base("minimizer", Minimizer)

for _name in optim.__all__:
    _made = getattr(optim, _name)
    if isinstance(_made, type) and issubclass(_made, Minimizer):
        register("minimizer")(_made)
    elif isinstance(_made, type) and issubclass(_made, Optimizer) and _made is not Optimizer:
        register("optimizer")(_made)
register("optimizer")(Online)
for _made in (LearnedMLP, LearnedLSTM):
    register("optimizer", supplied=("weights",))(_made)

for _made in vars(schedules).values():
    if isinstance(_made, type) and issubclass(_made, Schedule) and _made is not Schedule:
        register("schedule")(_made)
