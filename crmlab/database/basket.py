"""What is bought together: order lines as a sparse matrix of baskets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Baskets:
    """Which items were in which basket; pieces are not counted.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array of bool, shape (orders, items)
        True where the item is in the basket; every stored entry is True, column numbers rise within a row.
    orders, items : pandas.Index
        The basket of each row and the item of each column, sorted.
    item, basket : str
        Columns of the table that named them.
    left_out : mapping of str to int
        Rows left out, by reason.
    """

    matrix: "csr_array"
    orders: pd.Index
    items: pd.Index
    item: str
    basket: str
    left_out: Mapping[str, int]

    @cached_property
    def counts(self) -> pd.Series:
        """Orders that hold each item, indexed by item."""
        held = np.bincount(self.matrix.indices, minlength=len(self.items))
        return pd.Series(held, index=self.items, name="orders")

    @cached_property
    def sizes(self) -> pd.Series:
        """Different items in each order, indexed by order."""
        return pd.Series(np.diff(self.matrix.indptr), index=self.orders, name="items")

    def __repr__(self) -> str:
        cells = len(self.orders) * len(self.items)
        told = ", ".join(f"{count:,} {why}" for why, count in self.left_out.items() if count) or "nothing"
        return (
            f"{len(self.orders):,} orders ({self.basket}) of {len(self.items):,} items ({self.item}), "
            f"{self.sizes.mean():.2f} different items an order, {self.matrix.nnz / cells:.2%} of the cells filled\n"
            f"  support   share of these orders that hold all items of a set; an item counts once an order\n"
            f"  left out  {told}"
        )


def baskets(transactions: pd.DataFrame, *, item: str = "product_id", basket: str = "order_id") -> Baskets:
    """Lay the lines of orders out as baskets.

    Parameters
    ----------
    transactions : pandas.DataFrame
        One row per line with the columns `item` and `basket`. Lines with a negative ``amount`` (returns) or a
        ``quantity`` of zero or less are left out where these columns exist, and so are lines without item or basket;
        how many is told.
    item : str, default "product_id"
        Column of what goes together: a product, its category, a department.
    basket : str, default "order_id"
        Column of what holds it: an order, or ``"customer_id"`` for everything a customer ever bought.

    Raises
    ------
    ContractError
        If a column is missing or there twice, names are neither all text nor all numbers (nor all dates), amounts or
        quantities are no finite numbers, no line is left, there is one item only, or no basket holds two items.

    Examples
    --------
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2, 2, 3], "product_id": ["tea", "milk", "tea", "milk", "tea"]})
    >>> baskets(lines).counts.to_dict()
    {'milk': 2, 'tea': 3}
    """
    from scipy.sparse import coo_array

    kept, reasons = bought_lines(transactions, item, basket)
    left_out = {why: int(rows.sum()) for why, rows in reasons.items()}
    rows, orders = pd.factorize(transactions.loc[kept, basket], sort=True)
    columns, items = pd.factorize(transactions.loc[kept, item], sort=True)
    matrix = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(len(orders), len(items))).tocsr()
    matrix.sum_duplicates()
    problem = ""
    if not len(rows):
        problem = f"no line is left of {len(transactions):,}; left out: {left_out}"
    elif len(items) < 2:
        problem = f"there is one item only ({items[0]!r}); choose a finer column than {item!r}"
    elif np.diff(matrix.indptr).max() < 2:
        problem = f"no basket holds two different items: is {basket!r} the order, or the number of a line?"
    if problem:
        raise ContractError("nothing can go together in this table", [problem])
    return Baskets(matrix, pd.Index(orders), pd.Index(items), item, basket, MappingProxyType(left_out))


def bought_lines(transactions: pd.DataFrame, item: str, basket: str) -> tuple[pd.Series, dict[str, pd.Series]]:
    """Which lines count, and those that do not by reason; `baskets` says which."""
    if item == basket:
        raise ContractError(f"item and basket must be two columns; got {item!r} for both")
    require_columns(transactions, [item, basket], "baskets")
    numbers = [name for name in ("amount", "quantity") if name in transactions.columns]
    require_columns(transactions, numbers, "baskets")  # each of them once
    problems = [*_mixed_names(transactions, item), *_mixed_names(transactions, basket)]
    problems += [told for name in numbers for told in _no_numbers(transactions[name])]
    if problems:
        raise ContractError("baskets cannot be laid out of this table", problems)
    unknown = transactions[item].isna()
    homeless = transactions[basket].isna() & ~unknown
    reasons = {f"lines without {item}": unknown, f"lines without {basket}": homeless}
    kept = ~(unknown | homeless)
    for column, why, gone in (
        ("amount", "lines of returns (negative amount)", np.less),
        ("quantity", "lines of no piece", np.less_equal),
    ):
        if column in numbers:
            reasons[why] = kept & gone(transactions[column].to_numpy("float64", na_value=np.nan), 0)
            kept &= ~reasons[why]
    return kept, reasons


def _mixed_names(table: pd.DataFrame, column: str) -> list[str]:
    """1 and "1" would be two items: names are of one kind."""
    if pd.api.types.infer_dtype(table[column], skipna=True) not in ("mixed", "mixed-integer"):
        return []
    kinds = {"number" if isinstance(one, Real) else type(one).__name__ for one in table[column].dropna()}
    if kinds & {"list", "dict", "set"}:
        return [
            f"column {column!r} holds a {min(kinds & {'list', 'dict', 'set'})} in a line; give each item its own line"
        ]
    return [f"column {column!r} mixes {' and '.join(sorted(kinds))}; make all of them text"] if len(kinds) > 1 else []


def _no_numbers(values: pd.Series) -> list[str]:
    if not pd.api.types.is_numeric_dtype(values):
        return [f"column {values.name!r} does not hold numbers but {values.dtype} (first: {values.iloc[:1].tolist()})"]
    infinite = np.isinf(values.to_numpy("float64", na_value=np.nan))
    return [f"column {values.name!r} is infinite in {int(infinite.sum()):,} lines"] if infinite.any() else []


def check_kind(value: object, kind: type, made_by: str) -> None:
    """Refuse what is no result of `made_by`."""
    if not isinstance(value, kind):
        raise ContractError(f"what `{made_by}` returns is needed, not {type(value).__name__}")


def broken_share(name: str, value: Any, *, of: str) -> list[str]:
    """What is wrong with a share above 0 and at most 1."""
    good = isinstance(value, Real) and 0 < float(value) <= 1
    return [] if good else [f"{name} is a share of the {of}, above 0 and at most 1; got {value!r}"]


def broken_count(name: str, value: Any) -> list[str]:
    """What is wrong with a whole number of 1 or more."""
    good = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1
    return [] if good else [f"{name} must be a whole number of 1 or more; got {value!r}"]
