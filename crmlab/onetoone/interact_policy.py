"""What a rule of whom to send what would have brought, from a log of another rule whose chances are known."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import aligned, broken_rules, check_aligned
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OffPolicyValue:
    """What a policy would have brought per decision.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per estimator (``IPS``, ``SNIPS`` and, with predictions, ``DR`` and ``DM``): ``value`` per decision with
        ``low`` and ``high``, and ``gain``, the value minus that of the log, with ``gain_low`` and ``gain_high``, from
        the same customers. ``DM`` has no interval: its error is that of a model, which no resampling shows. Limits are
        missing where no reward stands behind an estimate.
    logged : Interval
        Mean reward of the policy that made the log.
    mean_weight : Interval
        Mean of the weights before clipping. It is 1 if the chances in the log are right and every action that the
        policy takes could be logged; an interval without 1 says that one of both fails.
    decisions, customers : int
        Rows of the log, and the independent units of the intervals.
    effective : float
        Effective sample size, (sum of weights)² / sum of squared weights: decisions of the policy's own that would
        say as much.
    carriers : float
        Customers on whom the spread of SNIPS rests, (sum of d²)² / sum of d⁴ of their influences d: with rare clicks of
        equal weight the number of clicks, with one huge weight hardly more than 1. Below some 10 no interval here is to
        be trusted.
    largest_weight : float
        Before clipping.
    clipped : float
        Share of the decisions whose weight was cut to the limit.
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    logged: Interval
    mean_weight: Interval
    decisions: int
    customers: int
    effective: float
    carriers: float
    largest_weight: float
    clipped: float
    level: float

    def __getitem__(self, estimator: str) -> Interval:
        """Value by one estimator, with its interval."""
        if estimator not in self.table.index:
            raise ContractError(f"there is no estimate {estimator!r}, only {', '.join(self.table.index)}")
        place = list(self.table.index).index(estimator)
        value, low, high = self.table[["value", "low", "high"]].to_numpy()[place].tolist()
        return Interval(value, low, high, self.level)

    def __repr__(self) -> str:
        few = " (too few for the intervals)" if self.carriers < 10 else ""
        return (
            f"Value per decision, {self.decisions:,} decisions on {self.customers:,} customers\n"
            f"{self.table.round(5).to_string()}\n"
            f"  the log itself     {self.logged}\n"
            f"  mean weight        {self.mean_weight}; largest {self.largest_weight:.3g}, {self.clipped:.1%} clipped\n"
            f"  effective          {self.effective:,.0f} decisions; spread rests on {self.carriers:,.1f} customers{few}"
        )


