"""What customers do after a problem: windows counted by hand, plain definitions, statsmodels, and simulated truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.relationship.recovery import compare_groups, orders_after


def frame(rows, *names) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "date", *names])
    return table.assign(date=pd.to_datetime(table["date"], format="ISO8601"))


ORDERS = frame(
    [
        ("ann", "2024-01-01 09:00", 5.0),
        ("ann", "2024-01-10 12:00", 7.0),
        ("ann", "2024-01-20 12:00", 1.0),
        ("ann", "2024-01-20 12:01", 2.0),
        ("bob", "2024-01-11 00:00", 9.0),
        ("cy", "2024-03-01 00:00", 4.0),
    ],
    "amount",
)


def test_windows_begin_after_the_case_and_end_with_the_minute():
    cases = frame(
        [("ann", "2024-01-10 12:00", "late"), ("bob", "2024-01-11", "late"), ("new", "2024-01-12", "none")], "what"
    )
    before = (cases.copy(), ORDERS.copy())
    found = orders_after(cases, ORDERS, days=10)
    table = found.table.set_index("customer_id")
    assert table["what"].tolist() == ["late", "late", "none"]
    assert table["orders_before"].to_dict() == {"ann": 1, "bob": 0, "new": 0}
    assert table["orders_after"].to_dict() == {"ann": 1, "bob": 0, "new": 0}
    assert table["amount_after"].to_dict() == {"ann": 1.0, "bob": 0.0, "new": 0.0}
    assert table["again"].to_dict() == {"ann": 1, "bob": 0, "new": 0}
    assert "3 cases of 3 customers" in repr(found)
    assert cases.equals(before[0])
    assert ORDERS.equals(before[1])


def test_a_window_that_is_not_over_is_left_out_whatever_was_ordered_in_it():
    cases = frame([("ann", "2024-01-10 12:00"), ("cy", "2024-02-25")])
    found = orders_after(cases, ORDERS, days=10)
    assert found.table["customer_id"].tolist() == ["ann"]
    assert found.left_out == {"cases whose 10 days were not over": 1}
    assert "left out: 1" in repr(found)
    assert len(orders_after(cases, ORDERS, days=10, observation_end="2024-03-31").table) == 2


LOGS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 60), st.integers(0, 1439), st.integers(1, 50)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(orders=LOGS, cases=LOGS, days=st.integers(1, 30))
def test_counts_are_those_of_the_plain_definition(orders, cases, days):
    assume({row[0] for row in orders} & {row[0] for row in cases})

    def stamps(rows):
        return [pd.Timestamp("2024-01-01") + pd.Timedelta(days=d, minutes=m) for _, d, m, _ in rows]

    log = pd.DataFrame(
        {"customer_id": [r[0] for r in orders], "date": stamps(orders), "amount": [r[3] / 4 for r in orders]}
    )
    asked = pd.DataFrame({"customer_id": [r[0] for r in cases], "date": stamps(cases)})
    found = orders_after(asked, log, days=days, observation_end="2024-06-30").table
    window = pd.Timedelta(days=days)
    rows: list[tuple[Any, Any]] = list(zip(asked.itertuples(), found.itertuples(), strict=True))
    for case, got in rows:
        own = log[log["customer_id"] == case.customer_id]
        after = own[(own["date"] > case.date) & (own["date"] <= case.date + window)]
        before = own[(own["date"] < case.date) & (own["date"] >= case.date - window)]
        assert (got.orders_after, got.orders_before) == (len(after), len(before))
        assert got.amount_after == pytest.approx(after["amount"].sum())
        assert got.again == (len(after) > 0)


def drawn(seed: int, n: int = 400) -> pd.DataFrame:
    """Two cases a customer; the outcome rises with x, and group b is 0.5 above a at the same x."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), 2)
    x = rng.normal(size=n)[who]
    group = np.where(rng.random(2 * n) < 1 / (1 + np.exp(-x)), "b", "a")  # b is the more of x
    y = x + 0.5 * (group == "b") + rng.normal(size=n)[who] + rng.normal(size=2 * n)
    return pd.DataFrame({"customer_id": who, "group": group, "x": x, "y": y})


