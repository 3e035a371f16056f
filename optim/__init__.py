"""optim: optimizers that are differentiable in their hyperparameters, hypergradients, and meta-learning."""

from optim import clip, compose, constraints, hyper, meta, schedules, stateful
from optim.adabelief import AdaBelief
from optim.adafactor import Adafactor
from optim.adagrad import Adadelta, Adagrad
from optim.adam import Adam, AdamW, AMSGrad
from optim.adamax import Adamax
from optim.adan import Adan
from optim.asgd import ASGD
from optim.base import Optimizer
from optim.layerwise import LAMB, LARS
from optim.lbfgs import LBFGS
from optim.lion import Lion
from optim.muon import Muon
from optim.nadam import NAdam, RAdam
from optim.nonlinear_cg import NonlinearCG
from optim.polyak import PolyakSGD
from optim.rmsprop import RMSprop
from optim.rprop import Rprop
from optim.sgd import SGD
from optim.stateful import bind
from optim.yogi import Yogi

__all__ = [
    "SGD",
    "PolyakSGD",
    "ASGD",
    "Rprop",
    "Adagrad",
    "Adadelta",
    "RMSprop",
    "Adam",
    "AdamW",
    "AMSGrad",
    "NAdam",
    "RAdam",
    "Adamax",
    "AdaBelief",
    "Adan",
    "Yogi",
    "Lion",
    "Adafactor",
    "LAMB",
    "LARS",
    "Muon",
    "LBFGS",
    "NonlinearCG",
    "Optimizer",
    "clip",
    "compose",
    "constraints",
    "hyper",
    "meta",
    "schedules",
    "stateful",
    "bind",
]
