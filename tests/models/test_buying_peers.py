"""The buying models against the package lifetimes 0.11.3, whose files the course uses; it is imported here only."""

import warnings

import numpy as np
import pytest

from crmlab.models import BetaGeoNBD
from crmlab.models.processes import BG, MBG, PARETO
from tests.models.conftest import fitted

SIX_DIGITS = 1e-6

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it sets options of pandas that are no more
    lifetimes = pytest.importorskip("lifetimes")

PEERS = {
    BG.name: (BG, lifetimes.BetaGeoFitter, (0.243, 4.414, 0.793, 2.426)),
    MBG.name: (MBG, lifetimes.ModifiedBetaGeoFitter, (0.525, 6.183, 0.891, 1.614)),
    PARETO.name: (PARETO, lifetimes.ParetoNBDFitter, (0.553, 10.578, 0.606, 11.669)),
}


@pytest.mark.parametrize("name", PEERS)
def test_predictions_at_the_published_parameters(name, cdnow):
    table = cdnow.to_pandas()
    process, peer, values = PEERS[name]
    other, mine = peer(), fitted(process, *values)
    other.params_ = dict(zip(process.parameters, values, strict=True))
    history = [table[name].to_numpy() for name in ("frequency", "recency", "T")]
    alive = np.asarray(other.conditional_probability_alive(*history), dtype=float)
    np.testing.assert_allclose(mine.probability_alive(table), alive, rtol=SIX_DIGITS)
    forecast = other.conditional_expected_number_of_purchases_up_to_time(39, *history)
    np.testing.assert_allclose(mine.expected_purchases(39, table), forecast, rtol=SIX_DIGITS)
    for t in (1.0, 39.0, 78.0):
        new = other.expected_number_of_purchases_up_to_time(t)
        assert float(mine.expected_purchases_of_new_customer(t)) == pytest.approx(
            float(np.ravel(new)[0]), rel=SIX_DIGITS
        )


def test_the_fit_where_its_search_is_driven_to_the_end(cdnow):
    table = cdnow.to_pandas()
    other = lifetimes.BetaGeoFitter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.fit(table["frequency"], table["recency"], table["T"], tol=1e-12)
    np.testing.assert_allclose(BetaGeoNBD(cdnow).fit().params, other.params_, rtol=SIX_DIGITS)
