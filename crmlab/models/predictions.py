"""What a fitted buying model expects of its customers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import expit

from crmlab.errors import ContractError
from crmlab.models.base import Likelihood
from crmlab.models.counts import Histories, as_times, read_histories
from crmlab.models.covariates import Covariates, likelihood
from crmlab.models.intervals import as_series
from crmlab.models.processes import Process
from crmlab.models.sampling import Refit, SampledResults

if TYPE_CHECKING:
    from crmlab.models.base import Floats

PERIODS_PER_YEAR = {"day": 365.25, "week": 365.25 / 7, "month": 12.0, "year": 1.0}


@dataclass(frozen=True)
class _Refit(Refit):
    """The customers of a buying model."""

    process: Process
    histories: Histories
    covariates: Covariates

    def __call__(self, weight: "Floats") -> Likelihood:
        return likelihood(self.process, replace(self.histories, weight=weight), self.covariates)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class BuyingResults(SampledResults):
    """A fitted buying model: what its customers are expected to do.

    Attributes
    ----------
    process : Process
        The mathematics of the model.
    histories : Histories or None
        The customers that it was fitted to; None when it was read from a file.
    covariates : Covariates
        Their covariates.
    """

    process: Process
    histories: Histories | None
    covariates: Covariates

    def expected_purchases(
        self,
        t: Any,
        data: Any = None,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Expected number of purchases of each customer in the next `t`, given the history.

        Parameters
        ----------
        t : float or array, shape (n,)
            Length of the period that begins at each customer's T, in `time_unit`.
        data : CustomerSummary, pandas.DataFrame or BuyingModel, optional
            Other customers than those of the fit; a model of the same kind brings its covariates with it.
        level : float, optional
            With it, the result is a frame with an interval, for uncertainty about the parameters.
        draws : pandas.DataFrame, optional
            Parameters from `bootstrap` or `posterior`, used for the interval instead of the delta method.

        Returns
        -------
        pandas.Series or DataFrame
            One row per row of the data, with its ``customer_id`` as index.
        """
        times = as_times("t", t)
        return self._predict("expected_purchases", partial(_expected, self.process, times), data, level, draws)

    def probability_alive(
        self,
        data: Any = None,
        *,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Chance that each customer is still one at T, given the history; arguments as for `expected_purchases`."""
        return self._predict("probability_alive", partial(_alive, self.process), data, level, draws, top=1.0)

    def discounted_purchases(
        self,
        annual_discount_rate: float,
        data: Any = None,
        *,
        horizon: float | None = None,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Discounted expected residual transactions (DERT): all purchases after T, in present value at T.

        Other arguments are those of `expected_purchases`.

        Parameters
        ----------
        annual_discount_rate : float
            Effective rate a year, such as 0.15; it is compounded continuously, at log(1 + rate) a year. Above 0, and 0
            only with a horizon.
        horizon : float, optional
            How far to look ahead, in `time_unit`; without it for ever.
        """
        lowest = 0.0 if horizon is not None else np.finfo(float).tiny
        if not lowest <= annual_discount_rate < np.inf:
            raise ContractError(
                f"annual_discount_rate must be above 0, such as 0.15, or 0 with a horizon; got {annual_discount_rate}"
            )
        if horizon is not None:
            horizon = float(as_times("horizon", horizon))
        rate = float(np.log1p(annual_discount_rate)) / PERIODS_PER_YEAR[self.time_unit]
        return self._predict("dert", partial(_discounted, self.process, rate, horizon), data, level, draws)

    def expected_purchases_of_new_customer(self, t: Any) -> Any:
        """Expected repeat purchases of a customer acquired today within `t`, shape of `t`."""
        times = as_times("t", t)
        return new_customer_purchases(self.process, self._alone(), times)

    def purchase_probabilities(self, t: float, most: int) -> pd.Series:
        """Chance that a new customer makes 0, 1, ..., `most` repeat purchases within `t`."""
        n = np.arange(most + 1, dtype=float)
        found = self.process.probability(self._alone(), n, float(as_times("t", t)))
        chances = np.minimum(found, 1.0)  # of rounding
        return pd.Series(chances, index=pd.Index(n.astype(int), name="purchases"), name="probability")

    def log_likelihood(self, data: Any = None) -> pd.Series:
        """Log-likelihood of each row of the data; the sum over the fitted customers is `llf`."""
        histories, covariates = self.customers_of(data)
        params, columns = covariates.params(self.process, self.coefficients), histories.columns
        terms = (self.process.count_terms(columns[:1], params), self.process.time_terms(columns, params))
        found = np.add(*(one.value for one in terms))
        return pd.Series(found, index=histories.frame.index, name="log_likelihood")

    def customers_of(self, data: Any = None) -> tuple[Histories, Covariates]:
        """Histories and covariates of `data`, as the predictions take it; without it, of the fit."""
        if data is None:
            if self.histories is None:
                raise ContractError("a fit that was read from a file knows no customers; give them as data=")
            return self.histories, self.covariates
        if hasattr(data, "histories"):
            histories, covariates = data.histories, data.covariates
        else:
            unit = self.time_unit if isinstance(data, pd.DataFrame) else None
            histories, covariates = read_histories(data, unit), Covariates({})
        if histories.time_unit != self.time_unit:
            raise ContractError(f"the model is in {self.time_unit}s, the data in {histories.time_unit}s")
        wanted = [name for name in self.params.index if name not in self.process.parameters]
        given = [name for name, is_parameter in covariates.names(self.process).items() if not is_parameter]
        if wanted != given:
            raise ContractError(
                f"the fit has the covariates {', '.join(wanted) or 'none'}, the data {', '.join(given) or 'none'}; "
                "give the data as a model of the same kind with the same covariates"
            )
        return histories, covariates

    def simulate(self, T: Any, *, seed: int) -> pd.DataFrame:
        """Draw histories of new customers, each observed for its `T`: ``frequency``, ``recency``, ``T``."""
        ages = np.atleast_1d(as_times("T", T))
        x, recency = self.process.drawn(self._alone(), ages, np.random.default_rng(seed))
        return pd.DataFrame({"frequency": x.astype("int64"), "recency": recency, "T": ages})

    def _is_plain(self) -> "Floats":
        return np.array([name not in self.process.parameters for name in self.params.index])

    def _data(self) -> "tuple[Refit, Floats]":
        histories, covariates = self.customers_of()
        return _Refit(self.process, histories, covariates), histories.weight

    def _alone(self) -> "list[Floats]":
        """The parameters of a customer whose covariates are all zero."""
        return [np.asarray(self.params[name]) for name in self.process.parameters]

    def _predict(
        self,
        name: str,
        estimate: "Callable[..., Floats]",
        data: Any,
        level: float | None,
        draws: pd.DataFrame | None,
        top: float = np.inf,
    ) -> Any:
        histories, covariates = self.customers_of(data)

        def at(coefficients: "Floats") -> "Floats":
            return estimate(covariates.params(self.process, coefficients), *histories.columns)

        return as_series(self._predicted(at, level, draws, top), histories.frame.index, name)


_CHUNK = 16_384


def new_customer_purchases(process: Process, params: "Sequence[Floats]", t: "Floats") -> "Floats":
    """Expected repeat purchases within `t` of customers who have just made their first purchase, shape of `t`."""
    times = np.ravel(t)
    zero = np.zeros(len(times))
    alive = expit(-process.leaving(params, zero, zero, zero))
    return np.reshape(alive * process.growth(params, zero, zero, times), np.shape(t))


def _alive(process: Process, params: "list[Floats]", x: "Floats", recency: "Floats", age: "Floats") -> "Floats":
    found = np.empty(len(x))
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        own = [one if np.ndim(one) == 0 else one[rows] for one in params]
        found[rows] = expit(-process.leaving(own, x[rows], recency[rows], age[rows]))
    return found


def _expected(
    process: Process, t: "Floats", params: "list[Floats]", x: "Floats", recency: "Floats", age: "Floats"
) -> "Floats":
    alive = _alive(process, params, x, recency, age)
    if t.ndim or any(np.ndim(one) for one in params):
        return alive * process.growth(params, x, age, t)
    return alive * _by_distinct(lambda n, ages: process.growth(params, n, ages, t), x, age)


def _discounted(
    process: Process,
    rate: float,
    horizon: float | None,
    params: "list[Floats]",
    x: "Floats",
    recency: "Floats",
    age: "Floats",
) -> "Floats":
    alive = _alive(process, params, x, recency, age)
    if any(np.ndim(one) for one in params):
        return alive * process.discounted(params, x, age, rate, horizon)
    return alive * _by_distinct(lambda n, ages: process.discounted(params, n, ages, rate, horizon), x, age)


def _by_distinct(values: "Callable[[Floats, Floats], Floats]", x: "Floats", age: "Floats") -> "Floats":
    """Evaluate a function once for every different pair of x and age."""
    codes, ages = pd.factorize(age)
    wide = int(x.max()) + 1
    places, pairs = pd.factorize(codes * wide + x.astype("int64"))
    return values((pairs % wide).astype(float), ages[pairs // wide])[places]
