"""Sample inputs that several elementwise operations share."""

from __future__ import annotations

from typing import Any

from hograd.core.declare import case


def pairs(s: Any) -> list[Any]:
    """Two tensors of one shape, broadcast both ways, and with Python numbers on either side."""
    return [
        case(s.normal(3, 4), s.normal(3, 4)),
        case(s.normal(3, 1), s.normal(4)),
        case(s.normal(2, 3), 2.5),
        case(-1.5, s.normal(3)),
        case(s.normal(), s.normal(2)),
        case(s.normal(), s.normal()),
    ]


def positive_pairs(s: Any) -> list[Any]:
    return [
        case(s.positive(3, 4), s.positive(3, 4)),
        case(s.positive(3, 1), s.positive(4)),
        case(s.positive(2, 3), 2.5),
        case(1.5, s.positive(3)),
        case(s.positive(), s.positive()),
    ]


def anywhere(s: Any) -> list[Any]:
    return [case(s.normal(3, 4)), case(s.normal()), case(s.normal(2, 1, 3))]


def positive(s: Any) -> list[Any]:
    return [case(s.positive(3, 4)), case(s.positive()), case(s.positive(2, 1, 3))]


def away_from_zero(s: Any) -> list[Any]:
    return [case(s.away_from_zero(3, 4)), case(s.away_from_zero()), case(s.away_from_zero(2, 1, 3))]


def inside_one(s: Any) -> list[Any]:
    """Between -0.84 and 0.84, away from 0."""
    return [case(s.away_from_zero(3, 4) / 3), case(s.away_from_zero() / 3), case(s.away_from_zero(2, 1, 3) / 3)]


def probabilities(s: Any) -> list[Any]:
    """Between 0.1 and 0.77."""
    return [case(s.positive(3, 4) / 3 - 0.06), case(s.positive() / 3 - 0.06), case(s.positive(2, 1, 3) / 3 - 0.06)]
