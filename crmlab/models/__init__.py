"""The statistical core: models of buying, staying and spending, fitted exactly and quickly.

It needs numpy, scipy and pandas only, and knows no data set.
"""

from crmlab.models.base import ConvergenceError
from crmlab.models.betabinomial import BetaBinomial, BetaBinomialResults
from crmlab.models.bgbb import BetaGeoBetaBinomial, BetaGeoBetaBinomialResults
from crmlab.models.brands import DirichletMultinomial, DirichletMultinomialResults, NBDDirichlet, brand_S
from crmlab.models.buying import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD
from crmlab.models.loading import load_results
from crmlab.models.nbd import NBD, GoodnessOfFit, NBDResults
from crmlab.models.paths import PathModel, PathModelResults
from crmlab.models.predictions import BuyingResults
from crmlab.models.results import Results
from crmlab.models.spend import GammaGamma, GammaGammaResults
from crmlab.models.tenure import BetaDiscreteWeibull, ShiftedBetaGeometric, TenureResults

__all__ = [
    "NBD",
    "BetaBinomial",
    "BetaBinomialResults",
    "BetaDiscreteWeibull",
    "BetaGeoBetaBinomial",
    "BetaGeoBetaBinomialResults",
    "BetaGeoNBD",
    "BuyingResults",
    "ConvergenceError",
    "DirichletMultinomial",
    "DirichletMultinomialResults",
    "GammaGamma",
    "GammaGammaResults",
    "GoodnessOfFit",
    "ModifiedBetaGeoNBD",
    "NBDDirichlet",
    "NBDResults",
    "ParetoNBD",
    "PathModel",
    "PathModelResults",
    "Results",
    "ShiftedBetaGeometric",
    "TenureResults",
    "brand_S",
    "load_results",
]
