"""Who knows whom, and who brought whom."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company.base import Columns, NotNegative, Number, Positive, Share, counts, dates

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Network:
    """Friends among the customers, and referrals by them.

    There are `degree` × (number of customers) / 2 meetings. Each is of two customers drawn in proportion to their
    sociability, which is Gamma with mean 1 and shape `evenness`; with chance `homophily` the second is drawn from the
    region of the first. Who met are friends, once; friends are within one block of 4,096 customers.

    A customer whose acquisition channel is ``referral`` was referred by a friend who was a customer at that time,
    drawn with weight exp(`kappa` × satisfaction); where there was none, the referrer is not known.

    Attributes
    ----------
    degree : float
        Mean number of friends, less the few who meet twice.
    reward : float
        What the firm gives a referrer for each referral, in money.
    """

    degree: Positive
    evenness: Positive
    homophily: Share
    kappa: Number
    reward: NotNegative


@dataclass(frozen=True)
class Ties:
    """The network of a block.

    Attributes
    ----------
    one, other : array of int
        Positions of two friends in the block, ``one < other``, each pair once.
    referred, referrer : array of int
        For every customer of the channel ``referral``, every friend who could have been the referrer, in ascending
        order of the referred.
    chance : array of float
        Chance that it was this friend.
    chosen : array of bool
        Whether it was.
    """

    one: "Ints"
    other: "Ints"
    referred: "Ints"
    referrer: "Ints"
    chance: "Floats"
    chosen: "Bools"


def draw_ties(block: "Block") -> Ties:
    """Draw the network of a block, and who referred whom."""
    plan = block.scenario.network
    assert plan is not None
    one, other = _friends(block, plan)
    referred, referrer = _eligible(block, np.concatenate([one, other]), np.concatenate([other, one]))
    weight = np.exp(plan.kappa * block.people.attitudes["satisfaction"][referrer])
    total = np.bincount(referred, weights=weight, minlength=block.n)[referred]
    with np.errstate(divide="ignore"):
        arrival = -np.log(block.rng("referrers").random(len(weight))) / weight  # the first of independent clocks
    first = np.full(block.n, np.inf)
    np.minimum.at(first, referred, arrival)
    return Ties(one, other, referred, referrer, weight / total, arrival == first[referred])


def _friends(block: "Block", plan: Network) -> "tuple[Ints, Ints]":
    rng, region = block.rng("friends"), block.people.region
    sociable = rng.gamma(plan.evenness, 1.0, block.n)
    by_region = np.argsort(region, kind="stable")
    edges = np.concatenate([[0.0], np.cumsum(sociable[by_region])])
    starts = np.searchsorted(region[by_region], np.arange(region.max() + 2))
    meetings = counts(rng, np.array([plan.degree * block.n / 2]), "network.degree").item()

    def drawn(low: "Floats", high: "Floats") -> "Ints":
        at = np.searchsorted(edges, low + rng.random(meetings) * (high - low), side="right") - 1
        return by_region[np.minimum(at, block.n - 1)]

    everywhere, whole = np.zeros(meetings), np.full(meetings, edges[-1])
    first = drawn(everywhere, whole)
    near = rng.random(meetings) < plan.homophily
    home = region[first]
    second = drawn(np.where(near, edges[starts[home]], 0.0), np.where(near, edges[starts[home + 1]], whole))
    pairs = np.unique(np.minimum(first, second) * block.n + np.maximum(first, second))
    one, other = pairs // block.n, pairs % block.n
    return one[one < other], other[one < other]


def _eligible(block: "Block", who: "Ints", friend: "Ints") -> "tuple[Ints, Ints]":
    """Pairs of a referred customer and a friend who was a customer at that time."""
    channels = list(block.scenario.people.channels)
    referral = channels.index("referral") if "referral" in channels else -1
    when = block.people.acquired[who]
    present = (block.people.acquired[friend] < when) & (block.history.left[friend] > when)
    rows = np.flatnonzero(present & (block.people.channel[who] == referral))
    rows = rows[np.lexsort((friend[rows], who[rows]))]
    return who[rows], friend[rows]


def friendships_table(block: "Block") -> Columns:
    """Every pair of friends, once."""
    return {"customer_id": block.ids[block.ties.one], "friend_id": block.ids[block.ties.other]}


def referrals_table(block: "Block") -> Columns:
    """The referrals whose referrer is known."""
    plan, ties = block.scenario.network, block.ties
    assert plan is not None
    referred = ties.referred[ties.chosen]
    return {
        "referrer_id": block.ids[ties.referrer[ties.chosen]],
        "customer_id": block.ids[referred],
        "date": dates(block.people.acquired[referred]),
        "reward": np.full(len(referred), plan.reward),
    }


def true_referrals_table(block: "Block") -> Columns:
    """Who could have referred whom, and with what chance."""
    ties = block.ties
    return {
        "customer_id": block.ids[ties.referred],
        "friend_id": block.ids[ties.referrer],
        "probability": ties.chance,
    }
