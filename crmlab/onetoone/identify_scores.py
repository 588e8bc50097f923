"""How good a linkage is: scores against known persons, and costs of thresholds from labelled pairs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.onetoone.identify import Linkage, components
from crmlab.onetoone.identify_records import check_count, check_share
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STRATA = np.array([-np.inf, -10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, np.inf])
_MEASURES = ("precision", "recall", "f1")
_KINDS = ("pairs", "records", "persons")


@dataclass(frozen=True, eq=False)
class LinkScores:
    """Clusters of records held against true persons.

    Attributes
    ----------
    table : pandas.DataFrame
        Rows ``pairs`` (pairs of records in one cluster), ``records`` (B-cubed: the mean over records of the share of
        their cluster, or of their person's records, that is right) and ``persons`` (clusters that hold exactly the
        records of one person); columns precision, recall, f1, each also with ``_low`` and ``_high``.
    n_records, n_persons, n_clusters : int
        Size.
    wrong_pairs, missed_pairs : int
        Pairs of different persons in one cluster, and pairs of one person in different ones.
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    n_records: int
    n_persons: int
    n_clusters: int
    wrong_pairs: int
    missed_pairs: int
    level: float

    def __repr__(self) -> str:
        lines = [
            f"{self.n_records:,} records of {self.n_persons:,} persons in {self.n_clusters:,} clusters: "
            f"{self.wrong_pairs:,} pairs wrongly merged, {self.missed_pairs:,} missed"
        ]
        for kind, row in self.table.iterrows():
            told = ", ".join(f"{m} {row[m]:.4f} ({row[m + '_low']:.4f} to {row[m + '_high']:.4f})" for m in _MEASURES)
            lines.append(f"  by {kind:<8} {told}")
        return "\n".join(lines)


def link_scores(
    clusters: pd.Series, persons: pd.Series, *, seed: int = 1, n: int = 500, level: float = 0.95
) -> LinkScores:
    """Precision, recall and F1 of clusters, by pairs, by records and by persons, with intervals.

    Parameters
    ----------
    clusters, persons : pandas.Series
        The cluster and the true person of every record, with the same index.
    seed, n : int
        Bootstrap: groups of records that hang together, by cluster or by person, are drawn anew `n` times.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    LinkScores
        The three kinds answer different questions. A cluster of ten counts 45 times by pairs, ten times by records,
        and once by persons. A share of nothing, such as precision where no pair was merged, is missing. Where no
        mistake is seen, no resample has one either; the lower limit is then the exact one for as many groups without.

    Raises
    ------
    ContractError
        If the series differ in index, are empty, or miss a value.

    References
    ----------
    Bagga, A. & Baldwin, B. (1998). Entity-based cross-document coreferencing using the vector space model.
    *Proceedings of COLING-ACL*, 79-85. (B-cubed)
    Menestrina, D., Whang, S. E. & Garcia-Molina, H. (2010). Evaluating entity resolution results. *Proceedings of the
    VLDB Endowment* 3(1), 208-219.

    Examples
    --------
    >>> found, true = pd.Series([1, 1, 1, 2, 3]), pd.Series(["ann", "ann", "bob", "bob", "cat"])
    >>> link_scores(found, true).table[["precision", "recall", "f1"]].round(3)
             precision  recall     f1
    pairs        0.333   0.500  0.400
    records      0.733   0.800  0.765
    persons      0.333   0.333  0.333
    """
    check_count("n", n, 100)
    check_level(level)
    cluster, person = _numbers(clusters, persons)
    both = np.unique(cluster * (person.max() + 1) + person, return_inverse=True)[1]
    own, cluster_size, person_size = (np.bincount(one)[one] for one in (both, cluster, person))
    exact = (own == cluster_size) & (own == person_size)
    parts = np.column_stack(  # per record; pairs are halved by giving each record half of its own
        [
            *[(own - 1) / 2, (cluster_size - 1) / 2, (person_size - 1) / 2],
            *[own / cluster_size, np.ones(len(own)), own / person_size],
            *[exact / own, 1 / cluster_size, 1 / person_size],
        ]
    )
    size = len(own)
    group = components(*_bipartite(cluster, person), cluster.max() + person.max() + 2)[cluster]
    group = np.unique(group, return_inverse=True)[1]
    sums = np.column_stack([np.bincount(group, weights=one) for one in parts.T])
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=n) @ sums
    limits = [(1 - level) / 2, (1 + level) / 2]
    rows = {}
    for kind, at in zip(_KINDS, (0, 3, 6), strict=True):
        estimate, draws = (_shares(one[..., at : at + 3], by_record=kind == "records") for one in (sums.sum(0), drawn))
        low, high = np.array([np.quantile(one, limits) for one in draws.T]).T  # missing where a draw is
        held = (sums[:, at + 1 : at + 3] > 0).sum(axis=0)
        flawless = limits[0] ** (1 / np.maximum([*held, held.min()], 1))
        low = np.where(estimate == 1, flawless, low)
        rows[kind] = dict(zip(_MEASURES, estimate, strict=True))
        rows[kind] |= {f"{m}_low": one for m, one in zip(_MEASURES, low, strict=True)}
        rows[kind] |= {f"{m}_high": one for m, one in zip(_MEASURES, high, strict=True)}
    right, merged, true = (round(one) for one in sums.sum(0)[:3])
    return LinkScores(
        pd.DataFrame(rows).T, size, int(person.max() + 1), int(cluster.max() + 1), merged - right, true - right, level
    )


