"""What a retention campaign by risk can earn: maximum profit, and expected maximum profit.

Both choose a model and a depth. They take it for granted that an offer changes a leaver's mind with a chance
that is the same for all, and that it never sets anybody thinking of leaving. Whom to ask to stay is a question of
uplift, which needs a randomised offer (`crmlab.database.fit_uplift`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class MaximumProfit:
    """The most that a campaign by one score can earn, if the share of leavers who accept is known.

    Attributes
    ----------
    profit : float
        Money per customer of all.
    fraction : float
        Share of the customers to ask.
    threshold : float
        Ask those with this score or a higher one; infinite: nobody.
    """

    profit: float
    fraction: float
    threshold: float


@dataclass(frozen=True, eq=False)
class ExpectedMaximumProfit:
    """The mean of the most that campaigns by one score can earn, over an uncertain share of leavers who accept.

    Attributes
    ----------
    profit : float
        Money per customer of all.
    fraction : float
        Mean over acceptance of the best share of customers to ask.
    table : pandas.DataFrame, shape (corners of the hull, 8)
        One row per depth that is best for some acceptance, nobody first: ``threshold``; ``fraction`` of all customers
        who are asked, ``leavers`` and ``stayers`` among them (also over all customers); ``from_acceptance`` and
        ``to_acceptance``, between which the depth is best; the ``chance`` of such an acceptance; and ``profit``, its
        part of the expectation (money per customer).
    alpha, beta, lifetime_value, incentive, contact : float
        As given.
    """

    profit: float
    fraction: float
    table: pd.DataFrame
    alpha: float
    beta: float
    lifetime_value: float
    incentive: float
    contact: float

    def best_profit(self, acceptance: "ArrayLike") -> "NDArray[np.float64]":
        """Highest profit per customer at each acceptance, had it been known: what the expectation is the mean of.

        Parameters
        ----------
        acceptance : array_like of float, shape (k,)
            Shares of the leavers who accept, 0 to 1.
        """
        share = np.atleast_1d(np.asarray(acceptance, dtype=float))
        if share.ndim > 1 or not ((share >= 0) & (share <= 1)).all():
            raise ContractError(f"acceptance is a share between 0 and 1, or a list of such; got {acceptance!r}")
        per_leaver = share[:, None] * (self.lifetime_value - self.incentive) - self.contact
        leavers, stayers = self.table["leavers"].to_numpy(float), self.table["stayers"].to_numpy(float)
        by_depth = per_leaver * leavers - (self.incentive + self.contact) * stayers
        return np.asarray(by_depth.max(axis=1), dtype=np.float64)

    def __repr__(self) -> str:
        return (
            f"Expected maximum profit {self.profit:.4g} per customer, asking {self.fraction:.1%} in the mean\n"
            f"  acceptance beta({self.alpha:g}, {self.beta:g}), lifetime value {self.lifetime_value:g}, incentive "
            f"{self.incentive:g}, contact {self.contact:g} (money per customer)"
        )


def maximum_profit(
    score: "ArrayLike",
    left: "ArrayLike",
    *,
    acceptance: float = 0.3,
    lifetime_value: float = 200.0,
    incentive: float = 10.0,
    contact: float = 1.0,
) -> MaximumProfit:
    """Maximum profit of a retention campaign (MPC): the best depth of one score.

    Asking everybody with a score of s or more earns, per customer,

    .. math:: P(s; \\gamma) = \\pi_0 F_0(s)\\,[\\gamma (V - d) - f] - \\pi_1 F_1(s)\\,(d + f)

    with the shares :math:`\\pi_0, \\pi_1` of leavers and stayers, the shares :math:`F_0, F_1` of each that are asked,
    the acceptance :math:`\\gamma` among leavers, lifetime value V, incentive d and contact cost f. Stayers always
    accept.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        High is to be asked first. Equal scores are asked together.
    left : array_like of int or bool, shape (n,)
        1 for those who left, 0 for those who stayed; both must occur.
    acceptance : float, default 0.3
        Share of leavers who accept and stay: the mean of the defaults of `expected_maximum_profit`.
    lifetime_value, incentive, contact : float
        Money per customer; the lifetime value must be above the incentive.

    Raises
    ------
    ContractError
        If columns do not fit, all scores are equal, all or none left, or the money is impossible.

    References
    ----------
    Verbeke, W., Dejaeger, K., Martens, D., Hur, J. & Baesens, B. (2012). New insights into churn prediction in the
    telecommunication sector: a profit driven data mining approach. *European Journal of Operational Research* 218,
    211-229.

    Examples
    --------
    >>> maximum_profit([0.9, 0.6, 0.2, 0.1], [1, 0, 1, 0])
    MaximumProfit(profit=25.25, fraction=0.75, threshold=0.2)
    """
    _check_money(lifetime_value, incentive, contact)
    if not 0 <= acceptance <= 1:
        raise ContractError(f"acceptance is a share between 0 and 1, got {acceptance}")
    steps = _steps(score, left)
    n = steps["leavers"].iloc[-1] + steps["stayers"].iloc[-1]
    per_leaver = acceptance * (lifetime_value - incentive) - contact
    profit = (per_leaver * steps["leavers"] - (incentive + contact) * steps["stayers"]) / n
    best = int(profit.argmax())
    asked = (steps["leavers"] + steps["stayers"]) / n
    return MaximumProfit(float(profit.iloc[best]), float(asked.iloc[best]), float(steps["threshold"].iloc[best]))


def expected_maximum_profit(
    score: "ArrayLike",
    left: "ArrayLike",
    *,
    alpha: float = 6.0,
    beta: float = 14.0,
    lifetime_value: float = 200.0,
    incentive: float = 10.0,
    contact: float = 1.0,
) -> ExpectedMaximumProfit:
    """Expected maximum profit of a retention campaign (EMPC): one number per score, to choose between models.

    Nobody knows beforehand how many leavers an offer keeps, so the best profit (see `maximum_profit`) is averaged over
    an acceptance :math:`\\gamma \\sim \\text{beta}(\\alpha, \\beta)`:

    .. math:: \\text{EMPC} = \\int_0^1 \\max_s P(s; \\gamma)\\, h(\\gamma)\\, d\\gamma .

    Only corners of the convex hull of the ROC curve are ever best. From corner k - 1 to k pays from
    :math:`\\gamma_k = [(d + f)\\,\\Delta_1 / \\Delta_0 + f] / (V - d)` on, with :math:`\\Delta_1, \\Delta_0` the
    stayers and leavers that are added, so the integral is a sum of incomplete beta functions: nothing is approximated.

    One lifetime value and one acceptance hold for all customers, and acceptance is unrelated to risk. The measure
    therefore chooses a **model and a depth, never a person**.

    Parameters
    ----------
    score, left
        As for `maximum_profit`.
    alpha, beta : float, default 6 and 14
        Beta distribution of the acceptance: mean 0.3.
    lifetime_value, incentive, contact : float, default 200, 10, 1
        Money per customer; the lifetime value must be above the incentive.

    Raises
    ------
    ContractError
        As `maximum_profit`, or if `alpha` or `beta` is not above 0.

    References
    ----------
    Verbraken, T., Verbeke, W. & Baesens, B. (2013). A novel profit maximizing metric for measuring classification
    performance of customer churn prediction models. *IEEE Transactions on Knowledge and Data Engineering* 25, 961-973.

    Examples
    --------
    >>> found = expected_maximum_profit([0.9, 0.6, 0.2, 0.1], [1, 0, 1, 0])
    >>> found
    Expected maximum profit 25.25 per customer, asking 75.0% in the mean
      acceptance beta(6, 14), lifetime value 200, incentive 10, contact 1 (money per customer)
    >>> found.table[["threshold", "fraction", "from_acceptance", "to_acceptance"]].round(3)
       threshold  fraction  from_acceptance  to_acceptance
    0        inf      0.00            0.000          0.005
    1        0.9      0.25            0.005          0.063
    2        0.2      0.75            0.063          1.000
    3        0.1      1.00            1.000          1.000
    """
    from scipy.special import betainc

    _check_money(lifetime_value, incentive, contact)
    if not (np.isfinite([alpha, beta]).all() and alpha > 0 and beta > 0):
        raise ContractError(f"alpha and beta must be above 0, got {alpha} and {beta}")
    hull = _hull(_steps(score, left))
    n = hull["leavers"].iloc[-1] + hull["stayers"].iloc[-1]
    lost, kept = hull["leavers"].to_numpy() / n, hull["stayers"].to_numpy() / n
    more, price = np.diff(lost), (incentive + contact) * np.diff(kept)
    per_leaver = np.divide(price, more, out=np.full(len(more), np.inf), where=more > 0)
    turn = (per_leaver + contact) / (lifetime_value - incentive)
    edges = np.clip(np.concatenate([[0.0], turn, [1.0]]), 0, 1)
    chance = np.diff(betainc(alpha, beta, edges))
    accepting = alpha / (alpha + beta) * np.diff(betainc(alpha + 1, beta, edges))  # integral of gamma h(gamma)
    cost = contact * lost + (incentive + contact) * kept
    profit = (lifetime_value - incentive) * lost * accepting - cost * chance
    fraction = lost + kept
    table = pd.DataFrame(
        {
            "threshold": hull["threshold"].to_numpy(),
            "fraction": fraction,
            "leavers": lost,
            "stayers": kept,
            "from_acceptance": edges[:-1],
            "to_acceptance": edges[1:],
            "chance": chance,
            "profit": profit,
        }
    )
    money = (float(alpha), float(beta), float(lifetime_value), float(incentive), float(contact))
    return ExpectedMaximumProfit(float(profit.sum()), float(fraction @ chance), table, *money)


def _steps(score: "ArrayLike", left: "ArrayLike") -> pd.DataFrame:
    """Leavers and stayers with a score of at least `threshold`, highest first, after a row of nobody."""
    people = leavers_and_stayers("a profit by score", score=score, left=left)
    if people["score"].nunique() < 2:
        raise ContractError("all customers have the same score: nothing says whom to ask first")
    sums = people.groupby("score")["left"].agg(["size", "sum"])[::-1].cumsum()
    leavers = np.append(0, sums["sum"].to_numpy())
    stayers = np.append(0, (sums["size"] - sums["sum"]).to_numpy())
    return pd.DataFrame({"threshold": np.append(np.inf, sums.index), "leavers": leavers, "stayers": stayers})


def _hull(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps on the upper convex hull of the ROC curve; counts are whole, so that it is exact."""
    x, y = steps["stayers"].tolist(), steps["leavers"].tolist()
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) < (y[b] - y[a]) * (x[i] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return steps.iloc[kept]


def leavers_and_stayers(what: str, **columns: Any) -> pd.DataFrame:
    """Columns of numbers about the same customers, with `left` of 0 and 1, else ContractError."""
    people = aligned(what, **columns)
    problems = broken_rules({"left: neither 0 nor 1": ~people["left"].isin([0, 1])})
    if not problems and people["left"].nunique() < 2:
        problems = ["left: everybody left" if people["left"].iloc[0] else "left: nobody left"]
    if problems:
        raise ContractError(f"{what} needs leavers (1) and stayers (0) (rows counted from 1)", problems)
    return people.astype({"left": "int64"})


def _check_money(lifetime_value: float, incentive: float, contact: float) -> None:
    if not (np.isfinite([lifetime_value, incentive, contact]).all() and lifetime_value > incentive >= 0 <= contact):
        raise ContractError(
            "incentive and contact must be 0 or more and lifetime_value above the incentive; got "
            f"lifetime_value={lifetime_value}, incentive={incentive}, contact={contact}"
        )
