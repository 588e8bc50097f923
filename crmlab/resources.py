"""Where things are: the course's files, the cache, files inside other packages."""

import importlib.util
import os
import warnings
from pathlib import Path
from typing import Literal

from crmlab.errors import DataUnavailableError

_PACKAGE = Path(__file__).resolve().parent


def course_dir(kind: Literal["notebooks", "datasets"]) -> Path:
    """Folder of the course's content, in the installed wheel or in the checkout.

    Parameters
    ----------
    kind : {"notebooks", "datasets"}
        Which of the two folders.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DataUnavailableError
        If neither place has it: the installation is broken.

    Examples
    --------
    >>> course_dir("datasets").joinpath("cdnow", "card.md").exists()
    True
    """
    for folder in (_PACKAGE / "_course" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise DataUnavailableError(f"the course's {kind!r} folder is missing from this installation; reinstall crmlab")


def cache_dir() -> Path:
    """Folder for downloads and prepared databases: ``$CRMLAB_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("CRMLAB_CACHE")
    if chosen:
        return Path(chosen)
    with warnings.catch_warnings():  # it loads a progress bar that misses Jupyter's widgets
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch

    return Path(pooch.os_cache("crmlab"))


def package_file(package: str, *parts: str, extra: str = "") -> Path:
    """Path of a file inside an installed package, found without importing that package.

    Parameters
    ----------
    package : str
        Import name of a top-level package.
    *parts : str
        Path of the file inside it.
    extra : str, optional
        The extra of crmlab that brings the package, named in the error message.

    Raises
    ------
    DataUnavailableError
        If the package is not installed or has no such file.

    Examples
    --------
    >>> package_file("lifetimes", "datasets", "CDNOW_master.txt").name
    'CDNOW_master.txt'
    """
    spec = importlib.util.find_spec(package)
    wanted = f"crmlab[{extra}]" if extra else "crmlab"
    if spec is None or not spec.submodule_search_locations:
        raise DataUnavailableError(f"package {package!r} is not installed; install it with: pip install '{wanted}'")
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    if not path.is_file():
        raise DataUnavailableError(
            f"package {package!r} has no file {'/'.join(parts)!r}; install the pinned version: pip install '{wanted}'"
        )
    return path
