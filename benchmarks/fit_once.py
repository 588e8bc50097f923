"""Fit one model with one package to histories in a file, twice, and print what it took as JSON.

python benchmarks/fit_once.py PACKAGE MODEL FILE, in the environment of that package. PACKAGE is crmlab, lifetimes or
pymc_marketing; MODEL is bgnbd or paretonbd; FILE an .npz with frequency, recency and T in weeks.
"""

import json
import resource
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def crmlab(model: str, frame: pd.DataFrame):
    from crmlab.models import BetaGeoNBD, ParetoNBD

    fitted = {"bgnbd": BetaGeoNBD, "paretonbd": ParetoNBD}[model](frame, time_unit="week").fit()
    return fitted.params.tolist(), lambda: fitted.expected_purchases(39)


def lifetimes(model: str, frame: pd.DataFrame):
    from lifetimes import BetaGeoFitter, ParetoNBDFitter

    fitter = {"bgnbd": BetaGeoFitter, "paretonbd": ParetoNBDFitter}[model]()
    history = frame["frequency"], frame["recency"], frame["T"]
    fitter.fit(*history)
    predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter.params_.tolist(), lambda: predict(39, *history)


def pymc_marketing(model: str, frame: pd.DataFrame):
    from pymc_marketing.clv import BetaGeoModel, ParetoNBDModel

    names = {"bgnbd": ["r", "alpha", "a", "b"], "paretonbd": ["r", "alpha", "s", "beta"]}[model]
    fitted = {"bgnbd": BetaGeoModel, "paretonbd": ParetoNBDModel}[model](data=frame)
    fitted.fit(fit_method="map")
    found = fitted.fit_result
    return [float(found[name].squeeze()) for name in names], lambda: fitted.expected_purchases(future_t=39)


def main(package: str, model: str, file: str) -> None:
    frame = pd.DataFrame(dict(np.load(file))).assign(customer_id=lambda t: np.arange(len(t)))
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        params, predict = globals()[package](model, frame)
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.perf_counter()
    predict()
    told = {
        "params": params,
        "first": seconds[0],
        "warm": seconds[1],
        "predict": time.perf_counter() - begin,
        "peak": peak,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
