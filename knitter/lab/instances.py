"""EC2's actions on instances that exist, each a function of a call.  Rules: EC2 API reference, the action's page.

None instead of an answer: moto's own stands.
"""

import base64
import time
from typing import Any

from knitter.lab import enrolment
from knitter.lab.calls import Answer, Call
from knitter.lab.errors import ApiError
from knitter.lab.rack import End, Seat
from knitter.lab.records import now


def describe_instances(call: Call) -> None:
    """Terminated ones are shown for an hour."""
    enrolment.forget_old(call.backend, time.time())


def terminate_instances(call: Call) -> Answer:
    """End them.  Again: no change."""
    seats = _seats(call)
    for seat in seats:
        if seat.instance.disable_api_termination:
            message = f"The instance '{seat.instance.id}' may not be terminated. Modify its 'disableApiTermination'."
            raise ApiError("OperationNotPermitted", message)
    call.stop_if_dry()
    return {"TerminatingInstances": [_leave(call, seat, "terminated") for seat in seats]}


def stop_instances(call: Call) -> Answer:
    """Shut them down; they can be started again.  Not those of spot requests."""
    seats = _seats(call)
    for seat in seats:
        state = seat.instance.instance_state.name
        if seat.spec.spot:
            message = f"You can't stop the Spot Instance '{seat.instance.id}' because it is associated with a one-time "
            raise ApiError("UnsupportedOperation", f"{message}Spot Instance request.")
        if state not in ("running", "stopping", "stopped"):
            raise ApiError("IncorrectInstanceState", f"The instance '{seat.instance.id}' is not in a state: {state}")
    call.stop_if_dry()
    return {"StoppingInstances": [_leave(call, seat, "stopped") for seat in seats]}


def _leave(call: Call, seat: Seat, end: End) -> Answer:
    before = enrolment.told_state(seat.instance)
    if before["Name"] not in (end, "terminated"):
        call.rack.leave(seat, end)
    return _changed(seat, before)


def start_instances(call: Call) -> Answer:
    """Power stopped ones on again."""
    seats = _seats(call)
    for seat in seats:
        if (state := seat.instance.instance_state.name) not in ("pending", "running", "stopped"):
            message = f"The instance '{seat.instance.id}' is not in a state from which it can be started: {state}"
            raise ApiError("IncorrectInstanceState", message)
        if seat.instance.root_device_name not in seat.instance.block_device_mapping:
            message = f"The instance '{seat.instance.id}' has no root volume"
            raise ApiError("IncorrectInstanceState", message)
    call.stop_if_dry()
    return {"StartingInstances": [_start(call, seat) for seat in seats]}


def _start(call: Call, seat: Seat) -> Answer:
    before = enrolment.told_state(seat.instance)
    if before["Name"] == "stopped":
        call.rack.start(seat)
    return _changed(seat, before)


def _changed(seat: Seat, before: Answer) -> Answer:
    return {
        "InstanceId": seat.instance.id,
        "PreviousState": before,
        "CurrentState": enrolment.told_state(seat.instance),
    }


def reboot_instances(call: Call) -> Answer:
    """Reset those that run."""
    seats = _seats(call)
    call.stop_if_dry()
    for seat in seats:
        if seat.machine and seat.instance.instance_state.name == "running":
            seat.machine.reboot()
    return {}


def get_console_output(call: Call) -> Answer:
    """The end of the serial console as it is now, where AWS tells of it with a delay unless asked for the latest."""
    instance = call.instance(call.need("InstanceId"))
    call.stop_if_dry()
    text = base64.b64encode(call.rack.console(instance.id)).decode()
    return {"InstanceId": instance.id, "Timestamp": now(), "Output": text}


def delete_security_group(call: Call) -> None:
    """Not while an instance uses it."""
    asked = {call.get("GroupId"), call.get("GroupName")} - {None}
    for instance in call.backend.all_instances():
        for group in enrolment.groups_of(instance):
            found = call.backend.get_security_group_from_id(group)
            if found and asked & {found.id, found.name}:
                raise ApiError("DependencyViolation", f"resource {found.id} has a dependent object")
    call.stop_if_dry()


def delete_key_pair(call: Call) -> Answer:
    """By its name or, which moto does not heed, its id.  One that is not there counts as deleted."""
    asked = {call.get("KeyPairId"), call.get("KeyName")} - {None}
    if not asked:
        raise ApiError("MissingParameter", "The request must contain the parameter KeyName or KeyPairId")
    call.stop_if_dry()
    pairs = call.backend.key_pairs
    gone = [name for name, pair in pairs.items() if asked & {name, pair.id}]
    ids = [pairs.pop(name).id for name in gone]
    return {"Return": True, **({"KeyPairId": ids[0]} if ids else {})}


def _seats(call: Call) -> list[Seat]:
    names: list[Any] = call.get("InstanceIds", [])
    if not names:
        raise ApiError("MissingParameter", "The request must contain the parameter InstanceId")
    found = [call.rack.find(call.instance(name).id) for name in dict.fromkeys(names)]
    return [seat for seat in found if seat]
