"""A relationship seen by the customer: what competing offers deliver, and where the firm sees it otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules
from crmlab.errors import ContractError
from crmlab.stats import Interval

#: The four parts of total customer value and the four of total customer cost.
VALUES = ("product", "service", "personnel", "image")
COSTS = ("money", "time", "energy", "mind")


@dataclass(frozen=True, eq=False)
class DeliveredValue:
    """What competing offers deliver to customers: total value less total cost.

    Attributes
    ----------
    table : pandas.DataFrame
        By offer, the best first: ``total_value``, ``total_cost``, ``delivered`` (their difference, points of the rating
        scale, mean over respondents) with its interval ``low`` and ``high`` (missing with one respondent),
        ``relative_value`` and ``relative_cost`` (over the mean of the offers), ``above_line`` (relative value above the
        fair-value line) and ``first_choice`` (share of respondents to whom it delivers most; ties are shared).
    parts : pandas.DataFrame
        Points by offer and component, costs negative; a row adds up to ``delivered``.
    respondents : pandas.DataFrame
        Delivered value by respondent (rows) and offer (columns).
    slope : float
        Slope of the fair-value line through (1, 1): relative value that makes up for one unit of relative cost.
    level : float
        Confidence level; respondents vary, ratings are taken as they are.
    """

    table: pd.DataFrame
    parts: pd.DataFrame
    respondents: pd.DataFrame
    slope: float
    level: float

    def __repr__(self) -> str:
        head = f"Delivered value of {len(self.table)} offers to {len(self.respondents):,} respondents"
        line = f"fair value: relative value = 1 + {self.slope:.3g} x (relative cost - 1)"
        return f"{head}; {line}\n{self.table.round(3).to_string()}"


def delivered_value(
    ratings: pd.DataFrame, weights: pd.DataFrame, *, costs: Sequence[str] = COSTS, level: float = 0.95
) -> DeliveredValue:
    """Customer delivered value of competing offers from ratings and importance weights.

    With weights w of one respondent that add up to 1 over all components, an offer's total value is the sum of w x
    rating over the components of value, its total cost the same over those of cost, and the delivered value their
    difference. The fair-value line joins all offers that deliver as much as the mean offer: in relative terms its slope
    is the mean total cost over the mean total value.

    Parameters
    ----------
    ratings : pandas.DataFrame
        One row per offer, one column per component, all on one scale that begins at 0 or above; more of a cost is
        worse.
    weights : pandas.DataFrame
        One row per respondent, the same columns: importance, 0 or more.
    costs : sequence of str, default ("money", "time", "energy", "mind")
        The columns that are costs; all others are values.
    level : float, default 0.95
        Confidence level of the intervals.

    Raises
    ------
    ContractError
        If columns differ, a side is empty, numbers are negative or not finite, offers do not differ, or a respondent
        gives weight to nothing, or nobody gives weight to one of the sides.

    References
    ----------
    Kotler, P. (1997). *Marketing Management*, 9th ed., ch. 2. Prentice Hall. (customer delivered value)
    Gale, B. T. (1994). *Managing Customer Value*. Free Press. (value map and fair-value line)

    Examples
    --------
    >>> ratings = pd.DataFrame({"product": [8.0, 6.0], "money": [7.0, 3.0]}, index=["ours", "theirs"])
    >>> weights = pd.DataFrame({"product": [70, 40], "money": [30, 60]})
    >>> delivered_value(ratings, weights, costs=["money"]).table[["delivered", "first_choice"]].round(2)
            delivered  first_choice
    theirs       1.95           0.5
    ours         1.25           0.5
    """
    _check_offers(ratings, weights, costs, level)
    own = weights.div(weights.sum(axis=1), axis=0)[list(ratings.columns)]
    sign = np.where(ratings.columns.isin(list(costs)), -1.0, 1.0)
    points = own.to_numpy() @ (ratings.to_numpy(dtype=float) * sign).T
    mean = own.mean()
    parts = ratings.astype(float) * mean * sign
    value, cost = parts.loc[:, sign > 0].sum(axis=1), -parts.loc[:, sign < 0].sum(axis=1)
    if not (value.mean() > 0 and cost.mean() > 0):
        raise ContractError("nobody gives weight to the values, or nobody to the costs: there is nothing to set off")
    slope = float(cost.mean() / value.mean())
    top = np.isclose(points, points.max(axis=1, keepdims=True), rtol=0, atol=1e-9)
    reach = _reach(points, level)
    table = pd.DataFrame({"total_value": value, "total_cost": cost, "delivered": value - cost})
    table["low"], table["high"] = table["delivered"] - reach, table["delivered"] + reach
    table["relative_value"], table["relative_cost"] = value / value.mean(), cost / cost.mean()
    table["above_line"] = table["relative_value"] - 1 - slope * (table["relative_cost"] - 1)
    table["first_choice"] = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    by_respondent = pd.DataFrame(points, own.index, ratings.index)
    return DeliveredValue(table.sort_values("delivered", ascending=False), parts, by_respondent, slope, level)


def _reach(values: np.ndarray, level: float) -> np.ndarray:
    """Half the width of the t interval of each column's mean; missing for a single row."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return np.full(values.shape[1], np.nan)
    return np.asarray(t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n))


