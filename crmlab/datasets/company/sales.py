"""Sales opportunities of accounts: through stages to won or lost, with the forecasts of those who sell.

They are about equipment that is invoiced apart: no opportunity is among the orders.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit, logit

from crmlab.datasets.company.base import YEAR, Columns, Number, Positive, Spread, category, counts, dates, rank
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats, Ints
    from crmlab.datasets.company.firm import Block

STAGES = ("lead", "qualified", "proposal", "negotiation", "won", "lost")
_OPEN, _WON, _LOST = 4, 4, 5
MOST_OPPORTUNITIES = 1000

Chance = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Stage:
    """Chance to pass a stage, for a mean account and an owner of skill 0, and mean days that are spent in it."""

    passes: Chance
    days: Annotated[float, Field(gt=0, le=3650)]


@dataclass(frozen=True)
class Stages:
    """The four open stages, in their order."""

    lead: Stage
    qualified: Stage
    proposal: Stage
    negotiation: Stage


@dataclass(frozen=True)
class Owner:
    """A sales person: log-odds that the skill adds to passing each stage, and that optimism adds to each forecast."""

    skill: Number
    optimism: Number


@dataclass(frozen=True)
class Sales:
    """Opportunities, which arise by a Poisson process while the account is a customer.

    An opportunity passes each stage with log-odds logit(`passes`) + skill of the owner + `by_size` × (standardised log
    of employees) + `by_trust` × (attitude *trust*), and is lost otherwise. Time in a stage is gamma, and says nothing
    about what follows. On entering a stage the owner, one for each account, forecasts the chance of winning: its true
    log-odds + optimism + `noise` × a standard normal. When an account leaves, what is open is lost.

    Attributes
    ----------
    per_year : float
        Mean number of opportunities of an account a year.
    stages : Stages
    shape : float
        Shape of the waiting times.
    owners : mapping of str to Owner
    value, spread, value_by_size : float
        Median value of an opportunity of a mean account, standard deviation of its log, and slope of the log on the
        standardised log of employees.
    """

    per_year: Positive
    stages: Stages
    shape: Annotated[float, Field(ge=0.05, le=1e6)]
    owners: Annotated[Mapping[str, Owner], Field(min_length=1)]
    by_size: Number
    by_trust: Number
    noise: Spread
    value: Positive
    spread: Spread
    value_by_size: Number


@dataclass(frozen=True)
class Opportunities:
    """The opportunities of a block, sorted by customer and time.

    Attributes
    ----------
    customer, owner : array of int
        Position in the block, and among the owners.
    number : array of int
        Number of the opportunity.
    value : array of float
        Money.
    chance : array of float, shape (n, 4)
        True chance of winning from each open stage, were the account to stay.
    forecast : array of float, shape (n, 4)
        What the owner says on entering each stage.
    entered : array of float, shape (n, 5)
        When each open stage, and after it the outcome, would be entered if all before were passed.
    passed : array of int
        Open stages passed in the end, 4 for one that is won.
    closes : array of float
        When it would be won or lost, maybe after the end.
    departs : array of float
        When the account leaves.
    """

    customer: "Ints"
    owner: "Ints"
    number: "Ints"
    value: "Floats"
    chance: "Floats"
    forecast: "Floats"
    entered: "Floats"
    passed: "Ints"
    closes: "Floats"
    departs: "Floats"


def draw_opportunities(block: "Block") -> Opportunities:
    """Draw the opportunities of a block's accounts."""
    plan, people, rng = block.scenario.sales, block.people, block.rng("opportunities")
    assert plan is not None
    stages = [getattr(plan.stages, name) for name in STAGES[:_OPEN]]
    span = np.minimum(block.history.left, block.days) - people.acquired
    customer = np.repeat(np.arange(block.n), counts(rng, plan.per_year / YEAR * span, "sales.per_year"))
    n = len(customer)
    opened = people.acquired[customer] + rng.random(n) * span[customer]
    opened = opened[np.lexsort((opened, customer))]
    owner = rng.integers(0, len(plan.owners), block.n)[customer]
    skill, optimism = np.array([(one.skill, one.optimism) for one in plan.owners.values()])[owner].T
    size = (np.log(people.size[customer]) - 4) / 1.2
    odds = skill + plan.by_size * size + plan.by_trust * people.attitudes["trust"][customer]
    passing = expit(odds[:, None] + logit([one.passes for one in stages]))
    chance = np.cumprod(passing[:, ::-1], axis=1)[:, ::-1]
    said = logit(chance) + optimism[:, None] + plan.noise * rng.standard_normal(chance.shape)
    waits = rng.gamma(plan.shape, 1 / plan.shape, chance.shape) * [one.days for one in stages]
    entered = opened[:, None] + np.column_stack([np.zeros(n), np.cumsum(waits, axis=1)])
    passed = np.cumprod(rng.random(chance.shape) < passing, axis=1).sum(axis=1)
    return Opportunities(
        customer=customer,
        owner=owner,
        number=_numbers(block, customer),
        value=np.round(plan.value * np.exp(plan.value_by_size * size + plan.spread * rng.standard_normal(n)), -2),
        chance=chance,
        forecast=np.round(expit(said), 2),
        entered=entered,
        passed=passed,
        closes=entered[np.arange(n), np.minimum(passed + 1, _OPEN)],
        departs=block.history.left[customer],
    )


