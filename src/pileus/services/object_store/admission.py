"""What holds against every write, whichever API it comes by: names that none may have, closed accounts, rates."""

from __future__ import annotations

from pileus.kernel.errors import BadRequest, MethodNotAllowed
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState


def check_characters(path: str, state: ObjectStoreState) -> None:
    """400 where the operator has forbidden one of them."""
    if state.settings.forbidden_characters and any(
        each in path for each in state.settings.forbidden_characters
    ):
        raise BadRequest(
            f"Object/Container/Account name contains forbidden chars from {state.settings.forbidden_characters}"
        )


async def require_writable(state: ObjectStoreState, name: Name, *, deletes: bool) -> None:
    """405 where nothing may be written now; `deletes`: whether it would be deleted."""
    own = (await state.account_metadata(name.account)).get("x-account-sysmeta-read-only", "")
    locked = state.settings.read_only if not own else own.lower() in ("true", "1", "yes", "on")
    if not locked or (deletes and state.settings.read_only_allows_deletes):
        return
    if not name.container and own:
        return  # by this the account is opened again
    raise MethodNotAllowed("Writes are disabled for this account.")


async def wait_for_turn(state: ObjectStoreState, name: Name) -> None:
    """Before an object is written, or a container made or deleted. Raises TooFast where that would take too long."""
    if not state.rates.any:
        return
    if not name.object:
        await state.rates.account(name.account)
    elif state.rates.of_containers:
        info = await state.container(name.account, name.container)
        await state.rates.container(name.account, name.container, 0 if info is None else info.objects)
