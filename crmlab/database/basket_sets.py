"""Sets of items that are frequent in baskets: estimated first, then found."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.database.basket import Baskets, broken_count, broken_share, check_kind
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PROBES = 400  # random walks by which the number of longer item sets is estimated
_BLOCK = 500  # columns
_ENOUGH = 1e9  # a walk that stands for more sets than this has said what it had to say


@dataclass(frozen=True, eq=False)
class ItemSets:
    """Sets of items that enough orders hold.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per set: ``itemset`` (tuple of items, sorted), ``length``, ``orders`` and ``support``; short sets first,
        then the most frequent first.
    baskets : Baskets
        Where they were counted.
    min_support, min_orders : float, int
        Smallest support, as a share and as a number of orders.
    max_len : int or None
        Longest set looked for.
    """

    table: pd.DataFrame
    baskets: Baskets
    min_support: float
    min_orders: int
    max_len: int | None

    def __repr__(self) -> str:
        by_length = self.table["length"].value_counts().sort_index()
        counted = ", ".join(f"{count:,} of {length}" for length, count in by_length.items())
        return (
            f"{len(self.table):,} item sets in at least {self.min_orders:,} of {len(self.baskets.orders):,} orders "
            f"(support {self.min_support:g}); by length: {counted}\n{self.table.head().to_string(index=False)}"
        )


def frequent_itemsets(
    baskets: Baskets, min_support: float, *, max_len: int | None = 3, limit: int = 100_000, seed: int = 0
) -> ItemSets:
    """Find all sets of items with at least this support.

    Items and pairs are counted by one product of sparse matrices; longer sets by mlxtend's frugal Apriori, on what can
    still matter (its FP-growth finds the same, but is slower here and makes a dense table). Before that their number
    is estimated (`estimate_itemsets`), and an explosion is refused instead of mined.

    Parameters
    ----------
    baskets : Baskets
        From `baskets`.
    min_support : float
        Share of the orders that must hold the whole set, above 0 and at most 1.
    max_len : int or None, default 3
        Longest set; None for any length.
    limit : int, default 100000
        Number of sets above which nothing is mined.
    seed : int, default 0
        Seed of the estimate; the sets do not depend on it.

    Raises
    ------
    ContractError
        If no item has the support, or more than `limit` sets are expected: the message has their number, and the
        `max_len` and the `min_support` that would fit.

    References
    ----------
    Agrawal, R. & Srikant, R. (1994). Fast algorithms for mining association rules. *VLDB*, 487-499.

    Examples
    --------
    >>> from crmlab.database import baskets
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2, 2, 3], "product_id": ["tea", "milk", "tea", "milk", "tea"]})
    >>> frequent_itemsets(baskets(lines), 0.5).table["itemset"].tolist()
    [('tea',), ('milk',), ('milk', 'tea')]
    """
    _check_options(baskets, min_support, max_len, limit)
    search = _Search.of(baskets, min_support)
    expected = _estimate(search, max_len, seed)["itemsets"].cumsum()
    if expected.iloc[-1] > limit:
        raise ContractError(*_too_many(search, expected, max_len, limit, seed))
    names = baskets.items[search.columns]
    found = [((name,), 1, count) for name, count in zip(names, search.counts, strict=True)]
    if max_len != 1:
        found += [
            (tuple(sorted((names[i], names[j]))), 2, count)
            for i, j, count in zip(*search.pairs.T.tolist(), strict=True)
        ]
    if (max_len is None or max_len > 2) and expected.iloc[-1] > expected.loc[2]:
        found += [(tuple(sorted(names[list(s)])), len(s), count) for s, count in _mine(search, max_len)]
    table = pd.DataFrame(found, columns=["itemset", "length", "orders"])
    table["support"] = table["orders"] / len(baskets.orders)
    table = table.sort_values(["length", "orders", "itemset"], ascending=[True, False, True], ignore_index=True)
    return ItemSets(table, baskets, min_support, search.least, max_len)


def estimate_itemsets(
    baskets: Baskets, min_support: float, *, max_len: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """How many item sets have this support, without finding them.

    Items and pairs are counted. Longer sets are estimated without bias by random walks down the tree of sets: a walk
    begins at a frequent pair, goes on to a random one of the items that can still be added, and counts what it could
    have chosen, divided by the chance of its way. Memory does not grow with the number of sets.

    Parameters
    ----------
    baskets, min_support, max_len, seed
        As in `frequent_itemsets`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``length``: ``itemsets``, and the ``standard_error`` of this number (0 where it was counted).

    References
    ----------
    Knuth, D. E. (1975). Estimating the efficiency of backtrack programs. *Mathematics of Computation* 29, 121-136.

    Examples
    --------
    >>> from crmlab.database import baskets
    >>> lines = pd.DataFrame({"order_id": [1, 1, 1, 2, 2, 2], "product_id": ["a", "b", "c"] * 2})
    >>> estimate_itemsets(baskets(lines), 0.5)["itemsets"].tolist()
    [3.0, 3.0, 1.0]
    """
    _check_options(baskets, min_support, max_len, 1)
    return _estimate(_Search.of(baskets, min_support), max_len, seed)


@dataclass(frozen=True, eq=False)
class _Search:
    """Frequent items, rarest first (so that walks have few ways to go), and their frequent pairs.

    `columns`, `counts` (k,); `matrix` (orders, k); `pairs` (number, 3): first item, later item, orders.
    """

    columns: np.ndarray
    counts: np.ndarray
    matrix: "csr_array"
    pairs: np.ndarray
    least: int
    share: float

    @classmethod
    def of(cls, baskets: Baskets, share: float) -> "_Search":
        counts = baskets.counts.to_numpy()
        least = max(int(np.ceil(share * len(baskets.orders) - 1e-9)), 1)  # 0.07 * 100 is a little more than 7
        columns = np.flatnonzero(counts >= least)
        if not len(columns):
            most = f"the most frequent, {baskets.items[int(counts.argmax())]!r}, is in {counts.max():,}"
            raise ContractError(
                f"no item is in {least:,} of {len(baskets.orders):,} orders (min_support={share:g}): {most}"
            )
        columns = columns[np.argsort(counts[columns], kind="stable")]
        matrix = baskets.matrix[:, columns]
        pairs = np.concatenate(list(_pairs(matrix, least)))
        return cls(columns, counts[columns], matrix, pairs, least, share)

    def can_follow(self, rows: np.ndarray, ways: np.ndarray) -> np.ndarray:
        """Those of the columns `ways` that enough of these rows hold."""
        if len(rows) < self.least or not len(ways):
            return ways[:0]
        held = np.bincount(self.matrix[rows].indices, minlength=len(self.columns))
        return ways[held[ways] >= self.least]

    def raised(self, share: float, orders: int) -> "_Search":
        """The same search with a larger support; the columns stay, only counts decide."""
        least = int(np.ceil(share * orders - 1e-9))
        return replace(self, pairs=self.pairs[self.pairs[:, 2] >= least], least=least, share=share)


def _pairs(matrix: "csr_array", least: int) -> Iterator[np.ndarray]:
    """Pairs of columns that at least this many rows hold, a block of columns at a time."""
    whole = matrix.astype("int32")
    for start in range(0, whole.shape[1], _BLOCK):
        both = (whole[:, start : start + _BLOCK].T @ whole).tocoo()
        first, later, count = both.row + start, both.col, both.data
        kept = (first < later) & (count >= least)
        yield np.column_stack([first[kept], later[kept], count[kept]]).astype("int64")


def _estimate(search: _Search, max_len: int | None, seed: int, probes: int = _PROBES) -> pd.DataFrame:
    from scipy.sparse import csr_array

    singles, pairs = int((search.counts >= search.least).sum()), search.pairs
    levels = [(1, float(singles), 0.0), (2, float(len(pairs)), 0.0)][:max_len]
    if (max_len is None or max_len > 2) and len(pairs) > 2:
        size = len(search.columns)
        linked = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
        triangles = (linked @ linked.T).multiply(linked).tocsr()  # later items linked to both items of a pair
        chance = np.asarray(triangles[pairs[:, 0], pairs[:, 1]]).ravel() * pairs[:, 2] ** 2.0  # few walks in vain
        if chance.any():
            walks = _walk(search, chance / chance.sum(), max_len, probes, np.random.default_rng(seed))
            spread = walks.std(axis=0, ddof=1) / np.sqrt(probes)
            levels += [(3 + level, walks[:, level].mean(), spread[level]) for level in range(walks.shape[1])]
    return pd.DataFrame(levels, columns=["length", "itemsets", "standard_error"]).set_index("length")


def _walk(
    search: _Search, chance: np.ndarray, max_len: int | None, probes: int, rng: np.random.Generator
) -> np.ndarray:
    """What each walk stands for at length 3, 4, ..., shape (probes, lengths)."""
    holders, (size, width) = search.matrix.tocsc(), search.matrix.shape
    longest = max_len or width
    seen: list[list[float]] = []
    for start, walks in zip(
        *np.unique(rng.choice(len(chance), size=probes, p=chance), return_counts=True), strict=True
    ):
        first, last, _ = search.pairs[start]
        pair_rows = _common(_rows(holders, first), _rows(holders, last), size)
        pair_ways = search.can_follow(pair_rows, np.arange(last + 1, width))
        for _ in range(walks):
            rows, ways, weights = pair_rows, pair_ways, [len(pair_ways) / chance[start]]
            while len(ways) and weights[-1] < _ENOUGH and len(weights) + 2 < longest:
                step = rng.integers(len(ways))
                rows = _common(rows, _rows(holders, ways[step]), size)
                ways = search.can_follow(rows, ways[step + 1 :])
                weights.append(weights[-1] * len(ways))
            seen.append(weights)
    table = np.zeros((probes, max(map(len, seen))))
    for row, weights in zip(table, seen, strict=True):
        row[: len(weights)] = weights
    return table[:, : np.flatnonzero(table.any(axis=0)).max(initial=-1) + 1]


def _common(some: np.ndarray, others: np.ndarray, size: int) -> np.ndarray:
    """Row numbers in both, out of `size`."""
    marked = np.zeros(size, dtype=bool)
    marked[some] = True
    return others[marked[others]]


def _rows(holders: "csr_array", column: int) -> np.ndarray:
    return holders.indices[holders.indptr[column] : holders.indptr[column + 1]]


def _mine(search: _Search, max_len: int | None) -> Iterator[tuple[list[int], int]]:
    """Sets of three and more with their orders, by mlxtend's Apriori."""
    from mlxtend.frequent_patterns import apriori

    items = np.unique(search.pairs[:, :2])
    matrix = search.matrix[:, items]
    matrix = matrix[np.diff(matrix.indptr) > 2]
    frame = pd.DataFrame.sparse.from_spmatrix(matrix, columns=range(len(items)))  # type: ignore[attr-defined]
    # half an order below, because mlxtend compares shares: its rounding then decides nothing
    found = apriori(frame, min_support=(search.least - 0.5) / len(frame), max_len=max_len, low_memory=True)
    for itemset, support in zip(found["itemsets"], found["support"], strict=True):
        if len(itemset) > 2:
            yield items[list(itemset)].tolist(), round(support * len(frame))


