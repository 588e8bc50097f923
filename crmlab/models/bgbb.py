"""BG/BB: buying or not on each of several occasions, and leaving between them.

References
----------
Fader, P. S., Hardie, B. G. S. & Shang, J. (2010). Customer-base analysis in a discrete-time noncontractual setting.
*Marketing Science* 29(6), 1086-1108.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import betaln, gammaln

from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError, maximise
from crmlab.models.counts import HISTORY
from crmlab.models.intervals import as_series
from crmlab.models.occasions import OccasionsRefit, four, last_occasions, read_occasions
from crmlab.models.sampling import SampledResults, as_parameters, as_share, left_at
from crmlab.models.survival import discounted_sum, log_staying, period_rate

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_STARTS = ((1.0, 1.0, 1.0, 3.0), (0.5, 2.0, 0.5, 5.0), (3.0, 3.0, 0.3, 0.6))
_ADVICE = (
    "gamma and delta large: all leave with the same chance; fit that with same_dropout=True",
    "gamma near 0 or delta large: nobody seems to leave, so a beta-binomial is enough",
    "alpha and beta large: all buy with the same chance",
    "three occasions or fewer hardly tell leaving from buying rarely",
)


class BetaGeoBetaBinomial:
    """A customer buys on an occasion with an own chance ~ Beta(alpha, beta), and leaves before one with an own chance.

    The chance to leave is ~ Beta(gamma, delta), the same before every occasion.

    Parameters
    ----------
    counts : pandas.DataFrame
        ``frequency`` (occasions with a purchase, after the first purchase), ``recency`` (the last of these, 0 if
        there was none) and ``T`` (occasions observed), all whole numbers; perhaps a ``customer_id``, and a ``weight``,
        the customers that a row stands for.
    same_dropout : bool, default False
        Whether all customers leave with the same chance ``theta``: the limit of large gamma and delta, in which the
        likelihood of some data has its maximum.

    Raises
    ------
    ContractError
        If these are no histories of occasions, naming the rows.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Shang, J. (2010). Customer-base analysis in a discrete-time noncontractual setting.
    *Marketing Science* 29(6), 1086-1108.

    Examples
    --------
    >>> cruises = pd.DataFrame(
    ...     {
    ...         "frequency": [4, 3, 2, 1, 3, 2, 1, 2, 1, 1, 0],
    ...         "recency": [4, 4, 4, 4, 3, 3, 3, 2, 2, 1, 0],
    ...         "T": 4,
    ...         "weight": [18, 66, 98, 216, 34, 180, 292, 64, 342, 302, 4482],
    ...     }
    ... )
    >>> results = BetaGeoBetaBinomial(cruises, same_dropout=True).fit()
    >>> results.expected_purchases(4).round(2).head(3).tolist()
    [1.52, 1.2, 0.87]
    """

    def __init__(self, counts: pd.DataFrame, *, same_dropout: bool = False) -> None:
        self.frame, self.weight = read_occasions(counts)
        self.same_dropout = same_dropout

    def fit(self) -> "BetaGeoBetaBinomialResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        table = self.frame.assign(weight=self.weight).groupby(HISTORY, as_index=False)["weight"].sum()
        x, recency, occasions, weight = (table[name].to_numpy(dtype=float) for name in [*HISTORY, "weight"])
        facts = [
            f"{weight.sum():,.0f} customers, of whom {weight[x > 0].sum():,.0f} bought again, on at most "
            f"{occasions.max():.0f} occasions; {len(x):,} different histories"
        ]
        if not x.any() or len(x) < 2:
            reason = "one history has no differences to learn from" if x.any() else "nobody bought again"
            raise ConvergenceError(f"BG/BB cannot be fitted: {reason}", facts)
        refit = OccasionsRefit(x, recency, occasions, self.same_dropout)
        names = ("alpha", "beta", "theta") if self.same_dropout else ("alpha", "beta", "gamma", "delta")
        found = maximise(refit(weight), [np.log(start[: len(names)]) for start in _STARTS])
        params, covariance = as_parameters(found, names, BetaGeoBetaBinomialResults.shares)
        if not found.arrived:
            raise ConvergenceError("BG/BB did not converge", [*facts, *left_at(params), *_ADVICE])
        return BetaGeoBetaBinomialResults(
            model="BG/BB",
            params=params,
            cov_params=covariance,
            llf=found.value,
            customers=float(weight.sum()),
            gradient=found.gradient,
            time_unit="occasion",
            refit=refit,
            weight=weight,
            frame=self.frame,
        )


@dataclass(frozen=True, eq=False, repr=False)
class BetaGeoBetaBinomialResults(SampledResults):
    """A fitted BG/BB model: what customers will do on the occasions to come.

    Attributes
    ----------
    frame : pandas.DataFrame or None
        The histories that it was fitted to; None when it was read from a file.

    Notes
    -----
    Predictions have one row per row of the data: those of the fit, or others of the same kind given as `data`. With a
    `level` (a confidence level) they are frames with an interval for uncertainty about the parameters, by the delta
    method or from the `draws` of `bootstrap` or `posterior`.
    """

    shares: ClassVar[tuple[str, ...]] = ("theta",)
    frame: pd.DataFrame | None = None

    def expected_purchases(
        self, n: int, data: pd.DataFrame | None = None, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> Any:
        """Expected purchases on the next `n` occasions, given the history: Fader, Hardie & Shang (2010), eq. 13."""
        return self._of_customers("expected_purchases", _expected(_whole("n", n)), data, level, draws)

    def probability_alive(
        self, data: pd.DataFrame | None = None, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> Any:
        """Chance to be a customer still on the next occasion, T + 1, given the history: (2010), eq. 11."""
        return self._of_customers("probability_alive", _alive, data, level, draws, top=1.0)

    def discounted_purchases(
        self,
        annual_discount_rate: float,
        data: pd.DataFrame | None = None,
        *,
        occasions_per_year: float = 1,
        level: float | None = None,
        draws: pd.DataFrame | None = None,
    ) -> Any:
        """Discounted expected residual transactions (DERT): all purchases after T, in present value at T.

        Fader, Hardie & Shang (2010), eq. 14. A purchase on the next occasion is discounted by one period.

        Parameters
        ----------
        annual_discount_rate : float
            Effective rate a year, such as 0.1.
        """
        rate = period_rate(annual_discount_rate, occasions_per_year)
        return self._of_customers("dert", _discounted(rate), data, level, draws)

    def purchase_chance(
        self, data: pd.DataFrame | None = None, *, level: float | None = None, draws: pd.DataFrame | None = None
    ) -> Any:
        """Expected chance to buy on an occasion of each customer while there, given the history."""
        return self._of_customers("purchase_chance", _chance, data, level, draws, top=1.0)

    def expected_purchases_of_new_customer(self, n: int) -> float:
        """Expected purchases on the first `n` occasions of a customer who has just come."""
        alpha, beta, gamma, delta = _four(self.coefficients)
        stays = np.exp(log_staying(gamma, delta, np.arange(1.0, _whole("n", n) + 1)))
        return float(alpha / (alpha + beta) * stays.sum())

    def purchase_probabilities(self, n: int) -> pd.Series:
        """Chance that a new customer buys on 0, 1, ..., `n` of the first `n` occasions: (2010), eq. 7."""
        _whole("n", n)
        x, last = np.arange(n + 1.0), np.arange(n + 1.0)[:, None]
        alpha, beta, gamma, delta = _four(self.coefficients)
        free = np.maximum(last - x, 0)
        ways = gammaln(last + 1) - gammaln(x + 1) - gammaln(free + 1)
        log = ways + betaln(alpha + x, beta + free) - betaln(alpha, beta) + log_staying(gamma, delta, last)
        log = log + np.where(last < n, np.log(gamma / (gamma + delta + last)), 0.0)
        found = np.where(x <= last, np.exp(log), 0.0).sum(axis=0)
        return pd.Series(found, index=pd.RangeIndex(n + 1, name="purchases"), name="probability")

    def simulate(self, T: Any, *, seed: int) -> pd.DataFrame:
        """Draw histories of new customers, each with its `T` occasions: ``frequency``, ``recency``, ``T``."""
        occasions = np.atleast_1d(np.asarray(T))
        for one in np.unique(occasions):
            _whole("T", one)
        rng, customers = np.random.default_rng(seed), len(occasions)
        alpha, beta, gamma, delta = _four(self.coefficients)
        stays = rng.geometric(np.maximum(rng.beta(gamma, delta, customers), 1e-300)) - 1
        chance = rng.beta(alpha, beta, customers)
        x, last = np.zeros(customers, dtype="int64"), np.zeros(customers, dtype="int64")
        for occasion in range(1, int(occasions.max()) + 1):
            buys = (rng.random(customers) < chance) & (occasion <= np.minimum(stays, occasions))
            x, last = x + buys, np.where(buys, occasion, last)
        return pd.DataFrame({"frequency": x, "recency": last, "T": occasions})

    def _of_customers(
        self,
        name: str,
        estimate: "Callable[..., Floats]",
        data: pd.DataFrame | None,
        level: float | None,
        draws: pd.DataFrame | None,
        top: float = np.inf,
    ) -> Any:
        """Evaluate a function once for every different history."""
        frame = self.frame if data is None else read_occasions(data)[0]
        if frame is None:
            raise ContractError("a fit that was read from a file knows no customers; give them as data=")
        x, recency, occasions = (frame[column].to_numpy(dtype="int64") for column in HISTORY)
        wide = int(occasions.max()) + 1
        place, codes = pd.factorize((x * wide + recency) * wide + occasions)
        history = [one.astype(float) for one in (codes // wide**2, codes // wide % wide, codes % wide)]
        found = self._predicted(lambda one: estimate(one, *history), level, draws, top=top)
        spread = {key: one[place] for key, one in found.items()} if isinstance(found, dict) else found[place]
        return as_series(spread, frame.index, name)


def _whole(name: str, value: Any) -> int:
    if not (np.ndim(value) == 0 and np.isfinite(value) and value >= 0 and value % 1 == 0):
        raise ContractError(f"{name} must be a whole number of occasions, 0 or more; got {value!r}")
    return int(value)


def _four(coefficients: "Floats") -> "tuple[Floats, Floats, Floats, Floats]":
    """alpha, beta, gamma and delta."""
    if len(coefficients) == 3:
        alpha, beta = np.exp(coefficients[:2])
        return four(alpha, beta, as_share(coefficients[2]))
    alpha, beta, gamma, delta = np.exp(coefficients)
    return alpha, beta, gamma, delta


def _shares(coefficients: "Floats", history: "Sequence[Floats]") -> "Floats":
    """Chance of each occasion to have been the customer's last, as rows; first that of being there still."""
    value = last_occasions(history, _four(coefficients)).value
    share = np.exp(value - value.max(axis=0))
    return share / share.sum(axis=0)