def _check_offers(ratings: pd.DataFrame, weights: pd.DataFrame, costs: Sequence[str], level: float) -> None:
    problems = []
    columns, given = set(ratings.columns), set(costs)
    if columns != set(weights.columns):
        odd = ", ".join(sorted(map(str, columns ^ set(weights.columns))))
        problems.append(f"ratings and weights need the same components; only one of them has {odd}")
    if not given or not given < columns:
        problems.append(f"costs must be some, not all, of {', '.join(map(str, ratings.columns))}; got {list(costs)}")
    if len(ratings) < 2 or weights.empty:
        problems.append(f"two offers and one respondent are the least; got {len(ratings)} and {len(weights)}")
    if ratings.index.has_duplicates or ratings.columns.has_duplicates or weights.columns.has_duplicates:
        problems.append("an offer or a component appears twice")
    if not 0 < level < 1:
        problems.append(f"level must lie strictly between 0 and 1, got {level}")
    if not problems:
        for name, table in (("ratings", ratings), ("weights", weights)):
            numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy("float64")
            wrong = ~(np.isfinite(numbers) & (numbers >= 0)).all(axis=1)
            problems += broken_rules({f"{name}: negative or not finite": wrong})
    if not problems:
        nothing = (weights.sum(axis=1) == 0).to_numpy()
        problems += broken_rules({"weights: a respondent to whom nothing matters": nothing})
        if (ratings.nunique() == 1).all():
            problems.append("the offers have the same ratings throughout")
    if problems:
        raise ContractError("delivered value cannot be computed (rows counted from 1)", problems)


@dataclass(frozen=True, eq=False)
class GapScores:
    """The firm's view of relationships less the customers' view of the same ones.

    Attributes
    ----------
    table : pandas.DataFrame
        By item: ``firm`` and ``customer`` (mean scores), ``gap`` (firm less customer, points) with its interval ``low``
        and ``high``, ``p_value``, ``p_holm`` (adjusted for the number of items), and ``correlation`` of the two views
        with ``correlation_low`` and ``correlation_high``.
    overall : Interval
        Mean over the items of the gap, points.
    pairs : int
        Relationships with both views.
    level : float
        Confidence level. The intervals of the gaps hold for all items together (Bonferroni); the others each.
    """

    table: pd.DataFrame
    overall: Interval
    pairs: int
    level: float

    def __repr__(self) -> str:
        head = f"Gaps of {self.pairs:,} relationships, firm less customer; over all items {self.overall}"
        note = f"low and high hold for all items together at {self.level:.0%}; those of correlations hold each"
        return f"{head}\n{self.table.round(3).to_string()}\n{note}"


