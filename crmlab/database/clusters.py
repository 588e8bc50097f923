"""Segments found by the data, and what any segmentation is worth: k-means, stability, explained share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError
from crmlab.stats import Interval, bootstrap_interval


@dataclass(frozen=True, eq=False)
class Segments:
    """Customers in k-means segments, numbered from 1 for the largest.

    Attributes
    ----------
    labels : pandas.Series of int
        Segment per customer, indexed like the features.
    profile : pandas.DataFrame
        One row per segment: ``customers``, ``share_customers`` and the mean of each feature in its own unit.
    centres : pandas.DataFrame, shape (k, features)
        Centres on the standardised scale (after the logarithm where it was taken).
    log : tuple of str
        Features that were taken as ``log(1 + x)``.
    mean, scale : pandas.Series
        What standardised the features.
    within_share : float
        Share of the (standardised) variance left within segments: 0 is perfect, 1 is no segmentation.
    """

    labels: pd.Series
    profile: pd.DataFrame
    centres: pd.DataFrame
    log: tuple[str, ...]
    mean: pd.Series
    scale: pd.Series
    within_share: float

    def assign(self, features: pd.DataFrame) -> pd.Series:
        """Put customers, e.g. those of a later period, into these segments: the nearest centre by the same scale."""
        require_columns(features, list(self.centres.columns), "assigning customers to these segments")
        features = features[list(self.centres.columns)]
        _refuse(_problems_of(features, self.log, vary=False))
        values = (_transform(features, self.log) - self.mean) / self.scale
        gaps = values.to_numpy()[:, None, :] - self.centres.to_numpy()[None, :, :]
        nearest = np.square(gaps).sum(axis=2).argmin(axis=1)
        return pd.Series(self.centres.index.to_numpy()[nearest], index=features.index, name="segment")

    def __repr__(self) -> str:
        head = f"{len(self.profile)} k-means segments of {len(self.labels):,} customers"
        return f"{head}; {self.within_share:.0%} of the variance is left within them\n{self.profile.to_string()}"


def kmeans_segments(features: pd.DataFrame, k: int, seed: int, *, log: Sequence[str] = ()) -> Segments:
    """Find `k` segments by k-means on standardised features.

    Parameters
    ----------
    features : pandas.DataFrame
        One row per customer, indexed by customer; numeric columns only.
    k : int
        Number of segments, at least 2.
    seed : int
        Seed of the starts (ten are tried and the best kept).
    log : sequence of str, optional
        Features to take as ``log(1 + x)`` first: right-skewed ones such as money or counts, 0 or more.

    Raises
    ------
    ContractError
        If a feature is not numeric, has missing or infinite values or does not vary, or there are fewer than `k`
        different customers.

    Examples
    --------
    >>> features = pd.DataFrame({"n_orders": [1, 1, 2, 9, 10]}, index=["a", "b", "c", "d", "e"])
    >>> kmeans_segments(features, k=2, seed=1).labels.tolist()
    [1, 1, 1, 2, 2]
    """
    from sklearn.cluster import KMeans

    problems = _problems_of(features, log, vary=True)
    problems += [f"{name}: to be logged, but no such feature" for name in log if name not in features.columns]
    different = len(features.drop_duplicates())
    if not 2 <= k <= different:
        problems.append(f"k must be between 2 and the {different} different customers; got {k}")
    _refuse(problems)
    values = _transform(features, tuple(log))
    mean, scale = values.mean(), values.std(ddof=0)
    standard = ((values - mean) / scale).to_numpy()
    fitted = KMeans(n_clusters=k, n_init=10, random_state=seed).fit(standard)
    sizes = np.bincount(fitted.labels_, minlength=k)
    order = np.lexsort((fitted.cluster_centers_[:, 0], -sizes))
    number = np.empty(k, dtype="int64")
    number[order] = np.arange(1, k + 1)
    labels = pd.Series(number[fitted.labels_], index=features.index, name="segment")
    names = pd.Index(range(1, k + 1), name="segment")
    profile = features.groupby(labels).mean()
    profile.insert(0, "customers", labels.value_counts())
    profile.insert(1, "share_customers", profile["customers"] / len(features))
    centres = pd.DataFrame(fitted.cluster_centers_[order], index=names, columns=features.columns)
    return Segments(labels, profile, centres, tuple(log), mean, scale, float(fitted.inertia_ / standard.size))


def _transform(features: pd.DataFrame, log: tuple[str, ...]) -> pd.DataFrame:
    values = features.astype(float)
    return values.assign(**{name: np.log1p(values[name]) for name in log})


def _problems_of(features: pd.DataFrame, log: Sequence[str], *, vary: bool) -> list[str]:
    """Why values have no place on the scale of the segments."""
    problems = [] if len(features.columns) else ["there are no features"]
    for name in features.columns:
        column = features[name]
        if not pd.api.types.is_numeric_dtype(column):
            problems.append(f"{name}: not numeric; encode it or leave it out")
        elif broken := int((~np.isfinite(column.astype(float))).sum()):
            problems.append(f"{name}: {broken:,} values missing or infinite")
        elif vary and column.nunique() < 2:
            problems.append(f"{name}: the same for all customers; leave it out")
        elif name in log and (column < 0).any():
            problems.append(f"{name}: negative values have no logarithm")
    return problems


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ContractError("these features cannot be clustered", problems)


@dataclass(frozen=True, eq=False)
class SegmentStability:
    """How far customers stay in their segments from one period to the next.

    Attributes
    ----------
    staying : float
        Share of the customers in both periods whose label is the same.
    adjusted_rand : float
        Adjusted Rand index: 1 if the groupings agree (whatever their names), 0 as expected by chance.
    transitions : pandas.DataFrame
        Customers by label before (rows) and after (columns).
    customers, only_before, only_after : int
        Customers in both periods, and those who appear in one only and are left out.
    """

    staying: float
    adjusted_rand: float
    transitions: pd.DataFrame
    customers: int
    only_before: int
    only_after: int

    def __repr__(self) -> str:
        stay = f"{self.staying:.1%} of {self.customers:,} customers stay, adjusted Rand {self.adjusted_rand:.3f}"
        alone = f"{self.only_before:,} only before and {self.only_after:,} only after left out"
        return f"SegmentStability: {stay} ({alone})"


def segment_stability(labels_before: pd.Series, labels_after: pd.Series) -> SegmentStability:
    """Compare the segments of the same customers in two periods.

    Parameters
    ----------
    labels_before, labels_after : pandas.Series
        Segment per customer, indexed by customer, each customer once. For `staying` to mean anything the same label
        must mean the same in both: score both periods by one rule (``rfm(..., breaks=...)``, ``Segments.assign``).

    Raises
    ------
    ContractError
        If a customer appears twice or none is in both.

    References
    ----------
    Hubert, L. & Arabie, P. (1985). Comparing partitions. *Journal of Classification* 2, 193-218.

    Examples
    --------
    >>> segment_stability(pd.Series({"a": 1, "b": 1, "c": 2}), pd.Series({"a": 1, "b": 2, "c": 2}))
    SegmentStability: 66.7% of 3 customers stay, adjusted Rand -0.500 (0 only before and 0 only after left out)
    """
    from sklearn.metrics import adjusted_rand_score

    for name, labels in (("labels_before", labels_before), ("labels_after", labels_after)):
        twice = labels.index[labels.index.duplicated()]
        if len(twice):
            raise ContractError(f"{name}: {len(twice):,} customers appear twice (first: {twice[0]})")
    # an inner join, so that whole-number labels stay whole numbers
    both = pd.concat([labels_before.rename("before"), labels_after.rename("after")], axis=1, join="inner").dropna()
    if both.empty:
        raise ContractError("no customer is in both periods; index both series by customer_id")
    return SegmentStability(
        staying=float((both["before"] == both["after"]).mean()),
        adjusted_rand=float(adjusted_rand_score(both["before"], both["after"])),
        transitions=pd.crosstab(both["before"], both["after"]),
        customers=len(both),
        only_before=len(labels_before) - len(both),
        only_after=len(labels_after) - len(both),
    )


def explained_share(
    segments: pd.Series, outcome: pd.Series, *, seed: int, n: int = 1_000, level: float = 0.95
) -> Interval:
    """Share of the variance of an outcome that lies between segments: what knowing the segment is worth.

    The estimate is the adjusted R² of the segment means, so that many small segments earn nothing by their number, and
    a segmentation without any worth has 0 on average. The interval is the basic bootstrap of the raw share, which takes
    off the same optimism; it is cut at 0 and 1.

    Parameters
    ----------
    segments : pandas.Series
        Segment per customer, indexed by customer.
    outcome : pandas.Series of float
        Outcome per customer, e.g. money spent in a later period, with the same customers in its index.
    seed : int
        Seed of the bootstrap (customers are resampled).
    n : int, default 1000
        Number of resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the two do not hold the same customers, the outcome has gaps or does not vary, or there is one segment only.

    Examples
    --------
    >>> segments = pd.Series(["low"] * 50 + ["high"] * 50)
    >>> spend = pd.Series([1.0, 2.0] * 25 + [8.0, 9.0] * 25)
    >>> explained_share(segments, spend, seed=1).estimate > 0.9
    True
    """
    codes, values = _paired(segments, outcome)
    raw = _between(codes, values)
    people = np.arange(len(values))
    resampled = bootstrap_interval(people, lambda i: _between(codes[i], values[i]), seed=seed, n=n, level=level)
    low, high = np.clip([2 * raw - resampled.high, 2 * raw - resampled.low], 0, 1)
    adjusted = 1 - (1 - raw) * (len(values) - 1) / (len(values) - codes.max() - 1)
    return Interval(float(adjusted), float(low), float(high), level)


def _paired(segments: pd.Series, outcome: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    if segments.index.has_duplicates or not segments.index.sort_values().equals(outcome.index.sort_values()):
        raise ContractError("segments and outcome must hold the same customers in their index, each once")
    codes, groups = pd.factorize(segments)
    values = outcome.reindex(segments.index).to_numpy(dtype=float)
    if (codes < 0).any() or not np.isfinite(values).all():
        raise ContractError("segments and outcome must have no missing or infinite values; drop these customers first")
    if len(groups) < 2 or len(groups) >= len(values) or np.ptp(values) == 0:
        raise ContractError("need at least 2 segments, more customers than segments, and an outcome that varies")
    return codes, values


def _between(codes: np.ndarray, values: np.ndarray) -> float:
    """Raw share of the sum of squares that lies between groups."""
    centred = values - values.mean()
    total = float(np.square(centred).sum())
    sizes = np.bincount(codes)
    sums = np.bincount(codes, weights=centred)
    return float((sums[sizes > 0] ** 2 / sizes[sizes > 0]).sum() / total) if total else 0.0
