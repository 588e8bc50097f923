"""Surveys measure the structural model, and who answers is no random sample."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

from crmlab.datasets.company import scenario, simulate, surveys
from crmlab.datasets.company.people import PATHS

GROCER: Any = scenario("grocer")
PLAN = GROCER.surveys


@pytest.fixture(scope="module")
def firm():
    asked = dataclasses.replace(PLAN, sample=1.0)
    return simulate(8_000, seed=5, scenario=dataclasses.replace(GROCER, surveys=asked))


@pytest.fixture(scope="module")
def both(firm):
    return firm["surveys"].merge(firm.truth["surveys"], on="survey_id", suffixes=("", "_true"))


def test_those_are_asked_who_bought_in_the_year_before(firm):
    orders, asked = firm["orders"], firm["surveys"]
    assert asked["survey_id"].is_unique
    for day in asked["date"].unique():
        days = (day - orders["date"]).dt.total_seconds() / 86_400
        recent = set(orders["customer_id"][(days > 0) & (days <= 365)])
        assert len(recent ^ set(asked["customer_id"][asked["date"] == day])) <= 3  # ordered on the 365th day before


def test_answers_are_complete_or_missing(both):
    items = [f"{name}_{number}" for name in PATHS for number in (1, 2, 3)]
    told = both[[*items, "recommend", "open_answer"]]
    assert told.notna().all(axis=1).equals(both["answered"])
    assert told.notna().any(axis=1).equals(both["answered"])
    assert set(told[items].stack().dropna()) == set(range(1, 11))
    answered = both[both["answered"]]
    assert (answered["recommend"] == answered["recommend_true"]).all()


def test_nobody_answers_after_leaving(firm, both):
    left = np.concatenate([firm.firm.block(number).history.left for number in range(firm.firm.n_blocks)])
    day = (both["date"] - pd.Timestamp("2022-01-01")).dt.days
    gone = left[both["customer_id"] - 1] < day
    assert 0.2 < gone.mean() < 0.5
    assert (both["chance"] == 0).to_numpy().tolist() == gone.tolist()
    assert not both["answered"][gone].any()


def test_the_chance_of_answering_holds_and_its_causes_are_recovered(firm, both):
    present = both[both["chance"] > 0].copy()
    score = np.concatenate([firm.firm.block(number).rates.score for number in range(firm.firm.n_blocks)])
    causes = pd.DataFrame({"rate": score[present["customer_id"] - 1], "s": present["satisfaction"]})
    causes["s2"] = causes["s"] ** 2
    fit = sm.Logit(present["answered"].astype(float).to_numpy(), sm.add_constant(causes)).fit(disp=0)
    odds = PLAN.answering
    expected = [odds.base, odds.by_rate, odds.by_satisfaction, odds.by_extreme]
    assert (np.abs(fit.params - expected) / fit.bse).max() < 3.5


def test_answers_are_a_biased_sample_that_weights_repair(both):
    present = both[both["chance"] > 0]
    answered = present[present["answered"]]
    truth = present["recommend_true"].mean()
    error = answered["recommend"].std() / np.sqrt(len(answered))
    assert answered["recommend"].mean() > truth + 2 * error
    weighted = np.average(answered["recommend"], weights=1 / answered["chance"])
    assert weighted == pytest.approx(truth, abs=5 * error)


def test_answers_are_as_skewed_as_real_ones(both):
    answered = both[both["answered"]]
    scores = answered[[f"satisfaction_{number}" for number in (1, 2, 3)]]
    assert scores.mean().between(7, 8).all()
    assert scores.std().between(1.3, 2).all()
    assert scores.skew().between(-1.8, -0.7).all()
    told = answered["recommend"]
    assert 30 < 100 * ((told >= 9).mean() - (told <= 6).mean()) < 55


def test_items_load_as_stated(both):
    """Correlations of normal scores are products of the loadings, in an unselected sample."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal(200_000)
    scores = []
    for loading in PLAN.loadings:
        item = surveys.on_scale(PLAN.items, 1, surveys._measured(rng, latent, loading))
        middle = pd.Series(item).rank() / (len(item) + 1)
        scores.append(norm.ppf(middle))
    a, b, c = PLAN.loadings
    seen = np.corrcoef(scores)
    assert [seen[0, 1], seen[0, 2], seen[1, 2]] == pytest.approx([a * b, a * c, b * c], abs=0.05)  # rounding attenuates
    assert [seen[0, 2] / seen[1, 2], seen[0, 1] / seen[1, 2]] == pytest.approx([a / b, a / c], abs=0.015)
    everyone = both[both["answered"]]
    assert everyone["quality_1"].corr(everyone["quality"]) > 0.75


