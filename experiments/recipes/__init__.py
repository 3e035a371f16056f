"""Experiments that a config describes, made of components: each module registers one."""

from experiments.recipes import bilevel as bilevel
from experiments.recipes import estimators as estimators
from experiments.recipes import meta as meta
from experiments.recipes import online as online
from experiments.recipes import single_loop as single_loop
