"""`pileus keys`: what identity seals with, and what a cluster's servers know each other by."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from pileus.cli.options import WholeLines, state_option
from pileus.kernel.files import write_whole

CREDENTIAL_KEYS_KEPT = 1_000_000
"""What a lost key sealed is lost: no key of credentials is ever dropped."""


@click.group(cls=WholeLines)
def keys() -> None:
    """Change the keys that tokens and credentials are sealed with; make a cluster's."""


@keys.command()
@state_option
@click.option("--keep", default=3, show_default=True, help="Fernet keys to keep; as identity.keys_kept.")
@click.option("--credentials", is_flag=True, help="The keys of credentials, not those of tokens.")
def rotate(state: Path, keep: int, credentials: bool) -> None:
    """Bring a new key into use. The running cloud notices; nothing needs to be restarted.

    A token is good until the key that sealed it is dropped: rotate no more often than tokens live, or keep more keys.
    """
    from pileus.services.identity.jws import JwsKeys
    from pileus.services.identity.keys import KeyFolder

    folder = state / "identity"
    if not folder.exists():
        raise click.ClickException(f"there is no cloud in {state}: `pileus up` makes one, keys and all")
    if credentials:
        KeyFolder(folder / "credential-keys", CREDENTIAL_KEYS_KEPT).rotate()
        click.echo(f"A new key seals credentials from now on: {folder / 'credential-keys'}")
        return
    KeyFolder(folder / "fernet-keys", keep).rotate()
    click.echo(f"A new key seals tokens from now on: {folder / 'fernet-keys'}")
    if (folder / "jws-keys").exists():
        JwsKeys(folder / "jws-keys").rotate()
        click.echo(f"A new key signs tokens from now on: {folder / 'jws-keys'}")


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def cluster(file: Path) -> None:
    """Make the key that storage servers and proxies of one object store know each other by: all need the same FILE."""
    if file.exists():
        raise click.ClickException(
            f"{file} is there already; a new key would part the servers: delete it if you mean it"
        )
    try:
        write_whole(file, f"{secrets.token_hex(32)}\n".encode())
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    click.echo(f"{file} is made. Copy it to every server and proxy, readable by its owner alone (mode 600).")
