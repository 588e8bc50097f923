"""Customers by what they are worth and what they need: most valuable, most growable, below zero, and the grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules, check_aligned
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TIERS = ("most valuable", "most growable", "migrator", "below zero")
"""The tiers in the order in which attention falls."""


@dataclass(frozen=True, eq=False)
class ValueTiers:
    """Customers by actual value and by what they could grow.

    Attributes
    ----------
    table : pandas.DataFrame
        Per customer: ``actual`` and ``potential`` value (money), ``growth`` (potential less actual) and ``tier``.
    cuts : mapping of str to float
        ``actual`` and ``growth`` from which a customer is most valuable and most growable, the limit included.
    """

    table: pd.DataFrame
    cuts: Mapping[str, float]

    @property
    def summary(self) -> pd.DataFrame:
        """By tier: ``customers``, ``share``, and mean ``actual`` and ``growth`` (money per customer)."""
        groups = self.table.groupby("tier", observed=False)
        means = groups[["actual", "growth"]].mean()
        means.insert(0, "customers", groups.size())
        means.insert(1, "share", means["customers"] / len(self.table))
        return means

    def __repr__(self) -> str:
        head = (
            f"Tiers of {len(self.table):,} customers; most valuable from an actual value of "
            f"{self.cuts['actual']:,.4g}, most growable from a growth of {self.cuts['growth']:,.4g}, below zero if "
            "actual and potential value both are"
        )
        return f"{head}\n{self.summary.round(3).to_string()}"


def value_tiers(
    actual: "ArrayLike",
    potential: "ArrayLike",
    *,
    valuable: float = 0.2,
    growable: float = 0.2,
    cuts: Mapping[str, float] | None = None,
) -> ValueTiers:
    """Sort customers into most valuable, most growable, migrators and below zero.

    *Below zero* are those whose actual and potential value both are: not even all of their business would pay. Of the
    others, *most valuable* are those whose actual value is among the highest, and of the rest, *most growable* those
    who could grow most. Everybody else is a *migrator*. Equal values are in the same tier, so that a tier can be larger
    than its share.

    Parameters
    ----------
    actual, potential : array_like of float, shape (n,)
        Per customer, money per period: what the customer brings as things are, and what with all of the business in
        the category. Series must have the same index.
    valuable, growable : float, default 0.2
        Share of all customers that each of the two tiers is to take, between 0 and 1.
    cuts : mapping of str to float, optional
        ``actual`` and ``growth``, from an earlier result: the same limits for another period or another estimate.

    Raises
    ------
    ContractError
        If columns differ in length or index, hold gaps, or shares or cuts are out of range.

    References
    ----------
    Peppers, D. & Rogers, M. (1997). *Enterprise One to One*. Currency Doubleday.
    Peppers, D. & Rogers, M. (2004). *Managing Customer Relationships*, ch. 5. Wiley.

    Examples
    --------
    >>> tiers = value_tiers([90, 10, 5, -4], [95, 80, 9, -2], valuable=0.25, growable=0.25)
    >>> tiers.table["tier"].tolist()
    ['most valuable', 'most growable', 'migrator', 'below zero']
    """
    table = aligned("value tiers", actual=actual, potential=potential)
    table["growth"] = table["potential"] - table["actual"]
    below = table[["actual", "potential"]].max(axis=1) < 0
    limits = _limits(table, below, valuable, growable) if cuts is None else _given(cuts)
    high, grows = table["actual"] >= limits["actual"], table["growth"] >= limits["growth"]
    names = np.select([below, high, grows], [TIERS[3], TIERS[0], TIERS[1]], TIERS[2])
    table["tier"] = pd.Categorical(names, categories=list(TIERS), ordered=True)
    return ValueTiers(table, MappingProxyType(limits))


def _limits(table: pd.DataFrame, below: pd.Series, valuable: float, growable: float) -> dict[str, float]:
    shares = {"valuable": valuable, "growable": growable}
    wrong = [f"{name} must lie strictly between 0 and 1, got {one}" for name, one in shares.items() if not 0 < one < 1]
    if wrong:
        raise ContractError("the shares of the most valuable and the most growable are wrong", wrong)
    actual = _highest(table.loc[~below, "actual"], valuable * len(table))
    rest = table[~below & (table["actual"] < actual)]
    return {"actual": actual, "growth": _highest(rest["growth"], growable * len(table))}


def _highest(values: pd.Series, customers: float) -> float:
    """The value that so many customers reach, or as many as there are; infinite if that is nobody."""
    count = min(int(np.floor(customers + 1e-9)), len(values))
    return float(np.sort(values)[::-1][count - 1]) if count else float("inf")


def _given(cuts: Mapping[str, float]) -> dict[str, float]:
    if set(cuts) != {"actual", "growth"} or any(np.isnan(float(one)) for one in cuts.values()):
        raise ContractError(f"cuts needs a number for 'actual' and one for 'growth', got {dict(cuts)}")
    return {name: float(cuts[name]) for name in ("actual", "growth")}


@dataclass(frozen=True, eq=False)
class ValueNeedGrid:
    """What to do for whom: one cell per tier of value and segment of need.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per tier and need: ``customers``, ``profit`` (sum, money), ``mean`` (money per customer), ``low`` and
        ``high`` (95 % interval of the mean; missing with fewer than two customers), ``too_small``, ``action``.
    least : int
        Customers below which a cell is too small to be treated by itself.
    """

    table: pd.DataFrame
    least: int

    def pivot(self, field: str = "customers") -> pd.DataFrame:
        """One field as a grid: tiers down, needs across."""
        if field not in self.table.columns:
            raise ContractError(f"the grid has no field {field!r}; it has {', '.join(self.table.columns[2:])}")
        return self.table.pivot(index="tier", columns="need", values=field)

    def __repr__(self) -> str:
        small = int(self.table["too_small"].sum())
        head = f"Value × need: {len(self.table)} cells, {small} with fewer than {self.least} customers"
        return f"{head}\n{self.pivot().to_string()}"


def value_need_grid(
    tier: "ArrayLike",
    need: "ArrayLike",
    profit: "ArrayLike",
    *,
    actions: Mapping[object, str],
    least: int = 30,
) -> ValueNeedGrid:
    """Cross value with need, and give every cell an action; cells too small to be judged take that of their tier.

    Parameters
    ----------
    tier, need : array_like, shape (n,)
        Tier of value and segment of need of each customer. Series must have the same index.
    profit : array_like of float, shape (n,)
        Money per customer.
    actions : mapping
        ``(tier, need)`` to an action, and for every tier ``tier`` to the action for cells that have none of their own
        or fewer than `least` customers.
    least : int, default 30
        A mean of fewer customers says little, and so small a programme costs more than it brings.

    Raises
    ------
    ContractError
        If columns do not fit, a tier or need is missing, a tier has no action, or an action is for no cell.

    Examples
    --------
    >>> found = value_need_grid(
    ...     ["high"] * 3 + ["low"], ["build", "build", "play", "play"], [9, 8, 7, -1],
    ...     actions={"high": "call", "low": "leave", ("high", "build"): "send bricks"}, least=2,
    ... )
    >>> found.table[["tier", "need", "customers", "action"]]
       tier   need  customers       action
    0  high  build          2  send bricks
    1  high   play          1         call
    2   low  build          0        leave
    3   low   play          1        leave
    """
    check_aligned("a grid of value and need", tier=tier, need=need, profit=profit)
    money = aligned("a grid of value and need", profit=profit)["profit"]
    rows = pd.DataFrame({"tier": _values(tier), "need": _values(need), "profit": money.to_numpy()})
    problems = broken_rules({name: rows[name].isna() for name in ("tier", "need")})
    if isinstance(least, bool) or not isinstance(least, int | np.integer) or least < 1:
        problems.append(f"least must be a whole number from 1, got {least!r}")
    if problems:
        raise ContractError("tier or need is missing, or least is wrong (rows counted from 1)", problems)
    groups = rows.groupby(["tier", "need"], observed=False)["profit"]
    table = groups.agg(customers="size", profit="sum", mean="mean", error="sem")
    levels = [rows["tier"].astype("category").cat.categories, rows["need"].astype("category").cat.categories]
    cells = pd.MultiIndex.from_product(levels, names=["tier", "need"])
    table = table.reindex(cells)
    table["customers"] = table["customers"].fillna(0).astype("int64")
    table["profit"] = table["profit"].fillna(0.0)
    wide = _t(table["customers"]) * table["error"]
    small = table["customers"] < least
    table = table.drop(columns="error").assign(low=table["mean"] - wide, high=table["mean"] + wide, too_small=small)
    return ValueNeedGrid(table.assign(action=_actions(small, actions)).reset_index(), int(least))


def _values(column: "ArrayLike") -> object:
    return column.array if isinstance(column, pd.Series) else np.asarray(column)


def _t(customers: pd.Series) -> pd.Series:
    """Factor on the standard error for a 95 % interval; missing for fewer than two customers."""
    from scipy.stats import t

    return pd.Series(t.ppf(0.975, customers.clip(lower=2) - 1), customers.index).where(customers > 1)


def _actions(small: pd.Series, actions: Mapping[object, str]) -> list[str]:
    """Action of every cell, given whether it is too small to have one of its own."""
    tiers, cells = small.index.get_level_values("tier").unique(), list(small.index)
    problems = [f"no action for the tier {one!r}" for one in tiers if one not in actions]
    problems += [f"an action for {one!r}, which is no cell" for one in actions if one not in tiers and one not in cells]
    if problems:
        raise ContractError("actions do not fit the grid", problems)
    by_tier = [actions[tier] for tier in small.index.get_level_values("tier")]
    own = [actions.get(cell, usual) for cell, usual in zip(cells, by_tier, strict=True)]
    return np.where(small, by_tier, own).tolist()