def _too_many(
    search: _Search, expected: pd.Series, max_len: int | None, limit: int, seed: int
) -> tuple[str, list[str]]:
    """What to say of an explosion, and two ways out."""
    orders, ways_out = search.matrix.shape[0], []
    fits = expected[expected <= limit]
    if len(fits):
        ways_out.append(f"max_len={fits.index[-1]} would give {_about(fits.iloc[-1])}")
    share = search.share
    while (share := share * 2) <= 1:
        number = _estimate(search.raised(share, orders), max_len, seed, _PROBES // 4)["itemsets"].sum()
        if number <= limit:
            ways_out.append(f"min_support={share:.3g} would give {_about(number)}")
            break
    ways_out.append("a larger limit, if memory (about 0.5 kB a set) and hours allow")
    length = f"up to length {max_len}" if max_len else "of any length"
    return (
        f"{_about(expected.iloc[-1])} {length} are expected at min_support={search.share:g}, more than "
        f"limit={limit:,}; nothing was mined. Ways out:",
        ways_out,
    )


def _about(number: float) -> str:
    return "more than 100 million item sets" if number > _ENOUGH / 10 else f"about {number:,.0f} item sets"


def _check_options(baskets: Baskets, min_support: float, max_len: int | None, limit: int) -> None:
    check_kind(baskets, Baskets, "baskets")
    problems = broken_share("min_support", min_support, of="orders")
    if max_len is not None:
        problems += broken_count("max_len", max_len)
    problems += broken_count("limit", limit)
    if problems:
        raise ContractError("item sets cannot be looked for like this", problems)
