"""Loyalty of single customers: what drives it, what they say against what they do, and its indicators side by side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from crmlab.contracts import aligned, broken_rules, require_columns, suggest
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    from crmlab.models.paths import PathModelResults

#: Names of the four cells, by whether attitude and behaviour are high.
CELLS = {
    (True, True): "loyalty",
    (True, False): "latent loyalty",
    (False, True): "spurious loyalty",
    (False, False): "no loyalty",
}


@dataclass(frozen=True, eq=False)
class ImportancePerformance:
    """Which construct to work on: where much can be moved (importance) and much is missing (performance).

    Attributes
    ----------
    table : pandas.DataFrame
        By construct with an effect on the target, the most important first: ``importance`` (points by which the
        target's index rises when the construct's index rises by one, all else that does not follow from it being
        equal), ``performance`` (mean index, 0 to 100), ``total_effect`` (the same in standard deviations).
    target : str
        The construct that is to be raised.
    target_performance : float
        Its mean index, 0 to 100.
    """

    table: pd.DataFrame
    target: str
    target_performance: float

    def __repr__(self) -> str:
        head = f"importance for {self.target} (mean index {self.target_performance:.0f} of 100)"
        return f"{head}\n{self.table.round(3).to_string()}"


def importance_performance(
    fit: "PathModelResults", target: str, *, lowest: float, highest: float
) -> ImportancePerformance:
    """Importance-performance map of a fitted path model.

    A construct's index is the mean of its items, weighted by the outer weights of the *unstandardised* items and moved
    to 0 (the scale's lowest answer) to 100 (its highest).

    Parameters
    ----------
    fit : PathModelResults
        From `crmlab.models.paths.PathModel`.
    target : str
        Construct that has causes in the model.
    lowest, highest : float
        Ends of the scale on which all items were answered.

    Raises
    ------
    ContractError
        If nothing leads to the target, an answer lies off the scale, or an item has a negative weight, with which an
        index of 0 to 100 makes no sense.

    References
    ----------
    Ringle, C. M. & Sarstedt, M. (2016). Gain more insight from your PLS-SEM results: the importance-performance map
    analysis. *Industrial Management & Data Systems* 116(9), 1865-1886.

    Examples
    --------
    >>> from crmlab.models import PathModel
    >>> rng = np.random.default_rng(1)
    >>> quality = rng.integers(3, 9, 400)
    >>> asked = {"q1": quality, "q2": quality + rng.integers(0, 2, 400), "s1": quality - rng.integers(0, 3, 400)}
    >>> blocks = {"quality": ["q1", "q2"], "satisfaction": ["s1"]}
    >>> fit = PathModel(pd.DataFrame(asked), blocks, [("quality", "satisfaction")]).fit()
    >>> importance_performance(fit, "satisfaction", lowest=0, highest=10).table["performance"].round(0).tolist()
    [58.0]
    """
    answers, effects = fit.model.answers, fit.total_effects
    problems = []
    if target not in fit.constructs:
        problems.append(f"there is no construct {target!r}{suggest(target, fit.constructs)}")
    elif not effects[target].any():
        problems.append(f"no arrow leads to {target!r}")
    off = [str(item) for item in answers if answers[item].min() < lowest or answers[item].max() > highest]
    if off or not (lowest < highest and np.isfinite(highest - lowest)):
        problems.append(
            f"answers off the scale from {lowest:g} to {highest:g}: {', '.join(off[:3]) or 'no such scale'}"
        )
    negative = fit.weights[fit.weights < 0]
    if len(negative):
        problems.append(
            f"negative weight: {', '.join(map(str, negative.index[:3]))}; turn the scale round, or leave it out"
        )
    if problems:
        raise ContractError("an importance-performance map cannot be drawn", problems)
    share = (answers - lowest) / (highest - lowest) * 100
    raw = fit.weights / answers.std(ddof=0)
    index = pd.DataFrame(
        {
            name: share[list(items)] @ (raw[list(items)] / raw[list(items)].sum())
            for name, items in fit.model.blocks.items()
        }
    )
    spread, effect = index.std(ddof=0), effects[target]
    columns = {"importance": effect * spread[target] / spread, "performance": index.mean(), "total_effect": effect}
    table = pd.DataFrame(columns)[effect != 0].sort_values("importance", ascending=False)
    return ImportancePerformance(table.rename_axis("construct"), target, float(index[target].mean()))


@dataclass(frozen=True, eq=False)
class LoyaltyMatrix:
    """Attitude against behaviour.

    Attributes
    ----------
    table : pandas.DataFrame
        By cell (loyalty, latent loyalty, spurious loyalty, no loyalty): ``attitude`` and ``behaviour`` (high or low),
        ``customers``, ``share``, and where an outcome was given its mean ``outcome`` with ``low`` and ``high``.
    cells : pandas.Series
        The cell of every customer.
    kappa : Interval
        Agreement of the two beyond chance: 1 if whoever speaks well buys, 0 if the two have nothing in common.
    attitude_above, behaviour_above : float
        High means more than this.
    """

    table: pd.DataFrame
    cells: pd.Series
    kappa: Interval
    attitude_above: float
    behaviour_above: float

    def __repr__(self) -> str:
        head = (
            f"{len(self.cells):,} customers; high attitude means above {self.attitude_above:g}, high behaviour above "
            f"{self.behaviour_above:g}; kappa {self.kappa}"
        )
        return f"{head}\n{self.table.round(3).to_string()}"


def loyalty_matrix(
    attitude: pd.Series,
    behaviour: pd.Series,
    outcome: pd.Series | None = None,
    *,
    attitude_above: float | None = None,
    behaviour_above: float | None = None,
    level: float = 0.95,
) -> LoyaltyMatrix:
    """The four loyalties of Dick and Basu: who speaks well, who buys, who does both.

    Parameters
    ----------
    attitude, behaviour : pandas.Series
        One number a customer, high is good: what was said, and what was done *before* it or apart from it.
    outcome : pandas.Series, optional
        What came later, e.g. orders of the next year: its mean is given per cell with a t interval.
    attitude_above, behaviour_above : float, optional
        High means more than this. Default: the median. Equal values fall into one class, so that halves may differ.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the columns do not belong to the same customers, a value is missing, or nobody is above or below a limit.

    References
    ----------
    Dick, A. S. & Basu, K. (1994). Customer loyalty: toward an integrated conceptual framework. *Journal of the Academy
    of Marketing Science* 22(2), 99-113.
    Fleiss, J. L., Cohen, J. & Everitt, B. S. (1969). Large sample standard errors of kappa and weighted kappa.
    *Psychological Bulletin* 72(5), 323-327.

    Examples
    --------
    >>> said, done = pd.Series([9, 8, 3, 2, 9, 2]), pd.Series([12, 9, 1, 2, 1, 8])
    >>> loyalty_matrix(said, done).table["customers"].to_dict()
    {'loyalty': 2, 'latent loyalty': 1, 'spurious loyalty': 1, 'no loyalty': 2}
    """
    check_level(level)
    given = {"attitude": attitude, "behaviour": behaviour} | ({} if outcome is None else {"outcome": outcome})
    people = aligned("a loyalty matrix", **given)
    limits = {"attitude": attitude_above, "behaviour": behaviour_above}
    above = {name: float(people[name].median()) if at is None else float(at) for name, at in limits.items()}
    high = pd.DataFrame({name: people[name] > at for name, at in above.items()})
    problems = [
        f"{name}: {'everybody' if high[name].all() else 'nobody'} is above {at:g}; choose {name}_above between "
        f"{people[name].min():g} and {people[name].max():g}"
        for name, at in above.items()
        if high[name].nunique() < 2
    ]
    if problems:
        raise ContractError("a loyalty matrix needs customers on both sides of both limits", problems)
    cells = pd.Series([CELLS[pair] for pair in zip(*high.to_numpy().T, strict=True)], index=high.index, name="cell")
    table = pd.DataFrame(
        {name: ["high" if pair[at] else "low" for pair in CELLS] for at, name in enumerate(high)},
        index=list(CELLS.values()),
    ).rename_axis("cell")
    table["customers"] = cells.value_counts().reindex(table.index, fill_value=0)
    table["share"] = table["customers"] / len(cells)
    if outcome is not None:
        table = table.join(_means(people["outcome"], cells, level))
    return LoyaltyMatrix(table, cells, _kappa(high, level), above["attitude"], above["behaviour"])


def _means(outcome: pd.Series, cells: pd.Series, level: float) -> pd.DataFrame:
    found = outcome.groupby(cells).agg(["mean", "sem", "size"])
    reach = stdtrit((found["size"] - 1).clip(lower=1), (1 + level) / 2) * found["sem"]
    return pd.DataFrame({"outcome": found["mean"], "low": found["mean"] - reach, "high": found["mean"] + reach})


def _kappa(high: pd.DataFrame, level: float) -> Interval:
    from statsmodels.stats.inter_rater import cohens_kappa

    found = cohens_kappa(pd.crosstab(high["attitude"], high["behaviour"]).to_numpy())
    reach = float(ndtri((1 + level) / 2) * found.std_kappa)
    return Interval(float(found.kappa), float(found.kappa) - reach, min(1.0, float(found.kappa) + reach), level)


def loyalty_indicators(purchases: pd.DataFrame, brand: str) -> pd.DataFrame:
    """What each customer does with one brand, by several measures of loyalty at once.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row a purchase of the category, at any firm: ``customer_id``, ``brand``, and ``occasion``, a number or date
        by which a customer's purchases are in order. Purchases of other firms must be in it; without them every
        customer would look entirely loyal.
    brand : str
        The brand.

    Returns
    -------
    pandas.DataFrame
        By customer who bought the brand at least once: ``purchases`` (of the category), ``of_brand`` (repeat count plus
        one), ``share_of_requirements`` (the second over the first), ``brands`` (how many are bought), ``sole_buyer``,
        and ``repeat_rate``: of the purchases right after one of the brand, the share that is of it again. It is missing
        where there is none; purchases of one customer on one occasion have no order and are left out of it.

    Raises
    ------
    ContractError
        If a value is missing, nobody bought the brand, or there is no other.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": [1, 1, 1, 2], "brand": ["A", "A", "B", "A"], "occasion": [1, 2, 3, 1]})
    >>> loyalty_indicators(log, "A").loc[1, ["of_brand", "repeat_rate"]].tolist()
    [2.0, 0.5]
    """
    columns = ["customer_id", "brand", "occasion"]
    require_columns(purchases, columns, "loyalty_indicators")
    problems = broken_rules({f"{name}: missing": purchases[name].isna() for name in columns})
    known = purchases["brand"].dropna().unique()
    if brand not in known:
        problems.append(f"brand {brand!r} was never bought{suggest(brand, known)}")
    elif len(known) < 2:
        problems.append("there is one brand only, so everybody is loyal to it")
    if problems:
        raise ContractError("loyalty cannot be measured on these purchases (rows counted from 1)", problems)
    log = purchases[columns].sort_values(["customer_id", "occasion"], kind="stable", ignore_index=True)
    log["own"] = log["brand"] == brand
    people = log.groupby("customer_id").agg(
        purchases=("own", "size"), of_brand=("own", "sum"), brands=("brand", "nunique")
    )
    people = people[people["of_brand"] > 0]
    people.insert(2, "share_of_requirements", people["of_brand"] / people["purchases"])
    single = ~log.duplicated(["customer_id", "occasion"], keep=False)
    follows = log["customer_id"].eq(log["customer_id"].shift()) & single & single.shift(fill_value=False)
    after_own = follows & log["own"].shift(fill_value=False)
    again = log[after_own].groupby("customer_id")["own"].mean()
    return people.assign(sole_buyer=people["brands"] == 1, repeat_rate=again.reindex(people.index))
