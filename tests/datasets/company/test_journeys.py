import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import scenario, simulate
from crmlab.datasets.company.journeys import completing

GROCER = dataclasses.replace(scenario("grocer"), campaigns=None, programme=None, desk=None, surveys=None)
PLAN: Any = GROCER.journeys
END = pd.Timestamp("2025-01-01")
LAUNCH = END - pd.Timedelta(days=PLAN.days)


@pytest.fixture(scope="module")
def shop():
    return simulate(20_000, seed=41, scenario=GROCER)


def test_who_is_a_customer_at_the_launch_is_advertised_to(shop):
    customers = shop["customers"].merge(shop.truth["customers"][["customer_id", "left_on"]])
    there = customers[(customers["acquired_on"] < LAUNCH) & ~(customers["left_on"] < LAUNCH)]
    assert set(shop["holdouts"]["customer_id"]) == set(there["customer_id"])
    last = there.set_index("customer_id")["left_on"].fillna(END) + pd.Timedelta(days=1)
    for table, moment in (("touches", "timestamp"), ("clicks", "timestamp"), ("sign_ups", "date")):
        rows = shop[table].dropna(subset=["customer_id"])
        assert (rows[moment] >= LAUNCH).all()
        assert (rows[moment] < END).all()
        assert (rows[moment].to_numpy() < last[rows["customer_id"]].to_numpy()).all()
    whose = shop["clicks"].merge(shop.truth["cookies"], on="cookie_id")
    assert len(whose) == len(shop["clicks"])
    assert (whose["timestamp"].to_numpy() < last[whose["customer_id_y"]].to_numpy()).all()
    assert whose["customer_id_x"].dropna().eq(whose["customer_id_y"]).dropna()[whose["customer_id_x"].notna()].all()


def test_held_out_customers_see_nothing_of_the_channel(shop):
    seen = shop["touches"].groupby(["customer_id", "channel"]).size().rename("seen").reset_index()
    plan = shop["holdouts"].merge(seen, how="left").fillna({"seen": 0})
    assert (plan.loc[plan["held_out"], "seen"] == 0).all()
    rest = plan[~plan["held_out"]]
    assert (rest["seen"] == rest["opportunities"]).all()
    for channel, medium in PLAN.media.items():
        rows = plan[plan["channel"] == channel]
        assert abs(rows["held_out"].mean() - medium.held_out) < 4 * np.sqrt(0.16 / len(rows))
        expected = medium.touches * np.exp(medium.by_interest * shop.truth["journeys"]["interest"].to_numpy())
        error = np.std(rows["opportunities"] - expected) / np.sqrt(len(rows))
        assert abs((rows["opportunities"] - expected).mean()) < 4 * error


def test_sign_ups_have_their_probability(shop):
    truth, signed = shop.truth["journeys"], shop["sign_ups"]
    assert signed["customer_id"].is_unique
    spread = np.sqrt((truth["probability"] * (1 - truth["probability"])).sum())
    assert abs(len(signed) - truth["probability"].sum()) < 4 * spread
    done = shop["clicks"].query("page == 'confirmation'")
    assert set(done["customer_id"]) == set(signed["customer_id"])
    cookies = signed.merge(shop.truth["cookies"], on="cookie_id")
    assert (cookies["customer_id_x"] == cookies["customer_id_y"]).all()
    last = shop["touches"].groupby("customer_id")["timestamp"].max()
    after = signed.set_index("customer_id")["date"] - last
    assert (after.dropna() > pd.Timedelta(0)).all()


