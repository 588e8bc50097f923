"""Parameters at the edge of their ranges give a firm that keeps every law; beyond, one message names the parameter."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import scenario, simulate
from crmlab.errors import ContractError
from tests.datasets.company import test_company_laws as laws

LAWS = [
    laws.test_keys_are_unique_and_references_hold,
    laws.test_columns_are_those_of_the_card,
    laws.test_contracts_are_kept,
    laws.test_every_customer_is_there_and_begins_with_an_order,
    laws.test_nothing_happens_before_acquisition_or_after_the_end,
    laws.test_nobody_does_anything_after_leaving,
    laws.test_totals_agree,
]


def changed(part: Any, path: str, value: Any) -> Any:
    """A copy of the scenario with another value at the path."""
    head, _, rest = path.partition(".")
    old = part[head] if isinstance(part, dict) else getattr(part, head)
    new = changed(old, rest, value) if rest else value
    return part | {head: new} if isinstance(part, dict) else dataclasses.replace(part, **{head: new})


def firm_with(name, changes, customers=150, years=3):
    kind = scenario(name)
    for path, value in changes.items():
        kind = changed(kind, path, value)
    return simulate(customers, seed=3, scenario=kind, years=years)


WORKS = [
    ("grocer", {}, 1, 1),
    ("hotel", {}, 1, 1),
    ("subscription", {}, 1, 1),
    ("maker", {}, 1, 20),
    ("textbook", {}, 40, 20),
    ("grocer", {"people.growth": -0.9}, 150, 3),
    ("maker", {"people.growth": 5.0, "buying.loyalty_to_dropout": -1.0, "buying.loyalty_to_rate": 1.0}, 150, 3),
    ("textbook", {"spend.q": 1.001, "spend.p": 0.001, "buying.r": 1e-6}, 150, 3),
    ("hotel", {"buying.s": 1e-6, "buying.beta": 1e-6, "buying.season": (50.0, *[1e-9] * 11)}, 150, 3),
    ("textbook", {"buying.s": 1e6, "buying.cohort_trend": -0.999}, 150, 3),
    ("grocer", {"programme.first_day": 5_000, "journeys.days": 5_000, "surveys.day": 5_000}, 150, 3),
    ("grocer", {"campaigns.per_year": 1, "campaigns.window": 365}, 150, 1),
    ("grocer", {"service.failure": 1.0, "service.complains": 1.0, "campaigns.harm": 1.0, "wallet.panel": 0.0}, 150, 3),
    (
        "hotel",
        {"wallet.panel": 1.0, "campaigns.treated": 1.0, "identities.typing": 1.0, "identities.families": 1.0},
        150,
        3,
    ),
    (
        "hotel",
        {"network.degree": 1e-9, "network.kappa": 50.0, "decisions.weeks": 100, "identities.typing": 1.0},
        150,
        1,
    ),
    ("subscription", {"subscription.alpha": 1e-9, "subscription.offer.months": 1_000}, 150, 3),
    ("subscription", {"usage.fading": 0.0, "subscription.plans.basic.hazard": 50.0}, 150, 3),
    ("grocer", {"subscription.share": 0.0, "usage": scenario("subscription").usage}, 150, 3),
    ("maker", {"bonds.first_quarter": 1_000, "sales.per_year": 100.0, "service": None}, 150, 3),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "changes", "customers", "years"), WORKS)
def test_the_edges_keep_the_laws(monkeypatch, name, changes, customers, years):
    firm = firm_with(name, changes, customers, years)
    monkeypatch.setattr(laws, "CUSTOMERS", customers)
    monkeypatch.setattr(laws, "END", pd.Timestamp(2022 + years, 1, 1))
    for law in LAWS:
        law(firm)
    for table, frame in laws.tables(firm).items():
        if table != "truth/bonds":  # a lifetime may be endless
            assert not np.isinf(frame.select_dtypes("number").to_numpy(dtype=float)).any(), table


NAN = float("nan")
GROCER: Any = scenario("grocer")
REFUSED = [
    ("grocer", {"people.growth": -1.0}, r"people\.growth: Input should be greater than -1"),
    ("grocer", {"people.growth": NAN}, r"people\.growth: Input should be a finite number; got nan"),
    ("grocer", {"campaigns.gain": float("inf")}, r"campaigns\.gain: Input should be a finite number; got inf"),
    ("grocer", {"people.regions": ()}, r"people\.regions: Tuple should have at least 1 item"),
    ("grocer", {"people.channels": {}}, r"people\.channels: Dictionary should have at least 1 item"),
    ("subscription", {"people.needs": {}}, r"people\.needs: Dictionary should have at least 1 item"),
    ("subscription", {"assortment.products": {}}, r"assortment\.products: Dictionary should have at least 1 item"),
    ("grocer", {"assortment.channels": {}}, r"assortment\.channels: Dictionary should have at least 1 item"),
    ("grocer", {"assortment.channels.web.share": 0.5}, r"assortment\.channels: the shares add up to 1\.25, not to 1"),
    ("textbook", {"people.channels.web.share": 0.0}, r"people\.channels: the shares add up to 0, not to 1"),
    ("grocer", {"identities.records": (0.0,) * 4}, r"identities\.records: the shares add up to 0, not to 1"),
    ("grocer", {"identities.systems": {}}, r"identities\.systems: Dictionary should have at least 1 item"),
    ("textbook", {"buying.season": (1.0,) * 11}, r"buying\.season: Tuple should have at least 12 items"),
    (
        "textbook",
        {"buying.season": (1e6, *[1.0] * 11)},
        r"buying \(.*season\): makes .* more than 20,000,000",
    ),
    ("textbook", {"buying.r": 1.5e3}, r"buying: a customer has more than 10,000 orders"),
    ("textbook", {"buying.loyalty_to_rate": 1.5}, r"buying\.loyalty_to_rate: Input should be less than or equal to 1"),
    ("grocer", {"wallet.loyalty": -1.5}, r"wallet\.loyalty: Input should be greater than or equal to -1"),
    ("textbook", {"buying.cohort_trend": -1.0}, r"buying\.cohort_trend: Input should be greater than -1"),
    ("textbook", {"spend.q": 1.0}, r"spend\.q: Input should be greater than 1"),
    ("textbook", {"spend.gamma": 1e8}, r"spend: p times gamma is more than 10,000,000"),
    ("grocer", {"wallet.rivals": ()}, r"wallet\.rivals: Tuple should have at least 1 item"),
    ("grocer", {"decisions.messages": {}}, r"decisions\.messages: Dictionary should have at least 1 item"),
    (
        "grocer",
        {"decisions.messages.recipe.click_by_need": {"gourmand": 1.0}},
        r"decisions\.messages\.recipe\.click_by_need: 'gourmand' is not known \(did you mean 'gourmet'\?\)",
    ),
    ("grocer", {"journeys.media": {"direct": GROCER.journeys.media["email"]}}, r"name 'direct' is taken"),
    ("grocer", {"journeys.completes": {"A": 0.5}}, r"journeys\.completes: Dictionary should have at least 2 items"),
    ("grocer", {"campaigns.consent": {"mail": 0.5}}, r"campaigns\.consent: Dictionary should have at least 2 items"),
    ("grocer", {"programme.tiers": {"gold": 100}}, r"programme\.tiers: must rise from 0, got \[100\]"),
    ("grocer", {"programme.tiers": {"a": 0, "b": 20, "c": 10}}, r"programme\.tiers: must rise from 0"),
    ("grocer", {"surveys.themes": {"failure": "room"}}, r"surveys\.themes: name a construct beside failure"),
    ("grocer", {"surveys.items.median": 10.5}, r"surveys\.items\.median: Input should be less than 10\.5"),
    ("grocer", {"desk.channels": {"phone": 1.0}}, r"desk\.channels: complaints are made in writing"),
    ("grocer", {"desk.calls": 1e6}, r"desk: more than 10,000 calls at once"),
    ("grocer", {"desk.questions": 1e8}, r"desk\.questions: makes .* more than 20,000,000"),
    ("maker", {"sales.per_year": 1e4}, r"sales\.per_year: an account has more than 1,000 opportunities"),
]


@pytest.mark.parametrize(("name", "changes", "words"), REFUSED)
def test_beyond_the_edge_one_message_names_the_parameter(name, changes, words):
    with pytest.raises(ContractError, match=words):
        laws.tables(firm_with(name, changes))