def test_paths_hold_at_the_moment_of_the_survey(both):
    for name, causes in PATHS.items():
        if causes and name != "quality":
            fit = sm.OLS(both[name], sm.add_constant(both[list(causes)])).fit()
            assert (np.abs(fit.params[list(causes)] - pd.Series(causes)) / fit.bse[list(causes)]).max() < 4.5


def test_total_effects_of_a_failure():
    names = list(PATHS)
    direct = np.array([[PATHS[name].get(cause, 0.0) for cause in names] for name in names])
    total = np.linalg.inv(np.eye(len(names)) - direct)[:, names.index("quality")]
    assert [surveys.harms(2.0)[name] for name in names] == pytest.approx(2 * total)


def test_a_failure_is_felt_until_it_is_made_good(firm, both):
    lasting = GROCER.service.lasting
    failures = firm.truth["complaints"].merge(firm["orders"][["order_id", "date"]], on="order_id")
    failures = failures.merge(both[["survey_id", "customer_id", "date"]], on="customer_id", suffixes=("_failed", ""))
    days = (failures["date"] - failures["date_failed"]).dt.total_seconds() / 86_400
    near = failures[(days > 6) & (days < lasting - 1)]  # clear of the days in which a complaint is open
    felt = both.set_index("survey_id")["felt_failure"]
    assert felt.loc[near["survey_id"][~near["recovered"]]].all()
    none = both[~both["survey_id"].isin(failures["survey_id"][(days > -1) & (days <= lasting + 1)])]
    assert not none["felt_failure"].any()
    steady = firm.truth["customers"].set_index("customer_id").loc[both["customer_id"]]
    fall = steady["satisfaction"].to_numpy() - both["satisfaction"]
    assert fall[both["felt_failure"]].to_numpy() == pytest.approx(surveys.harms(PLAN.harm)["satisfaction"])
    assert fall[~both["felt_failure"]].to_numpy() == pytest.approx(0)


def test_open_answers_are_about_what_is_worst(both):
    answered = both[both["answered"]]
    for theme, rows in answered.groupby("theme"):
        assert set(rows["open_answer"]) <= set(surveys.phrases(theme))
        assert rows["open_answer"].nunique() > 5
    calm = both[~both["felt_failure"]]
    voiced = [name for name in PLAN.themes if name != "failure"]
    worst = calm[voiced].idxmin(axis=1).map(PLAN.themes).where(calm[voiced].min(axis=1) < PLAN.content, "nothing")
    assert (worst == calm["theme"]).all()
    assert (both["theme"][both["felt_failure"]] == PLAN.themes["failure"]).all()


def test_the_staff_think_better_of_it(firm, both):
    views = firm["staff_views"].merge(both, on=["customer_id", "date"], suffixes=("_rated", ""))
    assert len(views) == len(firm["staff_views"]) == pytest.approx(PLAN.staff * len(both), rel=0.1)
    for name in surveys.RATED:
        rated = norm.ppf(views[f"{name}_rated"].rank() / (len(views) + 1))
        assert np.corrcoef(rated, views[name])[0, 1] == pytest.approx(PLAN.insight, abs=0.08)
        assert views[f"{name}_rated"].mean() > 7.2


def test_a_survey_after_the_order_asks_on_its_day():
    firm = simulate(3_000, seed=3, scenario="hotel")
    asked, orders = firm["surveys"], firm["orders"]
    visits = set(zip(orders["customer_id"], orders["date"].dt.floor("D"), strict=True))
    assert set(zip(asked["customer_id"], asked["date"], strict=True)) <= visits
    hotel: Any = scenario("hotel")
    assert len(asked) == pytest.approx(hotel.surveys.sample * len(orders), rel=4 / np.sqrt(len(asked)))
    assert (firm.truth["surveys"]["chance"] > 0).all()


def net_promoters(answers: pd.Series) -> float:
    """Share of 9 and 10 less share of 0 to 6, in percent."""
    return 100 * float((answers >= 9).mean() - (answers <= 6).mean())


def test_scenarios_have_the_figures_that_they_state():
    """Facts of the files: share of the top fifth, value of an order, net promoter scores, redeemed share of points."""
    stated = {"grocer": (0.72, 39, 45, 30, 0.60), "hotel": (0.57, 345, 43, 38, 0.22)}
    for name, figures in stated.items():
        firm = simulate(8_000, seed=1, scenario=name)
        amounts = firm["orders"].groupby("customer_id")["amount"].sum().sort_values()
        points = firm["points"].groupby("kind")["points"].sum()
        seen = (
            amounts.tail(1_600).sum() / amounts.sum(),
            firm["orders"]["amount"].mean(),
            net_promoters(firm["surveys"]["recommend"].dropna()),
            net_promoters(firm.truth["surveys"]["recommend"]),
            -points["redeem"] / points["earn"],
        )
        assert seen == pytest.approx(figures, rel=0.12), name
