"""Subscriptions: tenure, the retention offer, reasons, usage, and the invoices of a firm that sells nothing else."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import betaln

from crmlab.datasets.company import scenario, simulate
from crmlab.errors import ContractError

STREAMING: Any = scenario("subscription")
END, NEVER = pd.Timestamp("2025-01-01"), pd.Timestamp("2100-01-01")


@pytest.fixture(scope="module")
def streaming():
    return simulate(20_000, seed=1, scenario=STREAMING)


@pytest.fixture(scope="module")
def grocer():
    return simulate(8_000, seed=1)


def months_between(first, last):
    return (last.dt.year - first.dt.year) * 12 + last.dt.month - first.dt.month


def joined(company):
    """Every subscription with its truth and what is known of the subscriber."""
    return (
        company["subscriptions"]
        .merge(company.truth["subscriptions"], on=["subscription_id", "customer_id"])
        .merge(company["customers"], on="customer_id")
        .merge(company.truth["customers"][["customer_id", "satisfaction", "left_on"]], on="customer_id")
    )


def close_to(values, expected, errors=4.0):
    """The mean of `values` lies within so many standard errors of `expected`."""
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < errors * error, (np.mean(values), expected, error)


@pytest.mark.parametrize("firm", ["streaming", "grocer"])
def test_laws(firm, request):
    company = request.getfixturevalue(firm)
    table, offers = joined(company), company["retention_offers"]
    assert len(table) == len(company["subscriptions"])
    assert table["customer_id"].is_unique
    assert (table["started_on"] == table["acquired_on"]).all()
    ended = table[table["ended_on"].notna()]
    assert (ended["ended_on"] > ended["started_on"]).mean() > 0.99
    assert (ended["ended_on"] >= ended["started_on"]).all()
    assert (ended["ended_on"] < END).all()
    assert (ended["ended_on"] <= ended["left_on"].fillna(END)).all()
    assert ended["true_reason"].notna().all()
    active = table[table["ended_on"].isna()]
    assert active["left_on"].isna().all()
    assert active[["stated_reason", "true_reason", "ended_by"]].isna().all(axis=None)
    offered = offers.merge(table, on="customer_id")
    assert len(offered) == len(offers) > 0
    assert offers["offer_id"].is_unique
    assert (offered["date"] > offered["started_on"]).all()
    assert (offered["date"] < offered["ended_on"].fillna(END)).all()
    left_then = offered["ended_on"] == offered["date"] + pd.Timedelta(days=7)
    assert (offered["renewed"] == ~left_then).all()
    assert (offers.loc[offers["group"] == "control", ["accepted", "cost"]] == 0).all(axis=None)
    assert offers.loc[offers["accepted"], "renewed"].all()


def test_a_pass_ends_when_the_customer_leaves(grocer):
    table = joined(grocer)
    gone = table["ended_by"] == "departure"
    assert gone.sum() > 50
    assert (table.loc[gone, "ended_on"] == table.loc[gone, "left_on"]).all()
    assert table["customer_id"].nunique() / 8_000 == pytest.approx(grocer.truth.scenario.subscription.share, abs=0.02)


def test_renewals_are_due_on_the_same_day_of_the_month(streaming):
    table = streaming["subscriptions"].dropna(subset="ended_on")
    due = np.minimum(table["started_on"].dt.day, table["ended_on"].dt.days_in_month)
    assert (table["ended_on"].dt.day == due).all()


def survival(alpha, beta, ratio, month):
    """Chance that more than so many months are paid: beta-geometric with proportional hazards."""
    return np.exp(betaln(alpha, beta + ratio * month) - betaln(alpha, beta))


def test_tenure_is_beta_geometric(streaming):
    plan, truth = STREAMING.subscription, streaming.truth["subscriptions"]
    for month in (1, 3, 6, 12, 24, 48):
        expected = survival(plan.alpha, plan.beta, truth["hazard_ratio"], month)
        close_to((truth["months_without_offer"] > month) - expected, 0)


def test_published_survival_of_the_high_end_segment():
    """Fader & Hardie (2007): of 100 customers so many were left after 1, 2, ... 7 periods."""
    plan = STREAMING.subscription
    fitted = 100 * survival(plan.alpha, plan.beta, 1.0, np.arange(1, 8))
    assert fitted == pytest.approx([86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1], abs=2.0)


def covariates(table):
    age = (2022 - table["birth_year"] - 47) / 15
    premium = table["plan"] == "premium"
    return np.column_stack([table["autopay"], age, table["satisfaction"], premium]).astype(float)


def fit(table):
    """Maximum likelihood of the beta-geometric law with covariates; censored at the end."""
    known = covariates(table)
    left = table["ended_on"].notna().to_numpy()
    paid = months_between(table["started_on"], table["ended_on"].fillna(END - pd.Timedelta(days=1))).to_numpy()

    def loss(free):
        alpha, beta = np.exp(free[:2])
        ratio = np.exp(known @ free[2:])
        before = survival(alpha, beta, ratio, np.where(left, paid - 1, paid))
        return -np.log(before - left * survival(alpha, beta, ratio, paid)).sum()

    free = minimize(loss, np.zeros(6), method="L-BFGS-B", bounds=[(-3, 3)] * 6).x
    return np.r_[np.exp(free[:2]), free[2:]]


def test_maximum_likelihood_finds_the_parameters():
    """Mean over eight seeds within four of its standard errors, for all six parameters."""
    plan = STREAMING.subscription
    silent = dataclasses.replace(plan, offer=dataclasses.replace(plan.offer, treated=0.0))
    kind = dataclasses.replace(STREAMING, subscription=silent, usage=None)
    found = np.array([fit(joined(simulate(4_000, seed=seed, scenario=kind))) for seed in range(8)])
    true = [plan.alpha, plan.beta, plan.hazard.autopay, plan.hazard.age, plan.hazard.satisfaction, -0.25]
    errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert (abs(found.mean(axis=0) - true) < 4 * errors).all(), (found.mean(axis=0), errors)
    assert (errors < [0.05, 0.5, 0.04, 0.02, 0.02, 0.04]).all()


@pytest.fixture(scope="module")
def offers():
    """Offers of several firms, with their truth."""
    parts = []
    for seed in range(4):
        company = simulate(20_000, seed=seed, scenario=STREAMING)
        table = company["retention_offers"].merge(company.truth["retention_offers"], on=["offer_id", "customer_id"])
        parts.append(table.merge(joined(company), on="customer_id"))
    return pd.concat(parts, ignore_index=True)


def test_a_difference_in_means_finds_the_uplift_of_the_offer(offers):
    uplift = offers["renewal_with"] - offers["renewal_without"]
    treated = offers["group"] == "offer"
    close_to(treated, 0.5)
    close_to(offers["renewed"] - np.where(treated, offers["renewal_with"], offers["renewal_without"]), 0)
    for part in (offers["autopay"], ~offers["autopay"]):
        groups = offers[part].groupby(treated[part])["renewed"]
        difference = groups.mean()[True] - groups.mean()[False]
        assert abs(difference - uplift[part].mean()) < 4 * np.sqrt(groups.var().div(groups.size()).sum())
    assert uplift[offers["autopay"]].mean() < 0 < uplift[~offers["autopay"]].mean()
    assert (uplift < 0).mean() > 0.2


def test_tenure_goes_on_by_the_same_law_after_the_offer(offers):
    """The next renewal, one month later, is made with the probability of any other."""
    due = offers["date"] + pd.Timedelta(days=7)
    observed = offers[offers["renewed"] & (due < "2024-11-30")]
    next_month = months_between(due.loc[observed.index], observed["ended_on"].fillna(NEVER)) > 1
    for group in ("offer", "control"):
        part = observed["group"] == group
        close_to(next_month[part].to_numpy() - observed["renewal_without"][part].to_numpy(), 0)


def test_reasons(streaming):
    plan, table = STREAMING.subscription, joined(streaming)
    gone = table[table["ended_by"].notna()]
    close_to(gone["stated_reason"].isna(), plan.silent)
    told = gone.dropna(subset="stated_reason")
    close_to(told["stated_reason"] != told["true_reason"], plan.misreported)
    pair = gone[gone["true_reason"].isin(["service", "moved"])]
    known = sm.add_constant(pair[["satisfaction"]])
    fitted = sm.Logit(pair["true_reason"] == "service", known).fit(disp=0)
    difference = plan.reasons["service"].satisfaction - plan.reasons["moved"].satisfaction
    assert abs(fitted.params["satisfaction"] - difference) < 4 * fitted.bse["satisfaction"]


def test_usage_falls_before_leaving(streaming):
    plan, usage = STREAMING.usage, streaming["usage"].merge(joined(streaming), on="customer_id")
    usage = usage.merge(streaming.truth["usage"], on="customer_id")
    assert not usage.duplicated(["customer_id", "month"]).any()
    assert (usage["month"] >= usage["started_on"].dt.to_period("M").dt.to_timestamp()).all()
    assert (usage["month"] <= usage["ended_on"].fillna(END)).all()
    paid = months_between(usage["started_on"], usage["month"]) > 0
    expected = usage["mean_sessions"] * usage["month"].dt.days_in_month / (365.25 / 12)
    before = months_between(usage["month"], usage["ended_on"].fillna(NEVER))
    never_saved = months_between(usage["started_on"], usage["ended_on"].fillna(END)) <= usage["months_without_offer"]
    own = paid & never_saved & (usage["ended_by"] == "own")
    early, late = own & (before > 2), own & (before == 1)
    close_to((usage["sessions"] - expected)[early], 0)
    close_to((usage["sessions"] - plan.fading * expected)[late], 0)


def test_orders_are_the_invoices(streaming):
    orders, table = streaming["orders"], joined(streaming).set_index("customer_id")
    own = orders.groupby("customer_id")
    last = table["ended_on"].fillna(pd.Timestamp("2024-12-31"))
    paid = months_between(table["started_on"], last) + table["ended_on"].isna()
    assert (own.size() == paid).all()
    assert (own["date"].min().dt.normalize() == table["acquired_on"]).all()
    assert (own["date"].max() < table["ended_on"].fillna(END)).all()
    assert (orders["amount"] == table["monthly_price"].loc[orders["customer_id"]].to_numpy()).all()
    lines = streaming["transactions"].merge(streaming["products"], on="product_id")
    assert (lines["name"] == table["plan"].loc[lines["customer_id"]].to_numpy()).all()
    assert (table["left_on"].fillna(END) == table["ended_on"].fillna(END)).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"subscription": None, "usage": None}, "set subscription.share to 1"),
        ({"subscription": dataclasses.replace(STREAMING.subscription, share=0.5)}, "set subscription.share to 1"),
        ({"spend": scenario("grocer").spend}, "spend: acts on buying, which is None"),
        ({"assortment": scenario("textbook").assortment}, "subscription.plans.basic: is not among assortment.products"),
        ({"buying": scenario("grocer").buying}, "spend: needed where there is buying"),
    ],
)
def test_a_firm_of_invoices_that_is_none_is_refused(changed, words):
    with pytest.raises(ContractError, match=words):
        simulate(10, seed=1, scenario=dataclasses.replace(STREAMING, **changed))


def test_usage_needs_a_subscription():
    with pytest.raises(ContractError, match="usage: needs a subscription"):
        simulate(10, seed=1, scenario=dataclasses.replace(scenario("textbook"), usage=STREAMING.usage))
