"""What is drawn has the moments that theory gives. Tolerances are four standard errors of the sample unless said."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import hyp2f1

from crmlab.database import customer_summary
from crmlab.datasets.company import scenario, simulate
from crmlab.datasets.company.people import PATHS

TEXTBOOK: Any = scenario("textbook")
GROCER: Any = scenario("grocer")
END = pd.Timestamp("2025-01-01")
CUSTOMERS = 20_000


def close_to(values, expected, errors=4.0):
    """The mean of `values` lies within so many standard errors of `expected`."""
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < errors * error, (np.mean(values), expected, error)


@pytest.fixture(scope="module")
def textbook():
    return simulate(CUSTOMERS, seed=11, scenario=TEXTBOOK)


@pytest.fixture(scope="module")
def grocer():
    return simulate(CUSTOMERS, seed=12)


def test_rates_are_gamma_and_lifetimes_exponential(textbook):
    truth, buying = textbook.truth["customers"], TEXTBOOK.buying
    assert stats.kstest(truth["weekly_rate"], stats.gamma(buying.r, scale=1 / buying.alpha).cdf).pvalue > 0.001
    assert stats.kstest(truth["dropout"], stats.gamma(buying.s, scale=1 / buying.beta).cdf).pvalue > 0.001
    weeks = (END - textbook["customers"]["acquired_on"]).dt.days / 7
    left = truth["left_on"].notna()
    close_to(left - (1 - np.exp(-truth["dropout"] * weeks)), 0)


def pareto_nbd_expectation(weeks):
    """Schmittlein, Morrison & Colombo (1987), eq. 17."""
    b = TEXTBOOK.buying
    return b.r * b.beta / (b.alpha * (b.s - 1)) * (1 - (b.beta / (b.beta + weeks)) ** (b.s - 1))


def bg_nbd_expectation(weeks, r, alpha, a, b):
    """Fader, Hardie & Lee (2005), eq. 9."""
    grown = (alpha / (alpha + weeks)) ** r * hyp2f1(r, b, a + b - 1, weeks / (alpha + weeks))
    return (a + b - 1) / (a - 1) * (1 - grown)


def test_pareto_nbd_repeat_purchases(textbook):
    orders = textbook["orders"].groupby("customer_id").size() - 1
    weeks = (END - textbook["customers"].set_index("customer_id")["acquired_on"]).dt.days / 7
    close_to(orders - pareto_nbd_expectation(weeks), 0)


def test_customer_summary_finds_the_expected_frequency(textbook):
    summary = customer_summary(textbook["orders"], time_unit="week", observation_end="2024-12-31").to_pandas()
    expected = pareto_nbd_expectation(summary["T"])
    days_merged = 0.01  # purchases of the same day are one: less than 1 % of them here
    assert summary["frequency"].mean() == pytest.approx(expected.mean(), rel=0.04 + days_merged)
    assert len(summary) == CUSTOMERS


def test_bg_nbd_repeat_purchases():
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    buying = dataclasses.replace(TEXTBOOK.buying, process="bg", r=r, alpha=alpha, s=a, beta=b)
    firm = simulate(CUSTOMERS, seed=13, scenario=dataclasses.replace(TEXTBOOK, buying=buying))
    orders = firm["orders"].groupby("customer_id").size() - 1
    weeks = (END - firm["customers"].set_index("customer_id")["acquired_on"]).dt.days / 7
    close_to(orders - bg_nbd_expectation(weeks, r, alpha, a, b), 0)
    truth = firm.truth["customers"].set_index("customer_id")
    repeated = orders[orders > 0].index  # having repeated, to be gone after the first repeat has chance p
    gone_at_once = (orders[repeated] == 1) & truth.loc[repeated, "left_on"].notna()
    close_to(gone_at_once - truth.loc[repeated, "dropout"], 0)


def test_gamma_gamma_spend(textbook):
    spend = TEXTBOOK.spend
    first = textbook["orders"].drop_duplicates("customer_id")["amount"]
    close_to(first, spend.p * spend.gamma / (spend.q - 1))
    means = textbook.truth["customers"]["mean_order_value"]
    assert stats.kstest(spend.p / means, stats.gamma(spend.q, scale=1 / spend.gamma).cdf).pvalue > 0.001
    own = textbook["orders"].merge(textbook.truth["customers"], on="customer_id")
    close_to((own["amount"] / own["mean_order_value"] - 1) ** 2, 1 / spend.p)


def test_season_multiplies_the_rate():
    factors = (0.5, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 2.0)
    buying = dataclasses.replace(TEXTBOOK.buying, season=factors)
    firm = simulate(CUSTOMERS, seed=14, scenario=dataclasses.replace(TEXTBOOK, buying=buying))
    truth = firm["customers"].merge(firm.truth["customers"], on="customer_id")
    repeats = firm["orders"][firm["orders"].duplicated("customer_id")]
    left = truth["left_on"].fillna(END)
    for month, factor in enumerate(factors, start=1):
        begin, end = pd.Timestamp(2024, month, 1), pd.Timestamp(2024, month, 1) + pd.offsets.MonthBegin(1)
        present = left.where(left < end, end) - truth["acquired_on"].where(truth["acquired_on"] > begin, begin)
        weeks = present.dt.days.clip(lower=0) / 7
        expected = factor * (truth["weekly_rate"] * weeks).sum()
        found = repeats["date"].between(begin, end, inclusive="left").sum()
        assert abs(found - expected) < 4 * np.sqrt(expected) + 0.01 * expected  # days are cut, at most 1 %


def test_acquisition_grows(grocer):
    by_year = grocer["customers"]["acquired_on"].dt.year.value_counts().sort_index()
    ratio = by_year.to_numpy()[1:] / by_year.to_numpy()[:-1]
    assert ratio == pytest.approx(1 + scenario("grocer").people.growth, abs=4 * np.sqrt(2 / by_year.min()))


def test_attitudes_follow_the_paths(grocer):
    truth = grocer.truth["customers"]
    for construct, drivers in PATHS.items():
        assert truth[construct].std() == pytest.approx(1, abs=4 / np.sqrt(2 * CUSTOMERS))
        if drivers:
            found = np.linalg.lstsq(truth[list(drivers)].to_numpy(), truth[construct].to_numpy(), rcond=None)[0]
            assert found == pytest.approx(list(drivers.values()), abs=0.04)
    assert grocer.truth.paths == PATHS


def test_loyalty_goes_with_the_rates(grocer):
    truth, buying = grocer.truth["customers"], GROCER.buying
    staying = stats.spearmanr(truth["loyalty"], truth["dropout"]).statistic
    assert 2 * np.sin(np.pi * staying / 6) == pytest.approx(buying.loyalty_to_dropout, abs=0.04)
    plain = dataclasses.replace(TEXTBOOK, buying=dataclasses.replace(TEXTBOOK.buying, loyalty_to_rate=0.5))
    truth = simulate(CUSTOMERS, seed=15, scenario=plain).truth["customers"]
    rate = stats.spearmanr(truth["loyalty"], truth["weekly_rate"]).statistic
    assert 2 * np.sin(np.pi * rate / 6) == pytest.approx(0.5, abs=0.04)
    b = TEXTBOOK.buying
    assert stats.kstest(truth["weekly_rate"], stats.gamma(b.r, scale=1 / b.alpha).cdf).pvalue > 0.001


def test_later_cohorts_buy_less(grocer):
    table = grocer["customers"].merge(grocer.truth["customers"], on="customer_id")
    quarter = table["acquired_on"].dt.to_period("Q").astype("int64")
    factor = (1 + GROCER.buying.cohort_trend) ** (quarter - quarter.min())
    channel = table["acquisition_channel"].map({n: c.rate for n, c in scenario("grocer").people.channels.items()})
    buying = GROCER.buying
    gamma = stats.gamma(buying.r, scale=1 / buying.alpha)
    assert stats.kstest(table["weekly_rate"] / factor / channel, gamma.cdf).pvalue > 0.001


def test_joining_adds_its_effect(grocer):
    orders = grocer["orders"].merge(grocer["members"], on="customer_id")
    orders = orders[orders["date"].dt.normalize() > orders["joined_on"]]
    cause = orders.merge(grocer.truth["orders"], on="order_id", how="left")["cause"].fillna("own").to_numpy()
    need = orders.merge(grocer.truth["customers"], on="customer_id")["need"].to_numpy()
    for name, effect in grocer.truth.scenario.programme.effect.items():
        added = (cause[(need == name) & (cause != "campaign")] == "programme").astype(float)
        close_to(added, effect / (1 + effect))


def test_service_changes_the_rate_after_the_first_failure(grocer):
    """Orders in the half year after a failure, against what the own rate lets expect without one."""
    plan = grocer.truth.scenario.service
    quiet = dataclasses.replace(
        grocer.truth.scenario,
        programme=None,
        campaigns=None,
        buying=dataclasses.replace(grocer.truth.scenario.buying, season=None),
    )
    firm = simulate(CUSTOMERS, seed=16, scenario=quiet)
    block_orders, outcome = [], []
    for number in range(firm.firm.n_blocks):
        block = firm.firm.block(number)
        felt, history = block.history.recovery, block.history
        inside = (history.time > felt.failed_at[history.customer]) & (history.time <= felt.until[history.customer])
        weeks = (np.minimum(np.minimum(felt.until, history.left), block.days) - felt.failed_at) / 7
        expected = block.rates.weekly * np.where(np.isfinite(felt.failed_at), np.maximum(weeks, 0), 0)
        counts = np.bincount(history.customer[inside], minlength=block.n)
        block_orders.append(np.column_stack([counts, expected]))
        outcome.append(felt.multiplier)
    orders, multiplier = np.concatenate(block_orders), np.concatenate(outcome)
    for factor in (plan.after_silence, plan.after_complaint, plan.after_recovery):
        found, expected = orders[(multiplier == factor) & (orders[:, 1] > 0)].sum(axis=0)
        assert found / expected == pytest.approx(factor, abs=4 * np.sqrt(factor / expected))


def test_rules_add_products(grocer):
    """With the same draws and no rules, the share of baskets with the second product is that of the occasions alone."""
    base = grocer.truth.scenario
    assortment = dataclasses.replace(base.assortment, rules=())
    without = simulate(CUSTOMERS, seed=12, scenario=dataclasses.replace(base, assortment=assortment))
    with_rules, plain = (
        {product: frozenset(ids) for product, ids in firm["transactions"].groupby("product_id")["order_id"]}
        for firm in (grocer, without)
    )
    for rule in grocer.truth["rules"].itertuples():
        given = plain[rule.given]
        alone = len(given & plain[rule.then_buys]) / len(given)
        expected = alone + (1 - alone) * rule.probability
        found = len(given & with_rules[rule.then_buys]) / len(given)
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(given)) + 0.01)


def test_products_follow_the_occasions(grocer):
    """Expected shares of first-drawn products by need segment; rules and merged lines move them by a few percent."""
    chances = grocer.truth["products"].pivot_table(index="occasion", columns="product_id", values="probability")
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1)
    lines = grocer["transactions"].merge(grocer.truth["customers"][["customer_id", "need"]], on="customer_id")
    counts = lines.groupby(["need", "product_id"]).size().unstack()
    found = counts.div(counts.sum(axis=1), axis=0)
    for need in found.index:
        weights = pd.Series(
            {name: one.needs.get(need, 0) for name, one in grocer.truth.scenario.assortment.occasions.items()}
        )
        expected = (chances.mul(weights / weights.sum(), axis=0)).sum()
        assert np.corrcoef(found.loc[need], expected)[0, 1] > 0.95


def test_wallet_shares(grocer):
    plan, wallet = grocer.truth.scenario.wallet, grocer.truth["wallet"]
    shares, beta = wallet["share"][wallet["share"] > 0.06], stats.beta(plan.a, plan.b)
    assert stats.kstest(shares, lambda x: (beta.cdf(x) - beta.cdf(0.06)) / beta.sf(0.06)).pvalue > 0.001
    panel = (
        wallet[wallet["in_panel"]]
        .merge(grocer.truth["customers"], on="customer_id")
        .merge(grocer["customers"], on="customer_id")
    )
    bought = grocer["rival_purchases"].groupby("customer_id").size().reindex(panel["customer_id"], fill_value=0)
    left = panel["left_on"].fillna(END)
    during, after = (left - panel["acquired_on"]).dt.days / 7, (END - left).dt.days / 7
    expected = panel["weekly_rate"] / panel["share"] * ((1 - panel["share"]) * during + after)
    assert bought.sum() == pytest.approx(expected.sum(), rel=0.02)
    assert set(grocer["rival_purchases"]["customer_id"]) <= set(panel["customer_id"])
