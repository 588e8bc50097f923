"""Shared by all tests."""

import os
import shutil

import pytest


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
