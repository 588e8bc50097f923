"""k, l and t by hand and by an independent count; re-identification against an attack with known truth."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import anonymity, generalise, reidentification_risk, unicity

HOSPITAL = pd.DataFrame(
    {  # the 4-anonymous table by which Machanavajjhala et al. (2007) explain homogeneity: the third class is told
        "postcode": ["130**"] * 4 + ["1485*"] * 4 + ["130*3"] * 4,
        "age": ["<30"] * 4 + [">=40"] * 4 + ["3*"] * 4,
        "illness": ["heart", "heart", "viral", "viral", "cancer", "heart", "viral", "viral"] + ["cancer"] * 4,
    }
)


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "age": rng.integers(20, 70, n),
            "region": rng.choice(["north", "south", "east"], n),
            "since": pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
            "buys": rng.choice(["tea", "wine", "rice", "bread"], n, p=[0.5, 0.3, 0.15, 0.05]),
        }
    )


def test_the_textbook_table_is_4_anonymous_and_not_diverse():
    found = anonymity(HOSPITAL, ["postcode", "age"], sensitive="illness")
    assert (found.k, found.l, found.unique) == (4, 1, 0)
    row = found.diversity.loc["illness"]
    assert row["disclosed"] == 4
    assert row["entropy_l"] == pytest.approx(1.0)
    assert row["t"] == pytest.approx((abs(1 - 5 / 12) + 3 / 12 + 4 / 12) / 2)
    assert found.classes["l_illness"].tolist() == [2, 3, 1]
    assert found.classes["top_illness"].tolist() == [0.5, 0.5, 1.0]
    assert "4 customers disclosed" in repr(found)


@given(st.integers(1, 80), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_agrees_with_counting_by_hand(n, seed):
    table = people(n, seed).assign(age=lambda t: t["age"] // 15)
    found = anonymity(table, ["age", "region"], sensitive=["buys", "since"], customer="customer_id")
    classes: dict[tuple, list[Any]] = {}
    for row in table.itertuples():
        classes.setdefault((row.age, row.region), []).append(row.buys)
    overall = Counter(table["buys"])
    entropy, distance = [], []
    for values in classes.values():
        share = {value: count / len(values) for value, count in Counter(values).items()}
        entropy.append(-sum(p * np.log(p) for p in share.values()))
        distance.append(sum(abs(share.get(v, 0) - count / n) for v, count in overall.items()) / 2)
    assert found.k == min(map(len, classes.values()))
    assert found.unique == sum(len(values) == 1 for values in classes.values())
    told = found.diversity.loc["buys"]
    assert told["l"] == min(len(set(values)) for values in classes.values())
    assert told["entropy_l"] == pytest.approx(np.exp(min(entropy)))
    assert told["t"] == pytest.approx(max(distance))
    assert told["disclosed"] == sum(len(values) for values in classes.values() if len(set(values)) == 1)
    assert found.l <= told["l"]


def test_a_missing_value_is_a_value_of_its_own():
    table = pd.DataFrame({"region": ["north", "north", None, None, None], "buys": ["tea", None, "tea", "tea", None]})
    found = anonymity(table, ["region"], sensitive="buys")
    assert (found.k, found.l) == (2, 2)
    assert anonymity(table.drop(columns="buys"), ["region"]).l == 0


def test_ids_and_index_do_not_matter():
    table = people(50, 1)
    other = table.assign(customer_id=table["customer_id"].astype(str)).set_index(pd.Index([7] * 50))
    one, two = (anonymity(t, ["age", "region"], sensitive="buys", customer="customer_id") for t in (table, other))
    pd.testing.assert_frame_equal(one.classes, two.classes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quasi_identifiers": ["nowhere"]}, "'nowhere'"),
        ({"quasi_identifiers": []}, "at least one column"),
        ({"quasi_identifiers": ["age", "age"]}, "more than one role, or twice"),
        ({"quasi_identifiers": ["age"], "sensitive": "age"}, "more than one role"),
        ({"sensitive": "spend"}, "cut it into bands"),
        ({"quasi_identifiers": ["age"], "customer": "region"}, "one row per customer"),
        ({"customer": "empty"}, "is missing in 50 rows"),
        ({"quasi_identifiers": ["lists"]}, "without equality"),
    ],
)
def test_anonymity_refuses(change, words):
    table = people(50, 1).assign(spend=lambda t: t["age"] * 1.5, empty=None, lists=pd.Series([[1]] * 50, dtype=object))
    with pytest.raises(ContractError, match=words):
        anonymity(table, **({"quasi_identifiers": ["age", "region"]} | change))
    with pytest.raises(ContractError, match="empty"):
        anonymity(table.iloc[:0], ["age"])
    with pytest.raises(ContractError, match="needs a table"):
        anonymity([1, 2], ["age"])  # type: ignore[arg-type]


def test_expected_hits_are_what_an_attack_finds():
    population = people(3_000, 2).assign(age=lambda t: t["age"] // 3)
    released = population.sample(800, random_state=1)
    risk = reidentification_risk(released, ["age", "region"], population=population)
    by_class = population.groupby(["age", "region"])["customer_id"].agg(list)
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(60):
        guess = [rng.choice(by_class[key]) for key in released[["age", "region"]].itertuples(index=False, name=None)]
        hits.append(np.sum(np.array(guess) == released["customer_id"]))
    error = np.std(hits) / np.sqrt(len(hits))
    assert abs(np.mean(hits) - risk.expected_hits) < 4 * error
    assert risk.population_unique <= risk.sample_unique
    assert f"{risk.expected_share:.1%}" in repr(risk)


def test_hits_without_a_population_are_the_classes():
    table = people(400, 4)
    risk = reidentification_risk(table, ["age", "region"])
    assert risk.expected_hits == pytest.approx(len(table.drop_duplicates(["age", "region"])))
    assert risk.sample_unique == risk.population_unique == anonymity(table, ["age", "region"]).unique
    assert risk.highest == 1 / anonymity(table, ["age", "region"]).k


@given(st.integers(0, 1_000), st.integers(2, 20))
@settings(max_examples=20, deadline=None)
def test_coarser_bands_and_more_people_lower_the_risk(seed, width):
    everybody = people(300, seed)
    released = everybody.head(100)
    coarse = everybody.assign(age=everybody["age"] // width)
    exact = reidentification_risk(released, ["age", "region"], population=everybody)
    banded = reidentification_risk(coarse.head(100), ["age", "region"], population=coarse)
    assert banded.expected_hits <= exact.expected_hits + 1e-9
    fewer = reidentification_risk(released, ["age", "region"], population=everybody.head(200))
    assert exact.expected_hits <= fewer.expected_hits + 1e-9


def test_a_population_must_hold_the_release():
    everybody = people(300, 1)
    with pytest.raises(ContractError, match="whole population"):
        reidentification_risk(everybody, ["age"], population=everybody.assign(age=everybody["age"] // 10))
    with pytest.raises(ContractError, match="population"):
        reidentification_risk(everybody, ["age"], population=everybody[["region"]])
    with pytest.raises(ContractError, match=r"population.*empty"):
        reidentification_risk(everybody, ["age"], population=everybody.iloc[:0])


def test_a_generalised_table_has_the_risk_that_k_promises():
    everybody = people(900, 6)
    sample = everybody.sample(300, random_state=1)
    made = generalise(sample, {"age": [5, 10], "region": []}, k=8, suppress=0.05)
    risk = reidentification_risk(made.table, ["age", "region"], population=made.recode(everybody))
    assert risk.highest <= 1 / 8


# --- unicity


def brute_unicity(log: pd.DataFrame, known: set, who) -> bool:
    have = {one: set(rows["date"]) for one, rows in log.groupby("customer_id")}
    return sum(known <= days for days in have.values()) == 1


def shop(seed: int, n: int = 60, days: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(c, d) for c in range(n) for d in rng.choice(days, rng.integers(1, 8), replace=False)]
    log = pd.DataFrame(rows, columns=["customer_id", "day"])
    log["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(log["day"], unit="D")
    return log.assign(amount=rng.gamma(2, 10, len(log)))


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_all_points_known_is_a_brute_force_comparison(seed):
    log = shop(seed)
    sizes = log.groupby("customer_id")["date"].nunique()
    most = int(sizes.max())
    found = unicity(log, points=[most], seed=1)
    full = sizes.index[sizes == most]
    expected = sum(brute_unicity(log, set(log.loc[log["customer_id"] == one, "date"]), one) for one in full)
    assert found.table["unique"].item() == expected
    assert (found.tried, found.eligible, found.customers) == (len(full), len(full), 60)


def test_share_of_two_points_is_the_mean_over_all_pairs_of_days():
    log = shop(3, n=150)
    days = pd.Series({one: tuple(sorted(set(d))) for one, d in log.groupby("customer_id")["date"]})
    truth = []
    for mine in days[days.map(len) >= 2]:
        pairs = [(a, b) for i, a in enumerate(mine) for b in mine[i + 1 :]]
        truth.append(np.mean([sum(a in other and b in other for other in days) == 1 for a, b in pairs]))
    shares = [unicity(log, points=[2], seed=seed).table["share"].item() for seed in range(40)]
    assert np.mean(shares) == pytest.approx(np.mean(truth), abs=0.01)


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_more_points_never_hide_anybody(seed):
    found = unicity(shop(seed), points=[3, 1, 2], seed=seed, amount_step=20.0)
    assert found.table["points"].tolist() == [1, 2, 3]
    assert all(a <= b for a, b in pairwise(found.table["unique"]))
    assert ((found.table["low"] <= found.table["share"]) & (found.table["share"] <= found.table["high"])).all()


def test_the_interval_covers_the_share_of_all_customers():
    log = shop(5, n=1_500, days=40)
    everybody = unicity(log, points=[2], seed=0, most_customers=10_000)
    covered = 0
    truth = np.mean([unicity(log, points=[2], seed=s, most_customers=10_000).table["share"].item() for s in range(8)])
    for seed in range(60):
        row = unicity(log, points=[2], seed=seed, most_customers=150).table.iloc[0]
        covered += row["low"] <= truth <= row["high"]
    assert covered >= 53
    assert "tried" in repr(everybody)


def test_weeks_and_amounts_move_the_share():
    log = shop(7, n=300, days=60)
    day, week, much = (
        unicity(log, points=[2], seed=1, **how).table["share"].item()
        for how in ({}, {"period": "week"}, {"amount_step": 5.0})
    )
    assert week < day < much
    assert "amount to 5" in repr(unicity(log, points=[1], seed=1, amount_step=5.0))
    assert unicity(log.assign(date=log["date"].dt.tz_localize("UTC")), points=[2], seed=1).table["share"].item() == day


@pytest.mark.parametrize(
    ("change", "how", "words"),
    [
        ({}, {"points": [0]}, "whole numbers of 1 or more"),
        ({}, {"points": []}, "whole numbers"),
        ({}, {"points": [1.5]}, "whole numbers"),
        ({}, {"most_customers": 0}, "whole numbers"),
        ({}, {"points": [99]}, "nobody has 99"),
        ({}, {"period": "hour"}, "period must be one of"),
        ({}, {"amount_step": 0}, "amount_step"),
        ({}, {"amount_step": "ten"}, "amount_step"),
        ({"amount": np.inf}, {"amount_step": 5.0}, "infinite"),
        ({}, {"points": 2}, "whole numbers of 1 or more"),
        ({}, {"level": 1.0}, "level"),
        ({"amount": "a lot"}, {"amount_step": 5.0}, "no numbers"),
        ({"date": "2024-01-01"}, {}, "no dates"),
        ({"customer_id": None}, {}, "'customer_id' is missing"),
    ],
)
def test_unicity_refuses(change, how, words):
    with pytest.raises(ContractError, match=words):
        unicity(shop(1).assign(**change), **({"points": [2], "seed": 1} | how))
    with pytest.raises(ContractError, match="empty"):
        unicity(shop(1).iloc[:0], seed=1)
