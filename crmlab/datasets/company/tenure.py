"""Contracts: who subscribes, for how long, why they leave, and a retention offer made at random.

References
----------
Fader, P. S. & Hardie, B. G. S. (2007). How to project customer retention. *Journal of Interactive Marketing* 21(1),
76-90.
Ascarza, E., Iyengar, R. & Schleicher, M. (2016). The perils of proactive churn prevention using plan recommendations:
evidence from a field experiment. *Journal of Marketing Research* 53(1), 46-60.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit

from crmlab.datasets.company.base import (
    Columns,
    Count,
    NotNegative,
    Number,
    Positive,
    Share,
    category,
    choose,
    dates,
    month_start,
    months,
)

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Effects:
    """A sum over what is true of a subscriber.

    Attributes
    ----------
    base : float
        Its value without automatic payment, at the mean age of 47 and the mean satisfaction.
    autopay : float
        What automatic payment adds.
    age, satisfaction : float
        What 15 years of age, and a standard deviation of the attitude *satisfaction*, add.
    """

    base: Number = 0.0
    autopay: Number = 0.0
    age: Number = 0.0
    satisfaction: Number = 0.0


@dataclass(frozen=True)
class Plan:
    """What can be subscribed to: share of the subscribers, price a month, and log of the hazard ratio."""

    share: Share
    price: Positive
    hazard: Number = 0.0


@dataclass(frozen=True)
class Offer:
    """A retention offer, made at random once in the life of a subscription.

    Every subscriber draws one of the last `months` calendar months of the simulation. Those whose subscription comes
    up for renewal in it are randomised, `notice` days before, to the offer with chance `treated`, or to control.
    Somebody who would have left is saved with probability expit(`saves`); somebody who would have stayed is woken,
    and leaves, with probability expit(`wakes`). With p the probability of renewal without the offer, that with it is
    p + (1 - p) expit(`saves`) - p expit(`wakes`).

    Attributes
    ----------
    takes : float
        Chance that somebody who would have stayed anyway accepts the offer; the saved always do.
    contact, discount : float
        Cost of making the offer, and of one that is accepted.
    """

    months: Count
    treated: Share
    notice: Annotated[int, Field(ge=1, le=27)]
    saves: Effects
    wakes: Effects
    takes: Share
    contact: NotNegative
    discount: NotNegative


@dataclass(frozen=True)
class Subscription:
    """Subscriptions, taken when a customer is acquired and renewed every month.

    A renewal is due on the same day of every month (the last one of a shorter month), and the subscriber leaves at it
    with probability 1 - (1 - theta)^h, where theta ~ Beta(alpha, beta) over subscribers and log h is `hazard` plus that
    of the plan. So the chance to pay more than t months is B(alpha, beta + h t) / B(alpha, beta). Beside ordinary
    buying a subscription ends when the customer leaves the firm, if it has not before; it does not change the buying.

    Attributes
    ----------
    share : float
        Share of the customers who subscribe; 1 where the firm sells nothing else.
    plans : mapping of str to Plan
    autopay : float
        Share of the subscribers who pay automatically.
    hazard : Effects
        Log of the hazard ratio h.
    reasons : mapping of str to Effects
        Reason of leaving to the log of its weight among those who leave.
    silent : float
        Share of those who leave and state no reason.
    misreported : float
        Share of the stated reasons that are another one, any of the others equally likely.
    """

    share: Share
    alpha: Positive
    beta: Positive
    plans: Annotated[Mapping[str, Plan], Field(min_length=1)]
    autopay: Share
    hazard: Effects
    reasons: Annotated[Mapping[str, Effects], Field(min_length=1)]
    silent: Share
    misreported: Share
    offer: Offer


ENDED_BY = ("own", "offer", "departure")
LONGEST = 1200  # months; a century is for ever


@dataclass(frozen=True)
class Offered:
    """The retention offer of those who were randomised; one entry each.

    Attributes
    ----------
    row : array of int
        Position of the subscription.
    renewal : array of int
        Months after which the renewal was due.
    treated, renewed, accepted : array of bool
        Whether the offer was made, the subscription renewed, and the offer accepted.
    without, with_offer : array of float
        Probability of renewal without the offer and with it.
    """

    row: "Ints"
    renewal: "Ints"
    treated: "Bools"
    renewed: "Bools"
    accepted: "Bools"
    without: "Floats"
    with_offer: "Floats"


@dataclass(frozen=True)
class Contracts:
    """The subscriptions of a block, one entry each.

    Attributes
    ----------
    customer, plan : array of int
        Position of the customer in the block, and of the plan in the scenario.
    autopay : array of bool
        Whether payment is automatic.
    theta, ratio : array of float
        Monthly churn probability before covariates, and hazard ratio.
    wanted, months : array of int
        Months paid without an offer, and with what the offer did; they may reach beyond the end.
    started, ended : array of float
        Days since the opening; the end may lie after that of the simulation.
    ended_by : array of int
        Position in `ENDED_BY`.
    offered : Offered
    """

    customer: "Ints"
    plan: "Ints"
    autopay: "Bools"
    theta: "Floats"
    ratio: "Floats"
    wanted: "Ints"
    months: "Ints"
    started: "Floats"
    ended: "Floats"
    ended_by: "Ints"
    offered: Offered


def renewals(started: "Floats", after: "Ints") -> "Floats":
    """The same day and hour so many calendar months later, or the last day of a shorter month."""
    month = months(started)
    first, following = month_start(month + after), month_start(month + after + 1)
    day = np.floor(started) - month_start(month)
    return first + np.minimum(day, following - first - 1) + started % 1


def draw_contracts(block: "Block") -> Contracts:
    """Draw the subscriptions of a block's customers, and what the retention offer did to them."""
    plan, rng = block.scenario.subscription, block.rng("subscription")
    assert plan is not None
    customer = np.flatnonzero(rng.random(block.n) < plan.share)
    n, started = len(customer), block.people.acquired[customer]
    chosen = choose(rng, np.tile([one.share for one in plan.plans.values()], (n, 1)))
    autopay = rng.random(n) < plan.autopay
    theta = rng.beta(plan.alpha, plan.beta, n)
    by_plan = np.array([one.hazard for one in plan.plans.values()])[chosen]
    ratio = np.exp(_sum(plan.hazard, block, customer, autopay) + by_plan)
    wanted = _tenures(rng, theta, ratio)
    left = np.full(n, np.inf) if block.scenario.buying is None else block.history.left[customer]
    traits = (customer, autopay, (1 - theta) ** ratio)
    offered = _make_offer(block, plan.offer, traits, wanted, left)
    paid = _after_offer(block, offered, wanted, theta, ratio)
    ended = renewals(started, paid)
    cause = np.where(left < ended, 2, np.where(paid < wanted, 1, 0))
    return Contracts(
        customer, chosen, autopay, theta, ratio, wanted, paid, started, np.minimum(ended, left), cause, offered
    )


