"""What recommendations would have hit in a later period, with intervals over customers; and how long a list must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.customise import Wanted, broken_count, wanted
from crmlab.onetoone.customise_models import Recommendations, Recommender, ranked
from crmlab.stats import Interval, check_level

METRICS = ("recall", "ndcg", "hit_rate", "novelty")
_CELLS = 20_000_000
_Made = TypeVar("_Made")


@dataclass(frozen=True, eq=False)
class RecommendationScores:
    """What lists of k places would have hit.

    For a customer with r wanted items, of which h are on the list at places p,

    * ``recall`` is h / min(k, r), so that a full score can always be had;
    * ``ndcg`` is the sum of 1 / log2(1 + p) over the hits, divided by its largest possible value;
    * ``hit_rate`` is 1 if h > 0;
    * ``novelty`` is the mean of -log2(share of the customers who have the item) over the list, in bits.

    All are means over customers with at least one wanted item.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by list: the four means, and ``coverage``, the share of all candidates on at least one list. Coverage
        has no interval: with more customers it grows.
    intervals : pandas.DataFrame
        Indexed by list and metric: ``value``, ``low``, ``high``.
    differences : pandas.DataFrame
        Indexed by list and metric: ``difference`` to the list `against` for the same customers, ``low`` and ``high``;
        and ``low_all``, ``high_all``, wider limits that hold for all lists of one metric at once.
    customers : pandas.DataFrame, shape (customers, lists x metrics)
        The values of every customer scored.
    against : str
        The list that others are held against.
    k : int
        Places on a list.
    new_only : bool
        Whether only items new to the customer were wanted.
    counts : mapping of str to int
        Customers and pairs of customer and item, used and left out.
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    intervals: pd.DataFrame
    differences: pd.DataFrame
    customers: pd.DataFrame
    against: str
    k: int
    new_only: bool
    counts: Mapping[str, int]
    level: float

    def interval(self, name: str, metric: str) -> Interval:
        """Mean of a metric of one list, with its interval."""
        return self._interval(self.intervals, name, metric)

    def difference(self, name: str, metric: str) -> Interval:
        """Difference of one list to `against`, paired by customer, with its interval."""
        return self._interval(self.differences, name, metric)

    def _interval(self, table: pd.DataFrame, name: str, metric: str) -> Interval:
        if (name, metric) not in table.index:
            known = "; ".join(", ".join(map(str, table.index.unique(level))) for level in (0, 1))
            raise ContractError(f"there is no {metric!r} of {name!r}; there are: {known}")
        estimate, low, high = table.to_numpy()[table.index.get_loc((name, metric)), :3].tolist()
        return Interval(estimate, low, high, self.level)

    def __repr__(self) -> str:
        kind = "new to the customer" if self.new_only else "bought before or not"
        told = "\n".join(f"  {count:>9,} {what}" for what, count in self.counts.items())
        return f"{self.k} places, items {kind}; means over customers\n{self.table.round(4).to_string()}\n{told}"


def score_recommendations(
    lists: Mapping[str, Recommendations],
    later: pd.DataFrame,
    *,
    against: str | None = None,
    seed: int,
    n: int = 1_000,
    level: float = 0.95,
) -> RecommendationScores:
    """Hold lists against what the same customers bought later.

    Every candidate is ranked; nothing is sampled, since metrics on a sample of the items can turn the order of
    recommenders round (Krichene & Rendle 2020).

    Parameters
    ----------
    lists : mapping of str to Recommendations
        By name; made of the same past, with equally many places, and all for new items or all for any.
    later : pandas.DataFrame
        Log of the later period with ``customer_id`` and the column of items. With a ``date`` it must begin after the
        past ended.
    against : str, optional
        Name of the list that others are held against; the first by default.
    seed : int
        Seed of the bootstrap over customers.
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    RecommendationScores

    Raises
    ------
    ContractError
        If the lists are not comparable, or nothing of the later log can be recommended.

    Notes
    -----
    Intervals are for other customers in the same later period and with the same fitted recommenders. Another period
    varies beyond that. Limits for all lists at once come from the largest absolute standardised difference of each
    resample.

    References
    ----------
    Krichene, W. & Rendle, S. (2020). On sampled metrics for item recommendation. *KDD*, 1748-1757.
    Järvelin, K. & Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR techniques. *ACM Transactions on
    Information Systems* 20(4), 422-446.

    Examples
    --------
    >>> from crmlab.onetoone.customise import interactions
    >>> from crmlab.onetoone.customise_models import fit_recommender, recommend
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 4, 4], "product_id": list("ababacd")})
    >>> past = interactions(log.assign(date=pd.Timestamp("2024-03-01")), min_customers=1)
    >>> lists = {way: recommend(fit_recommender(past, way, seed=1), 1) for way in ("popularity", "cosine")}
    >>> bought = pd.DataFrame({"customer_id": [3, 3, 4], "product_id": ["b", "c", "a"]})
    >>> score_recommendations(lists, bought, seed=1).table["recall"].to_dict()
    {'popularity': 1.0, 'cosine': 1.0}
    """
    check_level(level)
    first = _same(lists, Recommendations, "recommend", n)
    kinds = {(one.places.shape[1], one.new_only) for one in lists.values()}
    if len(kinds) > 1:
        raise ContractError(f"lists differ in places or in the task (places, new only): {sorted(kinds)}")
    against = next(iter(lists)) if against is None else against
    if against not in lists:
        raise ContractError(f"there is no list {against!r} to hold others against, only {', '.join(map(str, lists))}")
    found = wanted(first.past, later, new_only=first.new_only)
    some = np.flatnonzero(np.diff(found.bought.indptr))
    names = first.past.customers[some]
    values = pd.concat({name: _by_customer(one, found, some, names) for name, one in lists.items()}, axis=1)
    draws = _resampled_means(values.to_numpy(), seed, n)
    band = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    means = values.mean()
    intervals = pd.DataFrame({"value": means, "low": band[0], "high": band[1]})
    table = means.unstack().loc[list(lists), list(METRICS)]
    table["coverage"] = [_coverage(one.places[some], len(first.past.items)) for one in lists.values()]
    differences = _differences(means, draws, list(lists).index(against), level)
    return RecommendationScores(
        table, intervals, differences, values, against, first.places.shape[1], first.new_only, found.counts, level
    )


