"""The firm, and the blocks of customers that it is drawn in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from crmlab.datasets.company import (
    assortment,
    bonds,
    buying,
    campaigns,
    decisions,
    desk,
    history,
    identities,
    invoices,
    journeys,
    network,
    people,
    programme,
    sales,
    service,
    surveys,
    tenure,
    usage,
    wallet,
)
from crmlab.datasets.company.base import Columns, horizon, stream
from crmlab.datasets.company.scenarios import Scenario

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Ints

#: Customers are drawn in blocks of this many. It is part of what a seed means: changing it changes every firm.
BLOCK = 4096


@dataclass(frozen=True)
class Firm:
    """What a simulation is told: all that follows is determined by these four."""

    scenario: Scenario
    n_customers: int
    seed: int
    years: int

    @property
    def days(self) -> int:
        """Days from the opening to the end."""
        return horizon(self.years)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of customers."""
        return -(-self.n_customers // BLOCK)

    def rng(self, process: str) -> np.random.Generator:
        """Random numbers of a process of the whole firm."""
        return stream(self.seed, process, 0)

    @cached_property
    def campaigns(self) -> tuple[campaigns.Campaign, ...]:
        """The calendar of campaigns."""
        return campaigns.calendar(self)

    @cached_property
    def erlang(self) -> desk.ErlangA:
        """The law by which calls wait."""
        assert self.scenario.desk is not None
        return desk.erlang_a(self.scenario.desk)

    @cached_property
    def mails(self) -> desk.Mails:
        """The desk's e-mails and their backlog."""
        return desk.draw_mails(self)

    def block(self, number: int) -> "Block":
        """One block of customers, nothing of it drawn yet."""
        return Block(self, number)


class Block:
    """Some customers of a firm, and all that happens to them; each process is drawn when it is first asked for.

    Customers of one block may know each other; nothing else depends on customers of another block, which is what makes
    a firm of any size possible in little memory.
    """

    def __init__(self, firm: Firm, number: int) -> None:
        self.firm, self.number = firm, number
        self.scenario, self.days = firm.scenario, firm.days
        self.n = min(BLOCK, firm.n_customers - number * BLOCK)

    def rng(self, process: str) -> np.random.Generator:
        """Random numbers of a process for this block."""
        return stream(self.firm.seed, process, self.number + 1)

    @cached_property
    def ids(self) -> "Ints":
        """Customer numbers, from 1."""
        return self.number * BLOCK + np.arange(1, self.n + 1)

    @cached_property
    def people(self) -> people.Drawn:
        """Who the customers are."""
        return people.draw_people(self)

    @cached_property
    def rates(self) -> buying.Rates:
        """What their buying follows."""
        return buying.draw_rates(self) if self.scenario.buying else invoices.invoice_rates(self)

    @cached_property
    def contracts(self) -> tenure.Contracts:
        """Their subscriptions."""
        return tenure.draw_contracts(self)

    @cached_property
    def history(self) -> history.History:
        """Their orders, and what these depend on."""
        return history.draw_history(self) if self.scenario.buying else invoices.invoice_history(self)

    @cached_property
    def persons(self) -> identities.Persons:
        """The persons that they are."""
        return identities.draw_persons(self)

    @cached_property
    def records(self) -> identities.Records:
        """What the systems hold of these persons."""
        return identities.draw_records(self)

    @cached_property
    def ties(self) -> network.Ties:
        """Who knows whom, and who referred whom."""
        return network.draw_ties(self)

    @cached_property
    def exposure(self) -> journeys.Exposure:
        """How the new service was advertised to them."""
        return journeys.draw_exposure(self)

    @cached_property
    def clicks(self) -> journeys.Clicks:
        """Their visits to the site of the new service."""
        return journeys.draw_clicks(self)

    @cached_property
    def log(self) -> decisions.Log:
        """What was decided each week for each of them."""
        return decisions.draw_log(self)

    @cached_property
    def lines(self) -> assortment.Lines:
        """The lines of their orders."""
        return assortment.draw_lines(self) if self.scenario.buying else invoices.invoice_lines(self)

    @cached_property
    def complaints(self) -> service.Complaints:
        """What became of their failed orders."""
        return service.draw_complaints(self)

    @cached_property
    def ledger(self) -> programme.Ledger:
        """The points of the members."""
        return programme.draw_ledger(self)

    @cached_property
    def asked(self) -> surveys.Asked:
        """Who is asked by a survey, and what they would say."""
        return surveys.ask(self)

    @cached_property
    def opportunities(self) -> sales.Opportunities:
        """What is being sold to them."""
        return sales.draw_opportunities(self)


@dataclass(frozen=True)
class Source:
    """Where a table comes from.

    Attributes
    ----------
    draw : callable
        Takes a `Block`, or the `Firm` for a table of the whole firm, and returns the columns.
    process : str
        Entry of the scenario without which the firm has no such table; empty for a table that every firm has.
    whole : bool
        Whether the table belongs to the firm, not to its customers.
    """

    draw: Callable[..., Columns]
    process: str = ""
    whole: bool = False


#: What the firm can see, by table; the tables of the truth have names that begin with ``truth/``.
SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "transactions": Source(assortment.transactions_table),
        "customers": Source(people.customers_table),
        "products": Source(assortment.products_table, whole=True),
        "orders": Source(history.orders_table),
        "consents": Source(campaigns.consents_table, "campaigns"),
        "campaigns": Source(campaigns.campaigns_table, "campaigns", whole=True),
        "assignments": Source(campaigns.assignments_table, "campaigns"),
        "contacts": Source(campaigns.contacts_table, "campaigns"),
        "responses": Source(campaigns.responses_table, "campaigns"),
        "members": Source(programme.members_table, "programme"),
        "points": Source(programme.points_table, "programme"),
        "tiers": Source(programme.tiers_table, "programme"),
        "surveys": Source(surveys.surveys_table, "surveys"),
        "staff_views": Source(surveys.staff_views_table, "surveys"),
        "tickets": Source(desk.tickets_table, "desk"),
        "desk": Source(desk.desk_table, "desk", whole=True),
        "rival_purchases": Source(wallet.rival_purchases_table, "wallet"),
        "subscriptions": Source(tenure.subscriptions_table, "subscription"),
        "retention_offers": Source(tenure.retention_offers_table, "subscription"),
        "usage": Source(usage.usage_table, "usage"),
        "bonds": Source(bonds.bonds_table, "bonds"),
        "opportunities": Source(sales.opportunities_table, "sales"),
        "opportunity_stages": Source(sales.opportunity_stages_table, "sales"),
        "identities": Source(identities.identities_table, "identities"),
        "friendships": Source(network.friendships_table, "network"),
        "referrals": Source(network.referrals_table, "network"),
        "holdouts": Source(journeys.holdouts_table, "journeys"),
        "touches": Source(journeys.touches_table, "journeys"),
        "clicks": Source(journeys.clicks_table, "journeys"),
        "sign_ups": Source(journeys.sign_ups_table, "journeys"),
        "decisions": Source(decisions.decisions_table, "decisions"),
        "truth/customers": Source(people.true_customers_table),
        "truth/orders": Source(history.true_orders_table),
        "truth/products": Source(assortment.true_products_table, "buying", whole=True),
        "truth/rules": Source(assortment.true_rules_table, "buying", whole=True),
        "truth/assignments": Source(campaigns.true_assignments_table, "campaigns"),
        "truth/members": Source(programme.true_members_table, "programme"),
        "truth/surveys": Source(surveys.true_surveys_table, "surveys"),
        "truth/complaints": Source(service.true_complaints_table, "service"),
        "truth/desk": Source(desk.true_desk_table, "desk", whole=True),
        "truth/wallet": Source(wallet.true_wallet_table, "wallet"),
        "truth/subscriptions": Source(tenure.true_subscriptions_table, "subscription"),
        "truth/retention_offers": Source(tenure.true_retention_offers_table, "subscription"),
        "truth/usage": Source(usage.true_usage_table, "usage"),
        "truth/bonds": Source(bonds.true_bonds_table, "bonds"),
        "truth/opportunities": Source(sales.true_opportunities_table, "sales"),
        "truth/identities": Source(identities.true_identities_table, "identities"),
        "truth/families": Source(identities.true_families_table, "identities"),
        "truth/referrals": Source(network.true_referrals_table, "network"),
        "truth/journeys": Source(journeys.true_journeys_table, "journeys"),
        "truth/holdouts": Source(journeys.true_holdouts_table, "journeys"),
        "truth/cookies": Source(journeys.true_cookies_table, "journeys"),
        "truth/decisions": Source(decisions.true_decisions_table, "decisions"),
    }
)


def tables_of(scenario: Scenario) -> tuple[str, ...]:
    """Names of the tables that a firm of this scenario has."""
    return tuple(name for name, one in SOURCES.items() if not one.process or getattr(scenario, one.process) is not None)
