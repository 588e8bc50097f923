"""Erlang C and A against closed forms, an event simulation of the queue, and the law of the simulated desk."""

import heapq
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import gammainc, gammaln

from crmlab.datasets.company import simulate
from crmlab.relationship.service import erlang_a, erlang_c
from crmlab.relationship.service_staffing import desk_table, mean_patience, staff_for, staffing_curve

EXACT = 1e-9  # two exact computations in floating point


def test_one_agent_is_m_m_1():
    calls, handling, within = 40.0, 1.2, 30.0
    rho = calls * handling / 60
    found = erlang_c(calls, 1, handling_minutes=handling, within_seconds=within)
    assert found.waits == pytest.approx(rho, rel=EXACT)
    assert found.mean_wait_seconds == pytest.approx(rho / (1 - rho) * handling * 60, rel=EXACT)
    assert found.service_level == pytest.approx(1 - rho * np.exp(-(1 - rho) * within / 60 / handling), rel=EXACT)
    assert found.occupancy == pytest.approx(rho, rel=EXACT)
    assert found.abandons == 0.0
    assert found.answered_wait_seconds == found.mean_wait_seconds


def test_two_agents_wait_by_the_textbook_formula():
    rho = 0.75  # C(2, 2 rho) = 2 rho^2 / (1 + rho)
    found = erlang_c(90, 2, handling_minutes=1)
    assert found.waits == pytest.approx(2 * rho**2 / (1 + rho), rel=EXACT)


