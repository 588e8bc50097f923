"""A firm that sells subscriptions and nothing else: its orders are the monthly invoices."""

from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company import campaigns, service
from crmlab.datasets.company.assortment import Lines, draw_channels
from crmlab.datasets.company.base import WEEK, YEAR, months
from crmlab.datasets.company.buying import Candidates, Rates
from crmlab.datasets.company.history import History, number
from crmlab.datasets.company.tenure import renewals

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Floats
    from crmlab.datasets.company.firm import Block


def _prices(block: "Block") -> "Floats":
    plan = block.scenario.subscription
    assert plan is not None
    return np.array([one.price for one in plan.plans.values()])[block.contracts.plan]


def invoice_rates(block: "Block") -> Rates:
    """A subscriber's rates: an order a month of the plan's price, for as long as the contract lasts."""
    contracts = block.contracts
    return Rates(
        weekly=np.full(block.n, 12 * WEEK / YEAR),
        score=np.zeros(block.n),
        dropout=contracts.theta,
        lifetime=contracts.ended - contracts.started,
        unbonded=contracts.ended - contracts.started,
        value=_prices(block),
    )


def invoice_history(block: "Block") -> History:
    """One order for every month paid, the first when the customer is acquired."""
    contracts = block.contracts
    within = 12 * block.firm.years - months(contracts.started)
    count = np.minimum(contracts.months, within)
    customer = np.repeat(np.arange(block.n), count)
    month = np.arange(len(customer)) - np.repeat(np.cumsum(count) - count, count)
    time = renewals(contracts.started[customer], month)
    none = np.zeros(len(customer), dtype=int)
    never = np.zeros(len(customer), dtype=bool)
    return History(
        customer=customer,
        time=time,
        cause=none,
        campaign=none,
        failed=never,
        order_id=number(block, customer),
        left=contracts.ended,
        joined=np.full(block.n, np.inf),
        recovery=service.draw_recovery(block, Candidates(customer, time, time), never),
        outreach=campaigns.reach_out(block, customer, time, never, contracts.ended),
    )


def invoice_lines(block: "Block") -> Lines:
    """Every invoice has one line: the plan."""
    assortment, plan, customer = block.scenario.assortment, block.scenario.subscription, block.history.customer
    assert plan is not None
    products = list(assortment.products)
    product = np.array([products.index(name) for name in plan.plans])[block.contracts.plan[customer]]
    cents = np.rint(100 * _prices(block)[customer]).astype("int64")
    one = np.ones(len(customer), dtype="int64")
    return Lines(
        order=np.arange(len(customer)),
        product=product,
        cents=cents,
        quantity=one,
        order_cents=cents,
        occasion=0 * one,
        channel=draw_channels(block, block.rng("invoices")),
    )
