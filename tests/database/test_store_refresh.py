"""Refreshing: batches may overlap and repeat, nothing is lost or doubled, and it happens wholly or not at all."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import CustomerDB
from crmlab.errors import ContractError, StoreError
from tests.database.test_store import ROWS, rows


def counts(report) -> dict[str, list[int]]:
    table = report.counts.set_index("table_name")
    return {name: table.loc[name].tolist() for name in table.index}


def test_the_same_batch_again_changes_nothing(db, shop):
    before = {name: rows(db, name) for name in ROWS}
    report = db.refresh({name: frame.sample(frac=1, random_state=4) for name, frame in shop.items()})
    assert (report.counts[["new", "changed", "referenced"]] == 0).all(axis=None)
    assert report.counts.set_index("table_name")["unchanged"].to_dict() == ROWS | {"customers": 2, "products": 3}
    assert {name: rows(db, name) for name in ROWS} == before


def test_an_overlapping_batch_adds_what_is_new(db, shop):
    new = shop["transactions"].tail(2).assign(order_id=[3, 4], customer_id=["ann", "eve"])
    new = pd.concat([shop["transactions"].query("order_id == 3"), new.tail(1).assign(product_id="fig")])
    assert counts(db.refresh({"transactions": new})) == {
        "customers": [0, 0, 0, 1],
        "products": [0, 0, 0, 1],
        "orders": [1, 0, 1, 0],
        "lines": [1, 0, 1, 0],
    }
    assert db.query("SELECT customer_id FROM customers ORDER BY 1")["customer_id"].tolist() == [
        "ann",
        "bob",
        "cy",
        "eve",
    ]


def test_a_corrected_amount_updates_its_line(db, shop):
    corrected = shop["transactions"].query("order_id == 2").assign(amount=[30.0, -30.0])
    assert counts(db.refresh({"transactions": corrected}))["lines"] == [0, 1, 1, 0]
    assert db.query("SELECT sum(amount) AS total FROM lines WHERE order_id = 2")["total"][0] == 0.0


def test_attributes_are_updated_added_and_left_alone(db):
    update = pd.DataFrame({"customer_id": ["ann", "bob"], "vip": [True, False]})
    assert counts(db.refresh({"customers": update}))["customers"] == [0, 2, 0, 0]
    found = db.query("SELECT customer_id, city, vip FROM customers ORDER BY 1").astype(object)
    assert found.where(found.notna(), None).to_numpy().tolist() == [
        ["ann", "Lyon", True],
        ["bob", None, False],
        ["cy", "Rome", None],
    ]
    assert "vip" in db.query("SELECT * FROM customers_360").columns


def test_columns_that_a_batch_lacks_are_left_alone(db, shop):
    before = {name: rows(db, name) for name in ROWS}
    report = db.refresh(
        {
            "transactions": shop["transactions"].drop(columns=["channel", "quantity", "store_no"]),
            "products": shop["products"][["product_id"]],
            "campaigns": shop["campaigns"][["campaign_id"]],
        }
    )
    assert report.counts["changed"].sum() == 0
    assert {name: rows(db, name) for name in ROWS} == before


def test_events_of_one_day_are_kept_apart_and_later_ones_added(db, shop):
    later = shop["responses"].assign(date=pd.Timestamp("2024-03-01"))
    assert counts(db.refresh({"responses": later}))["responses"] == [2, 0, 0, 0]
    assert len(rows(db, "responses")) == 4


def test_campaigns_may_come_to_a_log_that_had_none(sample):
    with CustomerDB.open() as db:
        db.load({"transactions": sample})
        contacts = pd.DataFrame({"campaign_id": [7, 7], "customer_id": sample["customer_id"].unique()[:2]})
        assert counts(db.refresh({"contacts": contacts})) == {"campaigns": [0, 0, 0, 1], "contacts": [2, 0, 0, 0]}
        assert db.schema().set_index(["table", "column"]).loc[("campaigns", "campaign_id"), "type"] == "int64"


def test_parts_of_orders_are_noticed(db, shop):
    part = shop["transactions"].query("product_id == 'jam'")
    assert db.refresh({"transactions": part}).notes == (
        "lines: 1 orders have fewer lines in this batch than before; the others stay as they are",
    )
    assert len(rows(db, "lines")) == 6


def test_types_must_stay_what_they_were(db, shop):
    before = {name: rows(db, name) for name in ROWS}
    with pytest.raises(ContractError) as caught:
        db.refresh({"transactions": shop["transactions"].assign(customer_id=range(6), order_id=range(6))})
    assert caught.value.problems == (
        "customer_id: whole numbers in transactions; "
        "text in customers (database), orders (database), contacts (database), responses (database)",
    )
    with pytest.raises(ContractError, match="store_no: VARCHAR in the batch, BIGINT in table lines"):
        db.refresh({"transactions": shop["transactions"].assign(store_no="seven")})
    with pytest.raises(ContractError, match="order_id: whole numbers in orders"):
        db.refresh({"transactions": shop["transactions"].drop(columns="order_id")})
    assert {name: rows(db, name) for name in ROWS} == before


def test_an_error_of_the_engine_undoes_everything_too(db, shop):
    before = {name: rows(db, name) for name in ROWS}
    twice = shop["transactions"].assign(amount=0.0, STORE_NO=1)  # the engine does not tell STORE_NO from store_no
    with pytest.raises(StoreError, match="nothing was written"):
        db.refresh({"customers": shop["customers"].assign(city="Oslo"), "transactions": twice})
    assert {name: rows(db, name) for name in ROWS} == before
    assert db.refresh(shop).counts["new"].sum() == 0


def test_the_log_of_loads(db, shop):
    db.refresh({"customers": shop["customers"]})
    log = db.query("SELECT load_id, kind, table_name, new, unchanged FROM loads ORDER BY load_id, table_name")
    assert log.iloc[-1].tolist() == [2, "refresh", "customers", 0, 2]
    assert set(log["kind"]) == {"load", "refresh"}


ORDERS = st.dictionaries(
    st.integers(1, 8),
    st.lists(st.tuples(st.sampled_from("xyz"), st.integers(-3, 9).map(float)), min_size=1, max_size=4),
    min_size=1,
    max_size=8,
)


def as_log(orders) -> pd.DataFrame:
    lines = [
        (f"c{order % 3}", pd.Timestamp("2024-01-01") + pd.Timedelta(days=order), amount, order, product)
        for order, basket in orders.items()
        for product, amount in basket
    ]
    return pd.DataFrame(lines, columns=["customer_id", "date", "amount", "order_id", "product_id"])


@settings(max_examples=5, deadline=None)
@given(orders=ORDERS, data=st.data(), named=st.booleans())
def test_overlapping_batches_in_any_order_make_what_one_load_makes(orders, data, named):
    log = as_log(orders) if named else as_log(orders).drop(columns="order_id")
    parts = [data.draw(st.sets(st.sampled_from(sorted(orders)), min_size=1)) for _ in range(2)]
    parts.append(set(orders))
    ids = as_log(orders)["order_id"]
    with CustomerDB.open() as whole, CustomerDB.open() as pieces:
        whole.load({"transactions": log})
        first, *rest = (log[ids.isin(part)].sample(frac=1, random_state=len(part)) for part in parts)
        pieces.load({"transactions": first})
        added = sum(pieces.refresh({"transactions": batch}).counts["changed"].sum() for batch in rest)
        assert added == 0
        for table in ("customers", "products", "orders", "lines"):
            assert rows(pieces, table) == rows(whole, table)