def _sum(effects: Effects, block: "Block", customer: "Ints", autopay: "Bools") -> "Floats":
    people = block.people
    age = (2022 - people.birth_year[customer] - 47) / 15
    satisfaction = people.attitudes["satisfaction"][customer]
    return effects.base + effects.autopay * autopay + effects.age * age + effects.satisfaction * satisfaction


def _tenures(rng: np.random.Generator, theta: "Floats", ratio: "Floats") -> "Ints":
    """Months until a renewal is not made: geometric, given the churn probability."""
    with np.errstate(divide="ignore", over="ignore"):
        drawn = np.ceil(np.log1p(-rng.random(len(theta))) / (ratio * np.log1p(-theta)))
    return np.clip(drawn, 1, LONGEST).astype("int64")


def _make_offer(
    block: "Block", offer: Offer, traits: "tuple[Ints, Bools, Floats]", wanted: "Ints", left: "Floats"
) -> Offered:
    """Randomise those who come up for renewal in their month, and decide on the renewal."""
    customer, autopay, stays = traits
    rng, n, started = block.rng("retention offer"), len(customer), block.people.acquired[customer]
    renewal = 12 * block.firm.years - 1 - rng.integers(0, offer.months, n) - months(started)
    due = (renewal >= 1) & (wanted >= renewal) & (left > renewals(started, renewal))
    treated = rng.random(n) < offer.treated
    saved, woken = (expit(_sum(one, block, customer, autopay)) for one in (offer.saves, offer.wakes))
    draws = rng.random((3, n))
    would = wanted > renewal
    renews = np.where(would, draws[0] >= woken, draws[1] < saved)
    accepts = treated & renews & (~would | (draws[2] < offer.takes))
    row = np.flatnonzero(due)
    return Offered(
        row=row,
        renewal=renewal[row],
        treated=treated[row],
        renewed=np.where(treated, renews, would)[row],
        accepted=accepts[row],
        without=stays[row],
        with_offer=(stays + (1 - stays) * saved - stays * woken)[row],
    )


