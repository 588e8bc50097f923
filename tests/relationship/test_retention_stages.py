"""Stages read from purchases, and their chain: hand-made logs, printed matrices, scipy, and simulated truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crmlab.database import cohort_table
from crmlab.datasets import load
from crmlab.relationship import absorption, order_test, purchase_stages, stage_chain, time_in_stage

TRUTH = pd.DataFrame([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.05, 0.15, 0.8]], list("abc"), list("abc"))


def draw(rng, customers=150, periods=7, matrix=TRUTH) -> pd.DataFrame:
    """A panel of a chain of first order, everybody beginning in any stage."""
    limits = matrix.to_numpy().cumsum(axis=1)
    stage = rng.integers(0, len(matrix), customers)
    rows = []
    for period in range(periods):
        rows.append(pd.DataFrame({"customer_id": range(customers), "period": period, "stage": matrix.index[stage]}))
        stage = (rng.random(customers)[:, None] > limits[stage]).sum(axis=1)
    return pd.concat(rows, ignore_index=True)


def log(purchases: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(who, day) for who, days in purchases.items() for day in days]
    who, day = zip(*rows, strict=True)
    return pd.DataFrame({"customer_id": who, "date": pd.to_datetime(list(day)), "amount": 1.0})


def test_stages_of_a_hand_made_log():
    days = {
        "a": ["2024-01-03", "2024-02-01", "2024-02-01", "2024-03-01", "2024-03-09"],
        "b": ["2024-01-05", "2024-05-01"],
        "c": ["2024-04-01", "2024-07-10"],  # July is not covered to its end
    }
    found = purchase_stages(log(days), period="month", acquisition="observed", lapsed=2)
    stages = found.groupby("customer_id")["stage"].agg(list)
    assert stages["a"] == ["new", "active", "frequent", "lapsing", "lapsed", "lapsed"]
    assert stages["b"] == ["new", "lapsing", "lapsed", "lapsed", "won back", "lapsing"]
    assert stages["c"] == ["new", "lapsing", "lapsed"]
    assert found.loc[found["customer_id"] == "b", "silent"].tolist() == [0, 1, 2, 3, 0, 1]
    assert found["period"].max() == pd.Period("2024-06")


def test_a_left_censored_log_looks_back_first():
    days = {"a": ["2024-01-03", "2024-03-01"], "b": ["2024-03-05"], "c": ["2024-01-09", "2024-04-30"]}
    found = purchase_stages(log(days), period="month", acquisition="left_censored", lapsed=2)
    assert found["period"].min() == pd.Period("2024-03")
    stages = {who: rows["stage"].tolist() for who, rows in found.groupby("customer_id")}
    assert stages == {
        "a": ["active", "lapsing"],
        "b": ["new or back", "lapsing"],
        "c": ["lapsed", "won back"],
    }


def test_stages_count_the_customers_of_the_cohort_table():
    sample = load("cdnow_sample").transactions
    shuffled = sample.sample(frac=1, random_state=1).set_index(np.zeros(len(sample)))
    panel = purchase_stages(sample, period="month", acquisition="observed")
    pd.testing.assert_frame_equal(panel, purchase_stages(shuffled, period="month", acquisition="observed"))
    bought = panel[panel["silent"] == 0].groupby("period").size()
    table = cohort_table(sample, period="month", acquisition="observed").table
    assert bought.tolist() == table.groupby("calendar")["customers"].sum().tolist()
    assert (panel["stage"] == "new").sum() == sample["customer_id"].nunique()


def test_a_random_walk_as_printed():
    """Kemeny & Snell (1960), Finite Markov Chains, 3.2: five places, even chances, absorbed at both ends."""
    names = [f"s{i}" for i in range(1, 6)]
    walk = pd.DataFrame(0.0, names, names)
    walk.loc["s1", "s1"] = walk.loc["s5", "s5"] = 1.0
    for i in range(1, 4):
        walk.iloc[i, i - 1] = walk.iloc[i, i + 1] = 0.5
    assert time_in_stage(walk).to_numpy().ravel() == pytest.approx([1.5, 1, 0.5, 1, 2, 1, 0.5, 1, 1.5])
    assert absorption(walk).to_numpy().ravel() == pytest.approx([0.75, 0.25, 0.5, 0.5, 0.25, 0.75])
    long = time_in_stage(walk, 500)
    assert long.iloc[1:4, 1:4].to_numpy() == pytest.approx(time_in_stage(walk).to_numpy())


def test_a_chain_by_hand():
    rows = {"who": list("aaaabbbccc"), "when": [1, 2, 3, 4, 1, 2, 4, 1, 2, 3], "stage": list("xxyyxyxxxy")}
    panel = pd.DataFrame(rows).set_axis(["customer_id", "period", "stage"], axis=1)
    chain = stage_chain(panel.sample(frac=1, random_state=2), absorbing=["y"])
    assert chain.counts.to_numpy().tolist() == [[2, 3], [0, 1]]
    assert (chain.gaps, chain.customers) == (1, 3)
    assert chain.probabilities.to_numpy().tolist() == [[0.4, 0.6], [0, 1]]
    assert list(chain.time_to_leave()["estimate"]) == [pytest.approx(1 / 0.6), np.inf]
    assert chain.time_to_leave()["estimate"].tolist() == [pytest.approx(1 / 0.6), np.inf]
    assert chain.forecast(pd.Series({"x": 100}), 2)["x"].tolist() == pytest.approx([100, 40, 16])
    assert "absorbing: y" in repr(chain)


def test_periods_may_be_pandas_periods_and_stages_ordered():
    panel = draw(np.random.default_rng(1), 40)
    named = panel.assign(
        period=pd.period_range("2024Q1", periods=7, freq="Q")[panel["period"]],
        stage=pd.Categorical(panel["stage"], ["c", "b", "a", "never"]),
    )
    one, other = stage_chain(panel), stage_chain(named)
    assert list(other.counts.index) == ["c", "b", "a"]
    pd.testing.assert_frame_equal(one.counts, other.counts.loc[list("abc"), list("abc")])


def test_the_forecast_of_a_known_chain_comes_true():
    panel = draw(np.random.default_rng(3), 4000, 12)
    chain = stage_chain(panel[panel["period"] < 6])
    now, later = (panel.loc[panel["period"] == p, "stage"].value_counts() for p in (5, 11))
    expected = chain.forecast(now, 6).iloc[-1]
    assert expected.sum() == pytest.approx(4000)
    assert expected.to_dict() == pytest.approx(later.to_dict(), abs=4 * np.sqrt(4000 / 4))  # four standard deviations


def test_the_order_test_is_a_sum_of_contingency_tests():
    panel = draw(np.random.default_rng(4))
    wide = panel.pivot(index="customer_id", columns="period", values="stage").to_numpy()
    triples = pd.DataFrame(np.vstack([wide[:, i : i + 3] for i in range(5)]), columns=["before", "now", "next"])
    parts = [
        stats.chi2_contingency(pd.crosstab(rows["before"], rows["next"]), correction=False, lambda_="log-likelihood")
        for _, rows in triples.groupby("now")
    ]
    found = order_test(panel)
    assert found.statistic == pytest.approx(sum(part.statistic for part in parts))
    assert found.df == sum(part.dof for part in parts)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, found.df))
    assert found.table["count"].sum() == len(triples)
    assert found.table["excess"].sum() == pytest.approx(0, abs=1e-9)


def test_the_order_test_keeps_its_level_and_sees_a_memory():
    rng = np.random.default_rng(5)
    p = [order_test(draw(rng)).p_value for _ in range(120)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.06)  # three standard errors of 120
    slow = draw(rng, matrix=pd.DataFrame(np.eye(3) * 0.9 + 0.1 / 3, TRUTH.index, TRUTH.columns))
    both = pd.concat([draw(rng), slow.assign(customer_id=slow["customer_id"] + 1000)])
    assert order_test(both).p_value < 0.001  # customers who differ look like a memory


@pytest.fixture(scope="module")
def chains():
    return [stage_chain(draw(np.random.default_rng([6, seed]))) for seed in range(150)]


def test_wilson_intervals_cover_the_truth_at_their_rate(chains):
    inside = [(one.low <= TRUTH) & (one.high >= TRUTH) for one in chains]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)  # 1,350 intervals
    stay = np.diag(TRUTH)
    leaving = [one.time_to_leave() for one in chains]
    covered = [(one["low"] <= 1 / (1 - stay)) & (1 / (1 - stay) <= one["high"]) for one in leaving]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)  # 450


def test_bootstrap_intervals_of_time_in_stage_cover_the_truth_at_their_rate(chains):
    truth = time_in_stage(TRUTH, 6)
    inside = []
    for seed, one in enumerate(chains[:60]):
        low, high = one.interval(lambda matrix: time_in_stage(matrix, 6), seed=seed, n=100)
        inside.append((low <= truth) & (truth <= high))
    assert np.mean(inside) == pytest.approx(0.94, abs=0.04)  # 60 samples; 100 draws cost a point


def test_draws_are_wider_where_customers_differ():
    """Half stay put, half jump about: moves of one customer are no independent draws."""
    rng = np.random.default_rng(7)
    stay, jump = (pd.DataFrame([[p, 1 - p], [1 - p, p]], list("ab"), list("ab")) for p in (0.95, 0.5))
    other = draw(rng, 150, 12, stay)
    mixed = stage_chain(pd.concat([draw(rng, 150, 12, jump), other.assign(customer_id=other["customer_id"] + 1000)]))
    drawn = np.quantile(mixed.draws(400, seed=1)[:, 0, 0], [0.025, 0.975])
    assert np.diff(drawn).item() > 1.3 * (mixed.high - mixed.low).to_numpy()[0, 0]
    assert (mixed.draws(3, seed=1) == mixed.draws(3, seed=1)).all()
    assert mixed.draws(3, seed=1).sum(axis=2) == pytest.approx(np.ones((3, 2)))
