"""Estimators meet the truth: over several seeds, with errors as large as they say."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

from crmlab.database import cohort_table, customer_summary
from crmlab.datasets.company import scenario, simulate

TEXTBOOK: Any = scenario("textbook")
SEEDS = range(100, 108)


def summaries(process: str, r: float, alpha: float, s: float, beta: float, customers: int = 4_000):
    """Frequency, recency and T of textbook firms, in weeks."""
    buying = dataclasses.replace(TEXTBOOK.buying, process=process, r=r, alpha=alpha, s=s, beta=beta)
    for seed in SEEDS:
        firm = simulate(customers, seed=seed, scenario=dataclasses.replace(TEXTBOOK, buying=buying))
        yield customer_summary(firm["orders"], time_unit="week", observation_end="2024-12-31").to_pandas()


def fit(likelihood, start):
    """Maximum of a log-likelihood of positive parameters, from their logarithms."""
    found = minimize(
        lambda logs: -likelihood(*np.exp(logs)),
        np.log(start),
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-3, "maxiter": 2_000},
    )
    assert found.success
    return np.exp(found.x)


def mean_and_error(estimates):
    """Mean of the logarithm over seeds, and its standard error."""
    logs = np.log(estimates)
    return logs.mean(axis=0), logs.std(axis=0, ddof=1) / np.sqrt(len(logs))


def bg_nbd(x, recency, age):
    """Fader, Hardie & Lee (2005), eq. 6, from its four terms."""

    def likelihood(r, alpha, a, b):
        never_left = gammaln(b + x) - gammaln(a + b + x) - (r + x) * np.log(alpha + age)
        repeated = np.maximum(x, 1)
        left = gammaln(b + repeated - 1) - gammaln(a + b + repeated) + np.log(a) - (r + x) * np.log(alpha + recency)
        terms = np.where(x > 0, np.logaddexp(never_left, left), never_left)
        fixed = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) - gammaln(b)
        return (fixed + terms).sum()

    return likelihood


def pareto_nbd(x, recency, age):
    """Fader & Hardie (2005), A note on deriving the Pareto/NBD model, eq. 20 and 22."""

    def likelihood(r, alpha, s, beta):
        total, larger = r + s + x, max(alpha, beta)
        second = s + 1 if alpha >= beta else r + x

        def part(time):
            return hyp2f1(total, second, total + 1, abs(alpha - beta) / (larger + time)) / (larger + time) ** total

        alive = (alpha + age) ** -(r + x) * (beta + age) ** -s
        found = alive + s / total * np.maximum(part(recency) - part(age), 0)
        return (gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.log(found)).sum()

    return likelihood


@pytest.mark.parametrize(
    ("process", "likelihood", "truth"),
    [("bg", bg_nbd, (0.243, 4.414, 0.793, 2.426)), ("pareto", pareto_nbd, (0.553, 10.578, 0.606, 11.669))],
)
def test_buying_models_find_their_parameters(process, likelihood, truth):
    estimates = []
    for summary in summaries(process, *truth):
        rows = summary[["frequency", "recency", "T"]].to_numpy(dtype=float).T
        estimates.append(fit(likelihood(*rows), truth))
    mean, error = mean_and_error(np.array(estimates))
    assert (np.abs(mean - np.log(truth)) < 4 * error + 0.02).all(), (np.exp(mean), truth)  # days are cut: 2 %


def test_gamma_gamma_finds_its_parameters():
    truth = (TEXTBOOK.spend.p, TEXTBOOK.spend.q, TEXTBOOK.spend.gamma)
    estimates = []
    for seed in SEEDS:
        orders = simulate(4_000, seed=seed, scenario=TEXTBOOK)["orders"]
        n, mean = (orders.groupby("customer_id")["amount"].agg(["size", "mean"]).to_numpy().T).astype(float)

        def likelihood(p, q, gamma, n=n, mean=mean):
            """Fader & Hardie (2013), eq. 1a."""
            shape = p * n
            return (
                gammaln(shape + q)
                - gammaln(shape)
                - gammaln(q)
                + q * np.log(gamma)
                + (shape - 1) * np.log(mean)
                + shape * np.log(n)
                - (shape + q) * np.log(gamma + n * mean)
            ).sum()

        estimates.append(fit(likelihood, truth))
    found, error = mean_and_error(np.array(estimates))
    assert (np.abs(found - np.log(truth)) < 4 * error).all(), (np.exp(found), truth)


def campaign_orders(firm):
    """Every assignment with its truth and the orders of its window."""
    campaigns = firm["campaigns"].set_index("campaign_id")
    table = firm["assignments"].merge(firm.truth["assignments"], on=["campaign_id", "customer_id"])
    orders = firm["orders"][["customer_id", "date"]]
    counts = []
    for number, rows in table.groupby("campaign_id"):
        begin, end = campaigns.loc[number, ["start_date", "end_date"]]
        inside = orders[orders["date"].between(begin, end + pd.Timedelta(days=1), inclusive="left")]
        found = inside["customer_id"].value_counts().reindex(rows["customer_id"], fill_value=0)
        counts.append(pd.Series(found.to_numpy(), index=rows.index))
    table["orders"] = pd.concat(counts)
    table["treated"] = (table["group"] == "treated").astype(int)
    return table.merge(campaigns[["design"]], left_on="campaign_id", right_index=True)


@pytest.fixture(scope="module")
def tests_of_campaigns():
    return [campaign_orders(simulate(4_000, seed=seed)) for seed in SEEDS]


def test_a_randomised_campaign_shows_its_effect(tests_of_campaigns):
    """Difference in means against the mean true effect, in standard errors, over campaigns and seeds."""
    scores = []
    for table in tests_of_campaigns:
        for _, rows in table[table["design"] == "randomised"].groupby("campaign_id"):
            groups = [rows.loc[rows["treated"] == group, "orders"] for group in (1, 0)]
            difference = groups[0].mean() - groups[1].mean()
            error = np.sqrt(sum(group.var() / len(group) for group in groups))
            scores.append((difference - rows["expected_orders"].mean()) / error)
    assert abs(np.mean(scores)) < 4 / np.sqrt(len(scores))
    assert np.std(scores) == pytest.approx(1, abs=4 / np.sqrt(2 * len(scores)))


def test_some_are_harmed_and_the_effect_differs_by_need(tests_of_campaigns):
    table = pd.concat(tests_of_campaigns)
    table = table[table["design"] == "randomised"]
    for harmed, rows in table.groupby(table["effect"] < 0):
        fitted = smf.ols("orders ~ treated", rows).fit(cov_type="HC1")
        assert abs(fitted.params["treated"] - rows["expected_orders"].mean()) < 4 * fitted.bse["treated"]
        assert (fitted.params["treated"] < 0) == harmed


def test_a_targeted_campaign_misleads_until_the_propensity_is_used(tests_of_campaigns):
    table = pd.concat(tests_of_campaigns)
    table = table[table["design"] == "targeted"]
    truth = table["expected_orders"].mean()
    naive = smf.ols("orders ~ treated", table).fit(cov_type="HC1")
    assert naive.params["treated"] - truth > 5 * naive.bse["treated"]
    weights = table["treated"] / table["propensity"] + (1 - table["treated"]) / (1 - table["propensity"])
    weighted = smf.wls("orders ~ treated", table, weights=weights).fit(cov_type="HC1")
    assert abs(weighted.params["treated"] - truth) < 4 * weighted.bse["treated"]


def test_cohorts_show_the_trend():
    """Orders a head in the quarter after acquisition fall by the trend from cohort to cohort (log-linear fit)."""
    base: Any = scenario("grocer")
    plain = dataclasses.replace(
        base,
        programme=None,
        campaigns=None,
        service=None,
        buying=dataclasses.replace(base.buying, season=None, cohort_trend=-0.05),
    )
    slopes = []
    for seed in SEEDS:
        orders = simulate(4_000, seed=seed, scenario=plain)["orders"]
        table = cohort_table(orders, period="quarter", acquisition="observed").table.query("age == 1")
        sizes = cohort_table(orders, period="quarter", acquisition="observed").sizes()
        heads = table["orders"].to_numpy() / sizes.loc[table["cohort"]].to_numpy().ravel()
        slopes.append(np.polyfit(np.arange(len(heads)), np.log(heads), 1)[0])
    error = np.std(slopes, ddof=1) / np.sqrt(len(slopes))
    assert abs(np.mean(slopes) - np.log(0.95)) < 4 * error
    assert np.mean(slopes) < -4 * error
