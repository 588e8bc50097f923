"""Beta-binomial: successes in so many trials, with a chance of its own for everybody (or every cell of customers).

References
----------
Skellam, J. G. (1948). A probability distribution derived from the binomial distribution by regarding the probability of
success as variable between the sets of trials. *Journal of the Royal Statistical Society B* 10(2), 257-261.
Colombo, R. & Morrison, D. G. (1988). Blacklisting social science departments with poor Ph.D. submission rates.
*Management Science* 34(6), 696-706. (cells of different sizes)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import betaincc, betaincinv, gammaln

from crmlab.contracts import LARGEST, aligned, broken_rules
from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError, Likelihood, Part, Rows, maximise
from crmlab.models.bgnbd import gamma_ratio
from crmlab.models.sampling import Refit, SampledResults, as_parameters, left_at
from crmlab.stats import check_level

if TYPE_CHECKING:
    from crmlab.models.base import Floats

_ADVICE = (
    "alpha and beta large: the rates differ no more than chance makes them; one pooled rate is enough for all",
    "alpha and beta near 0: every row has all successes or none; look whether the trials are independent",
    "fewer than some ten rows, or trials of 1 or 2 a row, hardly tell spread of the rates from chance",
)


class BetaBinomial:
    """Successes are binomial, with an own chance ~ Beta(alpha, beta) for every row.

    Parameters
    ----------
    successes, trials : array_like of int, shape (n,)
        Of every row: a person, or a cell of customers such as an RFM cell. Two series must have the same index, which
        predictions keep.
    weight : array_like of float, shape (n,), optional
        Rows that each row stands for, when equal ones were counted; 1 by default.

    Raises
    ------
    ContractError
        If these are no successes and trials, naming the rows.

    Examples
    --------
    >>> fit = BetaBinomial([0, 1, 2, 9, 4, 0], [10, 12, 10, 11, 10, 9]).fit()
    >>> fit.params.round(2).tolist()
    [0.47, 1.39]
    >>> fit.rates()["estimate"].round(2).tolist()
    [0.04, 0.11, 0.21, 0.74, 0.38, 0.04]
    """

    def __init__(self, successes: Any, trials: Any, *, weight: Any = None) -> None:
        self.table = read_trials(successes, trials, weight)

    def fit(self) -> "BetaBinomialResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        equal = self.table.groupby(["successes", "trials"], as_index=False)["weight"].sum()
        x, m, weight = (equal[name].to_numpy(dtype=float) for name in ("successes", "trials", "weight"))
        facts = _facts(x, m, weight)
        reasons = {
            "there is not one success": not x.any(),
            "every trial is a success": (x == m).all(),
            "no row has more than one trial": m.max() == 1,
            "there is one row": weight.sum() < 2,
        }
        for reason, holds in reasons.items():
            if holds:
                raise ConvergenceError(f"the beta-binomial cannot be fitted: {reason}", facts)
        refit, mean = _Refit(x, m), weight @ x / (weight @ m)
        found = maximise(refit(weight), [np.log([size * mean, size * (1 - mean)]) for size in (2.0, 30.0, 300.0)])
        params, covariance = as_parameters(found, ["alpha", "beta"])
        if not found.arrived:
            raise ConvergenceError("the beta-binomial did not converge", [*facts, *left_at(params), *_ADVICE])
        return BetaBinomialResults(
            model="beta-binomial",
            params=params,
            cov_params=covariance,
            llf=found.value,
            customers=float(weight.sum()),
            gradient=found.gradient,
            time_unit="",
            refit=refit,
            weight=weight,
            table=self.table,
        )


def read_trials(successes: Any, trials: Any, weight: Any = None) -> pd.DataFrame:
    """Successes, trials and weight as the columns of one table, with the index of the successes.

    Raises
    ------
    ContractError
        If lengths or indices differ, a value is not a whole number of 0 or more, trials are 0, or more succeed than
        tried, naming the rows.
    """
    weights = {} if weight is None else {"weight": weight}
    table = aligned("a beta-binomial", successes=successes, trials=trials, **weights)
    table = table if weights else table.assign(weight=1.0)
    counts = ("successes", "trials")
    rules = {f"{name}: not a whole number, 0 or more": (table[name] < 0) | (table[name] % 1 > 0) for name in counts}
    rules |= {f"{name}: beyond {LARGEST:g}": table[name] > LARGEST for name in counts}
    rules["trials: none"] = table["trials"] == 0
    rules["successes: more than trials"] = table["successes"] > table["trials"]
    rules["weight: not above 0"] = table["weight"] <= 0
    problems = broken_rules(rules)
    if problems:
        raise ContractError("these are no successes and trials (rows counted from 1)", problems)
    return table


def _facts(x: "Floats", m: "Floats", weight: "Floats") -> list[str]:
    rate = weight @ x / (weight @ m)
    spread = weight @ ((x - m * rate) ** 2 / m)
    chance = rate * (1 - rate) * (weight.sum() - 1)
    enough = "" if spread > chance else "; as chance alone would make it, so there is no spread to learn"
    return [
        f"{weight.sum():,.0f} rows with at most {m.max():,.0f} trials each; {weight @ x:,.0f} successes in "
        f"{weight @ m:,.0f} trials, pooled rate {rate:.4g}",
        f"variance between rows {spread / max(chance, 1e-300):.3g} times that of chance" + enough,
    ]


@dataclass(frozen=True, eq=False)
class _Refit(Refit):
    """The log-likelihood of different rows for other weights."""

    successes: "Floats"
    trials: "Floats"

    def __call__(self, weight: "Floats") -> Likelihood:
        seen = weight > 0
        part = Part(trial_terms, (self.successes[seen], self.trials[seen]), weight[seen], (None, None))
        return Likelihood((part,), float(weight.sum()))


def trial_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-probability of x successes in m trials, with derivatives by the logarithms of alpha and beta."""
    x, m = data
    a, b = params
    won, won_1, won_2 = gamma_ratio(a, x)
    lost, lost_1, lost_2 = gamma_ratio(b, m - x)
    tried, tried_1, tried_2 = gamma_ratio(a + b, m)
    share, curve = a / (a + b), tried_2 - tried_1
    gradient = np.array([won_1 - share * tried_1, lost_1 - (1 - share) * tried_1])
    hessian = np.zeros((2, 2, len(x)))
    hessian[0, 0] = won_2 - share * tried_1 - share**2 * curve
    hessian[0, 1] = -share * (1 - share) * curve
    hessian[1, 1] = lost_2 - (1 - share) * tried_1 - (1 - share) ** 2 * curve
    ways = gammaln(m + 1) - gammaln(x + 1) - gammaln(m - x + 1)
    return Rows(ways + won + lost - tried, gradient, hessian)


