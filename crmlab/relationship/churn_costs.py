"""What a retention campaign is worth when every right and wrong decision has each customer's own cost.

The costs say what an offer to a leaver and to a stayer costs in the mean; they take an offer's success for granted, as
those of `crmlab.relationship.churn_profit` do.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules, require_columns
from crmlab.database.mailing import DepthUncertainty
from crmlab.errors import ContractError
from crmlab.relationship.churn_profit import leavers_and_stayers
from crmlab.stats import Interval, bootstrap_interval, check_level

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

COSTS = ("cost_true_positive", "cost_false_positive", "cost_false_negative", "cost_true_negative")
"""Columns of costs per customer: offer to a leaver, offer to a stayer, no offer to a leaver, no offer to a stayer."""


@dataclass(frozen=True)
class TargetingValue:
    """What asking some customers saves, when every right and wrong decision has its own cost.

    Attributes
    ----------
    asked, leavers : int
        Customers who are asked, and those of them who were leaving.
    customers : int
        All.
    cost, cost_nobody, cost_everybody : float
        Money of this rule, of asking nobody and of asking everybody.
    saved : Interval
        cost_nobody - cost, in money of all customers; the interval is for as many other customers like these.
    """

    asked: int
    leavers: int
    customers: int
    cost: float
    cost_nobody: float
    cost_everybody: float
    saved: Interval

    @property
    def savings(self) -> float:
        """Share of the cost of the cheaper simple rule (nobody or everybody) that is saved; at most 1."""
        simple = min(self.cost_nobody, self.cost_everybody)
        return float((simple - self.cost) / simple) if simple > 0 else float("nan")

    def __repr__(self) -> str:
        return (
            f"Asking {self.asked:,} of {self.customers:,} customers, {self.leavers:,} of whom were leaving\n"
            f"  cost      {self.cost:,.2f}; of asking nobody {self.cost_nobody:,.2f}, of asking everybody "
            f"{self.cost_everybody:,.2f}\n"
            f"  saved     {self.saved.estimate:,.2f} ({self.saved.level:.0%} interval {self.saved.low:,.2f} to "
            f"{self.saved.high:,.2f}), against asking nobody\n"
            f"  savings   {self.savings:.1%} of the cheaper of nobody and everybody"
        )


def targeting_value(
    asked: "ArrayLike",
    left: "ArrayLike",
    costs: pd.DataFrame,
    *,
    seed: int,
    n: int = 1_000,
    level: float = 0.95,
) -> TargetingValue:
    """Cost of a rule of whom to ask, with costs of each customer's own, against asking nobody.

    Parameters
    ----------
    asked : array_like of bool, shape (n,)
        Whether the customer is asked to stay. The rule must have been made on other customers.
    left : array_like of int or bool, shape (n,)
        1 for those who left when nobody asked them.
    costs : pandas.DataFrame, shape (n, 4)
        Columns `COSTS`, in money: ``cost_true_positive`` (asked, would leave), ``cost_false_positive`` (asked, would
        stay), ``cost_false_negative`` (not asked, leaves), ``cost_true_negative`` (not asked, stays).
    seed : int
        Seed of the bootstrap over customers.
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If columns do not fit, are not finite, or all or none left.

    References
    ----------
    Correa Bahnsen, A., Aouada, D. & Ottersten, B. (2015). A novel cost-sensitive framework for customer churn
    predictive modeling. *Decision Analytics* 2:5.

    Examples
    --------
    >>> costs = pd.DataFrame([[20.0, 10.0, 100.0, 0.0]] * 4, columns=COSTS)
    >>> found = targeting_value([1, 1, 0, 0], [1, 0, 1, 0], costs, seed=1)
    >>> found.cost, found.cost_nobody, found.saved.estimate, found.savings
    (130.0, 200.0, 70.0, -1.1666666666666667)
    """
    people = _with_costs(left, costs, asked=asked)
    if not people["asked"].isin([0, 1]).all():
        raise ContractError("asked must be 0 or 1 (or False or True) for every customer")
    _check_resamples(n)
    each, chosen = _saved_by_asking(people), people["asked"] == 1
    nobody = _cost(people, "cost_false_negative", "cost_true_negative")
    everybody = _cost(people, "cost_true_positive", "cost_false_positive")
    saved = bootstrap_interval((each * chosen).to_numpy(), np.sum, seed=seed, n=n, level=level)
    return TargetingValue(
        asked=int(chosen.sum()),
        leavers=int(people["left"][chosen].sum()),
        customers=len(people),
        cost=float(nobody.sum() - saved.estimate),
        cost_nobody=float(nobody.sum()),
        cost_everybody=float(everybody.sum()),
        saved=saved,
    )


def _cost(people: pd.DataFrame, of_leaver: str, of_stayer: str) -> pd.Series:
    return people[of_leaver].where(people["left"] == 1, people[of_stayer])


def _saved_by_asking(people: pd.DataFrame) -> pd.Series:
    """Money saved by asking this very customer; below 0 where asking costs."""
    nobody = _cost(people, "cost_false_negative", "cost_true_negative")
    return nobody - _cost(people, "cost_true_positive", "cost_false_positive")


def _with_costs(left: "ArrayLike", costs: pd.DataFrame, **others: "ArrayLike") -> pd.DataFrame:
    require_columns(costs, COSTS, "a targeting with costs per customer")
    return leavers_and_stayers("a targeting with costs", left=left, **others, **{name: costs[name] for name in COSTS})


def _check_resamples(n: int) -> None:
    if not (n >= 2 and n % 1 == 0):
        raise ContractError(f"n must be a whole number of resamples, 2 or more; got {n}")


def ask_at_minimum_risk(probability: "ArrayLike", costs: pd.DataFrame) -> pd.Series:
    """Whom to ask by Bayes minimum risk: those for whom asking is expected to cost less than not asking.

    .. math:: p\\,C_{TP} + (1-p)\\,C_{FP} < p\\,C_{FN} + (1-p)\\,C_{TN}

    There is no threshold to choose, so there is nothing to be optimistic about, but the probability p must mean what
    it says: check `crmlab.database.calibration` first. Ties are not asked.

    Parameters
    ----------
    probability : array_like of float, shape (n,)
        Calibrated chance that the customer leaves when nobody asks.
    costs : pandas.DataFrame, shape (n, 4)
        As for `targeting_value`.

    Returns
    -------
    pandas.Series of bool, shape (n,)
        Named ``asked``, with the index of the inputs.

    References
    ----------
    Correa Bahnsen, A., Stojanovic, A., Aouada, D. & Ottersten, B. (2014). Improving credit card fraud detection with
    calibrated probabilities. *SIAM International Conference on Data Mining*, 677-685.

    Examples
    --------
    >>> costs = pd.DataFrame([[20.0, 10.0, 100.0, 0.0]] * 2, columns=COSTS)
    >>> ask_at_minimum_risk([0.11, 0.12], costs).tolist()
    [False, True]
    """
    require_columns(costs, COSTS, "a decision at minimum risk")
    people = aligned("a decision at minimum risk", probability=probability, **{name: costs[name] for name in COSTS})
    problems = broken_rules({"probability: not between 0 and 1": ~people["probability"].between(0, 1)})
    if problems:
        raise ContractError("no risk can be computed (rows counted from 1)", problems)
    p, (tp, fp, fn, tn) = people["probability"], (people[name] for name in COSTS)
    return (p * tp + (1 - p) * fp < p * fn + (1 - p) * tn).rename("asked")


@dataclass(frozen=True, eq=False)
class SavingsCurve:
    """Money saved by threshold, with costs of each customer's own.

    Attributes
    ----------
    table : pandas.DataFrame, shape (different scores + 1, 5)
        First row: ask nobody. Then one row per score, highest first: ``threshold``, ``asked`` (customers with this
        score or a higher one), ``share`` of all, ``leavers`` among them, ``saved`` (money, against asking nobody).
    people : pandas.DataFrame, shape (n, 2)
        ``score``, and ``saved`` by asking this customer.
    """

    table: pd.DataFrame
    people: pd.DataFrame

    @property
    def best(self) -> pd.Series:
        """The row that saves most; of equal ones that with the fewest customers."""
        return self.table.iloc[int(self.table["saved"].argmax())]

    def __repr__(self) -> str:
        best, customers = self.best, len(self.people)
        return (
            f"Savings curve of {customers:,} customers: most is saved, {best['saved']:,.0f}, by asking "
            f"{best['share']:.1%} with a score from {best['threshold']:.4g}; asking everybody saves "
            f"{self.table['saved'].iloc[-1]:,.0f}"
        )

    def uncertainty(self, *, seed: int, n: int = 500, level: float = 0.95) -> DepthUncertainty:
        """Bootstrap of the best threshold: every resample of the customers chooses anew.

        Parameters
        ----------
        seed : int
            Seed of the resampling.
        n : int, default 500
            Number of resamples.
        level : float, default 0.95
            Confidence level.

        Returns
        -------
        DepthUncertainty
            ``depth`` (share asked), ``profit`` (money saved at the best threshold) and the ``optimism`` of a threshold
            that is chosen and valued on the same customers.
        """
        _check_resamples(n)
        check_level(level)
        rng, size = np.random.default_rng(seed), len(self.people)
        step = np.searchsorted(-self.table["threshold"].to_numpy(), -self.people["score"].to_numpy())
        money, mine = self.people["saved"].to_numpy(), self.table["saved"].to_numpy()
        own, draws = int(mine.argmax()), np.empty((n, 3))
        for row in draws:
            drawn = rng.integers(0, size, size)
            asked = np.bincount(step[drawn], minlength=len(mine)).cumsum()
            saved = np.bincount(step[drawn], money[drawn], minlength=len(mine)).cumsum()
            best = int(saved.argmax())
            row[:] = asked[best] / size, saved[own], saved[best] - mine[best]
        low, high = np.quantile(draws[:, :2], [(1 - level) / 2, (1 + level) / 2], axis=0)
        depth = Interval(float(self.best["share"]), float(low[0]), float(high[0]), level)
        saved_there = Interval(float(mine[own]), float(low[1]), float(high[1]), level)
        return DepthUncertainty(depth, saved_there, float(draws[:, 2].mean()))


def savings_curve(score: "ArrayLike", left: "ArrayLike", costs: pd.DataFrame) -> SavingsCurve:
    """Money that asking the riskiest first saves, threshold by threshold.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        High is to be asked first; equal scores are asked together. It must come from a model of other customers.
    left, costs
        As for `targeting_value`.

    Raises
    ------
    ContractError
        If columns do not fit, all scores are equal, or all or none left.

    Examples
    --------
    >>> costs = pd.DataFrame([[20.0, 10.0, 100.0, 0.0]] * 4, columns=COSTS)
    >>> savings_curve([0.9, 0.6, 0.2, 0.1], [1, 0, 1, 0], costs).table["saved"].tolist()
    [0.0, 80.0, 70.0, 150.0, 140.0]
    """
    people = _with_costs(left, costs, score=score)
    if people["score"].nunique() < 2:
        raise ContractError("all customers have the same score: nothing says whom to ask first")
    people["saved"] = _saved_by_asking(people)
    sums = people.groupby("score")[["left", "saved"]].agg(["size", "sum"])[::-1]
    asked = np.append(0, sums["left", "size"].cumsum())
    table = pd.DataFrame({"threshold": np.append(np.inf, sums.index), "asked": asked, "share": asked / len(people)})
    table["leavers"] = np.append(0, sums["left", "sum"].cumsum())
    table["saved"] = np.append(0.0, sums["saved", "sum"].cumsum())
    return SavingsCurve(table, people[["score", "saved"]])
