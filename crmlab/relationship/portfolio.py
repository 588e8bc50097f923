"""A portfolio of relationships: which type a segment gets by rule, and what each way to serve a customer is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import broken_rules, one_of, require_columns
from crmlab.errors import ContractError

Rule = Literal["number_margin", "loyalty_sales"]

#: The five types of relationship from the least effort to the most, with their Chinese names.
TYPES: Mapping[str, str] = MappingProxyType(
    {
        "basic": "基本型",
        "reactive": "被动型",
        "accountable": "负责型",
        "proactive": "能动型",
        "partnership": "伙伴型",
    }
)
#: The two measures of each rule, and the words for their three levels in the order in which effort rises.
_RULES: dict[str, dict[str, tuple[str, str, str]]] = {
    "number_margin": {"customers": ("many", "medium", "few"), "margin": ("low", "medium", "high")},
    "loyalty_sales": {"loyalty": ("low", "medium", "high"), "sales": ("low", "medium", "high")},
}


@dataclass(frozen=True, eq=False)
class RelationshipTypes:
    """The type of relationship that a rule gives to every segment.

    Attributes
    ----------
    table : pandas.DataFrame
        By segment: the two measures, the level of each in words, and ``type``, ordered by effort.
    cuts : mapping of str to (float, float)
        Per measure the upper limits of the low and of the medium values, each limit included.
    grid : pandas.DataFrame, shape (3, 3)
        The rule: the type by the level of the first measure (rows) and of the second (columns).
    rule : {"number_margin", "loyalty_sales"}
        Which two measures decide.
    """

    table: pd.DataFrame
    cuts: Mapping[str, tuple[float, float]]
    grid: pd.DataFrame
    rule: Rule

    def __repr__(self) -> str:
        cuts = "; ".join(f"{name} up to {low:,.4g} and up to {high:,.4g}" for name, (low, high) in self.cuts.items())
        head = f"Types of {len(self.table)} segments by {' and '.join(self.cuts)}; equal values, equal levels"
        return f"{head}\ncuts: {cuts}\n{self.grid.to_string()}\n\n{self.table.round(3).to_string()}"


def relationship_types(
    segments: pd.DataFrame, rule: Rule = "number_margin", *, cuts: Mapping[str, Sequence[float]] | None = None
) -> RelationshipTypes:
    """Give every segment one of five types of relationship, from two measures with three levels each.

    The 3 x 3 table of Kotler adds up two ranks: 0 to 2 for few customers, 0 to 2 for a high margin, and the sum 0 to 4
    is basic, reactive, accountable, proactive or partnership. (Where customers are many and the margin is low, the
    sources write "basic or reactive"; here it is basic.) The sources name loyalty and sales as criteria too but give no
    table for them: the same sum of ranks is used.

    Parameters
    ----------
    segments : pandas.DataFrame
        One row per segment, named by the index: ``customers`` (number, above 0) and ``margin`` (money per customer and
        year), or ``loyalty`` (any measure of which more is better) and ``sales`` (money per customer and year).
    rule : {"number_margin", "loyalty_sales"}, default "number_margin"
        Which two measures decide.
    cuts : mapping of str to two floats, optional
        Upper limits of the low and the medium values, rising, each included. Default: the smallest values that a third
        and two thirds of the segments do not exceed; this makes the types relative to the other segments.

    Raises
    ------
    ContractError
        If there is no segment, a name appears twice, a value is not finite, cuts do not rise, or without own cuts
        there are fewer than three segments or a measure does not vary.

    References
    ----------
    Kotler, P. (1992). Marketing's new paradigm: what's really happening out there. *Planning Review* 20(5), 50-52.
    Kotler, P. (1997). *Marketing Management*, 9th ed., ch. 2. Prentice Hall. (the table)

    Examples
    --------
    >>> shop = pd.DataFrame({"customers": [20, 300, 5_000], "margin": [900.0, 90.0, 4.0]}, index=["A", "B", "C"])
    >>> relationship_types(shop).table["type"].tolist()
    ['partnership', 'accountable', 'basic']
    """
    one_of("rule", rule, Rule)
    measures = _RULES[rule]
    numbers = named_numbers(segments, list(measures), "relationship_types")
    limits = {name: _cuts(numbers[name], (cuts or {}).get(name)) for name in measures}
    unknown = [name for name in cuts or {} if name not in measures]
    if unknown:
        raise ContractError(f"cuts are for {' and '.join(measures)} under the rule {rule}; got {', '.join(unknown)}")
    table, rank = numbers.copy(), np.zeros(len(numbers), dtype=int)
    for name, words in measures.items():
        level = np.searchsorted(np.asarray(limits[name]), numbers[name], side="left")
        level = 2 - level if name == "customers" else level
        table[f"{name}_level"] = np.asarray(words)[level]
        rank += level
    names = list(TYPES)
    table["type"] = pd.Categorical(np.asarray(names)[rank], categories=names, ordered=True)
    rows, columns = measures.items()
    cells = [[names[i + j] for j in range(3)] for i in range(3)]
    grid = pd.DataFrame(
        cells, pd.Index(rows[1], name=rows[0]), pd.Index([f"{word} {columns[0]}" for word in columns[1]])
    )
    return RelationshipTypes(table, MappingProxyType(limits), grid, rule)


def named_numbers(table: pd.DataFrame, names: list[str], what: str) -> pd.DataFrame:
    """These columns as floats, if every row has a name of its own and finite numbers."""
    require_columns(table, names, what)
    numbers = table[names].apply(pd.to_numeric, errors="coerce").astype("float64")
    rules = {f"{name}: not a finite number": ~np.isfinite(numbers[name]) for name in names}
    if "customers" in numbers:
        rules["customers: not above 0"] = numbers["customers"] <= 0
    rules["index: the same name twice"] = pd.Series(table.index.duplicated(), dtype=bool)
    problems = broken_rules(rules)
    if problems or table.empty:
        raise ContractError(f"{what} cannot read this table (rows counted from 1)", problems or ["no row"])
    return numbers


def _cuts(values: pd.Series, own: Sequence[float] | None) -> tuple[float, float]:
    if own is not None:
        if len(own) != 2 or not (np.isfinite(own).all() and own[0] < own[1]):
            raise ContractError(f"cuts of {values.name} must be two rising numbers; got {list(own)}")
        return float(own[0]), float(own[1])
    if len(values) < 3 or values.nunique() == 1:
        have = f"{len(values)} segments with {values.nunique()} different values"
        raise ContractError(f"thirds of {values.name} need three segments that differ, got {have}: give own cuts")
    low, high = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf")
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class RelationshipEconomics:
    """What ways to serve a customer are worth, and from which margin each of them pays.

    Attributes
    ----------
    table : pandas.DataFrame
        By plan, least effort first: ``yearly_cost`` (money per customer), ``hazard_ratio``, ``retention`` (share kept
        in a year), ``multiple`` (discounted years that a customer stays), ``value`` (money per customer at `margin`),
        ``break_even`` (yearly margin from which the plan beats the row above; infinite if never), ``best_from`` and
        ``best_to`` (yearly margins between which it is the best of all; missing if nowhere).
    margin : float
        Yearly margin of a customer before the cost of the relationship, money.
    retention : float
        Share kept in a year where the hazard ratio is 1.
    annual_discount_rate : float
    """

    table: pd.DataFrame
    margin: float
    retention: float
    annual_discount_rate: float

    @property
    def definitions(self) -> dict[str, str]:
        """How each number was made."""
        return {
            "retention": f"{self.retention:g} to the power of the hazard ratio",
            "multiple": "(1 + d) / (1 + d - retention), the first year in full; d the annual discount rate, "
            f"{self.annual_discount_rate:g}",
            "value": f"(margin - yearly cost) x multiple, at a margin of {self.margin:,.6g}",
            "break_even": "margin at which the plan and the one above it have the same value",
        }

    def __repr__(self) -> str:
        lines = [f"  {name:<10} {text}" for name, text in self.definitions.items()]
        return "\n".join([f"Economics of {len(self.table)} plans", self.table.round(3).to_string(), *lines])

    def values(self, margins: npt.ArrayLike) -> pd.DataFrame:
        """Value of every plan (columns) at every yearly margin (rows), money per customer."""
        at = np.atleast_1d(np.asarray(margins, dtype=float))
        if at.ndim != 1 or not len(at) or not np.isfinite(at).all():
            raise ContractError("margins must be finite numbers, at least one")
        held = (at[:, None] - self.table["yearly_cost"].to_numpy()) * self.table["multiple"].to_numpy()
        index = margins.index if isinstance(margins, pd.Series) else pd.Index(at, name="margin")
        return pd.DataFrame(held, index, self.table.index)

    def best(self, margins: npt.ArrayLike) -> pd.Series:
        """The best plan at every yearly margin, at a break-even the cheaper one; "none" if every plan loses money."""
        values = self.values(margins)
        top = np.isclose(values, values.max(axis=1).to_numpy()[:, None], rtol=1e-12, atol=0).argmax(axis=1)
        names = np.asarray(self.table.index.astype(str), dtype=object)[top]
        return pd.Series(np.where(values.max(axis=1) < 0, "none", names), values.index, name="plan")


def relationship_economics(
    plans: pd.DataFrame, *, margin: float, retention: float, annual_discount_rate: float
) -> RelationshipEconomics:
    """Value of a customer under each of several ways to serve, and the margins at which one takes over from the next.

    With yearly margin m, cost c, share kept r and discount rate d, both paid at the begin of every year that the
    customer is one, the value is (m - c)(1 + d) / (1 + d - r). More effort costs c and raises r = r0 ** hazard ratio.
    Values are lines in m: a plan with k = (1 + d)/(1 + d - r) beats plan j from m = (c k - cj kj) / (k - kj). The
    number of customers plays no part, as long as cost rises in proportion to it.

    Parameters
    ----------
    plans : pandas.DataFrame
        One row per plan, named by the index, from the least yearly cost to the most: ``yearly_cost`` (money per
        customer, 0 or more) and ``hazard_ratio`` (factor on the rate of leaving, above 0).
    margin : float
        Yearly margin of a customer before these costs, money.
    retention : float
        Share of customers kept in a year where the hazard ratio is 1, between 0 and 1.
    annual_discount_rate : float
        0 or more.

    Raises
    ------
    ContractError
        If there are fewer than two plans, costs fall, two plans are alike, or a number is out of range.

    References
    ----------
    Berger, P. D. & Nasr, N. I. (1998). Customer lifetime value: marketing models and applications. *Journal of
    Interactive Marketing* 12(1), 17-30. (case 1, for an unlimited time)

    Examples
    --------
    >>> plans = pd.DataFrame({"yearly_cost": [0.0, 20.0], "hazard_ratio": [1.0, 0.5]}, index=["basic", "partnership"])
    >>> found = relationship_economics(plans, margin=100.0, retention=0.64, annual_discount_rate=0.1)
    >>> found.table[["retention", "value", "break_even"]].round(2)
                 retention   value  break_even
    basic             0.64  239.13         NaN
    partnership       0.80  293.33        57.5
    """
    rows = named_numbers(plans, ["yearly_cost", "hazard_ratio"], "relationship_economics")
    rules = {
        "yearly_cost: negative": rows["yearly_cost"] < 0,
        "yearly_cost: less than in the row above": rows["yearly_cost"].diff() < 0,
        "hazard_ratio: not above 0": rows["hazard_ratio"] <= 0,
        "the same cost and hazard ratio as another plan": rows.duplicated(),
    }
    problems = broken_rules(rules) + _settings_problems(margin, retention, annual_discount_rate)
    if len(rows) < 2:
        problems.append(f"two plans are the least that can be compared, got {len(rows)}")
    if problems:
        raise ContractError("these plans have no economics (rows counted from 1)", problems)
    table = rows.assign(retention=retention ** rows["hazard_ratio"])
    table["multiple"] = years_kept(table["retention"].to_numpy(), annual_discount_rate)
    table["value"] = (margin - table["yearly_cost"]) * table["multiple"]
    cost, k = table["yearly_cost"].to_numpy(), table["multiple"].to_numpy()
    crossing = _crossings(cost, k)
    table["break_even"] = [np.nan, *(crossing[i, i - 1] if k[i] > k[i - 1] else np.inf for i in range(1, len(k)))]
    flatter, steeper = k[None, :] <= k[:, None], k[None, :] > k[:, None]
    begin = np.maximum(np.where(flatter, crossing, -np.inf).max(axis=1), cost)
    end = np.where(steeper, crossing, np.inf).min(axis=1)
    nowhere = begin >= end
    table["best_from"], table["best_to"] = np.where(nowhere, np.nan, begin), np.where(nowhere, np.nan, end)
    return RelationshipEconomics(table, margin, retention, annual_discount_rate)


def _settings_problems(margin: float, retention: float, annual_discount_rate: float) -> list[str]:
    rules = {
        f"margin must be a finite number; got {margin}": np.isfinite(margin),
        f"retention must lie strictly between 0 and 1; got {retention}": 0 < retention < 1,
        f"annual_discount_rate must be 0 or more; got {annual_discount_rate}": 0 <= annual_discount_rate < np.inf,
    }
    return [text for text, holds in rules.items() if not holds]


def years_kept(retention: np.ndarray, rate: float) -> np.ndarray:
    """Discounted years that a customer stays, the first in full."""
    return (1 + rate) / (1 + rate - retention)


def _crossings(cost: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Margin at which plan i (row) and plan j (column) are worth the same; infinite for i if it is j with more cost."""
    rise = k[:, None] - k[None, :]
    held = (cost * k)[:, None] - (cost * k)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        met = held / rise
    dearer = np.where(held > 0, np.inf, -np.inf)  # parallel lines never meet: the cheaper one is always above
    return np.where(rise == 0, dearer, met)