def _alive(coefficients: "Floats", *history: "Floats") -> "Floats":
    _, _, gamma, delta = _four(coefficients)
    return _shares(coefficients, history)[0] * (delta + history[2]) / (gamma + delta + history[2])


def _chance(coefficients: "Floats", *history: "Floats") -> "Floats":
    alpha, beta, _, _ = _four(coefficients)
    x, recency, occasions = history
    shares = _shares(coefficients, history)
    last = np.vstack([occasions, recency + np.arange(len(shares) - 1.0)[:, None]])
    return (shares * (alpha + x) / (alpha + beta + last)).sum(axis=0)


def _to_come(coefficients: "Floats", history: "Sequence[Floats]", stays: "Callable[..., Floats | float]") -> "Floats":
    """Purchases to come: `stays` sums the chances of staying on after so many occasions, by gamma and delta + T."""
    alpha, beta, gamma, delta = _four(coefficients)
    x, _, occasions = history
    different, place = np.unique(occasions, return_inverse=True)
    ahead = np.array([stays(gamma, delta + one) for one in different])[place]
    return _shares(coefficients, history)[0] * (alpha + x) / (alpha + beta + occasions) * ahead


def _expected(n: int) -> "Callable[..., Floats]":
    ahead = np.arange(1.0, n + 1)

    def stays(gamma: "Floats", delta: "Floats") -> "Floats":
        return np.exp(log_staying(gamma, delta, ahead)).sum()

    return lambda one, *history: _to_come(one, history, stays)


def _discounted(rate: float) -> "Callable[..., Floats]":
    def stays(gamma: "Floats", delta: "Floats") -> float:
        return discounted_sum(lambda t: np.exp(log_staying(gamma, delta, t + 1)), rate) / (1 + rate)

    return lambda one, *history: _to_come(one, history, stays)