def off_policy_value(
    action: "ArrayLike",
    reward: "ArrayLike",
    propensity: "ArrayLike",
    policy: pd.DataFrame,
    *,
    predicted: pd.DataFrame | None = None,
    customers: "ArrayLike | None" = None,
    clip: float | None = None,
    level: float = 0.95,
) -> OffPolicyValue:
    """Value of a policy from decisions that another one made by lot, with chances that were logged.

    With weights :math:`w_i = \\pi(a_i|x_i) / p_i`, rewards r and predictions q,

    .. math::

        V_{IPS} &= \\tfrac1n \\sum w_i r_i, \\qquad V_{SNIPS} = \\sum w_i r_i / \\sum w_i, \\\\
        V_{DM} &= \\tfrac1n \\sum_i \\sum_a \\pi(a|x_i) q(x_i, a), \\qquad
        V_{DR} = V_{DM} + \\tfrac1n \\sum w_i (r_i - q(x_i, a_i))

    The value is that of one decision in the situations of the log: a policy that changes the situations (contacts more,
    and tires) brings something else once it runs.

    Parameters
    ----------
    action : array_like, shape (n,)
        The action taken, one of the columns of `policy`.
    reward : array_like of float, shape (n,)
        What came of it: a click, money.
    propensity : array_like of float, shape (n,)
        Chance with which the log's policy took this action then.
    policy : pandas.DataFrame, shape (n, actions)
        For every decision the chance with which the new policy takes each action; rows add up to 1. It must not have
        been chosen on the same rewards, and has the index of the columns that are Series.
    predicted : pandas.DataFrame, shape (n, actions), optional
        Reward expected of every action, by a model that did not see the customer (`cross_fit_rewards`).
    customers : array_like, shape (n,), optional
        Who was decided about; decisions about one customer are not independent. Default: every row is somebody else.
    clip : float, optional
        Largest weight. It lowers the variance of all estimates but DM, and biases them.
    level : float, default 0.95
        Confidence level.

    Returns
    -------
    OffPolicyValue

    Raises
    ------
    ContractError
        If columns do not fit, a chance is none, or the policy takes an action that the log never has.

    References
    ----------
    Horvitz, D. G. & Thompson, D. J. (1952). A generalization of sampling without replacement from a finite universe.
    *Journal of the American Statistical Association* 47, 663-685.
    Swaminathan, A. & Joachims, T. (2015). The self-normalized estimator for counterfactual learning. *NIPS* 28.
    Dudík, M., Erhan, D., Langford, J. & Li, L. (2014). Doubly robust policy evaluation and optimization. *Statistical
    Science* 29(4), 485-511.

    Examples
    --------
    Two letters were sent by lot; what if everybody had got A?

    >>> always_a = pd.DataFrame({"A": [1.0] * 4, "B": [0.0] * 4})
    >>> found = off_policy_value(["A", "B", "A", "B"], [1, 0, 0, 0], [0.5] * 4, always_a)
    >>> found.table["value"].to_dict(), found.logged.estimate, found.effective
    ({'IPS': 0.5, 'SNIPS': 0.5}, 0.25, 2.0)
    """
    check_level(level)
    log, chosen, cluster = _read_log(action, reward, propensity, policy, customers)
    pi = _chances(policy, log, chosen)
    r = log["reward"].to_numpy()
    raw = pi[np.arange(len(log)), chosen] / log["propensity"].to_numpy()
    if not raw.any():
        raise ContractError(
            "the policy takes none of the actions as they were logged: there is no overlap to learn from"
        )
    limit = _limit(clip)
    w = np.minimum(raw, limit)
    one = np.ones(len(log))
    parts = {"IPS": (w * r, one), "SNIPS": (w * r, w)}
    if predicted is not None:
        q = _predictions(predicted, policy)
        expected = (pi * q).sum(axis=1)
        parts |= {"DR": (expected + w * (r - q[np.arange(len(log)), chosen]), one), "DM": (expected, one)}
    base, base_noise = _ratio(r, one, cluster)
    rows = {}
    for name, (num, den) in parts.items():
        value, noise = _ratio(num, den, cluster)
        certain = name != "DM" and (w * r).any()
        reach, gain_reach = (_reach(part, level) if certain else np.nan for part in (noise, noise - base_noise))
        gain = value - base
        rows[name] = (value, value - reach, value + reach, gain, gain - gain_reach, gain + gain_reach)
    table = pd.DataFrame(rows, index=["value", "low", "high", "gain", "gain_low", "gain_high"]).T
    return OffPolicyValue(
        table=table.rename_axis("estimator"),
        logged=_interval(r, cluster, level),
        mean_weight=_interval(raw, cluster, level),
        decisions=len(log),
        customers=int(cluster.max() + 1),
        effective=_kish(w),
        carriers=_kish(_ratio(w * r, w, cluster)[1] ** 2),
        largest_weight=float(raw.max()),
        clipped=float((raw > limit).mean()),
        level=level,
    )