def _numbers(clusters: pd.Series, persons: pd.Series) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    for name, one in {"clusters": clusters, "persons": persons}.items():
        if not isinstance(one, pd.Series):
            raise ContractError(f"{name} must be a series with the records as index, not {type(one).__name__}")
    if (
        clusters.empty
        or clusters.index.has_duplicates
        or not clusters.index.sort_values().equals(persons.index.sort_values())
    ):
        raise ContractError(
            f"clusters ({len(clusters):,}) and persons ({len(persons):,}) must be about the same records, each once, "
            "by their index"
        )
    same = persons.reindex(clusters.index)
    problems = broken_rules({"clusters: missing": clusters.isna(), "persons: missing": same.isna()})
    if problems:
        raise ContractError("every record needs a cluster and a person (rows counted from 1)", problems)
    return pd.factorize(clusters)[0].astype("int64"), pd.factorize(same)[0].astype("int64")


def _bipartite(
    cluster: "NDArray[np.int64]", person: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    return cluster, person + cluster.max() + 1


def _shares(parts: "NDArray[Any]", *, by_record: bool) -> "Floats":
    """Precision, recall and F1 from (right, found, true); by record from sums of shares over the same records."""
    first, second, third = parts[..., 0], parts[..., 1], parts[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = first / second, (third / second if by_record else first / third)
        f1 = 2 * precision * recall / (precision + recall)
    return np.stack([precision, recall, np.where(precision + recall == 0, 0.0, f1)], axis=-1)


def sample_pairs(linkage: Linkage, n: int, *, seed: int) -> pd.DataFrame:
    """Draw pairs for somebody to look at, doubtful ones more often than clear ones.

    Nearly all pairs are clear. A plain random sample would hold few of those that decide the threshold; so pairs are
    drawn from eight strata of the weight, in proportion to the roots of their sizes, and each says for how many it
    stands.

    Parameters
    ----------
    linkage : Linkage
        From `link_records`.
    n : int
        Pairs to draw.
    seed : int
        Of the draw.

    Returns
    -------
    pandas.DataFrame
        ``left``, ``right``, ``probability``, ``stratum`` and ``stands_for``, in no order that tells the weight. Add
        ``same``, True where a person judged the two to be one customer, and hand it to `merge_costs`.

    Raises
    ------
    ContractError
        If `n` is not a whole number from 16, or larger than the number of pairs.
    """
    check_count("n", n, 16)
    pairs = linkage.pairs
    if n > len(pairs):
        raise ContractError(f"n={n:,} pairs cannot be drawn of {len(pairs):,}")
    stratum = np.searchsorted(_STRATA, pairs["weight"].to_numpy(), side="left")
    there, sizes = np.unique(stratum, return_counts=True)
    parts = _parts(sizes, n)
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(stratum == one), part, replace=False) for one, part in zip(there, parts, strict=True)
    ]
    chosen = rng.permutation(np.concatenate(drawn))
    weight = dict(zip(there, sizes / parts, strict=True))
    table = pairs.loc[chosen, ["left", "right", "probability"]].reset_index(drop=True)
    return table.assign(stratum=stratum[chosen], stands_for=[weight[one] for one in stratum[chosen]])