def _after_offer(block: "Block", offered: Offered, wanted: "Ints", theta: "Floats", ratio: "Floats") -> "Ints":
    """Months paid: the woken stop at the renewal, the saved go on by the same geometric law."""
    more = _tenures(block.rng("tenure after offer"), theta[offered.row], ratio[offered.row])
    paid, would = wanted.copy(), wanted[offered.row] > offered.renewal
    saved, woken = offered.renewed & ~would, ~offered.renewed & would
    paid[offered.row[saved]] = (offered.renewal + more)[saved]
    paid[offered.row[woken]] = offered.renewal[woken]
    return paid


def _reasons(block: "Block") -> "tuple[Ints, Ints]":
    """True and stated reason of every subscription that ended, -1 where there is none."""
    plan, contracts, rng = block.scenario.subscription, block.contracts, block.rng("reasons")
    assert plan is not None
    weights = [_sum(one, block, contracts.customer, contracts.autopay) for one in plan.reasons.values()]
    n, count = len(contracts.customer), len(weights)
    true = choose(rng, np.exp(np.column_stack(weights)))
    another = (true + 1 + rng.integers(0, max(count - 1, 1), n)) % count
    stated = np.where(rng.random(n) < plan.misreported, another, true)
    stated[rng.random(n) < plan.silent] = -1
    ended = contracts.ended < block.days
    return np.where(ended, true, -1), np.where(ended, stated, -1)


def _numbers(block: "Block") -> "Ints":
    """Subscription numbers: the customer's number followed by a zero, as nobody subscribes twice."""
    return block.ids[block.contracts.customer] * 10


def subscriptions_table(block: "Block") -> Columns:
    """One row a subscription."""
    plan, contracts = block.scenario.subscription, block.contracts
    assert plan is not None
    ended = np.where(contracts.ended < block.days, contracts.ended, np.inf)
    return {
        "subscription_id": _numbers(block),
        "customer_id": block.ids[contracts.customer],
        "plan": category(contracts.plan, list(plan.plans)),
        "monthly_price": np.array([one.price for one in plan.plans.values()])[contracts.plan],
        "autopay": contracts.autopay,
        "started_on": dates(contracts.started),
        "ended_on": dates(ended),
        "stated_reason": category(_reasons(block)[1], list(plan.reasons)),
    }


def true_subscriptions_table(block: "Block") -> Columns:
    """What each subscription follows, and why it ended."""
    plan, contracts = block.scenario.subscription, block.contracts
    assert plan is not None
    return {
        "subscription_id": _numbers(block),
        "customer_id": block.ids[contracts.customer],
        "churn_probability": contracts.theta,
        "hazard_ratio": contracts.ratio,
        "months_without_offer": contracts.wanted,
        "ended_by": category(np.where(contracts.ended < block.days, contracts.ended_by, -1), ENDED_BY),
        "true_reason": category(_reasons(block)[0], list(plan.reasons)),
    }


def retention_offers_table(block: "Block") -> Columns:
    """One row a subscriber who was randomised to the retention offer or to control."""
    plan, contracts = block.scenario.subscription, block.contracts
    assert plan is not None
    offer, offered = plan.offer, contracts.offered
    due = renewals(contracts.started[offered.row], offered.renewal)
    return {
        "offer_id": _numbers(block)[offered.row],
        "customer_id": block.ids[contracts.customer[offered.row]],
        "date": dates(due - offer.notice),
        "group": category(offered.treated.astype(int), ["control", "offer"]),
        "renewed": offered.renewed,
        "accepted": offered.accepted,
        "cost": offer.contact * offered.treated + offer.discount * offered.accepted,
    }


def true_retention_offers_table(block: "Block") -> Columns:
    """Probability of renewal in both groups; their difference is the true uplift."""
    contracts = block.contracts
    offered = contracts.offered
    return {
        "offer_id": _numbers(block)[offered.row],
        "customer_id": block.ids[contracts.customer[offered.row]],
        "renewal_without": offered.without,
        "renewal_with": offered.with_offer,
    }
