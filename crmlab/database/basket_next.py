"""The next product to buy, held against popularity in a later period; and baskets over time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from crmlab.contracts import one_of, require_columns
from crmlab.database.basket import Baskets, baskets, bought_lines, broken_count, broken_share, check_kind
from crmlab.errors import ContractError
from crmlab.stats import Interval, bootstrap_interval

NextMethod = Literal["association", "popularity"]
Period = Literal["week", "month", "quarter", "year"]
_BLOCK = 2_000


@dataclass(frozen=True, eq=False)
class NextProducts:
    """What to offer each customer next.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per customer and item: ``customer_id``, ``item``, ``score`` and ``weight``; best first. The weight is
        1, or the chance of a place on the list where items of equal score compete for the last ones.
    method : {"association", "popularity"}
        How items were scored.
    n : int
        Places on each list; a customer who lacks fewer items has fewer.
    customers : pandas.Index
        Everybody in the history; a customer who lacks no item has no row in `table`.
    columns : tuple of str
        Columns that named item and customer.
    """

    table: pd.DataFrame
    method: NextMethod
    n: int
    customers: pd.Index
    columns: tuple[str, str]

    def __repr__(self) -> str:
        how = {
            "association": "mean chance of the item given each item that the customer has",
            "popularity": "share of the customers who have the item",
        }
        return (
            f"{self.n} next products for {len(self.customers):,} customers, by {how[self.method]}\n{self.table.head()}"
        )


def next_products(
    history: Baskets, n: int = 5, *, method: NextMethod = "association", min_support: float = 0.01
) -> NextProducts:
    r"""Recommend items that a customer does not have yet.

    With :math:`n_i` customers who have item :math:`i` and :math:`n_{ij}` who have both, the score of item :math:`j`
    for a customer with items :math:`H` is :math:`\frac{1}{|H|}\sum_{i \in H} n_{ij}/n_i` (association), or :math:`n_j`
    over all customers (popularity). Only items with the support count; a customer who has none of them has no taste to
    go by, and all items share the places.

    Parameters
    ----------
    history : Baskets
        From ``baskets(log, item=..., basket="customer_id")``: everything that each customer has bought so far.
    n : int, default 5
        Items for each customer.
    method : {"association", "popularity"}, default "association"
        How items are scored.
    min_support : float, default 0.01
        Share of the customers who must have an item before it takes part.

    Raises
    ------
    ContractError
        If an option is not possible, or not more than `n` items have the support.

    References
    ----------
    Deshpande, M. & Karypis, G. (2004). Item-based top-N recommendation algorithms. *ACM Transactions on Information
    Systems* 22(1), 143-177, eq. 2.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 4, 4], "product_id": list("ababacd")})
    >>> offers = next_products(baskets(log, basket="customer_id"), 1).table
    >>> offers[offers["customer_id"] == 3].round(2).values.tolist()
    [[3, 'b', 0.67, 1.0]]
    """
    one_of("method", method, NextMethod)
    check_kind(history, Baskets, "baskets")
    if problems := [*broken_count("n", n), *broken_share("min_support", min_support, of="customers")]:
        raise ContractError("next products cannot be chosen like this", problems)
    if history.basket == "order_id":
        raise ContractError("these are orders; next products need what each customer has: basket='customer_id'")
    held = history.counts.to_numpy()
    columns = np.flatnonzero(held >= min_support * len(history.orders) - 1e-9)
    if len(columns) <= n:
        raise ContractError(
            f"{len(columns)} items are held by {min_support:g} of the {len(history.orders):,} customers: more than "
            f"n={n} are needed to choose from; lower min_support or n"
        )
    matrix = history.matrix[:, columns].astype(float)
    given = (matrix.T @ matrix).toarray() / held[columns][:, None]
    names = history.items[columns]
    parts = []
    for start in range(0, matrix.shape[0], _BLOCK):
        block = matrix[start : start + _BLOCK]
        has = block.toarray() > 0
        if method == "association":
            scores = (block @ given) / np.maximum(has.sum(axis=1, keepdims=True), 1)
        else:
            scores = np.tile(held[columns] / len(history.orders), (block.shape[0], 1))
        scores = np.where(has, -np.inf, np.round(scores, 12))  # the order of a sum decides nothing
        weight = _places(scores, n)
        row, column = np.nonzero(weight)
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": history.orders[start + row],
                    "item": names[column],
                    "score": scores[row, column],
                    "weight": weight[row, column],
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    table = table.sort_values(["customer_id", "score", "item"], ascending=[True, False, True], ignore_index=True)
    return NextProducts(table, method, n, history.orders, (history.item, history.basket))


def _places(scores: np.ndarray, n: int) -> np.ndarray:
    """1 for scores above the n-th, and an equal share of the places left for all that equal it."""
    last = -np.partition(-scores, n - 1, axis=1)[:, n - 1 : n]
    possible = np.isfinite(scores)
    above, equal = possible & (scores > last), possible & (scores == last)
    left = n - above.sum(axis=1, keepdims=True)
    share = np.divide(
        left, equal.sum(axis=1, keepdims=True), out=np.zeros(left.shape), where=equal.any(axis=1, keepdims=True)
    )
    return above + equal * np.minimum(share, 1.0)


@dataclass(frozen=True, eq=False)
class HitRates:
    """How many recommended items were bought later.

    Attributes
    ----------
    rates : pandas.DataFrame
        Indexed by the name of the list: ``recommended`` (places), ``hits`` and ``hit_rate`` with its interval ``low``
        and ``high`` over customers.
    difference : Interval
        Hit rate of the first list less that of the second, over the same customers.
    customers : int
        Customers who were offered something.
    """

    rates: pd.DataFrame
    difference: Interval
    customers: int

    def __repr__(self) -> str:
        names = " less ".join(map(str, self.rates.index))
        head = (
            f"share of recommended items bought later, {self.customers:,} customers\n{self.rates.round(4).to_string()}"
        )
        return f"{head}\n{names}: {self.difference}"


def hit_rates(lists: Mapping[str, NextProducts], later: Baskets, *, seed: int, n: int = 1_000) -> HitRates:
    """Hold two sets of recommendations against what the same customers bought later.

    Parameters
    ----------
    lists : mapping of str to NextProducts
        Two of them, for the same customers and with equally many places.
    later : Baskets
        From ``baskets(later_log, item=..., basket="customer_id")``. Customers who bought nothing later count as no hit.
    seed : int
        Seed of the bootstrap over customers.
    n : int, default 1000
        Number of resamples.

    Raises
    ------
    ContractError
        If there are not two comparable lists, `later` is by other columns, no recommended item or no customer of
        theirs is in `later`, or fewer than two customers lack an item.

    Notes
    -----
    The interval is for other customers and these lists: what was learnt from the history is not learnt anew.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 4, 4], "product_id": list("ababacd")})
    >>> held = baskets(log, basket="customer_id")
    >>> ways = {way: next_products(held, 1, method=way) for way in ("association", "popularity")}
    >>> bought = pd.DataFrame({"customer_id": [3, 3, 4], "product_id": ["b", "c", "a"]})
    >>> hit_rates(ways, baskets(bought, basket="customer_id"), seed=1, n=100).rates["hits"].to_dict()
    {'association': 1.5, 'popularity': 2.0}
    """
    check_kind(lists, Mapping, "{name: next_products(...)}")
    check_kind(later, Baskets, "baskets")
    problems = broken_count("n", n)
    if len(lists) != 2:
        problems.append(f"two lists are compared; got {len(lists)}")
    else:
        first, second = lists.values()
        for one in (first, second):
            check_kind(one, NextProducts, "next_products")
        by = {one.columns for one in (first, second)} | {(later.item, later.basket)}
        if len(by) > 1:
            problems.append(f"lists and later baskets are by different columns: {' and '.join(map(str, sorted(by)))}")
        if first.table["customer_id"].nunique() < 2:
            problems.append("fewer than two customers lack an item")
        if first.n != second.n:
            problems.append(f"the lists have {first.n} and {second.n} places")
        if not first.customers.equals(second.customers):
            problems.append("the lists are for different customers")
        if not len(first.customers.intersection(later.orders)):
            problems.append(
                f"none of the {len(first.customers):,} customers bought later ({later.basket} of the later baskets)"
            )
        if not len(later.items.intersection(pd.Index(first.table["item"]))):
            problems.append("none of the recommended items exists later: are both periods by the same item column?")
    if problems:
        raise ContractError("these recommendations cannot be compared", problems)
    counted = {name: _hits(one, later) for name, one in lists.items()}
    values = np.column_stack([frame.to_numpy() for frame in counted.values()])  # hits, places, hits, places
    values = values[values[:, 1] > 0]  # who lacks no item has no place, in either list

    def rate(place: int) -> Callable[[np.ndarray], float]:
        return lambda rows: float(rows[:, 2 * place].sum() / rows[:, 2 * place + 1].sum())

    rows = {}
    for place, (name, frame) in enumerate(counted.items()):
        band = bootstrap_interval(values, rate(place), seed=seed, n=n)
        rows[name] = {
            "recommended": frame["weight"].sum(),
            "hits": frame["hits"].sum(),
            "hit_rate": band.estimate,
            "low": band.low,
            "high": band.high,
        }
    difference = bootstrap_interval(values, lambda rows: rate(0)(rows) - rate(1)(rows), seed=seed, n=n)
    return HitRates(pd.DataFrame(rows).T, difference, len(values))


def _hits(products: NextProducts, later: Baskets) -> pd.DataFrame:
    """Hits and places of each customer."""
    table = products.table
    row = later.orders.get_indexer(pd.Index(table["customer_id"]))
    column = later.items.get_indexer(pd.Index(table["item"]))
    known = (row >= 0) & (column >= 0)
    bought = np.zeros(len(table))
    bought[known] = np.asarray(later.matrix[row[known], column[known]]).ravel()
    per_row = pd.DataFrame({"hits": bought * table["weight"], "weight": table["weight"]})
    return per_row.groupby(table["customer_id"]).sum().reindex(products.customers, fill_value=0.0)


@dataclass(frozen=True, eq=False)
class BasketTrend:
    """Baskets by calendar period.

    Attributes
    ----------
    periods : pandas.DataFrame
        Indexed by period: ``orders``, ``items_per_order`` (different items), ``amount_per_order`` (money, where the
        log has amounts) and ``complete``, False where the log begins or ends inside the period.
    penetration : pandas.DataFrame, shape (periods, items)
        Share of the orders of the period that hold the item; the item in most orders comes first.
    """

    periods: pd.DataFrame
    penetration: pd.DataFrame

    def __repr__(self) -> str:
        head = f"{len(self.periods)} periods of baskets, {self.penetration.shape[1]:,} items"
        return f"{head}\n{self.periods.head().to_string()}"


def basket_trend(
    transactions: pd.DataFrame, *, item: str = "product_id", basket: str = "order_id", period: Period = "month"
) -> BasketTrend:
    """Follow the size of orders and the share that holds each item over time.

    Parameters
    ----------
    transactions : pandas.DataFrame
        One row per line with ``date``, `item` and `basket`; lines are left out as in `baskets`. An order belongs to
        the period of its first line that is left. Penetration is the share of *orders* that hold an item, not of
        customers who ever bought it.
    item, basket : str
        As in `baskets`.
    period : {"week", "month", "quarter", "year"}, default "month"
        Calendar period; weeks end on Sunday.

    Raises
    ------
    ContractError
        If a column is missing, `date` is no date or missing in a line, the orders lie in one period, or as `baskets`.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-01", "2024-01-01", "2024-02-03"])
    >>> lines = pd.DataFrame({"date": dates, "order_id": [1, 1, 2], "product_id": ["tea", "jam", "tea"]})
    >>> basket_trend(lines).penetration.to_dict("list")
    {'tea': [1.0, 1.0], 'jam': [1.0, 0.0]}
    """
    from scipy.sparse import csr_array

    one_of("period", period, Period)
    require_columns(transactions, ["date", item, basket], "basket_trend")
    if not pd.api.types.is_datetime64_dtype(transactions["date"]) or transactions["date"].isna().any():
        raise ContractError(
            "basket_trend needs a date without time zone in every line: column 'date' is of another type or has gaps"
        )
    held = baskets(transactions, item=item, basket=basket)
    lines = transactions[bought_lines(transactions, item, basket)[0]].groupby(basket)
    calendar = (
        lines["date"]
        .min()
        .reindex(held.orders)
        .dt.to_period({"week": "W", "month": "M", "quarter": "Q", "year": "Y"}[period])
    )
    periods = pd.period_range(calendar.min(), calendar.max(), name=period)
    if len(periods) < 2:
        raise ContractError(f"all orders lie in one {period} ({periods[0]}); choose a shorter period")
    code = periods.get_indexer(calendar)
    groups = csr_array((np.ones(len(code)), (code, np.arange(len(code)))), shape=(len(periods), len(code)))
    orders = np.bincount(code, minlength=len(periods))
    some = np.where(orders > 0, orders, np.nan)
    begin, end = transactions["date"].min().normalize(), transactions["date"].max().normalize()
    table = pd.DataFrame(
        {"orders": orders, "items_per_order": (groups @ held.sizes.to_numpy(dtype=float)) / some}, index=periods
    )
    if "amount" in transactions.columns:
        spent = lines["amount"].sum().reindex(held.orders).to_numpy(dtype=float)
        table["amount_per_order"] = (groups @ spent) / some
    table["complete"] = (periods.start_time >= begin) & (periods.end_time.normalize() <= end)
    order = np.argsort(-held.counts.to_numpy(), kind="stable")
    share = (groups @ held.matrix[:, order].astype(float)).toarray() / some[:, None]
    return BasketTrend(table, pd.DataFrame(share, index=periods, columns=held.items[order]))
