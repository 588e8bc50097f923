"""Service: orders that go wrong, complaints, recovery, and what they do to buying."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company.base import Columns, Count, Positive, Share, first_of

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.buying import Candidates
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Service:
    """What goes wrong, and what is done about it.

    Each order of the own accord fails with chance `failure`; one that the programme, a campaign or a recovery brought
    about never does. Of those who meet a failure a share `complains`; a complaint is recovered with chance `recovered`,
    decided at random by the desk's roster. For `lasting` days after a customer's *first*
    failure the buying rate is multiplied by `after_silence`, `after_complaint` or `after_recovery`.

    Attributes
    ----------
    lasting : int
        Days for which the first failure is felt.
    """

    failure: Share
    complains: Share
    recovered: Share
    after_silence: Positive
    after_complaint: Positive
    after_recovery: Positive
    lasting: Count


@dataclass(frozen=True)
class Recovery:
    """The first failure of every customer.

    Attributes
    ----------
    failed_at : array of float
        Days since the opening; infinite where nothing ever failed.
    until : array of float
        When it is forgotten.
    multiplier : array of float
        Factor on the buying rate between the two.
    complained, recovered : array of bool
        Whether the customer complained of it, and whether the complaint was made good.
    """

    failed_at: "Floats"
    until: "Floats"
    multiplier: "Floats"
    complained: "Bools"
    recovered: "Bools"

    def factor(self, customer: "Ints", time: "Floats") -> "Floats":
        """The factor that holds for these customers at these times."""
        felt = (time > self.failed_at[customer]) & (time <= self.until[customer])
        return np.where(felt, self.multiplier[customer], 1.0)


def best_factor(plan: Service | None) -> float:
    """The highest factor on the buying rate that service can bring about."""
    return 1.0 if plan is None else max(1.0, plan.after_silence, plan.after_complaint, plan.after_recovery)


def fails(block: "Block", orders: int) -> "Bools":
    """Whether something would go wrong with each of so many orders."""
    plan = block.scenario.service
    if plan is None:
        return np.zeros(orders, dtype=bool)
    return block.rng("failures").random(orders) < plan.failure


def draw_recovery(block: "Block", candidates: "Candidates", failed: "Bools") -> Recovery:
    """Draw what became of the first failure of each customer."""
    plan, never = block.scenario.service, np.full(block.n, np.inf)
    if plan is None:
        no = np.zeros(block.n, dtype=bool)
        return Recovery(never, never, np.ones(block.n), no, no)
    first = first_of(failed, candidates.customer, block.n)
    chance = block.rng("first complaint").random((2, block.n))
    complained = (first >= 0) & (chance[0] < plan.complains)
    recovered = complained & (chance[1] < plan.recovered)
    multiplier = np.select([recovered, complained], [plan.after_recovery, plan.after_complaint], plan.after_silence)
    failed_at = np.where(first >= 0, candidates.time[np.maximum(first, 0)], np.inf)
    return Recovery(failed_at, failed_at + plan.lasting, multiplier, complained, recovered)


MOST_DELAY, MOST_REPAIR = 2.0, 3.0  # days from the failure to the complaint, and from there to its being made good


@dataclass(frozen=True)
class Complaints:
    """What became of every failed order of a block, in the order of the history.

    The first failure of a customer is that of `Recovery`; for later ones the same chances hold.

    Attributes
    ----------
    row : array of int
        Position of the order in the history.
    at : array of float
        When the customer complained, in days since the opening; missing without a complaint.
    repaired : array of float
        When the complaint was made good; missing if it never was.
    """

    row: "Ints"
    at: "Floats"
    repaired: "Floats"


def draw_complaints(block: "Block") -> Complaints:
    """Draw the complaints of a block; a customer complains before leaving, and within two days."""
    plan, history, rng = block.scenario.service, block.history, block.rng("complaints")
    row = np.flatnonzero(history.failed)
    if plan is None:
        return Complaints(row, np.array([]), np.array([]))
    customer, time, recovery = history.customer[row], history.time[row], history.recovery
    first, chance = time == recovery.failed_at[customer], rng.random((4, len(row)))
    complained = np.where(first, recovery.complained[customer], chance[0] < plan.complains)
    recovered = complained & np.where(first, recovery.recovered[customer], chance[1] < plan.recovered)
    end = np.minimum(history.left, block.days)[customer]
    at = time + chance[2] * np.minimum(MOST_DELAY, end - time)
    repaired = at + chance[3] * np.minimum(MOST_REPAIR, block.days - at)
    return Complaints(row, np.where(complained, at, np.nan), np.where(recovered, repaired, np.nan))


def true_complaints_table(block: "Block") -> Columns:
    """Every failed order, also those of which the firm never heard."""
    history, complaints = block.history, block.complaints
    return {
        "order_id": history.order_id[complaints.row],
        "customer_id": block.ids[history.customer[complaints.row]],
        "complained": np.isfinite(complaints.at),
        "recovered": np.isfinite(complaints.repaired),
    }
