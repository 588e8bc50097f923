"""Spend per purchase: Gamma-Gamma.

References
----------
Fader, P. S. & Hardie, B. G. S. (2013). The Gamma-Gamma model of monetary value.
Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). RFM and CLV: using iso-value curves for customer base analysis.
*Journal of Marketing Research* 42(4), 415-430.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import gammaln, ndtri, polygamma, psi

from crmlab.contracts import check_summary
from crmlab.errors import ContractError
from crmlab.models.base import SAMPLE, ConvergenceError, Likelihood, Part, Rows, maximise
from crmlab.models.counts import Summary, tally
from crmlab.models.intervals import as_series
from crmlab.models.sampling import Refit, SampledResults, as_parameters, left_at
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_NAMES = ("p", "q", "gamma")
_SPEND = ["frequency", "monetary_value"]
_CHUNK = 8_192  # products of longer vectors are spread over threads, which costs more than it brings
_ADVICE = (
    "a large p or q: all spend nearly the same, and a mean is enough",
    "look at the largest and the smallest spend: refunds, tests and bulk orders are no purchases",
)


class GammaGamma:
    """Spend per purchase ~ Gamma(p, nu), with nu ~ Gamma(q, gamma) over customers, whatever the number of purchases.

    Parameters
    ----------
    summary : CustomerSummary or pandas.DataFrame
        ``frequency`` (repeat purchases) and ``monetary_value`` (mean amount of these), one row per customer; a frame
        may have a ``customer_id`` and a ``weight``, the customers that a row stands for. Customers without a repeat
        purchase say nothing of spend and are left out of the fit.
    time_unit : str, optional
        Accepted, so that one call serves all models of a summary; spend per purchase has no unit of time.

    Attributes
    ----------
    left_out : float
        Customers without a repeat purchase.

    Raises
    ------
    ContractError
        If the summary is none, or a customer with repeat purchases has no spend, naming the rows.

    References
    ----------
    Fader, P. S. & Hardie, B. G. S. (2013). The Gamma-Gamma model of monetary value, eqs. 1a and 5.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x, rate = rng.integers(0, 9, 500), rng.gamma(4, 1 / 15, 500)
    >>> mean = rng.gamma(np.maximum(6 * x, 1)) / rate / np.maximum(x, 1)
    >>> results = GammaGamma(pd.DataFrame({"frequency": x, "monetary_value": np.where(x > 0, mean, 0.0)})).fit()
    >>> round(results.population_mean)
    31
    """

    def __init__(self, summary: Summary | pd.DataFrame, *, time_unit: str | None = None) -> None:
        self.frame, self.weight = read_spend(summary)
        again = self.frame["frequency"].to_numpy() > 0
        self.left_out = float(self.weight[~again].sum())

    def fit(self) -> "GammaGammaResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        x, mean = (self.frame[name].to_numpy(dtype=float) for name in _SPEND)
        again = x > 0
        if again.sum() < 2:
            raise ConvergenceError("Gamma-Gamma cannot be fitted: fewer than two rows with purchases", self._facts())
        x, mean, weight = x[again], mean[again], self.weight[again]
        scale = float(np.exp(np.average(np.log(mean), weights=weight)))
        refit = _Refit(x, x * (mean / scale), np.log(mean / scale), scale)
        whole = refit(weight)
        rough = None
        if len(x) > 2 * SAMPLE:
            chosen = np.random.default_rng(1).choice(len(x), SAMPLE, replace=False)
            rough = _Refit(x[chosen], refit.total[chosen], refit.log_mean[chosen], scale)(weight[chosen])
        starts = [np.log(one) for one in ((2.0, 2.0, 1.0), (6.0, 4.0, 0.5), (20.0, 1.5, 0.05))]
        found = maximise(whole, starts, rough=rough)
        params, covariance = as_parameters(found, _NAMES)
        params["gamma"] *= scale
        grow = np.array([1.0, 1.0, scale])
        covariance *= np.outer(grow, grow)
        if not found.arrived:
            raise ConvergenceError("Gamma-Gamma did not converge", [*self._facts(), *left_at(params), *_ADVICE])
        return GammaGammaResults(
            model="Gamma-Gamma",
            params=params,
            cov_params=covariance,
            llf=found.value - float(weight.sum()) * np.log(scale),
            customers=float(weight.sum()),
            gradient=found.gradient,
            time_unit="",
            refit=refit,
            weight=weight,
            frame=self.frame,
            left_out=self.left_out,
        )

    def _facts(self) -> list[str]:
        again = self.frame["frequency"] > 0
        spend, buyers = self.frame.loc[again, "monetary_value"], self.weight[again.to_numpy()].sum()
        facts = [f"{buyers:,.0f} customers with repeat purchases, {self.left_out:,.0f} without"]
        if len(spend):
            facts.append(
                f"mean spend from {spend.min():g} to {spend.max():g}, median {spend.median():g}, "
                f"{spend.nunique():,} different values"
            )
        return facts


def read_spend(summary: Summary | pd.DataFrame) -> "tuple[pd.DataFrame, Floats]":
    """Frequency and mean spend with the customer as index, and the customers that each row stands for."""
    frame = check_summary(summary if isinstance(summary, pd.DataFrame) else summary.to_pandas(), _SPEND)
    broken = np.flatnonzero((frame["frequency"] > 0) & (frame["monetary_value"] == 0))
    if len(broken):
        rows = ", ".join(map(str, broken[:3] + 1))
        raise ContractError(
            f"monetary_value: 0 with repeat purchases in {len(broken):,} rows (first: {rows}, counted from 1); "
            "Gamma-Gamma needs spend above 0: leave free orders out of the summary"
        )
    weight = frame["weight"].to_numpy(dtype=float) if "weight" in frame else np.ones(len(frame))
    if "customer_id" in frame:
        frame = frame.set_index("customer_id")
    return frame[_SPEND], weight


@dataclass(frozen=True, eq=False)
class _Refit(Refit):
    """The log-likelihood for other weights; spend is in units of `scale`."""

    x: "Floats"
    total: "Floats"
    log_mean: "Floats"
    scale: float

    def __call__(self, weight: "Floats") -> Likelihood:
        designs = (None, None, None)
        counts = Part(count_terms, *tally(self.x, weight), designs)
        money = Part(money_terms, (self.x, self.total, self.log_mean), weight, designs, _CHUNK)
        return Likelihood((counts, money), float(weight.sum()))

    def unit(self) -> "Floats":
        return np.array([0.0, 0.0, np.log(self.scale)])


def count_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """What depends on the number of purchases alone: minus the log of the beta function B(px, q)."""
    (x,) = data
    p, q, _ = params
    shape = p * x
    whole_1, whole_2 = psi(shape + q), polygamma(1, shape + q)
    gradient, hessian = np.zeros((3, len(x))), np.zeros((3, 3, len(x)))
    gradient[0], gradient[1] = shape * (whole_1 - psi(shape)), q * (whole_1 - psi(q))
    hessian[0, 0] = gradient[0] + shape**2 * (whole_2 - polygamma(1, shape))
    hessian[0, 1] = shape * q * whole_2
    hessian[1, 1] = gradient[1] + q**2 * (whole_2 - polygamma(1, q))
    return Rows(gammaln(shape + q) - gammaln(shape) - gammaln(q), gradient, hessian)


def money_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """What depends on the money: p x log(w) + q log(1 - w) - log(mean), where w = total / (gamma + total)."""
    x, total, log_mean = data
    p, q, gamma = params
    whole, shape = gamma + total, p * x
    w, rest = total / whole, gamma / whole
    log_whole = np.log(whole)
    log_w, log_rest = log_mean + np.log(x) - log_whole, np.log(gamma) - log_whole
    gradient, hessian = np.empty((3, len(x))), np.zeros((3, 3, len(x)))
    gradient[0], gradient[1] = shape * log_w, q * log_rest
    gradient[2] = q * w - shape * rest
    hessian[0, 0], hessian[0, 2] = gradient[0], -shape * rest
    hessian[1, 1], hessian[1, 2] = gradient[1], q * w
    hessian[2, 2] = -w * rest * (shape + q)
    return Rows(gradient[0] + gradient[1] - log_mean, gradient, hessian)


@dataclass(frozen=True, eq=False, repr=False)
class GammaGammaResults(SampledResults):
    """A fitted Gamma-Gamma model: what customers spend per purchase.

    Attributes
    ----------
    frame : pandas.DataFrame or None
        Frequency and mean spend of all customers of the summary; None when the fit was read from a file.
    left_out : float
        Customers without a repeat purchase, who are not in the fit.
    """

    frame: pd.DataFrame | None = None
    left_out: float = 0.0

    @property
    def population_mean(self) -> float:
        """Mean spend per purchase over all customers, p gamma / (q - 1), in the unit of the data.

        Raises
        ------
        ContractError
            If q is not above 1: then the mean of the fitted distribution is infinite.
        """
        return float(self._finite(_expected(self.coefficients, np.zeros(1), np.zeros(1)))[0])

    def expected_value(
        self,
        data: Summary | pd.DataFrame | None = None,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Expected spend per purchase of each customer, given what was spent: Fader & Hardie (2013), eq. 5.

        It lies between the customer's own mean and that of the population, which it is without a repeat purchase.

        Parameters
        ----------
        data : CustomerSummary or pandas.DataFrame, optional
            Other customers than those of the fit.
        level : float, optional
            With it, the result is a frame with an interval, for uncertainty about the parameters.
        draws : pandas.DataFrame, optional
            Coefficients from `bootstrap` or `posterior`, used for the interval instead of the delta method.

        Returns
        -------
        pandas.Series or DataFrame
            One row per customer, in the unit of the data.

        Raises
        ------
        ContractError
            If the mean of some customers is infinite (p x + q not above 1), or there are no customers.
        """
        frame = self.frame if data is None else read_spend(data)[0]
        if frame is None:
            raise ContractError("a fit that was read from a file knows no customers; give them as data=")
        x, mean = (frame[name].to_numpy(dtype=float) for name in _SPEND)
        self._finite(_expected(self.coefficients, x, mean))
        found = self._predicted(lambda one: _expected(one, x, mean), level, draws)
        return as_series(found, frame.index, "expected_value")

    def independence(self, level: float = 0.95) -> Interval:
        """Correlation of the number of purchases with mean spend, with Fisher's interval; the model assumes none."""
        if self.frame is None or self.weight is None:
            raise ContractError("a fit that was read from a file knows no customers")
        again = self.frame[self.frame["frequency"] > 0]
        weights = self.weight / self.weight.sum()
        x, mean = (again[name].to_numpy(dtype=float) for name in _SPEND)
        x, mean = x - weights @ x, mean - weights @ mean
        spread = np.sqrt((weights @ x**2) * (weights @ mean**2))
        if spread == 0 or self.customers <= 3:
            raise ContractError("a correlation needs more than three customers who differ in frequency and in spend")
        found = float(np.clip((weights @ (x * mean)) / spread, -1, 1))
        reach = ndtri(0.5 + check_level(level) / 2) / np.sqrt(self.customers - 3)
        middle = np.arctanh(found) if abs(found) < 1 else np.sign(found) * np.inf
        return Interval(found, float(np.tanh(middle - reach)), float(np.tanh(middle + reach)), level)

    def simulate(self, frequency: Any, *, seed: int) -> pd.DataFrame:
        """Draw the mean spend of new customers with so many repeat purchases each (0 where there is none)."""
        x = np.atleast_1d(np.asarray(frequency, dtype=float))
        if not (np.isfinite(x).all() and (x >= 0).all() and (x % 1 == 0).all()):
            raise ContractError("frequency must be whole numbers, 0 or more")
        p, q, gamma = self.params
        rng = np.random.default_rng(seed)
        many = np.maximum(x, 1.0)
        mean = rng.gamma(p * many) / many * gamma / rng.gamma(q, 1.0, len(x))
        return pd.DataFrame({"frequency": x.astype("int64"), "monetary_value": np.where(x > 0, mean, 0.0)})

    def _finite(self, values: "Floats") -> "Floats":
        infinite = np.flatnonzero(~np.isfinite(values))
        if len(infinite):
            raise ContractError(
                f"expected spend is infinite for {len(infinite):,} customers (first: row {infinite[0] + 1}): "
                f"p x + q must be above 1, and q = {self.params['q']:.3g}; spend has too heavy a tail for a mean: "
                "look at the largest values, or use medians"
            )
        return values


def _expected(coefficients: "Floats", x: "Floats", mean: "Floats") -> "Floats":
    p, q, gamma = np.exp(coefficients)
    rest = p * x + q - 1
    return np.where(rest > 0, p * (gamma + x * mean) / np.where(rest > 0, rest, 1.0), np.inf)
