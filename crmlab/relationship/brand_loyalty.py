"""Loyalty of brands: is it more than a brand's size predicts?

A small brand has fewer buyers, and these buy it less often: it is punished twice for being small (double jeopardy). So
a share of requirements says little by itself. The Dirichlet gives the norm: the loyalty of a brand of the same share of
which buyers think neither better nor worse than of others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import betaln

from crmlab.errors import ContractError
from crmlab.models.brands import DirichletMultinomial
from crmlab.stats import check_level

if TYPE_CHECKING:
    from crmlab.models.base import Floats

Measure = Literal["penetration", "purchases_per_buyer", "share_of_requirements", "sole_buyers"]
MEASURES: tuple[Measure, ...] = ("penetration", "purchases_per_buyer", "share_of_requirements", "sole_buyers")
_IS_SHARE = np.array([[measure != "purchases_per_buyer"] for measure in MEASURES])


@dataclass(frozen=True, eq=False)
class DoubleJeopardy:
    """Brands held against the Dirichlet norm.

    Attributes
    ----------
    table : pandas.DataFrame
        By brand (the largest first) and measure: ``share`` of the purchases, ``observed``, ``expected`` of a brand of
        this share, ``low`` and ``high`` (the range of such brands in panels drawn from the norm), ``excess`` (observed
        less expected) and ``verdict``: above, below or within the range.
    S : float
        Sum of the Dirichlet's parameters: small where households are loyal, whichever the brand.
    households : int
        Households with a purchase.
    level : float
        Share of the drawn panels within the range.
    """

    table: pd.DataFrame
    S: float
    households: int
    level: float

    @property
    def definitions(self) -> dict[str, str]:
        """What each measure means."""
        return {
            "penetration": "share of the households that bought the brand",
            "purchases_per_buyer": "purchases of the brand by those who bought it",
            "share_of_requirements": "the same over all their purchases of the category",
            "sole_buyers": "share of them that bought no other brand",
        }

    def __repr__(self) -> str:
        head = f"{self.households:,} households, S = {self.S:.2f}, range of {self.level:.0%} of the panels drawn"
        lines = [f"  {name:<22} {meaning}" for name, meaning in self.definitions.items()]
        return "\n".join([head, *lines, self.table.round(3).to_string()])


def double_jeopardy(purchases: pd.DataFrame, *, seed: int, n: int = 500, level: float = 0.95) -> DoubleJeopardy:
    """Compare every brand's penetration and loyalty with what its share predicts, given how often households buy.

    The norm is a Dirichlet-multinomial with the observed shares and the S of highest likelihood; how often each
    household buys the category is taken as it is, so that a panel of buyers alone will do. The range comes from panels
    drawn from the norm. In each, a brand is divided by the norm at the share that it has *there*, so that the range is
    that of a brand of known size. S is not estimated anew in them, which makes the range a little too wide.

    Parameters
    ----------
    purchases : pandas.DataFrame, shape (households, brands)
        Purchases of every household, one column a brand, over a period that is the same for all.
    seed : int
        Seed of the panels.
    n : int, default 500
        Number of panels.
    level : float, default 0.95
        Share of the panels within the range. One brand in twenty leaves a range of 95 % by chance.

    Raises
    ------
    ContractError
        If these are no counts, or a brand is never bought.
    ConvergenceError
        If no Dirichlet fits, for example because each household is loyal to one brand.

    References
    ----------
    Ehrenberg, A. S. C., Goodhardt, G. J. & Barwise, T. P. (1990). Double jeopardy revisited. *Journal of Marketing*
    54(3), 82-91.
    Fader, P. S. & Schmittlein, D. C. (1993). Excess behavioral loyalty for high-share brands: deviations from the
    Dirichlet model for repeat purchasing. *Journal of Marketing Research* 30(4), 478-493.

    Examples
    --------
    >>> panel = pd.DataFrame({"ours": [3, 0, 2, 1, 0, 4], "theirs": [0, 4, 1, 1, 2, 1]})
    >>> double_jeopardy(panel, seed=1, n=100).table.loc["ours", "verdict"].tolist()
    ['within', 'within', 'within', 'within']
    """
    check_level(level)
    if n < 100:
        raise ContractError(f"a range needs at least 100 panels, got n={n}")
    split = DirichletMultinomial(purchases)
    s = split.fit().S
    counts = split.purchases[split.purchases.sum(axis=1) > 0]
    x = counts.to_numpy(dtype=float)
    totals, shares = x.sum(axis=1), x.sum(axis=0) / x.sum()
    expected = _norm(totals, shares, s)
    observed = _observed(x)
    ratios = [one / _norm(totals, drawn, s) for one, drawn in _panels(totals, shares * s, seed, n)]
    low, high = expected * np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], axis=0)
    order = np.argsort(-shares, kind="stable")
    index = pd.MultiIndex.from_product([counts.columns[order], MEASURES], names=["brand", "measure"])
    table = pd.DataFrame(
        {
            "share": np.repeat(shares[order], len(MEASURES)),
            "observed": observed[:, order].T.ravel(),
            "expected": expected[:, order].T.ravel(),
            "low": low[:, order].T.ravel(),
            "high": np.where(_IS_SHARE, np.minimum(high, 1), high)[:, order].T.ravel(),
        },
        index=index,
    )
    table["excess"] = table["observed"] - table["expected"]
    outside = [table["observed"] > table["high"], table["observed"] < table["low"]]
    return DoubleJeopardy(table.assign(verdict=np.select(outside, ["above", "below"], "within")), s, len(counts), level)


def _observed(x: "Floats") -> "Floats":
    """The measures (rows) of every brand (columns) of a panel; a brand that nobody bought counts as bought once."""
    totals, bought = x.sum(axis=1), x > 0
    buyers = np.maximum(bought.sum(axis=0), 1)
    own, category = x.sum(axis=0), np.maximum(totals @ bought, 1)
    sole = (bought & (x == totals[:, None])).sum(axis=0)
    return np.array([buyers / len(x), own / buyers, own / category, sole / buyers])


def _norm(totals: "Floats", shares: "Floats", s: float) -> "Floats":
    """The same as the Dirichlet expects them at these shares, given the purchases of every household."""
    shares = np.clip(shares, 1e-9, 1 - 1e-9)  # a drawn panel may lack a brand
    alpha = shares * s
    n, times = np.unique(totals, return_counts=True)
    rest = s - alpha
    some = 1 - np.exp(betaln(alpha, rest + n[:, None]) - betaln(alpha, rest))
    buys, category = times @ some, (times * n) @ some
    sole = times @ np.exp(betaln(alpha + n[:, None], rest) - betaln(alpha, rest))
    own = shares * totals.sum()
    return np.array([buys / len(totals), own / buys, own / category, sole / buys])


def _panels(totals: "Floats", alphas: "Floats", seed: int, n: int) -> "list[tuple[Floats, Floats]]":
    """Measures and shares of panels drawn from the norm."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        x = rng.multinomial(totals.astype(int), rng.dirichlet(alphas, len(totals))).astype(float)
        drawn.append((_observed(x), x.sum(axis=0) / x.sum()))
    return drawn
