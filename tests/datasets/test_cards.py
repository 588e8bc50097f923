"""Every card says what is true of its data."""

import pandas as pd
import pytest

from crmlab.contracts import FIELDS, check_table
from crmlab.datasets import load
from crmlab.datasets.cards import card_names, read_card
from crmlab.resources import course_dir

READABLE = [name for name in card_names() if read_card(name).needs != "download"]
TYPES = {"int": "i", "float": "f", "bool": "b", "datetime": "M", "str": "O"}


@pytest.fixture(scope="module", params=READABLE)
def dataset(request):
    return load(request.param)


@pytest.mark.parametrize("name", card_names())
def test_a_card_is_complete(name):
    card = read_card(name)
    assert card.name == name == (course_dir("datasets") / name / "card.md").parent.name
    assert all([card.title, card.licence, card.citation, card.text, card.quirks, card.tables])
    assert card.origin in ("real", "contested", "simulated")
    assert card.acquisition in ("observed", "left_censored")
    assert card.needs in ("", "crmlab[data]", "wheel", "download")
    for file in card.files:
        assert sum(map(bool, (file.package, file.url, file.wheel))) <= 1
        assert len(file.sha256) == 64 or (file.url and not file.sha256)


def test_tables_rows_and_columns(dataset):
    assert [table.name for table in dataset.card.tables] == list(dataset.tables)
    for table in dataset.card.tables:
        frame = dataset[table.name]
        assert len(frame) == table.rows
        assert list(frame.columns) == [column.name for column in table.columns]
        for column in table.columns:
            assert frame[column.name].dtype.kind == TYPES[column.type], column
            assert frame[column.name].isna().sum() == column.missing, column
            assert column.description
            if column.type == "datetime":
                assert frame[column.name].dtype == "datetime64[us]"


def test_tables_keep_their_contracts(dataset):
    for kind in set(FIELDS) & set(dataset.tables):
        check_table(dataset[kind], kind)


def fact_values(dataset) -> dict[str, float]:
    """Everything that a card may state as a fact, computed from the data."""
    if "survivors" in dataset.tables:
        return {"customers": dataset["survivors"].iloc[0, 1:].sum()}
    if "counts" in dataset.tables:
        return {"customers": dataset["counts"].iloc[:, -1].sum()}
    if "arms" in dataset.tables:
        return {"customers": dataset["arms"].iloc[:, 1].sum()}
    if "brands" in dataset.tables:
        return {"customers": 5240}  # of the panel, printed beside the table
    if "ratings" in dataset.tables:
        stars = dataset["ratings"]
        return {"customers": stars["customer_id"].nunique(), "total_rating": stars["rating"].sum()}
    if "febrl1" in dataset.tables:
        return {"customers": dataset["febrl1"]["customer_id"].nunique()}
    if "answers" in dataset.tables:
        return {"customers": len(dataset["answers"])}
    if "transactions" not in dataset.tables:
        return _mailing_facts(next(iter(dataset.tables.values())))
    rows = dataset.transactions
    values = {
        "customers": rows["customer_id"].nunique(),
        "total_amount": round(rows["amount"].sum(), 2),
        "exact_copies": rows.duplicated().sum(),
        "zero_amounts": (rows["amount"] == 0).sum(),
        "first_purchase_days": rows.groupby("customer_id")["date"].min().dt.normalize().nunique(),
    }
    if "quantity" in rows:
        values |= {"total_quantity": rows["quantity"].sum(), "zero_quantities": (rows["quantity"] == 0).sum()}
    if dataset.name == "company":
        values |= {"orders": rows["order_id"].nunique(), "products_bought": rows["product_id"].nunique()}
    if "is_fuel" in rows:
        values |= {
            "orders": rows["order_id"].nunique(),
            "products_bought": rows["product_id"].nunique(),
            "stores": rows["store_id"].nunique(),
            "fuel_lines": rows["is_fuel"].sum(),
            "lines_without_product": (~rows["product_id"].isin(dataset["products"]["product_id"])).sum(),
            "contacted_customers": dataset["contacts"]["customer_id"].nunique(),
            "responding_customers": dataset["responses"]["customer_id"].nunique(),
        }
    return values


def _mailing_facts(rows: pd.DataFrame) -> dict[str, float]:
    """One row a person, and whether the person answered."""
    values = {
        "customers": rows.iloc[:, 0].nunique(),
        "responses": rows.filter(["response", "moved", "takeup_survey"]).to_numpy().sum(),
    }
    if "gift" in rows:
        values |= {"total_gifts": rows["gift"].sum()}
    if "treated" in rows:
        values |= {"treated": rows["treated"].sum()}
    return values


