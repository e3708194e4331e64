"""Puts the lab's own answers into moto.  The only module that touches moto's insides.

moto's insides are no stable API (pyproject.toml pins its minor version): every name that is replaced or relied on is
looked up first, and if one is missing the lab does not start and says which.
"""

from collections.abc import Callable
from typing import Any, Final

import moto
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response
from moto.ec2.utils import filter_dict_attribute_mapping

from knitter.lab import attachments, attributes, captures, copies, images, instances, launch, snapshots, volumes
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.ledger import Ledger
from knitter.lab.rack import Rack

Action = Callable[[Call], Answer | None]
"""None: moto's own answer stands."""

REPLACED: Final[tuple[Action, ...]] = (
    images.register_image,
    images.describe_images,
    images.deregister_image,
    images.disable_image,
    images.enable_image,
    attributes.describe_image_attribute,
    attributes.modify_image_attribute,
    attributes.reset_image_attribute,
    snapshots.describe_snapshots,
    snapshots.delete_snapshot,
    captures.create_snapshot,
    copies.copy_snapshot,
    copies.copy_image,
    volumes.create_volume,
    volumes.describe_volumes,
    volumes.delete_volume,
    attachments.attach_volume,
    attachments.detach_volume,
    attachments.modify_instance_attribute,
    launch.run_instances,
    instances.describe_instances,
    instances.terminate_instances,
    instances.stop_instances,
    instances.start_instances,
    instances.reboot_instances,
    instances.get_console_output,
    instances.delete_security_group,
    instances.delete_key_pair,
)
"""Actions that moto has, and has wrong."""
ADDED: Final[tuple[Action, ...]] = (
    images.enable_image_deprecation,
    images.disable_image_deprecation,
    images.enable_image_deregistration_protection,
    images.disable_image_deregistration_protection,
    images.get_image_block_public_access_state,
    images.enable_image_block_public_access,
    images.disable_image_block_public_access,
)
"""Actions that moto has not."""
REFUSED: Final = ("create_image", "create_snapshots", "modify_volume", "request_spot_instances", "create_fleet")
"""Actions of moto that make snapshots, volumes, instances of its own, or change them; knitter does not use them."""
RELIED_ON: Final = {
    EC2Backend: (
        *("__init__", "create_tags", "delete_tags", "delete_tag_keys", "do_resources_exist", "run_instances"),
        *("all_instances", "get_instance_by_id", "get_subnet", "get_security_group_from_id"),
        *("describe_availability_zones", "associate_iam_instance_profile"),
    ),
    EC2Response: (*(action.__name__ for action in REPLACED), *REFUSED, "_get_param", "call_action", "serialized"),
    Instance: ("instance_state", "terminate", "public_dns_name", "placement", "block_device_mappings"),
    NetworkInterface: ("group_set", "add_tags"),
}
ATTRIBUTES: Final = (
    *("snapshots", "amis", "tags", "volumes", "account_id", "region_name"),
    *("reservations", "instance_types", "key_pairs"),
)
"""Of each backend."""


FILTERS: Final = {"client-token": "client_token", "instance-lifecycle": "lifecycle"}
"""Filters of DescribeInstances that moto has not, and what they compare."""


def correct(ledger: Ledger, rack: Rack) -> None:
    """Make moto answer from *ledger* and *rack*.

    Raises RuntimeError, with what is missing, if moto is not the one known here.
    """
    _check()
    _share(ledger)
    filter_dict_attribute_mapping.update(FILTERS)
    for action in (*REPLACED, *ADDED):
        setattr(EC2Response, action.__name__, _response(rack, action))
    for name in REFUSED:
        setattr(EC2Response, name, _refuse)
    for name in ("create_tags", "delete_tags", "delete_tag_keys"):
        setattr(EC2Backend, name, _journaled(ledger, getattr(EC2Backend, name)))
    # No name server knows AWS's names for addresses of this desk.
    setattr(Instance, "public_dns_name", property(lambda instance: instance.public_ip))  # noqa: B010 (as below)
    setattr(EC2Response, "call_action", _answering(EC2Response.call_action))  # noqa: B010 (mypy refuses `=`)


def _check() -> None:
    missing = [
        f"{owner.__name__}.{name}" for owner, names in RELIED_ON.items() for name in names if not hasattr(owner, name)
    ]
    backend = EC2Backend("us-east-1", "123456789012")
    missing += [f"EC2Backend().{name}" for name in ATTRIBUTES if not hasattr(backend, name)]
    if missing:
        raise RuntimeError(
            f"knitter's lab does not know moto {moto.__version__}: it has no {', '.join(missing)}; "
            "install the moto that pyproject.toml names, or correct knitter/lab/corrections.py"
        )


def _share(ledger: Ledger) -> None:
    """Let moto's backends see the ledger's snapshots, images and tags as theirs."""
    construct = EC2Backend.__init__

    def constructed(self: Any, region_name: str, account_id: str) -> None:
        construct(self, region_name, account_id)
        where = account_id, region_name
        self.snapshots = ledger.snapshots[where]
        self.amis = ledger.images[where]
        self.volumes = ledger.volumes[where]
        ledger.tags[where].update(self.tags)
        self.tags = ledger.tags[where]

    setattr(EC2Backend, "__init__", constructed)  # noqa: B010 (mypy refuses `=`)


def _response(rack: Rack, action: Action) -> Callable[[Any], Any]:
    """*action* as a method of EC2Response."""
    original = getattr(EC2Response, action.__name__, None)

    def method(self: Any) -> Any:
        call = Call(
            rack.ledger, self.current_account, self.region, self._get_param, rack, self.ec2_backend, self.params
        )
        try:
            with rack.ledger.guard:
                answer = action(call)
                if answer is None:
                    assert original is not None
                    return original(self)
        except ApiError as error:
            raise EC2ClientError(error.code, error.message) from None
        return ActionResult(answer) if answer else EmptyResult()

    return method


def _refuse(_: Any) -> ActionResult:
    raise EC2ClientError("InvalidAction", "knitter's lab: what moto answers here would be wrong")


def _journaled(ledger: Ledger, original: Callable[..., bool]) -> Callable[..., bool]:
    """A change of tags, written to the journal if they are of ours."""

    def method(self: Any, resource_ids: list[str], tags: Any) -> bool:
        with ledger.guard:
            done = original(self, resource_ids, tags)
            where = self.account_id, self.region_name
            for name in resource_ids:
                if record := ledger.find(where, name):
                    ledger.keep(record)
        return done

    return method


def _answering(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An error of the API for an action that nobody has written, where moto answers with a page of HTML."""

    def method(self: Any) -> Any:
        try:
            return original(self)
        except NotImplementedError as error:
            return self.serialized(ActionResult(EC2ClientError("InvalidAction", f"knitter's lab: {error}")))

    return method
