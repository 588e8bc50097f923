"""Opening, loading, asking: what the customer database holds and what it says when it cannot."""

import pandas as pd
import pytest

from crmlab.database import CustomerDB, customer_summary
from crmlab.database.frames import to_frame
from crmlab.datasets import load
from crmlab.errors import ContractError, StoreError

ROWS = {
    "customers": 3,  # ann and cy are described, bob is only mentioned
    "products": 4,  # the cup is only mentioned
    "campaigns": 1,
    "orders": 3,
    "lines": 6,
    "contacts": 2,
    "responses": 2,
}


def rows(db: CustomerDB, table: str) -> list[tuple]:
    frame = db.query(f"SELECT * FROM {table} ORDER BY ALL")
    return list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))


def test_load_fills_every_table(shop):
    with CustomerDB.open() as db:
        report = db.load(shop)
        counts = report.counts.set_index("table_name")
        assert {name: len(rows(db, name)) for name in ROWS} == ROWS
        assert (counts["new"] + counts["referenced"]).to_dict() == ROWS
        assert counts["referenced"][counts["referenced"] > 0].to_dict() == {"customers": 1, "products": 1}
        assert counts[["changed", "unchanged"]].to_numpy().sum() == 0
        assert repr(db) == (
            "CustomerDB :memory:: 3 customers, 4 products, 1 campaigns, 3 orders, 6 lines, 2 contacts, 2 responses"
        )
        assert "customers" in repr(report)


def test_equal_lines_are_numbered_and_the_order_keeps_its_head(db):
    lines = db.query("SELECT product_id, occurrence, amount, store_no FROM lines WHERE order_id = 1 ORDER BY ALL")
    assert lines.to_numpy().tolist() == [["jam", 1, 5.0, 7], ["tea", 1, 10.0, 7], ["tea", 2, 10.0, 7]]
    assert rows(db, "orders")[1] == (2, "bob", pd.Timestamp("2024-01-06 09:00"), "store")


def test_transactions_come_back_as_they_went_in(db, shop):
    log = to_frame(db.transactions())
    columns = [*shop["transactions"].columns]
    assert sorted(log.columns) == sorted(columns)
    key = ["order_id", "product_id", "amount"]
    pd.testing.assert_frame_equal(
        log.sort_values(key, ignore_index=True)[columns], shop["transactions"].sort_values(key, ignore_index=True)
    )


def test_orders_are_derived_where_the_log_names_none(sample):
    with CustomerDB.open() as db:
        report = db.load({"transactions": sample})
        assert any("orders: the log names none" in note for note in report.notes)
        assert len(db.query("SELECT 1 FROM orders")) == len(sample.drop_duplicates(["customer_id", "date"]))
        assert db.query("SELECT order_id FROM orders WHERE customer_id = 1 ORDER BY date")["order_id"].tolist() == [
            f"1@{day.date()}" for day in sorted(set(sample.query("customer_id == 1")["date"]))
        ]
        log = to_frame(db.transactions()).drop(columns="order_id")
        assert log["product_id"].isna().all()
        key = ["customer_id", "date", "amount"]
        pd.testing.assert_frame_equal(
            log.sort_values(key, ignore_index=True)[key], sample.sort_values(key, ignore_index=True)[key]
        )
        inside = customer_summary(db.transactions(), time_unit="week", calibration_end="1997-09-30").to_pandas()
    outside = customer_summary(sample, time_unit="week", calibration_end="1997-09-30").to_pandas()
    pd.testing.assert_frame_equal(inside, outside)


def test_derived_orders_keep_the_time_of_day():
    dates = pd.to_datetime(["2024-01-05 10:00", "2024-01-05 10:00", "2024-01-05 12:30"])
    log = pd.DataFrame({"customer_id": [1, 1, 1], "date": dates, "amount": [1.0, 2.0, 3.0]})
    with CustomerDB.open() as db:
        db.load({"transactions": log})
        assert [row[0] for row in rows(db, "orders")] == ["1@2024-01-05 10:00:00", "1@2024-01-05 12:30:00"]


def test_a_dataset_is_loaded_with_what_has_a_place():
    dataset = load("cdnow_sample")
    with CustomerDB.open() as db:
        report = db.load(dataset)
        assert len(db.query("SELECT 1 FROM customers")) == 2357
        assert not any("not stored" in note for note in report.notes)

    class Survey:
        tables = {"transactions": dataset.transactions.head(5), "answers": dataset.transactions}  # noqa: RUF012

    with CustomerDB.open() as db:
        assert "answers: not stored, the database has no such table" in db.load(Survey()).notes


