"""`customer_summary` against what was published of CDNOW."""

import numpy as np
import pytest

from crmlab.database import CustomerSummary, customer_summary

WEEKS = 0.0043  # published to two digits, and 3 days / 7 = 0.428571 is printed 0.43 or 0.42
CENT = 0.0051  # published mean spend is rounded to the cent


@pytest.fixture(scope="module")
def summary(sample):
    return customer_summary(sample, time_unit="week", calibration_end="1997-09-30")


@pytest.fixture(scope="module")
def table(summary):
    return summary.to_pandas()


def test_equals_the_published_summary_row_by_row(table, published_summary):
    assert len(table) == len(published_summary) == 2357
    assert table["customer_id"].tolist() == published_summary["ID"].tolist()
    assert table["frequency"].tolist() == published_summary["x"].tolist()
    np.testing.assert_allclose(table["recency"], published_summary["t_x"], atol=WEEKS)
    np.testing.assert_allclose(table["T"], published_summary["T"], atol=WEEKS)
    np.testing.assert_allclose(table["monetary_value"], published_summary["zbar"], atol=CENT)


def test_published_counts_and_holdout_means_by_frequency(table, published):
    by_repeats = table.groupby(table["frequency"].clip(upper=7))["frequency_holdout"]
    for letter, count, mean in zip("abcdefgh", by_repeats.size(), by_repeats.mean(), strict=True):
        assert count == published(f"CDN-058{letter}")
        assert mean == pytest.approx(published(f"CDN-059{letter}"), abs=0.0005)
    assert by_repeats.sum()[0] == published("CDN-022")


def test_counts_are_sufficient_for_the_published_likelihoods(summary):
    counts = summary.counts()
    assert counts["weight"].sum() == 2357
    assert (counts["frequency"] * counts["weight"]).sum() == 2457
    assert not counts.duplicated(["frequency", "recency", "T"]).any()


def test_holdout_is_the_last_39_weeks(table):
    assert (table["duration_holdout"] == 39.0).all()
    assert table["frequency_holdout"].sum() == 1882


def test_the_published_summary_can_be_taken_over(published_summary):
    names = {"ID": "customer_id", "x": "frequency", "t_x": "recency", "zbar": "monetary_value"}
    taken = CustomerSummary.from_frame(published_summary.rename(columns=names), time_unit="week")
    assert len(taken) == 2357
    assert taken.to_pandas()["monetary_value"].sum() == pytest.approx(published_summary["zbar"].sum())


def test_any_engine_gives_the_same(engine, sample, table):
    there = customer_summary(engine(sample), time_unit="week", calibration_end="1997-09-30").to_pandas()
    assert there["customer_id"].tolist() == table["customer_id"].tolist()
    for column in table.columns[1:]:
        np.testing.assert_allclose(there[column], table[column], rtol=1e-12)


def test_full_cohort_repeaters(cdnow, published):
    table = customer_summary(cdnow, time_unit="week").to_pandas()
    assert len(table) == 23570
    assert (table["frequency"] == 0).sum() == published("RFM-002")
