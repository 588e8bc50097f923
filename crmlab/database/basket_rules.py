"""What goes together, and whether it would by chance: association rules, expected pairs, shuffled baskets."""

import math
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.database.basket import Baskets, broken_count, broken_share, check_kind
from crmlab.database.basket_sets import ItemSets
from crmlab.errors import ContractError

_MEASURES = {
    "support": "P(A and C): share of the orders that hold all items of the rule",
    "confidence": "P(C | A) = support / P(A)",
    "association_lift": "P(A and C) / (P(A) P(C)): 1 if A and C are independent",
    "leverage": "P(A and C) - P(A) P(C)",
    "conviction": "P(A) P(not C) / P(A and not C): infinite if C never fails",
    "p_value": "Fisher's exact test, one-sided: chance of so many joint orders if A and C were independent",
    "q_value": "p_value after Benjamini and Hochberg: expected share of false finds among rules up to this one",
    "p_bonferroni": "p_value times the number of tests, at most 1: bounds the chance of a single false find",
    "test": "number of the test; the two directions of a pair are one test",
}


@dataclass(frozen=True, eq=False)
class Rules:
    """Association rules "who has A also has C".

    Attributes
    ----------
    table : pandas.DataFrame
        One row per rule: ``antecedent`` (tuple of items, A), ``consequent`` (one item, C), ``orders`` (with both),
        ``antecedent_orders``, ``consequent_orders`` and the measures of `definitions`; highest association lift first.
    n_orders : int
        All orders.
    tests : int
        Rules that could have been found among the frequent items: the family for which p-values are corrected.
    """

    table: pd.DataFrame
    n_orders: int
    tests: int

    @property
    def definitions(self) -> dict[str, str]:
        """What each measure means, with its formula."""
        return dict(_MEASURES)

    def __repr__(self) -> str:
        lines = [
            f"{len(self.table):,} rules from {self.n_orders:,} orders, p-values corrected for {self.tests:,} tests"
        ]
        lines += [f"  {name:<17} {meaning}" for name, meaning in self.definitions.items()]
        return "\n".join([*lines, self.table.head().to_string(index=False)])


