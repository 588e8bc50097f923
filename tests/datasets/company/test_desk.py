"""The service desk waits by Erlang A: against closed forms, an event simulation, and what the tickets show."""

import dataclasses
import heapq
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from crmlab.datasets.company import desk, scenario, simulate
from crmlab.datasets.company.base import stream

GROCER: Any = scenario("grocer")
DESK = GROCER.desk
BUSY = dataclasses.replace(GROCER, desk=dataclasses.replace(DESK, questions=8.0, channels={"phone": 0.7, "email": 0.3}))


@pytest.fixture(scope="module")
def firm():
    return simulate(5_000, seed=31, scenario=BUSY)


def test_patience_as_long_as_handling_makes_the_queue_poisson():
    law = desk.erlang_a(dataclasses.replace(DESK, patience=DESK.handling))
    load = law.arrival / law.service
    assert law.states.sum(axis=1) == pytest.approx(1)
    assert law.waits == pytest.approx(poisson.sf(law.agents - 1, load), abs=1e-10)
    number = np.arange(200)
    queue = (np.maximum(number - law.agents[:, None], 0) * poisson.pmf(number, load[:, None])).sum(axis=1)
    assert law.abandons == pytest.approx(queue / load, abs=1e-10)


def events(arrival, service, abandonment, agents, calls, rng):
    """Waiting and hanging up of calls at a desk, followed call by call."""
    free, now, told = [0.0] * agents, 0.0, []
    drawn = rng.exponential(1 / np.array([arrival, service, abandonment]), (calls, 3))
    for gap, work, patience in drawn:
        now += gap
        wait = max(free[0] - now, 0.0)
        told.append((min(wait, patience), patience < wait))
        if patience >= wait:
            heapq.heapreplace(free, now + wait + work)
    return np.array(told).T


@pytest.mark.parametrize("half_hour", [4, 21, 60])
def test_the_law_is_that_of_calls_followed_one_by_one(half_hour):
    law = desk.erlang_a(DESK)
    parts = law.arrival[half_hour], law.service, law.abandonment, law.agents[half_hour]
    waited, gone = events(*parts, 60_000, np.random.default_rng(half_hour))
    assert (waited > 0).mean() == pytest.approx(law.waits[half_hour], abs=0.025)
    assert gone.mean() == pytest.approx(law.abandons[half_hour], abs=0.01)
    assert ((waited <= desk.PROMPT) & (gone == 0)).mean() == pytest.approx(law.prompt[half_hour], abs=0.025)


def test_drawn_waits_follow_the_law():
    law, calls = desk.erlang_a(DESK), 400
    half_hour = np.repeat(np.arange(196), calls)
    waited, gone = desk.draw_waits(law, half_hour, stream(5, "test", 0))
    for drawn, chance in (
        (waited > 0, law.waits),
        (gone, law.abandons),
        ((waited <= desk.PROMPT) & ~gone, law.prompt),
    ):
        error = np.sqrt(chance * (1 - chance) / calls)
        z = (drawn.reshape(196, calls).mean(axis=1) - chance) / error
        assert np.abs(z).max() < 4.5
        assert z.std() == pytest.approx(1, abs=0.2)
    mean = (law.abandons / law.abandonment).mean()  # a caller hangs up at rate theta while waiting
    assert waited.mean() == pytest.approx(mean, rel=0.02)


def test_tickets_lie_within_the_customers_time(firm):
    tickets = firm["tickets"].merge(firm["customers"][["customer_id", "acquired_on"]], on="customer_id")
    assert tickets["ticket_id"].is_unique
    assert len(tickets) == len(firm["tickets"])
    left = np.concatenate([firm.firm.block(number).history.left for number in range(firm.firm.n_blocks)])
    end = desk.stamps(np.minimum(left, 1096.0 - 1e-6))[tickets["customer_id"] - 1]
    assert (tickets["created_at"] >= tickets["acquired_on"]).all()
    assert (tickets["created_at"] <= end).all()
    answered = tickets.dropna(subset="answered_at")
    assert (answered["answered_at"] >= answered["created_at"]).all()
    assert (answered["answered_at"] < "2025-01-01").all()
    solved = tickets.dropna(subset="resolved_at")
    assert (solved["resolved_at"] >= solved["answered_at"]).all()
    assert tickets["handling_minutes"].notna().equals(tickets["answered_at"].notna())


