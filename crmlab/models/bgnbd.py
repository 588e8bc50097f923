"""BG/NBD and MBG/NBD: buying at an own constant rate, leaving after a purchase.

References
----------
Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
Pareto/NBD model. *Marketing Science* 24(2), 275-284.
Batislam, E. P., Denizel, M. & Filiztekin, A. (2007). Empirical validation and comparison of models for customer base
analysis. *International Journal of Research in Marketing* 24(3), 201-209.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, betaln, expit, gammaln, polygamma, psi

from crmlab.models.base import Rows

if TYPE_CHECKING:
    from crmlab.models.base import Floats

    Params = Sequence[Floats]


_AT_A_TIME = 16  # terms of a series between two looks at which rows have arrived; rows of a quadrature
_MOST_TERMS = 1_024  # of a series; beyond, quadrature is quicker
_LOSS = 1e5  # a sum may be this much smaller than its largest term
_DENSITY = 48  # nodes of a quadrature per unit of its scale


def gamma_ratio(shape: "Floats", count: "Floats") -> "tuple[Floats, Floats, Floats]":
    """Log of gamma(shape + count) / gamma(shape), and its first two derivatives by the logarithm of the shape."""
    first = shape * (psi(shape + count) - psi(shape))
    second = first + shape**2 * (polygamma(1, shape + count) - polygamma(1, shape))
    return gammaln(shape + count) - gammaln(shape), first, second


def count_terms(data: Sequence["Floats"], params: Sequence["Floats"], at_once: int) -> Rows:
    """What depends on the number of purchases alone; `at_once` is 1 if a customer can leave at time zero (MBG)."""
    (x,) = data
    r, alpha, a, b = params
    grown, r_1, r_2 = gamma_ratio(r, x)
    stayed, b_1, b_2 = gamma_ratio(b, x + at_once)
    chance = gamma_ratio(a + b, x + at_once)
    ab_1, curve = chance[1] / (a + b), (chance[2] - chance[1]) / (a + b) ** 2
    gradient, hessian = np.zeros((4, len(x))), np.zeros((4, 4, len(x)))
    gradient[0], gradient[1] = r_1 + r * np.log(alpha), r
    gradient[2], gradient[3] = -a * ab_1, b_1 - b * ab_1
    hessian[0, 0], hessian[0, 1] = r_2 + r * np.log(alpha), r
    hessian[2, 2], hessian[2, 3] = gradient[2] - a * a * curve, -a * b * curve
    hessian[3, 3] = b_2 - b * ab_1 - b * b * curve
    return Rows(grown + r * np.log(alpha) + stayed - chance[0], gradient, hessian)


def time_terms(data: Sequence["Floats"], params: Sequence["Floats"], at_once: int) -> Rows:
    """What depends on the times: still a customer at `age`, or gone after the last purchase."""
    x, recency, age = data
    r, alpha, a, b = params
    end, last = alpha + age, alpha + recency
    log_end, shape = np.log(end), r + x
    spread, rest = log_end - np.log(last), b + x + (at_once - 1)
    if not at_once:
        rest = np.where(x > 0, rest, np.inf)  # nobody leaves before the first repeat purchase
    with np.errstate(divide="ignore"):
        odds = np.log(a / rest) + shape * spread
    small = np.exp(-np.abs(odds))
    gone = np.where(odds > 0, 1.0, small) / (1 + small)
    u, v = alpha / end, alpha / last
    d_r, d_alpha, d_b = r * spread, shape * (u - v), -b / rest
    unsure = gone * (1 - gone)
    gradient, hessian = np.empty((4, len(x))), np.empty((4, 4, len(x)))
    gradient[0] = gone * d_r - r * log_end
    gradient[1] = gone * d_alpha - shape * u
    gradient[2] = gone
    gradient[3] = gone * d_b
    hessian[0, 0] = gradient[0] + unsure * d_r * d_r
    hessian[0, 1] = gone * r * (u - v) - r * u + unsure * d_r * d_alpha
    hessian[0, 2] = unsure * d_r
    hessian[0, 3] = unsure * d_r * d_b
    hessian[1, 1] = gradient[1] + shape * (u * u + gone * (v * v - u * u)) + unsure * d_alpha * d_alpha
    hessian[1, 2] = unsure * d_alpha
    hessian[1, 3] = unsure * d_alpha * d_b
    hessian[2, 2] = unsure
    hessian[2, 3] = unsure * d_b
    hessian[3, 3] = gone * (d_b + d_b * d_b) + unsure * d_b * d_b
    return Rows(np.maximum(odds, 0) + np.log1p(small) - shape * log_end, gradient, hessian)


def log_odds_of_leaving(params: "Params", x: "Floats", recency: "Floats", age: "Floats", at_once: int) -> "Floats":
    """Log-odds that a customer with this history has left; minus infinity where nobody could have."""
    r, alpha, a, b = params
    could = (x > 0) | bool(at_once)
    rest = np.where(could, b + x + (at_once - 1), np.inf)
    with np.errstate(divide="ignore"):
        return np.log(a / rest) + (r + x) * (np.log(alpha + age) - np.log(alpha + recency))


def growth(params: "Params", x: "Floats", age: "Floats", t: "Floats | float", at_once: int) -> "Floats":
    """Expected purchases in the next `t` of a customer who has not left, shape of the broadcast arguments.

    Fader, Hardie & Lee (2005), eq. 10, after Euler's transformation of its hypergeometric function. Written as a sum,
    it has no singularity at a = 1 or a + b + x = 1, and no large powers. Where the sum would lose digits or need many
    terms, the mean over the chance of leaving is taken by quadrature.
    """
    r, alpha, a, b = params
    ratio = t / (alpha + age)
    shape, one, other, ratio = np.broadcast_arrays(r + x, a, b + x + at_once, ratio)
    order, lower, log_rest = one - 1, one + other - 1, -np.log1p(ratio)
    with np.errstate(all="ignore"):  # a sum that overflows is replaced
        series, largest = _series(order, lower - shape, lower, -np.expm1(log_rest))
        whole, rest = -lower * powers(order, log_rest), np.exp(order * log_rest)
        found = np.where(ratio > 0, whole - rest * series, 0.0)
        sure = np.isfinite(found) & (np.abs(whole) + rest * largest < _LOSS * np.abs(found))
    lost = (ratio > 0) & ~sure
    if lost.any():
        found[lost] = _mean_growth(*(each[lost] for each in (one, other, shape, ratio)))
    return found


def _mean_growth(a: "Floats", b: "Floats", shape: "Floats", ratio: "Floats") -> "Floats":
    """Mean of (1 - (1 + p × ratio)^-shape) / p over p ~ Beta(a, b): double-exponential quadrature over its log-odds."""
    total = np.empty(len(a))
    for place in range(0, len(a), _AT_A_TIME):
        rows = slice(place, place + _AT_A_TIME)
        one, other, power, times = (each[rows, None] for each in (a, b, shape, ratio))
        width = np.minimum(np.sqrt(1 / one + 1 / other), 1.0)
        left, right = (np.arcsinh(10 + 90 / each / width) for each in (one, other))
        w = np.linspace(0.0, 1.0, int(_DENSITY * (left + right).max())) * (left + right) - left
        odds = np.log(one / other) + width * np.sinh(w)
        log_p, log_q = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
        log_y = log_p + np.log(times)
        log_m = np.log(power) + np.where(log_y < -30, log_y, np.log(np.logaddexp(0, np.maximum(log_y, -30))))
        gain = np.where(log_m < -30, log_m, np.log(-np.expm1(-np.exp(np.maximum(log_m, -30))))) - log_p
        weight = one * log_p + other * log_q + np.log(np.cosh(w))
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        total[rows] = (weight * np.exp(gain)).sum(axis=1) / weight.sum(axis=1)
    return total


def powers(order: "Floats", log_rest: "Floats") -> "Floats":
    """(rest^order - 1) / order, which is log(rest) at order 0."""
    exponent = order * log_rest
    small = np.abs(exponent) < 1e-8
    safe = np.where(small, 1.0, order)
    return np.where(small, log_rest * (1 + exponent / 2), np.expm1(exponent) / safe)


def _series(order: "Floats", upper: "Floats", lower: "Floats", z: "Floats") -> "tuple[Floats, Floats]":
    """lower × (2F1(order, upper; lower; z) - 1) / order from its power series, and the size of its largest term.

    Rows that have arrived drop out; the size is infinite for those that have not after many terms.
    """
    shape = np.shape(z)
    o, u, c, z = (np.ravel(one) for one in (order, upper, lower, z))
    total, largest = np.zeros(len(z)), np.full(len(z), np.inf)
    row, part = np.arange(len(z)), u * z
    term, top, k = part.copy(), np.abs(part), 1
    while len(row) and k < _MOST_TERMS:
        for _ in range(_AT_A_TIME):
            term = term * ((o + k) * (u + k) * z / ((c + k) * (k + 1)))
            part, k = part + term, k + 1
            top = np.maximum(top, np.abs(term))
        going = np.abs(term) > 1e-17 * np.abs(part)
        total[row[~going]], largest[row[~going]] = part[~going], top[~going]
        row, part, term, top, o, u, c, z = (one[going] for one in (row, part, term, top, o, u, c, z))
    return total.reshape(shape), largest.reshape(shape)


def discounted(
    params: "Params", x: "Floats", age: "Floats", rate: float, horizon: float | None, at_once: int
) -> "Floats":
    """Purchases to come of a customer who has not left, discounted continuously at `rate` per unit of time."""
    return discount(lambda t: growth(params, x, age, t, at_once), rate, horizon)


def discount(growing: Callable[[float], "Floats"], rate: float, horizon: float | None) -> "Floats":
    """Present value of what grows as `growing(t)`, up to the horizon or for ever, by double-exponential quadrature."""
    if horizon is None:
        times = np.exp(np.arange(-28.0, 4.0, 0.25)) / rate
        weights, total = np.full(len(times), 0.25), np.zeros(1)
    else:
        w = np.arange(-3.2, 3.25, 0.1)
        share = expit(np.pi * np.sinh(w))
        times, weights = horizon * share, 0.1 * np.pi * np.cosh(w) * (1 - share)
        total = np.exp(-rate * horizon) * growing(horizon)
    for t, weight in zip(times, rate * times * np.exp(-rate * times) * weights, strict=True):
        total = total + weight * growing(t)
    return total


def purchase_probability(params: "Params", n: "Floats", t: float, at_once: int) -> "Floats":
    """Chance that a new customer makes n repeat purchases in time `t`: Fader, Hardie & Lee (2005), eq. 8."""
    r, alpha, a, b = params
    at_least = np.where(n > 0, betainc(np.maximum(n, 1), r, t / (alpha + t)), 1.0)
    exactly = np.exp(log_counts(r, alpha, n, np.asarray(t, dtype=float)))
    stays = np.exp(betaln(a, b + n + at_once) - betaln(a, b)) * exactly
    leaves = np.exp(betaln(a + 1, np.maximum(b + n + at_once - 1, 1e-300)) - betaln(a, b)) * at_least
    return stays + np.where((n > 0) | bool(at_once), leaves, 0.0)


def log_counts(r: "Floats", alpha: "Floats", n: "Floats", y: "Floats") -> "Floats":
    """Log-probability of n purchases in time y by the NBD."""
    fixed = gammaln(r + n) - gammaln(r) - gammaln(n + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = np.where(n > 0, n * np.log(y / (alpha + y)), 0.0)
    return fixed - r * np.log1p(y / alpha) + grown


def drawn(params: "Params", age: "Floats", rng: np.random.Generator, at_once: int) -> "tuple[Floats, Floats]":
    """Frequency and recency of customers observed for the times `age`."""
    r, alpha, a, b = params
    customers = len(age)
    possible = rng.poisson(rng.gamma(r, 1.0, customers) / alpha * age)
    leaves_after = rng.geometric(np.maximum(rng.beta(a, b, customers), 1e-300)) - at_once
    x = np.minimum(possible, leaves_after)
    last = rng.beta(np.maximum(x, 1), possible - x + 1)  # the x-th of so many uniform times
    return x.astype(float), np.where(x > 0, last * age, 0.0)