def association_rules(itemsets: ItemSets, *, min_confidence: float = 0.0) -> Rules:
    r"""Association rules of frequent item sets, with measures and significance.

    Every item of a set is once the consequent :math:`C`, the others are the antecedent :math:`A`. With :math:`n`
    orders and :math:`n_A, n_C, n_{AC}` that hold them, support is :math:`n_{AC}/n`, confidence :math:`n_{AC}/n_A`,
    association lift :math:`n\,n_{AC}/(n_A n_C)`, leverage :math:`n_{AC}/n - n_A n_C/n^2`, conviction
    :math:`(1-n_C/n)/(1-n_{AC}/n_A)`. All but confidence and conviction are the same for :math:`A \Rightarrow C` and
    :math:`C \Rightarrow A`: one test, not two.

    The p-value is :math:`P(X \ge n_{AC})` for :math:`X` hypergeometric. Sets were chosen by their support, so the
    correction counts every rule that could have been chosen: with :math:`k` frequent items and sets up to length
    :math:`L`, :math:`\binom{k}{2} + \sum_{l=3}^{L} l\binom{k}{l}` tests; those not seen count as not significant.

    Parameters
    ----------
    itemsets : ItemSets
        From `frequent_itemsets`, with sets of two or more.
    min_confidence : float, default 0
        Rules with less are left out of the table, after the correction.

    Raises
    ------
    ContractError
        If there is no set of two or more, or `min_confidence` is no share.

    References
    ----------
    Agrawal, R. & Srikant, R. (1994). Fast algorithms for mining association rules. *VLDB*, 487-499.
    Brin, S., Motwani, R., Ullman, J. D. & Tsur, S. (1997). Dynamic itemset counting and implication rules for market
    basket data. *SIGMOD*, 255-264. (lift, there called interest, and conviction) Hahsler, M. & Hornik, K. (2007). New
    probabilistic interest measures for association rules. *Intelligent Data Analysis* 11(5), 437-455. (Fisher's test
    on rules) Webb, G. I. (2007). Discovering significant patterns. *Machine Learning* 68(1), 1-33. (which tests to
    count)

    Examples
    --------
    >>> from crmlab.database import baskets, frequent_itemsets
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2, 2, 3, 4], "product_id": "tea milk tea milk tea jam".split()})
    >>> rules = association_rules(frequent_itemsets(baskets(lines), 0.5)).table
    >>> rules[["antecedent", "consequent", "support", "confidence", "association_lift"]].round(3).values.tolist()
    [[('milk',), 'tea', 0.5, 1.0, 1.333], [('tea',), 'milk', 0.5, 0.667, 1.333]]
    """
    check_kind(itemsets, ItemSets, "frequent_itemsets")
    if not isinstance(min_confidence, Real) or not 0 <= min_confidence <= 1:
        raise ContractError(f"min_confidence must lie between 0 and 1; got {min_confidence!r}")
    sets = itemsets.table[itemsets.table["length"] > 1]
    if sets.empty:
        raise ContractError(
            f"no set of two items is in {itemsets.min_orders:,} orders, so there is no rule; lower min_support "
            f"(now {itemsets.min_support:g}) or raise max_len (now {itemsets.max_len})"
        )
    n = len(itemsets.baskets.orders)
    held = dict(zip(itemsets.table["itemset"], itemsets.table["orders"], strict=True))
    rows = [
        (rest, one, orders, held[rest], held[(one,)], test if len(rest) == 1 else (test, place))
        for test, (itemset, orders) in enumerate(zip(sets["itemset"], sets["orders"], strict=True))
        for place, one in enumerate(itemset)
        for rest in [itemset[:place] + itemset[place + 1 :]]
    ]
    names = ["antecedent", "consequent", "orders", "antecedent_orders", "consequent_orders", "test"]
    table = pd.DataFrame(rows, columns=names)
    table["test"] = pd.factorize(table["test"])[0]
    size, longest = int((itemsets.table["length"] == 1).sum()), int(sets["length"].max())
    tests = math.comb(size, 2) + sum(length * math.comb(size, length) for length in range(3, longest + 1))
    table = table.join(rule_measures(n, table["antecedent_orders"], table["consequent_orders"], table["orders"]))
    table = table.join(_corrected(table, tests)).drop(columns="test").assign(test=table["test"])
    table = table[table["confidence"] >= min_confidence]
    table = table.sort_values(["association_lift", "test", "confidence"], ascending=[False, True, False])
    return Rules(table.reset_index(drop=True), n, tests)


def rule_measures(
    orders: npt.ArrayLike, antecedent: npt.ArrayLike, consequent: npt.ArrayLike, both: npt.ArrayLike
) -> pd.DataFrame:
    """Measures of rules from their counts; formulas as in `association_rules`.

    Parameters
    ----------
    orders, antecedent, consequent, both : array_like of int, broadcast to shape (n,)
        All orders, those with the antecedent, with the consequent, and with both.

    Returns
    -------
    pandas.DataFrame, shape (n, 6)
        ``support``, ``confidence``, ``association_lift``, ``leverage``, ``conviction``, ``p_value``.

    Raises
    ------
    ContractError
        If counts are not whole, or cannot be: more orders with both than with one, an antecedent in no order; or if
        lengths or indexes differ.

    Examples
    --------
    >>> rule_measures(100, 40, 20, 16).round(3).values.tolist()
    [[0.16, 0.4, 2.0, 0.08, 1.333, 0.0]]
    """
    from scipy.stats import hypergeom

    labels = [one.index for one in (orders, antecedent, consequent, both) if isinstance(one, pd.Series)]
    if any(not index.equals(labels[0]) for index in labels):
        raise ContractError("the counts of rules have different indexes: take them from one table")
    try:
        given = [np.asarray(one, dtype=float) for one in (orders, antecedent, consequent, both)]
        shape = np.broadcast_arrays(*map(np.atleast_1d, given))
    except (TypeError, ValueError) as error:
        raise ContractError(f"counts of rules are numbers, one for each rule or one for all: {error}") from None
    n, a, c, ac = shape
    if n.ndim > 1:
        raise ContractError(f"counts of rules are one number for each rule; got shape {n.shape}")
    whole = (np.isfinite(shape) & (np.round(shape) == shape)).all(axis=0)
    bad = ~whole | (np.minimum(a, c) < np.maximum(ac, 1)) | (ac < 0) | (np.maximum(a, c) > n) | (a + c - ac > n)
    if bad.any() or not len(n):
        first = zip(("orders", "antecedent", "consequent", "both"), (values[bad][:1] for values in shape), strict=True)
        told = ", ".join(f"{name} {value[0]:g}" for name, value in first if len(value)) or "there is none"
        raise ContractError(
            f"these are no counts of rules, in {int(bad.sum())} of {len(n)} places (first: {told}): whole numbers are "
            "needed, antecedent and consequent at least 1 and at most all orders, both at most the smaller of them"
        )
    confidence = ac / a
    with np.errstate(divide="ignore", invalid="ignore"):
        conviction = np.where(ac == a, np.inf, (1 - c / n) / (1 - confidence))
    return pd.DataFrame(
        {
            "support": ac / n,
            "confidence": confidence,
            "association_lift": n * ac / (a * c),  # the same to the last bit in both directions
            "leverage": ac / n - a * c / n**2,
            "conviction": conviction,
            "p_value": hypergeom.sf(ac - 1, n, a, c),
        },
        index=labels[0] if labels else None,
    )


