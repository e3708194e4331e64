"""What this very run made in the cloud and is still there: found by its tag, should a list in memory lack it."""

from typing import Any

from knitter.aws.explain import explained
from knitter.aws.session import Cloud
from knitter.aws.tags import RUN, RUN_ID


def instances(cloud: Cloud) -> list[str]:
    """Ids of instances that have not ended.  Raises CloudError."""
    alive: Any = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    with explained("looking for instances of this run"):
        found = cloud.ec2.describe_instances(Filters=[_ours(), alive])
    return [one["InstanceId"] for group in found["Reservations"] for one in group["Instances"]]


def volumes(cloud: Cloud) -> list[str]:
    """Ids of volumes made by CreateVolume or with an instance.  Raises CloudError."""
    with explained("looking for volumes of this run"):
        found = cloud.ec2.describe_volumes(Filters=[_ours()])["Volumes"]
    return [one["VolumeId"] for one in found if one["State"] not in {"deleting", "deleted"}]


def groups(cloud: Cloud) -> list[str]:
    """Ids of security groups.  Raises CloudError."""
    with explained("looking for security groups of this run"):
        found = cloud.ec2.describe_security_groups(Filters=[_ours()])["SecurityGroups"]
    return [one["GroupId"] for one in found]


def _ours() -> Any:
    return {"Name": f"tag:{RUN}", "Values": [RUN_ID]}
