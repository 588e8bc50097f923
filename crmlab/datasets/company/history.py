"""The orders of a block: what customers do of themselves, and what the firm's doings add and take away."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company import campaigns, programme, service
from crmlab.datasets.company.base import Columns, category, rank, stamps
from crmlab.datasets.company.buying import draw_candidates, left_after, season_by_day
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.campaigns import Outreach
    from crmlab.datasets.company.firm import Block

CAUSES = ("own", "recovery", "programme", "campaign")
MOST_ORDERS = 10_000


@dataclass(frozen=True)
class History:
    """The orders of a block, sorted by customer and time, and what they depend on.

    Attributes
    ----------
    customer, time : array
        Position of the customer in the block, and days since the opening.
    cause : array of int
        Position in `CAUSES`: what the order would not exist without.
    campaign : array of int
        Number of the campaign whose offer the order used, or 0.
    failed : array of bool
        Whether something went wrong with the order.
    order_id : array of int
        Number of the order.
    left : array of float
        When each customer leaves; it may lie after the end, and is infinite for those who never do.
    joined : array of float
        When each customer joins the loyalty programme, or infinite.
    recovery : service.Recovery
        The first failure of each customer, and what became of it.
    outreach : campaigns.Outreach
        What the campaigns did.
    """

    customer: "Ints"
    time: "Floats"
    cause: "Ints"
    campaign: "Ints"
    failed: "Bools"
    order_id: "Ints"
    left: "Floats"
    joined: "Floats"
    recovery: "service.Recovery"
    outreach: "Outreach"


def draw_history(block: "Block") -> History:
    """Draw all orders of a block.

    One candidate process is thinned by the same marks at every step, so that the orders which an effect added can be
    told from those that would have happened anyway.
    """
    season, effect = season_by_day(block.firm), programme.effects(block)
    best_recovery = service.best_factor(block.scenario.service)
    ceiling = season.max() * best_recovery * (1 + effect.max(initial=0.0))
    found = draw_candidates(block, ceiling)
    level = season[found.time.astype("int64")] / ceiling
    own = found.mark < level
    left = left_after(block, found, own)
    present = found.time <= left[found.customer]
    own &= present
    failed = own & service.fails(block, len(own))
    recovery = service.draw_recovery(block, found, failed)
    served = level * recovery.factor(found.customer, found.time)
    happens = present & (found.mark < served)
    joined = programme.enrol(block, found, happens)
    member = found.time > joined[found.customer]
    happens_too = present & (found.mark < served * np.where(member, 1 + effect[found.customer], 1.0))
    cause = np.select([own & happens, happens], [0, 1], 2)

    rows = np.flatnonzero(happens_too)
    customer, time = found.customer[rows], found.time[rows]
    keep = (found.mark[rows] < 0) | failed[rows] | (time == joined[customer])
    outreach = campaigns.reach_out(block, customer, time, keep, left)
    stays = ~outreach.dropped
    extra = outreach.extra
    blank = np.zeros(len(extra["time"]), dtype=int)
    customer = np.concatenate([customer[stays], extra["customer"]])
    time = np.concatenate([time[stays], extra["time"]])
    order = np.lexsort((time, customer))

    def put(values: np.ndarray, added: np.ndarray) -> np.ndarray:
        return np.concatenate([values[stays], added])[order]

    return History(
        customer=customer[order],
        time=time[order],
        cause=put(cause[rows], blank + 3),
        campaign=put(outreach.coupon, extra["campaign"]),
        failed=put(failed[rows], blank.astype(bool)),
        order_id=number(block, customer[order]),
        left=left,
        joined=joined,
        recovery=recovery,
        outreach=outreach,
    )


def number(block: "Block", customer: "Ints") -> "Ints":
    """Order numbers: the customer's number followed by four digits."""
    place = rank(customer)
    if place.max(initial=0) >= MOST_ORDERS:
        raise ContractError(
            f"buying: a customer has more than {MOST_ORDERS:,} orders; simulate fewer years, or lower the buying rates"
        )
    return block.ids[customer] * MOST_ORDERS + place


def orders_table(block: "Block") -> Columns:
    """One row an order."""
    history, lines = block.history, block.lines
    channels = block.scenario.assortment.channels
    served = np.array([one.cost for one in channels.values()])[lines.channel]
    return {
        "order_id": history.order_id,
        "customer_id": block.ids[history.customer],
        "date": stamps(history.time),
        "channel": category(lines.channel, list(channels)),
        "amount": lines.order_cents / 100,
        "n_lines": np.bincount(lines.order, minlength=len(history.time)),
        "cost_to_serve": served,
    }


def true_orders_table(block: "Block") -> Columns:
    """Orders that would not exist without a doing of the firm, or with which something went wrong."""
    history = block.history
    rows = np.flatnonzero((history.cause > 0) | history.failed)
    return {
        "order_id": history.order_id[rows],
        "cause": category(history.cause[rows], CAUSES),
        "failed": history.failed[rows],
    }
