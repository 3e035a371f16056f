"""Algorithms that are MAML with certain options, under the names of their papers."""

from __future__ import annotations

import dataclasses
from typing import Literal

from optim.meta.chosen import Filter, Learn, Learned
from optim.meta.maml import MAML


@dataclasses.dataclass(frozen=True, eq=False)
class FOMAML(MAML):
    """First-order MAML (Finn et al., 2017): `MAML` with `order=1`. Its memory does not grow with the inner steps.

    >>> from hograd import nn
    >>> FOMAML(nn.mlp([2, 8, 5]), steps=10).order
    1
    """

    order: Literal[1, 2] = 1


@dataclasses.dataclass(frozen=True, eq=False)
class ANIL(MAML):
    """Almost no inner loop (Raghu et al., 2020): `MAML` whose inner steps change the head alone.

    `adapted` may choose any other part.

    >>> from hograd import nn
    >>> ANIL(nn.mlp([2, 8, 5])).adapted
    'head'
    """

    adapted: Filter = "head"


@dataclasses.dataclass(frozen=True, eq=False)
class BOIL(MAML):
    """Body only in the inner loop (Oh et al., 2021): `MAML` whose inner steps change all but the head.

    >>> from hograd import nn
    >>> BOIL(nn.mlp([2, 8, 5])).adapted
    'not head'
    """

    adapted: Filter = "not head"


@dataclasses.dataclass(frozen=True, eq=False)
class MetaSGD(MAML):
    """Meta-SGD (Li et al., 2017): `MAML` with one step and a learned rate, free in sign, for each element.

    They begin at the rate of `inner`; the paper draws them between 0.005 and 0.1.

    >>> from hograd import nn
    >>> learned = MetaSGD(nn.mlp([1, 8, 1])).init(0)
    >>> learned["inner"]["lr"]["layer1"]["weight"].shape
    (8, 1)
    """

    steps: int = 1
    learn: Learn = dataclasses.field(default_factory=lambda: {"lr": Learned(per="element")})


@dataclasses.dataclass(frozen=True, eq=False)
class LSLR(MAML):
    """Per-layer, per-step learning rates (Antoniou et al., 2019): `MAML` with a learned rate for each in each step.

    >>> from hograd import nn
    >>> learned = LSLR(nn.mlp([1, 8, 1]), steps=3).init(0)
    >>> learned["inner"]["lr"]
    {'layer1': tensor([0.1000, 0.1000, 0.1000]), 'head': tensor([0.1000, 0.1000, 0.1000])}
    """

    learn: Learn = dataclasses.field(default_factory=lambda: {"lr": Learned(per="layer", per_step=True)})