def _same(made: Mapping[str, _Made], kind: type[_Made], by: str, n: int) -> _Made:
    """The first of several results, when all are of one kind and of the same past."""
    if problems := broken_count("n", n):
        raise ContractError("recommendations cannot be scored like this", problems)
    if not isinstance(made, Mapping) or not made or not all(isinstance(one, kind) for one in made.values()):
        raise ContractError(f"a mapping of names to what `{by}` returns is needed, with at least one name")
    first, *others = made.values()
    if any(one.past is not first.past for one in others):  # type: ignore[attr-defined]
        raise ContractError("all must be made of the same `interactions`: fit them on one object")
    return first


def _by_customer(lists: Recommendations, found: Wanted, rows: np.ndarray, names: pd.Index) -> pd.DataFrame:
    """The metrics of every customer who wanted something."""
    places, k = lists.places[rows], lists.places.shape[1]
    shown = places >= 0
    bought = found.bought[rows]
    hit = np.zeros(places.shape, dtype=bool)
    customer = np.nonzero(shown)[0]
    hit[shown] = np.asarray(bought[customer, places[shown]]).ravel()
    most = np.minimum(np.diff(bought.indptr), k)
    gain = 1.0 / np.log2(np.arange(2, k + 2))
    surprise = np.where(shown, -np.log2(lists.past.popularity)[places], 0.0)
    return pd.DataFrame(
        {
            "recall": hit.sum(axis=1) / most,
            "ndcg": hit @ gain / np.cumsum(gain)[most - 1],
            "hit_rate": hit.any(axis=1).astype(float),
            "novelty": surprise.sum(axis=1) / np.maximum(shown.sum(axis=1), 1),
        },
        index=names,
    )


def _coverage(places: np.ndarray, items: int) -> float:
    return len(np.unique(places[places >= 0])) / items


