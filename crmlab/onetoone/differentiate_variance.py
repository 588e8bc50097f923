"""Do products differ, or customers? Shares of variance that come again."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, check_aligned
from crmlab.errors import ContractError
from crmlab.stats import check_level

PARTS = ("between products", "between customers", "customer × product", "chance")
"""What the variance of purchases is made of."""


@dataclass(frozen=True, eq=False)
class VarianceShares:
    """Where the variance of what customers buy of products lies.

    Attributes
    ----------
    table : pandas.DataFrame
        By part (see `definitions`): ``variance``, its ``share`` of the total, and ``low`` and ``high`` of the share.
    repeating : pandas.DataFrame
        The first three parts as shares of what comes again, with ``low`` and ``high``; they add up to 1.
    customers, products : int
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    repeating: pd.DataFrame
    customers: int
    products: int
    level: float

    @property
    def definitions(self) -> dict[str, str]:
        """What each part means."""
        told = (
            "products that everybody buys more of than of others",
            "customers who buy more of everything than others do",
            "customers who buy more of some products than other customers do: needs",
            "what does not come again in the other half",
        )
        return dict(zip(PARTS, told, strict=True))

    def __repr__(self) -> str:
        head = f"Variance of {self.customers:,} customers × {self.products:,} products, {100 * self.level:g}% intervals"
        lines = [f"  {name}: {told}" for name, told in self.definitions.items()]
        return "\n".join([head, self.table.round(3).to_string(), *lines])


def variance_shares(
    first: pd.DataFrame, second: pd.DataFrame, *, seed: int, n: int = 500, level: float = 0.95
) -> VarianceShares:
    """Decompose what customers buy of products into products, customers, their pairing, and chance.

    What a customer buys of a product in one half is the mean of all, plus the product's part, plus the customer's, plus
    one of the pair, plus chance. What belongs to customer or product comes again in the other half, and chance does
    not; so each part is a covariance between the two halves, which chance cannot inflate as long as it is independent
    between them, however it is spread within one. Products are the whole assortment, customers a sample.

    Parameters
    ----------
    first, second : pandas.DataFrame, shape (customers, products)
        Money, units or purchases of every customer (index) of every product (columns), 0 where there was none, in two
        halves of the same time: odd and even weeks, say. Halves that follow each other count drift as chance.
    seed : int
        Seed of the bootstrap; customers are drawn, with both halves.
    n : int, default 500
        Resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the tables differ in customers or products, hold gaps or infinite numbers, name a customer or product twice,
        have fewer than ten customers or two products, or do not vary.

    References
    ----------
    Searle, S. R., Casella, G. & McCulloch, C. E. (1992). *Variance Components*, ch. 4. Wiley. (two-way crossed
    classification; here with covariances between replicates in place of mean squares)
    Brennan, R. L. (2001). *Generalizability Theory*. Springer. (persons × items)

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> true = 2 * np.arange(4) + rng.normal(size=(2000, 1)) + rng.normal(size=(2000, 4))
    >>> half, other = (pd.DataFrame(true + rng.normal(size=true.shape)) for _ in range(2))
    >>> variance_shares(half, other, seed=1).table["variance"].round(1).tolist()
    [5.0, 1.3, 0.7, 1.0]
    """
    one, two = _halves(first, second)
    check_level(level)
    rng = np.random.default_rng(seed)
    people = len(one)
    draws = rng.multinomial(people, np.full(people, 1 / people), size=n)
    estimate = _parts(one, two, np.ones((1, people)))
    drawn = _parts(one, two, draws.astype(float))
    if not estimate[0].sum() > 0:
        raise ContractError("nothing varies: there is no variance to decompose")
    return VarianceShares(
        _with_intervals(estimate, drawn, level).assign(variance=estimate[0])[["variance", "share", "low", "high"]],
        _with_intervals(estimate[:, :3], drawn[:, :3], level),
        people,
        one.shape[1],
        level,
    )


def _halves(first: pd.DataFrame, second: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    check_aligned("a decomposition of variance", first, second)
    problems = []
    if not first.columns.equals(second.columns):
        problems.append("the two halves have different products: reindex(columns=..., fill_value=0) one like the other")
    for name, half in (("first", first), ("second", second)):
        numbers = half.apply(pd.to_numeric, errors="coerce").to_numpy(float)
        problems += broken_rules({f"{name} half: a value that is no finite number": ~np.isfinite(numbers).all(axis=1)})
    problems += broken_rules({"the same customer twice": pd.Series(first.index.duplicated(), dtype=bool)})
    if first.columns.has_duplicates:
        problems.append(f"the same product twice: {first.columns[first.columns.duplicated()][0]!r}")
    if len(first) < 10 or first.shape[1] < 2:
        problems.append(f"at least 10 customers and 2 products are needed, got {len(first):,} and {first.shape[1]:,}")
    if problems:
        raise ContractError("these halves cannot be decomposed (rows counted from 1)", problems)
    return first.to_numpy(float), second.to_numpy(float)


def _parts(one: np.ndarray, two: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The four parts, shape (resamples, 4), with so many copies of each customer in every resample.

    With deviations from the mean over products d, means over customers are subtracted through their products:
    cov(x, y) = (sum of xy - n mean(x) mean(y)) / (n - 1).
    """
    people = len(one)
    row_one, row_two = one.mean(axis=1), two.mean(axis=1)
    apart_one, apart_two = one - row_one[:, None], two - row_two[:, None]
    mean_one, mean_two = weight @ row_one / people, weight @ row_two / people
    column_one, column_two = weight @ apart_one / people, weight @ apart_two / people
    customers = (weight @ (row_one * row_two) - people * mean_one * mean_two) / (people - 1)
    both = weight @ (apart_one * apart_two).mean(axis=1)
    pairs = (both - people * (column_one * column_two).mean(axis=1)) / (people - 1)
    between = (column_one * column_two).mean(axis=1) - pairs / people
    square = weight @ (one**2 + two**2).mean(axis=1) / 2
    total = square / people - (mean_one**2 + mean_two**2) / 2 + customers / people
    return np.column_stack([between, customers, pairs, total - between - customers - pairs])


def _with_intervals(estimate: np.ndarray, drawn: np.ndarray, level: float) -> pd.DataFrame:
    share = (estimate / estimate.sum(axis=1, keepdims=True))[0]
    draws = drawn / drawn.sum(axis=1, keepdims=True)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    names = pd.Index(PARTS[: len(share)], name="part")
    return pd.DataFrame({"share": share, "low": low, "high": high}, index=names)
