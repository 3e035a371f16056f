"""Meta-learning: algorithms that learn from many tasks how to learn a new one.

An algorithm is an object with its options; `train` learns with it, `evaluate` judges it on tasks never seen, and
`adapt` is the small function underneath MAML.

>>> import hograd as ho
>>> from hograd import nn
>>> from optim import SGD, Adam, meta
>>> algorithm = meta.MAML(nn.mlp([1, 40, 1]), criterion=ho.mse, inner=SGD(lr=0.02), steps=1)
>>> tasks = meta.tasks.Sinusoids(shots=10)
>>> learned, history = meta.train(algorithm, tasks, Adam(lr=0.01), iterations=100, tasks_per_iteration=10)
>>> found = meta.evaluate(algorithm, learned, meta.tasks.Sinusoids(shots=10, seed=1), number=100, steps=[0, 1])
>>> found.loss[1].mean < found.loss[0].mean
True
"""

from optim.meta import tasks as tasks
from optim.meta.adaptation import adapt
from optim.meta.base import Algorithm, Examples, Task
from optim.meta.chosen import Learned
from optim.meta.context import CAVIA
from optim.meta.curvature import MetaCurvature, TNet, warped
from optim.meta.evaluation import Evaluation, evaluate
from optim.meta.family import ANIL, BOIL, FOMAML, LSLR, MetaSGD
from optim.meta.heads import R2D2, FeatureLearner, MatchingNetwork, PrototypicalNetwork
from optim.meta.implicit import IMAML
from optim.meta.learned_optimizers import LearnedLSTM, LearnedMLP, LearnToOptimize
from optim.meta.maml import MAML
from optim.meta.multi_step import MAMLPlusPlus
from optim.meta.reptile import Reptile
from optim.meta.solved_heads import LogisticHead, MetaOptNet
from optim.meta.training import Trained, make_step, start, train

__all__ = [
    "ANIL",
    "BOIL",
    "CAVIA",
    "FOMAML",
    "IMAML",
    "LSLR",
    "MAML",
    "R2D2",
    "Algorithm",
    "Evaluation",
    "Examples",
    "FeatureLearner",
    "LearnToOptimize",
    "Learned",
    "LearnedLSTM",
    "LearnedMLP",
    "LogisticHead",
    "MAMLPlusPlus",
    "MatchingNetwork",
    "MetaCurvature",
    "MetaOptNet",
    "MetaSGD",
    "PrototypicalNetwork",
    "Reptile",
    "TNet",
    "Task",
    "Trained",
    "adapt",
    "evaluate",
    "make_step",
    "start",
    "tasks",
    "train",
    "warped",
]
