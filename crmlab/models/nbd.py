"""NBD: counts of purchases (or of exposures) in one period, with a rate of their own for everybody.

References
----------
Ehrenberg, A. S. C. (1959). The pattern of consumer purchases. *Applied Statistics* 8(1), 26-41.
Morrison, D. G. & Schmittlein, D. C. (1988). Generalizing the NBD model for customer purchases: what are the
implications and is it worth the effort? *Journal of Business & Economic Statistics* 6(2), 145-159.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import betainc, chdtrc, gammaln

from crmlab.contracts import broken_rules
from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError, Likelihood, Part, Rows, maximise
from crmlab.models.bgnbd import gamma_ratio, log_counts
from crmlab.models.counts import as_times
from crmlab.models.sampling import Refit, SampledResults, as_parameters, as_share, left_at

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_ADVICE = (
    "a large r: all have the same rate, and a Poisson distribution is enough",
    "pi near 0: the NBD without a zero class is enough",
)


class NBD:
    """Purchases in a period are Poisson, with an own rate ~ Gamma(r, alpha) for everybody.

    Parameters
    ----------
    counts : pandas.Series or pandas.DataFrame
        People by their number of purchases: a series of people with the number as index, or a frame whose first
        column is the number and whose second the people.
    zero_class : bool, default False
        Whether there is a share pi of people, beside the others, who never buy.
    censored_from : int, optional
        The largest number, when its people have bought so often *or more often*.
    exposure : float, default 1.0
        Length of the period of the counts; rates are per unit of it.

    Raises
    ------
    ContractError
        If these are no counts, naming the rows.

    Examples
    --------
    >>> champagne = pd.Series([400, 60, 30, 20, 8, 8, 9, 6, 27])
    >>> results = NBD(champagne, censored_from=8).fit()
    >>> results.params.round(3).tolist()
    [0.161, 0.129]
    """

    def __init__(
        self,
        counts: pd.Series | pd.DataFrame,
        *,
        zero_class: bool = False,
        censored_from: int | None = None,
        exposure: float = 1.0,
    ) -> None:
        self.counts = read_counts(counts)
        if censored_from is not None and censored_from != self.counts.index[-1]:
            raise ContractError(
                f"censored_from={censored_from} must be the largest number of purchases, {self.counts.index[-1]}"
            )
        if not (np.isfinite(exposure) and exposure > 0):
            raise ContractError(f"exposure must be positive, got {exposure}")
        self.zero_class, self.censored_from, self.exposure = zero_class, censored_from, float(exposure)

    def fit(self) -> "NBDResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        x, people = self.counts.index.to_numpy(dtype=float), self.counts.to_numpy()
        mean = float(np.average(x, weights=people))
        facts = _facts(x, people)
        if mean == 0 or (people > 0).sum() < 2:
            raise ConvergenceError("NBD cannot be fitted: all have the same number of purchases", facts)
        refit = _Refit(x, self.zero_class, self.censored_from)
        starts = [np.log([r, r / mean, *([odds] * self.zero_class)]) for r, odds in ((1.0, 0.2), (0.2, 0.05), (5.0, 1))]
        found = maximise(refit(people), starts)
        names = ["r", "alpha", "pi"][: len(found.coefficients)]
        params, covariance = as_parameters(found, names, NBDResults.shares)
        params["alpha"] *= self.exposure
        grow = np.where(params.index == "alpha", self.exposure, 1.0)
        if not found.arrived:
            raise ConvergenceError("NBD did not converge", [*facts, *left_at(params), *_ADVICE])
        return NBDResults(
            model="NBD with a zero class" if self.zero_class else "NBD",
            params=params,
            cov_params=covariance * np.outer(grow, grow),
            llf=found.value,
            customers=float(people.sum()),
            gradient=found.gradient,
            time_unit="",
            refit=_Refit(x, self.zero_class, self.censored_from, self.exposure),
            weight=people,
            counts=self.counts,
            censored_from=self.censored_from,
            exposure=self.exposure,
        )


def read_counts(counts: pd.Series | pd.DataFrame) -> pd.Series:
    """People by number of purchases, in order.

    Raises
    ------
    ContractError
        If a number is not whole, missing or there twice, or people are negative or missing, naming the rows.
    """
    if isinstance(counts, pd.DataFrame):
        if counts.shape[1] < 2:
            raise ContractError("counts need two columns: the number of purchases, and the people")
        counts = pd.Series(counts.iloc[:, 1].to_numpy(), index=counts.iloc[:, 0].to_numpy())
    x = pd.to_numeric(pd.Series(counts.index), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    people = pd.to_numeric(pd.Series(counts.to_numpy()), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    rules = {
        "number of purchases: not a whole number, 0 or more": ~(np.isfinite(x) & (x >= 0) & (x % 1 == 0)),
        "number of purchases: there twice": pd.Series(x).duplicated().to_numpy(),
        "people: not a number, 0 or more": ~(np.isfinite(people) & (people >= 0)),
    }
    problems = broken_rules(rules)
    if not problems and not people.sum() > 0:
        problems = ["there are no people"]
    if problems:
        raise ContractError("these are no counts of people by purchases (rows counted from 1)", problems)
    index = pd.Index(x.astype("int64"), name="purchases")
    return pd.Series(people, index=index, name="people").sort_index()


def _facts(x: "Floats", people: "Floats") -> list[str]:
    mean = np.average(x, weights=people)
    variance = np.average((x - mean) ** 2, weights=people)
    return [
        f"{people.sum():,.0f} people, {people[x == 0].sum():,.0f} of them without a purchase, the others with up to "
        f"{x[people > 0].max():.0f}",
        f"mean {mean:.4g}, variance {variance:.4g}" + ("" if variance > mean else ", not above the mean as in an NBD"),
    ]


@dataclass(frozen=True, eq=False)
class _Refit(Refit):
    """The log-likelihood of counts, per period, for other people."""

    x: "Floats"
    zero_class: bool
    censored_from: int | None
    exposure: float = 1.0

    def __call__(self, weight: "Floats") -> Likelihood:
        designs = (None,) * (2 + self.zero_class)
        last = np.zeros(len(self.x), dtype=bool) if self.censored_from is None else self.x == self.censored_from
        whole = (weight > 0) & ~last
        parts = [Part(count_terms, (self.x[whole],), weight[whole], designs)]
        if weight[last].sum():
            parts.append(Part(tail_terms, (self.x[last],), weight[last], designs))
        return Likelihood(tuple(parts), float(weight.sum()))

    def unit(self) -> "Floats":
        return np.array([0.0, np.log(self.exposure), *([0.0] * self.zero_class)])


def count_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-probability of x purchases in a period of length 1; the third parameter is the odds of the zero class."""
    (x,) = data
    rows = _nbd(x, params[0], params[1])
    return rows if len(params) == 2 else _with_zero_class(rows, x == 0, params[2])


