"""One call of EC2's API: parameters, filters, pages, errors that all its actions share."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from knitter.lab.errors import ApiError
from knitter.lab.ledger import Ledger
from knitter.lab.rack import Rack
from knitter.lab.records import Image, Snapshot, Volume

Answer = dict[str, Any]
Record = TypeVar("Record", Image, Snapshot, Volume)


@dataclass(frozen=True)
class Call:
    """One call; made while the ledger's guard is held."""

    ledger: Ledger
    account: str
    region: str
    parameter: Callable[[str], Any]
    """The value of a name in AWS's API model, typed as there; None if it was not given."""

    rack: Rack
    """Machines."""
    backend: Any
    """moto's EC2 of the account in the region."""
    parameters: Mapping[str, Any]
    """All, as AWS's API model names them."""

    @property
    def images(self) -> dict[str, Image]:
        """Of the account in the region."""
        return self.ledger.images[self.account, self.region]

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """Of the account in the region."""
        return self.ledger.snapshots[self.account, self.region]

    @property
    def volumes(self) -> dict[str, Volume]:
        """Of the account in the region."""
        return self.ledger.volumes[self.account, self.region]

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter."""
        value = self.parameter(name)
        return default if value is None else value

    def need(self, name: str) -> str:
        """A parameter that must be there.  Raises ApiError."""
        value = str(self.get(name, ""))
        if not value:
            raise ApiError("MissingParameter", f"The request must contain the parameter {name}")
        return value

    def elsewhere(self, region: str) -> "Call":
        """The same call as another region would see it; only its records."""
        return replace(self, region=region)

    def request(self) -> Answer:
        """What is asked, to compare with when the same ClientToken comes again."""
        return {name: value for name, value in self.parameters.items() if name not in ("ClientToken", "DryRun")}

    def instance(self, name: str) -> Any:
        """Moto's instance *name*.  Raises ApiError."""
        if not re.fullmatch(r"i-[0-9a-f]{8}([0-9a-f]{9})?", name):
            raise ApiError("InvalidInstanceID.Malformed", f'Invalid id: "{name}"')
        found = self.backend.get_instance_by_id(name)
        if found is None:
            raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{name}' does not exist")
        return found

    def stop_if_dry(self) -> None:
        """Everything was in order, and no more was asked for.  Raises ApiError."""
        if self.get("DryRun", default=False):
            raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)

    def image(self, name: str = "") -> Image:
        """The image that ImageId, or *name*, names.  Raises ApiError."""
        name = name or self.need("ImageId")
        if not re.fullmatch(r"ami-[0-9a-f]{8}([0-9a-f]{9})?", name):
            raise ApiError("InvalidAMIID.Malformed", f'Invalid id: "{name}" (expecting "ami-...")')
        if name in self.ledger.deregistered:
            raise ApiError("InvalidAMIID.Unavailable", f"The image id '[{name}]' is no longer available")
        if name not in self.images:
            raise ApiError("InvalidAMIID.NotFound", f"The image id '[{name}]' does not exist")
        return self.images[name]

    def snapshot(self, name: str) -> Snapshot:
        """The snapshot *name*.  Raises ApiError."""
        if not re.fullmatch(r"snap-[0-9a-f]{8}([0-9a-f]{9})?", name):
            message = f"Value ({name}) for parameter snapshotId is invalid. Expected: 'snap-...'."
            raise ApiError("InvalidSnapshotID.Malformed", message)
        if name not in self.snapshots:
            raise ApiError("InvalidSnapshot.NotFound", f"The snapshot '{name}' does not exist.")
        return self.ledger.refresh(self.snapshots[name])

    def tags(self, kind: str, *, others: Sequence[str] = ()) -> dict[str, str]:
        """The tags that TagSpecifications give a *kind*.  Raises ApiError if one names neither it nor *others*."""
        tags: dict[str, str] = {}
        for one in self.get("TagSpecifications", []):
            if one.get("ResourceType") == kind:
                tags |= {tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", [])}
            elif one.get("ResourceType") not in others:
                raise ApiError(
                    "InvalidParameterValue",
                    f"'{one.get('ResourceType')}' is not a valid taggable resource type for this operation.",
                )
        if any(key.lower().startswith("aws:") for key in tags):
            raise ApiError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        return tags

    def select(self, records: Iterable[Record], known: Mapping[str, Callable[[Record], Any]]) -> list[Record]:
        """The records that pass every filter; *known* tells a record's value or values.  Raises ApiError."""
        found = list(records)
        for one in self.get("Filters", []):
            name, patterns = one.get("Name", ""), [_pattern(text) for text in one.get("Values", [])]
            values = _values_of(name, known)
            found = [
                record for record in found if any(p.fullmatch(v) for p in patterns for v in _texts(values(record)))
            ]
        return found

    def page(self, name: str, answers: list[Answer], *, least: int) -> Answer:
        """The page of *answers* that MaxResults and NextToken ask for.  Raises ApiError."""
        limit, token = self.get("MaxResults"), str(self.get("NextToken", "0"))
        if limit is not None and not least <= limit <= 1000:
            raise ApiError("InvalidParameterValue", f"Value ( {limit} ) for parameter maxResults is invalid.")
        if not token.isdecimal():
            raise ApiError("InvalidNextToken", "The token is invalid.")
        start = int(token)
        end = len(answers) if limit is None else start + limit
        return {name: answers[start:end]} | ({"NextToken": str(end)} if end < len(answers) else {})


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """*tags* in AWS's form."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def shown_time(moment: datetime) -> str:
    """*moment* as AWS writes it: 2026-11-23T10:20:30.000Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _values_of(name: str, known: Mapping[str, Callable[[Record], Any]]) -> Callable[[Record], Any]:
    if name.startswith("tag:"):
        return lambda record: record.tags.get(name.removeprefix("tag:"))
    if name == "tag-key":
        return lambda record: list(record.tags)
    if name in known:
        return known[name]
    raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def _pattern(text: str) -> re.Pattern[str]:
    r"""AWS's wildcards: * any characters, ? one; \* and \? mean themselves.  Case matters."""
    wild = {"*": ".*", "?": "."}
    parts = (wild.get(part) or re.escape(part[-1]) for part in re.findall(r"\\.|.", text, re.DOTALL))
    return re.compile("".join(parts), re.DOTALL)
