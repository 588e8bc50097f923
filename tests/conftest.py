"""Shared by all tests."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def require(*names: str, install: str) -> str:
    """The path of the first of these programs that is there.

    Without any the calling test is skipped, with the command that installs one; under ``CRMLAB_REQUIRE=all`` it fails.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    message = f"needs {' or '.join(names)}; install with: {install}"
    if os.environ.get("CRMLAB_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def figures() -> Iterator[None]:
    """Figures are drawn without a screen, and closed afterwards."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def ax(figures: None) -> "Axes":
    """The axes of a new figure."""
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
