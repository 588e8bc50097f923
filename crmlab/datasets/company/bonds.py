"""Relationship bonds between the firm and its accounts, rolled out at random.

References
----------
Berry, L. L. (1995). Relationship marketing of services: growing interest, emerging perspectives. *Journal of the
Academy of Marketing Science* 23(4), 236-245.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from crmlab.datasets.company.base import Columns, Count, NotNegative, Positive, category, choose, dates, month_start

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats, Ints
    from crmlab.datasets.company.firm import Block


NONE = "none"


@dataclass(frozen=True)
class Bond:
    """A level: weight among the accounts, true factor on the drop-out rate, and yearly cost of an account."""

    weight: Positive
    hazard_ratio: Positive
    yearly_cost: NotNegative


@dataclass(frozen=True)
class Bonds:
    """Bonds (price terms, personal contact, joint systems) whose level was drawn by lot.

    Every account is in one of `waves` waves, at random; wave k starts with quarter `first_quarter` + k. When its wave
    starts, or when it is acquired if that is later, the account is given a level or none at random. From then on
    its drop-out rate is multiplied by the level's hazard ratio: what remains of the lifetime is divided by it. The
    firm cannot see which accounts have left by then: these get a level too, on which nothing depends.

    Attributes
    ----------
    control : float
        Weight of no bond among the accounts.
    levels : mapping of str to Bond
    first_quarter, waves : int
        Quarters are counted from the opening.
    """

    control: Positive
    levels: Annotated[Mapping[str, Bond], Field(min_length=1)]
    first_quarter: Count
    waves: Count


def draw_bonds(block: "Block") -> "tuple[Ints, Floats]":
    """Level of every account, 0 for none, and when it starts, in days since the opening."""
    plan, rng = block.scenario.bonds, block.rng("bonds")
    assert plan is not None
    level = choose(rng, np.tile([plan.control, *(one.weight for one in plan.levels.values())], (block.n, 1)))
    wave = plan.first_quarter + rng.integers(0, plan.waves, block.n)
    return level, np.maximum(month_start(3 * wave), block.people.acquired)


def bonded(block: "Block", lifetime: "Floats") -> "Floats":
    """The lifetimes when the bonds have done their part."""
    plan = block.scenario.bonds
    if plan is None:
        return lifetime
    level, start = draw_bonds(block)
    ratio = np.array([1.0, *(one.hazard_ratio for one in plan.levels.values())])[level]
    before = start - block.people.acquired
    return np.where((lifetime > before) & (level > 0), before + (lifetime - before) / ratio, lifetime)


def bonds_table(block: "Block") -> Columns:
    """Level of every account that has one by the end."""
    plan = block.scenario.bonds
    assert plan is not None
    level, start = draw_bonds(block)
    rows = np.flatnonzero(start < block.days)
    return {
        "customer_id": block.ids[rows],
        "level": category(level[rows], [NONE, *plan.levels]),
        "assigned_on": dates(start[rows]),
        "since": dates(np.where(level[rows] > 0, start[rows], np.inf)),
    }


def true_bonds_table(block: "Block") -> Columns:
    """Whether the account was still one, and its lifetime with the bond and without."""
    _, start = draw_bonds(block)
    rows = np.flatnonzero(start < block.days)
    rates = block.rates
    return {
        "customer_id": block.ids[rows],
        "present": (block.people.acquired + rates.lifetime > start)[rows],
        "lifetime": rates.lifetime[rows],
        "lifetime_without": rates.unbonded[rows],
    }
