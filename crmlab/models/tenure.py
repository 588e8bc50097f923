"""Models of staying under contract: how many of those who came renew once, twice, ...

A customer pays at once, and again at every renewal. S(t) is the chance of renewing at least t times; S(0) = 1.

References
----------
Fader, P. S. & Hardie, B. G. S. (2007). How to project customer retention. *Journal of Interactive Marketing* 21(1),
76-90.
Fader, P. S. & Hardie, B. G. S. (2010). Customer-base valuation in a contractual setting: the perils of ignoring
heterogeneity. *Marketing Science* 29(1), 85-93.
Fader, P. S., Hardie, B. G. S., Liu, Y., Davin, J. & Steenburgh, T. (2018). "How to project customer retention"
revisited: the role of duration dependence. *Journal of Interactive Marketing* 43, 1-16.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError, Likelihood, Part, maximise
from crmlab.models.intervals import as_series
from crmlab.models.sampling import Refit, SampledResults, as_parameters, left_at
from crmlab.models.survival import discounted_sum, log_staying, period_rate
from crmlab.models.survivors import Stays, from_tenures, observed_survival, read_survivors, stay_terms

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_ADVICE = (
    "alpha and beta large: all customers have the same chance to leave, and one retention rate is enough",
    "beta near 0: some leave at the first renewal and the others never; more renewals are needed to see them leave",
)


class TenureModel:
    """A model of how often customers renew; see the classes made from it.

    Parameters
    ----------
    survivors : array_like, pandas.Series or pandas.DataFrame
        Customers still there after 0, 1, 2, ... renewals: numbers of people, not shares, that never rise. A frame has
        one column per cohort; a cohort that is younger than others ends with missing values, and is fitted together
        with them. Missing values between two numbers mean that nobody counted then, which is allowed for.

    Raises
    ------
    ContractError
        If these are no counts of survivors, naming cohort and renewal.
    """

    name: ClassVar[str]
    starts: ClassVar[tuple[tuple[float, ...], ...]]

    def __init__(self, survivors: Any) -> None:
        self.stays = read_survivors(survivors)

    @classmethod
    def from_tenures(cls, tenures: pd.DataFrame) -> Self:
        """The model of customers one by one.

        Parameters
        ----------
        tenures : pandas.DataFrame
            ``tenure``, the renewals that came due for a customer (whole numbers), ``churned``, whether the last of
            them was not made, and if rows stand for several customers their number, ``weight``.

        Raises
        ------
        ContractError
            If a tenure is no whole number, or a customer has left with none due, naming the rows.

        Examples
        --------
        >>> people = pd.DataFrame({"tenure": [1, 2, 3, 3], "churned": [True, True, False, True]})
        >>> BetaDiscreteWeibull.from_tenures(people).stays.table()
           renewals  lost_by  customers
        0         0      1.0        1.0
        1         1      2.0        1.0
        2         2      3.0        1.0
        3         3      inf        1.0
        """
        model = cls.__new__(cls)
        model.stays = from_tenures(tenures)
        return model

    def fit(self) -> "TenureResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        stays, names = self.stays, ("alpha", "beta", "c")[: len(self.starts[0])]
        lost = stays.weight[np.isfinite(stays.lost_by)].sum()
        if lost == 0 or lost == stays.weight[stays.lost_by == 1].sum() == stays.weight.sum():
            reason = "nobody has left" if lost == 0 else "all left at the first renewal"
            raise ConvergenceError(f"{self.name} cannot be fitted: {reason}", stays.facts())
        refit = _Refit(stays, len(names))
        found = maximise(refit(stays.weight), [np.log(start) for start in self.starts])
        params, covariance = as_parameters(found, names)
        if not found.arrived:
            raise ConvergenceError(f"{self.name} did not converge", [*stays.facts(), *left_at(params), *_ADVICE])
        return TenureResults(
            model=self.name,
            params=params,
            cov_params=covariance,
            llf=found.value,
            customers=float(stays.weight.sum()),
            gradient=found.gradient,
            time_unit="renewal",
            refit=refit,
            weight=stays.weight,
            stays=stays,
        )


class ShiftedBetaGeometric(TenureModel):
    """sBG: at each renewal a customer leaves with an own constant chance ~ Beta(alpha, beta).

    Parameters as for `TenureModel`. Retention rises with tenure only because those likely to leave have left.

    References
    ----------
    Fader, P. S. & Hardie, B. G. S. (2007). How to project customer retention. *Journal of Interactive Marketing*
    21(1), 76-90.

    Examples
    --------
    >>> results = ShiftedBetaGeometric([1000, 869, 743, 653, 593, 551, 517, 491]).fit()
    >>> results.params.round(3).tolist()
    [0.668, 3.806]
    >>> results.survival(12).round(3)
    np.float64(0.378)
    """

    name = "sBG"
    starts = ((1.0, 3.0), (0.2, 0.4), (5.0, 30.0))


class BetaDiscreteWeibull(TenureModel):
    """BdW: as sBG, but an own chance to leave that falls (c < 1) or rises (c > 1) with tenure.

    Parameters as for `TenureModel`; S(t) = B(alpha, beta + t^c) / B(alpha, beta), and c = 1 is the sBG.

    References
    ----------
    Fader, P. S., Hardie, B. G. S., Liu, Y., Davin, J. & Steenburgh, T. (2018). "How to project customer retention"
    revisited: the role of duration dependence. *Journal of Interactive Marketing* 43, 1-16.
    """

    name = "BdW"
    starts = ((1.0, 3.0, 1.0), (0.2, 0.4, 1.3), (5.0, 30.0, 0.8))


@dataclass(frozen=True, eq=False)
class _Refit(Refit):
    """The log-likelihood of stays for other weights."""

    stays: Stays
    parameters: int

    def __call__(self, weight: "Floats") -> Likelihood:
        seen = weight > 0
        data = (self.stays.renewals[seen], self.stays.lost_by[seen])
        return Likelihood((Part(stay_terms, data, weight[seen], (None,) * self.parameters),), float(weight.sum()))


@dataclass(frozen=True, eq=False, repr=False)
class TenureResults(SampledResults):
    """A fitted model of staying: survival, retention, and what customers under contract are worth.

    Attributes
    ----------
    stays : Stays or None
        What it was fitted to; None when it was read from a file.

    Notes
    -----
    In all predictions `t` counts renewals, `level` (a confidence level) adds an interval for uncertainty about the
    parameters, and `draws` (from `bootstrap` or `posterior`) takes the place of the delta method in it. A number in
    gives a number out; several give a series, or with `level` a frame, with t as index.
    """

    stays: Stays | None = None

    def survival(self, t: Any, *, level: float | None = None, draws: pd.DataFrame | None = None) -> Any:
        """Chance S(t) of renewing at least t times."""
        times = _times("t", t, 0)
        return self._by_time("survival", times, lambda one: _survival(one, times), level, draws, top=1.0)

    def retention(self, t: Any, *, level: float | None = None, draws: pd.DataFrame | None = None) -> Any:
        """Retention rate r(t) = S(t) / S(t - 1): the share of those asked for the t-th time who renew; t from 1."""
        times = _times("t", t, 1)
        return self._by_time("retention", times, lambda one: _retention(one, times), level, draws, top=1.0)

    def churn_probability(self, t: Any, *, level: float | None = None, draws: pd.DataFrame | None = None) -> Any:
        """Chance S(t - 1) - S(t) that a new customer is lost at the t-th renewal; t from 1."""
        times = _times("t", t, 1)

        def lost(one: "Floats") -> "Floats":
            return _survival(one, times - 1) * (1 - _retention(one, times))

        return self._by_time("churn_probability", times, lost, level, draws, top=1.0)

    def projection(
        self, renewals: int, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Survival after 0, 1, ..., `renewals` renewals, beside the observed.

        Returns
        -------
        pandas.DataFrame
            ``observed`` (the Kaplan-Meier estimate over all cohorts; missing where nobody was observed) and
            ``estimate``, with ``low`` and ``high`` where there is a level.
        """
        found = self.survival(np.arange(renewals + 1), level=level, draws=draws)
        table = found.to_frame("estimate") if level is None else found
        observed = pd.Series(dtype=float) if self.stays is None else observed_survival(self.stays)
        table.insert(0, "observed", observed.reindex(table.index))
        return table

    def expected_tenure(
        self, horizon: int | None = None, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> Any:
        """Mean number of payments of a new customer, the first included: the sum of S(0), S(1), ...

        Parameters
        ----------
        horizon : int, optional
            Count no more payments than so many.

        Raises
        ------
        ContractError
            If there is no horizon and the mean is infinite, which it is unless alpha c > 1.
        """
        tail = float(self.params["alpha"] * self.params.get("c", 1.0))
        if horizon is None and tail <= 1:
            raise ContractError(
                f"the expected tenure is infinite: the tail of this fit falls like t^-{tail:.2f} (alpha c), and needs "
                "more than 1; give a horizon, or use discounted_lifetime"
            )
        if horizon is not None:
            times = np.arange(float(_times("horizon", horizon, 1)))
            return self._number(lambda one: _survival(one, times).sum(), level, draws)
        return self._number(_mean_tenure, level, draws)

    def discounted_lifetime(
        self,
        annual_discount_rate: float,
        periods_per_year: float = 1,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Discounted expected lifetime (DEL) of a customer acquired today, in payments: Fader & Hardie (2010).

        The first payment is made today and counts 1, the t-th renewal counts S(t) / (1 + d)^t with d the discount
        rate per period. Times the net margin of a period it is a lifetime value.

        Parameters
        ----------
        annual_discount_rate : float
            Effective rate a year, such as 0.1.
        periods_per_year : float, default 1
            Renewals a year: 12 for monthly contracts.
        """
        rate = period_rate(annual_discount_rate, periods_per_year)
        return self._number(lambda one: discounted_sum(lambda t: _survival(one, t), rate), level, draws)

    def discounted_residual_lifetime(
        self,
        renewals: Any,
        annual_discount_rate: float,
        periods_per_year: float = 1,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Discounted expected residual lifetime (DERL) of customers who have renewed so often.

        Seen just before the next renewal is due: if it is made, its payment counts 1, the one after 1 / (1 + d), and
        so on. The payments made so far do not count.

        Parameters
        ----------
        renewals : int or array_like
            Renewals made so far; 0 for a customer in the first period.
        annual_discount_rate, periods_per_year : float
            As for `discounted_lifetime`.
        """
        times, rate = _times("renewals", renewals, 0), period_rate(annual_discount_rate, periods_per_year)

        def residual(one: "Floats") -> "Floats":
            return np.array([_residual(one, n, rate) for n in times.ravel()]).reshape(times.shape)

        return self._by_time("derl", times, residual, level, draws)

    def simulate(self, renewals: Any, *, seed: int) -> pd.DataFrame:
        """Draw customers for whom so many renewals have come due at most: ``tenure`` and ``churned``."""
        due, rng = np.atleast_1d(_times("renewals", renewals, 0)), np.random.default_rng(seed)
        alpha, beta, c = _parameters(self.coefficients)
        leave = np.maximum(rng.gamma(alpha, 1.0, len(due)), 1e-300)
        hazard = np.log1p(leave / np.maximum(rng.gamma(beta, 1.0, len(due)), 1e-300))  # -log of the chance to stay
        with np.errstate(over="ignore"):
            lost = np.maximum(np.ceil((rng.exponential(1.0, len(due)) / hazard) ** (1 / c)), 1.0)
        tenure = np.minimum(lost, due)
        return pd.DataFrame({"tenure": tenure.astype("int64"), "churned": lost <= due})

    def _by_time(
        self, name: str, times: "Floats", estimate: Any, level: float | None, draws: pd.DataFrame | None, **range_: Any
    ) -> Any:
        found = self._predicted(estimate, level, draws, **range_)
        if times.ndim == 0:
            return pd.Series(found, name=name, dtype=float) if isinstance(found, dict) else found
        return as_series(found, pd.Index(times.astype("int64"), name="renewals"), name)

    def _number(self, estimate: Any, level: float | None, draws: pd.DataFrame | None) -> Any:
        found = self._predicted(lambda one: np.asarray(estimate(one)), level, draws)
        return pd.Series(found, dtype=float) if isinstance(found, dict) else float(found)


def _times(name: str, values: Any, least: int) -> "Floats":
    times = np.asarray(values, dtype=float)
    if times.size == 0 or not (np.isfinite(times).all() and (times % 1 == 0).all() and (times >= least).all()):
        raise ContractError(f"{name} must be whole numbers, {least} or more; got {values!r}")
    return times


def _parameters(coefficients: "Floats") -> "tuple[float, float, float]":
    alpha, beta, *power = np.exp(coefficients)
    return alpha, beta, power[0] if power else 1.0


def _survival(coefficients: "Floats", t: "Floats") -> "Floats":
    alpha, beta, c = _parameters(coefficients)
    return np.exp(log_staying(alpha, beta, t**c))


def _retention(coefficients: "Floats", t: "Floats") -> "Floats":
    alpha, beta, c = _parameters(coefficients)
    return np.exp(log_staying(alpha, beta + (t - 1) ** c, t**c - (t - 1) ** c))


def _residual(coefficients: "Floats", renewals: float, rate: float) -> float:
    alpha, beta, c = _parameters(coefficients)
    before = renewals**c

    def staying(t: "Floats") -> "Floats":
        return np.exp(log_staying(alpha, beta + before, (renewals + 1 + t) ** c - before))

    return discounted_sum(staying, rate)


def _mean_tenure(coefficients: "Floats") -> float:
    alpha, beta, c = _parameters(coefficients)
    if c == 1.0:
        return (alpha + beta - 1) / (alpha - 1)
    return discounted_sum(lambda t: np.exp(log_staying(alpha, beta, t**c)), 1e-12)