@dataclass(frozen=True, eq=False, repr=False)
class BetaBinomialResults(SampledResults):
    """A fitted beta-binomial: how the rates are spread, and what the rate of a row is likely to be.

    Attributes
    ----------
    table : pandas.DataFrame or None
        ``successes``, ``trials`` and ``weight`` that it was fitted to; None when it was read from a file.

    Notes
    -----
    Given x successes in m trials the rate of a row is ~ Beta(alpha + x, beta + m - x), with the mean
    (alpha + x) / (alpha + beta + m): the observed rate drawn towards alpha / (alpha + beta), the more the smaller m is.
    alpha and beta are taken as known (empirical Bayes), so that intervals of a rate from few rows are a little short.
    """

    table: pd.DataFrame | None = None

    def mean(self) -> float:
        """Mean of the rates, alpha / (alpha + beta)."""
        alpha, beta = self.params
        return float(alpha / (alpha + beta))

    def probabilities(self, trials: int) -> pd.Series:
        """Chance of 0, 1, ..., `trials` successes of a new row."""
        if not (np.isfinite(trials) and trials >= 1 and trials % 1 == 0):
            raise ContractError(f"trials must be a whole number of 1 or more, got {trials!r}")
        x = np.arange(trials + 1.0)
        value = trial_terms((x, np.full(len(x), float(trials))), [np.asarray(one) for one in self.params]).value
        return pd.Series(np.exp(value), pd.RangeIndex(trials + 1, name="successes"), name="probability")

    def rates(self, successes: Any = None, trials: Any = None, *, level: float = 0.95) -> pd.DataFrame:
        """Rate of every row, given what was observed.

        Parameters
        ----------
        successes, trials : array_like of int, shape (n,), optional
            Rows of the same kind as those of the fit, which are taken when none are given.
        level : float, default 0.95
            Posterior probability of the interval.

        Returns
        -------
        pandas.DataFrame, shape (n, 4)
            ``observed`` rate, ``estimate`` (posterior mean), and the quantiles ``low`` and ``high`` of the posterior.
        """
        table, tail = self._rows(successes, trials), (1 - check_level(level)) / 2
        a, b = self._posterior(table)
        found = {"observed": table["successes"] / table["trials"], "estimate": a / (a + b)}
        ends = {"low": betaincinv(a, b, tail), "high": betaincinv(a, b, 1 - tail)}
        return pd.DataFrame(found | ends, index=table.index)

    def chance_above(self, rate: float, successes: Any = None, trials: Any = None) -> pd.Series:
        """Posterior chance that the rate of a row lies above `rate`; rows as in `rates`."""
        if not 0 <= rate <= 1:
            raise ContractError(f"rate must lie between 0 and 1, got {rate}")
        table = self._rows(successes, trials)
        return pd.Series(betaincc(*self._posterior(table), rate), index=table.index, name="chance_above")

    def simulate(self, trials: Any, *, seed: int) -> pd.DataFrame:
        """Draw the ``rate`` and the ``successes`` of new rows with so many ``trials`` each."""
        number = trials if np.ndim(trials) else [trials]
        m = read_trials(np.zeros(len(number)), number)["trials"].to_numpy(dtype="int64")
        rng, (alpha, beta) = np.random.default_rng(seed), self.params
        rate = rng.beta(alpha, beta, len(m))
        return pd.DataFrame({"trials": m, "rate": rate, "successes": rng.binomial(m, rate)})

    def _rows(self, successes: Any, trials: Any) -> pd.DataFrame:
        if (successes is None) != (trials is None):
            raise ContractError("give successes and trials together, or neither for the rows of the fit")
        if successes is not None:
            return read_trials(successes, trials)
        if self.table is None:
            raise ContractError("a fit that was read from a file knows no rows; give successes and trials")
        return self.table

    def _posterior(self, table: pd.DataFrame) -> "tuple[Floats, Floats]":
        alpha, beta = self.params
        x, m = table["successes"].to_numpy(), table["trials"].to_numpy()
        return alpha + x, beta + m - x
