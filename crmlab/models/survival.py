"""Staying by the beta distribution: the chance to be there still, and what it is worth."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln

from crmlab.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crmlab.models.base import Floats

#: Sum of the parameters of a beta distribution that is a point to rounding.
ONE_CHANCE = 1e12
_STEP = 0.125  # of the logarithm of time, for the integral
_LARGE = 30.0  # from here on four terms of Stirling's series are exact to rounding
_DIRECT = 1_024  # terms of a sum that are added one by one; the rest is an integral


def log_staying(leave: "Floats | float", stay: "Floats | float", u: "Floats") -> "Floats":
    """Log of B(leave, stay + u) / B(leave, stay): of not leaving u times, at a chance to leave ~ Beta(leave, stay).

    Where `stay` is large it is a difference of Stirling's series, which keeps the digits of a small loss. Above
    `ONE_CHANCE` / 2 the distribution is a point.
    """
    spread = np.where(
        stay > np.maximum(_LARGE, leave),
        _stirling(leave, np.maximum(stay + u, _LARGE)) - _stirling(leave, np.maximum(stay, _LARGE)),
        betaln(leave, stay + u) - betaln(leave, stay),
    )
    return np.where(np.add(leave, stay) > ONE_CHANCE / 2, -u * np.log1p(leave / stay), spread)


def _stirling(a: "Floats | float", y: "Floats | float") -> "Floats":
    """Log of gamma(y) / gamma(y + a) for large y."""
    return -(y - 0.5) * np.log1p(a / y) - a * np.log(y + a) + a + _rest(y) - _rest(y + a)


def _rest(z: "Floats | float") -> "Floats | float":
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * z**2)) / z**2) / z**2) / z


def discounted_sum(staying: "Callable[[Floats], Floats]", rate: float) -> float:
    """Sum of staying(t) / (1 + rate)^t over t = 0, 1, 2, ..., for a smooth function that falls from 1.

    The first terms are added, the rest is an integral with the corrections of Euler and Maclaurin.
    """
    force = float(np.log1p(rate))

    def worth(t: "Floats") -> "Floats":
        return np.exp(-force * t) * staying(t)

    ends = worth(_DIRECT + np.array([-0.5, 0.0, 0.5]))
    later = np.exp(np.arange(-36.0, 4.0, _STEP)) / force
    rest = _STEP * (later * worth(_DIRECT + later)).sum() + ends[1] / 2 - (ends[2] - ends[0]) / 12
    return float(worth(np.arange(float(_DIRECT))).sum() + rest)


def period_rate(annual_discount_rate: float, periods_per_year: float) -> float:
    """The rate per period that compounds to the annual one.

    Raises
    ------
    ContractError
        If one of the two is not positive.
    """
    for name, value in {"annual_discount_rate": annual_discount_rate, "periods_per_year": periods_per_year}.items():
        if not (np.isfinite(value) and value > 0):
            raise ContractError(f"{name} must be positive, such as 0.1 and 12; got {value}")
    return float(np.expm1(np.log1p(annual_discount_rate) / periods_per_year))