def test_load_replaces_everything(db, shop):
    db.load({"transactions": shop["transactions"].query("order_id == 3")})
    assert [len(rows(db, name)) for name in ROWS] == [1, 1, 0, 1, 1, 0, 0]
    assert db.query("SELECT max(load_id) AS n FROM loads")["n"][0] == 1


def test_all_problems_of_all_tables_are_told_and_nothing_is_written(db, shop):
    before = {name: rows(db, name) for name in [*ROWS, "loads"]}
    bad = {
        "transactions": shop["transactions"].assign(amount=float("nan"), occurrence=1),
        "customers": shop["customers"].assign(customer_id="ann"),
        "contcts": shop["contacts"],
        "products": shop["products"].drop(columns="product_id"),
    }
    for write in (db.load, db.refresh):
        with pytest.raises(ContractError, match="nothing was written") as caught:
            write(bad)
        problems = "\n".join(caught.value.problems)
        assert "'contcts' is no table of the database (did you mean 'contacts'?)" in problems
        assert "transactions: the column 'occurrence' is the database's own; rename yours" in problems
        assert "customers: column 'customer_id' has repeated values" in problems
        assert "products: column 'product_id' is missing from the table" in problems
    assert {name: rows(db, name) for name in [*ROWS, "loads"]} == before


def test_a_load_needs_transactions(shop):
    with CustomerDB.open() as db, pytest.raises(ContractError, match="a load needs the table 'transactions'"):
        db.load({"customers": shop["customers"]})


def test_an_order_of_two_customers_is_refused_and_undone(db, shop):
    before = rows(db, "lines")
    torn = shop["transactions"].assign(order_id=1)
    with pytest.raises(ContractError, match=r"order_id: 1 orders belong to several customers \(first: 1\)"):
        db.load({"transactions": torn})
    assert rows(db, "lines") == before


def test_an_order_of_several_dates_takes_the_first_and_says_so(shop):
    log = shop["transactions"].query("customer_id == 'ann'").assign(order_id=1)
    with CustomerDB.open() as db:
        report = db.load({"transactions": log})
        assert "orders: 1 have lines with different values of date; the smallest is kept" in report.notes
        assert rows(db, "orders")[0][2] == pd.Timestamp("2024-01-05 10:00")


def test_ids_must_be_of_one_type_in_all_tables(shop):
    mixed = shop | {"customers": pd.DataFrame({"customer_id": [1, 2]})}
    with CustomerDB.open() as db:
        with pytest.raises(ContractError) as caught:
            db.load(mixed)
        assert caught.value.problems == (
            "customer_id: whole numbers in customers; text in transactions, contacts, responses",
        )
        assert repr(db) == "CustomerDB :memory: (empty: load tables first)"


def test_query_binds_parameters_and_keeps_types(db):
    found = db.query("SELECT * FROM orders WHERE customer_id = $who", who="ann' OR '1'='1")
    assert len(found) == 0
    found = db.query("SELECT customer_id, date FROM orders WHERE customer_id = $who ORDER BY date", who="ann")
    assert found.dtypes.astype(str).tolist() == ["str", "datetime64[us]"]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM lines", "query answers one SELECT"),
        ("SELECT 1; DROP TABLE lines", "query answers one SELECT"),
        ("", "query answers one SELECT"),
        ("SELECT * FROM order", "cannot be answered"),
        ("SELECT * FROM sales", "sales"),
        ("SELECT $a", "cannot be answered"),
    ],
)
def test_query_refuses_what_is_no_question(db, sql, words):
    with pytest.raises(StoreError, match=words):
        db.query(sql)
    assert len(rows(db, "lines")) == 6


