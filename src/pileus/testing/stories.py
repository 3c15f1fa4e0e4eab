"""Stories: what a user types and what the stock clients, `openstack` and `swift`, print, as a file that can be run.

    # Anything may be told between.
    $ openstack project create lab -f value -c name
    lab
    $ openstack project show lab -f value -c id > lab
    ! openstack project show nowhere
    No project found for nowhere

`$` is a command that succeeds, `!` one that fails. What it must print follows, line by line, where `*` stands for
anything; with nothing following, anything goes. `> name` keeps what was printed, for `{name}` later on, and `> one other`
a line for each; a line `@ name text` writes a file, whose path `{name}` is then. The client runs inside this process: a
process for each command would cost a second.
"""

from __future__ import annotations

import io
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from unittest.mock import patch

CLIENTS = ("openstack", "swift")


@dataclass
class Step:
    line: int
    command: str
    succeeds: bool
    keep: list[str]
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    status: int
    output: str
    """What the command printed, complaints included."""


def steps(text: str) -> Iterator[Step]:
    """The commands of a story, each with what it must print."""
    step: Step | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("@ "):
            continue
        if line.startswith(("$ ", "! ")):
            if step is not None:
                yield step
            command, _, keep = line[2:].partition(" > ")
            step = Step(number, command.strip(), line[0] == "$", keep.split())
        elif line.strip() and not line.startswith("#"):
            if step is None:
                raise ValueError(f"line {number}: nothing was typed yet")
            step.expected.append(line.strip())
    if step is not None:
        yield step


def written(text: str, folder: Path) -> dict[str, str]:
    """Writes the files of a story; their paths by name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("@ "):
            name, _, content = line[2:].partition(" ")
            (folder / name).write_text(content)
            found[name] = str(folder / name)
    return found


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Of the client's variables (`OS_…`), these and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    with patch.dict(os.environ, {**others, **variables}, clear=True):
        yield


def _shell(client: str, arguments: list[str]) -> object:
    if client == "swift":
        from swiftclient.shell import main

        return main([client, *arguments])
    return openstack(arguments)


def openstack(arguments: list[str]) -> object:
    """Runs the stock client in this process, as if it were a new one; returns what would be its status."""
    from openstackclient.shell import OpenStackShell
    from osc_lib.clientmanager import ClientCache, ClientManager

    # It keeps what it made for one command at its classes: another user's session, to a cloud that has ended.
    for each in vars(ClientManager).values():
        if isinstance(each, ClientCache):
            each._handle = None
    return OpenStackShell().run(arguments)


def run(command: str) -> Said:
    """Runs one command of a client; variables may stand before it, as `OS_PROJECT_NAME= openstack token issue`,
    and are unset where empty."""
    words = shlex.split(command)
    start = next((n for n, word in enumerate(words) if "=" not in word), len(words))
    changed = dict(word.split("=", 1) for word in words[:start])
    client, arguments = words[start], words[start + 1 :]
    if client not in CLIENTS:
        raise ValueError(f"a story types {' or '.join(CLIENTS)}, not {command}")
    variables = {name: value for name, value in {**os.environ, **changed}.items() if value}
    printed = io.StringIO()
    with patch.dict(os.environ, variables, clear=True), redirect_stdout(printed), redirect_stderr(printed):
        try:
            status = _shell(client, arguments)
        except SystemExit as end:  # argparse's way to refuse
            status = end.code if isinstance(end.code, int) else 1
    # Some commands of the client return what they did where their status should be.
    return Said(status if isinstance(status, int) else 0, printed.getvalue())


def tell(file: Path, variables: Mapping[str, str]) -> None:
    """Runs a story. Raises AssertionError with the place, the command and what it printed where it went otherwise."""
    text = file.read_text()
    with environment(variables), tempfile.TemporaryDirectory(prefix="pileus-story-") as folder:
        kept = written(text, Path(folder))
        for step in steps(text):
            command = step.command
            for name, value in kept.items():
                command = command.replace(f"{{{name}}}", value)
            said = run(command)
            lines = [line.strip() for line in said.output.splitlines() if line.strip()]
            if (said.status == 0) is not step.succeeds or not _as_told(step, lines, kept):
                wanted = "\n".join(step.expected)
                raise AssertionError(
                    f"{file.name}:{step.line}: {command}\nended with {said.status} and printed\n{said.output}\n"
                    f"instead of\n{wanted}"
                )
            if len(step.keep) == 1:
                kept[step.keep[0]] = said.output.strip()
            else:
                kept.update(zip(step.keep, lines, strict=bool(step.keep)))


def _as_told(step: Step, lines: list[str], kept: Mapping[str, str]) -> bool:
    if not step.expected:
        return True
    wanted = []
    for pattern in step.expected:
        for name, value in kept.items():
            pattern = pattern.replace(f"{{{name}}}", value)
        wanted.append(pattern.replace("[", "[[]"))
    if not step.succeeds:  # whatever else it complains of
        return all(any(fnmatchcase(line, f"*{pattern}*") for line in lines) for pattern in wanted)
    return len(lines) == len(wanted) and all(map(fnmatchcase, lines, wanted))
