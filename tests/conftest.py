"""Shared by all tests."""

import os
import shutil

import pytest


def require(*programs: str, install: str) -> None:
    """Skip the calling test if a program is absent; under ``CRMLAB_REQUIRE=all`` fail it instead."""
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    message = f"needs {', '.join(missing)}; install with: {install}"
    if os.environ.get("CRMLAB_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)
