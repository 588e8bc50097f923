"""Who bought what, and how lately: the table that recommenders learn from, and what was wanted afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Interactions:
    """What each customer bought up to a day: implicit feedback, which says what was taken and never what was disliked.

    Attributes
    ----------
    days : scipy.sparse.csr_array of float, shape (customers, items)
        Different days on which the customer bought the item.
    recent : scipy.sparse.csr_array of float, shape (customers, items)
        The same, where a day counts ``0.5 ** (age / half_life)``.
    customers, items : pandas.Index
        Names of rows and columns, sorted. The items are the candidates: only these can be recommended.
    end : pandas.Timestamp
        Last day of the log; ages are counted from it.
    half_life : float
        Days after which a purchase counts half.
    column : str
        Column that named the item.
    left_out : mapping of str to int
        Lines that were not used, by reason.
    """

    days: "csr_array"
    recent: "csr_array"
    customers: pd.Index
    items: pd.Index
    end: pd.Timestamp
    half_life: float
    column: str
    left_out: Mapping[str, int]

    @property
    def popularity(self) -> np.ndarray:
        """Share of the customers who have each item, shape (items,)."""
        return np.bincount(self.days.indices, minlength=len(self.items)) / len(self.customers)

    @property
    def recent_popularity(self) -> np.ndarray:
        """The same, where a customer counts by the decayed days of purchase, at most 1, shape (items,)."""
        lately = np.minimum(self.recent.data, 1.0)
        return np.bincount(self.recent.indices, lately, len(self.items)) / len(self.customers)

    def __repr__(self) -> str:
        filled = self.days.nnz / (len(self.customers) * len(self.items))
        gone = "; ".join(f"{count:,} {why}" for why, count in self.left_out.items() if count) or "no line"
        return (
            f"{len(self.customers):,} customers x {len(self.items):,} items ({self.column}) up to {self.end.date()}\n"
            f"  bought             {self.days.nnz:,} pairs, {filled:.2%} of all; half-life {self.half_life:g} days\n"
            f"  left out           {gone}"
        )


def interactions(
    log: pd.DataFrame, *, item: str = "product_id", min_customers: int = 5, half_life: float = 60.0
) -> Interactions:
    """Lay a log of purchases out as customers by items.

    Give it the part of the log that lies before the day of decision; everything learnt from the result then lies
    before that day, too, the choice of the candidates included.

    Parameters
    ----------
    log : pandas.DataFrame
        One row per line with ``customer_id``, ``date`` and `item`. Lines with a negative ``amount`` (returns) or a
        ``quantity`` of zero or less are left out where these columns exist, and so are lines without item.
    item : str, default "product_id"
        Column of what is recommended: a product, a kind of product, a film.
    min_customers : int, default 5
        Customers who must have bought an item before it can be recommended.
    half_life : float, default 60
        Days after which a purchase counts half in `Interactions.recent`.

    Raises
    ------
    ContractError
        If a column is missing, of the wrong type or has gaps, an option is not possible, or fewer than two customers
        or two items are left.

    References
    ----------
    Hu, Y., Koren, Y. & Volinsky, C. (2008). Collaborative filtering for implicit feedback datasets. *ICDM*, 263-272.

    Examples
    --------
    >>> days = pd.to_datetime(["2024-03-01", "2024-03-31", "2024-03-31", "2024-03-31", "2024-03-31"])
    >>> log = pd.DataFrame({"customer_id": [1, 1, 1, 2, 2], "date": days})
    >>> log["product_id"] = ["tea", "tea", "jam", "jam", "tea"]
    >>> past = interactions(log, min_customers=2, half_life=30)
    >>> past.items.tolist(), past.days.toarray().tolist(), past.recent.toarray().tolist()
    (['jam', 'tea'], [[1.0, 2.0], [1.0, 1.0]], [[1.0, 1.5], [1.0, 1.0]])
    """
    from scipy.sparse import csr_array

    if problems := [*broken_count("min_customers", min_customers), *broken_positive("half_life", half_life)]:
        raise ContractError("interactions cannot be laid out like this", problems)
    require_columns(log, ["customer_id", "date", item], "interactions")
    dates = as_days(log["date"], "interactions")
    used, reasons = bought(log, item, "interactions")
    if used.empty:
        raise ContractError(f"no line is left of {len(log):,}; left out: {reasons}")
    row, customers = pd.factorize(used["customer_id"], sort=True)
    column, items = pd.factorize(used["item"], sort=True)
    age = (dates.max() - dates).dt.days.to_numpy()[used.index]
    shape, span = (len(customers), len(items)), int(age.max()) + 1
    pair, age = np.divmod(pd.unique((row * shape[1] + column) * span + age), span)
    place = np.divmod(pair, shape[1])
    days, recent = (csr_array((weight, place), shape=shape) for weight in (np.ones(len(age)), 0.5 ** (age / half_life)))
    often = np.bincount(days.indices, minlength=shape[1]) >= min_customers
    reasons[f"lines of items with fewer than {min_customers} customers"] = int((~often[column]).sum())
    if len(customers) < 2 or often.sum() < 2:
        raise ContractError(
            f"{len(customers):,} customers and {often.sum():,} items with {min_customers} customers or more: two of "
            "each are needed; use a longer log, a smaller min_customers or a coarser column of items"
        )
    names = pd.Index(customers), pd.Index(items)[often]
    days, recent = days[:, often], recent[:, often]
    return Interactions(days, recent, *names, dates.max(), float(half_life), item, MappingProxyType(reasons))


@dataclass(frozen=True, eq=False)
class Wanted:
    """What customers of `Interactions` bought afterwards, of what can be recommended to them.

    Attributes
    ----------
    bought : scipy.sparse.csr_array of bool, shape (customers, items)
        True where a candidate was bought in the later period.
    counts : mapping of str to int
        Customers and pairs of customer and item, used and left out.
    """

    bought: "csr_array"
    counts: Mapping[str, int]


def wanted(past: Interactions, later: pd.DataFrame, *, new_only: bool) -> Wanted:
    """Look up what the customers of the past bought later; refuse a later log that begins before the past ended."""
    from scipy.sparse import csr_array

    lines, _ = bought(later, past.column, "the later log")
    if "date" in later.columns:
        begin = as_days(later["date"], "the later log").min()
        if begin <= past.end:
            raise ContractError(
                f"the later log begins on {begin.date()}, and what was learnt ends on {past.end.date()}: the future "
                "would have been known; cut both at one day"
            )
    pairs = lines.drop_duplicates()
    row = past.customers.get_indexer(pd.Index(pairs["customer_id"]))
    column = past.items.get_indexer(pd.Index(pairs["item"]))
    if not (row >= 0).any():
        raise ContractError(f"none of the {len(past.customers):,} customers of the past is in the later log")
    known = (row >= 0) & (column >= 0)
    if not known.any():
        raise ContractError(
            f"no item of the later log can be recommended: do both name items alike in column {past.column!r}?"
        )
    found = csr_array((np.ones(known.sum(), dtype=bool), (row[known], column[known])), shape=past.days.shape)
    every = found.nnz
    if new_only:
        found = (found > found.multiply(past.days > 0)).tocsr()
    some = int((np.diff(found.indptr) > 0).sum())
    counts = {
        "customers of the past": len(past.customers),
        "customers scored": some,
        "customers without a wanted item": len(past.customers) - some,
        "customers not known before": int(pd.Index(pairs["customer_id"])[row < 0].nunique()),
        "pairs scored": found.nnz,
        "pairs bought before": every - found.nnz,
        "pairs of items that cannot be recommended": int(((row >= 0) & (column < 0)).sum()),
    }
    if some < 2:
        raise ContractError(
            f"{some} customers bought a candidate{' that was new to them' if new_only else ''} later; two are needed"
        )
    return Wanted(found, MappingProxyType(counts))


def bought(log: pd.DataFrame, item: str, what: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Columns ``customer_id`` and ``item`` of the lines that are purchases, and how many others there are by reason."""
    if item in ("customer_id", "date"):
        raise ContractError(f"{item!r} is no column of items; name the column of what was bought")
    numbers = [name for name in ("amount", "quantity") if name in getattr(log, "columns", ())]
    require_columns(log, ["customer_id", item, *numbers], what)
    problems = [told for name in ("customer_id", item) for told in _mixed(log[name])]
    problems += [
        f"column {name!r} holds no numbers but {log[name].dtype}; convert it first"
        for name in numbers
        if not pd.api.types.is_numeric_dtype(log[name])
    ]
    problems += broken_rules({"customer_id: missing": log["customer_id"].isna()})
    if problems:
        raise ContractError(f"{what} cannot be used (rows counted from 1)", problems)
    lines = pd.DataFrame({"customer_id": log["customer_id"].to_numpy(), "item": log[item].to_numpy()})
    unknown = lines["item"].isna().to_numpy()
    returned = np.zeros(len(log), dtype=bool)
    for name, limit in (("amount", np.less), ("quantity", np.less_equal)):
        if name in numbers:
            returned |= limit(log[name].to_numpy("float64", na_value=np.nan), 0)
    reasons = {f"lines without {item}": int(unknown.sum()), "lines of returns": int((returned & ~unknown).sum())}
    return lines[~unknown & ~returned], reasons