def gap_scores(firm: pd.DataFrame, customer: pd.DataFrame, *, level: float = 0.95) -> GapScores:
    """Compare what the firm believes of its relationships with what the customers say of them.

    A gap is the mean of paired differences with a t interval. A firm can be wrong in two ways: in the mean (the gap),
    and about which relationship is which (a low correlation).

    Parameters
    ----------
    firm, customer : pandas.DataFrame, shape (n, items)
        One row per relationship, the same index and columns in both, on one scale. A customer who was asked twice is
        one relationship: take one answer of theirs.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the tables do not match, a relationship appears twice, fewer than four have both views, a score is missing,
        or an item or its difference does not vary.

    References
    ----------
    Parasuraman, A., Zeithaml, V. A. & Berry, L. L. (1985). A conceptual model of service quality and its implications
    for future research. *Journal of Marketing* 49(4), 41-50. (gaps between the two views)
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. *Scandinavian Journal of Statistics* 6,
    65-70.

    Examples
    --------
    >>> firm = pd.DataFrame({"trust": [8, 9, 7, 9], "quality": [7, 6, 8, 8]})
    >>> customer = pd.DataFrame({"trust": [6, 8, 6, 6], "quality": [7, 5, 9, 7]})
    >>> gap_scores(firm, customer).table.loc["trust", ["firm", "customer", "gap"]].tolist()
    [8.25, 6.5, 1.75]
    """
    _check_views(firm, customer, level)
    from scipy.stats import pearsonr, ttest_1samp

    ours, theirs = firm.astype("float64"), customer[list(firm.columns)].astype("float64")
    gap, n = ours - theirs, len(ours)
    reach = _reach(gap.to_numpy(), 1 - (1 - level) / gap.shape[1])
    table = pd.DataFrame({"firm": ours.mean(), "customer": theirs.mean(), "gap": gap.mean()})
    table["low"], table["high"] = table["gap"] - reach, table["gap"] + reach
    table["p_value"] = ttest_1samp(gap.to_numpy(), 0.0).pvalue
    table["p_holm"] = _holm(table["p_value"].to_numpy())
    for item in gap:
        found = pearsonr(ours[item], theirs[item])
        limits = found.confidence_interval(level)
        table.loc[item, ["correlation", "correlation_low", "correlation_high"]] = found.statistic, *limits
    whole = gap.mean(axis=1).to_numpy()[:, None]
    middle, wide = float(whole.mean()), float(_reach(whole, level)[0])
    return GapScores(table.rename_axis("item"), Interval(middle, middle - wide, middle + wide, level), n, level)


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values, as statsmodels has them (which collects garbage at every call, at 0.2 s)."""
    order, number = np.argsort(p_values), len(p_values)
    adjusted = np.maximum.accumulate(np.minimum(p_values[order] * (number - np.arange(number)), 1.0))
    return np.asarray(adjusted[np.argsort(order)])


def _check_views(firm: pd.DataFrame, customer: pd.DataFrame, level: float) -> None:
    problems = []
    if set(firm.columns) != set(customer.columns) or firm.columns.has_duplicates or not len(firm.columns):
        problems.append(f"both need the same items; the firm has {list(firm.columns)}, the customer {list(customer)}")
    if not firm.index.equals(customer.index):
        problems.append("both need the same index: join them on the customer first")
    if firm.index.has_duplicates:
        problems.append("a relationship appears twice: take one answer of each customer")
    if len(firm) < 4:
        problems.append(f"four relationships with both views are the least; got {len(firm)}")
    if not 0 < level < 1:
        problems.append(f"level must lie strictly between 0 and 1, got {level}")
    if not problems:
        views = {"firm": firm, "customer": customer[list(firm.columns)]}
        numbers = {name: view.apply(pd.to_numeric, errors="coerce").astype("float64") for name, view in views.items()}
        problems += broken_rules(
            {
                f"{name}: {item} not a finite number": ~np.isfinite(view[item])
                for name, view in numbers.items()
                for item in view
            }
        )
        numbers["the difference"] = numbers["firm"] - numbers["customer"]
        if not problems:
            problems += [
                f"{name}: {item} does not vary"
                for name, view in numbers.items()
                for item in view
                if np.ptp(view[item]) == 0
            ]
    if problems:
        raise ContractError("these two views cannot be compared (rows counted from 1)", problems)
