"""One small instance of every algorithm, for the contract that all fulfil."""

import functools

import numpy as np

import hograd as ho
from hograd import nn
from optim import SGD, Adam
from optim.clip import ClipByNorm
from optim.compose import chain
from optim.constraints import Positive, UnitInterval
from optim.meta import (
    ANIL,
    BOIL,
    CAVIA,
    FOMAML,
    IMAML,
    LSLR,
    MAML,
    R2D2,
    Learned,
    LearnedLSTM,
    LearnedMLP,
    LearnToOptimize,
    LogisticHead,
    MAMLPlusPlus,
    MatchingNetwork,
    MetaCurvature,
    MetaOptNet,
    MetaSGD,
    PrototypicalNetwork,
    Reptile,
    TNet,
)
from optim.meta.tasks import Blobs

TASKS = Blobs(ways=3, shots=2, queries=2, features=4)
NET = nn.mlp([4, 5, 3], ho.tanh)
INNER = SGD(lr=0.3)
TRANSDUCTIVE = functools.partial(nn.batch_norm, statistics="transductive")

MEMBERS = {
    "MAML": MAML(NET, inner=INNER, steps=2),
    "FOMAML": FOMAML(NET, inner=INNER, steps=2),
    "MAML, momentum and decay learned": MAML(
        NET,
        inner=SGD(lr=0.3, momentum=0.5, weight_decay=0.01),
        steps=3,
        learn={"lr": Positive(), "momentum": UnitInterval(), "weight_decay": Positive()},
    ),
    "MAML, Adam inside": MAML(NET, inner=Adam(lr=0.1, eps=0.1), steps=2, learn=("lr", "betas")),
    "MAML, clipped inside": MAML(NET, inner=chain(ClipByNorm(0.1), INNER), steps=2, learn=("optimizer.lr",)),
    "MAML, no steps": MAML(NET, steps=0),
    "MAML, per layer": MAML(NET, inner=INNER, steps=2, learn={"lr": Learned(per="layer", within=Positive())}),
    "MAML, per parameter": MAML(NET, inner=INNER, steps=2, learn={"lr": Learned(per="parameter")}),
    "ANIL": ANIL(NET, inner=INNER, steps=2),
    "ANIL, rates learned": ANIL(NET, inner=INNER, steps=2, learn={"lr": Learned(per="layer", per_step=True)}),
    "BOIL": BOIL(NET, inner=INNER, steps=2),
    "MetaSGD": MetaSGD(NET, inner=INNER),
    "LSLR": LSLR(NET, inner=INNER, steps=2),
    "MAMLPlusPlus": MAMLPlusPlus(NET, inner=INNER, steps=2, multi_step=5),
    "MetaCurvature": MetaCurvature(NET, inner=INNER, steps=2),
    "MetaCurvature of the head": MetaCurvature(NET, inner=INNER, steps=2, adapted="head", learn=("lr",)),
    "TNet": TNet(NET, inner=INNER, steps=2),
    "Reptile": Reptile(NET, inner=INNER, steps=3),
    "IMAML": IMAML(NET, inner=SGD(lr=0.18), steps=20, penalty=5.0, products=25),
    "IMAML of the head": IMAML(NET, inner=SGD(lr=0.18), steps=20, penalty=5.0, products=25, adapted="head"),
    "CAVIA": CAVIA(nn.mlp([4 + 2, 5, 3], ho.tanh), context=2, inner=SGD(lr=0.5), steps=2),
    "PrototypicalNetwork": PrototypicalNetwork(NET),
    "PrototypicalNetwork, cosine": PrototypicalNetwork(NET, distance="cosine"),
    "MatchingNetwork": MatchingNetwork(NET),
    "R2D2": R2D2(NET),
    "R2D2, more examples than features": R2D2(nn.mlp([4, 2, 3], ho.tanh)),
    "LogisticHead": LogisticHead(NET),
    "MetaOptNet": MetaOptNet(NET, C=1.0),
    "LearnToOptimize, MLP": LearnToOptimize(NET, inner=LearnedMLP(hidden=4, lr=0.1), steps=3, order=2),
    "LearnToOptimize, LSTM": LearnToOptimize(NET, inner=LearnedLSTM(hidden=3), steps=3, order=2),
    "LearnToOptimize, Adam": LearnToOptimize(NET, inner=Adam(lr=0.1), steps=3, order=2, learn={"lr": Positive()}),
    "transductive batch norm": MAML(nn.mlp([4, 5, 3], ho.tanh, norm=TRANSDUCTIVE), inner=INNER, steps=2),
}


def moved(learned, seed=0, size=0.1):
    """What is learned, away from its first values: there some parts may be alike."""
    random = np.random.default_rng(seed)
    return ho.tree.map(lambda leaf: leaf + size * ho.tensor(random.standard_normal(leaf.shape)), learned)
