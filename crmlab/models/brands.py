"""NBD-Dirichlet: how often households buy a category, and how they divide their purchases among its brands.

A household buys the category at an own rate ~ Gamma, and chooses among the brands with own chances ~ Dirichlet. Rates
and chances are independent and do not change. So every brand's penetration, purchase frequency and loyalty follow from
its share alone: the norm against which a brand's loyalty is held.

References
----------
Goodhardt, G. J., Ehrenberg, A. S. C. & Chatfield, C. (1984). The Dirichlet: a comprehensive model of buying behaviour.
*Journal of the Royal Statistical Society A* 147(5), 621-655.
Rungie, C. & Goodhardt, G. (2004). Calculation of theoretical brand performance measures from the parameters of the
Dirichlet model. *Marketing Bulletin* 15, technical note 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import gammaln

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError, Likelihood, Part, Rows, maximise
from crmlab.models.bgnbd import gamma_ratio
from crmlab.models.nbd import NBD
from crmlab.models.results import Results
from crmlab.models.sampling import as_parameters, left_at

if TYPE_CHECKING:
    from crmlab.models.base import Floats

#: Category purchases beyond which less than this share of the households lies are left out of the sums.
_TAIL = 1e-10
#: Longest distribution of category purchases that is summed.
_MOST = 1_000_000


class DirichletMultinomial:
    """Given how often somebody buys the category, how the purchases fall on brands: own chances ~ Dirichlet(alpha).

    It needs no households without a purchase, and so suits a panel of buyers whose non-buyers are not in the file.

    Parameters
    ----------
    purchases : pandas.DataFrame, shape (n, brands)
        Purchases of every household, one column a brand; households without a purchase say nothing and count as none.

    Raises
    ------
    ContractError
        If a count is missing, negative or not whole, there are fewer than two brands, or a brand is never bought.

    References
    ----------
    Goodhardt, Ehrenberg & Chatfield (1984), section 4.

    Examples
    --------
    >>> panel = pd.DataFrame({"ours": [3, 0, 2, 1, 0], "theirs": [0, 4, 1, 1, 2]})
    >>> DirichletMultinomial(panel).fit().shares.round(2).tolist()
    [0.42, 0.58]
    """

    def __init__(self, purchases: pd.DataFrame) -> None:
        self.purchases = _read_purchases(purchases)

    def fit(self) -> "DirichletMultinomialResults":
        """Find the maximum of the likelihood.

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        counts = self.purchases[self.purchases.sum(axis=1) > 0].to_numpy(dtype=float)
        shares = counts.sum(axis=0) / counts.sum()
        again = counts.sum(axis=1) > 1
        facts = [
            f"{len(counts):,} households with a purchase, {again.sum():,} of them with two or more",
            f"{(counts[again] > 0).sum(axis=1).mean() if again.any() else 0:.2f} brands in the mean of these",
        ]
        designs: tuple[None, ...] = (None,) * len(shares)
        part = Part(_split_terms, tuple(counts.T), np.ones(len(counts)), designs)
        found = maximise(Likelihood((part,), float(len(counts))), [np.log(s * shares) for s in (1.0, 0.2, 5.0)])
        params, covariance = as_parameters(found, list(self.purchases.columns))
        if not found.arrived:
            advice = ["all households alike (a large S), each loyal to one brand (S near 0), or no repeat purchases"]
            raise ConvergenceError("the Dirichlet did not converge", [*facts, *left_at(params), *advice])
        return DirichletMultinomialResults(
            model="Dirichlet-multinomial",
            params=params,
            cov_params=covariance,
            llf=found.value,
            customers=float(len(counts)),
            gradient=found.gradient,
            time_unit="",
        )


