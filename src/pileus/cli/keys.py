"""`pileus keys`: the keys that identity seals with."""

from __future__ import annotations

from pathlib import Path

import click

from pileus.cli.options import state_option

CREDENTIAL_KEYS_KEPT = 1_000_000
"""What a lost key sealed is lost: no key of credentials is ever dropped."""


@click.group()
def keys() -> None:
    """Change the keys that tokens and credentials are sealed with."""


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
