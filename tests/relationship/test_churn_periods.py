"""Person-periods, histories and splits: by hand, against the life table, and against a simulated truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.relationship import history_before, life_table, person_periods, read_spells, split_in_time


def spells(rows, *, time_unit="month", ends="renewal", window_end="2024-12-31", window_begin=None):
    table = pd.DataFrame(rows, columns=["customer_id", "started_on", "ended_on"])
    dates = {name: pd.to_datetime(table[name]) for name in ("started_on", "ended_on")}
    options = {"ends": ends, "window_end": window_end, "window_begin": window_begin}
    return read_spells(table.assign(**dates), time_unit=time_unit, **options)


def test_months_by_hand():
    found = person_periods(spells([(7, "2024-10-31", "2024-11-30"), (8, "2024-11-15", None), (9, "2024-12-20", None)]))
    assert found.table.drop(columns=["begins", "ends"]).to_dict("list") == {
        "spell": [0, 1],
        "customer_id": [7, 8],
        "period": [1, 1],
        "left": [1, 0],
    }
    assert found.table["ends"].tolist() == [pd.Timestamp("2024-11-30"), pd.Timestamp("2024-12-15")]
    assert "2 months at risk in 2 spells, 1 of which ended" in repr(found)


def test_an_end_within_a_period_that_the_window_cuts_is_left_out():
    rows = [(1, "2024-01-01", "2024-01-10"), (2, "2024-01-05", "2024-01-20"), (3, "2024-01-05", None)]
    found = person_periods(spells(rows, time_unit="week", ends="any_time", window_end="2024-01-20"))
    assert found.table.groupby("customer_id")["left"].agg(list).to_dict() == {1: [0, 1], 2: [0, 0], 3: [0, 0]}
    assert dict(found.left_out) == {
        "weeks cut short by the end of observation": 2,  # that of the leaver and that of the one who stays
        "spells without a whole period under observation": 0,
    }


def test_who_came_under_observation_late_is_not_at_risk_before():
    rows = [(1, "2024-01-15", "2024-06-15"), (2, "2024-01-15", "2024-03-15")]
    found = person_periods(spells(rows, window_begin="2024-04-20"))
    assert found.table["customer_id"].tolist() == [1, 1]
    assert found.table["period"].tolist() == [4, 5]
    assert found.table["left"].tolist() == [0, 1]


def firm(n: int, seed: int):
    return simulate(n, seed=seed, scenario="subscription")


def test_hazards_are_those_of_the_life_table():
    company = firm(1_500, 3)
    for begin in (None, "2023-06-30"):
        found = read_spells(
            company["subscriptions"], time_unit="month", ends="renewal", window_end="2024-03-10", window_begin=begin
        )
        rates = person_periods(found).table.groupby("period")["left"].agg(["sum", "size"])
        table = life_table(found).table.set_index("tenure")
        assert (rates["sum"] == table.loc[rates.index, "churned"]).all()
        assert (rates["size"] == table.loc[rates.index, "at_risk"]).all()


@pytest.fixture(scope="module")
def estimates():
    """Estimates, over seeds, of the effects that the scenario states, each own hazard known; complementary log-log."""
    rows = []
    for seed in range(12):
        company = firm(1_500, seed)
        offers = company["retention_offers"]["date"].min()
        table = person_periods(
            read_spells(company["subscriptions"], time_unit="month", ends="renewal", window_end=offers)
        ).table
        truth = company.truth["subscriptions"].set_index(company["subscriptions"]["customer_id"])
        people = company["customers"].set_index("customer_id").join(company["subscriptions"].set_index("customer_id"))
        people["satisfaction"] = company.truth["customers"].set_index("customer_id")["satisfaction"]
        mine = people.loc[table["customer_id"]]
        x = pd.DataFrame(
            {
                "const": 1.0,
                "autopay": mine["autopay"].astype(float),
                "premium": (mine["plan"] == "premium").astype(float),
                "age": (2022 - mine["birth_year"] - 47) / 15,
                "satisfaction": mine["satisfaction"],
            }
        )
        theta = truth.loc[table["customer_id"], "churn_probability"].clip(1e-12, 1 - 1e-12).to_numpy()
        link = sm.families.links.CLogLog()
        model = sm.GLM(
            table["left"].to_numpy(), x.to_numpy(), family=sm.families.Binomial(link), offset=np.log(-np.log1p(-theta))
        ).fit()
        rows.append((model.params, model.bse))
    return rows


TRUTH = np.array([0.0, -0.5, -0.25, -0.2, -0.3])


def test_the_true_effects_are_recovered(estimates):
    """The mean over seeds lies within four standard errors of it; intervals hold the truth about 95 times in 100."""
    params, errors = (np.array(one) for one in zip(*estimates, strict=True))
    distance = (params.mean(axis=0) - TRUTH) / (params.std(axis=0, ddof=1) / np.sqrt(len(params)))
    assert (np.abs(distance) < 4).all()
    covered = (np.abs(params - TRUTH) < 1.96 * errors).mean()
    assert covered > 0.85  # 60 intervals: below it with a chance under 0.002


def log_of(rows):
    return pd.DataFrame(rows, columns=["customer_id", "date", "n"]).assign(date=lambda t: pd.to_datetime(t["date"]))


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_history_is_a_sum_over_an_open_window(seed):
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2024-01-01")
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 4, 30),
            "date": day + pd.to_timedelta(rng.integers(0, 60, 30), unit="D"),
            "n": rng.integers(-3, 9, 30),
        }
    )
    points = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 6, 8),
            "begins": day + pd.to_timedelta(rng.integers(0, 80, 8), unit="D"),
        },
        index=rng.permutation(8),
    )
    found = history_before(points, log, windows=[1, 3], time_unit="week", value="n")
    for place, (_, point) in enumerate(points.iterrows()):
        for weeks in (1, 3):
            begin = point["begins"] - pd.Timedelta(weeks=weeks)
            inside = log[
                (log["customer_id"] == point["customer_id"]) & (log["date"] >= begin) & (log["date"] < point["begins"])
            ]
            assert found[f"events_{weeks}_week"].iloc[place] == inside["n"].sum()


def test_what_comes_later_never_changes_a_history():
    company = firm(400, 5)
    usage = company["usage"].assign(known_on=lambda t: t["month"] + pd.offsets.MonthBegin(1))
    points = person_periods(
        read_spells(company["subscriptions"], time_unit="month", ends="renewal", window_end="2024-12-31")
    ).table
    options: dict[str, Any] = {"windows": [1, 4], "known_on": "known_on", "value": "sessions"}
    whole = history_before(points, usage, **options)
    early = points["begins"] <= pd.Timestamp("2023-07-01")
    cut = history_before(points[early], usage[usage["known_on"] < pd.Timestamp("2023-07-01")], **options)
    pd.testing.assert_frame_equal(whole[early], cut)


def test_a_month_holds_one_first_of_the_month():
    points = pd.DataFrame({"customer_id": 1, "begins": pd.date_range("2024-01-02", "2025-12-31")})
    log = pd.DataFrame({"customer_id": 1, "date": pd.date_range("2023-01-01", "2026-01-01", freq="MS")})
    assert set(history_before(points, log, windows=[1])["events_1_month"]) == {1}


def test_rows_between_train_and_test_serve_neither():
    rows = [(i, "2024-01-10", end) for i, end in enumerate(["2024-02-10", "2024-06-10", None, None])]
    periods = person_periods(spells(rows, window_end="2024-07-01"))
    split = split_in_time(periods, "2024-03-20")
    assert (periods.table.loc[split.train, "ends"] <= pd.Timestamp("2024-03-20")).all()
    assert (periods.table.loc[split.test, "begins"] >= pd.Timestamp("2024-03-20")).all()
    assert not (split.train & split.test).any()
    assert (~split.train & ~split.test).sum() == 3


def test_refusals():
    rows = [(1, "2024-01-10", "2024-02-10"), (2, "2024-01-10", None)]
    periods = person_periods(spells(rows))
    with pytest.raises(ContractError, match="leavers and stayers on both sides"):
        split_in_time(periods, "2024-06-01")
    with pytest.raises(ContractError, match="on is not a date"):
        split_in_time(periods, "soon")
    with pytest.raises(ContractError, match="no whole year was observed"):
        person_periods(spells([(1, "2024-01-10", None)], time_unit="year", ends="any_time"))
    points, log = periods.table, log_of([(1, "2024-01-05", 1.0)])
    bad: dict[str, Any] = {
        "whole numbers above 0": {"windows": [0]},
        "must be one of": {"windows": [1], "time_unit": "hour"},
        "the table lacks": {"windows": [1], "value": "sessions"},
    }
    for words, options in bad.items():
        with pytest.raises(ContractError, match=words):
            history_before(points, log, **options)
    with pytest.raises(ContractError, match="no date in 1 rows"):
        history_before(points, log.assign(date="never"), windows=[1])
    with pytest.raises(ContractError, match="not a finite number"):
        history_before(points, log.assign(n=np.inf), windows=[1], value="n")
    with pytest.raises(ContractError, match="log, customer_id: missing in 1 rows"):
        history_before(points, log.assign(customer_id=None), windows=[1])
    with pytest.raises(ContractError, match="there is no point"):
        history_before(points.iloc[:0], log, windows=[1])
    assert history_before(points, log.iloc[:0], windows=[1]).to_numpy().sum() == 0


def test_a_number_is_no_date_and_a_date_no_number():
    points = pd.DataFrame({"customer_id": [1], "begins": ["2024-03-01"]})
    log = pd.DataFrame({"customer_id": [1], "date": pd.to_datetime(["2024-02-05"]), "cents": [199]})
    options: Any
    for options, words in [({"known_on": "cents"}, "no date"), ({"value": "date"}, "adds up numbers")]:
        with pytest.raises(ContractError, match=words):
            history_before(points, log, windows=[1], **options)
    windows: Any
    for windows in (3, ["a"], [1.5], None):
        with pytest.raises(ContractError, match="windows must be"):
            history_before(points, log, windows=windows)


def test_a_day_is_the_local_one():
    points = pd.DataFrame({"customer_id": [1], "begins": ["2024-03-01"]})
    late = pd.to_datetime(["2024-02-29 23:30"]).tz_localize("America/New_York")
    log = pd.DataFrame({"customer_id": [1], "date": late})
    assert history_before(points, log, windows=[1])["events_1_month"].tolist() == [1]


def test_raw_tables_are_refused():
    table: Any = pd.DataFrame({"customer_id": [1]})
    with pytest.raises(ContractError, match="the result of read_spells"):
        person_periods(table)
    with pytest.raises(ContractError, match="the result of person_periods"):
        split_in_time(table, "2024-01-01")
