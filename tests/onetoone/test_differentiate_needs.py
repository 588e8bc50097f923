"""Latent classes: against an EM written here, the truth of simulations, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score

from crmlab.errors import ContractError
from crmlab.onetoone import needs_segments

CHANCES = np.array([[0.9, 0.8, 0.85, 0.2, 0.15, 0.3], [0.2, 0.15, 0.3, 0.85, 0.9, 0.8]])


def answers(rng, n=600, share=0.35):
    z = (rng.random(n) < share).astype(int)
    return z, pd.DataFrame(rng.random((n, 6)) < CHANCES[z], columns=list("abcdef"))


def mixed(rng, n=800):
    """Yes or no, categories, numbers, for three classes of 0.5, 0.3 and 0.2."""
    z = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({"likes": rng.random(n) < np.array([0.9, 0.5, 0.1])[z]})
    chance = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.15, 0.15, 0.7]])[z]
    frame["colour"] = np.array(["red", "blue", "green"])[
        (rng.random((n, 1)) > chance.cumsum(axis=1)).sum(axis=1).clip(max=2)
    ]
    frame["minutes"] = 100 * (rng.normal(np.array([0, 3, 6])[z], 1) + 5)
    return z, frame


def own_em(y, k, seed, steps=800):
    """The plain EM of a latent class model of yes or no; returns the log-likelihood."""
    share, chance = np.full(k, 1 / k), np.random.default_rng(seed).uniform(0.25, 0.75, (k, y.shape[1]))
    for _ in range(steps):
        joint = np.log(share) + y @ np.log(chance).T + (1 - y) @ np.log1p(-chance).T
        resp = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        share = resp.mean(axis=0)
        chance = (resp.T @ y / resp.sum(axis=0)[:, None]).clip(1e-9, 1 - 1e-9)
    return logsumexp(joint, axis=1).sum()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_likelihood_is_that_of_an_independent_em(k):
    _, y = answers(np.random.default_rng(1))
    best = max(own_em(y.to_numpy(float), k, seed) for seed in range(5))
    fit = needs_segments(y, classes=k, seed=1, starts=6, resamples=0).fits.loc[k]
    assert fit["log_likelihood"] == pytest.approx(best, abs=0.3)
    parameters = 6 * k + k - 1
    assert fit["parameters"] == parameters
    assert fit["bic"] == pytest.approx(-2 * fit["log_likelihood"] + parameters * np.log(600))
    assert fit["aic"] == pytest.approx(-2 * fit["log_likelihood"] + 2 * parameters)


@pytest.fixture(scope="module")
def two():
    z, y = answers(np.random.default_rng(2), n=1500)
    return z, y, needs_segments(y, classes=range(1, 4), seed=1, starts=4, resamples=12)


def test_truth_is_found(two):
    z, y, found = two
    assert found.classes == 2
    assert adjusted_rand_score(z, found.labels) > 0.8
    rows = found.profile.drop(index="class", level="indicator")
    np.testing.assert_allclose(rows[[1, 2]].T, CHANCES, atol=0.05)  # the largest class comes first
    np.testing.assert_allclose(found.profile.loc[("class", "share"), [1, 2]].tolist(), [0.65, 0.35], atol=0.03)
    np.testing.assert_allclose(rows["all"], y.mean(), atol=1e-12)


def test_membership_is_a_chance_that_means_what_it_says(two):
    z, _, found = two
    np.testing.assert_allclose(found.membership.sum(axis=1), 1)
    assert (found.labels == found.membership.idxmax(axis=1)).all()
    assert found.membership[2].mean() == pytest.approx(z.mean(), abs=0.03)
    unsure = found.membership[2].between(0.2, 0.8)
    assert found.membership.loc[unsure, 2].mean() == pytest.approx(z[unsure].mean(), abs=0.15)


def test_entropy_by_its_definition(two):
    found = two[2]
    p = found.membership.to_numpy().clip(1e-15, 1)
    assert found.fits.loc[2, "entropy"] == pytest.approx(1 + (p * np.log(p)).sum() / (len(p) * np.log(2)))
    assert found.fits.loc[2, "smallest"] == pytest.approx(found.membership.mean().min())


def test_stability(two):
    table = two[2].resamples
    assert table.shape == (12, 3)
    assert table["adjusted_rand"].min() > 0.8
    assert table[[1, 2]].to_numpy().min() > 0.8  # matched class by class, in spite of switched labels


def test_stability_sees_classes_that_are_none():
    noise = pd.DataFrame(np.random.default_rng(3).random((300, 6)) < 0.5).add_prefix("q")
    forced = needs_segments(noise, classes=3, seed=1, starts=4, resamples=6)
    assert forced.resamples["adjusted_rand"].median() < 0.5
    assert needs_segments(noise, classes=range(1, 4), seed=1, starts=4, resamples=0).classes == 1


def test_another_seed_and_order_give_the_same_classes(two):
    _, y, found = two
    again = needs_segments(y.iloc[::-1, ::-1], classes=2, seed=99, starts=4, resamples=0)
    assert (again.labels.reindex(y.index) == found.labels).mean() > 0.995
    np.testing.assert_allclose(again.membership.reindex(y.index), found.membership, atol=0.02)


def test_the_same_seed_gives_the_same_numbers(two):
    _, y, found = two
    again = needs_segments(y, classes=range(1, 4), seed=1, starts=4, resamples=12)
    pd.testing.assert_frame_equal(again.membership, found.membership)
    pd.testing.assert_frame_equal(again.resamples, found.resamples)


def test_mixed_indicators_and_their_profile():
    z, frame = mixed(np.random.default_rng(4))
    found = needs_segments(frame, classes=range(2, 5), seed=1, starts=4, resamples=0)
    assert found.classes == 3
    assert adjusted_rand_score(z, found.labels) > 0.85
    classes = found.profile[[1, 2, 3]]
    np.testing.assert_allclose(classes.xs("colour").sum(axis=0), 1)
    np.testing.assert_allclose(classes.xs("minutes").iloc[0], [500, 800, 1100], atol=40)
    names = found.names(top=1).to_dict()
    assert names[1] in ("likes yes ↑", "colour red ↑", "minutes ↓")
    assert names[3] in ("minutes ↑", "colour green ↑")
    assert found.fits.loc[3, "parameters"] == 2 + 3 + 3 * 2 + 3 * 2
    assert "3 latent classes of 800 customers" in repr(found)


def test_types_of_columns_do_not_matter():
    _, y = answers(np.random.default_rng(5), n=300)
    plain = needs_segments(y, classes=2, seed=1, starts=3, resamples=0)
    kinds = y.astype({"a": int, "b": float, "c": "Int64", "d": "boolean"})
    np.testing.assert_allclose(
        needs_segments(kinds, classes=2, seed=1, starts=3, resamples=0).membership, plain.membership
    )
    objects = needs_segments(y.astype({"a": object}), classes=2, seed=1, starts=3, resamples=0)
    np.testing.assert_allclose(objects.membership, plain.membership)
    text = y.assign(a=np.where(y["a"], "yes", "no"))
    as_text = needs_segments(text, classes=2, seed=1, starts=4, resamples=0)
    assert (as_text.labels == plain.labels).mean() > 0.98
    ordered = needs_segments(
        text.assign(a=pd.Categorical(text["a"], ordered=True)), classes=2, seed=1, starts=4, resamples=0
    )
    assert as_text.fits.loc[2, "log_likelihood"] == pytest.approx(ordered.fits.loc[2, "log_likelihood"], abs=0.1)


def test_gaps_are_left_out_and_not_guessed():
    rng = np.random.default_rng(6)
    z, y = answers(rng, n=1500)
    holes = y.astype("boolean").mask(pd.DataFrame(rng.random(y.shape) < 0.2, columns=y.columns))
    holes["a"] = holes["a"].astype(object).map({True: "yes", False: "no"})
    holes["f"] = holes["f"].astype(object).where(holes["f"].notna(), None)
    holes = holes[holes.notna().any(axis=1)]
    found = needs_segments(holes, classes=2, seed=1, starts=4, resamples=0)
    assert adjusted_rand_score(z[holes.index], found.labels) > 0.7
    rows = found.profile.drop(index="class", level="indicator").drop(index=("a", "no"))
    np.testing.assert_allclose(rows[[1, 2]].T, CHANCES[:, [1, 2, 3, 4, 5, 0]], atol=0.06)
    assert rows.loc[("b", "yes"), "all"] == pytest.approx(holes["b"].mean())
    blank = found.assign(holes.head(1).assign(b=pd.NA, c=pd.NA, d=pd.NA, e=pd.NA, f=pd.NA))
    assert blank.sum(axis=1).item() == pytest.approx(1)


def test_others_are_put_into_the_same_classes(two):
    _, y, found = two
    pd.testing.assert_frame_equal(found.assign(y[::-1])[::-1], found.membership)
    new_z, new = answers(np.random.default_rng(7))
    chance = found.assign(new.assign(other=1))
    assert adjusted_rand_score(new_z, chance.idxmax(axis=1)) > 0.75


def test_residual_pairs_find_what_classes_do_not_explain():
    rng = np.random.default_rng(8)
    _, y = answers(rng, n=2000)
    y["echo of a"] = y["a"] ^ (rng.random(2000) < 0.05)
    found = needs_segments(y, classes=2, seed=1, starts=4, resamples=0)
    worst = found.pairs.iloc[0]
    assert {worst["first"], worst["second"]} == {"a yes", "echo of a yes"}
    assert worst["residual"] > 0.2
    assert worst["observed"] == pytest.approx(y["a"].corr(y["echo of a"]), abs=1e-6)
    clean = needs_segments(y.drop(columns="echo of a"), classes=2, seed=1, starts=4, resamples=0)
    assert clean.pairs["residual"].abs().max() < 4 / np.sqrt(2000)


def test_a_single_class_has_no_surprise():
    _, y = answers(np.random.default_rng(9), n=100)
    found = needs_segments(y, classes=1, seed=1, resamples=0)
    assert (found.labels == 1).all()
    assert found.names().tolist() == ["all customers"]
    assert found.fits["entropy"].isna().all()


def refused(told, frame, **change):
    with pytest.raises(ContractError) as error:
        needs_segments(frame, **({"classes": 2, "seed": 1, "starts": 2, "resamples": 0} | change))
    assert told in str(error.value)


def test_refusals():
    _, y = answers(np.random.default_rng(10), n=60)
    refused("at least one row", y.iloc[:0])
    refused("at least one row", y["a"])
    refused("a: the same for all customers", y.assign(a=True))
    refused("n: 1 values are infinite", y.assign(n=np.r_[np.inf, np.arange(59)]))
    refused("when: datetime64", y.assign(when=pd.date_range("2024", periods=60)))
    refused("c: complex128", y.assign(c=np.arange(60) * 1j))
    refused("7: indicators need names that are text", y.rename(columns={"a": 7}))
    refused("'b': indicators need names", y.set_axis(["a", "b", "b", "d", "e", "f"], axis=1))
    refused("n: 1 numbers are missing; cut it into categories", y.assign(n=np.r_[np.nan, np.arange(59)]))
    refused(
        "no indicator is known in 1 rows (first: 2)", y.astype("boolean").where(np.tile(np.arange(60)[:, None] != 1, 6))
    )
    refused("the same customer twice in 59 rows", y.set_axis([0] * 60))
    refused("classes must be whole numbers from 1, got [0, 2]", y, classes=[0, 2])
    refused("classes must be whole numbers from 1, got []", y, classes=[])
    refused("7 classes need at least 70 customers, got 60", y, classes=7)
    refused("starts must be 1 or more and resamples 0 or more, got 0 and -1", y, starts=0, resamples=-1)


def test_assign_refuses():
    rng = np.random.default_rng(11)
    _, frame = mixed(rng, n=200)
    found = needs_segments(frame, classes=2, seed=1, starts=2, resamples=0)
    cases = [
        (frame.drop(columns="likes"), "'likes'"),
        (frame.assign(colour="pink"), "colour: 200 values that the fit has not seen (first: pink)"),
        (frame.assign(likes=2), "likes: 200 values are no yes or no (first: 2)"),
        (frame.assign(minutes="long"), "minutes: 200 values are no number (first: long)"),
        (frame.assign(minutes=np.nan), "minutes: 200 values are missing, and the fit saw no gaps"),
    ]
    for table, told in cases:
        with pytest.raises(ContractError) as error:
            found.assign(table)
        assert told in str(error.value)
