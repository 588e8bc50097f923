import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import scenario, simulate
from crmlab.datasets.company.base import scramble
from crmlab.datasets.company.firm import Firm
from crmlab.datasets.company.identities import MOST_RECORDS, with_typing_errors

GROCER = scenario("grocer")
PLAN: Any = GROCER.identities
FIELDS = ("first_name", "last_name", "birth_date", "phone", "email", "street", "postcode", "city")


def only(**changes):
    """A grocer of whom only the identities matter, with these of its parameters changed."""
    plan = dataclasses.replace(PLAN, **changes)
    return dataclasses.replace(GROCER, identities=plan, campaigns=None, programme=None, desk=None, surveys=None)


QUIET: dict = dict.fromkeys(("moves", "new_email", "new_surname", "typing", "nickname", "swapped"), 0.0)
QUIET["missing"] = {}


@pytest.fixture(scope="module")
def shop():
    return simulate(8000, seed=3, scenario=only())


@pytest.fixture(scope="module")
def records(shop):
    return shop["identities"].merge(shop.truth["identities"]).merge(shop["customers"])


def within(share, expected, n, errors=4.0):
    """A share of `n` lies within so many standard errors of the expected one."""
    return abs(share - expected) < errors * np.sqrt(expected * (1 - expected) / n)


def test_every_customer_has_one_to_four_records_from_acquisition_until_leaving(shop, records):
    assert records["record_id"].is_unique
    assert len(records) == len(shop["identities"]) == len(shop.truth["identities"])
    per_customer = records.groupby("customer_id").size()
    assert set(per_customer.index) == set(shop["customers"]["customer_id"])
    assert per_customer.max() <= MOST_RECORDS
    for count, share in enumerate(PLAN.records, start=1):
        assert within((per_customer == count).mean(), share, len(per_customer))
    left = records.merge(shop.truth["customers"])["left_on"].fillna(pd.Timestamp("2024-12-31"))
    assert (records["recorded_on"] <= left).all()
    assert (
        records.groupby("customer_id")["recorded_on"].min() == shop["customers"].set_index("customer_id")["acquired_on"]
    ).all()


def test_record_numbers_tell_nothing(records):
    every = np.arange(2**16)
    assert len(np.unique(scramble(every))) == len(every)
    assert scramble(np.array([2**32 - 1])) < 2**32
    assert abs(records["record_id"].corr(records["customer_id"], method="spearman")) < 4 / np.sqrt(len(records))
    copies = records.groupby("customer_id")["record_id"].agg(np.ptp)
    assert copies[copies > 0].median() > 2**30


def test_errors_have_their_rates(records):
    n = len(records)
    for name, share in PLAN.missing.items():
        column = "street" if name == "address" else name
        assert within(records[column].isna().mean(), share, n)
    present = 2 + records[["phone", "email", "street", "postcode"]].notna().sum(axis=1) - 2 * records["in_characters"]
    rate = records["typing_errors"].sum() / present.sum()
    assert PLAN.typing * 0.85 < rate < PLAN.typing * 1.1  # a replaced character can be the same one
    assert (records["birth_date"].dropna().dt.year == records["birth_year"][records["birth_date"].notna()]).all()
    chinese = records.groupby("customer_id")["in_characters"].max()
    in_signs = sum(one.share for one in PLAN.systems.values() if one.characters)
    seen = sum(share * (1 - (1 - in_signs) ** k) for k, share in enumerate(PLAN.records, start=1))
    assert within(chinese.mean(), PLAN.chinese * seen, len(chinese) / 1.5)  # relatives share the name
    assert set(records.loc[records["in_characters"], "system"]) == {"web", "app"}


def test_without_errors_the_records_of_a_customer_agree():
    shop = simulate(4000, seed=4, scenario=only(**QUIET))
    records = shop["identities"].merge(shop.truth["identities"])
    latin = records[~records["in_characters"]]
    assert (latin.groupby("customer_id")[list(FIELDS)].nunique() == 1).all(axis=None)
    assert records["email"].nunique() > 0.999 * records["customer_id"].nunique()
    assert records["phone"].str.fullmatch(r"05\d{9}").all()
    assert records["postcode"].str.fullmatch(r"\d{5}").all()
    assert not records[["typing_errors", "missing_fields", "nickname", "former_email"]].any(axis=None)


