"""Maximum likelihood, once for all models: Newton steps on exact derivatives, results with standard errors.

All parameters of the models here are positive. A model gives the log-likelihood of each row with its first and second
derivatives with respect to the logarithms of the parameters; everything else is here. A covariate acts on a parameter
as ``log(parameter) = log(base) + z @ gamma``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize

from crmlab.errors import CrmlabError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Floats = NDArray[Any]

#: The search has arrived when no component of the mean gradient, per unit of log-parameter, is larger.
SMALL = 1e-8
#: A log-parameter that moves further than this from its start has run away.
FAR = 14.0
#: More rows than this are first fitted on so many of them, which leaves a step or two for all rows.
SAMPLE = 20_000


class ConvergenceError(CrmlabError):
    """A model could not be fitted.

    Parameters
    ----------
    message : str
        What happened.
    checklist : sequence of str
        What the data look like, and what to try.
    """

    def __init__(self, message: str, checklist: Sequence[str]) -> None:
        self.checklist = tuple(checklist)
        super().__init__("\n  - ".join([message, *checklist]))


class Rows(NamedTuple):
    """Log-likelihood of n rows with its derivatives by the logarithms of the k parameters of each row.

    `value` has shape (n,), `gradient` (k, n), and `hessian` (k, k, n), of which the upper triangle is read.
    """

    value: "Floats"
    gradient: "Floats"
    hessian: "Floats"


class Total(NamedTuple):
    """The same, summed over rows, by the coefficients that are searched for."""

    value: float
    gradient: "Floats"
    hessian: "Floats"


#: Columns of data and parameters (each a number, or one for every row) to the terms of every row.
RowTerms = Callable[[Sequence["Floats"], Sequence["Floats"]], Rows]


@dataclass(frozen=True)
class Part:
    """A summand of a log-likelihood.

    Attributes
    ----------
    terms : callable
        What a row contributes.
    data : tuple of array, shape (n,)
        Columns that `terms` takes.
    weight : array, shape (n,)
        Customers that each row stands for.
    designs : tuple of array, shape (n, c_j), or None
        For every parameter its covariates, without a constant; None where it has none.
    chunk : int
        Rows that are evaluated at once: few enough to stay in the processor's cache.
    """

    terms: RowTerms
    data: "tuple[Floats, ...]"
    weight: "Floats"
    designs: "tuple[Floats | None, ...]"
    chunk: int = 8_192

    def at(self, coefficients: "Floats") -> Total:
        """Value and derivatives at log-parameters, each followed by the coefficients of its covariates."""
        places, count = _places(self.designs), len(coefficients)
        value, gradient, hessian = 0.0, np.zeros(count), np.zeros((count, count))
        for start in range(0, len(self.weight), self.chunk):
            rows = slice(start, start + self.chunk)
            designs = [None if one is None else one[rows] for one in self.designs]
            params = [_params(coefficients[place], z) for place, z in zip(places, designs, strict=True)]
            found, weight = self.terms([column[rows] for column in self.data], params), self.weight[rows]
            value += float(weight @ found.value)
            for j, (place, z) in enumerate(zip(places, designs, strict=True)):
                gradient[place] += _by(z, weight * found.gradient[j])
                for k in range(j, len(places)):
                    hessian[place, places[k]] += _across(z, designs[k], weight * found.hessian[j, k])
        for j, place in enumerate(places):
            for other in places[:j]:
                hessian[place, other] = hessian[other, place].T
        return Total(value, gradient, hessian)


@dataclass(frozen=True)
class Likelihood:
    """A log-likelihood: the sum of its parts, over so many customers."""

    parts: tuple[Part, ...]
    customers: float

    def at(self, coefficients: "Floats") -> Total:
        """Value and derivatives at log-parameters, each followed by the coefficients of its covariates."""
        first, *others = (part.at(coefficients) for part in self.parts)
        for one in others:
            first = Total(first.value + one.value, first.gradient + one.gradient, first.hessian + one.hessian)
        return first


def _places(designs: "Sequence[Floats | None]") -> list[slice]:
    """Where the coefficients of each parameter are."""
    widths = [1 if one is None else 1 + one.shape[1] for one in designs]
    ends = np.cumsum(widths)
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


def _params(coefficients: "Floats", z: "Floats | None") -> "Floats":
    base = coefficients[0]
    return np.exp(base if z is None else base + z @ coefficients[1:])


def _by(z: "Floats | None", values: "Floats") -> "Floats":
    total = np.array([values.sum()])
    return total if z is None else np.concatenate([total, values @ z])


def _across(one: "Floats | None", other: "Floats | None", values: "Floats") -> "Floats":
    if one is None:
        return _by(other, values)[None, :]
    left = np.column_stack([np.ones(len(values)), one])
    right = np.ones((len(values), 1)) if other is None else np.column_stack([np.ones(len(values)), other])
    return (left * values[:, None]).T @ right


@dataclass(frozen=True)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    coefficients : array, shape (c,)
        Logarithms of the parameters, and the coefficients of covariates.
    value : float
        Log-likelihood.
    covariance : array, shape (c, c)
        Inverse of the observed information about the coefficients; not a number where nothing was found.
    gradient : float
        Largest component of the mean gradient over customers.
    evaluations : int
        How often all rows were gone through.
    arrived : bool
        Whether this is a maximum inside the range of the parameters.
    """

    coefficients: "Floats"
    value: float
    covariance: "Floats"
    gradient: float
    evaluations: int
    arrived: bool


