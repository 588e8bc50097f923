"""Histories of occasions on each of which a customer buys or does not, and how likely they are by the BG/BB."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, check_summary
from crmlab.errors import ContractError
from crmlab.models.base import Likelihood, Part, Rows
from crmlab.models.counts import HISTORY
from crmlab.models.sampling import Refit
from crmlab.models.survival import ONE_CHANCE

if TYPE_CHECKING:
    from crmlab.models.base import Floats


def read_occasions(counts: pd.DataFrame) -> "tuple[pd.DataFrame, Floats]":
    """Histories with the customer as index, and the customers that each row stands for."""
    frame = check_summary(counts, HISTORY)
    rules = {
        "recency: not a whole number of occasions": frame["recency"] % 1 > 0,
        "T: not a whole number of occasions": frame["T"] % 1 > 0,
        "frequency: larger than recency, with one purchase an occasion": frame["frequency"] > frame["recency"],
    }
    problems = broken_rules(rules)
    if problems:
        raise ContractError("these are no histories of occasions (rows counted from 1)", problems)
    weight = frame["weight"].to_numpy(dtype=float) if "weight" in frame else np.ones(len(frame))
    return (frame.set_index("customer_id") if "customer_id" in frame else frame)[HISTORY], weight


@dataclass(frozen=True, eq=False)
class OccasionsRefit(Refit):
    """The log-likelihood of different histories for other weights."""

    x: "Floats"
    recency: "Floats"
    occasions: "Floats"
    same_dropout: bool

    def __call__(self, weight: "Floats") -> Likelihood:
        seen = weight > 0
        data = tuple(one[seen] for one in (self.x, self.recency, self.occasions))
        return Likelihood(
            (Part(history_terms, data, weight[seen], (None,) * (4 - self.same_dropout), 512),), float(weight.sum())
        )


def history_terms(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-likelihood of histories: the sum over the occasions that may have been the customer's last.

    With three parameters the third is the odds of the one chance to leave that all have.
    """
    if len(params) == 3:
        share = params[2] / (1 + params[2])
        return _by_share(history_terms(data, four(params[0], params[1], share)), share)
    parts = last_occasions(data, params)
    top = parts.value.max(axis=0)
    share = np.exp(parts.value - top)
    whole = share.sum(axis=0)
    share = share / whole
    gradient = (share * parts.gradient).sum(axis=1)
    hessian = np.zeros((4, 4, share.shape[1]))
    for j in range(4):
        pull = share * (parts.gradient[j] - gradient[j])
        for k in range(j, 4):
            hessian[j, k] = (share * parts.hessian[j, k]).sum(axis=0) + (pull * parts.gradient[k]).sum(axis=0)
    return Rows(top + np.log(whole), gradient, hessian)


def last_occasions(data: Sequence["Floats"], params: Sequence["Floats"]) -> Rows:
    """Log-probability of a history whose last occasion was so many after `recency`, with derivatives.

    Shape (m, n): the first row stands for a customer who is there still, the others for one who left. Where there
    were no such occasions the value is minus infinity.
    """
    x, recency, occasions = (one.astype("int64") for one in data)
    alpha, beta, gamma, delta = (float(one) for one in params)
    most = int(occasions.max())
    after = np.arange(int((occasions - recency).max()))[:, None]
    possible = after < occasions - recency
    last = np.vstack([occasions, np.minimum(recency + after, occasions)])
    left = np.ones(last.shape, dtype="int64")
    left[0] = 0
    tables = {name: _rising(value, most + 1) for name, value in zip("abd", (alpha, beta, delta), strict=True)}
    bought, not_bought, stayed = tables["a"][:, x], tables["b"][:, last - x], tables["d"][:, last]
    chosen, went = _rising(alpha + beta, most + 1)[:, last], _rising(gamma + delta, most + 2)[:, last + left]
    value = bought[0] + not_bought[0] - chosen[0] + stayed[0] - went[0] + left * np.log(gamma)
    value[1:][~possible] = -np.inf
    a_b, g_d = alpha + beta, gamma + delta
    first = np.stack(
        [
            np.broadcast_to(bought[1], last.shape) - alpha / a_b * chosen[1],
            not_bought[1] - beta / a_b * chosen[1],
            left - gamma / g_d * went[1],
            stayed[1] - delta / g_d * went[1],
        ]
    )
    second = np.zeros((4, 4, *last.shape))
    chosen_2, went_2 = (chosen[2] - chosen[1]) / a_b**2, (went[2] - went[1]) / g_d**2
    second[0, 0] = bought[2] - alpha / a_b * chosen[1] - alpha**2 * chosen_2
    second[0, 1], second[1, 1] = -alpha * beta * chosen_2, not_bought[2] - beta / a_b * chosen[1] - beta**2 * chosen_2
    second[2, 2] = -gamma / g_d * went[1] - gamma**2 * went_2
    second[2, 3], second[3, 3] = -gamma * delta * went_2, stayed[2] - delta / g_d * went[1] - delta**2 * went_2
    return Rows(value, first, second)


def four(alpha: "Floats", beta: "Floats", share: "Floats") -> "tuple[Floats, Floats, Floats, Floats]":
    """The parameters of a model where all leave with the same chance."""
    return alpha, beta, share * ONE_CHANCE, (1 - share) * ONE_CHANCE


def _by_share(rows: Rows, share: "Floats") -> Rows:
    """Derivatives by gamma and delta, whose sum does not change, to those by the log-odds of their share."""
    turn = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1 - share], [0, 0, -share]], dtype=float)
    whole = np.triu(np.ones((4, 4)))[:, :, None] * rows.hessian
    whole = whole + whole.transpose(1, 0, 2) * (1 - np.eye(4))[:, :, None]
    hessian = np.einsum("ja,jkn,kb->abn", turn, whole, turn)
    hessian[2, 2] -= share * (1 - share) * (rows.gradient[2] + rows.gradient[3])
    return Rows(rows.value, turn.T @ rows.gradient, hessian)


def _rising(shape: float, most: int) -> "Floats":
    """Log of gamma(shape + k) / gamma(shape) for k = 0, ..., most, with its derivatives by log(shape)."""
    step = shape + np.arange(float(most))
    share = shape / step
    terms = np.array([np.log(step), share, share * (1 - share)])
    return np.hstack([np.zeros((3, 1)), np.cumsum(terms, axis=1)])
