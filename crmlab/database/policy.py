"""What targeting by a score is worth: curves by depth, and the value of any rule, on customers randomised anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import aligned, broken_rules
from crmlab.database.experiment import propensities, read_experiment
from crmlab.database.mailing import check_economics
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level


@dataclass(frozen=True, eq=False)
class TargetingCurve:
    """What contacting the best-scored customers first would have brought, depth by depth.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per different score, from the highest down, after a row of zeros: ``score`` (the threshold),
        ``customers``, ``treated``, ``control`` (customers with this score or more, and those of either arm),
        ``share`` of all customers, ``value`` (incremental outcome, see `definition`).
    kind : {"uplift", "qini"}
        Which definition.
    area : float
        Area between the curve and the straight line to its end, with customers as a share and value per customer of
        all: in the unit of the outcome. 0 is a score that sorts like chance.
    coefficient : float
        `area` over that of the order "treated with the highest outcome first, control with the highest outcome last":
        1 at best. NaN if this order has no area either.
    """

    table: pd.DataFrame
    kind: Literal["uplift", "qini"]
    area: float
    coefficient: float

    @property
    def definition(self) -> str:
        """What ``value`` is at a depth of k customers."""
        return {
            "uplift": "k x (mean outcome of the treated - mean outcome of the control group), both among the first k",
            "qini": "sum over the treated - sum over the control group x (treated / control), all among the first k",
        }[self.kind]

    def __repr__(self) -> str:
        customers = int(self.table["customers"].iloc[-1])
        return (
            f"{self.kind.capitalize()} curve of {customers:,} customers at {len(self.table) - 1:,} depths: "
            f"{self.definition}. Area {self.area:.4g} per customer, coefficient {self.coefficient:.3f}"
        )


def uplift_curve(outcome: npt.ArrayLike, treated: npt.ArrayLike, score: npt.ArrayLike) -> TargetingCurve:
    """Cumulated uplift by depth, in responses (or money) that contacting this many would add.

    .. math:: U(k) = k\\,\\bigl(\\bar Y^t_k - \\bar Y^c_k\\bigr)

    with the mean outcomes of treated and control among the k customers of the highest score. Customers of equal score
    are one step. An arm without anybody so far counts with mean 0, which matters for the first few customers only.

    Parameters
    ----------
    outcome, treated : array_like, shape (n,)
        As for `read_out`, of customers randomised with **one** chance for all, and **not** used to fit the score.
    score : array_like of float, shape (n,)
        High is to be contacted first.

    Raises
    ------
    ContractError
        If inputs do not fit or all scores are equal.

    References
    ----------
    Gutierrez, P. & Gérardy, J.-Y. (2017). Causal inference and uplift modelling. *PMLR* 67, 1-13.

    Examples
    --------
    >>> uplift_curve([1, 0, 0, 1], [1, 0, 1, 0], [0.9, 0.9, 0.1, 0.1]).table[["customers", "value"]]
       customers  value
    0          0    0.0
    1          2    2.0
    2          4    0.0
    """
    return _targeting_curve(outcome, treated, score, "uplift")


def qini_curve(outcome: npt.ArrayLike, treated: npt.ArrayLike, score: npt.ArrayLike) -> TargetingCurve:
    """Qini curve: incremental outcome among the treated by depth.

    .. math:: Q(k) = S^t_k - S^c_k\\,\\frac{n^t_k}{n^c_k}

    with sums of the outcome S and numbers n of treated and control among the k customers of the highest score. Ties,
    empty arms, parameters and errors as for `uplift_curve`.

    References
    ----------
    Radcliffe, N. J. (2007). Using control groups to target on predicted lift. *Direct Marketing Analytics Journal*,
    14-21.

    Examples
    --------
    >>> round(qini_curve([1, 0, 0, 1], [1, 0, 1, 0], [0.9, 0.9, 0.1, 0.1]).coefficient, 3)
    0.667
    """
    return _targeting_curve(outcome, treated, score, "qini")


def _targeting_curve(
    outcome: npt.ArrayLike, treated: npt.ArrayLike, score: npt.ArrayLike, kind: Literal["uplift", "qini"]
) -> TargetingCurve:
    y, t = read_experiment(outcome, treated, each=1)
    s = aligned(f"a {kind} curve", treated=treated, outcome=outcome, score=score)["score"].to_numpy()
    if np.ptp(s) == 0:
        raise ContractError(f"all scores are {s[0]:g}: nothing says whom to contact first")
    table = _steps(y, t, s, kind)
    best = _area(_steps(y, t, np.where(t, y, -y), kind))
    area = _area(table)
    return TargetingCurve(table, kind, area, area / best if best > 0 else float("nan"))


def _steps(y: np.ndarray, t: np.ndarray, score: np.ndarray, kind: str) -> pd.DataFrame:
    values, step = np.unique(-score, return_inverse=True)
    n_t, n_c, s_t, s_c = (
        np.cumsum(np.bincount(step[arm], weights=what[arm], minlength=len(values)))
        for what in (np.ones(len(y)), y)
        for arm in (t, ~t)
    )
    contrast = (n_t + n_c) * (_over(s_t, n_t) - _over(s_c, n_c))
    value = contrast if kind == "uplift" else s_t - s_c * _over(n_t, n_c)
    steps = {"customers": n_t + n_c, "treated": n_t, "control": n_c}
    table = pd.DataFrame({name: np.r_[0, count].astype(int) for name, count in steps.items()})
    table.insert(0, "score", np.r_[np.inf, -values])
    return table.assign(share=table["customers"] / len(y), value=np.r_[0.0, value])


def _over(sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.divide(sums, numbers, out=np.zeros(len(sums)), where=numbers > 0)


def _area(table: pd.DataFrame) -> float:
    """Area above the line from the origin to the end, per customer."""
    value = table["value"] / table["customers"].iloc[-1]
    return float(np.trapezoid(value, table["share"]) - value.iloc[-1] / 2)


@dataclass(frozen=True)
class Depth:
    """How deep to contact: everybody with this score or more.

    Attributes
    ----------
    threshold : float
        Lowest score that is contacted; infinite: contact nobody.
    share : float
        Share of the customers contacted.
    profit : float
        Money per customer of all, on the data that chose the depth: optimistic, value it on others.
    """

    threshold: float
    share: float
    profit: float


def best_depth(curve: TargetingCurve, *, margin: float, contact_cost: float, at_least: int = 1) -> Depth:
    """Depth of the highest profit on an uplift curve: margin times incremental outcome minus cost of contacts.

    Parameters
    ----------
    curve : TargetingCurve
        From `uplift_curve`.
    margin : float
        Money per unit of the outcome.
    contact_cost : float
        Money per contact.
    at_least : int, default 1
        Customers of each arm that a depth needs to be considered, so that no lucky handful decides; contacting nobody
        is always possible.

    Raises
    ------
    ContractError
        If the curve is a Qini curve, whose values count the treated only, or the money is impossible.

    Examples
    --------
    >>> curve = uplift_curve([1, 0, 0, 1], [1, 0, 1, 0], [0.9, 0.9, 0.1, 0.1])
    >>> best_depth(curve, margin=10.0, contact_cost=1.0)
    Depth(threshold=0.9, share=0.5, profit=4.5)
    """
    check_economics(margin, contact_cost)
    if curve.kind != "uplift":
        raise ContractError("a depth is chosen on an uplift curve: a Qini curve counts the treated only")
    table = curve.table
    profit = (margin * table["value"] - contact_cost * table["customers"]) / table["customers"].iloc[-1]
    profit = profit.where((table[["treated", "control"]].min(axis=1) >= at_least) | (table["customers"] == 0), -np.inf)
    best = int(profit.argmax())
    return Depth(float(table["score"].iloc[best]), float(table["share"].iloc[best]), float(profit.iloc[best]))


@dataclass(frozen=True, eq=False)
class PolicyValue:
    """What rules of whom to contact are worth, and how they differ.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per policy, best first: ``policy``, ``share`` (of customers contacted), ``effect`` (of a contact among
        those it selects, in the unit of the outcome), ``profit`` per customer of all over contacting nobody, in money,
        with ``low`` and ``high``.
    level : float
        Confidence level.
    margin, contact_cost : float
        Money per unit of the outcome and per contact.
    """

    table: pd.DataFrame
    level: float
    margin: float
    contact_cost: float
    _scores: Mapping[str, np.ndarray]

    def difference(self, policy: str, against: str) -> Interval:
        """Profit per customer of one policy minus another's, paired: both are valued on the same customers."""
        unknown = [name for name in (policy, against) if name not in self._scores]
        if unknown:
            raise ContractError(f"no policy is called {unknown[0]!r}; they are {', '.join(self._scores)}")
        return _mean_interval(self._scores[policy] - self._scores[against], self.level)

    def __repr__(self) -> str:
        return (
            f"Profit per customer over contacting nobody, margin {self.margin:g}, contact {self.contact_cost:g}, "
            f"{100 * self.level:g}% intervals\n{self.table.round(4).to_string(index=False)}"
        )


