"""What a lottery tells: the conversions that each channel caused, and two variants of a page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HoldoutEffects:
    """What each channel caused, from customers who were kept from it at random.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per channel. Of the customers whom the channel would have reached: ``treated``, ``held_out`` (how many),
        ``mean_treated``, ``mean_held_out`` (outcome), ``effect`` on a treated one, ``std_error``, and what the channel
        caused among all treated, ``incremental``, with its interval ``low``, ``high``. ``draw_p``: p-value of equal
        opportunities in both groups; a small one says that the draw or the log is broken.
    adjusted : bool
        Whether the opportunities of all channels were used as covariates.
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    adjusted: bool
    level: float

    def __repr__(self) -> str:
        how = "adjusted for opportunities" if self.adjusted else "plain differences"
        return f"incremental outcome by channel, {how}, {self.level:.0%} intervals\n{self.table.round(3).to_string()}"


def holdout_effects(
    holdouts: pd.DataFrame, outcome: pd.Series, *, adjust: bool = True, level: float = 0.95
) -> HoldoutEffects:
    r"""Conversions (or money) that each channel caused, measured by a random holdout with ghost advertisements.

    Only customers with an opportunity can differ, so the others are left out on both sides. The effect on a treated
    customer is :math:`\hat\tau = \frac{1}{n_1} \sum_{treated} (y_i - \hat m_0(x_i))`; with `adjust` :math:`\hat m_0` is
    the least-squares line of the held-out on the log opportunities of all channels and on what else they were held out
    of (covariates fixed before the draw), else their mean. The error, by linearisation, is robust to unequal variances
    (HC2). Incremental is :math:`n_1 \hat\tau`: channels that help each other are counted with the others as they were,
    so the sum over channels is not what all cause together.

    Parameters
    ----------
    holdouts : pandas.DataFrame
        ``customer_id``, ``channel``, ``held_out`` (yes or no, drawn at random for every customer and channel),
        ``opportunities`` (touches, or those there would have been).
    outcome : pandas.Series
        By customer: 1 or 0 for a conversion, or money.
    adjust : bool, default True
        Use the covariates: less noise, the same effect.
    level : float, default 0.95
        Of the intervals.

    Raises
    ------
    ContractError
        If a value is missing, a customer and channel is twice, a customer has no outcome, or a channel has fewer than
        20 customers with an opportunity in one of its groups.

    References
    ----------
    Johnson, G. A., Lewis, R. A. & Nubbemeyer, E. I. (2017). Ghost ads: improving the economics of measuring online ad
    effectiveness. *Journal of Marketing Research* 54(6), 867-884.
    Lin, W. (2013). Agnostic notes on regression adjustments to experimental data. *Annals of Applied Statistics* 7(1),
    295-318.

    Examples
    --------
    >>> rows = {"customer_id": range(80), "channel": "email", "held_out": [False, True] * 40, "opportunities": 1}
    >>> bought = pd.Series([1, 0, 0, 0] * 20)
    >>> holdout_effects(pd.DataFrame(rows), bought, adjust=False).table["incremental"].round(1).to_dict()
    {'email': 20.0}
    """
    check_level(level)
    wide, held = _read_holdouts(holdouts, outcome)
    y = outcome.reindex(wide.index).to_numpy(dtype=float)
    rows = {name: _effect(wide, held, y, name, adjust, level) for name in wide.columns}
    table = pd.DataFrame.from_dict(rows, orient="index").astype({"treated": "int64", "held_out": "int64"})
    return HoldoutEffects(table.rename_axis("channel"), adjust, level)


