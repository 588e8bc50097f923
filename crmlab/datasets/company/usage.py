"""How much a subscription is used, month by month: an early warning of leaving."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company.base import YEAR, Columns, Positive, Share, dates, month_start, months
from crmlab.datasets.company.tenure import renewals

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Usage:
    """Sessions of subscribers: Poisson, at a rate of each subscriber's own that falls before leaving.

    Attributes
    ----------
    mean, shape : float
        Mean of the sessions a month over subscribers, and shape of their gamma distribution.
    fading : float
        Factor on the rate in the last two months before the renewal that the subscriber, of the own accord, will not
        make: also when an offer then saves the subscription, and not when an offer is what ends it.
    """

    mean: Positive
    shape: Positive
    fading: Share


FADES = 2  # months


def monthly_means(block: "Block") -> "Floats":
    """Mean sessions a month of each subscriber."""
    plan = block.scenario.usage
    assert plan is not None
    return block.rng("own usage").gamma(plan.shape, plan.mean / plan.shape, len(block.contracts.customer))


def usage_table(block: "Block") -> Columns:
    """One row a calendar month in which a subscription was active, if only for a part of it."""
    plan, contracts = block.scenario.usage, block.contracts
    assert plan is not None
    started, ended = contracts.started, np.minimum(contracts.ended, np.nextafter(block.days, 0))
    first = months(started)
    count = months(ended) - first + 1
    who = np.repeat(np.arange(len(count)), count)
    month = first[who] + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    low = np.maximum(month_start(month), started[who])
    high = np.minimum(month_start(month + 1), ended[who])
    faded = sum(
        np.clip(np.minimum(high, end[who]) - np.maximum(low, begin[who]), 0, None) for begin, end in _fading(block)
    )
    rate = monthly_means(block)[who] / (YEAR / 12)
    sessions = block.rng("usage").poisson(rate * (high - low - (1 - plan.fading) * faded))
    return {
        "customer_id": block.ids[contracts.customer[who]],
        "month": dates(month_start(month)),
        "sessions": sessions,
    }


def _fading(block: "Block") -> "list[tuple[Floats, Floats]]":
    """From when to when each subscriber means to leave: before the first such renewal, and after being saved again."""
    contracts = block.contracts
    first = renewals(contracts.started, contracts.wanted)
    again = np.maximum(renewals(contracts.started, contracts.months - FADES), first)
    return [
        (renewals(contracts.started, contracts.wanted - FADES), first),
        (again, renewals(contracts.started, contracts.months)),
    ]


def true_usage_table(block: "Block") -> Columns:
    """Mean sessions a month of every subscriber, while not about to leave."""
    return {"customer_id": block.ids[block.contracts.customer], "mean_sessions": monthly_means(block)}