def test_relatives_are_different_persons_of_one_household():
    shop = simulate(4000, seed=5, scenario=only(**QUIET))
    records = shop["identities"].merge(shop.truth["identities"]).merge(shop.truth["families"]).merge(shop["customers"])
    homes = records[~records["in_characters"]].groupby("household_id")
    assert (homes[["last_name", "phone", "street", "postcode", "city", "household_size"]].nunique() == 1).all(axis=None)
    families = shop.truth["families"].groupby("household_id").size()
    assert set(families) == {2, 3}
    everybody = records.drop_duplicates("customer_id")
    assert everybody["email"].nunique() == len(everybody)
    in_larger = (shop["customers"]["household_size"] > 1).sum()
    assert 0.8 < len(shop.truth["families"]) / in_larger / PLAN.families < 1


def test_old_records_keep_former_values():
    changes = QUIET | {"moves": 0.5, "new_email": 0.4, "new_surname": 0.3}
    shop = simulate(4000, seed=6, scenario=only(**changes))
    records = shop["identities"].merge(shop.truth["identities"])
    latin = records[~records["in_characters"]]
    for column, former in (("street", "former_address"), ("email", "former_email"), ("last_name", "former_surname")):
        dates = latin.groupby(["customer_id", former])["recorded_on"].agg(["min", "max"]).unstack()
        both = dates.dropna()
        assert (both["max"][True] <= both["min"][False]).all()
        assert (latin.groupby(["customer_id", former])[column].nunique() == 1).all()
        values = latin.drop_duplicates(["customer_id", former]).pivot(
            index="customer_id", columns=former, values=column
        )
        assert (values[True] != values[False])[both.index].mean() > 0.95  # some names are common
    first = records.sort_values("recorded_on").drop_duplicates("customer_id").merge(shop["customers"])
    end = pd.Timestamp("2025-01-01")
    expected = 0.4 * (end - first["acquired_on"]).dt.days / (end - pd.Timestamp("2022-01-01")).days
    assert within(first["former_email"].mean(), expected.mean(), len(first))


def edits(one, other):
    """Optimal string alignment distance."""
    table = np.add.outer(np.arange(len(one) + 1), np.arange(len(other) + 1))
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            same = one[i - 1] == other[j - 1]
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[-1, -1]


def test_a_typing_error_is_one_edit():
    rng = np.random.default_rng(1)
    text = np.resize(["Li", "Smith", "05123456789", "12 Mill Lane", "anna.li1970@post.example"], 500)
    rows = np.arange(500) % 3 == 0
    typed = with_typing_errors(rng, text, rows)
    assert (typed[~rows] == text[~rows]).all()
    distances = np.array([edits(one, other) for one, other in zip(text[rows], typed[rows], strict=True)])
    assert set(distances) <= {0, 1}
    assert distances.mean() > 0.9
    grown = np.char.str_len(typed[rows]) - np.char.str_len(text[rows])
    assert {-1, 0, 1} == set(grown)
    phones = typed[rows & (text == "05123456789")]
    assert np.char.isdigit(phones).all()


def test_linking_by_email_finds_what_the_errors_leave():
    """Two records agree on the e-mail when both have it and neither is mistyped: a closed form for the recall."""
    found, pairs, right = 0, 0, 0
    for seed in range(3):
        shop = simulate(6000, seed=seed, scenario=only(new_email=0.0))
        records = shop["identities"][["record_id", "email"]].merge(
            shop.truth["identities"][["record_id", "customer_id"]]
        )
        linked = records.dropna().merge(records.dropna(), on="email").query("record_id_x < record_id_y")
        counts = records.groupby("customer_id").size()
        pairs += (counts * (counts - 1) // 2).sum()
        right += (linked["customer_id_x"] == linked["customer_id_y"]).sum()
        found += len(linked)
    kept = (1 - PLAN.missing["email"]) * (1 - PLAN.typing)
    assert within(right / pairs, kept**2, pairs / 2.5)  # pairs of one customer are not independent
    assert right / found > 0.998


def test_linking_by_phone_and_surname_merges_families(records):
    known = records.dropna(subset=["phone"])
    linked = known.merge(known, on=["phone", "last_name"]).query("record_id_x < record_id_y")
    wrong = linked["customer_id_x"] != linked["customer_id_y"]
    assert 0.1 < wrong.mean() < 0.4


def test_blocks_do_not_depend_on_each_other():
    small, large = Firm(only(), 4096, 9, 3), Firm(only(), 9000, 9, 3)
    one, other = small.block(0).records.seen, large.block(0).records.seen
    assert (one["record_id"] == other["record_id"]).all()
    assert (one["first_name"] == other["first_name"]).all()