def test_half_an_hour_recovers_the_sessions(shop):
    clicks = shop["clicks"].sort_values(["cookie_id", "event_id"])
    gap = clicks.groupby("cookie_id")["timestamp"].diff().dropna().dt.total_seconds() / 60
    assert gap.min() >= 1
    assert not gap.between(10, 30).any()
    session = (clicks.groupby("cookie_id")["timestamp"].diff() > pd.Timedelta(minutes=30)).cumsum()
    visits = clicks.groupby(["cookie_id", session])
    assert (visits[["channel", "variant"]].nunique() == 1).all(axis=None)
    assert visits.size().between(1, 5).all()
    assert (clicks.groupby("cookie_id")["variant"].nunique() == 1).all()
    assert shop["clicks"]["timestamp"].iloc[:1000].is_monotonic_increasing
    known = visits["customer_id"].count().gt(0)
    assert PLAN.logged_in < known.mean() < PLAN.logged_in + 0.15


def test_the_test_of_the_form_recovers_its_effect(shop):
    clicks = shop["clicks"]
    forms = clicks[clicks["page"] == "form"].drop_duplicates("cookie_id")
    done = forms["cookie_id"].isin(clicks.loc[clicks["page"] == "confirmation", "cookie_id"])
    for variant, chance in zip("AB", completing(PLAN), strict=True):
        rows = done[forms["variant"] == variant]
        assert abs(rows.mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / len(rows))
    helped = clicks.sort_values(["cookie_id", "event_id"])
    after = helped["page"].shift(-1)[(helped["page"] == "help") & (helped["page"].shift() == "form")]
    assert abs((after == "form").mean() - PLAN.helped) < 4 * np.sqrt(0.25 / len(after))


def shares(values):
    return {name: value / sum(values.values()) for name, value in values.items()}


def test_the_hold_out_tells_the_truth_and_the_last_touch_does_not():
    scores: dict[str, list[float]] = {name: [] for name in PLAN.media}
    credit = []
    for seed in range(5):
        shop = simulate(12_000, seed=seed, scenario=GROCER)
        plan = shop["holdouts"].merge(shop.truth["holdouts"])
        plan["signed"] = plan["customer_id"].isin(shop["sign_ups"]["customer_id"])
        for channel, rows in plan.groupby("channel"):
            kept, out = rows.loc[~rows["held_out"], "signed"], rows.loc[rows["held_out"], "signed"]
            error = np.sqrt(kept.var() / len(kept) + out.var() / len(out))
            true = (rows["with_channel"] - rows["without_channel"]).mean()
            scores[str(channel)].append((kept.mean() - out.mean() - true) / error)
        gained = (plan["with_channel"] - plan["without_channel"]).where(~plan["held_out"], 0)
        true_share = shares(gained.groupby(plan["channel"]).sum().to_dict())
        last = shop["touches"].sort_values("timestamp").drop_duplicates("customer_id", keep="last")
        last_share = shares(last.merge(shop["sign_ups"], on="customer_id")["channel"].value_counts().to_dict())
        credit.append({name: last_share[name] - true_share[name] for name in PLAN.media})
    for found in scores.values():
        assert np.abs(found).max() < 3.5
        assert abs(np.mean(found)) < 3 / np.sqrt(len(found))
    assert pd.DataFrame(credit)["search"].min() > 0.1
    assert pd.DataFrame(credit)["email"].max() < -0.1


def test_interest_confounds_the_naive_comparison(shop):
    seen = shop["holdouts"].query("channel == 'search' and not held_out").merge(shop.truth["holdouts"])
    signed = seen["customer_id"].isin(shop["sign_ups"]["customer_id"])
    touched = seen["opportunities"] > 0
    naive = signed[touched].mean() - signed[~touched].mean()
    true = (seen["with_channel"] - seen["without_channel"])[touched].mean()
    assert naive > 2.5 * true


def test_a_firm_younger_than_the_launch_has_no_journeys():
    early = dataclasses.replace(GROCER, journeys=dataclasses.replace(PLAN, days=400))
    shop = simulate(300, seed=1, years=1, scenario=early)
    for name in ("holdouts", "touches", "clicks", "sign_ups"):
        assert len(shop[name]) == 0
    assert len(shop.truth["cookies"]) == len(shop.truth["holdouts"]) == 0