def _numbers(block: "Block", customer: "Ints") -> "Ints":
    """Opportunity numbers: the customer's number followed by three digits."""
    place = rank(customer)
    if place.max(initial=0) >= MOST_OPPORTUNITIES:
        raise ContractError(f"sales.per_year: an account has more than {MOST_OPPORTUNITIES:,} opportunities; lower it")
    return block.ids[customer] * MOST_OPPORTUNITIES + place


def _fate(block: "Block") -> "tuple[Floats, Ints]":
    """When each opportunity was won or lost, infinite if it is still open, and its stage at the end."""
    found = block.opportunities
    closed = np.minimum(found.closes, found.departs)
    won = (found.passed == _OPEN) & (found.closes <= found.departs)
    reached = (found.entered[:, 1:_OPEN] < block.days).sum(axis=1)
    stage = np.where(closed < block.days, np.where(won, _WON, _LOST), np.minimum(reached, found.passed))
    return np.where(closed < block.days, closed, np.inf), stage


def opportunities_table(block: "Block") -> Columns:
    """One row an opportunity."""
    plan, found = block.scenario.sales, block.opportunities
    assert plan is not None
    closed, stage = _fate(block)
    return {
        "opportunity_id": found.number,
        "customer_id": block.ids[found.customer],
        "owner": category(found.owner, list(plan.owners)),
        "opened_on": dates(found.entered[:, 0]),
        "value": found.value,
        "stage": category(stage, STAGES),
        "closed_on": dates(closed),
        "outcome": category(np.where(stage >= _OPEN, stage - _OPEN, -1), STAGES[_OPEN:]),
    }


def opportunity_stages_table(block: "Block") -> Columns:
    """One row a stage that an opportunity entered, won and lost among them."""
    found = block.opportunities
    closed, stage = _fate(block)
    n = len(closed)
    until = np.minimum(closed, block.days)[:, None]
    inside = (np.arange(_OPEN) <= found.passed[:, None]) & (found.entered[:, :_OPEN] < until)
    rows, step = np.nonzero(np.column_stack([inside, np.isfinite(closed)]))
    ends = step == _OPEN
    forecast = np.column_stack([found.forecast, np.full(n, np.nan)])
    entered = np.column_stack([found.entered[:, :_OPEN], closed])
    return {
        "opportunity_id": found.number[rows],
        "stage": category(np.where(ends, stage[rows], step), STAGES),
        "entered_on": dates(entered[rows, step]),
        "forecast": forecast[rows, step],
    }


def true_opportunities_table(block: "Block") -> Columns:
    """True chance of winning from every stage, and what becomes of the opportunity after the end."""
    found = block.opportunities
    departs = found.departs < found.closes
    return {
        "opportunity_id": found.number,
        **{f"win_from_{name}": found.chance[:, place] for place, name in enumerate(STAGES[:_OPEN])},
        "closes_on": dates(np.minimum(found.closes, found.departs)),
        "won": (found.passed == _OPEN) & ~departs,
        "account_leaves": departs,
    }