def erlang_b(load: float, agents: int) -> float:
    """Erlang's loss formula by its recursion."""
    blocked = 1.0
    for n in range(1, agents + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


@settings(max_examples=60, deadline=None)
@given(agents=st.integers(1, 400), busy=st.floats(0.05, 0.999), handling=st.floats(0.1, 60))
def test_erlang_c_follows_from_the_loss_recursion(agents, busy, handling):
    load = busy * agents
    blocked = erlang_b(load, agents)
    expected = blocked / (1 - busy * (1 - blocked))
    found = erlang_c(60 * load / handling, agents, handling_minutes=handling)
    assert found.waits == pytest.approx(expected, rel=1e-7, abs=1e-200)


@settings(max_examples=60, deadline=None)
@given(
    agents=st.integers(1, 150),
    busy=st.floats(0.3, 2.0),
    patience=st.floats(0.2, 5),
    within=st.floats(0, 3),
)
def test_erlang_a_agrees_with_incomplete_gamma_functions(agents, busy, patience, within):
    """Palm's function and the offered wait, as Mandelbaum & Zeltyn (2007) write them; times in handling times."""
    x, y = agents * patience, busy * agents * patience
    mass = gammainc(x, y)
    assume(mass > 1e-280)  # else the closed form underflows; the sum does not
    palm = x * np.exp(y - x * np.log(y) + gammaln(x)) * mass
    blocked = erlang_b(busy * agents, agents)
    waits = palm * blocked / (1 + (palm - 1) * blocked)
    late = y * np.exp(-within / patience)
    prompt = 1 - waits + waits * (gammainc(x + 1, y) - gammainc(x + 1, late)) * x / (y * mass)
    found = erlang_a(
        60 * busy * agents, agents, handling_minutes=1, patience_minutes=patience, within_seconds=60 * within
    )
    assert found.waits == pytest.approx(waits, rel=1e-6, abs=1e-12)
    assert found.service_level == pytest.approx(prompt, abs=1e-8)
    lost = waits * (1 / (busy * palm) + 1 - 1 / busy)
    assert found.abandons == pytest.approx(lost, abs=1e-8)  # this form cancels where few hang up
    assert found.mean_wait_seconds == pytest.approx(found.abandons * patience * 60, rel=EXACT)


def test_patient_callers_of_erlang_a_are_those_of_erlang_c():
    patient = erlang_c(2_880, 50, handling_minutes=1)
    nearly = erlang_a(2_880, 50, handling_minutes=1, patience_minutes=1e7)
    for name in ("waits", "service_level", "mean_wait_seconds", "answered_wait_seconds", "occupancy"):
        assert getattr(nearly, name) == pytest.approx(getattr(patient, name), rel=1e-5), name


def test_impatient_callers_of_erlang_a_are_lost_calls():
    found = erlang_a(600, 10, handling_minutes=1, patience_minutes=1e-9)
    assert found.abandons == pytest.approx(erlang_b(10, 10), rel=1e-6)


def queue(calls: float, agents: int, handling: float, patience: float, n: int, seed: int) -> np.ndarray:
    """Simulate n calls, first come first served; columns: minutes waited, whether the caller hung up."""
    rng = np.random.default_rng(seed)
    arrive = np.cumsum(rng.exponential(60 / calls, n))
    work = rng.exponential(handling, n)
    willing = rng.exponential(patience, n) if np.isfinite(patience) else np.full(n, np.inf)
    free = [0.0] * agents
    found = np.empty((n, 2))
    for i in range(n):
        start = max(arrive[i], free[0])  # the agent who is free first
        if start - arrive[i] > willing[i]:
            found[i] = willing[i], 1
        else:
            heapq.heapreplace(free, start + work[i])
            found[i] = start - arrive[i], 0
    return found[n // 20 :]


@pytest.mark.parametrize(
    ("calls", "agents", "patience"), [(100, 7, 4.0), (100, 10, np.inf), (60, 7, 2.0), (300, 27, 1.0)]
)
def test_an_event_simulation_meets_the_formulas(calls, agents, patience):
    waited, lost = queue(calls, agents, 5.0, patience, 240_000, seed=1).T
    times = {"handling_minutes": 5.0, "within_seconds": 20.0}
    endless = not np.isfinite(patience)
    found = erlang_c(calls, agents, **times) if endless else erlang_a(calls, agents, patience_minutes=patience, **times)
    answered = lost == 0
    pairs = {
        "waits": (waited > 0, found.waits),
        "abandons": (lost, found.abandons),
        "service_level": (answered & (waited <= 1 / 3), found.service_level),
        "mean_wait_seconds": (60 * waited, found.mean_wait_seconds),
        "answered_wait_seconds": (60 * waited[answered], found.answered_wait_seconds),
    }
    for name, (drawn, exact) in pairs.items():
        blocks = np.array([one.mean() for one in np.array_split(drawn.astype(float), 40)])  # neighbours hang together
        error = blocks.std(ddof=1) / np.sqrt(40)
        assert abs(drawn.mean() - exact) <= 4 * error + 1e-12, name  # 20 comparisons: beyond 4 by chance 1 in 800


def test_the_simulated_desk_has_the_same_law():
    truth = simulate(200, seed=1).truth["desk"]
    found = erlang_a(
        truth["arrival_rate"] * 60,
        truth["agents"],
        handling_minutes=1 / truth["service_rate"],
        patience_minutes=1 / truth["abandonment_rate"],
    )
    assert found.waits == pytest.approx(truth["waits"], abs=EXACT)
    assert found.abandons == pytest.approx(truth["abandons"], abs=EXACT)
    assert found.service_level == pytest.approx(truth["within_20s"], abs=EXACT)


def test_large_and_overloaded_desks_are_finite():
    load = np.array([10.0, 900.0, 990.0, 1_000.0, 1_500.0])
    found = erlang_a(60 * load, 1_000, handling_minutes=1, patience_minutes=3).to_frame()
    assert np.isfinite(found.to_numpy()).all()
    assert found["abandons"].is_monotonic_increasing
    assert found["abandons"].iloc[-1] == pytest.approx(1 / 3, abs=0.001)  # agents busy: 500 of 1,500 calls are lost
    assert found["service_level"].iloc[0] == 1.0
    assert 0 < erlang_c(60 * 999, 1_000, handling_minutes=1).waits < 1


@settings(max_examples=30, deadline=None)
@given(calls=st.floats(5, 2_000), patience=st.none() | st.floats(0.5, 10), level=st.floats(0.3, 0.99))
def test_staffing_is_the_smallest_number_that_keeps_the_promise(calls, patience, level):
    times = {"handling_minutes": 4.0, "within_seconds": 30.0}
    n = staff_for(calls, patience_minutes=patience, service_level=level, **times)

    def kept(agents: int) -> float:
        if patience is None:
            return erlang_c(calls, agents, **times).service_level if agents > calls * 4 / 60 else 0.0
        return erlang_a(calls, agents, patience_minutes=patience, **times).service_level

    assert kept(n) >= level
    assert n == 1 or kept(n - 1) < level


def test_more_agents_more_answers_and_shapes_are_kept():
    grid = erlang_a([[60.0], [90.0]], [6, 8, 10], handling_minutes=5, patience_minutes=4)
    assert grid.service_level.shape == (2, 3)
    assert (np.diff(grid.service_level, axis=1) > 0).all()
    assert (np.diff(grid.service_level, axis=0) < 0).all()
    assert len(grid.to_frame()) == 6
    assert "Erlang A, 6 case(s)" in repr(grid)
    assert staff_for([60.0, 90.0], handling_minutes=5).shape == (2,)
    assert isinstance(staff_for(60.0, handling_minutes=5), int)


def test_the_cheapest_number_balances_agents_and_lost_calls():
    curve: Any = staffing_curve(
        150, np.arange(8, 25), handling_minutes=5, patience_minutes=4, agent_hour=28, lost_call=9
    ).set_index("agents")
    best: Any = curve["cost"].idxmin()
    assert curve.loc[best - 1, "lost_cost"] - curve.loc[best, "lost_cost"] >= 28
    assert curve.loc[best, "lost_cost"] - curve.loc[best + 1, "lost_cost"] <= 28
    assert curve["cost"].to_numpy() == pytest.approx((curve["agents_cost"] + curve["lost_cost"]).to_numpy())


def test_patience_is_found_although_most_callers_are_answered():
    hits = []
    for seed in range(60):
        waited, lost = queue(100, 8, 5.0, 4.0, 3_000, seed=seed).T
        found = mean_patience(waited, lost == 1)
        hits.append(found.low <= 4.0 <= found.high)
    assert 52 <= sum(hits) <= 60  # 95 % of 60 is 57; fewer than 52 has a chance below 1 %
    assert waited[lost == 1].mean() < 2.5  # the mean of those who hung up is no estimate of 4


def test_a_desk_is_tabulated_by_slot():
    desk = simulate(200, seed=1)["desk"].rename(columns={"answered_within_20s": "answered_in_time"})
    before = desk.copy()
    table = desk_table(desk, by=["weekday", "half_hour"], handling_minutes=5, patience_minutes=4)
    assert desk.equals(before)
    assert len(table) == 196
    assert (table["slots"] == 8).all()
    one = desk[(desk["weekday"] == "Monday") & (desk["half_hour"] == "10:00")]
    row = table[(table["weekday"] == "Monday") & (table["half_hour"] == "10:00")].iloc[0]
    assert row["calls_per_hour"] == pytest.approx(one["calls_offered"].mean() * 2)
    assert row["abandons"] == pytest.approx(one["calls_abandoned"].sum() / one["calls_offered"].sum())
    assert (table["service_level_c"].isna() == (table["load"] >= table["agents"])).all()
    assert np.average(table["service_level_a"] - table["service_level"]) == pytest.approx(0, abs=0.02)


def test_a_desk_that_is_always_overloaded_has_no_erlang_c():
    desk = pd.DataFrame(
        {"slot": ["a"], "agents": [1], "calls_offered": [90], "calls_abandoned": [80], "answered_in_time": [2]}
    )
    table = desk_table(desk, by=["slot"], handling_minutes=5, patience_minutes=4)
    assert table["service_level_c"].isna().all()
    assert table["abandons_a"].item() == pytest.approx(
        1 - 6 / 90, abs=0.01
    )  # one agent answers six calls in 30 minutes