def policy_value(
    outcome: npt.ArrayLike,
    treated: npt.ArrayLike,
    policies: Mapping[str, npt.ArrayLike],
    *,
    propensity: npt.ArrayLike | None = None,
    margin: float = 1.0,
    contact_cost: float = 0.0,
    level: float = 0.95,
) -> PolicyValue:
    """Value rules of whom to contact on a randomised holdout, by weights of inverse propensity.

    A policy :math:`\\pi_i` contacts customer i with this chance. Its profit per customer over contacting nobody is

    .. math:: V = \\bar\\pi\\,(m\\,\\hat\\tau - c), \\quad
        \\hat\\tau = \\frac{\\sum \\pi_i T_i Y_i / e_i}{\\sum \\pi_i T_i / e_i}
        - \\frac{\\sum \\pi_i (1-T_i) Y_i / (1-e_i)}{\\sum \\pi_i (1-T_i) / (1-e_i)}

    with margin m, cost c and propensity e: Hájek's form, which divides by the sums of the weights and so is not moved
    by the level of the outcome. The error is that of its influence function.

    Parameters
    ----------
    outcome, treated : array_like, shape (n,)
        As for `read_out`, of customers used **neither** to fit the scores **nor** to choose the depth.
    policies : mapping of str to array_like of bool or float, shape (n,)
        Chance of each customer to be contacted; 0.5 for everybody contacts a random half.
    propensity : float or array_like, shape (n,), optional
        Known chance to be treated in the experiment. Default: the share treated.
    margin : float, default 1
        Money per unit of the outcome.
    contact_cost : float, default 0
        Money per contact.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If inputs do not fit, or a policy selects customers of one arm only, who cannot be compared.

    References
    ----------
    Hitsch, G. J., Misra, S. & Zhang, W. (2024). Heterogeneous treatment effects and optimal targeting policy
    evaluation. *Quantitative Marketing and Economics* 22, 115-168.

    Examples
    --------
    >>> rules = {"all": [1, 1, 1, 1], "first two": [1, 1, 0, 0]}
    >>> worth = policy_value([3, 1, 1, 1], [1, 0, 1, 0], rules, contact_cost=0.5)
    >>> worth.table[["policy", "share", "effect", "profit"]]
          policy  share  effect  profit
    0  first two    0.5     2.0    0.75
    1        all    1.0     1.0    0.50
    """
    y, t = read_experiment(outcome, treated)
    e = propensities(propensity, treated, t)
    check_economics(margin, contact_cost)
    check_level(level)
    if not policies:
        raise ContractError("give at least one policy: a name, and for each customer the chance to be contacted")
    rows, scores = [], {}
    for name, rule in policies.items():
        effect, scores[name] = _influence(y, t, e, _chances(name, rule, treated, t), margin, contact_cost)
        worth = _mean_interval(scores[name], level)
        share = float(np.mean(np.asarray(rule, dtype=float)))
        rows.append((name, share, effect, worth.estimate, worth.low, worth.high))
    table = pd.DataFrame(rows, columns=["policy", "share", "effect", "profit", "low", "high"])
    table = table.sort_values("profit", ascending=False, kind="stable", ignore_index=True)
    return PolicyValue(table, level, margin, contact_cost, scores)