def test_estimates_and_errors_are_those_of_statsmodels():
    data = drawn(1)
    found: Any = compare_groups(data, "y", group="group", reference="a", adjust=["x"]).table
    peer: Any = smf.ols("y ~ C(group) + x", data).fit(cov_type="cluster", cov_kwds={"groups": data["customer_id"]})
    assert found.loc["b", "difference"] == pytest.approx(peer.params["C(group)[T.b]"], rel=1e-9)
    assert found.loc["b", ["difference_low", "difference_high"]].tolist() == pytest.approx(
        peer.conf_int().loc["C(group)[T.b]"].tolist(), rel=1e-9
    )
    assert found.loc["b", "p_value"] == pytest.approx(peer.pvalues["C(group)[T.b]"], rel=1e-6)
    at_mean = peer.get_prediction(pd.DataFrame({"group": ["a", "b"], "x": data["x"].mean()})).summary_frame()
    assert found["adjusted"].tolist() == pytest.approx(at_mean["mean"].tolist(), rel=1e-9)
    assert found["mean"].to_dict() == pytest.approx(data.groupby("group")["y"].mean().to_dict())
    assert found["cases"].sum() == len(data)
    assert np.isnan(found.loc["a", "difference"])


def test_adjustment_finds_the_truth_where_plain_means_do_not_and_intervals_cover_it():
    covered, plain = [], []
    for seed in range(100):
        row: Any = compare_groups(drawn(seed), "y", group="group", reference="a", adjust=["x"]).table
        covered.append(row.loc["b", "difference_low"] <= 0.5 <= row.loc["b", "difference_high"])
        plain.append(row.loc["b", "mean"] - row.loc["a", "mean"])
    assert 88 <= sum(covered) <= 100  # 95 expected; fewer than 88 has a chance of 0.2 %
    assert np.mean(plain) > 1.0  # twice the truth


def test_without_covariates_adjusted_means_are_means():
    found: Any = compare_groups(drawn(2), "y", group="group", reference="b")
    assert found.table.index.tolist() == ["b", "a"]
    assert found.table["adjusted"].tolist() == pytest.approx(found.table["mean"].tolist())
    assert "adjusted for nothing; differences to 'b'" in repr(found)


def test_recovery_brings_back_what_the_simulator_says():
    firm = simulate(6_000, seed=3)
    log = firm["orders"].merge(firm.truth["complaints"].drop(columns="customer_id"), on="order_id", how="left")
    log = log.sort_values(["customer_id", "date"])
    so_far = log["complained"].notna().groupby(log["customer_id"]).cumsum()
    first = log["complained"].notna() & (so_far == 1)
    ends = np.select([log["recovered"].eq(True), log["complained"].eq(True)], ["recovered", "not recovered"], "silent")
    cases = log.assign(group=np.where(first, ends, "no problem"))[first | (so_far == 0)]
    known = orders_after(cases, firm["orders"], days=60).table.assign(log_before=lambda t: np.log1p(t["orders_before"]))
    rows: Any = compare_groups(
        known, "orders_after", group="group", reference="no problem", adjust=["orders_before", "log_before"]
    ).table
    service = firm.truth.scenario.service
    assert service is not None
    usual = rows.loc["no problem", "adjusted"]
    truth = {
        "silent": service.after_silence,
        "not recovered": service.after_complaint,
        "recovered": service.after_recovery,
    }
    for name, factor in truth.items():
        error = (rows.loc[name, "adjusted_high"] - rows.loc[name, "adjusted_low"]) / 3.92
        assert abs(rows.loc[name, "adjusted"] - factor * usual) < 3.5 * error + 0.03 * usual, name
        # 3 % of slack: campaigns add orders that no failure takes away