@dataclass(frozen=True, eq=False, repr=False)
class DirichletMultinomialResults(Results):
    """A fitted Dirichlet; `params` holds alpha of every brand."""

    @property
    def S(self) -> float:  # the paper's name
        """Sum of the alphas: small where households are loyal, large where all choose alike."""
        return float(self.params.sum())

    @property
    def shares(self) -> pd.Series:
        """Share of every brand that the model expects, alpha / S."""
        return (self.params / self.S).rename("share")

    @property
    def polarization(self) -> float:
        """1 / (1 + S): 1 if every household buys one brand only, 0 if all choose alike (Rungie & Goodhardt 2004)."""
        return 1 / (1 + self.S)


@dataclass(frozen=True, eq=False)
class NBDDirichlet:
    """The model with its parameters; all measures are for a period, in multiples of the one they were estimated for.

    Attributes
    ----------
    M : float
        Mean purchases of the category per household, buyers or not, in the period of the data.
    K : float
        Shape of the gamma distribution of category rates: small where a few buy most.
    alphas : pandas.Series
        Dirichlet parameter of every brand, S times its share. Brands that are left out make the sum smaller than `S`.
    S : float
        Sum of the alphas of all brands of the category.

    Examples
    --------
    >>> shares = pd.Series({"A": 0.55, "B": 0.25, "C": 0.20})
    >>> model = NBDDirichlet(M=1.47, K=2.1, alphas=2.0 * shares, S=2.0)
    >>> model.performance()["penetration"].round(2).tolist()
    [0.46, 0.24, 0.2]
    """

    M: float
    K: float
    alphas: pd.Series
    S: float

    def __post_init__(self) -> None:
        if not isinstance(self.alphas, pd.Series) or self.alphas.empty or not self.alphas.index.is_unique:
            raise ContractError("alphas must be a Series with one value for each brand, and each brand once")
        problems = [
            f"{name} must be a positive number, got {value}"
            for name, value in (("M", self.M), ("K", self.K), ("S", self.S))
            if not (np.isfinite(value) and value > 0)
        ]
        alphas = self.alphas.to_numpy(dtype=float)
        if not (np.isfinite(alphas).all() and (alphas > 0).all()):
            problems.append(f"alphas must be positive numbers, got {alphas.tolist()}")
        elif alphas.sum() > self.S * (1 + 1e-9):
            problems.append(f"the alphas add up to {alphas.sum():.4g}, more than S = {self.S:.4g}")
        if problems:
            raise ContractError("these are no parameters of an NBD-Dirichlet", problems)

    def __repr__(self) -> str:
        others = 1 - self.alphas.sum() / self.S
        rest = f", others {others:.0%}" if others > 0.005 else ""
        shares = ", ".join(f"{brand} {alpha / self.S:.0%}" for brand, alpha in self.alphas.items())
        return (
            f"NBD-Dirichlet: M = {self.M:.3g} category purchases per household and period, K = {self.K:.3g}, "
            f"S = {self.S:.3g}; shares {shares}{rest}"
        )

    @classmethod
    def from_purchases(cls, purchases: pd.DataFrame) -> "NBDDirichlet":
        """Maximum likelihood from the purchases of every household of a panel, those who bought nothing included.

        The likelihood falls into that of the category counts (an NBD) and that of the brands given these counts.

        Parameters
        ----------
        purchases : pandas.DataFrame, shape (n, brands)
            One row a household, one column a brand.

        Raises
        ------
        ContractError
            If these are no counts, or every household bought something: without non-buyers the category's NBD cannot
            be had; use `DirichletMultinomial`.
        ConvergenceError
            If one of the two has no maximum inside the range of its parameters.
        """
        brands = DirichletMultinomial(purchases)
        totals = brands.purchases.sum(axis=1)
        if (totals > 0).all():
            raise ContractError("every household bought the category; without non-buyers use DirichletMultinomial")
        category, split = NBD(totals.value_counts()).fit(), brands.fit()
        r, alpha = category.params["r"], category.params["alpha"]
        return cls(M=float(r / alpha), K=float(r), alphas=split.params, S=split.S)

    @classmethod
    def from_summary(
        cls, brands: pd.DataFrame, *, penetration: float, purchase_rate: float, S: float | None = None
    ) -> "NBDDirichlet":
        """From the few numbers that a panel report prints ("mean and zeros").

        Parameters
        ----------
        brands : pandas.DataFrame
            Indexed by brand: ``share`` of the category's purchases and, without `S`, ``penetration`` (share of all
            households that bought the brand). Small brands may be left out.
        penetration, purchase_rate : float
            Share of the households that bought the category, and purchases per buyer.
        S : float, optional
            Sum of the alphas. Default: the mean of the values that give each brand its penetration, weighted by share;
            brands whose penetration no value can give are left out of the mean.

        Raises
        ------
        ContractError
            If a number is out of its range, or no brand's penetration can be met.

        References
        ----------
        Goodhardt, Ehrenberg & Chatfield (1984), section 5.
        """
        M, K = _category(penetration, purchase_rate)
        require_columns(brands, ["share", *([] if S is not None else ["penetration"])], "NBDDirichlet.from_summary")
        _check_brands(brands)
        if S is None:
            single = brand_S(brands, M, K)
            known = single.notna()
            if not known.any():
                raise ContractError("no value of S gives any brand its penetration: compare penetrations with shares")
            S = float(np.average(single[known], weights=brands.loc[known, "share"]))
        return cls(M=M, K=K, alphas=(brands["share"] * S).astype(float), S=S)

    def category(self, periods: float = 1.0) -> pd.Series:
        """Chance of n category purchases in so many periods, by n; cut off where nearly nobody is left."""
        return pd.Series(_category_chances(self.M * _positive(periods), self.K), name="chance").rename_axis("purchases")

    def performance(self, periods: float = 1.0, *, category_purchases: tuple[int, int] | None = None) -> pd.DataFrame:
        """Brand performance measures.

        Parameters
        ----------
        periods : float, default 1
            Length of time, in periods of the data.
        category_purchases : tuple of int, optional
            Only households with at least and at most so many category purchases, of whom the shares then are:
            ``(1, 3)`` for light buyers.

        Returns
        -------
        pandas.DataFrame
            By brand: ``share``; ``penetration`` (share of the households that buy it), ``purchases_per_buyer``;
            ``category_purchases_per_buyer`` (of anything, by the brand's buyers), ``share_of_requirements`` (the first
            over the second), ``sole_buyers`` (share of its buyers who buy nothing else of the category) and
            ``repeat_rate`` (chance that after one purchase of it the next one is, too).
        """
        chances, n = self._chances(periods, category_purchases)
        rows = {}
        for brand, alpha in self.alphas.items():
            none, all_ = _none(alpha, self.S, n), _none(self.S - alpha, self.S, n) * (n > 0)
            buyers = chances @ (1 - none)
            bought = chances @ n * alpha / self.S
            category = chances @ (n * (1 - none))
            rows[brand] = {
                "share": alpha / self.S,
                "penetration": buyers,
                "purchases_per_buyer": bought / buyers,
                "category_purchases_per_buyer": category / buyers,
                "share_of_requirements": bought / category,
                "sole_buyers": chances @ all_ / buyers,
                "repeat_rate": (1 + alpha) / (1 + self.S),
            }
        return pd.DataFrame(rows).T.rename_axis("brand")

    def duplication(self, periods: float = 1.0) -> pd.DataFrame:
        """Of the buyers of each brand (rows), the share that also buys the others (columns); 1 on the diagonal."""
        chances, n = self._chances(periods, None)
        alphas = self.alphas.to_numpy(dtype=float)
        buys = np.array([chances @ (1 - _none(alpha, self.S, n)) for alpha in alphas])
        neither = np.array([[chances @ _none(min(one + two, self.S), self.S, n) for two in alphas] for one in alphas])
        both = buys[:, None] + buys - 1 + neither
        np.fill_diagonal(both, buys)
        names = self.alphas.index
        return pd.DataFrame(both / buys[:, None], index=names, columns=names)

    def purchases(self, brand: str, most: int = 5, periods: float = 1.0) -> pd.Series:
        """Chance that a household buys a brand 0, 1, ... times; the last row stands for more than `most`."""
        if brand not in self.alphas.index:
            raise ContractError(f"there is no brand {brand!r}; the brands are {', '.join(map(str, self.alphas.index))}")
        chances, n = self._chances(periods, None)
        alpha, x = float(self.alphas[brand]), np.arange(most + 1)[:, None]
        rest, other = n - x, self.S - alpha
        with np.errstate(all="ignore"):
            log = gammaln(n + 1) - gammaln(x + 1) - gammaln(rest + 1)
            log = log + gammaln(alpha + x) - gammaln(alpha) + gammaln(self.S) - gammaln(self.S + n)
            log = log + (gammaln(other + rest) - gammaln(other) if other > 0 else np.where(rest == 0, 0.0, -np.inf))
        found = np.where(rest >= 0, np.exp(log), 0.0) @ chances
        index = pd.Index([*map(str, range(most + 1)), f"{most + 1}+"], name="purchases")
        return pd.Series(np.append(found, max(0.0, 1 - found.sum())), index=index, name="chance")

    def portfolio_size(self, periods: float = 1.0) -> float:
        """Brands that a buyer of the category buys, in the mean, of those that the model knows."""
        chances, _ = self._chances(periods, None)
        return float(self.performance(periods)["penetration"].sum() / (1 - chances[0]))

    def _chances(self, periods: float, category_purchases: tuple[int, int] | None) -> "tuple[Floats, Floats]":
        chances = _category_chances(self.M * _positive(periods), self.K)
        n = np.arange(len(chances))
        if category_purchases is not None:
            low, high = category_purchases
            kept = (n >= low) & (n <= high)
            if not chances[kept].sum() > 0:
                raise ContractError(f"nobody has {low} to {high} category purchases")
            chances = np.where(kept, chances, 0.0) / chances[kept].sum()
        return chances, n


