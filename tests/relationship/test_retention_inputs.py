"""Every row of a table of relationships is accounted for; what cannot be computed is refused in words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets import load
from crmlab.errors import ContractError
from crmlab.relationship import (
    absorption,
    life_table,
    order_test,
    purchase_stages,
    read_spells,
    retention_table,
    stage_chain,
    survival,
    time_in_stage,
)
from crmlab.relationship.spells import anniversary, elapsed


def relations(*rows: tuple) -> pd.DataFrame:
    who, start, end = zip(*rows, strict=True)
    return pd.DataFrame(
        {"customer_id": who, "started_on": pd.to_datetime(list(start)), "ended_on": pd.to_datetime(list(end))}
    )


def months(*rows: tuple, **options):
    return read_spells(
        relations(*rows), time_unit="month", **({"ends": "renewal", "window_end": "2024-12-31"} | options)
    )


GOOD = ("a", "2024-01-31", "2024-04-30")


def test_every_row_is_kept_rejected_or_left_out():
    given = relations(
        GOOD,
        ("b", None, "2024-03-01"),  # no start
        (None, "2024-01-01", None),  # nobody
        ("c", "2024-03-01", "2024-02-01"),  # backwards
        ("d", "2024-03-01", "2024-03-01"),  # no time at all
        ("e", "2024-01-01", "2024-03-01"),  # these two overlap: which is right, nobody knows
        ("e", "2024-02-01", None),
        ("f", "2024-01-01", "2024-03-01"),  # touching is no overlap
        ("f", "2024-03-01", None),
        ("g", "2024-01-01", "2024-02-15"),  # in the middle of a month that was paid for
        ("h", "2024-01-01", "2024-03-01"),  # exported twice
        ("h", "2024-01-01", "2024-03-01"),
        ("i", "2025-01-01", None),  # the window does not see it
        ("j", "2024-12-15", None),  # no renewal due yet
    )
    before = given.copy()
    found = read_spells(given, time_unit="month", ends="renewal", window_end="2024-12-31")
    pd.testing.assert_frame_equal(given, before)
    assert found.table["customer_id"].tolist() == ["a", "f", "f", "h"]
    assert found.rejects[["row", "reason"]].to_numpy().tolist() == [
        [2, "customer_id or started_on missing"],
        [3, "customer_id or started_on missing"],
        [4, "end not after the start"],
        [5, "end not after the start"],
        [6, "overlaps another spell of the customer"],
        [7, "overlaps another spell of the customer"],
        [10, "end at no renewal"],
        [12, "the same spell twice"],
    ]
    assert found.left_out == {"started after the window": 1, "without a renewal due in the window": 1}
    assert len(found.table) + len(found.rejects) + sum(found.left_out.values()) == len(given)
    assert "2 end not after the start" in repr(found)
    with pytest.raises(ContractError, match="8 of 14 relationships cannot be true"):
        read_spells(given, time_unit="month", ends="renewal", window_end="2024-12-31", strict=True)


def test_the_order_and_the_index_of_the_rows_play_no_part():
    rows = [("e", "2024-01-01", "2024-06-01"), ("e", "2024-02-01", "2024-03-01"), ("e", "2024-05-01", None), GOOD]
    one, other = months(*rows), months(*rows[::-1])
    assert one.table["customer_id"].tolist() == other.table["customer_id"].tolist() == ["a"]
    same_index = relations(GOOD, ("b", "2024-02-01", None)).set_index(np.array([0, 0]))
    assert len(read_spells(same_index, time_unit="month", ends="renewal", window_end="2024-12-31").table) == 2


def test_dates_of_any_resolution_and_ids_of_any_kind():
    given = relations(GOOD, ("b", "2024-01-01", None), (7, "2024-01-01", None), (7, "2024-02-01", None))
    for unit in ("s", "ms", "us", "ns"):
        dated = given.astype({"started_on": f"datetime64[{unit}]", "ended_on": f"datetime64[{unit}]"})
        found = read_spells(dated, time_unit="month", ends="renewal", window_end="2024-12-31")
        assert found.table["customer_id"].tolist() == ["a", "b"]
        assert found.table["exit"].tolist() == [3, 11]
    zoned = given.assign(started_on=given["started_on"].dt.tz_localize("UTC"))
    with pytest.raises(ContractError, match="no dates without a time zone"):
        read_spells(zoned, time_unit="month", ends="renewal", window_end="2024-12-31")


def test_entry_and_exit_of_a_stock_sample():
    """By hand: seen from the evening of 30 June on."""
    rows = [
        ("a", "2024-01-15", "2024-06-15"),  # gone before
        ("b", "2024-01-30", "2024-06-30"),  # leaves on that day: never seen
        ("c", "2024-01-30", "2024-07-30"),  # renewed on that day, so it comes in after 5 renewals
        ("d", "2024-01-15", None),
        ("e", "2024-08-01", "2024-10-01"),
    ]
    found = months(*rows, window_begin="2024-06-30").table.set_index("customer_id")
    assert found[["entry", "exit"]].to_numpy().tolist() == [[5, 6], [5, 11], [0, 2]]
    assert found["churned"].tolist() == [True, False, True]
    pd.testing.assert_frame_equal(
        months(*rows).window("2024-06-30").table.set_index("customer_id")[found.columns], found
    )
    early = months(*rows).window("2024-06-30", "2024-09-15").table.set_index("customer_id")
    assert early.loc["e", ["exit", "churned"]].tolist() == [1, False]  # the end is not yet known


def test_months_are_counted_by_anniversaries():
    assert elapsed("2024-01-31", ["2024-02-28", "2024-02-29", "2024-03-30", "2024-03-31"], "month").tolist() == [
        pytest.approx(28 / 29),
        1.0,
        pytest.approx(1 + 30 / 31),
        2.0,
    ]
    assert elapsed("2024-02-29", "2025-02-28", "year").item() == 1.0
    assert elapsed("2024-01-01", "2024-01-15", "week").item() == 2.0
    assert anniversary("2024-01-31", [1, 2], "month").astype(str).tolist() == ["2024-02-29", "2024-03-31"]
    starts = np.arange("2023-01-01", "2025-01-01", dtype="datetime64[D]")
    for unit in ("day", "week", "month", "year"):
        for periods in (1, 2, 13):
            assert (elapsed(starts, anniversary(starts, periods, unit), unit) == periods).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_unit": "fortnight"}, "time_unit must be one of day, week, month, year"),
        ({"ends": "whenever"}, "ends must be one of renewal, any_time"),
        ({"window_end": "soon"}, "window_end is not a date"),
        ({"window_begin": "2025-01-01"}, "must begin before it ends"),
        ({"window_end": "2023-12-31"}, "no spell is under observation"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ContractError, match=message):
        read_spells(
            relations(GOOD), **({"time_unit": "month", "ends": "renewal", "window_end": "2024-12-31"} | options)
        )


def test_tables_that_are_none_are_refused():
    options: Any = {"time_unit": "month", "ends": "renewal", "window_end": "2024-12-31"}
    with pytest.raises(ContractError, match="did you mean 'start_on'"):
        read_spells(relations(GOOD).rename(columns={"started_on": "start_on"}), **options)
    with pytest.raises(ContractError, match="at least one row"):
        read_spells(relations(GOOD).iloc[:0], **options)
    with pytest.raises(ContractError, match="started_on is of type str"):
        read_spells(relations(GOOD).assign(started_on="2024-01-31"), **options)
    with pytest.raises(ContractError, match="end at no renewal: 1 rows"):
        months(("a", "2024-01-01", "2024-02-02"))


def test_selecting_and_narrowing():
    found = months(GOOD, ("b", "2024-01-01", None))
    assert found.select(found.table["customer_id"] == "b").table["customer_id"].tolist() == ["b"]
    for wrong in (found.table["customer_id"] == "z", found.table["churned"].reset_index(drop=True).iloc[:1], [True]):
        with pytest.raises(ContractError):
            found.select(wrong)
    for begin, end in [("2025-01-01", None), ("2024-06-01", "2025-06-01"), ("2024-06-01", "2024-05-01")]:
        with pytest.raises(ContractError, match="does not lie within the observation"):
            found.window(begin, end)


def test_estimates_refuse_what_they_cannot_tell():
    everybody_stays = months(("b", "2024-01-01", None))
    with pytest.raises(ContractError, match="somebody leaves"):
        survival(everybody_stays)
    with pytest.raises(ContractError, match="nobody left"):
        life_table(everybody_stays)
    some = months(GOOD, ("b", "2024-01-01", None))
    for given in (-1.0, np.nan, np.inf, 3.0):
        with pytest.raises(ContractError, match="given must be a tenure"):
            survival(some, given=given)
    for call in (survival, life_table):
        with pytest.raises(ContractError, match="level must lie strictly"):
            call(some, level=1.0)
    curve = survival(some)
    wrong_tenures: list[Any] = [-1, 12, np.nan, []]
    for tenure in wrong_tenures:
        with pytest.raises(ContractError, match="between 0 and 11 months"):
            curve.at(tenure)
    for horizon in (0, 12, np.nan):
        with pytest.raises(ContractError, match="horizon"):
            curve.restricted_mean(horizon)
    with pytest.raises(ContractError, match="no year of tenure whole"):
        retention_table(
            read_spells(relations(GOOD), time_unit="year", ends="any_time", window_end="2024-12-31"), period="month"
        )
    table = retention_table(some, period="month")
    with pytest.raises(ContractError, match="name one or several"):
        table.by()
    with pytest.raises(ContractError, match="key must be one of"):
        table.by("age")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="survival needs rows"):
        table.pivot("survival", "tenure", "calendar")


def test_a_curve_that_would_be_blind_names_a_start_that_works():
    """One of a stock sample is young and leaves at once: the product would be 0 for everybody older."""
    rows = [("a", "2024-05-20", "2024-07-20"), ("b", "2024-01-20", "2024-09-20"), ("c", "2024-01-20", None)]
    stock = months(*rows, window_begin="2024-06-30")
    with pytest.raises(ContractError, match=r"given=5"):
        survival(stock)
    assert survival(stock, given=5).table["survival"].tolist() == [1.0, 0.5]


PANEL = pd.DataFrame({"customer_id": [1, 1, 1, 2, 2], "period": [1, 2, 3, 1, 2], "stage": ["x", "y", "x", "y", "y"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": None}, "stage: missing"),
        ({"stage": "x"}, "every row of the panel is in stage 'x'"),
        ({"period": [1, 1, 3, 1, 2]}, "twice in 1 rows"),
        ({"period": [1, np.nan, 3, 1, 2]}, "neither a whole number"),
        ({"period": [1, 3, 5, 1, 4]}, "no customer is seen in 2 consecutive periods"),
        ({"customer_id": [1, None, 1, 2, 2]}, "customer_id: missing"),
    ],
)
def test_panels_are_checked(change, message):
    with pytest.raises(ContractError, match=message):
        stage_chain(PANEL.assign(**change))


def test_chains_refuse_stages_without_moves():
    with pytest.raises(ContractError, match="no rows"):
        stage_chain(PANEL.iloc[:0])
    with pytest.raises(ContractError, match="nobody is seen a period after 'z'"):
        stage_chain(PANEL.assign(stage=["x", "y", "z", "y", "x"]))
    with pytest.raises(ContractError, match="nobody ever leaves 'y'"):
        stage_chain(PANEL.assign(stage=["x", "y", "y", "y", "y"]))
    with pytest.raises(ContractError, match="1 moves lead out of it"):
        stage_chain(PANEL, absorbing=["y"])
    with pytest.raises(ContractError, match="'gone' is named absorbing but"):
        stage_chain(PANEL, absorbing=["gone"])
    with pytest.raises(ContractError, match="level"):
        stage_chain(PANEL, level=0)
    with pytest.raises(ContractError, match="no customer is seen in 3"):
        order_test(PANEL[PANEL["period"] < 3])
    with pytest.raises(ContractError, match="nothing to test"):
        order_test(PANEL)
    chain = stage_chain(PANEL)
    for now, periods in [({"z": 1}, 1), ({"x": -1}, 1), ({"x": 0}, 1), ({"x": 1}, 0)]:
        with pytest.raises(ContractError, match="a forecast needs customers by stage"):
            chain.forecast(pd.Series(now), periods)


def test_matrices_are_checked():
    names = ["x", "y"]
    endless = pd.DataFrame([[0.5, 0.5], [0.5, 0.5]], names, names)
    for call in (absorption, time_in_stage):
        with pytest.raises(ContractError, match="absorbing stage that can be reached"):
            call(endless)
        for wrong in ([[0.5, 0.4], [0.5, 0.5]], [[1.5, -0.5], [0.5, 0.5]]):
            with pytest.raises(ContractError, match="a transition matrix"):
                call(pd.DataFrame(wrong, names, names))
    with pytest.raises(ContractError, match="horizon"):
        time_in_stage(endless, 0)


def test_purchase_stages_check_their_options():
    sample = load("cdnow_sample").transactions
    options: Any = {"period": "month", "acquisition": "observed"}
    wrong: Any
    for wrong, message in [
        ({"period": "week"}, "period must be"),
        ({"acquisition": "guess"}, "acquisition must be"),
        ({"lapsed": 0}, "lapsed must be 1"),
        ({"frequent": 1}, "frequent 2 or more"),
        ({"observation_end": "1997-02-10"}, "fewer than two whole months"),
    ]:
        with pytest.raises(ContractError, match=message):
            purchase_stages(sample, **(options | wrong))


def test_only_spells_have_tenures():
    table: Any = relations(GOOD)
    for measure in (survival, life_table, lambda table: retention_table(table, period="month")):
        with pytest.raises(ContractError, match="the result of read_spells, not DataFrame"):
            measure(table)


def test_columns_of_spells_are_not_overwritten():
    with pytest.raises(ContractError, match="exit of their own: rename"):
        read_spells(relations(GOOD).assign(exit="motorway"), time_unit="month", ends="renewal", window_end="2024-12-31")


def test_an_empty_date_of_a_spreadsheet_is_no_start():
    found = months(GOOD, ("b", "1899-12-30", None))
    assert found.rejects["reason"].tolist() == ["started before 1900"]


def test_a_table_with_a_column_twice_is_refused():
    table = relations(GOOD)
    with pytest.raises(ContractError, match="'started_on' 2 times"):
        read_spells(
            pd.concat([table, table[["started_on"]]], axis=1),
            time_unit="month",
            ends="renewal",
            window_end="2024-12-31",
        )


def test_views_name_each_side_once():
    table = retention_table(months(GOOD), period="month")
    for ask in (lambda: table.by("cohort", "cohort"), lambda: table.pivot(rows="tenure", columns="tenure")):
        with pytest.raises(ContractError, match="each once"):
            ask()


def test_tenures_are_one_list():
    with pytest.raises(ContractError, match="tenures must lie"):
        survival(months(GOOD)).at([[1, 2]])


def test_parts_of_periods_and_customers_twice_are_refused():
    half: Any = 1.5
    log = load("cdnow_sample").transactions
    with pytest.raises(ContractError, match="whole numbers"):
        purchase_stages(log, period="month", acquisition="observed", lapsed=half)
    chain = stage_chain(purchase_stages(log, period="month", acquisition="observed"))
    now: Any
    for now, periods in [({"active": 5}, half), (pd.Series([1, 2], ["active", "active"]), 2), (None, 2)]:
        with pytest.raises(ContractError, match="a forecast needs"):
            chain.forecast(now, periods)
    assert chain.forecast(pd.Series({"active": 5}), 2).sum(axis=1).tolist() == pytest.approx([5, 5, 5])
    with pytest.raises(ContractError, match="whole number of draws"):
        chain.draws(0, seed=1)
    matrix: Any
    for matrix in (chain.probabilities.to_numpy(), pd.DataFrame([["a", "b"], ["c", "d"]])):
        with pytest.raises(ContractError, match="a transition matrix"):
            time_in_stage(matrix, 3)
    with pytest.raises(ContractError, match="whole number of periods"):
        time_in_stage(chain.probabilities, half)
