"""Algorithms of meta-learning as components."""

from experiments.components import constraints as constraints  # these and optimizers annotate parameters here
from experiments.components import optimizers as optimizers
from experiments.components.registry import register
from optim import meta

for _name in (
    *("MAML", "FOMAML", "ANIL", "BOIL", "MetaSGD", "LSLR", "MAMLPlusPlus", "MetaCurvature", "TNet"),
    *("Reptile", "IMAML", "CAVIA", "LearnToOptimize"),
    *("PrototypicalNetwork", "MatchingNetwork", "R2D2", "LogisticHead", "MetaOptNet"),
):
    register("algorithm", supplied=("net", "criterion"))(getattr(meta, _name))
