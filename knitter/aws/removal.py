"""The end of what is not to stay: in an order that the cloud accepts, each failure kept, none stopping the others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from knitter.aws.explain import explained
from knitter.aws.instances import terminate
from knitter.aws.leftovers import KINDS, Leftover
from knitter.aws.network import delete_group
from knitter.aws.session import Cloud
from knitter.aws.volumes import delete
from knitter.errors import CloudError


def remove(
    cloud: Cloud, things: Sequence[Leftover], tell: Callable[[str], None] = lambda _: None
) -> dict[str, CloudError]:
    """Remove *things*, kind by kind; what is gone already counts as removed.  Safe to repeat.

    Gives the failures, by id.  Raises Interrupted.
    """
    failed: dict[str, CloudError] = {}
    cloud.forget()
    for one in sorted(things, key=lambda one: KINDS.index(one.kind)):
        try:
            REMOVE[one.kind](cloud, one.id)
        except CloudError as error:
            failed[one.id] = error
        tell(f"{one.kind} {one.id} {f'remains: {failed[one.id].brief}' if one.id in failed else 'is removed'}")
    cloud.forget()
    return failed


def _delete_snapshot(cloud: Cloud, name: str) -> None:
    _unless_gone(f"removing snapshot {name}", lambda: cloud.ec2.delete_snapshot(SnapshotId=name))


def _delete_key_pair(cloud: Cloud, name: str) -> None:
    _unless_gone(f"removing key pair {name}", lambda: cloud.ec2.delete_key_pair(KeyPairId=name))


def _unless_gone(doing: str, ask: Callable[[], object]) -> None:
    try:
        with explained(doing):
            ask()
    except CloudError as error:
        if not error.code.endswith(".NotFound"):
            raise


REMOVE: Final[Mapping[str, Callable[[Cloud, str], None]]] = {
    "instance": terminate,
    "volume": delete,
    "security group": delete_group,
    "key pair": _delete_key_pair,
    "snapshot": _delete_snapshot,
}
"""Kind -> what removes one and returns when it is gone; that it is gone already is fine."""
