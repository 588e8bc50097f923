"""What variety costs: safety stock apart and pooled, and how many options of a modular product pay."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.customise import broken_count, broken_positive
from crmlab.stats import Interval, check_level


@dataclass(frozen=True)
class StockPooling:
    """Safety stock of several variants, each held for itself or all as one.

    Attributes
    ----------
    variants, periods : int
        Size of the table of demand.
    separate, pooled : float
        Safety stock in units: the sum over the variants, and that of their total.
    ratio : Interval
        Separate over pooled: how many times more stock variety asks for.
    square_root : float
        The ratio if all variants varied alike and independently: the square root of their number.
    correlation : float
        Mean correlation between variants, weighted by their standard deviations. It explains the ratio exactly; 0 with
        equal variants gives the square root, 1 gives a ratio of 1.
    """

    variants: int
    periods: int
    separate: float
    pooled: float
    ratio: Interval
    square_root: float
    correlation: float

    def __repr__(self) -> str:
        return (
            f"Safety stock of {self.variants:,} variants, {self.periods:,} periods of demand\n"
            f"  each for itself    {self.separate:,.1f} units\n"
            f"  pooled             {self.pooled:,.1f} units\n"
            f"  ratio              {self.ratio}; square-root law {self.square_root:.3g}\n"
            f"  correlation        {self.correlation:.2f} in the mean"
        )


def pool_stock(
    demand: pd.DataFrame,
    *,
    service_level: float = 0.95,
    lead_time: float = 1.0,
    block: int = 4,
    seed: int,
    n: int = 1_000,
    level: float = 0.95,
) -> StockPooling:
    r"""Safety stock with each variant kept for itself, against all in one pool.

    With :math:`\sigma_v` the standard deviation of demand for variant v per period and L the lead time in periods, the
    stock beyond expected demand is :math:`z \sqrt{L} \sum_v \sigma_v` apart and :math:`z \sqrt{L}\,\sigma_{total}`
    pooled. V equal and independent variants have the ratio :math:`\sqrt V`, with correlation r the ratio
    :math:`\sqrt{V / (1 + (V - 1) r)}`.

    Parameters
    ----------
    demand : pandas.DataFrame, shape (periods, variants)
        Units demanded; periods in order of time, without gaps. Sales understate demand where a variant was sold out.
    service_level : float, default 0.95
        Chance that the stock lasts until the next delivery, above 0.5.
    lead_time : float, default 1
        Periods until the next delivery.
    block : int, default 4
        Periods that are drawn together in the bootstrap, so that runs of good weeks stay together.
    seed : int
        Seed of the bootstrap.
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If demand is negative, missing or no number, nothing varies, there are fewer than two variants or fewer than
        eight periods or two blocks, or an option is not possible.

    Notes
    -----
    Demand is taken as normal and independent from one period to the next. A trend counts as if it were surprise.

    References
    ----------
    Eppen, G. D. (1979). Effects of centralization on expected costs in a multi-location newsboy problem. *Management
    Science* 25(5), 498-501.
    Künsch, H. R. (1989). The jackknife and the bootstrap for general stationary observations. *Annals of Statistics*
    17(3), 1217-1241.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> weekly = pd.DataFrame(rng.poisson(50, size=(2_000, 9)))
    >>> pooled = pool_stock(weekly, seed=1)
    >>> round(pooled.ratio.estimate), pooled.square_root
    (3, 3.0)
    """
    from scipy.stats import norm

    check_level(level)
    problems = [*broken_count("block", block), *broken_count("n", n), *broken_positive("lead_time", lead_time)]
    if not 0.5 < service_level < 1:
        problems.append(f"service_level must lie between 0.5 and 1; got {service_level}")
    if problems:
        raise ContractError("stock cannot be pooled like this", problems)
    units = _units(demand, block)
    variances = units.var(axis=0, ddof=1)
    apart, total = float(np.sqrt(variances).sum()), float(units.sum(axis=1).std(ddof=1))
    if total <= 1e-12 * max(1.0, apart):
        raise ContractError("total demand never varies: one pool needs no safety stock, and there is no ratio")
    draws = _ratios(units, block, seed, n)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    ratio = Interval(apart / total, float(low), float(high), level)
    factor = float(norm.ppf(service_level) * np.sqrt(lead_time))
    alone = float(variances.sum())
    correlation = (total**2 - alone) / (apart**2 - alone) if apart**2 > alone * (1 + 1e-12) else np.nan
    periods, variants = units.shape
    return StockPooling(variants, periods, factor * apart, factor * total, ratio, variants**0.5, correlation)


def _units(demand: pd.DataFrame, block: int) -> np.ndarray:
    if not isinstance(demand, pd.DataFrame):
        raise ContractError(f"demand must be a DataFrame of periods by variants, not {type(demand).__name__}")
    text = [str(name) for name, kind in demand.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise ContractError(f"columns of demand hold no numbers: {', '.join(text[:3])}")
    if demand.shape[1] < 2 or len(demand) < max(8, 2 * block):
        raise ContractError(
            f"demand has {len(demand)} periods of {demand.shape[1]} variants; {max(8, 2 * block)} of 2 are needed"
        )
    units = demand.to_numpy("float64", na_value=np.nan)
    wrong = np.argwhere(~np.isfinite(units) | (units < 0))
    if len(wrong):
        row, column = wrong[0]
        raise ContractError(
            f"demand must be finite and 0 or more: {len(wrong):,} values are not (first: period {row + 1}, column "
            f"{demand.columns[column]!r}: {units[row, column]})"
        )
    return units


def _ratios(units: np.ndarray, block: int, seed: int, n: int) -> np.ndarray:
    """Ratio of separate to pooled in resamples of whole blocks of periods, drawn round the clock."""
    rng, periods = np.random.default_rng(seed), len(units)
    total, ratios = units.sum(axis=1), np.empty(n)
    for draw in range(n):
        starts = rng.integers(0, periods, -(-periods // block))
        rows = ((starts[:, None] + np.arange(block)) % periods).ravel()[:periods]
        pooled = total[rows].std(ddof=1)
        ratios[draw] = units[rows].std(axis=0, ddof=1).sum() / pooled if pooled > 0 else np.nan
    return ratios[np.isfinite(ratios)]


@dataclass(frozen=True)
class VarietyPlan:
    """Assumptions about a product of M modules with O options each; money per unit or per period.

    Attributes
    ----------
    modules : int
        Parts of the product that can be chosen: colour, size, filling.
    demand : float
        Units sold per period, over all variants; it does not grow with variety.
    dispersion : float
        Variance of demand over its mean; 1 is Poisson.
    margin : float
        Price of a perfect fit less material and work, per unit.
    misfit : float
        What a customer would pay less for a module as far from the own taste as can be, half round a circle of tastes.
    setup : float
        Cost per period of keeping one more thing on the list (a variant, or an option of a module): tools, space, data.
    holding : float
        Cost of one unit of finished safety stock per period; a module of it costs a share of 1 / modules.
    assembly : float
        Extra cost per unit of putting a product together to order, the customer's wait included.
    service_level : float
        Chance that what an order needs is there.
    lead_time : float
        Periods until the next delivery.
    """

    modules: int = 3
    demand: float = 1_000.0
    dispersion: float = 4.0
    margin: float = 20.0
    misfit: float = 6.0
    setup: float = 30.0
    holding: float = 1.5
    assembly: float = 1.0
    service_level: float = 0.95
    lead_time: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        problems = broken_count("modules", self.modules)
        for name in (field.name for field in fields(self) if field.name not in ("modules", "service_level")):
            value = getattr(self, name)
            if name in ("misfit", "setup", "holding", "assembly"):
                problems += [] if value == 0 else broken_positive(name, value)
            else:
                problems += broken_positive(name, value)
        if not 0.5 < self.service_level < 1:
            problems.append(f"service_level must lie between 0.5 and 1; got {self.service_level}")
        if problems:
            raise ContractError("no product can be planned like this", problems)


@dataclass(frozen=True, eq=False)
class VarietyProfit:
    """Profit by number of options.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by way (``to stock``, ``to order``) and ``options`` per module: ``variants`` that a customer can have,
        ``listed`` things kept, and per unit sold ``misfit``, ``setup``, ``stock``, ``assembly`` and ``profit``.
    plan : VarietyPlan
        The assumptions.
    """

    table: pd.DataFrame
    plan: VarietyPlan

    @property
    def best(self) -> pd.DataFrame:
        """The row of highest profit of each way, with ``options`` as a column; among equals the fewest options."""
        top = self.table["profit"].groupby(level="way", sort=False).idxmax()
        return self.table.loc[top.to_list()].reset_index("options")

    def __repr__(self) -> str:
        return f"{self.plan}\nbest number of options, money per unit\n{self.best.round(3).to_string()}"


def variety_profit(plan: VarietyPlan, options: Iterable[int] = range(1, 11)) -> VarietyProfit:
    r"""Profit per unit by number of options, made to stock and made to order of modules.

    Tastes for each of M modules lie evenly on a circle, with O options spread evenly on it. The mean distance to the
    nearest is :math:`1/(4O)` of the circle, so that a unit misses :math:`M t / (2 O)` of willingness to pay, with t the
    `misfit` half round. Made **to stock**, :math:`O^M` variants are listed, and each holds safety stock: together
    :math:`z \sqrt{\varphi L D\,O^M}` units for demand D of dispersion :math:`\varphi`. Made **to order** (postponed),
    :math:`M O` options are listed; each module holds :math:`z_M \sqrt{\varphi L D\,O}` units at a share of 1/M of the
    cost, with :math:`z_M` for the M-th root of the service level, because an order needs all its modules; and assembly
    costs extra. One option is mass production in both, but only if made to stock without the extra.

    Parameters
    ----------
    plan : VarietyPlan
        The assumptions.
    options : iterable of int, default 1 to 10
        Numbers of options per module.

    Returns
    -------
    VarietyProfit

    Raises
    ------
    ContractError
        If there is no number of options, or one is no whole number of 1 or more.

    Notes
    -----
    Safety stock is that of normal demand; with less than about one unit per variant and lead time the formula is off.
    The firm is taken to earn the whole willingness to pay; competition leaves it less.

    References
    ----------
    Lee, H. L. & Tang, C. S. (1997). Modelling the costs and benefits of delayed product differentiation. *Management
    Science* 43(1), 40-53.
    Salop, S. C. (1979). Monopolistic competition with outside goods. *Bell Journal of Economics* 10(1), 141-156.

    Examples
    --------
    >>> found = variety_profit(VarietyPlan())
    >>> found.best["options"].to_dict()
    {'to stock': 3, 'to order': 8}
    """
    from scipy.stats import norm

    numbers = list(options)
    problems = [told for one in numbers for told in broken_count("options", one)]
    if problems or not numbers:
        raise ContractError("profit needs numbers of options", problems[:3])
    count = np.unique(numbers).astype(float)
    modules, volume = plan.modules, plan.demand
    swing = np.sqrt(plan.dispersion * plan.lead_time * volume)
    levels = {"to stock": plan.service_level, "to order": plan.service_level ** (1 / modules)}
    listed = {"to stock": count**modules, "to order": modules * count}
    spread = {"to stock": count**modules, "to order": count}
    parts = {}
    for way in listed:
        one = pd.DataFrame({"variants": count**modules, "listed": listed[way]}, index=pd.Index(count.astype(int)))
        one["misfit"] = modules * plan.misfit / (2 * count)
        one["setup"] = plan.setup * listed[way] / volume
        one["stock"] = plan.holding * norm.ppf(levels[way]) * swing * np.sqrt(spread[way]) / volume
        one["assembly"] = plan.assembly if way == "to order" else 0.0
        one["profit"] = plan.margin - one[["misfit", "setup", "stock", "assembly"]].sum(axis=1)
        parts[way] = one
    table = pd.concat(parts, names=["way", "options"])
    return VarietyProfit(table.astype({"variants": int, "listed": int}), plan)
