"""From a score to the letters worth sending: profit by depth, the best depth, and what the choice is worth.

A depth that was chosen and valued on the same customers flatters itself. `depth_uncertainty` says by how much, and
`value_of_limit` values the choice on other customers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.database.response import Gains
from crmlab.errors import ContractError
from crmlab.stats import Interval, bootstrap_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mailing_profit(
    contacted: Any, responses: Any, *, margin: float, contact_cost: float, fixed_cost: float = 0.0
) -> Any:
    """Profit of a mailing: margin x responses - contact_cost x contacted - fixed_cost; 0 where nobody is contacted.

    Parameters
    ----------
    contacted, responses : number or array
        How many; instead of responses their money may stand, and then `margin` is the share of it that is left.
    margin : float
        Money that a response leaves after all costs but those of the contact.
    contact_cost : float
        Money per contact.
    fixed_cost : float, default 0
        Money for having a mailing at all: design, set-up.

    Examples
    --------
    >>> round(mailing_profit(1_000, 90, margin=6.0, contact_cost=0.5), 2)
    40.0
    """
    check_economics(margin, contact_cost, fixed_cost)
    profit = margin * np.asarray(responses) - contact_cost * np.asarray(contacted) - fixed_cost
    found = np.where(np.asarray(contacted) > 0, profit, 0.0)
    return found if found.ndim else float(found)


def break_even_rate(contact_cost: float, margin: float) -> float:
    """Response rate at which a contact pays for itself: contact_cost / margin.

    Parameters
    ----------
    contact_cost, margin : float
        Money per contact, and money that a response leaves. Above 1 no rate of response pays.

    Examples
    --------
    >>> break_even_rate(contact_cost=1.0, margin=20.0)
    0.05
    """
    check_economics(margin, contact_cost)
    return contact_cost / margin


def check_economics(margin: float, contact_cost: float, fixed_cost: float = 0.0) -> None:
    """Refuse a margin that is not above 0, and costs below 0."""
    problems = [] if np.isfinite(margin) and margin > 0 else [f"margin must be above 0, got {margin}"]
    for name, cost in {"contact_cost": contact_cost, "fixed_cost": fixed_cost}.items():
        if not (np.isfinite(cost) and cost >= 0):
            problems.append(f"{name} must be 0 or more, got {cost}")
    if problems:
        raise ContractError("the economics of a contact are not possible", problems)


@dataclass(frozen=True, eq=False)
class ProfitCurve:
    """Profit by depth, and the best depth.

    Attributes
    ----------
    table : pandas.DataFrame, shape (different scores + 1, 8)
        First row: contact nobody. Then one row per score, best first: ``score``, ``contacted``, ``depth``,
        ``responses``, ``value``, ``cost`` (contact_cost x contacted + fixed_cost), ``profit`` (margin x value - cost)
        and ``return_on_cost`` (profit / cost).
    gains : Gains
        The curve behind it.
    margin, contact_cost, fixed_cost : float
        As given.
    capacity : int or None
        Most contacts that can be made.
    """

    table: pd.DataFrame
    gains: Gains
    margin: float
    contact_cost: float
    fixed_cost: float
    capacity: int | None

    @property
    def best(self) -> pd.Series:
        """The row of the highest profit within the capacity; of equal ones that with the fewest contacts."""
        return self.table.iloc[_best(self.table["profit"], self.table["contacted"], self.capacity)]

    @property
    def best_depth(self) -> float:
        """Share of the customers to contact."""
        return float(self.best["depth"])

    @property
    def score_limit(self) -> float:
        """Contact those with this score or a better one; infinite when nobody is worth it."""
        return float(self.best["score"])

    @property
    def break_even_rate(self) -> float:
        """contact_cost / (margin x mean value of a response): the response rate that pays for a contact."""
        return break_even_rate(self.contact_cost, self.margin * self.gains.value_per_response)

    def __repr__(self) -> str:
        best, limited = self.best, "" if self.capacity is None else f", at most {self.capacity:,} contacts"
        return (
            f"Profit curve: margin {self.margin:g}, contact cost {self.contact_cost:g}, fixed cost {self.fixed_cost:g}"
            f"{limited}\n  break-even response rate {self.break_even_rate:.4g}\n"
            f"  best: contact {best['contacted']:,.0f} ({best['depth']:.1%}) with a score from {best['score']:.4g}; "
            f"profit {best['profit']:,.2f}, of all {self.table['profit'].iloc[-1]:,.2f}"
        )


def _best(profit: "ArrayLike", contacted: "ArrayLike", capacity: int | None) -> int:
    within = np.asarray(contacted) <= (np.inf if capacity is None else capacity)
    return int(np.argmax(np.where(within, profit, -np.inf)))


def profit_curve(
    gains: Gains, margin: float, contact_cost: float, fixed_cost: float = 0.0, capacity: int | None = None
) -> ProfitCurve:
    """Profit of contacting the best customers first, by depth.

    Parameters
    ----------
    gains : Gains
        From `gains`; with its `value`, if it has one.
    margin : float
        Money that a response leaves; if `gains` knows the money of responses, the share of it that is left.
    contact_cost : float
        Money per contact.
    fixed_cost : float, default 0
        Money for a mailing at all; nothing is paid when nobody is contacted.
    capacity : int, optional
        Most contacts that can be made. Customers with equal scores are contacted together or not at all.

    Raises
    ------
    ContractError
        If a cost is negative, the margin not above 0, the capacity not a whole number of 0 or more, or the responses
        brought no money in all.

    Examples
    --------
    >>> from crmlab.database import gains
    >>> curve = profit_curve(gains([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]), margin=10.0, contact_cost=4.0)
    >>> curve.table["profit"].tolist(), curve.best_depth, curve.score_limit, curve.break_even_rate
    ([0.0, 6.0, 8.0, 4.0], 0.75, 0.5, 0.4)
    """
    check_economics(margin, contact_cost, fixed_cost)
    if capacity is not None and not (capacity >= 0 and capacity % 1 == 0):
        raise ContractError(f"capacity must be a whole number of contacts, 0 or more, got {capacity}")
    if not gains.value_per_response > 0:
        raise ContractError(f"the responses brought {gains.value_per_response:g} each in the mean: no depth can pay")
    names = ["score", "contacted", "depth", "responses", "value"]
    nobody = pd.DataFrame({"score": [np.inf], "contacted": 0, "depth": 0.0, "responses": 0, "value": 0.0})
    table = pd.concat([nobody, gains.curve[names]], ignore_index=True)
    table["cost"] = np.where(table["contacted"] > 0, contact_cost * table["contacted"] + fixed_cost, 0.0)
    table["profit"] = mailing_profit(
        table["contacted"], table["value"], margin=margin, contact_cost=contact_cost, fixed_cost=fixed_cost
    )
    table["return_on_cost"] = table["profit"] / table["cost"].where(table["cost"] > 0)
    return ProfitCurve(table, gains, float(margin), float(contact_cost), float(fixed_cost), capacity)


@dataclass(frozen=True)
class DepthUncertainty:
    """How sure the best depth is, from resamples of the customers.

    Attributes
    ----------
    depth : Interval
        Share of the customers to contact.
    profit : Interval
        Money, with the score limit held fixed.
    optimism : float
        How much, in the mean, a choice earns more on the customers on whom it was made than on others.
    """

    depth: Interval
    profit: Interval
    optimism: float

    @property
    def honest_profit(self) -> float:
        """Profit less optimism: what the chosen score limit is expected to earn from as many other customers."""
        return self.profit.estimate - self.optimism


def depth_uncertainty(curve: ProfitCurve, *, seed: int, n: int = 500, level: float = 0.95) -> DepthUncertainty:
    """Bootstrap of the best depth: every resample of the customers chooses anew.

    The optimism is the mean, over resamples, of what a resample's own choice earns on it less what it earns on all
    customers; both are taken against the choice of `curve`, whose expectation is the same on either.

    Parameters
    ----------
    curve : ProfitCurve
        Whose depth was chosen on these customers; the score itself must come from others.
    seed : int
        Seed of the resampling.
    n : int, default 500
        Number of resamples.
    level : float, default 0.95
        Confidence level of the intervals between percentiles.

    References
    ----------
    Efron, B. (1983). Estimating the error rate of a prediction rule: improvement on cross-validation. *Journal of the
    American Statistical Association* 78, 316-331. (optimism)

    Examples
    --------
    >>> from crmlab.database import gains
    >>> rng = np.random.default_rng(1)
    >>> chance = rng.beta(1, 4, 2_000)
    >>> curve = profit_curve(gains(chance, rng.random(2_000) < chance), margin=10.0, contact_cost=2.0)
    >>> found = depth_uncertainty(curve, seed=1, n=200)
    >>> found.depth.low < curve.best_depth < found.depth.high, found.optimism > 0
    (True, True)
    """
    _check_resampling(n, level)
    rng, people, size = np.random.default_rng(seed), curve.gains.people, curve.gains.customers
    step = np.searchsorted(-curve.gains.curve["score"].to_numpy(), -people["score"].to_numpy())
    money, steps = people["value"].to_numpy(), len(curve.gains.curve)
    costs = {"margin": curve.margin, "contact_cost": curve.contact_cost, "fixed_cost": curve.fixed_cost}
    mine = curve.table["profit"].to_numpy()
    own = _best(mine, curve.table["contacted"], curve.capacity)
    draws = np.empty((n, 3))
    for row in draws:
        drawn = rng.integers(0, size, size)
        contacted = np.append(0, np.bincount(step[drawn], minlength=steps).cumsum())
        value = np.append(0.0, np.bincount(step[drawn], money[drawn], minlength=steps).cumsum())
        profit = mailing_profit(contacted, value, **costs)
        best = _best(profit, contacted, curve.capacity)
        row[:] = contacted[best] / size, profit[own], (profit[best] - profit[own]) - (mine[best] - mine[own])
    low, high = np.quantile(draws[:, :2], [(1 - level) / 2, (1 + level) / 2], axis=0)
    depth = Interval(curve.best_depth, float(low[0]), float(high[0]), level)
    profit_there = Interval(float(mine[own]), float(low[1]), float(high[1]), level)
    return DepthUncertainty(depth, profit_there, float(draws[:, 2].mean()))


def _check_resampling(n: int, level: float) -> None:
    if not (n >= 2 and n % 1 == 0 and 0 < level < 1):
        raise ContractError(f"need 2 resamples or more and a level between 0 and 1, got n={n}, level={level}")


@dataclass(frozen=True)
class LimitValue:
    """What a score limit earns from customers who had no part in choosing it.

    Attributes
    ----------
    limit : float
        Contacted are those with this score or a better one.
    customers, contacted, responses : int
        Of the new customers; responses are those of the contacted.
    profit : Interval
        Money; the interval is for other customers like these.
    """

    limit: float
    customers: int
    contacted: int
    responses: int
    profit: Interval

    @property
    def depth(self) -> float:
        """Contacted / customers."""
        return self.contacted / self.customers

    @property
    def profit_per_customer(self) -> float:
        """Profit / all customers, contacted or not: comparable between splits of different size."""
        return self.profit.estimate / self.customers


def value_of_limit(
    curve: ProfitCurve, new: Gains, *, seed: int, limit: float | None = None, n: int = 1_000, level: float = 0.95
) -> LimitValue:
    """Apply a score limit to new customers, with the margin and the costs of the curve.

    Parameters
    ----------
    curve : ProfitCurve
        From the customers on whom the depth was chosen.
    new : Gains
        The same score for other customers, with their responses (and money, if `curve` has it).
    seed : int
        Seed of the bootstrap over the new customers.
    limit : float, optional
        Another score limit than ``curve.score_limit``: the break-even rate, say, when scores are probabilities.
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the limit, `n` or `level` is impossible, or only one of the two knows the money of responses.

    Examples
    --------
    >>> from crmlab.database import gains
    >>> curve = profit_curve(gains([0.9, 0.5, 0.1], [1, 1, 0]), margin=10.0, contact_cost=4.0)
    >>> found = value_of_limit(curve, gains([0.7, 0.6, 0.3, 0.2], [1, 0, 1, 0]), seed=1)
    >>> found.contacted, found.responses, found.profit.estimate
    (2, 1, 2.0)
    """
    _check_resampling(n, level)
    lowest = curve.score_limit if limit is None else float(limit)
    if np.isnan(lowest):
        raise ContractError("limit must be a number")
    if new.money != curve.gains.money:
        raise ContractError("one of the two gains knows the money of responses and the other counts them: give both")
    chosen = new.people["score"].to_numpy() >= lowest
    each = np.where(chosen, curve.margin * new.people["value"].to_numpy() - curve.contact_cost, 0.0)
    fixed = curve.fixed_cost if chosen.any() else 0.0
    profit = bootstrap_interval(each, lambda one: one.sum() - fixed, seed=seed, n=n, level=level)
    return LimitValue(lowest, len(each), int(chosen.sum()), int(new.people["response"][chosen].sum()), profit)
