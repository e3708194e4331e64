"""Whether the cloud answers, knows us, and has the EBS direct APIs: three small requests."""

from typing import Final

from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.errors import CloudError

_NOWHERE: Final = "snap-00000000000000000"
_ANSWERS: Final = frozenset(
    {"ResourceNotFoundException", "ValidationException", "AccessDeniedException", "AccessDenied"}
)
"""To a question about a snapshot that cannot exist: the endpoint is there and knows us.  ListSnapshotBlocks itself may
be forbidden; an upload does not need it."""


def identify(cloud: Cloud) -> str:
    """The account.  Raises CloudError when there are no credentials, or they are refused."""
    cloud.credentials()
    return cloud.account


def reach_blocks(cloud: Cloud) -> None:
    """Raise CloudError unless the EBS direct APIs answer."""
    try:
        with explained(f"reaching the EBS direct APIs in {cloud.region}"):
            cloud.ebs.list_snapshot_blocks(SnapshotId=_NOWHERE)
    except CloudError as error:
        if error.code not in _ANSWERS:
            raise
