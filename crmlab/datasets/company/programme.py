"""The loyalty programme: who joins, what joining does to buying, and the ledger of points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from crmlab.datasets.company.base import Columns, Count, NotNegative, Positive, dates, first_of

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats
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
    """

    first_day: Count
    step: Count
    intercept: float
    by_rate: float
    on_a_spree: float
    effect: Mapping[str, NotNegative]
    points_per_unit: Positive
    reward: Count
    redeeming: tuple[Positive, Positive]
    expiry: Count


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
