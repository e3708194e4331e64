"""One connection to a cloud: clients, credentials, endpoints.  boto3 is imported when the first is needed."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ec2 import EC2Client

RETRIES: Final = 8


@dataclass
class Cloud:
    """AWS in one region, or the lab.  Thread-safe: clients are, making them is not, so that is done under a lock."""

    name: str
    """`lab`, or the region: names the folder of its receipts."""
    region: str
    profile: str = ""
    endpoint: str = ""
    """Of every service; empty: AWS's own."""
    keys: tuple[str, str] | None = None
    """Access key and secret; None: boto3's usual order."""
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _session: "boto3.Session | None" = field(default=None, repr=False)
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def ec2(self) -> "EC2Client":
        """The client of EC2."""
        client: EC2Client = self._client("ec2")
        return client

    @property
    def ebs(self) -> "EBSClient":
        """The client of the EBS direct APIs."""
        client: EBSClient = self._client("ebs")
        return client

    def credentials(self) -> "ReadOnlyCredentials":
        """Credentials good for now; ask again for each request, they may be refreshed.  Raises CloudError."""
        raise NotImplementedError

    def _client(self, service: str) -> Any:
        raise NotImplementedError
