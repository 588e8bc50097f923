"""The command line: a thin shell over the rooms.

Exit codes: 0 all is well; 1 something failed; 2 the command was not understood, and nothing has run; 130 interrupted.
"""

import json
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from crmlab import __version__
from crmlab.errors import ContractError, CrmlabError, ParameterError

if TYPE_CHECKING:
    import pandas as pd

    from crmlab.lab import Event, Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_WIDTH_OF_A_FILE = 200
_WIDTH_OF_A_NAME = 24  # beside a bar; the rest of the line has room in a narrow terminal

Course = Annotated[Path | None, typer.Option(help="Folder with a course.yml and notebooks of your own.")]
Out = Annotated[Path, typer.Option(help="Folder for runs.")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; always ends by SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console that lacks a sign shows another one
            stream.reconfigure(errors="replace")
    try:
        app(args=arguments)
    except CrmlabError as error:
        print(f"crmlab: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ParameterError | ContractError) else 1)
    except OSError as error:  # such as a folder that is a file, or may not be written to
        print(f"crmlab: {error.filename}: {error.strerror}; give another place", file=sys.stderr)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """The lab bench of customer relationship management."""
    if version:
        print(f"crmlab {__version__}")
        raise typer.Exit


@app.command("list")
def list_chapters(course: Course = None) -> None:
    """List the chapters."""
    from crmlab.lab import chapters

    rows = [
        [
            one.id,
            one.title,
            one.part_title,
            f"{one.minutes} min",
            "yes" if one.own_data else "",
            one.needs and f"crmlab[{one.needs}]",
        ]
        for one in chapters(course)
    ]
    _print_table(["", "Chapter", "Part", "Time", "Own data", "Needs"], rows)


@app.command()
def show(chapter: str, course: Course = None) -> None:
    """Show what a chapter is about and what can be set in it."""
    from crmlab.lab import chapters
    from crmlab.lab.catalogue import select

    (found,) = select(chapters(course), [chapter])
    print(f"{found.id} {found.title}  ({found.part_title}, {found.minutes} min)")
    for objective in found.objectives:
        print(f"  - {objective}")
    facts = {
        "Data": ", ".join(found.datasets),
        "Own data": "yes, with --data FILE" if found.own_data else "no",
        "Needs": found.needs and f"crmlab[{found.needs}]",
        "Builds on": ", ".join(found.requires),
        "Introduces": ", ".join(f"{english} {chinese}" for english, chinese in found.introduces),
    }
    for name, fact in facts.items():
        if fact:
            print(f"{name}: {fact}")
    rows = [
        [one.name, str(one.kind), json.dumps(one.default, ensure_ascii=False), one.limits(), one.help]
        for one in found.parameters
    ]
    _print_table(["Parameter", "Type", "Default", "Allowed", ""], rows)


@app.command()
def run(
    chapters: Annotated[list[str] | None, typer.Argument(help="Ids, such as 12 13; all if none is given.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE")] = None,
    data: Annotated[str, typer.Option(metavar="FILE", help="Run on your own transactions: a file or an address.")] = "",
    columns: Annotated[str, typer.Option(metavar="OURS=YOURS,...", help="Your names: 'customer_id=Client,...'")] = "",
    jobs: Annotated[int, typer.Option(help="How many chapters to run at once.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Use the smaller values of a quick run.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted or failed run.")] = False,
    out: Out = Path("runs"),
    course: Course = None,
) -> None:
    """Run chapters and write what they find."""
    from crmlab.lab import run as run_chapters
    from crmlab.lab.parameters import Text

    pairs = _pairs(parameter or (), "-p", "-p name=value")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is an interrupt
    with _Progress() as progress:
        done = run_chapters(
            chapters,
            parameters={name: Text(value) for name, value in pairs.items()},
            data=data,
            columns=_columns(columns) if columns else None,
            jobs=jobs,
            quick=quick,
            resume=resume,
            out=out,
            progress=progress.tell,
            course=course,
        )
    _report(done)
    raise typer.Exit(130 if done.interrupted else 0 if done.ok else 1)


@app.command()
def reproduce(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run; the newest if none is given.")] = None,
    out: Out = Path("runs"),
    course: Course = None,
) -> None:
    """Compare what a run recorded with published numbers."""
    from crmlab.lab import reproduce as compare

    result = compare(run, out=out, course=course)
    shown = result.table[~result.table["outcome"].isin(["reproduced", "not run", "unverified", "own"])]
    if len(shown):
        _print_frame(shown.drop(columns="tolerance"))
    print(f"{result.run.folder}: {result}")
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def lab(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put the chapters.")] = Path("crmlab-lab"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Only copy; do not open JupyterLab.")] = False,
    course: Course = None,
) -> None:
    """Copy the chapters to a folder of yours and open JupyterLab there; what you edited is never overwritten."""
    from crmlab.lab.workbench import copy_course, open_lab

    words = {
        "new": "copied",
        "renewed": "replaced by the newer version (you had not edited it)",
        "unchanged": "up to date",
        "kept": "kept as it is: you edited it",
    }
    for file, action in copy_course(folder, course).items():
        print(f"{folder / file}: {words[action]}")
    if not no_open:
        raise typer.Exit(open_lab(folder))


