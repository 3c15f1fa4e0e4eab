"""`pileus doctor`: what this machine can do, and what helps where it can't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pileus.cli.composition import Composer, Finding
from pileus.cli.options import config_option, load_settings, only_option, raising, sim_option, state_option
from pileus.kernel.config import ConfigError


@click.command()
@state_option
@config_option
@click.option("--listen", metavar="ADDR:PORT", help="Where clients would be answered.")
@sim_option
@only_option
@click.pass_context
def doctor(
    ctx: click.Context,
    state: Path,
    config: Path | None,
    listen: str | None,
    sim: bool | None,
    only: str | None,
) -> None:
    """Check each thing that the cloud needs here, and name the remedy. Exits with 1 where one is missing."""
    compose: Callable[[], Composer] = ctx.obj
    composer, settings = load_settings(compose, config, state, listen=listen, sim=sim, only=only)
    try:
        findings = composer.examine(settings, state)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        click.echo(f"  {_mark(finding)}  {finding.name:<{width}}  {finding.said}")
        if finding.remedy is not None and not finding.ok:
            click.echo(f"  {'':6}{'':<{width}}  -> {finding.remedy}")
    failed = [finding.name for finding in findings if finding.needed and not finding.ok]
    if failed:
        click.echo(f"\n{_what(settings)} won't come up here: {', '.join(failed)}.")
        if composer.needs_host(settings):
            click.echo("`pileus up --sim` needs Python and a free port alone.")
        ctx.exit(1)
    click.echo(f"\n{_what(settings)} can run here: `{raising(state, sim=settings.sim, only=settings.only)}`.")


def _what(settings: Any) -> str:
    services = f" with {', '.join(settings.only)} alone" if settings.only else ""
    return f"A {'simulated' if settings.sim else 'real'} cloud{services}"


def _mark(finding: Finding) -> str:
    if finding.ok:
        return click.style(" ok ", fg="green")
    return click.style("FAIL", fg="red") if finding.needed else click.style("note", fg="yellow")