def brand_S(brands: pd.DataFrame, M: float, K: float) -> pd.Series:
    """The value of S that gives each brand its penetration, at its share; missing where no value can.

    Parameters
    ----------
    brands : pandas.DataFrame
        Indexed by brand: ``share`` and ``penetration``.
    M, K : float
        As in `NBDDirichlet`.

    Examples
    --------
    >>> brands = pd.DataFrame({"share": [0.6, 0.4], "penetration": [0.5, 0.4]}, index=["ours", "theirs"])
    >>> brand_S(brands, M=2.0, K=1.0).round(2).to_dict()
    {'ours': 1.61, 'theirs': 2.94}
    """
    chances = _category_chances(M, K)
    n = np.arange(len(chances))

    def missed(log_s: float, share: float, penetration: float) -> float:
        s = float(np.exp(log_s))
        return float(chances @ (1 - _none(share * s, s, n)) - penetration)

    found = {}
    for brand, (share, penetration) in brands[["share", "penetration"]].iterrows():
        ends = missed(-12.0, share, penetration), missed(12.0, share, penetration)
        reached = ends[0] < 0 < ends[1]
        found[brand] = np.exp(brentq(missed, -12.0, 12.0, args=(share, penetration))) if reached else np.nan
    return pd.Series(found, name="S", dtype=float)


