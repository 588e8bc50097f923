"""The loyalty programme: who joins, what joining does to buying, and the ledger of points."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
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
    category,
    dates,
    first_of,
    month_start,
    months,
    rank,
)

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.buying import Candidates
    from crmlab.datasets.company.firm import Block, Firm


@dataclass(frozen=True)
class Programme:
    """A points programme, rolled out region by region in a random order.

    A customer can join at any order after the roll-out, with log-odds `intercept` + `by_rate` × (normal score of the
    own buying rate) + `on_a_spree` if the order before is at most a week old. So heavy buyers join, at busy times.

    Attributes
    ----------
    first_day, step : int
        Day of the first region's roll-out, counted from the opening, and days from one region to the next.
    effect : mapping of str to float
        Need segment to the true rise of the buying rate by joining; 0.1 is a tenth more orders.
    points_per_unit : float
        Points earned for each unit of money spent.
    reward : int
        Points that a reward takes.
    redeeming : tuple of float
        Parameters of the Beta distribution, over members, of the chance to take a reward at an order when there are
        points enough.
    expiry : int
        Days without earning after which all points are lost.
    tiers : mapping of str to int
        Tier to the points earned in a year that it takes, from the lowest; reviewed on the first day of every month.
    """

    first_day: Count
    step: Count
    intercept: Number
    by_rate: Number
    on_a_spree: Number
    effect: Mapping[str, NotNegative]
    points_per_unit: Positive
    reward: Count
    redeeming: tuple[Positive, Positive]
    expiry: Count
    tiers: Annotated[Mapping[str, int], Field(min_length=1)]


def rollout(firm: "Firm") -> "Floats":
    """Day on which the programme reaches each region."""
    programme, regions = firm.scenario.programme, len(firm.scenario.people.regions)
    assert programme is not None
    return programme.first_day + programme.step * firm.rng("rollout").permutation(regions).astype("float64")


def effects(block: "Block") -> "Floats":
    """True effect of joining on each customer's rate; zeros without a programme."""
    programme = block.scenario.programme
    if programme is None:
        return np.zeros(block.n)
    return np.array([programme.effect[need] for need in block.scenario.people.needs])[block.people.need]


def enrol(block: "Block", candidates: "Candidates", happens: "Bools") -> "Floats":
    """When each customer joins, in days since the opening; infinite for those who never do."""
    programme = block.scenario.programme
    if programme is None:
        return np.full(block.n, np.inf)
    rows = np.flatnonzero(happens)
    customer, time = candidates.customer[rows], candidates.time[rows]
    gap = np.diff(time, prepend=-np.inf)
    spree = (np.diff(customer, prepend=-1) == 0) & (gap <= 7)
    odds = programme.intercept + programme.by_rate * block.rates.score[customer] + programme.on_a_spree * spree
    open_to = time >= rollout(block.firm)[block.people.region[customer]]
    joins = open_to & (block.rng("enrolment").random(len(rows)) < expit(odds))
    first = first_of(joins, customer, block.n)
    return np.where(first >= 0, time[np.maximum(first, 0)], np.inf)


def members_table(block: "Block") -> Columns:
    """Who joined, and when."""
    joined = block.history.joined
    member = np.isfinite(joined)
    return {"customer_id": block.ids[member], "joined_on": dates(joined[member])}


@dataclass(frozen=True)
class Ledger:
    """All movements of points in a block, sorted by customer and time; the running sum is the balance.

    Attributes
    ----------
    customer, time, points : array
        Position of the customer in the block, days since the opening, and points with their sign.
    kind : array of int
        Position in `MOVES`.
    row : array of int
        Position of the order in the history, or -1 where points expire.
    """

    customer: "Ints"
    time: "Floats"
    points: "Ints"
    kind: "Ints"
    row: "Ints"


MOVES = ("expire", "redeem", "earn")


def redeeming(block: "Block") -> "Floats":
    """Each customer's chance to take a reward at an order when there are points enough."""
    programme = block.scenario.programme
    assert programme is not None
    return block.rng("redeeming").beta(*programme.redeeming, block.n)


