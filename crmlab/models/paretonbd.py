"""Pareto/NBD: buying at an own constant rate, leaving at an own constant rate.

What the customer may have done between the last purchase and the end of observation is an integral over the time of
leaving. It is evaluated by Gauss-Legendre quadrature on a logarithmic time scale, which is accurate to about nine
digits for any parameters and gives all derivatives with it; the hypergeometric functions of the closed form do neither.

References
----------
Schmittlein, D. C., Morrison, D. G. & Colombo, R. (1987). Counting your customers: who are they and what will they do
next? *Management Science* 33(1), 1-24.
Fader, P. S. & Hardie, B. G. S. (2005). A note on deriving the Pareto/NBD model and related expressions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.legendre import leggauss

from crmlab.models.base import Rows
from crmlab.models.bgnbd import discount, gamma_ratio, log_counts, powers

if TYPE_CHECKING:
    from crmlab.models.base import Floats

    Params = Sequence[Floats]


def _rule(count: int) -> "tuple[Floats, Floats]":
    nodes, weights = leggauss(count)
    return (nodes[:, None] + 1) / 2, np.log(weights[:, None] / 2)


_FEW, _MANY = _rule(16), _rule(40)
_NEAR = 3.0  # up to this reach on the logarithmic scale the few nodes are exact to 1e-9
_NEGLIGIBLE = 37.0  # exp(-37) of the integrand is below rounding


def count_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """What depends on the number of purchases alone."""
    (x,) = data
    r, alpha, s, beta = params
    grown, r_1, r_2 = gamma_ratio(r, x)
    gradient, hessian = np.zeros((4, len(x))), np.zeros((4, 4, len(x)))
    gradient[0], gradient[1] = r_1 + r * np.log(alpha), r
    gradient[2], gradient[3] = s * np.log(beta), s
    hessian[0, 0], hessian[0, 1] = r_2 + r * np.log(alpha), r
    hessian[2, 2], hessian[2, 3] = s * np.log(beta), s
    return Rows(grown + r * np.log(alpha) + s * np.log(beta), gradient, hessian)


def time_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """What depends on the times: still a customer at `age`, or gone since the last purchase."""
    x, _, age = data
    r, alpha, s, beta = params
    shape = r + x
    log_a, log_b = np.log(alpha + age), np.log(beta + age)
    u, v = alpha / (alpha + age), beta / (beta + age)
    there = -shape * log_a - s * log_b
    log_area, share, la, lb, ua, vb = _leaving(data, params)
    odds = np.log(s) + log_area - there
    small = np.exp(-np.abs(odds))
    gone = np.where(odds > 0, 1.0, small) / (1 + small)
    zero = np.zeros(len(x))
    stay_1 = np.array([-r * log_a, -shape * u, -s * log_b, -s * v])
    factors = (-r, -shape, -s, -(s + 1))
    nodes = (la, ua, lb, vb)
    means = [(share * one).sum(axis=0) for one in nodes]
    left_1 = np.array([f * m for f, m in zip(factors, means, strict=True)])
    left_1[2] += 1
    gap = left_1 - stay_1
    hessian = np.empty((4, 4, len(x)))
    unsure = gone * (1 - gone)
    for j in range(4):
        weighted = share * nodes[j]
        for k in range(j, 4):
            spread = factors[j] * factors[k] * ((weighted * nodes[k]).sum(axis=0) - means[j] * means[k])
            hessian[j, k] = gone * spread + unsure * gap[j] * gap[k]
    curve_a, curve_b = ((share * one * one).sum(axis=0) for one in (ua, vb))
    stay_2 = {(0, 0): stay_1[0], (0, 1): -r * u, (1, 1): -shape * u * (1 - u), (2, 2): stay_1[2], (2, 3): -s * v}
    stay_2[3, 3] = -s * v * (1 - v)
    left_2 = {(0, 0): left_1[0], (0, 1): -r * means[1], (1, 1): -shape * (means[1] - curve_a)}
    left_2 |= {(2, 2): left_1[2] - 1, (2, 3): -s * means[3], (3, 3): -(s + 1) * (means[3] - curve_b)}
    for place in stay_2:
        hessian[place] += (1 - gone) * stay_2[place] + gone * left_2[place]
    gradient = (1 - gone) * stay_1 + gone * left_1
    return Rows(there + np.maximum(odds, zero) + np.log1p(small), gradient, hessian)


def _leaving(data: Sequence["Floats"], params: "Params") -> "tuple[Floats, Floats, Floats, Floats, Floats, Floats]":
    """Log of the integral over the time y of leaving, and what there is at its nodes, shape (nodes, n).

    These are the share of the integral, log(alpha + y), log(beta + y), alpha / (alpha + y) and beta / (beta + y).
    """
    x, recency, age = data
    r, alpha, s, beta = params
    nearer, gap = np.minimum(alpha, beta), np.abs(alpha - beta)
    begin = nearer + recency
    reach = np.log1p((age - recency) / begin)
    decay = (r + x) * begin / (alpha + recency) + (s + 1) * begin / (beta + recency) - 1
    with np.errstate(divide="ignore"):
        reach = np.minimum(reach, np.where(decay > 0, _NEGLIGIBLE / np.abs(decay), np.inf))
    nodes, log_weights = _FEW if reach.max(initial=0.0) <= _NEAR else _MANY
    u = nodes * reach
    log_near = np.log(begin) + u
    near = begin * np.exp(u)
    far = near + gap
    log_far = np.log(far)
    first = alpha <= beta
    if np.ndim(first):
        la, lb = np.where(first, log_near, log_far), np.where(first, log_far, log_near)
        ua, vb = alpha / np.where(first, near, far), beta / np.where(first, far, near)
    else:
        la, lb = (log_near, log_far) if first else (log_far, log_near)
        ua, vb = alpha / (near if first else far), beta / (far if first else near)
    log = log_near - (r + x) * la - (s + 1) * lb + log_weights
    top = log.max(axis=0)
    share = np.exp(log - top)
    area = share.sum(axis=0)
    with np.errstate(divide="ignore"):  # nobody can have left when the last purchase is the end
        return top + np.log(area) + np.log(reach), share / area, la, lb, ua, vb


def log_odds_of_leaving(params: "Params", x: "Floats", recency: "Floats", age: "Floats") -> "Floats":
    """Log-odds that a customer with this history has left."""
    r, alpha, s, beta = params
    there = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    return np.log(s) + _leaving((x, recency, age), params)[0] - there


def growth(params: "Params", x: "Floats", age: "Floats", t: "Floats | float") -> "Floats":
    """Expected purchases in the next `t` of a customer who has not left: Fader & Hardie (2005), eq. 41."""
    r, alpha, s, beta = params
    return -(r + x) * (beta + age) / (alpha + age) * powers(s - 1, -np.log1p(t / (beta + age)))


def discounted(params: "Params", x: "Floats", age: "Floats", rate: float, horizon: float | None) -> "Floats":
    """Purchases to come of a customer who has not left, discounted continuously at `rate` per unit of time."""
    r, alpha, s, beta = params
    if any(np.ndim(one) for one in params):
        return discount(lambda t: growth(params, x, age, t), rate, horizon)
    ages, place = np.unique(age, return_inverse=True)
    return ((r + x) / (alpha + age)) * (discount(lambda t: _staying(s, beta + ages, t), rate, horizon))[place]


def _staying(s: "Floats", later: "Floats", t: float) -> "Floats":
    return -later * powers(s - 1, -np.log1p(t / later))


def purchase_probability(params: "Params", n: "Floats", t: "Floats | float") -> "Floats":
    """Chance that a new customer makes n repeat purchases in time `t`, by quadrature over the time of leaving."""
    r, alpha, s, beta = params
    reach = np.log1p(t / beta)
    nodes, weights = _MANY
    y = beta * np.expm1(nodes * reach)
    with np.errstate(divide="ignore"):
        log_weights = weights + np.log(reach) + np.log(s) - s * np.log1p(y / beta)
    leaves = np.exp(log_weights + log_counts(r, alpha, n, y)).sum(axis=0)
    return leaves + np.exp(-s * reach + log_counts(r, alpha, n, np.asarray(t)))


def drawn(params: "Params", age: "Floats", rng: np.random.Generator) -> "tuple[Floats, Floats]":
    """Frequency and recency of customers observed for the times `age`."""
    r, alpha, s, beta = params
    customers = len(age)
    left = rng.exponential(1.0, customers) / (np.maximum(rng.gamma(s, 1.0, customers), 1e-300) / beta)
    span = np.minimum(left, age)
    x = rng.poisson(rng.gamma(r, 1.0, customers) / alpha * span)
    last = rng.beta(np.maximum(x, 1), 1.0)  # the latest of so many uniform times
    return x.astype(float), np.where(x > 0, last * span, 0.0)
