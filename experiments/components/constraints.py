"""Constraints of `optim`, as components."""

from experiments.components.derive import base
from experiments.components.registry import register
from optim import constraints
from optim.constraints import Constraint

base("constraint", Constraint)

for _made in vars(constraints).values():
    if isinstance(_made, type) and issubclass(_made, Constraint) and _made is not Constraint:
        register("constraint")(_made)