def draw_ledger(block: "Block") -> Ledger:
    """Keep the ledger: the joining order is the first that earns, and a reward is taken before an order earns."""
    programme, history, rng = block.scenario.programme, block.history, block.rng("points")
    assert programme is not None
    row = np.flatnonzero(history.time >= history.joined[history.customer])
    earned = np.floor(programme.points_per_unit * block.lines.order_cents[row] / 100).astype("int64")
    taken, lost, lost_at = np.zeros_like(earned), np.zeros_like(earned), np.full(len(row), np.inf)
    wishes = rng.random(len(row)) < redeeming(block)[history.customer[row]]
    balance, until = np.zeros(block.n, dtype="int64"), np.full(block.n, np.inf)
    turn = rank(history.customer[row])
    by_turn = np.argsort(turn, kind="stable")
    for at in np.split(by_turn, np.cumsum(np.bincount(turn))[:-1]):
        who, now = history.customer[row[at]], history.time[row[at]]
        late = until[who] < now
        lost_at[at[late]], lost[at[late]] = until[who[late]], balance[who[late]]
        balance[who[late]] = 0
        taken[at] = programme.reward * (wishes[at] & (balance[who] >= programme.reward))
        balance[who] += earned[at] - taken[at]
        until[who] = np.where(earned[at] > 0, now + programme.expiry, until[who])
    over = np.flatnonzero((until < block.days) & (balance > 0))
    owner, times = history.customer[row], history.time[row]
    ledger = Ledger(
        customer=np.concatenate([owner, owner, owner, over]),
        time=np.concatenate([lost_at, times, times, until[over]]),
        points=np.concatenate([-lost, -taken, earned, -balance[over]]),
        kind=np.repeat([0, 1, 2, 0], [len(row), len(row), len(row), len(over)]),
        row=np.concatenate([np.full(len(row), -1), row, row, np.full(len(over), -1)]),
    )
    moved = np.flatnonzero(ledger.points)
    order = moved[np.lexsort((ledger.kind[moved], ledger.time[moved], ledger.customer[moved]))]
    return Ledger(*(getattr(ledger, one.name)[order] for one in fields(Ledger)))


def points_table(block: "Block") -> Columns:
    """The ledger of points."""
    ledger = block.ledger
    return {
        "customer_id": block.ids[ledger.customer],
        "date": dates(ledger.time),
        "kind": category(ledger.kind, MOVES),
        "points": ledger.points,
        "order_id": np.where(ledger.row >= 0, block.history.order_id[ledger.row], np.nan),
    }


def tiers_table(block: "Block") -> Columns:
    """Every change of tier, on the first day of a month, by the points earned in the 365 days before."""
    programme, ledger, joined = block.scenario.programme, block.ledger, block.history.joined
    assert programme is not None
    earns = ledger.points > 0
    keys = ledger.customer[earns] * 4.0 * block.days + ledger.time[earns]
    earned = np.r_[0, np.cumsum(ledger.points[earns])]
    first_days = month_start(np.arange(1, months(np.array([block.days - 1.0]))[0] + 1))
    who = np.flatnonzero(np.isfinite(joined))
    customer, day = np.repeat(who, len(first_days)), np.tile(first_days, len(who))
    base = customer * 4.0 * block.days + day
    recent = earned[np.searchsorted(keys, base)] - earned[np.searchsorted(keys, base - 365)]
    level = np.searchsorted(list(programme.tiers.values()), recent, side="right") - 1
    before = np.where(rank(customer) == 0, 0, np.roll(level, 1))
    changed = level != before
    return {
        "customer_id": block.ids[customer[changed]],
        "date": dates(day[changed]),
        "tier": category(level[changed], list(programme.tiers)),
    }


def true_members_table(block: "Block") -> Columns:
    """What only a simulation knows of the members."""
    member = np.isfinite(block.history.joined)
    return {
        "customer_id": block.ids[member],
        "redeeming": redeeming(block)[member],
        "effect": effects(block)[member],
    }