def test_facts(dataset):
    assert dataset.card.facts
    computed = fact_values(dataset)
    assert {name: computed[name] for name in dataset.card.facts} == dataset.card.facts


def test_cdnow_is_one_cohort():
    rows = load("cdnow").transactions
    first = rows.groupby("customer_id")["date"].min()
    assert (first.min(), first.max()) == (pd.Timestamp("1997-01-01"), pd.Timestamp("1997-03-25"))
    assert rows["date"].max() == pd.Timestamp("1998-06-30")
    days = rows.drop_duplicates(["customer_id", "date"]).groupby("customer_id").size()
    assert (days == 1).mean() == pytest.approx(0.511, abs=0.001)


def test_the_sample_is_every_tenth_customer_of_the_cohort():
    sample, full = load("cdnow_sample").transactions, load("cdnow").transactions
    key = ["customer_id", "date", "amount", "quantity"]
    as_master = sample.drop(columns="customer_id").rename(columns={"master_id": "customer_id"})[key]
    in_full = full[full["customer_id"].isin(as_master["customer_id"])]
    pd.testing.assert_frame_equal(
        as_master.sort_values(key, ignore_index=True), in_full.sort_values(key, ignore_index=True)
    )


def test_complete_journey_quirks():
    journey = load("complete_journey")
    rows = journey.transactions
    assert rows.loc[~rows["is_fuel"], "quantity"].max() < 1000 < rows.loc[rows["is_fuel"], "quantity"].median() == 10296
    assert pd.Timestamp("2017-12-25") not in set(rows["date"].dt.normalize())
    early = journey["campaigns"].loc[lambda c: c["start_date"] < "2017-01-01", "campaign_id"]
    assert list(early) == [24, 25, 26]
    assert rows.groupby("order_id")["customer_id"].nunique().max() == 1
    contacted = set(journey["contacts"].itertuples(index=False, name=None))
    responded = set(journey["responses"][["campaign_id", "customer_id"]].itertuples(index=False, name=None))
    assert responded <= contacted


def test_bank_calls_are_in_the_order_of_their_dates():
    calls = load("bank_calls")["calls"]
    assert calls["date"].is_monotonic_increasing
    assert (calls["date"].min(), calls["date"].max()) == (pd.Timestamp("2008-05-05"), pd.Timestamp("2010-11-17"))
    by_year = calls.groupby(calls["date"].dt.year)["response"].mean()
    assert by_year.loc[2008] < 0.06
    assert by_year.loc[2010] > 0.45


def test_charity_rows_agree_with_each_other():
    mailings = load("charity_mailing")["mailings"]
    assert ((mailings["gift"] > 0) == (mailings["response"] == 1)).all()
    assert mailings["last_gift"].max() == 10_000
    assert mailings["mean_gift"].max() == 5_005


def test_a_voter_s_answers_after_the_letter_are_left_out():
    voters = load("voter_mailing")["voters"]
    moved = voters.groupby("treated")["moved"].mean()
    assert moved.to_dict() == {0: 0.3444, 1: 0.4024}
    strength = voters.drop(columns=["voter_id", "moved"]).corrwith(voters["moved"]).abs()
    assert strength.nlargest(2).index.tolist() == ["party_r", "party_d"]  # the register, not an answer
    assert strength.max() < 0.5


def test_printed_arms_agree_with_each_other():
    """Rate times gift is money per letter, within the rounding of the three."""
    arms = load("donation_match_arms")["arms"]
    product = arms["response_rate"] * arms["dollars_per_gift"]
    room = arms["dollars_per_gift"] * 0.0005 + 0.0005
    assert ((product - arms["dollars_per_letter"]).abs() <= room).all()
    assert load("hillstrom_arms")["arms"].set_index("arm")["visit_rate"].idxmax() == "Mens E-Mail"


def test_scanner_panels_hold_frequent_buyers_only():
    panels = load("scanner_panels")
    sizes = {name: table.groupby("customer_id").size() for name, table in panels.tables.items()}
    assert {name: (len(one), one.min()) for name, one in sizes.items()} == {
        "catsup": (300, 5),
        "yogurt": (100, 4),
        "cracker": (136, 14),
    }
    assert all((table["occasion"] == 1).sum() == len(sizes[name]) for name, table in panels.tables.items())


def test_neighbours_who_were_defaulted_in_bought_more():
    farmers = load("insurance_sessions")["farmers"]
    rates = farmers.groupby("default")["takeup_survey"].mean().round(3)
    assert rates.to_dict() == {0: 0.413, 1: 0.518}
