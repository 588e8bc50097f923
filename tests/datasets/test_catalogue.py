"""The catalogue: list, describe, load, source."""

import dataclasses

import pandas as pd
import pytest

import crmlab.datasets as data
from crmlab.datasets import catalogue
from crmlab.datasets.cards import card_names, locate, read_card
from crmlab.errors import ContractError, DataUnavailableError

ORDERS = "Client,Day,Total\nA,2024-01-31,10.50\nB,2024-02-29,7\n,2024-03-01,8\n"
NAMES = {"customer_id": "Client", "date": "Day", "amount": "Total"}


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "shop_2024.csv"
    path.write_text(ORDERS, encoding="utf-8")
    return path


def test_list_has_every_data_set(monkeypatch, tmp_path):
    monkeypatch.setenv("CRMLAB_CACHE", str(tmp_path))
    table = data.list().set_index("name")
    assert tuple(table.index) == card_names()
    assert {"cdnow", "cdnow_sample", "complete_journey", "donations", "company", "online_retail_ii"} <= {*table.index}
    columns = ["origin", "tables", "rows", "needs", "available"]
    assert table.loc["cdnow", columns].to_numpy().tolist() == ["real", "transactions", 69659, "", True]
    assert table["needs"]["complete_journey"] == "crmlab[data]"
    assert not table["available"]["online_retail_ii"]
    assert table["rows"].isna().to_dict()["online_retail_ii"]


def test_describe_prints_what_matters():
    card = data.describe("complete_journey")
    text = repr(card)
    assert text.startswith(
        "The Complete Journey, a year of a grocer's households (complete_journey)\n\nOrigin: contested"
    )
    assert "Needs: crmlab[data]" in text
    assert "  - quantity (int, pieces): pieces bought; for fuel a measure of volume" in text
    assert "home_ownership (str): home ownership (233 missing)" in text
    assert "Are these real households?" in text
    assert "\n- amount (float, USD): " in card._repr_markdown_()
    assert "  \nOrigin: contested" in card._repr_markdown_()
    assert card._repr_markdown_().endswith(card.text)
    assert "rows not known before download" in repr(data.describe("online_retail_ii"))


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(
        DataUnavailableError, match=r"no data set 'cdnov' \(did you mean 'cdnow'\?\); choose one of bank_calls,"
    ):
        data.load("cdnov")


def test_a_data_set_is_frozen_lazy_and_short_to_print():
    cdnow = data.load("cdnow")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cdnow.reading = None  # type: ignore[misc]
    assert repr(cdnow) == "<Dataset cdnow: CDNOW, full cohort; real, observed; transactions (69,659 rows)>"
    assert (cdnow.name, cdnow.title, cdnow.origin, cdnow.acquisition) == (
        "cdnow",
        "CDNOW, full cohort",
        "real",
        "observed",
    )
    assert cdnow.reading is None
    assert cdnow.checksums == {"lifetimes/datasets/CDNOW_master.txt": read_card("cdnow").files[0].sha256}
    assert cdnow.transactions["customer_id"].nunique() == 23570


def test_what_a_caller_does_to_a_table_stays_with_the_caller():
    cdnow = data.load("cdnow")
    mine = cdnow.transactions
    mine["amount"] = 0.0
    mine.loc[0, "quantity"] = -1
    assert cdnow.transactions["amount"].sum() == pytest.approx(2500315.63)
    assert cdnow.transactions["quantity"].min() == 1


def test_a_table_that_is_not_there():
    with pytest.raises(DataUnavailableError, match="data set 'donations' has no table 'transactions'; it has: counts"):
        _ = data.load("donations").transactions


def test_a_changed_file_is_refused():
    card = read_card("donations")
    other = dataclasses.replace(card.files[0], sha256="0" * 64)
    with pytest.raises(DataUnavailableError, match="is not the file that the data card describes"):
        locate(other, card.needs)


def test_a_missing_package_names_the_extra():
    file = dataclasses.replace(read_card("complete_journey").files[0], package="no_such_package")
    with pytest.raises(DataUnavailableError, match=r"pip install 'crmlab\[data\]'"):
        locate(file, "crmlab[data]")


def test_source_without_a_file_is_load():
    assert data.source("cdnow_sample", seed=3, acquisition="left_censored").acquisition == "observed"


def test_source_with_a_file(own_file):
    shop = data.source("cdnow", data=str(own_file), columns=NAMES)
    assert (shop.name, shop.origin, shop.acquisition) == ("shop_2024", "yours", "left_censored")
    assert shop.transactions["amount"].tolist() == [10.5, 7.0]
    assert shop.reading is not None
    assert shop.reading.report.rejected == 1
    assert shop.checksums["shop_2024"] == shop.reading.sha256
    assert len(shop.reading.sha256) == 64
    line, *report = repr(shop).splitlines()
    assert line == "<Dataset shop_2024: Your table shop_2024; yours, left_censored; transactions (2 rows)>"
    assert report[0] == "shop_2024: 3 rows read, 2 accepted, 1 rejected"
    assert "customer_id (str): column 'Client' of the file" in repr(shop.card)


def test_source_takes_reading_options_among_the_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("customer_id,date,amount\n1,03/04/2024,5\n", encoding="utf-8")
    with pytest.raises(ContractError, match="date_order=DMY"):
        data.source("cdnow", data=str(path))
    told = {"date_order": "MDY"}
    shop = data.source("cdnow", data=str(path), columns=told, acquisition="observed")
    assert shop.transactions["date"].tolist() == [pd.Timestamp("2024-03-04")]
    assert shop.acquisition == "observed"
    assert told == {"date_order": "MDY"}


def test_source_refuses_what_it_cannot_use(tmp_path, own_file):
    with pytest.raises(ContractError, match="acquisition must be one of observed, left_censored; got 'new'"):
        data.source("cdnow", data=str(own_file), columns=NAMES, acquisition="new")  # type: ignore[arg-type]
    path = tmp_path / "none.csv"
    path.write_text("customer_id,date,amount\n1,soon,5\n", encoding="utf-8")
    with pytest.raises(ContractError, match="not one row was accepted\n  - date is not a date in 1 row"):
        data.source("cdnow", data=str(path))


def test_what_cannot_be_loaded_here_is_listed_as_such():
    card = read_card("donations")
    absent = dataclasses.replace(card.files[0], package="no_such_package")
    assert catalogue._available(card)
    assert not catalogue._available(dataclasses.replace(card, files=(absent,)))