def _chances(name: str, rule: npt.ArrayLike, treated: npt.ArrayLike, t: np.ndarray) -> np.ndarray:
    columns = {"treated": treated, f"policy {name!r}": rule}
    chances = aligned("the value of a policy", **columns)[f"policy {name!r}"].to_numpy()
    problems = broken_rules({f"policy {name!r}: no chance between 0 and 1": ~((chances >= 0) & (chances <= 1))})
    if not problems and chances.any() and not (chances[t].any() and chances[~t].any()):
        problems = [f"policy {name!r} selects customers of one arm only: nobody to compare them with"]
    if problems:
        raise ContractError("this policy cannot be valued (rows counted from 1)", problems)
    return chances


def _influence(
    y: np.ndarray, t: np.ndarray, e: np.ndarray, chances: np.ndarray, margin: float, contact_cost: float
) -> tuple[float, np.ndarray]:
    """Effect among the selected, and one number per customer whose mean is the profit and whose spread its error."""
    if not chances.any():
        return float("nan"), np.zeros(len(y))
    weights = {True: chances * t / e, False: chances * ~t / (1 - e)}
    mean = {arm: float(w @ y / w.sum()) for arm, w in weights.items()}
    # the sums of the weights are near n x mean chance; dividing by them is what Hajek's form does
    scale = {arm: chances.sum() / w.sum() for arm, w in weights.items()}
    noise = scale[True] * weights[True] * (y - mean[True]) - scale[False] * weights[False] * (y - mean[False])
    effect = mean[True] - mean[False]
    return effect, margin * noise + chances * (margin * effect - contact_cost)