def _resampled_means(values: np.ndarray, seed: int, n: int) -> np.ndarray:
    """Means of the columns over customers drawn again with replacement, shape (n, columns)."""
    rng, customers = np.random.default_rng(seed), len(values)
    step = max(1, _CELLS // customers)
    sizes = [min(step, n - start) for start in range(0, n, step)]
    chance = np.full(customers, 1 / customers)
    return np.concatenate([rng.multinomial(customers, chance, size) @ values / customers for size in sizes])


def _differences(means: pd.Series, draws: np.ndarray, base: int, level: float) -> pd.DataFrame:
    """Differences to one list, with limits for each alone and for all lists of a metric at once."""
    shape = -1, len(METRICS)
    value = means.to_numpy().reshape(shape)
    less = draws.reshape(len(draws), *value.shape)
    less, value = less - less[:, [base]], value - value[base]
    low, high = np.quantile(less, [(1 - level) / 2, (1 + level) / 2], axis=0)
    spread = less.std(axis=0)
    far = np.abs(less - value) / np.where(spread > 0, spread, 1.0)
    reach = spread * np.quantile(far.max(axis=1), level, axis=0)
    columns = {"difference": value, "low": low, "high": high, "low_all": value - reach, "high_all": value + reach}
    table = pd.DataFrame({name: one.ravel() for name, one in columns.items()}, index=means.index)
    return table.drop(index=means.index[base * len(METRICS)][0], level=0)


@dataclass(frozen=True, eq=False)
class ChoiceCurve:
    """How many items must be shown so that a wanted one is among them.

    Attributes
    ----------
    found : pandas.DataFrame
        Indexed by ``shown``, the length of the list: for each recommender the share of a customer's wanted items that
        are on it, mean over customers.
    needed : pandas.DataFrame
        Indexed by recommender and share: ``shown``, the shortest length that finds that share, ``low``, ``high``.
    items : float
        Mean number of candidates for a customer: the whole catalogue.
    ranks : pandas.DataFrame
        Indexed by position of the customer: the place of every wanted item in the order of each recommender, from 1.
    counts : mapping of str to int
        As in `RecommendationScores`.
    level : float
        Confidence level.
    """

    found: pd.DataFrame
    needed: pd.DataFrame
    items: float
    ranks: pd.DataFrame
    counts: Mapping[str, int]
    level: float

    def __repr__(self) -> str:
        return f"Items to show of {self.items:,.0f} so that a wanted one is among them\n{self.needed.to_string()}"


def choice_curve(
    models: Mapping[str, Recommender],
    later: pd.DataFrame,
    *,
    new_only: bool = True,
    shares: tuple[float, ...] = (0.5, 0.8),
    seed: int,
    n: int = 1_000,
    level: float = 0.95,
) -> ChoiceCurve:
    """Find how far a catalogue can be shortened before customers miss what they want.

    Parameters
    ----------
    models : mapping of str to Recommender
        By name; fitted on the same past.
    later : pandas.DataFrame
        As for `score_recommendations`.
    new_only : bool, default True
        Whether only items new to the customer are shown and wanted.
    shares : tuple of float, default (0.5, 0.8)
        Shares of the wanted items to be found.
    seed, n, level
        As for `score_recommendations`.

    Returns
    -------
    ChoiceCurve

    Raises
    ------
    ContractError
        If a share is none, or as for `score_recommendations`.

    Notes
    -----
    A wanted item is one that was bought, from the full shelf. What would be bought of a short list is another question:
    fewer choices may raise or lower sales.
    """
    check_level(level)
    first = _same(models, Recommender, "fit_recommender", n)
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ContractError(f"shares must lie above 0 and at most at 1; got {shares}")
    past, want = first.past, wanted(first.past, later, new_only=new_only)
    row, column = want.bought.nonzero()
    ranks = pd.DataFrame({name: _ranks(model, row, column, new_only) for name, model in models.items()}, index=row)
    longest = len(past.items)
    lengths = np.unique(np.geomspace(1, longest, 200).round().astype(int))
    place = np.unique(row, return_inverse=True)[1]
    each = np.bincount(place)
    found, needed = {}, {}
    for name in models:
        slot = np.searchsorted(lengths, ranks[name].to_numpy())
        mine = np.zeros((len(each), len(lengths)))
        np.add.at(mine, (place, slot), 1.0)
        curve = np.cumsum(mine, axis=1) / each[:, None]
        draws = _resampled_means(curve, seed, n)
        found[name] = curve.mean(axis=0)
        for share in shares:
            at = _first_at(draws, share, lengths)
            low, high = np.quantile(at, [(1 - level) / 2, (1 + level) / 2])
            needed[name, share] = {"shown": _first_at(found[name][None], share, lengths)[0], "low": low, "high": high}
    own = np.diff(past.days.indptr)[np.unique(row)].mean() if new_only else 0.0
    return ChoiceCurve(
        pd.DataFrame(found, index=pd.Index(lengths, name="shown")),
        pd.DataFrame(needed).T.astype(int),
        float(longest - own),
        ranks,
        want.counts,
        level,
    )


def _ranks(model: Recommender, row: np.ndarray, column: np.ndarray, new_only: bool) -> np.ndarray:
    """Place, from 1, of each pair in the order that the recommender gives its customer."""
    ranks = np.zeros(len(row), dtype=int)
    for rows, order in ranked(model, new_only):
        place = np.zeros((len(rows), order.shape[1] + 1), dtype=int)  # the last column takes what is left out
        np.put_along_axis(place, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
        inside = (row >= rows[0]) & (row <= rows[-1])
        ranks[inside] = place[row[inside] - rows[0], column[inside]]
    return ranks


def _first_at(curves: np.ndarray, share: float, lengths: np.ndarray) -> np.ndarray:
    """Shortest length at which each curve reaches a share."""
    return lengths[np.argmax(curves >= share - 1e-12, axis=1)]
