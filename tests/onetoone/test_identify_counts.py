"""Pairs counted before they are made: against brute force, and against what is published of FEBRL."""

import itertools

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets import load
from crmlab.errors import DataUnavailableError
from crmlab.lab import published
from crmlab.onetoone import count_pairs, link_records, link_scores
from crmlab.onetoone.identify_records import pairs_within

values = st.one_of(st.none(), st.sampled_from("abc"))


@settings(deadline=None)
@given(st.lists(st.tuples(values, values), min_size=2, max_size=25))
def test_counts_are_the_pairs_that_a_join_would_make(rows):
    table = pd.DataFrame(rows, columns=["one", "two"], dtype="str").assign(record_id=range(len(rows)))
    counted = count_pairs(table, ["one", ("one", "two")])
    agree = {
        "one": [a is not None and a == b for (a, _), (b, _) in itertools.combinations(rows, 2)],
        "one and two": [None not in left and left == right for left, right in itertools.combinations(rows, 2)],
    }
    for rule, pairs in agree.items():
        assert counted.loc[rule, "pairs"] == sum(pairs)
        assert counted.loc[rule, "share"] == pytest.approx(sum(pairs) / len(pairs))
    assert counted.loc["all pairs", "pairs"] == len(rows) * (len(rows) - 1) // 2


def test_the_largest_block_is_named():
    table = pd.DataFrame({"record_id": range(6), "phone": ["0", "00", "0 0", "00", "1", None]})
    counted = count_pairs(table, "phone").loc["phone"]
    assert counted.to_dict() == {"records": 3, "blocks": 1, "pairs": 3, "share": 0.2, "largest": 3, "value": "00"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=30))
def test_pairs_within_groups(groups):
    import numpy as np

    assert pairs_within(np.array(groups, dtype=int)) == sum(a == b for a, b in itertools.combinations(groups, 2))


@pytest.fixture(scope="module")
def febrl():
    try:
        return load("febrl")
    except DataUnavailableError as absent:
        pytest.skip(str(absent))


def test_febrl_counts_are_the_published_ones(febrl):
    printed = published()["value"]
    counted = count_pairs(febrl["febrl1"], "given_name")["pairs"]
    assert counted["given_name"] == printed["IDR-002"]
    assert counted["all pairs"] == printed["IDR-001"]
    for number, letter in zip((1, 2, 3), "abc", strict=True):
        persons = febrl[f"febrl{number}"]["customer_id"]
        assert pairs_within(persons.to_numpy()) == printed[f"IDR-011{letter}"]


def test_the_model_finds_more_of_febrl_4_than_the_published_rule(febrl):
    columns = {
        "given_name": "first_name",
        "surname": "last_name",
        "date_of_birth": "birth_date",
        "address_1": "address",
    }
    both = pd.concat([febrl["febrl4a"], febrl["febrl4b"]]).rename(columns=columns)
    found = link_records(both, sample=300_000)
    scores = link_scores(found.clusters(0.5), both.set_index("record_id")["customer_id"]).table.loc["pairs"]
    assert scores["precision"] > 0.98
    assert scores["recall"] > 0.92
    assert scores["f1"] > published()["value"]["IDR-010c"] + 0.15