def _read_purchases(purchases: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(purchases, pd.DataFrame):
        raise ContractError(f"a table of households and brands is needed, not {type(purchases).__name__}")
    if not purchases.columns.astype(str).is_unique:
        raise ContractError("a brand has two columns: add them up first")
    values = purchases.apply(pd.to_numeric, errors="coerce")
    rules = {
        f"{name}: not a whole number, 0 or more": ~((values[name] >= 0) & (values[name] % 1 == 0)) for name in values
    }
    problems = broken_rules(rules)
    if values.shape[1] < 2:
        problems.append(f"two brands are needed, got {values.shape[1]}")
    if not problems:
        problems = [f"{name}: never bought; leave it out" for name in values if not values[name].sum() > 0]
    if problems:
        raise ContractError("these are no purchases of brands by household (rows counted from 1)", problems)
    return values.rename(columns=str)


def _check_brands(brands: pd.DataFrame) -> None:
    columns = [name for name in ("share", "penetration") if name in brands]
    rules = {f"{name}: not between 0 and 1": ~((brands[name] > 0) & (brands[name] < 1)) for name in columns}
    problems = broken_rules(rules)
    if brands["share"].sum() > 1 + 1e-6:
        problems.append(f"the shares add up to {brands['share'].sum():.3f}")
    if brands.index.has_duplicates:
        problems.append(f"brand twice: {brands.index[brands.index.duplicated()][0]}")
    if problems:
        raise ContractError("these are no brands of a category (rows counted from 1)", problems)


def _category(penetration: float, purchase_rate: float) -> tuple[float, float]:
    """M and K of the NBD that has this share of buyers and these purchases per buyer."""
    if not 0 < penetration < 1 or not purchase_rate > 1:
        raise ContractError(
            f"the category needs a penetration between 0 and 1 and more than one purchase per buyer; got {penetration} "
            f"and {purchase_rate}"
        )
    mean = penetration * purchase_rate
    if not mean > -np.log1p(-penetration):
        raise ContractError(
            f"{purchase_rate} purchases per buyer are fewer than if all had one rate: no NBD gives that"
        )
    shape = brentq(lambda log_k: -np.exp(log_k) * np.log1p(mean / np.exp(log_k)) - np.log1p(-penetration), -12, 16)
    return mean, float(np.exp(shape))


def _category_chances(mean: float, shape: float) -> "Floats":
    """NBD probabilities of 0, 1, ... up to where less than `_TAIL` is left."""
    spread = np.sqrt(mean + mean**2 / shape)
    length = int(min(mean + 12 * spread + 20, 2.0 * _MOST))
    while True:
        if length > _MOST:
            raise ContractError(
                f"a mean of {mean:.3g} category purchases with shape K = {shape:.3g} has a tail of more than {_MOST:,} "
                "purchases: check the units, or take a shorter period"
            )
        n = np.arange(length)
        log = gammaln(shape + n) - gammaln(shape) - gammaln(n + 1)
        chances = np.exp(log - shape * np.log1p(mean / shape) - n * np.log1p(shape / mean))
        if 1 - chances.sum() < _TAIL:
            return chances / chances.sum()
        length *= 2


def _none(alpha: float, s: float, n: "Floats") -> "Floats":
    """Chance of no purchase of a brand (or of some brands together) among n of the category."""
    other = s - alpha
    if other <= 0:
        return np.where(n == 0, 1.0, 0.0)
    return np.exp(gammaln(s) - gammaln(s + n) + gammaln(other + n) - gammaln(other))


def _positive(periods: float) -> float:
    if not (np.isfinite(periods) and periods > 0):
        raise ContractError(f"periods must be a positive number, got {periods}")
    return float(periods)


def _split_terms(data: "Sequence[Floats]", params: "Sequence[Floats]") -> Rows:
    """Log-probability of the brands' counts given their sum."""
    n, s, brands = np.sum(data, axis=0), np.sum(params), len(params)
    whole, s_1, s_2 = gamma_ratio(s, n)
    first, second = s_1 / s, (s_2 - s_1) / s**2
    value = gammaln(n + 1) - whole
    gradient, hessian = np.empty((brands, len(n))), np.empty((brands, brands, len(n)))
    for j, (x, alpha) in enumerate(zip(data, params, strict=True)):
        grown, a_1, a_2 = gamma_ratio(alpha, x)
        value = value + grown - gammaln(x + 1)
        gradient[j] = a_1 - alpha * first
        for k, other in enumerate(params):
            hessian[j, k] = -alpha * other * second
        hessian[j, j] += a_2 - alpha * first
    return Rows(value, gradient, hessian)
