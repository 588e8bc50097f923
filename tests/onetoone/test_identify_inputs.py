"""What linkage refuses, and in which words."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import count_pairs, link_records, match_arrivals
from crmlab.onetoone.identify_records import script_of, standard_records


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    table = simulate(400, seed=1)["identities"]
    return table.assign(address=table["street"] + " " + table["postcode"])


@pytest.fixture(scope="module")
def linkage(records):
    return link_records(records, sample=100_000)


REFUSED = {
    "0 records: 2 are needed": lambda r: r.iloc[:0],
    "1 records: 2 are needed": lambda r: r.iloc[:1],
    "record_id: the same twice in 3 rows": lambda r: pd.concat([r, r.iloc[:3]]),
    "record_id: missing in 1 rows": lambda r: r.assign(
        record_id=["", *["b" + str(i) for i in range(1, len(r))]]
    ).replace({"record_id": {"": None}}),
    "record_id is of type float64": lambda r: r.assign(record_id=r["record_id"].astype(float)),
    "phone holds 5 in row 1; make it text": lambda r: r.assign(phone=5),
    "first_name holds 1 in row 2": lambda r: r.assign(first_name=["a", 1, *["b"] * (len(r) - 2)]),
    r"birth_date: text that is not year, month, day .* rows \(first: 1, 2, 3\)": lambda r: r.assign(
        birth_date=r["birth_date"].dt.strftime("%d/%m/%Y")
    ),
    "birth_date holds 1990 in row 1; make it dates": lambda r: r.assign(birth_date=1990),
    "it has email to compare by; 2 of first_name": lambda r: r[["record_id", "email"]],
    "it has nothing to compare by": lambda r: r[["record_id", "city"]],
    "needs columns that the table lacks": lambda r: r.drop(columns="record_id"),
    "'email' 2 times": lambda r: pd.concat([r, r[["email"]]], axis=1),
    "needs a table, not Series": lambda r: r["email"],
    "phone, address are shared by a household and count as one": lambda r: r[["record_id", "phone", "address"]],
    "nearly all pairs of records agree in email": lambda r: r.assign(
        **dict.fromkeys(["phone", "email", "first_name", "last_name", "address"], "x"),
        birth_date=pd.Timestamp("1990-01-01"),
    ),
    "no two records agree in email; name other rules": lambda r: pd.DataFrame(
        {"record_id": [1, 2], "email": ["a", "b"], "first_name": ["x", "y"]}
    ),
    "nothing can be learnt about": lambda r: r.iloc[:60],
}


@pytest.mark.parametrize("told", REFUSED)
def test_tables_that_cannot_be_linked(records, told):
    with pytest.raises(ContractError, match=told):
        link_records(REFUSED[told](records), sample=100_000)


def test_no_sure_pair_means_no_prior():
    table = pd.DataFrame(
        {"record_id": [1, 2, 3], "last_name": ["li", "li", "wu"], "birth_date": ["19900101", "19910101", None]}
    )
    with pytest.raises(ContractError, match="no two records agree in last_name and birth_date, so the share"):
        link_records(table, blocking=["last_name"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"blocking": []}, "name at least one column"),
        ({"blocking": ["citty"]}, "did you mean 'city'"),
        ({"blocking": ["phone"], "max_pairs": 10}, "phone alone makes"),
        ({"max_pairs": 0}, "max_pairs must be a whole number of 1 or more, got 0"),
        ({"max_pairs": True}, "max_pairs must be a whole number"),
        ({"sample": 10}, "sample must be a whole number of 1,000 or more"),
        ({"seed": -1}, "seed must be a whole number of 0 or more"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_options_that_are_refused(records, options, told):
    with pytest.raises(ContractError, match=told):
        link_records(records, **options)


def test_a_field_without_values_is_no_field(records):
    with_none = link_records(records.assign(email=np.nan), sample=100_000)
    without = link_records(records.drop(columns="email"), sample=100_000)
    pd.testing.assert_frame_equal(with_none.pairs, without.pairs)


def test_an_odd_index_and_categories_do_no_harm(records, linkage):
    odd = records.set_index(np.zeros(len(records), int)).assign(
        first_name=records["first_name"].astype("category").to_numpy()
    )
    pd.testing.assert_frame_equal(link_records(odd, sample=100_000).pairs, linkage.pairs)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high", True])
def test_thresholds_outside_of_0_to_1(linkage, threshold):
    with pytest.raises(ContractError, match="threshold must lie between 0 and 1"):
        linkage.clusters(threshold)


def test_a_pair_that_was_not_made_cannot_be_explained(linkage):
    with pytest.raises(ContractError, match="the blocking made no pair of records 1 and 2"):
        linkage.explain(1, 2)


@pytest.mark.parametrize(
    ("arrivals", "told"),
    [
        (lambda r: r.iloc[[0]], r"1 arrivals have the record_id of a known record \(first: \d+\)"),
        (lambda r: r.iloc[[0]].assign(record_id="x"), "of another type"),
        (lambda r: r.iloc[:0], "0 records: 1 are needed"),
        (lambda r: pd.DataFrame({"record_id": [7]}), "it has nothing to compare by; 1 of"),
    ],
)
def test_arrivals_that_are_refused(records, linkage, arrivals, told):
    with pytest.raises(ContractError, match=told):
        match_arrivals(linkage, arrivals(records))


def test_arrivals_need_a_linkage(records):
    with pytest.raises(ContractError, match="needs a Linkage from link_records, not DataFrame"):
        match_arrivals(records, records)


def test_values_are_compared_without_what_does_not_matter():
    table = pd.DataFrame(
        {
            "record_id": [1, 2, 3],
            "first_name": [" ANN ", "ann", ""],
            "phone": ["+86 (0)5 12", "8605 12", "-"],
            "email": ["A@B.example", "a@b.example ", None],
            "address": ["1, Main St.", "1 main st", " "],
            "birth_date": ["1990-05-31", "1990/05/31", None],
        }
    )
    found = standard_records(table)
    assert (found.loc[1] == found.loc[2]).all()
    assert found.loc[1].to_dict() == {
        **{"first_name": "ann", "phone": "860512", "email": "a@b.example", "address": "1 main st"},
        **{"birth_date": "19900531", "script": "latin"},
    }
    assert found.loc[3, ["first_name", "phone", "email", "address"]].isna().all()
    assert found.loc[3, "script"] == ""


def test_full_width_letters_are_letters():
    assert script_of("Ｗａｎｇ") in ("fullwidth", "latin")
    table = pd.DataFrame({"record_id": [1, 2], "first_name": ["Ｗａｎｇ", "王"], "email": ["a", "b"]})
    assert standard_records(table)["script"].to_list() == ["latin", "cjk"]
    assert standard_records(table)["first_name"].to_list() == ["wang", "王"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [([], "at least one column"), ("fone", "did you mean 'phone'"), ("birth_date", "year, month, day")],
)
def test_counts_that_are_refused(records, rules, told):
    table = records.assign(birth_date="31.5.1990")
    with pytest.raises(ContractError, match=told):
        count_pairs(table, rules)