@app.command()
def datasets(name: Annotated[str | None, typer.Argument(help="Show the card of this data set.")] = None) -> None:
    """List the data sets, or show the card of one."""
    from crmlab.datasets import describe
    from crmlab.datasets import list as list_datasets

    if name:
        print(describe(name))
    else:
        _print_frame(list_datasets())


@app.command()
def simulate(
    customers: Annotated[int, typer.Option(help="How many customers the firm acquires.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same firm.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder; it appears complete or not at all.")],
    scenario: Annotated[str, typer.Option(help="A named scenario, or a YAML file of your own.")] = "grocer",
    years: Annotated[int, typer.Option(help="Years from the opening.")] = 3,
    jobs: Annotated[int, typer.Option(help="Processes that draw; the files do not depend on it.")] = 1,
) -> None:
    """Simulate a firm whose truth is known, and write its tables as Parquet files."""
    from crmlab.datasets.company import simulate as simulate_company

    company = simulate_company(customers, seed=seed, years=years, scenario=scenario)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = _console(stderr=True)
    bar = (TextColumn("{task.completed} of {task.total} blocks"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*bar, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=company.firm.n_blocks)
            contents = company.write(out, jobs=jobs, progress=lambda done: progress.update(task, completed=done))
    except KeyboardInterrupt:
        print(f"Stopped; {out} was not written.", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_table(["table", "rows", "sha256"], [[name, f"{one.rows:,}", one.sha256] for name, one in contents.items()])
    print(f"{out}: {company.firm.scenario.title}, {customers:,} customers over {years} years, seed {seed}")


@app.command()
def doctor() -> None:
    """Say what is installed, what is missing and what to do about it."""
    from crmlab.lab.doctor import diagnose

    findings = diagnose()
    _print_table(["", "", ""], findings)
    raise typer.Exit(1 if any(one.state == "broken" for one in findings) else 0)


class _Progress(Progress):
    """Chapters and their cells as bars in a terminal, one line a chapter elsewhere."""

    def __init__(self) -> None:
        console = _console(stderr=True)
        columns = ("{task.description}", BarColumn(), "{task.fields[cell]}", TimeElapsedColumn())
        super().__init__(*columns, console=console, disable=not console.is_terminal)
        self.bars: dict[str, TaskID] = {}

    def tell(self, event: "Event") -> None:
        """Show an event."""
        result = event.result
        name = f"{result.chapter} {result.title}"
        if event.kind == "start":
            short = name if len(name) <= _WIDTH_OF_A_NAME else f"{name[: _WIDTH_OF_A_NAME - 1]}…"
            self.bars[result.chapter] = self.add_task(escape(short), total=None, cell="starting")
        elif event.kind == "cell":
            cell = f"cell {event.cell} of {event.cells}"
            self.update(self.bars[result.chapter], total=event.cells, completed=event.cell - 1, cell=cell)
        else:
            self.remove_task(self.bars.pop(result.chapter))
            self.console.print(f"{name}: {result.status}, {result.seconds:.1f} s", markup=False, highlight=False)


def _report(done: "Run") -> None:
    """What passed, what failed and where to look."""
    rows = []
    for one in done.results:
        cell = f" (cell {one.cell} of {done.folder / one.notebook})" if one.cell else ""
        time = f"{one.seconds:.1f} s" if one.seconds else ""
        rows.append([one.chapter, one.title, one.status, time, one.message + cell])
    _print_table(["", "Chapter", "Status", "Time", ""], rows)
    if len(done.checks):
        print(f"{done.checks['right'].sum()} of {len(done.checks)} checks right")
    print(f"{len(done.records)} records, {len(done.tables)} tables; read {done.folder / 'index.html'}")
    if done.interrupted:
        print("Stopped. Go on with the same command and --resume.")


def _pairs(texts: Iterable[str], option: str, form: str) -> dict[str, str]:
    """``name=value`` as typed."""
    pairs = {text: text.partition("=") for text in texts}
    for text, (name, mark, _) in pairs.items():
        if not (name.strip() and mark):
            raise ParameterError(f"{option} {text}: write it as {form}")
    return {name.strip(): value for name, _, value in pairs.values()}


def _columns(text: str) -> dict[str, str]:
    """Column names as typed: pairs separated by commas, or JSON for names that hold a comma or an equals sign."""
    if not text.lstrip().startswith("{"):
        pairs = _pairs(text.split(","), "--columns", "'customer_id=Client,date=Day'")
        return {ours: yours.strip() for ours, yours in pairs.items()}
    try:
        return dict(json.loads(text))
    except ValueError:
        raise ParameterError(f"--columns {text}: this is not JSON") from None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; elsewhere wide enough that no path is broken."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    return console


def _print_frame(frame: "pd.DataFrame") -> None:
    texts = frame.astype(object).fillna("").map(_plain)
    _print_table([str(one) for one in texts], texts.to_numpy())


def _print_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=any(head), header_style="bold")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    _console().print(table)
