"""Importing the lab is quick: what executes and renders notebooks is loaded when a run begins."""

import subprocess
import sys


def test_the_lab_and_the_command_line_load_no_notebook_machinery() -> None:
    program = "import sys, crmlab.lab, crmlab.cli; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.split())
    heavy = {
        "papermill",
        "nbconvert",
        "nbclient",
        "jupyter_client",
        "IPython",
        "matplotlib",
        "ibis",
        "duckdb",
        "sklearn",
    }
    assert "crmlab.lab.runner" in loaded
    assert loaded & heavy == set()
