"""Campaigns: who was written to by design or by choice, what it did to each of them, and who answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from crmlab.datasets.company.base import Columns, Count, NotNegative, Number, Share, category, dates

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block, Firm


@dataclass(frozen=True)
class Campaigns:
    """A calendar of campaigns of equal length, by post and by e-mail in turn.

    In a randomised campaign every eligible customer (acquired before, with consent to the channel) is written to with
    chance `treated`. Every `targeted_every`-th campaign is confounded: the chance has log-odds `targeted_base` +
    `targeted_recent` for those who bought in the last 60 days + `targeted_rate` × (score of the own buying rate),
    which nobody at the firm can see.

    Written to, a customer who is still one places one more order in the window with probability
    `gain` + `gain_need[need]` + `gain_young` × (45 - age) / 10, at least 0. A customer who dislikes contact instead
    drops each own order of the window with probability `harm`, and takes the consent back with probability `withdraw`.

    Attributes
    ----------
    per_year, window : int
        Campaigns a year, and days from the start of one to its end.
    costs : mapping of str to float
        Channel to cost of one contact.
    consent : mapping of str to float
        Channel to share of the customers who gave consent when acquired.
    coupon : float
        Chance that a treated customer who would have bought anyway uses the offer.
    """

    per_year: Count
    window: Count
    treated: Share
    costs: Annotated[Mapping[Literal["mail", "email"], NotNegative], Field(min_length=2)]
    consent: Annotated[Mapping[Literal["mail", "email"], Share], Field(min_length=2)]
    gain: Number
    gain_need: Mapping[str, Number]
    gain_young: Number
    harm: Share
    withdraw: Share
    coupon: Share
    targeted_every: Count = 4
    targeted_base: Number = -1.5
    targeted_recent: Number = 1.5
    targeted_rate: Number = 0.5


@dataclass(frozen=True)
class Campaign:
    """One entry of the calendar; `start` is in days since the opening."""

    number: int
    start: float
    channel: Literal["mail", "email"]
    targeted: bool


def calendar(firm: "Firm") -> tuple[Campaign, ...]:
    """All campaigns of the firm that end before the simulation does; the first starts when half a year is over."""
    plan = firm.scenario.campaigns
    if plan is None:
        return ()
    starts = np.floor(np.arange(180, firm.days - plan.window, 365.25 / plan.per_year))
    return tuple(
        Campaign(
            number,
            float(start),
            "mail" if number % 2 else "email",
            number % plan.targeted_every == 0,
        )
        for number, start in enumerate(starts, start=1)
    )


@dataclass(frozen=True)
class Outreach:
    """What all campaigns did in a block.

    Attributes
    ----------
    assigned : mapping of str to array
        One entry per campaign and eligible customer: ``campaign``, ``customer`` (position in the block), ``chance`` of
        being written to, ``treated``, ``effect`` (chance of one more order; negative: chance that an own order of the
        window is dropped), ``expected`` (the expected change in the number of orders).
    extra : mapping of str to array
        Orders that would not exist otherwise: ``customer``, ``time``, ``campaign``.
    dropped : array of bool
        Own orders that did not happen because of a contact.
    coupon : array of int
        Number of the campaign whose offer an own order used, or 0.
    withdrawn : mapping of str to array
        Channel to the time at which each customer took the consent back; infinite if never.
    """

    assigned: Mapping[str, np.ndarray]
    extra: Mapping[str, np.ndarray]
    dropped: "Bools"
    coupon: "Ints"
    withdrawn: "Mapping[str, Floats]"


def reach_out(block: "Block", customer: "Ints", time: "Floats", keep: "Bools", left: "Floats") -> Outreach:
    """Run the calendar on a block's own orders, sorted by customer and time; those marked `keep` are never dropped."""
    plan = block.scenario.campaigns
    dropped, coupon = np.zeros(len(time), dtype=bool), np.zeros(len(time), dtype=int)
    withdrawn = {channel: np.full(block.n, np.inf) for channel in ("mail", "email")}
    if plan is None or not block.firm.campaigns:
        none = np.array([], dtype="int64")
        return Outreach(dict.fromkeys(_ASSIGNED, none), dict.fromkeys(_EXTRA, none), dropped, coupon, withdrawn)
    rng = block.rng("campaigns")
    given = consents(block)
    effect = true_effect(block)
    assigned, extra = [], []
    for one in block.firm.campaigns:
        willing = given[one.channel] & (block.people.acquired < one.start) & (withdrawn[one.channel] > one.start)
        who = np.flatnonzero(willing)
        inside = (time >= one.start) & (time < one.start + plan.window)
        chance = _chances(block, plan, one, customer, time)[who]
        treated = rng.random(len(who)) < chance
        reached = np.zeros(block.n, dtype=bool)
        reached[who[treated]] = True
        present = np.clip((np.minimum(left, block.days) - one.start) / plan.window, 0, 1)
        buyer = reached & (rng.random(block.n) < effect)
        moment = one.start + plan.window * rng.random(block.n)
        buyer &= moment < np.minimum(left, block.days)
        dropped |= inside & ~keep & reached[customer] & (rng.random(len(time)) < -effect[customer])
        first = np.zeros(len(time), dtype=bool)
        own = np.flatnonzero(inside & ~dropped & reached[customer] & ~buyer[customer])
        first[own[np.unique(customer[own], return_index=True)[1]]] = True
        coupon[first & (rng.random(len(time)) < plan.coupon)] = one.number
        sorry = reached & block.people.dislikes & (left > one.start) & (rng.random(block.n) < plan.withdraw)
        withdrawn[one.channel][sorry] = one.start + 1 + np.floor(rng.random(sorry.sum()) * 7)
        harmed = np.bincount(customer[inside & ~keep], minlength=block.n) * np.minimum(effect, 0)
        gained = np.maximum(effect, 0) * present
        assigned.append(
            {
                "campaign": np.full(len(who), one.number),
                "customer": who,
                "chance": chance,
                "treated": treated,
                "effect": effect[who],
                "expected": (gained + harmed)[who],
            }
        )
        buyers = np.flatnonzero(buyer)
        extra.append({"customer": buyers, "time": moment[buyers], "campaign": np.full(len(buyers), one.number)})
    return Outreach(_stacked(assigned), _stacked(extra), dropped, coupon, withdrawn)