def maximise(likelihood: Likelihood, starts: Sequence["Floats"], *, rough: Likelihood | None = None) -> Optimum:
    """The maximum that the best of the starts leads to; the others are tried, from higher to lower, until one does.

    Where none leads to a maximum, the result is where the best of the searches ended.

    Parameters
    ----------
    likelihood : Likelihood
        Of all rows.
    starts : sequence of array, shape (c,)
        Where to begin, as coefficients.
    rough : Likelihood, optional
        Of a sample of the rows: its maximum is where the search over all rows begins.
    """
    if rough is not None:
        best = maximise(rough, starts)
        found = _climb(likelihood, best.coefficients)
        if best.arrived and found.arrived:
            return found
    last = []
    for start in sorted(starts, key=lambda one: _height(likelihood, one), reverse=True):
        last.append(_climb(likelihood, start))
        if last[-1].arrived:
            return last[-1]
    return max(last, key=lambda one: one.value)


def _height(likelihood: Likelihood, start: "Floats") -> float:
    value = likelihood.at(start).value
    return value if np.isfinite(value) else -np.inf


def _climb(likelihood: Likelihood, start: "Floats") -> Optimum:
    size, kept, evaluations = likelihood.customers, (np.array([]), Total(0.0, start, start)), 0

    def total(point: "Floats") -> Total:
        nonlocal kept, evaluations
        if not np.array_equal(point, kept[0]):
            value, gradient, hessian = likelihood.at(point)
            kept, evaluations = (point.copy(), Total(-value / size, -gradient / size, -hessian / size)), evaluations + 1
        return kept[1]

    nothing, point = np.full((len(start), len(start)), np.nan), start
    try:
        with np.errstate(all="ignore"):  # a step too far is seen in the value, and taken back
            point = minimize(
                lambda point: total(point).value,
                start,
                jac=lambda point: total(point).gradient,
                hess=lambda point: total(point).hessian,
                method="trust-exact",
                options={"gtol": SMALL / 10, "maxiter": 200, "initial_trust_radius": 1.0, "max_trust_radius": 4.0},
            ).x
            value, gradient, hessian = total(point)
    except (ValueError, np.linalg.LinAlgError):  # the likelihood is not finite on the way
        return Optimum(kept[0] if len(kept[0]) else start, -np.inf, nothing, np.inf, evaluations, False)
    arrived = _arrived(point - start, value, gradient, hessian)
    covariance = np.linalg.inv(hessian * size) if arrived else nothing
    return Optimum(point, float(-value * size), covariance, float(np.abs(gradient).max()), evaluations, arrived)


def _arrived(moved: "Floats", value: float, gradient: "Floats", hessian: "Floats") -> bool:
    known = np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(hessian).all()
    if not known or np.abs(gradient).max() > SMALL or np.abs(moved).max() > FAR:
        return False
    return bool(np.linalg.eigvalsh(hessian)[0] > 1e-9)