def _parts(sizes: "NDArray[np.int64]", n: int) -> "NDArray[np.int64]":
    """Split n among strata in proportion to the roots of their sizes: one at least, and none more than it has."""
    parts = np.ones(len(sizes), dtype="int64")
    while parts.sum() < n:
        room = np.sqrt(sizes) * (parts < sizes)
        more = np.floor((n - parts.sum()) * room / room.sum()).astype("int64")
        if not more.any():
            more[np.argmax(room / parts)] = 1
        parts = np.minimum(parts + more, sizes)
    return parts


@dataclass(frozen=True, eq=False)
class MergeCosts:
    """What thresholds cost, estimated from labelled pairs.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per threshold, the probability from which pairs are merged: ``threshold``, ``wrong`` merges and
        ``missed`` ones among the pairs that the blocking made, ``cost`` and its ``standard_error``.
    best : float
        The threshold of least cost; of several the highest. In the middle between two labelled probabilities.
    by_theory : float
        Where calibrated probabilities would put it: the cost of a wrong merge over the sum of both costs.
    wrong_merge, missed_merge : float
        Cost of a pair, in money.
    """

    table: pd.DataFrame
    best: float
    by_theory: float
    wrong_merge: float
    missed_merge: float
    _labels: pd.DataFrame

    def at(self, threshold: float, level: float = 0.95) -> Interval:
        """The cost of any threshold, with an interval for the drawing of the pairs.

        Use the costs of one sample to choose a threshold, and those of another sample to value it.
        """
        cost = self._interval(threshold, None, level)
        return Interval(cost.estimate, max(cost.low, 0.0), cost.high, level)

    def difference(self, threshold: float, other: float, level: float = 0.95) -> Interval:
        """By how much a threshold costs more than another one: of the same pairs, so only those in between count."""
        return self._interval(threshold, other, level)

    def _interval(self, threshold: float, other: float | None, level: float) -> Interval:
        check_level(level)
        for limit in (threshold, 0 if other is None else other):
            check_share("threshold", limit)
        from scipy.stats import norm

        cost = _cost(self._labels, np.array([threshold]), self.wrong_merge, self.missed_merge, other).iloc[0]
        half = float(norm.ppf((1 + level) / 2) * cost["standard_error"])
        return Interval(float(cost["cost"]), float(cost["cost"]) - half, float(cost["cost"]) + half, level)

    def __repr__(self) -> str:
        least = self.at(self.best)
        return (
            f"Costs of thresholds from {len(self._labels):,} labelled pairs, {self.wrong_merge:g} for a wrong merge "
            f"and {self.missed_merge:g} for a missed one\n"
            f"  least      {least.estimate:,.0f} at a probability of {self.best:.4g}\n"
            f"  by theory  {self.at(self.by_theory).estimate:,.0f} at {self.by_theory:.4g}, if probabilities were right"
        )