def _mixed(values: pd.Series) -> list[str]:
    """1 and "1" would be two customers: names are of one kind."""
    try:
        kinds = {"number" if isinstance(one, Real) else type(one).__name__ for one in values.dropna().unique()}
    except TypeError:  # a list or a set has no hash
        return [f"column {values.name!r} holds several values in a line; give each its own line"]
    return [f"column {values.name!r} mixes {' and '.join(sorted(kinds))}; make all text"] if len(kinds) > 1 else []


def as_days(dates: pd.Series, what: str) -> pd.Series:
    """Dates to the day; refuse what is none, and gaps."""
    if not pd.api.types.is_datetime64_dtype(dates):
        raise ContractError(f"{what} needs dates without time zone in column 'date', not {dates.dtype}")
    if dates.isna().any():
        raise ContractError(f"{what} needs a date in every line", broken_rules({"date: missing": dates.isna()}))
    return dates.dt.normalize()


def broken_count(name: str, value: Any) -> list[str]:
    """What is wrong with a whole number of 1 or more."""
    good = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1
    return [] if good else [f"{name} must be a whole number of 1 or more; got {value!r}"]


def broken_positive(name: str, value: Any) -> list[str]:
    """What is wrong with a finite number above 0."""
    good = isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < np.inf
    return [] if good else [f"{name} must be a finite number above 0; got {value!r}"]