def test_table_and_schema(db):
    assert db.table("orders").count().to_pyarrow().as_py() == 3
    with pytest.raises(StoreError, match=r"'order' \(did you mean 'orders'\?\)"):
        db.table("order")
    schema = db.schema().set_index(["table", "column"])
    assert schema.loc[("lines", "product_id")].tolist()[:3] == ["string", True, "products"]
    assert schema.loc[("orders", "order_id"), "type"] == "int64"
    assert schema.loc[("lines", "store_no"), "description"] == "as in the source"
    keyed = schema[schema["key"]].reset_index().groupby("table")["column"].agg(list)
    for table, key in keyed.items():
        columns = ", ".join(key)
        assert db.query(f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1").empty


def test_references_hold(db):
    for (table, column), target in db.schema().set_index(["table", "column"])["references"].items():
        if target:
            orphans = f"SELECT 1 FROM {table} AS c LEFT JOIN {target} AS p USING ({column}) WHERE p.{column} IS NULL"
            assert db.query(orphans).empty


def test_awkward_column_names_survive(shop):
    odd = shop["customers"].rename(columns={"city": 'the "city", now'}).assign(**{"select": [1, 2], "amount": [5, 6]})
    with CustomerDB.open() as db:
        db.load(shop | {"customers": odd})
        overview = to_frame(db.customers_360()).set_index("customer_id")
        assert overview.loc["ann", 'the "city", now'] == "Lyon"
        assert overview.loc["ann", "customer_amount"] == 5
        assert overview.loc["ann", "amount"] == 32.5


def test_categories_and_nanoseconds_are_taken(shop):
    log = shop["transactions"].assign(
        date=lambda t: t["date"].astype("datetime64[ns]"), size=pd.Categorical(["s", "m"] * 3)
    )
    with CustomerDB.open() as db:
        db.load({"transactions": log})
        assert db.schema().set_index(["table", "column"]).loc[("lines", "size"), "type"] == "string"
        assert db.refresh({"transactions": log}).counts.set_index("table_name").loc["lines", "unchanged"] == 6


def test_an_empty_database_says_what_to_do(tmp_path):
    with CustomerDB.open(tmp_path / "new.duckdb") as db:
        for ask in (db.transactions, db.customers_360, db.schema, lambda: db.refresh({}), lambda: db.customer_360(1)):
            with pytest.raises(StoreError, match=r"is empty: load tables first, db.load\(dataset\)"):
                ask()


def test_a_file_keeps_what_was_loaded_under_any_name(tmp_path, shop):
    path = tmp_path / "shop.duckdb"
    with CustomerDB.open(path) as db:
        db.load(shop)
    moved = path.rename(tmp_path / "moved.duckdb")
    with CustomerDB.open(f"duckdb:///{moved}") as db:
        assert len(to_frame(db.customers_360())) == 3
        assert db.customer_360("ann").profile["n_orders"] == 2


def test_read_only_reads_and_does_not_write(tmp_path, shop):
    path = tmp_path / "shop.duckdb"
    with pytest.raises(StoreError, match=r"there is no database .* to read"):
        CustomerDB.open(path, read_only=True)
    with CustomerDB.open(path) as db:
        db.load(shop)
    with CustomerDB.open(path, read_only=True) as db:
        assert len(rows(db, "lines")) == 6
        assert "(read only)" in repr(db)
        with pytest.raises(StoreError, match="open for reading only"):
            db.refresh(shop)


def test_what_cannot_be_opened(tmp_path):
    text = tmp_path / "blocks of text.txt"
    text.write_text("no database " * 500)
    with pytest.raises(StoreError, match="cannot be opened as a database"):
        CustomerDB.open(text)
    with pytest.raises(StoreError, match="does the folder exist"):
        CustomerDB.open(tmp_path / "nowhere" / "shop.duckdb")
    with pytest.raises(StoreError, match="no engine for 'mysql://shop'"):
        CustomerDB.open("mysql://shop")


def test_columns_of_nothing_are_kept(shop):
    empty = {"product_id": None, "note": None}
    with CustomerDB.open() as db:
        db.load({"transactions": shop["transactions"].assign(**empty)})
        assert len(rows(db, "products")) == 0
        assert db.query("SELECT note FROM lines")["note"].isna().all()
        db.refresh({"transactions": shop["transactions"].assign(product_id=7, note=None)})
        assert db.schema().set_index(["table", "column"]).loc[("lines", "product_id"), "type"] == "int64"


def test_complete_journey_with_all_its_tables():
    journey = load("complete_journey")
    with CustomerDB.open() as db:
        report = db.load(journey)
        counts = report.counts.set_index("table_name")
        assert counts.loc["lines", "new"] == len(journey.transactions) == 1_469_307
        assert counts.loc["orders", "new"] == 155_848
        assert list(counts.loc["customers", ["new", "referenced"]]) == [801, 2469 - 801]
        assert counts.loc["contacts", "new"] == 6589
        assert counts.loc["responses", "new"] == 2102
        assert "coupons: not stored, the database has no such table" in report.notes
        summary = customer_summary(db.transactions(), time_unit="week", acquisition=journey.acquisition)
        assert len(summary) == 2469
        last_month = journey.transactions.query("date >= '2017-12-01'")
        again = db.refresh({"transactions": last_month}).counts.set_index("table_name")
        assert list(again.loc["lines"]) == [0, 0, len(last_month), 0]