def _read_holdouts(holdouts: pd.DataFrame, outcome: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = ["customer_id", "channel", "held_out", "opportunities"]
    require_columns(holdouts, names, "a holdout")
    if holdouts.empty:
        raise ContractError("a holdout needs at least one row")
    number = pd.to_numeric(holdouts["opportunities"], errors="coerce")
    rules = {f"{name}: missing": holdouts[name].isna() for name in names[:3]}
    rules["held_out: neither yes nor no"] = holdouts["held_out"].notna() & ~holdouts["held_out"].isin([True, False])
    rules["opportunities: no number of 0 or more"] = ~(np.isfinite(number) & (number >= 0))
    rules["customer_id and channel: twice"] = holdouts.duplicated(["customer_id", "channel"])
    problems = broken_rules(rules)
    if not isinstance(outcome, pd.Series) or not outcome.index.is_unique:
        problems.append("outcome: must be a Series with every customer once in its index")
    elif not problems:
        found = pd.to_numeric(outcome, errors="coerce").reindex(holdouts["customer_id"])
        if not np.isfinite(found).all():
            lost = found.index[~np.isfinite(found)]
            problems.append(
                f"outcome: no finite number for {lost.nunique():,} customers (first: {lost[0]}); "
                "outcome.reindex(customers, fill_value=0) if a missing one is zero"
            )
    if problems:
        raise ContractError("this is no holdout (rows counted from 1)", problems)
    table = holdouts.assign(opportunities=number.astype(float), held_out=holdouts["held_out"].astype(bool))
    wide = table.pivot(index="customer_id", columns="channel", values="opportunities").fillna(0.0)
    held = table.pivot(index="customer_id", columns="channel", values="held_out").fillna(False).astype(bool)
    return wide, held


def _effect(
    wide: pd.DataFrame, held: pd.DataFrame, y: "Floats", name: str, adjust: bool, level: float
) -> dict[str, float]:
    from scipy.special import ndtri
    from scipy.stats import norm

    reached = (wide[name] > 0).to_numpy()
    out, y = held.loc[reached, name].to_numpy(), y[reached]
    n1, n0 = int((~out).sum()), int(out.sum())
    if min(n1, n0) < 20:
        raise ContractError(
            f"channel {name!r} has {n1:,} treated and {n0:,} held-out customers with an opportunity; each takes 20"
        )
    x = np.ones((len(y), 1))
    if adjust:
        more = np.column_stack([np.log1p(wide.to_numpy()[reached]), held.drop(columns=name).to_numpy()[reached]])
        x = np.column_stack([x, more - more[~out].mean(axis=0)])
    first, second = _line_at_mean(x[~out], y[~out]), _line_at_mean(x[out], y[out])
    effect, error = first[0] - second[0], float(np.sqrt(first[1] + second[1]))
    reach = error * float(ndtri((1 + level) / 2))
    opportunities = wide[name].to_numpy()[reached]
    spread = opportunities[~out].var(ddof=1) / n1 + opportunities[out].var(ddof=1) / n0
    gap = abs(opportunities[~out].mean() - opportunities[out].mean())
    return {
        "treated": n1,
        "held_out": n0,
        "mean_treated": float(y[~out].mean()),
        "mean_held_out": float(y[out].mean()),
        "effect": effect,
        "std_error": error,
        "incremental": n1 * effect,
        "low": n1 * (effect - reach),
        "high": n1 * (effect + reach),
        "draw_p": float(2 * norm.sf(gap / np.sqrt(spread))) if spread > 0 else 1.0,
    }


def _line_at_mean(x: "Floats", y: "Floats") -> tuple[float, float]:
    """Least-squares prediction where all covariates are 0, with its HC2 variance."""
    inverse = np.linalg.pinv(x.T @ x)
    weight = x @ inverse[0]
    leverage = ((x @ inverse) * x).sum(axis=1)
    residual = y - x @ (inverse @ (x.T @ y))
    return float(weight @ y), float((weight**2 * residual**2 / np.maximum(1 - leverage, 1e-9)).sum())


@dataclass(frozen=True, eq=False)
class VariantComparison:
    """A test of two variants, read with the visitor as the independent unit.

    Attributes
    ----------
    table : pandas.DataFrame, shape (2, 5)
        By variant: ``rows``, ``clusters``, ``mean`` (outcome per row, or per unit of the denominator), ``low``,
        ``high``.
    difference : Interval
        Second variant less the first.
    p_value : float
        Two-sided, of no difference.
    design_effect : float
        Variance of the difference over what it would be if rows were independent.
    """

    table: pd.DataFrame
    difference: Interval
    p_value: float
    design_effect: float

    def __repr__(self) -> str:
        second, first = self.table.index[1], self.table.index[0]
        return (
            f"{self.table.round(4).to_string()}\n{second} - {first}: {self.difference}, p = {self.p_value:.3g}, "
            f"design effect {self.design_effect:.2f}"
        )


def compare_variants(
    table: pd.DataFrame,
    *,
    variant: str,
    outcome: str,
    cluster: str,
    per: str | None = None,
    level: float = 0.95,
) -> VariantComparison:
    r"""Compare two variants of a page by a mean or a ratio, with errors clustered by visitor.

    In variant a the ratio is :math:`R_a = \sum y / \sum x`, with x = 1 for a mean per row. The variance of
    :math:`R_2 - R_1` is :math:`\frac{G}{G-1} \sum_g \bigl(\sum_{i \in g} \pm (y_i - R_{a(i)} x_i) / X_{a(i)}\bigr)^2`
    over visitors g (the delta method), so a visitor may have rows in both variants. Say before the test how many
    visitors it takes, and look once.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per session, form or order.
    variant : str
        Column with exactly two values; the first in sorted order is the reference.
    outcome : str
        Column of numbers: 1 or 0, or money.
    cluster : str
        Column of the visitor. Choose the person where persons are known, else the unit that was drawn (the cookie).
    per : str, optional
        Column of a denominator, 0 or more: sessions of a visitor, for conversions per session.
    level : float, default 0.95
        Of the intervals, normal ones: trust them from some 30 visitors a variant on.

    Raises
    ------
    ContractError
        If a value is missing or no number, there are not two variants, or one has fewer than two visitors.

    References
    ----------
    Deng, A., Knoblich, U. & Lu, J. (2018). Applying the delta method in metric analytics. *KDD '18*, 233-242.

    Examples
    --------
    >>> rows = {"form": list("AAAABBBB"), "done": [1, 0, 0, 1, 1, 1, 0, 1], "who": [1, 2, 3, 4, 5, 6, 7, 7]}
    >>> compare_variants(pd.DataFrame(rows), variant="form", outcome="done", cluster="who").difference.estimate
    0.25
    """
    check_level(level)
    columns = [variant, outcome, cluster] + ([per] if per else [])
    require_columns(table, columns, "a comparison of variants")
    numbers = aligned("a comparison of variants", **{name: table[name] for name in columns if name in (outcome, per)})
    problems = broken_rules({f"{name}: missing": table[name].isna() for name in (variant, cluster)})
    names = sorted(table[variant].dropna().unique(), key=str)
    if len(names) != 2:
        problems.append(f"{variant}: two variants are compared, found {', '.join(map(str, names)) or 'none'}")
    if per and (numbers[per] < 0).any():
        problems.append(f"{per}: negative in {(numbers[per] < 0).sum():,} rows")
    if problems:
        raise ContractError("these rows make no test of two variants (rows counted from 1)", problems)
    y, x = numbers[outcome].to_numpy(), numbers[per].to_numpy() if per else np.ones(len(table))
    second, who = (table[variant] == names[1]).to_numpy(), pd.factorize(table[cluster])[0]
    return _compared(y, x, second, who, names, level)


def _compared(y: "Floats", x: "Floats", second: Any, who: Any, names: list[Any], level: float) -> VariantComparison:
    from scipy.special import ndtri
    from scipy.stats import norm

    z = float(ndtri((1 + level) / 2))
    rows, parts = [], np.zeros(len(y))
    for chosen, name in ((~second, names[0]), (second, names[1])):
        clusters, total = len(np.unique(who[chosen])), x[chosen].sum()
        if clusters < 2 or total <= 0:
            raise ContractError(f"variant {name!r} has {clusters} visitors and a denominator of {total:g}: too little")
        ratio = y[chosen].sum() / total
        parts[chosen] = (y[chosen] - ratio * x[chosen]) / total
        reach = z * np.sqrt(_cluster_variance(parts[chosen], who[chosen]))
        rows.append([chosen.sum(), clusters, ratio, ratio - reach, ratio + reach])
    table = pd.DataFrame(rows, pd.Index(names, name="variant"), ["rows", "clusters", "mean", "low", "high"])
    parts[~second] *= -1
    variance = _cluster_variance(parts, who)
    gap, error = float(table["mean"].iloc[1] - table["mean"].iloc[0]), float(np.sqrt(variance))
    alone = sum(_cluster_variance(parts[one], np.arange(one.sum())) for one in (second, ~second))
    p_value = float(2 * norm.sf(abs(gap) / error)) if error > 0 else float(gap == 0)
    effect = variance / alone if alone > 0 else 1.0
    interval = Interval(gap, gap - z * error, gap + z * error, level)
    return VariantComparison(table.astype({"rows": "int64", "clusters": "int64"}), interval, p_value, float(effect))


def _cluster_variance(parts: "Floats", who: Any) -> float:
    total = np.bincount(np.unique(who, return_inverse=True)[1], parts)
    return float(len(total) / (len(total) - 1) * (total**2).sum())
