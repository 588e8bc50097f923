"""Survival, life tables and cohorts: printed values, hand-made tables, a count by loops, and simulated truth."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.relationship import life_table, read_spells, retention_table, survival
from crmlab.relationship.spells import Spells, anniversary

PRINTED = 5e-4  # printed with three digits

# Remission of 21 patients in weeks (+ censored); Kaplan-Meier estimates and standard errors as printed in Klein &
# Moeschberger (2003), Survival Analysis, 2nd ed., table 4.1A and section 4.2 (the data: Freireich et al. 1963).
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
REMISSION = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}


def from_tenures(entry, exit_, churned, ends="renewal", unit="month") -> Spells:
    """Spells with given tenures, without dates."""
    table = pd.DataFrame({"entry": entry, "exit": exit_, "churned": churned}, dtype=float).astype({"churned": bool})
    table.insert(0, "customer_id", range(len(table)))
    return Spells(table, table.iloc[:0].assign(reason=""), {}, unit, ends, None, pd.Timestamp("2030-01-01").date())


def day(months: int) -> str:
    return str(anniversary("2020-01-15", months, "month"))


def draw(rng, customers, *, begin=None, begins=36, ends=48, alpha=1.0, beta=5.0) -> Spells:
    """Monthly contracts, each with an own constant chance to leave ~ Beta; customers begin over three years."""
    start = np.datetime64("2020-01-15") + rng.integers(0, 30 * begins, customers).astype("timedelta64[D]")
    tenure = rng.geometric(rng.beta(alpha, beta, customers).clip(1e-4))
    end = anniversary(start, np.minimum(tenure, 1000), "month")
    table = pd.DataFrame({"customer_id": range(customers), "started_on": start, "ended_on": end})
    table = table.astype({"started_on": "M8[us]", "ended_on": "M8[us]"})
    found = read_spells(table, time_unit="month", ends="renewal", window_end=day(ends))
    return found if begin is None else found.window(day(begin))


def by_loops(table: pd.DataFrame) -> dict[float, float]:
    """The product-limit estimate, counted customer by customer."""
    rows = list(zip(table["entry"].tolist(), table["exit"].tolist(), table["churned"].tolist(), strict=True))
    share, curve = 1.0, {}
    for time in sorted({end for _, end, left in rows if left}):
        at_risk = sum(entry < time <= end for entry, end, _ in rows)
        share *= 1 - sum(left and end == time for _, end, left in rows) / at_risk
        curve[time] = share
    return curve


def test_kaplan_meier_as_printed():
    curve = survival(from_tenures(0.0, WEEKS, RELAPSED, "any_time", "week"))
    assert dict(zip(curve.table["tenure"][1:], curve.table["survival"][1:], strict=True)) == pytest.approx(
        REMISSION, abs=PRINTED
    )
    assert curve.table["at_risk"].tolist() == [21, 21, 17, 15, 12, 11, 7, 6]
    assert curve.median().estimate == 23
    assert "median     23 weeks (13 to inf)" in repr(curve)  # 13: the first lower limit at or below one half
    errors = np.array([0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346])  # Greenwood, as printed
    s = curve.table["survival"].to_numpy()[1:]
    reach = 1.959964 * errors / (s * np.log(s))
    assert curve.table["low"].to_numpy()[1:] == pytest.approx(s ** np.exp(-reach), abs=1e-3)  # errors have 4 digits
    assert curve.table["high"].to_numpy()[1:] == pytest.approx(s ** np.exp(reach), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_kaplan_meier_with_delayed_entry_as_counted_by_loops(seed):
    stock = draw(np.random.default_rng(seed), 150, begin=24)
    curve = survival(stock)
    counted = by_loops(stock.table)
    assert dict(zip(curve.table["tenure"][1:], curve.table["survival"][1:], strict=True)) == pytest.approx(counted)
    later = survival(stock, given=6)
    assert later.at([12, 20])["survival"].to_numpy() == pytest.approx(
        (curve.at([12, 20])["survival"] / curve.at(6)["survival"].item()).to_numpy()
    )


def outcome(one: Spells) -> str:
    try:
        survival(one)
    except ContractError:
        return "blind"
    return "drawn"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8), st.booleans()), min_size=2, max_size=25).filter(
        lambda rows: any(row[2] for row in rows)
    )
)
def test_a_curve_falls_from_one_and_ties_are_not_broken_by_order(rows):
    entry, stay, churned = map(list, zip(*rows, strict=True))
    exit_ = list(np.add(entry, stay))
    one = from_tenures(entry, exit_, churned)
    other = from_tenures(entry[::-1], exit_[::-1], churned[::-1])
    if "blind" in (outcome(one), outcome(other)):  # somewhere nobody is under observation: then in any order
        assert outcome(one) == outcome(other)
        return
    curve = survival(one)
    pd.testing.assert_frame_equal(curve.table, survival(other).table)
    share = curve.table["survival"].to_numpy()
    assert share[0] == 1
    assert (np.diff(share) < 0).all()
    inside = curve.table.dropna()
    assert ((inside["low"] <= inside["survival"]) & (inside["survival"] <= inside["high"])).all()
    assert dict(zip(curve.table["tenure"][1:], share[1:], strict=True)) == pytest.approx(by_loops(one.table))
    hazard = life_table(one).table.set_index("tenure")["survival"]
    assert hazard[curve.table["tenure"][1:]].to_numpy() == pytest.approx(share[1:])  # renewals: the same estimate


def test_restricted_mean_is_the_area_and_its_error_greenwoods():
    curve = survival(from_tenures(0.0, WEEKS, RELAPSED, "any_time", "week"))
    fine = np.arange(0, 30, 0.01)
    mean = curve.restricted_mean(30)
    assert mean.estimate == pytest.approx(curve.at(fine)["survival"].sum() * 0.01, rel=1e-3)
    draws = []
    rng = np.random.default_rng(1)
    for _ in range(200):
        rows = rng.integers(0, 21, 21)
        one = survival(from_tenures(0.0, np.array(WEEKS)[rows], np.array(RELAPSED)[rows], "any_time", "week"))
        draws.append(one.restricted_mean(min(30, one.last)).estimate)
    assert (mean.high - mean.estimate) / 1.96 == pytest.approx(np.std(draws), rel=0.15)  # error of 200 draws: 5 %


def test_life_table_by_hand():
    """Any day: whoever comes into view or goes out of it within a unit counts half."""
    found = life_table(from_tenures([0, 0, 0, 0.5, 1], [0.5, 1.5, 2, 2, 1.2], [1, 0, 1, 0, 1], "any_time")).table
    assert found["at_risk"].tolist() == [3.5, 3.5]  # 3 + 1/2; 4 - 1/2
    assert found["hazard"].tolist() == pytest.approx([1 / 3.5, 2 / 3.5])
    assert found["survival"].tolist() == pytest.approx([2.5 / 3.5, 2.5 / 3.5 * 1.5 / 3.5])
    late = life_table(from_tenures([3, 3], [5, 6], [1, 0])).table
    assert late["hazard"].isna().tolist() == [True] * 3 + [False] * 3
    assert late["survival"].isna().all()


def test_cohorts_and_calendar_by_hand():
    rows = [("a", "2024-01-10", "2024-03-10"), ("b", "2024-01-20", None), ("c", "2024-02-05", "2024-03-05")]
    who, start, end = zip(*rows, strict=True)
    table = pd.DataFrame(
        {"customer_id": who, "started_on": pd.to_datetime(list(start)), "ended_on": pd.to_datetime(list(end))}
    )
    found = retention_table(
        read_spells(table, time_unit="month", ends="renewal", window_end="2024-04-15"), period="month"
    )
    assert found.pivot("at_risk").to_numpy().tolist() == [[2, 2], [1, pytest.approx(np.nan, nan_ok=True)]]
    assert found.pivot("survival").iloc[0].tolist() == [1.0, 0.5]
    assert found.by("calendar")["retention"].tolist() == [1.0, pytest.approx(1 / 3)]  # b's third month ends on 20 April
    assert found.by("tenure", "calendar").loc[(1, "2024-03-01"), "churned"] == 1
    assert "2 month cohorts" in repr(found)


def test_the_three_tables_agree():
    """Counting months that the window saw whole is the life table, without those that it cut."""
    stock = draw(np.random.default_rng(5), 400, begin=20)
    table = retention_table(stock, period="quarter").by("tenure")
    life = life_table(stock).table.set_index("tenure")
    assert (table["at_risk"] == life.loc[table.index, "at_risk"]).all()
    assert (1 - table["retention"]).to_numpy() == pytest.approx(life.loc[table.index, "hazard"].to_numpy())
    assert retention_table(stock, period="quarter").by("cohort")["churned"].sum() == stock.table["churned"].sum()


def test_without_contract_only_whole_units_count_and_the_rates_are_right():
    """Ends on any day at a constant rate: every unit of tenure keeps exp(-rate), in a stock sample too."""
    rng = np.random.default_rng(8)
    begun = np.datetime64("2023-01-01") + rng.integers(0, 700, 20_000).astype("timedelta64[D]")
    ended = begun + (1 + rng.exponential(200, 20_000).astype(int)).astype("timedelta64[D]")
    table = pd.DataFrame({"customer_id": range(20_000), "started_on": begun, "ended_on": ended})
    table = table.astype({"started_on": "M8[us]", "ended_on": "M8[us]"})
    options: Any = {"time_unit": "week", "ends": "any_time", "window_begin": "2024-03-03", "window_end": "2024-12-08"}
    stock = read_spells(table, **options)
    kept = np.exp(-7 / 200)
    cells = retention_table(stock, period="quarter")
    rates = cells.by("tenure").loc[1:40]
    assert np.average(rates["retention"], weights=rates["at_risk"]) == pytest.approx(kept, abs=0.002)  # 4 errors
    assert ((rates["low"] <= kept) & (kept <= rates["high"])).mean() == pytest.approx(0.95, abs=0.1)  # 40 intervals
    hazard = life_table(stock).table.iloc[:40]
    assert np.average(hazard["hazard"], weights=hazard["at_risk"]) == pytest.approx(1 - kept, abs=0.002)
    counted = stock.table[(stock.table["entry"] <= 9) & (stock.table["exit"] > 9)]
    whole = (pd.Timestamp("2024-12-08") - counted["started_on"]).dt.days >= 70
    assert cells.by("tenure").loc[10, "at_risk"] == whole.sum()


def truth(t, alpha=1.0, beta=5.0) -> np.ndarray:
    """B(alpha, beta + t) / B(alpha, beta) at alpha = 1."""
    return beta / (beta + np.asarray(t))


@pytest.fixture(scope="module")
def samples():
    """150 firms of 300 customers, seen from the 24th month on."""
    return [draw(np.random.default_rng([9, seed]), 300, begin=24) for seed in range(150)]


def test_intervals_with_delayed_entry_cover_the_truth_at_their_rate(samples):
    """Error of a coverage of 95 % over 150 samples: 1.8 points, of which three are allowed."""
    at = [6, 12, 24]
    inside, mean = [], []
    for stock in samples:
        curve = survival(stock, given=2)
        found = curve.at(at)
        inside.append((found["low"] <= truth(at) / truth(2)) & (truth(at) / truth(2) <= found["high"]))
        area = curve.restricted_mean(24)
        mean.append(area.low <= (truth(np.arange(2, 24)) / truth(2)).sum() <= area.high)
    assert np.mean(inside, axis=0) == pytest.approx(0.95, abs=0.053)
    assert np.mean(mean) == pytest.approx(0.95, abs=0.053)


def test_without_delayed_entry_a_stock_sample_lies(samples):
    """The same samples, with the past of those who were found there taken for observed."""
    naive = [
        survival(replace(one, table=one.table.assign(entry=0.0))).at(12)["survival"].item() for one in samples[:50]
    ]
    right = [survival(one, given=2).at(12)["survival"].item() * truth(2) for one in samples[:50]]
    assert np.mean(right) == pytest.approx(truth(12), abs=0.02)  # three standard errors of the mean of 50
    assert np.mean(naive) > truth(12) + 0.1


def test_hazards_cover_the_truth_at_their_rate(samples):
    hazard = 1 - truth(np.arange(1, 13)) / truth(np.arange(12))
    inside = []
    for stock in samples:
        life = life_table(stock).table.iloc[:12]
        inside.append((life["low"] <= hazard) & (hazard <= life["high"]))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)  # 1,800 intervals
