"""What holds in every table of every scenario: keys, references, contracts, sums, and the order of events."""

import pandas as pd
import pytest

from crmlab.contracts import FIELDS, check_table
from crmlab.database import CustomerDB
from crmlab.datasets.cards import read_card
from crmlab.datasets.company import scenario, scenario_names, simulate

CUSTOMERS = 5_000  # two blocks
END = pd.Timestamp("2025-01-01")
CARD = {table.name: table for table in read_card("company").tables}
#: Dates that are not those of an event between acquisition and the end.
OTHER_DATES = {
    ("identities", "birth_date"),
    ("usage", "month"),
    ("tickets", "answered_at"),
    ("tickets", "resolved_at"),
    ("truth/opportunities", "closes_on"),
}
#: What a customer who has left no longer does. Points may expire, decisions and surveys still go out.
DOINGS = {
    "orders": "date",
    "responses": "date",
    "members": "joined_on",
    "subscriptions": "started_on",
    "usage": "month",
    "tickets": "created_at",
    "sign_ups": "date",
    "touches": "timestamp",
    "opportunities": "opened_on",
    "referrals": "date",
}


@pytest.fixture(scope="module", params=scenario_names())
def firm(request):
    return simulate(CUSTOMERS, seed=21, scenario=request.param)


def tables(firm) -> dict[str, pd.DataFrame]:
    hidden = {f"truth/{name}": firm.truth[name] for name in firm.truth.tables}
    return {name: firm[name] for name in firm.tables} | hidden


def keys() -> dict[str, str]:
    """Table to its key, for the tables that others refer to."""
    return {
        column.references: next(one.name for one in CARD[column.references].columns)
        for table in CARD.values()
        for column in table.columns
        if column.references
    }


def test_keys_are_unique_and_references_hold(firm):
    found = tables(firm)
    for name, key in keys().items():
        if name in found:
            assert found[name][key].is_unique, name
    for name, frame in found.items():
        for column in CARD[name].columns:
            if column.references:
                parents = (
                    found[column.references].iloc[:, 0]
                    if column.references != "orders"
                    else found["orders"]["order_id"]
                )
                assert frame[column.name].dropna().isin(parents).all(), (name, column.name)


def test_columns_are_those_of_the_card(firm):
    kinds = {"int": "i", "float": "f", "bool": "b", "datetime": "M", "str": "O"}
    for name, frame in tables(firm).items():
        assert [(column.name, kinds[column.type]) for column in CARD[name].columns] == [
            (column, frame[column].dtype.kind) for column in frame
        ], name


def test_contracts_are_kept(firm):
    for kind in set(FIELDS) & set(firm.tables):
        check_table(firm[kind], kind)


def test_every_customer_is_there_and_begins_with_an_order(firm):
    customers = firm["customers"].set_index("customer_id")
    assert list(customers.index) == list(range(1, CUSTOMERS + 1))
    assert customers["acquired_on"].between("2022-01-01", END, inclusive="left").all()
    first = firm["orders"].groupby("customer_id")["date"].min()
    pd.testing.assert_series_equal(first.dt.normalize(), customers["acquired_on"], check_names=False)


def test_nothing_happens_before_acquisition_or_after_the_end(firm):
    acquired = firm["customers"].set_index("customer_id")["acquired_on"]
    for name, frame in tables(firm).items():
        dates = [c for c in frame.select_dtypes("datetime") if (name, c) not in OTHER_DATES]
        for column in dates:
            known = frame[frame[column].notna()]
            assert (known[column] < END).all(), (name, column)
            if "customer_id" in frame:
                assert not (known[column] < known["customer_id"].map(acquired)).any(), (name, column)


def test_nobody_does_anything_after_leaving(firm):
    left = firm.truth["customers"].set_index("customer_id")["left_on"]
    for name, column in DOINGS.items():
        if name in firm.tables:
            gone = firm[name]["customer_id"].map(left)
            assert not (firm[name][column].dt.normalize() > gone).any(), name


def test_totals_agree(firm):
    lines, orders = firm["transactions"], firm["orders"].set_index("order_id")
    cents = (lines["amount"] * 100).round().astype("int64").groupby(lines["order_id"]).sum()
    assert cents.equals((orders["amount"] * 100).round().astype("int64").rename("amount"))
    assert lines.groupby("order_id").size().equals(orders["n_lines"].rename(None))
    assert (lines["amount"] > 0).all()
    assert (lines["quantity"] >= 1).all()
    assert (lines["cost"] <= lines["amount"]).all()
    for column in ("customer_id", "date", "channel"):
        assert (lines["order_id"].map(orders[column]) == lines[column]).all()


@pytest.mark.parametrize("name", [name for name in scenario_names() if scenario(name).campaigns])
def test_campaigns_agree(name):
    firm = simulate(CUSTOMERS, seed=22, scenario=name)
    assigned, contacts, responses = firm["assignments"], firm["contacts"], firm["responses"]
    pair = ["campaign_id", "customer_id"]
    treated = assigned.loc[assigned["group"] == "treated", pair]
    pd.testing.assert_frame_equal(contacts[pair], treated.reset_index(drop=True))
    assert not assigned.duplicated(pair).any()
    assert len(responses.merge(contacts, on=pair)) == len(responses)
    campaigns = responses.merge(firm["campaigns"], on="campaign_id")
    assert campaigns["date"].between(campaigns["start_date"], campaigns["end_date"]).all()
    consents = contacts.merge(firm["consents"], on=["customer_id", "channel"], how="left")
    assert (consents["given_on"] <= consents["date"]).all()
    assert not (consents["withdrawn_on"] <= consents["date"]).any()


def test_the_customer_database_takes_the_firm(firm):
    db = CustomerDB.open(":memory:")
    report = db.load(firm)
    counts = report.counts.set_index("table_name")["new"]
    assert counts["orders"] == len(firm["orders"])
    assert counts["lines"] == len(firm["transactions"])
    assert counts["customers"] == CUSTOMERS
