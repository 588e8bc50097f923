"""What of crmlab works on this machine, and what to do about the rest, in plain words."""

import os
import platform
import shutil
import subprocess
import sys
from typing import Literal, NamedTuple

from crmlab import __version__
from crmlab.errors import CrmlabError
from crmlab.lab import provenance
from crmlab.lab.catalogue import chapters
from crmlab.resources import cache_dir, course_dir

_EXTRAS = {
    "data": "the larger data sets",
    "spark": "the customer database on Spark",
    "postgres": "the customer database on PostgreSQL",
    "course": "releasing and grading assignments",
    "docs": "building the book",
    "dev": "testing crmlab itself",
}
_CHINESE_FONTS = ("Noto Sans CJK", "Noto Serif CJK", "PingFang", "Microsoft YaHei", "SimHei", "WenQuanYi", "Source Han")


class Finding(NamedTuple):
    """What was looked at; "absent" is no fault, "broken" is one; what was found, and what to do."""

    what: str
    state: Literal["works", "absent", "broken"]
    words: str


def diagnose() -> tuple[Finding, ...]:
    """Look at everything crmlab may need; nothing is changed or downloaded."""
    return (_base(), *(_extra(name, use) for name, use in _EXTRAS.items()), _java(), _fonts(), _course(), _cache())


def _base() -> Finding:
    lacking = provenance.missing()
    if lacking:
        return Finding("crmlab", "broken", f"not installed or of another version: {', '.join(lacking)}; reinstall it")
    python = f"Python {platform.python_version()} ({sys.executable})"
    return Finding("crmlab", "works", f"{__version__} with all it needs, {python}")


def _extra(name: str, use: str) -> Finding:
    lacking = provenance.missing(name)
    remedy = f": pip install 'crmlab[{name}]' (brings {', '.join(lacking)})" if lacking else ""
    return Finding(f"crmlab[{name}]", "absent" if lacking else "works", f"for {use}{remedy}")


def _java() -> Finding:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)
    if java is None:
        return Finding("Java", "absent", "only Spark needs it: install Java 17 or newer, or set JAVA_HOME")
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("Java", "absent", f"{java} does not run; only Spark needs it")
    return Finding("Java", "works", f"for Spark: {(answer.stderr or answer.stdout).splitlines()[0]}")


def _fonts() -> Finding:
    import matplotlib
    from matplotlib import font_manager

    names = {one.name for one in font_manager.fontManager.ttflist}
    found = sorted(name for name in names if name.startswith(_CHINESE_FONTS))
    if not found:
        advice = (
            "figures with Chinese words need one, such as Noto Sans CJK; if one is installed, empty matplotlib's cache"
        )
        return Finding("Chinese fonts", "absent", f"{advice} in {matplotlib.get_cachedir()}")
    return Finding("Chinese fonts", "works", found[0])


def _course() -> Finding:
    try:
        number = len(chapters())
    except CrmlabError as error:
        return Finding("Course", "broken", str(error))
    return Finding("Course", "works", f"{number} chapters in {course_dir('notebooks')}")


def _cache() -> Finding:
    folder = cache_dir()
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not os.access(existing, os.W_OK):
        return Finding("Cache", "broken", f"{folder} cannot be written to; set CRMLAB_CACHE to a folder that can")
    return Finding("Cache", "works", f"{folder} (downloads and prepared databases; set CRMLAB_CACHE to move it)")
