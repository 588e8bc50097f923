"""Time, memory and precision of fits of buying models, beside other packages in one run.

python benchmarks/buying.py [--sizes 10000 100000 1000000] [--peer lifetimes=PYTHON] [--peer pymc_marketing=PYTHON]
    [--skip lifetimes:paretonbd:1000000]

A peer is run by the interpreter of an environment that has it (``pip install lifetimes==0.11.3 "setuptools<81"``, or
``pip install pymc-marketing``). Every fit has a process of its own; "first" is the first fit in it, "warm" the second.
The log-likelihood of every package's parameters is computed here, by one function.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from crmlab.models import BetaGeoNBD, ParetoNBD
from crmlab.models.covariates import Covariates, likelihood

MODELS = {"bgnbd": BetaGeoNBD, "paretonbd": ParetoNBD}
TRUE = {"bgnbd": (0.243, 4.414, 0.793, 2.426), "paretonbd": (0.553, 10.578, 0.606, 11.669)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--peer", action="append", default=[], metavar="PACKAGE=PYTHON")
    parser.add_argument("--skip", action="append", default=[], metavar="PACKAGE:MODEL:SIZE")
    told = parser.parse_args()
    packages = {"crmlab": sys.executable, **dict(one.split("=", 1) for one in told.peer)}
    print(
        "| model | customers | package | first, s | warm, s | times crmlab | predict, s | peak, MB | log-likelihood |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for model in told.models:
        for size in told.sizes:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "histories.npz"
                frame = histories(model, size)
                np.savez(file, **{name: frame[name].to_numpy() for name in frame})
                names = [one for one in packages if f"{one}:{model}:{size}" not in told.skip]
                found = {one: run(packages[one], one, model, file) for one in names}
            for one, result in found.items():
                times = result["warm"] / found["crmlab"]["warm"]
                cells = [model, f"{size:,}", one, f"{result['first']:.3f}", f"{result['warm']:.3f}", f"{times:.1f}"]
                cells += [
                    f"{result['predict']:.3f}",
                    f"{result['peak']:,.0f}",
                    f"{height(model, frame, result['params']):,.3f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


def histories(model: str, size: int) -> pd.DataFrame:
    """Histories on a grid of days, observed for 26 to 104 weeks."""
    rng = np.random.default_rng(7)
    days = rng.integers(26 * 7, 104 * 7, size)
    params = [np.asarray(one) for one in TRUE[model]]
    x, recency = MODELS[model].process.drawn(params, days / 7, rng)
    recency = np.minimum(np.ceil(recency * 7), days) / 7
    return pd.DataFrame({"frequency": x.astype("int64"), "recency": recency, "T": days / 7})


def run(python: str, package: str, model: str, file: Path) -> dict:
    """What one package took, in its own process with one thread for linear algebra."""
    script = Path(__file__).with_name("fit_once.py")
    done = subprocess.run(
        [python, script, package, model, file],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        sys.exit(f"{package} {model}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def height(model: str, frame: pd.DataFrame, params: list[float]) -> float:
    """Log-likelihood of parameters, by the one function of this package."""
    asked = MODELS[model](frame, time_unit="week")
    return likelihood(asked.process, asked.histories, Covariates({})).at(np.log(params)).value


if __name__ == "__main__":
    main()
