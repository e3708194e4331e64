"""The end of what was left behind: in an order that the cloud accepts, each failure kept, none stopping the others."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from knitter.aws.explain import explained
from knitter.aws.leftovers import KINDS, Leftover
from knitter.aws.session import Cloud
from knitter.aws.wait import wait_for
from knitter.errors import CloudError

TERMINATION: Final = 10 * 60.0
"""Seconds from TerminateInstances to `terminated`, at most."""
RELEASE: Final = 2 * 60.0
"""Seconds for which a terminated instance may still hold its volumes and its security group."""
CALLS: Final = {
    "instance": ("terminate_instances", "InstanceIds"),
    "volume": ("delete_volume", "VolumeId"),
    "security group": ("delete_security_group", "GroupId"),
    "key pair": ("delete_key_pair", "KeyPairId"),
    "snapshot": ("delete_snapshot", "SnapshotId"),
}
"""Kind -> the call that removes one, and its parameter."""

_HELD: Final = frozenset({"VolumeInUse", "DependencyViolation", "InvalidGroup.InUse", "IncorrectState"})


def remove(
    cloud: Cloud, things: Sequence[Leftover], tell: Callable[[str], None] = lambda _: None
) -> dict[str, CloudError]:
    """Remove *things*, kind by kind; what is gone already counts as removed.  Safe to repeat.

    Gives the failures, by id.  Raises Interrupted.
    """
    failed: dict[str, CloudError] = {}
    cloud.forget()
    ended = [one for one in things if one.kind == "instance"]
    for kind in KINDS:
        for one in (one for one in things if one.kind == kind):
            _kept(failed, one, lambda one=one: _remove(cloud, one, RELEASE if ended else 0))  # type: ignore[misc]
        if kind == "instance":
            for one in (one for one in ended if one.id not in failed):
                _kept(failed, one, lambda one=one: _wait_terminated(cloud, one.id))  # type: ignore[misc]
        for one in (one for one in things if one.kind == kind):
            tell(f"{kind} {one.id} {f'remains: {failed[one.id].brief}' if one.id in failed else 'is removed'}")
    cloud.forget()
    return failed


def _kept(failed: dict[str, CloudError], one: Leftover, act: Callable[[], None]) -> None:
    try:
        act()
    except CloudError as error:
        failed[one.id] = error


def _remove(cloud: Cloud, one: Leftover, patience: float) -> None:
    """Wait for *patience* seconds while something holds it."""
    held: list[CloudError] = []

    def look() -> bool | None:
        try:
            _ask(cloud, one)
        except CloudError as error:
            if error.code not in _HELD:
                raise
            held[:] = [error]
            return None
        return True

    try:
        wait_for(f"removing {one.kind} {one.id}", look, limit=patience)
    except CloudError as error:
        raise (held[0] if held and error.code == "Timeout" else error) from None


def _ask(cloud: Cloud, one: Leftover) -> None:
    """Ask for its end.  That it is gone already is no error."""
    name, parameter = CALLS[one.kind]
    value: Any = [one.id] if parameter.endswith("s") else one.id
    try:
        with explained(f"removing {one.kind} {one.id}"):
            getattr(cloud.ec2, name)(**{parameter: value})
    except CloudError as error:
        if not error.code.endswith(".NotFound"):
            raise


def _wait_terminated(cloud: Cloud, instance: str) -> None:
    def look() -> bool | None:
        filters: Any = [{"Name": "instance-id", "Values": [instance]}]
        with explained(f"looking at instance {instance}"):
            groups = cloud.ec2.describe_instances(Filters=filters)["Reservations"]
        states = {one["State"]["Name"] for group in groups for one in group["Instances"]}
        return True if states <= {"terminated"} else None

    wait_for(f"ending instance {instance}", look, limit=TERMINATION)
