"""The statistical core: models of buying, staying and spending, fitted exactly and quickly.

It needs numpy, scipy and pandas only, and knows no data set.
"""

from crmlab.models.base import ConvergenceError
from crmlab.models.buying import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD
from crmlab.models.predictions import BuyingResults
from crmlab.models.results import Results

__all__ = ["BetaGeoNBD", "BuyingResults", "ConvergenceError", "ModifiedBetaGeoNBD", "ParetoNBD", "Results"]
