"""The customer's page and the overview of all customers."""

import pandas as pd
import pytest

from crmlab.database import CustomerDB, rfm, views
from crmlab.database.frames import to_frame
from crmlab.database.schema import TABLES
from crmlab.errors import StoreError


def test_overview_has_one_row_per_customer_with_known_numbers(db):
    overview = to_frame(db.customers_360()).set_index("customer_id")
    assert sorted(overview.index) == ["ann", "bob", "cy"]
    ann, bob, cy = (overview.loc[name] for name in ("ann", "bob", "cy"))
    assert (ann["n_orders"], ann["amount"], ann["returned"]) == (2, 32.5, 0.0)
    assert (ann["first_date"], ann["last_date"]) == (pd.Timestamp("2024-01-05"), pd.Timestamp("2024-02-01"))
    assert (ann["contacts"], ann["responses"], ann["city"]) == (1, 2, "Lyon")
    assert (bob["n_orders"], bob["amount"], bob["returned"], bob["contacts"], bob["responses"]) == (1, 30.0, 3.0, 1, 0)
    assert (cy["n_orders"], cy["amount"], cy["city"]) == (0, 0.0, "Rome")
    assert pd.isna(cy["first_date"])


def test_overview_and_rfm_agree(sample):
    with CustomerDB.open() as db:
        db.load({"transactions": sample})
        overview = to_frame(db.customers_360().order_by("customer_id"))
        scores = rfm(db.transactions()).table
    assert overview["n_orders"].tolist() == scores["n_orders"].tolist()
    assert overview["amount"].tolist() == pytest.approx(scores["amount"].tolist())
    assert (pd.Timestamp("1998-06-30") - overview["last_date"]).dt.days.tolist() == scores["days_since_last"].tolist()


def test_any_engine_gives_the_same(engine, db):
    tables = {name: engine(to_frame(db.table(name)), name) for name in TABLES}
    there = to_frame(views.customers_360(tables).order_by("customer_id"))
    pd.testing.assert_frame_equal(there, to_frame(db.customers_360().order_by("customer_id")))
    log = to_frame(views.transactions(tables["orders"], tables["lines"]).order_by("order_id", "product_id", "amount"))
    pd.testing.assert_frame_equal(log, to_frame(db.transactions().order_by("order_id", "product_id", "amount")))


def test_one_customers_page(db):
    page = db.customer_360("ann")
    assert page.customer_id == "ann"
    assert page.profile["n_orders"] == 2
    assert page.orders["order_id"].tolist() == [3, 1]
    assert page.orders["amount"].tolist() == [7.5, 25.0]
    assert page.orders["lines"].tolist() == [1, 3]
    assert page.products["product_id"].tolist() == ["tea", "jam"]
    assert page.products.loc[0, ["name", "orders", "quantity", "amount"]].tolist() == ["Tea", 2, 4.0, 27.5]
    assert page.contacts["campaign_id"].tolist() == [1]
    assert len(page.responses) == 2
    text = repr(page)
    assert "Customer ann" in text
    assert "amount: 32.50" in text
    assert "first_date: 2024-01-05\n" in text
    assert "2 orders, the latest first" in text


def test_the_page_in_a_notebook_is_escaped(shop):
    shop["customers"]["city"] = ["<b>Lyon</b>", "Rome"]
    with CustomerDB.open() as db:
        db.load(shop)
        html = db.customer_360("ann")._repr_html_()
    assert "&lt;b&gt;Lyon" in html
    assert "<h3>Customer ann</h3>" in html
    assert "<td>jam</td>" in html


def test_a_customer_without_orders_has_a_page(db):
    page = db.customer_360("cy")
    assert (len(page.orders), len(page.products), len(page.contacts)) == (0, 0, 0)
    assert "orders," not in repr(page)


def test_long_lists_are_cut_in_print_only(db, shop):
    many = pd.concat([shop["transactions"].tail(1).assign(order_id=10 + i) for i in range(7)])
    db.refresh({"transactions": many})
    page = db.customer_360("ann")
    assert len(page.orders) == 9
    assert "9 orders, the latest first (the first 5 shown)" in repr(page)


def test_unknown_customers(db, sample):
    with pytest.raises(StoreError, match="there is no customer 'zoe'"):
        db.customer_360("zoe")
    with CustomerDB.open() as numbers:
        numbers.load({"transactions": sample})
        assert numbers.customer_360("7").customer_id == 7
        with pytest.raises(StoreError, match="customer_id is a whole number in this database"):
            numbers.customer_360("ann")
        with pytest.raises(StoreError, match="there is no customer 99999"):
            numbers.customer_360(99999)
