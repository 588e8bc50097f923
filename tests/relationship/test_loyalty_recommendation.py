"""Net promoter score: values by hand, coverage of its interval, sample size."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from crmlab.errors import ContractError
from crmlab.relationship.recommendation import net_promoter_score, nps_difference, nps_sample_size

ANSWERS = st.lists(st.integers(0, 10), min_size=1, max_size=60)


def test_by_hand():
    one = net_promoter_score([10] * 30 + [9] * 20 + [8, 7] * 15 + [6] * 12 + [0] * 8)
    assert (one.promoters, one.passives, one.detractors, one.n) == (0.5, 0.3, 0.2, 100)
    assert one.score == pytest.approx(30)
    assert one.std_error == pytest.approx(100 * np.sqrt((0.7 - 0.09) / 100))
    # half an answer more at each end, one in the middle
    centre, spread = (50.5 - 20.5) / 102, np.sqrt((71 / 102 - (30 / 102) ** 2) / 102)
    assert (one.low, one.high) == pytest.approx(
        (100 * (centre - norm.ppf(0.975) * spread), 100 * (centre + norm.ppf(0.975) * spread))
    )
    assert str(one).startswith("net promoter score 30 (95% interval 14 to 45) from 100 answers: 50% promoters")


@settings(max_examples=60, deadline=None)
@given(ANSWERS)
def test_laws(answers):
    one = net_promoter_score(answers)
    assert one.promoters + one.passives + one.detractors == pytest.approx(1)
    assert -100 <= one.low < one.high <= 100
    assert one.low <= one.score + 1e-9
    assert one.score - 1e-9 <= one.high
    mirrored = net_promoter_score([{9: 0, 10: 0, 7: 7, 8: 8}.get(answer, 10) for answer in answers])
    assert mirrored.score == pytest.approx(-one.score)
    assert mirrored.low == pytest.approx(-one.high)
    assert net_promoter_score(answers, level=0.5).low > one.low or one.low == -100


def test_standard_error_is_that_of_repeated_samples():
    rng = np.random.default_rng(1)
    draws = rng.choice([10, 8, 3], size=(4000, 80), p=[0.5, 0.3, 0.2])
    scores = [net_promoter_score(answers) for answers in draws[:400]]
    spread = (((draws == 10).mean(axis=1) - (draws == 3).mean(axis=1)) * 100).std()
    assert np.mean([one.std_error for one in scores]) == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize(("shares", "n"), [((0.5, 0.3, 0.2), 30), ((0.9, 0.08, 0.02), 40), ((0.1, 0.2, 0.7), 200)])
def test_interval_covers(shares, n):
    """Exact coverage over all samples of the size: 95 % within three points, also where nearly all promote."""
    truth = 100 * (shares[0] - shares[2])
    counts = np.random.default_rng(2).multinomial(n, shares, 3000)
    seen, times = np.unique(counts, axis=0, return_counts=True)
    covered = 0
    for (high, middle, low), often in zip(seen, times, strict=True):
        one = net_promoter_score(np.repeat([10, 8, 3], [high, middle, low]))
        covered += often * (one.low <= truth <= one.high)
    assert covered / times.sum() == pytest.approx(0.95, abs=0.03)


def test_everybody_agreeing_still_has_an_interval():
    one = net_promoter_score([10] * 20)
    assert one.score == 100
    assert one.std_error == 0
    assert one.low < 95
    assert one.high == 100


def test_difference_covers_and_is_wider_than_either():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(600):
        first = net_promoter_score(rng.choice([10, 8, 3], size=60, p=[0.5, 0.3, 0.2]))
        second = net_promoter_score(rng.choice([10, 8, 3], size=90, p=[0.6, 0.3, 0.1]))
        change = nps_difference(first, second)
        assert change.high - change.low > max(first.high - first.low, second.high - second.low)
        inside.append(change.low <= 20 <= change.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_sample_size_gives_the_margin():
    n = nps_sample_size(5, promoters=0.5, detractors=0.2)
    assert n == 938
    z = norm.ppf(0.975)
    assert z * 100 * np.sqrt((0.7 - 0.09) / n) <= 5 < z * 100 * np.sqrt((0.7 - 0.09) / (n - 1))
    assert nps_sample_size(5, promoters=0.5, detractors=0.5) > n
    assert nps_sample_size(2.5, promoters=0.5, detractors=0.2) == pytest.approx(4 * n, abs=4)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "no row"),
        ([9, None], r"not a finite number in 1 rows \(first: 2\)"),
        ([9, 11], r"not a whole number from 0 to 10 in 1 rows \(first: 2\)"),
        ([9, -1], "not a whole number"),
        ([9, 8.5], "not a whole number"),
        (pd.Series(["often", "never"]), "answers: no"),
    ],
)
def test_answers_that_are_none_are_refused(answers, words):
    with pytest.raises(ContractError, match=words):
        net_promoter_score(answers)


def test_options_are_checked():
    with pytest.raises(ContractError, match="level"):
        net_promoter_score([9, 3], level=95)
    with pytest.raises(ContractError, match="different confidence levels"):
        nps_difference(net_promoter_score([9, 3]), net_promoter_score([9, 3], level=0.9))
    with pytest.raises(ContractError) as told:
        nps_sample_size(0, promoters=0.7, detractors=0.7)
    assert len(told.value.problems) == 2
    with pytest.raises(ContractError, match="sum above 0"):
        nps_sample_size(5, promoters=0.0, detractors=0.0)