def tail_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-probability of k purchases or more, each k alone in its row."""
    r, alpha = params[0], params[1]
    found = [_tail(k, r, alpha) for k in data[0]]
    rows = Rows(*(np.stack([one[place] for one in found], axis=-1) for place in range(3)))
    return rows if len(params) == 2 else _with_zero_class(rows, data[0] == 0, params[2])


def _nbd(x: "Floats", r: "Floats", alpha: "Floats") -> Rows:
    w, rest = 1 / (alpha + 1), alpha / (alpha + 1)
    log_rest = -np.log1p(1 / alpha)
    grown, r_1, r_2 = gamma_ratio(r, x)
    gradient, hessian = np.array([r_1 + r * log_rest, r * w - x * rest]), np.zeros((2, 2, len(x)))
    hessian[0, 0], hessian[0, 1], hessian[1, 1] = r_2 + r * log_rest, r * w, -(r + x) * w * rest
    return Rows(grown - gammaln(x + 1) + r * log_rest - x * np.log1p(alpha), gradient, hessian)


def _tail(k: float, r: "Floats", alpha: "Floats") -> Rows:
    rows = _nbd(np.arange(k), r, alpha)
    chance = np.exp(rows.value)
    tail = betainc(k, r, 1 / (alpha + 1))
    log = np.log(tail)
    gradient = -(chance * rows.gradient).sum(axis=1) / tail
    products = rows.gradient[:, None] * rows.gradient
    hessian = -(chance * (rows.hessian + products)).sum(axis=2) / tail - gradient[:, None] * gradient
    return Rows(log, gradient, hessian)


def _with_zero_class(rows: Rows, none: "Floats", odds: "Floats") -> Rows:
    """Mix in a class that never buys, whose share is odds / (1 + odds)."""
    share = odds / (1 + odds)
    with np.errstate(over="ignore"):
        never = np.where(none, 1 / (1 + np.exp(rows.value) / odds), 0.0)
    unsure = never * (1 - never)
    value = np.where(none, np.logaddexp(np.log(odds), rows.value), rows.value) - np.log1p(odds)
    gradient, hessian = np.empty((3, len(none))), np.zeros((3, 3, len(none)))
    gradient[:2], gradient[2] = (1 - never) * rows.gradient, never - share
    products = rows.gradient[:, None] * rows.gradient
    hessian[:2, :2] = (1 - never) * rows.hessian + unsure * products
    hessian[:2, 2], hessian[2, 2] = -unsure * rows.gradient, unsure - share * (1 - share)
    return Rows(value, gradient, hessian)


@dataclass(frozen=True, eq=False)
class GoodnessOfFit:
    """Pearson's chi-square test of a fitted distribution of counts.

    Attributes
    ----------
    table : pandas.DataFrame
        ``observed`` and ``expected`` people and their ``contribution`` to the statistic; the last row stands for its
        number of purchases or more.
    statistic : float
        Sum of the contributions.
    df : int
        Rows less one, less the parameters of the model.
    p_value : float
        Chance of a larger statistic if the model were true; not a number without degrees of freedom.
    """

    table: pd.DataFrame
    statistic: float
    df: int
    p_value: float


@dataclass(frozen=True, eq=False, repr=False)
class NBDResults(SampledResults):
    """A fitted NBD: how purchases are distributed over people, in the period of the data or another one.

    Attributes
    ----------
    counts : pandas.Series or None
        What it was fitted to; None when it was read from a file.
    censored_from : int or None
        As given.
    exposure : float
        Length of the period of the counts, which is `t` where no other is given.
    """

    shares: ClassVar[tuple[str, ...]] = ("pi",)
    counts: pd.Series | None = None
    censored_from: int | None = None
    exposure: float = 1.0

    def probabilities(
        self, most: int, t: float | None = None, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> Any:
        """Chance of 0, 1, ..., `most` purchases in a period of length `t`; with a level as a frame with an interval."""
        x, span = np.arange(most + 1), self._span(t)
        found = self._predicted(lambda one: _probabilities(one, x, span), level, draws, top=1.0)
        index = pd.Index(x, name="purchases")
        return pd.DataFrame(found, index=index) if level is not None else pd.Series(found, index, name="probability")

    def mean(self, t: float | None = None) -> float:
        """Expected purchases per head in a period of length `t`."""
        r, alpha, pi = _split(self.coefficients)
        return float((1 - pi) * r / alpha * self._span(t))

    def share_of_heaviest(self, share: float, t: float | None = None, *, buyers: bool = False) -> float:
        """Share of all purchases in a period of length `t` that the heaviest `share` of people make.

        Parameters
        ----------
        share : float
            Such as 0.2; of a number of purchases that straddles it a part is taken.
        t : float, optional
            Length of the period: the longer, the less of the concentration is chance.
        buyers : bool, default False
            Whether the share is one of those who buy in the period, instead of all people.
        """
        if not 0 < share <= 1:
            raise ContractError(f"share must be above 0 and at most 1, got {share}")
        from scipy.stats import nbinom  # slow to load, and needed for its quantiles alone

        r, alpha, pi = _split(self.coefficients)
        span = self._span(t)
        p = alpha / (alpha + span)
        top = share * (1 - nbinom.pmf(0, r, p)) if buyers else min(share / (1 - pi), 1.0)
        # all who buy more often than `last` belong to the heaviest, and some of those who buy as often
        last = nbinom.isf(top, r, p)
        more = nbinom.sf(last - 1, r + 1, p) * r * span / alpha  # the purchases of those above
        return float(min((more + (top - nbinom.sf(last, r, p)) * last) / (r * span / alpha), 1.0))

    def expected_next(
        self,
        purchases: Any,
        t: float | None = None,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Expected purchases in a next period of length `t` of people with so many in this one.

        Those who bought much will buy less, and those who did not will buy some: regression to the mean, without any
        change in anybody (conditional trend analysis).

        Returns
        -------
        pandas.Series or DataFrame
            With the purchases as index.
        """
        x = np.atleast_1d(np.asarray(purchases, dtype=float))
        if not (np.isfinite(x).all() and (x >= 0).all() and (x % 1 == 0).all()):
            raise ContractError(f"purchases must be whole numbers, 0 or more; got {purchases!r}")
        span = self._span(t)
        found = self._predicted(lambda one: _next(one, x, self.exposure, span), level, draws)
        index = pd.Index(x.astype("int64"), name="purchases")
        return pd.DataFrame(found, index=index) if level is not None else pd.Series(found, index, name="expected_next")

    def goodness_of_fit(self, last: int | None = None) -> GoodnessOfFit:
        """Compare observed with expected people.

        Parameters
        ----------
        last : int, optional
            Number of purchases from which on people are put together, by default the largest that leaves an
            expectation of at least 5; at most `censored_from`.
        """
        if self.counts is None:
            raise ContractError("a fit that was read from a file knows no people")
        top = int(self.counts.index[-1])
        shares = self.probabilities(top).to_numpy()
        beyond = 1 - np.append(0.0, np.cumsum(shares)[:-1])  # chance of so many or more
        if last is None:
            last = int(np.flatnonzero(beyond * self.customers >= 5).max())
        if not 1 <= last <= top:
            raise ContractError(f"last must lie between 1 and {top}, the largest number of purchases; got {last}")
        observed = self.counts.reindex(range(top + 1), fill_value=0.0).groupby(np.minimum(range(top + 1), last)).sum()
        expected = np.append(shares[:last], beyond[last]) * self.customers
        table = pd.DataFrame({"observed": observed.to_numpy(), "expected": expected})
        table.index = pd.Index([*map(str, range(last)), f"{last}+"], name="purchases")
        table["contribution"] = (table["observed"] - expected) ** 2 / expected
        statistic, df = float(table["contribution"].sum()), last - len(self.params)
        return GoodnessOfFit(table, statistic, df, float(chdtrc(df, statistic)) if df > 0 else np.nan)

    def simulate(self, people: int, t: float | None = None, *, seed: int) -> pd.Series:
        """Draw the purchases of so many people in a period of length `t`."""
        r, alpha, pi = _split(self.coefficients)
        rng = np.random.default_rng(seed)
        rates = rng.gamma(r, 1 / alpha, people) * (rng.random(people) >= pi)
        return pd.Series(rng.poisson(rates * self._span(t)), name="purchases")

    def _span(self, t: float | None) -> float:
        if t is None:
            return self.exposure
        found = float(as_times("t", t))
        if found == 0:
            raise ContractError("t must be above 0")
        return found


def _split(coefficients: "Floats") -> "tuple[float, float, float]":
    r, alpha = np.exp(coefficients[:2])
    return r, alpha, float(as_share(coefficients[2])) if len(coefficients) > 2 else 0.0


def _probabilities(coefficients: "Floats", x: "Floats", span: float) -> "Floats":
    r, alpha, pi = _split(coefficients)
    return (1 - pi) * np.exp(log_counts(np.asarray(r), np.asarray(alpha), x, np.asarray(span))) + pi * (x == 0)


def _next(coefficients: "Floats", x: "Floats", exposure: float, span: float) -> "Floats":
    r, alpha, pi = _split(coefficients)
    none = (1 - pi) * (alpha / (alpha + exposure)) ** r
    buys = np.where(x == 0, none / (pi + none), 1.0)
    return buys * (r + x) / (alpha + exposure) * span