_ASSIGNED = ("campaign", "customer", "chance", "treated", "effect", "expected")
_EXTRA = ("customer", "time", "campaign")


def _stacked(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def consents(block: "Block") -> "dict[str, Bools]":
    """Who agreed to be written to, when acquired."""
    plan = block.scenario.campaigns
    assert plan is not None
    rng = block.rng("consent")
    return {channel: rng.random(block.n) < share for channel, share in plan.consent.items()}


def true_effect(block: "Block") -> "Floats":
    """Chance of one more order when written to; below zero the chance that an own order is dropped."""
    plan, people = block.scenario.campaigns, block.people
    assert plan is not None
    by_need = np.array([plan.gain_need[need] for need in block.scenario.people.needs])[people.need]
    young = (45 - (2022 - people.birth_year)) / 10
    gain = np.clip(plan.gain + by_need + plan.gain_young * young, 0, 1)
    return np.where(people.dislikes, -plan.harm, gain)


def _chances(block: "Block", plan: Campaigns, one: Campaign, customer: "Ints", time: "Floats") -> "Floats":
    if not one.targeted:
        return np.full(block.n, plan.treated)
    recent = np.zeros(block.n)
    recent[customer[(time < one.start) & (time >= one.start - 60)]] = 1.0
    return expit(plan.targeted_base + plan.targeted_recent * recent + plan.targeted_rate * block.rates.score)


def campaigns_table(firm: "Firm") -> Columns:
    """The calendar."""
    plan = firm.scenario.campaigns
    assert plan is not None
    starts = np.array([one.start for one in firm.campaigns], dtype="float64")
    numbers = np.array([one.number for one in firm.campaigns], dtype="int64")
    return {
        "campaign_id": numbers,
        "start_date": dates(starts),
        "end_date": dates(starts + plan.window - 1),
        "channel": category(np.array([one.channel == "mail" for one in firm.campaigns], dtype=int), ["email", "mail"]),
        "design": category(np.array([one.targeted for one in firm.campaigns], dtype=int), ["randomised", "targeted"]),
        "contact_cost": np.array([plan.costs[one.channel] for one in firm.campaigns], dtype="float64"),
    }


def assignments_table(block: "Block") -> Columns:
    """Who could be written to in each campaign, and who was."""
    assigned = block.history.outreach.assigned
    return {
        "campaign_id": assigned["campaign"],
        "customer_id": block.ids[assigned["customer"]],
        "group": category(assigned["treated"].astype(int), ["control", "treated"]),
    }


def true_assignments_table(block: "Block") -> Columns:
    """The chance of being written to, and the true effect of it."""
    assigned = block.history.outreach.assigned
    return {
        "campaign_id": assigned["campaign"],
        "customer_id": block.ids[assigned["customer"]],
        "propensity": assigned["chance"],
        "effect": assigned["effect"],
        "expected_orders": assigned["expected"],
    }


def contacts_table(block: "Block") -> Columns:
    """The contacts themselves, on the first day of the campaign."""
    assigned = block.history.outreach.assigned
    sent = assigned["treated"]
    number = assigned["campaign"][sent]
    return {
        "campaign_id": number,
        "customer_id": block.ids[assigned["customer"][sent]],
        "date": dates(np.array([one.start for one in block.firm.campaigns])[number - 1]),
        "channel": category(number % 2, ["email", "mail"]),
    }


def responses_table(block: "Block") -> Columns:
    """Orders that used a campaign's offer, whether or not they would have happened anyway."""
    history = block.history
    rows = np.flatnonzero(history.campaign > 0)
    return {
        "campaign_id": history.campaign[rows],
        "customer_id": block.ids[history.customer[rows]],
        "date": dates(history.time[rows]),
        "order_id": history.order_id[rows],
    }


def consents_table(block: "Block") -> Columns:
    """Consent to each channel, when it was given and when it was taken back."""
    given = consents(block)
    rows = {channel: np.flatnonzero(agreed) for channel, agreed in given.items()}
    who = np.concatenate(list(rows.values()))
    withdrawn = [block.history.outreach.withdrawn[channel][row] for channel, row in rows.items()]
    code = np.repeat(np.arange(len(rows)), [len(row) for row in rows.values()])
    return {
        "customer_id": block.ids[who],
        "channel": category(code, list(rows)),
        "given_on": dates(block.people.acquired[who]),
        "withdrawn_on": dates(np.concatenate(withdrawn)),
    }