def _read_log(
    action: "ArrayLike",
    reward: "ArrayLike",
    propensity: "ArrayLike",
    policy: pd.DataFrame,
    customers: "ArrayLike | None",
) -> tuple[pd.DataFrame, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    what = "the value of a policy"
    who = {} if customers is None else {"customers": customers}
    check_aligned(what, action=action, reward=reward, propensity=propensity, **who)
    log = aligned(what, reward=reward, propensity=propensity)
    if not isinstance(policy, pd.DataFrame) or len(policy) != len(log):
        got = f"{len(policy):,} rows" if isinstance(policy, pd.DataFrame) else f"a {type(policy).__name__}"
        raise ContractError(f"policy must be a DataFrame with one row per decision, {len(log):,}; got {got}")
    columns = {"action": action, "reward": reward, "propensity": propensity} | who
    if any(isinstance(one, pd.Series) for one in columns.values()):
        check_aligned(what, policy, **columns)
    if policy.columns.has_duplicates:
        raise ContractError(f"policy names an action twice; its columns are {list(policy.columns)}")
    chosen = policy.columns.get_indexer(pd.Index(np.asarray(action, dtype=object)))
    cluster = np.arange(len(log)) if customers is None else pd.factorize(np.asarray(customers))[0]
    problems = broken_rules(
        {
            f"action: none of the policy's {list(policy.columns)}": chosen < 0,
            "propensity: no chance above 0 and up to 1": ~((log["propensity"] > 0) & (log["propensity"] <= 1)),
            "customers: missing": cluster < 0,
        }
    )
    if problems:
        raise ContractError("this log cannot value a policy (rows counted from 1)", problems)
    if cluster.max() < 1:
        raise ContractError("an interval needs decisions about at least 2 customers")
    return log, chosen.astype("int64"), cluster.astype("int64")


def _chances(policy: pd.DataFrame, log: pd.DataFrame, chosen: npt.NDArray[np.int64]) -> "Floats":
    pi = _numbers(policy, "policy")
    wrong = ~((pi >= 0) & (pi <= 1)).all(axis=1) | ~(np.abs(pi.sum(axis=1) - 1) < 1e-6)
    problems = broken_rules({"policy: chances do not add up to 1": wrong})
    never = [name for place, name in enumerate(policy.columns) if pi[:, place].any() and not (chosen == place).any()]
    problems += [f"policy: takes {name!r}, which the log never does: nothing is known of it" for name in never]
    if problems:
        raise ContractError(f"this policy cannot be valued on {len(log):,} decisions (rows counted from 1)", problems)
    return pi


def _predictions(predicted: pd.DataFrame, policy: pd.DataFrame) -> "Floats":
    if not isinstance(predicted, pd.DataFrame) or len(predicted) != len(policy):
        raise ContractError(f"predicted must be a DataFrame with one row per decision, {len(policy):,}")
    if list(predicted.columns) != list(policy.columns):
        raise ContractError(f"predicted has the columns {list(predicted.columns)}, policy {list(policy.columns)}")
    if not predicted.index.equals(policy.index):
        raise ContractError("predicted and policy must have the same index: take both from one table")
    q = _numbers(predicted, "predicted")
    problems = broken_rules({"predicted: not a finite number": ~np.isfinite(q).all(axis=1)})
    if problems:
        raise ContractError("these predictions cannot be used (rows counted from 1)", problems)
    return q


def _numbers(table: pd.DataFrame, name: str) -> "Floats":
    try:
        return table.to_numpy(dtype="float64", na_value=np.nan)
    except (TypeError, ValueError):
        raise ContractError(f"{name} must hold numbers, one column per action; convert it first") from None


def _limit(clip: float | None) -> float:
    if clip is None:
        return np.inf
    if not clip > 0:
        raise ContractError(f"clip must be above 0, got {clip}")
    return float(clip)


def _ratio(num: "Floats", den: "Floats", cluster: npt.NDArray[np.int64]) -> "tuple[float, Floats]":
    """Sum of `num` over sum of `den`, and its influence function summed by cluster."""
    value = float(num.sum() / den.sum())
    return value, np.bincount(cluster, weights=num - value * den) / den.sum()


def _reach(noise: "Floats", level: float) -> float:
    """Half the width of an interval from influences, one per cluster."""
    from scipy.stats import t

    groups = len(noise)
    return float(t.ppf((1 + level) / 2, groups - 1) * np.sqrt(groups / (groups - 1) * (noise**2).sum()))


def _interval(values: "Floats", cluster: npt.NDArray[np.int64], level: float) -> Interval:
    value, noise = _ratio(values, np.ones(len(values)), cluster)
    reach = _reach(noise, level)
    return Interval(value, value - reach, value + reach, level)


def _kish(weights: "Floats") -> float:
    squares = float((weights**2).sum())
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0


def cross_fit_rewards(
    features: pd.DataFrame,
    action: "ArrayLike",
    reward: "ArrayLike",
    *,
    customers: "ArrayLike | None" = None,
    model: Any = None,
    folds: int = 5,
    seed: int,
) -> pd.DataFrame:
    """Reward expected of every action, for every decision by models that did not see its customer.

    One model per action and fold. Where an action's rewards are all the same in a fold, that value is predicted.

    Parameters
    ----------
    features : pandas.DataFrame, shape (n, k)
        Numbers known before the decision.
    action, reward : array_like, shape (n,)
        What was done and what came of it.
    customers : array_like, shape (n,), optional
        All decisions about a customer are in one fold. Default: every row is somebody else.
    model : scikit-learn classifier or regressor, optional
        Cloned for every fit. Default: logistic regression on standardised features if all rewards are 0 or 1, else
        ridge regression.
    folds : int, default 5
        Number of folds.
    seed : int
        Seed of the folds.

    Returns
    -------
    pandas.DataFrame, shape (n, actions)
        One column per action that occurs, sorted; the index of `features`.

    Raises
    ------
    ContractError
        If columns do not fit, or an action is absent from a fold's training rows.

    Examples
    --------
    >>> x = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0] * 2})
    >>> cross_fit_rewards(x, ["A"] * 4 + ["B"] * 4, [1.0] * 4 + [0.0] * 4, folds=2, seed=1).iloc[0].to_dict()
    {'A': 1.0, 'B': 0.0}
    """
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    what = "a model of rewards"
    who = {} if customers is None else {"customers": customers}
    check_aligned(what, features, action=action, reward=reward, **who)
    y = aligned(what, reward=reward)["reward"].to_numpy()
    if features.columns.empty or features.columns.has_duplicates:
        raise ContractError(f"{what} needs features, each of another name; got {list(features.columns)}")
    x = np.column_stack([aligned(what, **{f"feature {name}": features[name]})[f"feature {name}"] for name in features])
    taken, names = pd.factorize(np.asarray(action, dtype=object), sort=True)
    group = np.arange(len(y)) if customers is None else pd.factorize(np.asarray(customers))[0]
    if (taken < 0).any() or (group < 0).any():
        raise ContractError(f"{what} needs an action and a customer in every row; some are missing")
    if not (folds >= 2 and folds % 1 == 0 and len(np.unique(group)) >= folds):
        raise ContractError(f"folds must be 2 or more and at most one per customer, got {folds}")
    usual = LogisticRegression(max_iter=1_000) if np.isin(y, [0, 1]).all() else Ridge()
    model = make_pipeline(StandardScaler(), usual) if model is None else model
    found = np.full((len(y), len(names)), np.nan)
    for train, test in GroupKFold(int(folds), shuffle=True, random_state=seed).split(x, y, group):
        for place, name in enumerate(names):
            rows = train[taken[train] == place]
            if not len(rows):
                raise ContractError(f"the action {name!r} is too rare for {folds} folds; take fewer, or leave it out")
            if np.ptp(y[rows]) == 0:
                found[test, place] = y[rows[0]]
                continue
            fit = clone(model).fit(x[rows], y[rows])
            found[test, place] = (
                fit.predict_proba(x[test])[:, 1] if hasattr(fit, "predict_proba") else fit.predict(x[test])
            )
    return pd.DataFrame(found, index=features.index, columns=names)
