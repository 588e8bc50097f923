"""Where results come from: versions, checksums and parameters, without a name or a path of whoever ran them."""

import json
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import crmlab
from crmlab.lab.files import digest
from crmlab.resources import course_dir

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*?(?:extra == ['\"](\w+)['\"])?$")


def environment() -> dict[str, Any]:
    """Versions of everything that could change a number."""
    return {
        "crmlab": crmlab.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version for name in sorted(requirements()) if (version := installed(name))},
    }


def requirements() -> dict[str, str]:
    """The packages that crmlab asks for, with the extra that asks (empty for the base installation)."""
    found = [_REQUIREMENT.fullmatch(one) for one in metadata.requires("crmlab") or ()]
    return {one.group(1): one.group(2) or "" for one in found if one}


def installed(package: str) -> str:
    """Version of an installed package, empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def missing(extra: str) -> list[str]:
    """The packages of an extra (``""``: of the base installation) that are not installed."""
    return [name for name, wanted_by in requirements().items() if wanted_by == extra and not installed(name)]


def checksums(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Checksums of the files of data sets, as their cards state them."""
    from crmlab.datasets import describe

    return {name: {file.name: file.sha256 for file in describe(name).files} for name in names}


def portable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without the reader's own path: a file is told by its name and the start of its checksum."""
    data = values.get("data", "")
    if not data or not Path(data).is_file():
        return dict(values)
    return {**values, "data": f"{Path(data).name} (sha256 {digest(Path(data))[:12]})"}


def fingerprint(value: Any) -> str:
    """Twelve digits that differ when values differ.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _commit() -> str:
    """The commit of the checkout that crmlab runs from, with "-dirty" if files differ; empty outside one."""
    root = course_dir("notebooks").parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