def _mean_interval(values: np.ndarray, level: float) -> Interval:
    from scipy.stats import norm

    estimate = float(values.mean())
    reach = float(norm.ppf((1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(estimate, estimate - reach, estimate + reach, level)


def response_group_bounds(rate_treated: float, rate_control: float) -> pd.DataFrame:
    """How many customers can be persuadable, sure things, lost causes and better not disturbed.

    Nobody is seen both with and without a contact, so a randomised test bounds the four groups and no more. If a
    contact never drives anybody away, they are known.

    Parameters
    ----------
    rate_treated, rate_control : float
        Share of each arm that responded.

    Returns
    -------
    pandas.DataFrame, 4 rows
        ``group``, ``lowest`` and ``highest`` share that the two rates allow, and ``if_nobody_is_harmed``, NaN if the
        rates contradict that.

    References
    ----------
    Tian, J. & Pearl, J. (2000). Probabilities of causation: bounds and identification. *Annals of Mathematics and
    Artificial Intelligence* 28, 287-313.

    Examples
    --------
    >>> response_group_bounds(0.5, 0.25)
                group  lowest  highest  if_nobody_is_harmed
    0     persuadable    0.25     0.50                 0.25
    1      sure thing    0.00     0.25                 0.25
    2      lost cause    0.25     0.50                 0.50
    3  do not disturb    0.00     0.25                 0.00
    """
    if not (0 <= rate_treated <= 1 and 0 <= rate_control <= 1):
        raise ContractError(f"rates are shares between 0 and 1; got {rate_treated} and {rate_control}")
    with_, without = rate_treated, rate_control
    rows = {
        "persuadable": (max(0.0, with_ - without), min(with_, 1 - without), with_ - without),
        "sure thing": (max(0.0, with_ + without - 1), min(with_, without), without),
        "lost cause": (max(0.0, 1 - with_ - without), min(1 - with_, 1 - without), 1 - with_),
        "do not disturb": (max(0.0, without - with_), min(without, 1 - with_), 0.0),
    }
    table = pd.DataFrame(rows, index=["lowest", "highest", "if_nobody_is_harmed"]).T.rename_axis("group").reset_index()
    if with_ < without:
        table["if_nobody_is_harmed"] = float("nan")
    return table