def merge_costs(labels: pd.DataFrame, *, wrong_merge: float, missed_merge: float) -> MergeCosts:
    """Cost of every threshold: pairs merged that are two persons, and pairs missed that are one.

    Parameters
    ----------
    labels : pandas.DataFrame
        Labelled pairs: ``probability``, ``same`` (True or False), and, from `sample_pairs`, ``stratum`` and
        ``stands_for``. Without the last two these are all pairs, and there is no error of drawing.
    wrong_merge, missed_merge : float
        What one such pair costs, in the same unit.

    Returns
    -------
    MergeCosts

    Raises
    ------
    ContractError
        If a column is missing or has values that are not of its kind, or a cost is not above 0.

    References
    ----------
    Cochran, W. G. (1977). *Sampling Techniques*, 3rd ed., ch. 5. Wiley. (the standard error of a stratified total)
    Elkan, C. (2001). The foundations of cost-sensitive learning. *Proceedings of IJCAI*, 973-978.

    Examples
    --------
    >>> pairs = pd.DataFrame({"probability": [0.99, 0.9, 0.6, 0.2, 0.1], "same": [True, True, False, True, False]})
    >>> costs = merge_costs(pairs, wrong_merge=10, missed_merge=1)
    >>> round(costs.best, 3), costs.at(costs.best).estimate, round(costs.by_theory, 3)
    (0.75, 1.0, 0.909)
    """
    for name, cost in {"wrong_merge": wrong_merge, "missed_merge": missed_merge}.items():
        if not (isinstance(cost, int | float) and np.isfinite(cost) and cost > 0):
            raise ContractError(f"{name} is the cost of a pair, above 0; got {cost!r}")
    table = _labelled(labels)
    edges = np.unique(table["probability"])
    limits = np.concatenate([[0.0], (edges[:-1] + edges[1:]) / 2, [1.0]])
    costs = _cost(table, limits, wrong_merge, missed_merge)
    best = costs.loc[costs["cost"] <= costs["cost"].min() * (1 + 1e-12), "threshold"].iloc[-1]
    theory = wrong_merge / (wrong_merge + missed_merge)
    return MergeCosts(costs, float(best), theory, float(wrong_merge), float(missed_merge), table)


def _labelled(labels: pd.DataFrame) -> pd.DataFrame:
    drawn = [name for name in ("stratum", "stands_for") if name in getattr(labels, "columns", [])]
    require_columns(labels, ["probability", "same", *(["stratum", "stands_for"] if drawn else [])], "merge_costs")
    if not pd.api.types.is_bool_dtype(labels["same"]):
        raise ContractError(f"merge_costs needs True or False in 'same', not {labels['same'].dtype}")
    numbers = {name: labels[name] for name in ("probability", "same", *drawn)}
    table: pd.DataFrame = aligned("merge_costs", **numbers)
    if not drawn:
        table = table.assign(stratum=0.0, stands_for=1.0)
    problems = broken_rules(
        {
            "probability: not between 0 and 1": ~table["probability"].between(0, 1),
            "stands_for: below 1": table["stands_for"] < 1 - 1e-9,
        }
    )
    if problems:
        raise ContractError("merge_costs cannot use these labels (rows counted from 1)", problems)
    return table


def _cost(
    labels: pd.DataFrame, limits: "Floats", wrong_merge: float, missed_merge: float, other: float | None = None
) -> pd.DataFrame:
    """Wrong merges, missed merges, cost and its standard error under stratified drawing without replacement.

    With `other`, all of them less those of this threshold. A stratum in which no mistake was seen can hold some: every
    spread is that of one pair more, judged to be the dearest mistake that is possible there.
    """
    chance, same = labels["probability"].to_numpy()[:, None], labels["same"].to_numpy()[:, None] > 0
    merged = chance >= limits
    wrong, missed = (merged & ~same).astype(float), (~merged & same).astype(float)
    feared = np.where(merged, wrong_merge, missed_merge)
    if other is not None:
        before = chance >= other
        wrong, missed = wrong - (before & ~same), missed - (~before & same)
        feared = np.where(merged != before, max(wrong_merge, missed_merge), 0.0)
    each = wrong_merge * wrong + missed_merge * missed
    sums = np.zeros((3, len(limits)))
    for _, place in labels.reset_index(drop=True).groupby("stratum").groups.items():
        drawn, total = len(place), labels["stands_for"].iloc[place].sum()
        spread = np.vstack([each[place], feared[place].max(axis=0)]).var(axis=0, ddof=1)
        left_out = max(1 - drawn / total, 0.0)
        means = [wrong[place].mean(axis=0), missed[place].mean(axis=0), total * left_out * spread / drawn]
        sums += total * np.array(means)
    cost = wrong_merge * sums[0] + missed_merge * sums[1]
    columns = {"threshold": limits, "wrong": sums[0], "missed": sums[1], "cost": cost}
    return pd.DataFrame(columns | {"standard_error": np.sqrt(sums[2])})
