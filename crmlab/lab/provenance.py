"""Where results come from: versions, checksums and parameters, without a name or a path of whoever ran them."""

import json
import platform
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import crmlab
from crmlab.datasets.cards import sha256_of
from crmlab.resources import course_dir


def environment() -> dict[str, Any]:
    """Versions of everything that could change a number."""
    names = {one.name for extra in ("", "data", "spark", "postgres") for one in requirements(extra)}
    return {
        "crmlab": crmlab.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version for name in sorted(names) if (version := installed(name))},
    }


def requirements(extra: str = "", package: str = "crmlab") -> list[Requirement]:
    """What a package asks for, for its base installation or for one extra."""
    everything = [Requirement(one) for one in metadata.requires(package) or ()]
    base = [one for one in everything if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return base
    return [one for one in everything if one not in base and one.marker and one.marker.evaluate({"extra": extra})]


def installed(package: str) -> str:
    """Version of an installed package, empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def missing(extra: str = "", package: str = "crmlab") -> list[str]:
    """What is not installed, or not in a version asked for, of an extra (by default of the base installation)."""
    lacking = []
    for one in requirements(extra, package):
        version = installed(one.name)
        if not version or not one.specifier.contains(version, prereleases=True):
            lacking.append(f"{one.name}{one.specifier}")
        else:
            lacking += [name for inner in sorted(one.extras) for name in missing(inner, one.name)]
    return lacking


def portable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without the reader's own path: a file is told by its name and the start of its checksum."""
    path = Path(values.get("data", ""))
    return {**values, "data": f"{path.name} (sha256 {sha256_of(path)[:12]})"} if path.is_file() else dict(values)


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
