"""Importing the models is quick: numpy, scipy and pandas, and nothing heavy beside them."""

import subprocess
import sys


def test_importing_the_models_loads_numpy_scipy_and_pandas_only() -> None:
    program = "import sys, crmlab.models; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in shown.stdout.split()}
    plain = subprocess.run(
        [sys.executable, "-c", "import sys, pandas, scipy.special, scipy.optimize, scipy.stats; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    allowed = {name.split(".")[0] for name in plain.stdout.split()} | {"crmlab"}
    assert {"numpy", "scipy", "pandas"} <= loaded
    assert loaded - allowed <= set(sys.stdlib_module_names)