def _corrected(table: pd.DataFrame, tests: int) -> pd.DataFrame:
    """q-values and Bonferroni's p-values in a family of `tests`, those beyond the table with p = 1."""
    from statsmodels.stats.multitest import multipletests

    once = table.drop_duplicates("test")
    q = multipletests(once["p_value"], method="fdr_bh")[1] * (tests / len(once))  # the same ranks, a larger family
    by_test = pd.Series(np.minimum(q, 1.0), index=once["test"])
    bonferroni = np.minimum(table["p_value"] * float(tests), 1.0)
    return pd.DataFrame({"q_value": table["test"].map(by_test), "p_bonferroni": bonferroni})


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs of items against what is expected of orders of the same kind.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per pair of frequent items: ``item_a``, ``item_b``, ``orders`` with both, ``expected`` orders given the
        stratum, ``association_lift`` (against independence over all orders), ``adjusted_lift`` (orders / expected),
        ``p_value`` (Poisson, one-sided) and ``q_value`` (Benjamini-Hochberg over all pairs); highest adjusted lift
        first.
    strata : int
        Number of groups of orders.
    by : str
        What the groups are.
    """

    table: pd.DataFrame
    strata: int
    by: str

    def __repr__(self) -> str:
        found = int((self.table["q_value"] < 0.05).sum())
        return (
            f"{len(self.table):,} pairs within {self.strata} groups of orders by {self.by}; {found:,} with q < 0.05\n"
            f"{self.table.head().to_string(index=False)}"
        )


def pairs_within(baskets: Baskets, min_support: float, *, strata: pd.Series | None = None) -> PairTable:
    r"""Compare how often two items meet with what orders of the same kind would give by chance.

    Big baskets hold many of everything, so that over all orders nearly every pair looks associated. Here items are
    drawn within strata. In stratum :math:`h` item :math:`a` has the share :math:`q_{ha}` of all entries (an item in an
    order), so that an order with :math:`s` different items holds it with chance :math:`s\,q_{ha}`, and

    .. math:: E_{ab} = \sum_h \Big( q_{ha}\,q_{hb} \sum_{o \in h} s_o^2 - c_{ha}\,c_{hb} \Big).

    What is taken off stands for places: one that :math:`a` has taken is not left for :math:`b`. The :math:`c_h` are
    those with which each item has as many pairs as its entries have room for,
    :math:`\sum_{b \ne a} E_{hab} = q_{ha} \sum_{o \in h} s_o (s_o-1)` (Deville & Tillé's approximation of a sample of
    fixed size). It is exact for equal items and for an item in every order, and otherwise within some
    per cent, if the orders of a stratum are of about one size.

    The p-value is that of a Poisson variable with this mean, which errs on the safe side for common pairs. It takes
    orders as independent: where customers repeat their baskets, it is too small.

    Parameters
    ----------
    baskets : Baskets
        From `baskets`.
    min_support : float
        Share of the orders that an item must be in to take part, above 0 and at most 1.
    strata : pandas.Series, optional
        Group of each order, indexed by order (a week, a shop, a kind of order). Default: the size of the basket, alone
        up to 8 items and in steps of an eighth above.

    Raises
    ------
    ContractError
        If fewer than two items have the support, or `strata` is not one known group for each order.

    References
    ----------
    Deville, J.-C. & Tillé, Y. (2005). Variance approximation under balanced sampling. *Journal of Statistical Planning
    and Inference* 128(2), 569-591. (the fixed point, there for variances)

    Examples
    --------
    >>> from crmlab.database import baskets
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2, 2, 3, 3, 4, 4], "product_id": list("ababcdcd")})
    >>> pairs_within(baskets(lines), 0.5).table[["item_a", "item_b", "orders", "adjusted_lift"]].round(2).head(2)
      item_a item_b  orders  adjusted_lift
    0      a      b       2            3.0
    1      c      d       2            3.0
    """
    from scipy.sparse import csr_array
    from scipy.stats import poisson
    from statsmodels.stats.multitest import multipletests

    check_kind(baskets, Baskets, "baskets")
    n, sizes = len(baskets.orders), baskets.sizes.to_numpy()
    if problems := broken_share("min_support", min_support, of="orders"):
        raise ContractError(problems[0])
    columns = np.flatnonzero(baskets.counts.to_numpy() >= min_support * n - 1e-9)
    if len(columns) < 2:
        raise ContractError(f"fewer than two items are in {min_support:g} of the {n:,} orders; lower min_support")
    group = _size_class(sizes) if strata is None else _aligned(strata, baskets.orders)
    code, kinds = pd.factorize(group)
    orders_of = csr_array((np.ones(n), (code, np.arange(n))), shape=(len(kinds), n))
    entries = (orders_of @ baskets.matrix.astype(float)).toarray()
    squares = np.bincount(code, weights=sizes.astype(float) ** 2, minlength=len(kinds))[:, None]
    share = entries / np.maximum(entries.sum(axis=1, keepdims=True), 1)
    taken = _rank_one(share * np.maximum(entries.sum(axis=1, keepdims=True) - squares * share, 0))[:, columns]
    q = share[:, columns]
    expected = np.maximum((q * squares).T @ q - taken.T @ taken, 0)
    expected[expected < 1e-9 * n] = 0  # nothing but rounding
    held = baskets.matrix[:, columns].astype("int32")
    both = (held.T @ held).toarray()
    first, later = np.triu_indices(len(columns), k=1)
    orders, mean, single = both[first, later], expected[first, later], both.diagonal()
    names = baskets.items[columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        adjusted = np.where(mean > 0, orders / mean, np.nan)
    p_value = poisson.sf(orders - 1, np.maximum(mean, 1e-300))
    table = pd.DataFrame(
        {
            "item_a": names[first],
            "item_b": names[later],
            "orders": orders,
            "expected": mean,
            "association_lift": orders * n / (single[first] * single[later].astype(float)),
            "adjusted_lift": adjusted,
            "p_value": p_value,
            "q_value": multipletests(p_value, method="fdr_bh")[1],
        }
    )
    table = table.sort_values(["adjusted_lift", "item_a", "item_b"], ascending=[False, True, True], ignore_index=True)
    return PairTable(table, len(kinds), "size" if strata is None else str(strata.name or "group"))


def _rank_one(spread: np.ndarray, rounds: int = 200) -> np.ndarray:
    """In each row the c with ``c * (c.sum() - c)`` equal to `spread`, by a damped fixed point, as near as it comes."""
    c = spread / np.sqrt(np.maximum(spread.sum(axis=1, keepdims=True), 1e-300))
    for _ in range(rounds):
        before, rest = c, np.maximum(c.sum(axis=1, keepdims=True) - c, 1e-150)
        c = np.sqrt(before * spread / rest)
        if np.abs(c - before).max() <= 1e-9 * c.max():
            break
    return c


def _size_class(sizes: np.ndarray) -> np.ndarray:
    """Sizes up to 8 stand alone; above, a class is an eighth wide."""
    return np.where(sizes <= 8, sizes, 8 + np.ceil(np.log(np.maximum(sizes, 8) / 8) / np.log(1.125)))


def _aligned(strata: pd.Series, orders: pd.Index) -> np.ndarray:
    problems = []
    if not isinstance(strata, pd.Series):
        raise ContractError(f"strata must be a series indexed by order; got {type(strata).__name__}")
    if pd.api.types.infer_dtype(strata, skipna=True) == "mixed":
        raise ContractError("strata must name groups by text, numbers or periods; make them text")
    if strata.index.has_duplicates:
        problems.append(f"{int(strata.index.duplicated().sum()):,} orders have two groups")
    elif len(lacking := orders.difference(strata.index)):
        problems.append(f"{len(lacking):,} of {len(orders):,} orders have no group (first: {lacking[0]})")
    elif (unknown := strata.reindex(orders).isna()).any():
        problems.append(f"the group of {int(unknown.sum()):,} orders is missing (first: {orders[unknown][0]})")
    if problems:
        raise ContractError("strata must give every order one group", problems)
    return strata.reindex(orders).to_numpy()


def shuffle_baskets(baskets: Baskets, *, seed: int, sweeps: int = 16) -> Baskets:
    """The same baskets with items exchanged at random: every item stays as popular, every basket as large.

    In a sweep all orders are paired at random, and two orders deal the items that only one of them holds anew between
    them, each keeping its number. All tables with these margins become equally likely. What still goes together
    afterwards does so because of popularity and basket size alone.

    Parameters
    ----------
    baskets : Baskets
        From `baskets`.
    seed : int
        Seed of the exchanges.
    sweeps : int, default 16
        How often every order is paired with another; each time about half of what is left of an affinity goes.

    Raises
    ------
    ContractError
        If `sweeps` is below 1, or no item changed its order: the margins allow few tables, or one only.

    References
    ----------
    Strona, G., Nappo, D., Boccacci, F., Fattorini, S. & San-Miguel-Ayanz, J. (2014). A fast and unbiased procedure to
    randomize ecological binary matrices with fixed row and column totals. *Nature Communications* 5, 4114.
    Gionis, A., Mannila, H., Mielikäinen, T. & Tsaparas, P. (2007). Assessing data mining results via swap
    randomization. *ACM Transactions on Knowledge Discovery from Data* 1(3), 14.

    Examples
    --------
    >>> from crmlab.database import baskets
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2, 2, 3], "product_id": ["a", "b", "c", "d", "a"]})
    >>> mixed = shuffle_baskets(baskets(lines), seed=1)
    >>> mixed.counts.tolist(), mixed.sizes.tolist()
    ([2, 1, 1, 1], [2, 2, 1])
    """
    from scipy.sparse import csr_array

    check_kind(baskets, Baskets, "baskets")
    if problems := broken_count("sweeps", sweeps):
        raise ContractError(problems[0])
    rng, matrix, width = np.random.default_rng(seed), baskets.matrix, baskets.matrix.shape[1]
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    column = matrix.indices.astype("int64")
    moved = False
    for _ in range(sweeps):
        pair = (rng.permutation(matrix.shape[0]) // 2)[row]
        key = pair * width + column
        order = np.argsort(key)
        twin = np.diff(key[order]) == 0  # what both orders hold stays where it is
        place = order[~(np.append(twin, False) | np.append(False, twin))]
        drawn = place[np.argsort(pair[place] + rng.random(len(place)))]
        moved = moved or bool((row[drawn] != row[place]).any())
        column[place] = column[drawn]
    if not moved:
        raise ContractError(
            f"no item changed its order in {sweeps} sweeps: popularity and sizes allow hardly another table"
        )
    mixed = csr_array((np.ones(len(row), dtype=bool), column, matrix.indptr), shape=matrix.shape)
    mixed.sort_indices()
    return replace(baskets, matrix=mixed)