def test_complaints_name_their_order_and_are_written(firm):
    tickets, orders = firm["tickets"], firm["orders"].set_index("order_id")
    complaint = tickets["kind"] == "complaint"
    assert tickets["order_id"].notna().equals(complaint)
    assert tickets["compensation"].notna().equals(complaint)
    told = tickets[complaint]
    order = orders.loc[told["order_id"].astype(int)]
    assert (order["customer_id"].to_numpy() == told["customer_id"]).all()
    delay = told["created_at"].to_numpy() - order["date"].to_numpy()
    assert delay.min() >= np.timedelta64(0)
    assert delay.max() <= np.timedelta64(48, "h")
    assert not (told["channel"] == "phone").any()
    share = told["compensation"] - (DESK.compensation * order["amount"].to_numpy() * told["recovered"])
    assert share.abs().max() <= 0.0051
    truth = firm.truth["complaints"]
    assert set(told["order_id"]) == set(truth["order_id"][truth["complained"]])
    done = set(told["order_id"][told["recovered"]])
    answered = set(told["order_id"][told["answered_at"].notna()])
    assert done == set(truth["order_id"][truth["recovered"]]) & answered


def test_questions_come_at_their_rate_and_by_the_curve(firm):
    asked = firm["tickets"].query("kind == 'question'")
    blocks = [firm.firm.block(number) for number in range(firm.firm.n_blocks)]
    years = sum((np.minimum(one.history.left, one.days) - one.people.acquired).sum() for one in blocks) / 365.25
    assert len(asked) == pytest.approx(8 * years, rel=4 / np.sqrt(len(asked)))
    by_day = asked["created_at"].dt.day_of_week.value_counts(normalize=True).sort_index()
    assert by_day.to_numpy() == pytest.approx(np.array(DESK.weekdays) / sum(DESK.weekdays), abs=0.01)
    by_hour = asked["created_at"].dt.hour.value_counts(normalize=True).sort_index()
    assert by_hour.to_numpy() == pytest.approx(np.array(DESK.hours) / sum(DESK.hours), abs=0.01)


def test_rates_are_recovered_from_tickets_and_desk(firm):
    truth, calls = firm.truth["desk"], firm["tickets"].query("channel == 'phone'")
    assert calls["handling_minutes"].mean() == pytest.approx(DESK.handling, rel=4 / np.sqrt(len(calls)))
    hung_up = calls["abandoned"].sum()
    patience = calls["waited_minutes"].sum() / hung_up  # exponential, censored by the answer
    assert patience == pytest.approx(DESK.patience, rel=4 / np.sqrt(hung_up))
    seen = (
        firm["desk"]
        .groupby(["weekday", "half_hour"])[["calls_offered", "calls_abandoned", "answered_within_20s"]]
        .sum()
    )
    law = truth.set_index(["weekday", "half_hour"]).loc[seen.index]
    expected = law["arrival_rate"] * 30 * desk.KEPT_WEEKS
    assert ((seen["calls_offered"] - expected) ** 2 / expected).sum() == pytest.approx(196, abs=4 * np.sqrt(2 * 196))
    shares = seen.sum() / seen["calls_offered"].sum()
    weight = seen["calls_offered"] / seen["calls_offered"].sum()
    assert shares["calls_abandoned"] == pytest.approx((law["abandons"] * weight).sum(), abs=0.005)
    assert shares["answered_within_20s"] == pytest.approx((law["within_20s"] * weight).sum(), abs=0.008)


def test_the_backlog_is_what_came_less_what_was_answered():
    firm = simulate(10, seed=4).firm
    mails, week = firm.mails, desk.week_of(np.arange(len(firm.mails.arrived)))
    backlog, seen = 0.0, []
    for arrived, day in zip(mails.arrived, week // desk.DAY, strict=True):
        backlog = max(backlog + arrived - (DESK.mail_capacity if day < 5 else 0.0), 0.0)
        seen.append(backlog)
    assert mails.backlog == pytest.approx(np.array(seen))
    table = simulate(10, seed=4)["desk"]
    assert len(table) == 8 * 7 * 28
    assert table["start"].dt.day_name().equals(table["weekday"])
    assert table["start"].dt.strftime("%H:%M").equals(table["half_hour"])
    assert (table["calls_abandoned"] + table["answered_within_20s"] <= table["calls_offered"]).all()


def test_mails_are_answered_in_their_order_on_working_days(firm):
    mails = firm["tickets"].query("channel == 'email'").dropna(subset="answered_at").sort_values("created_at")
    assert (mails["answered_at"].dt.day_of_week < 5).all()
    late = mails["answered_at"].cummax() - mails["answered_at"]
    assert late.max() <= pd.Timedelta("11h")  # one half-hour of work, the night between
    assert mails.groupby(mails["created_at"].dt.day_of_week)["waited_minutes"].mean().idxmax() in (4, 5)


def test_no_service_means_no_complaints():
    quiet = simulate(500, seed=2, scenario=dataclasses.replace(GROCER, service=None))
    assert set(quiet["tickets"]["kind"]) == {"question"}
    assert "complaints" not in quiet.truth.tables
