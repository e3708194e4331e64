"""What knitter made of one recipe and is still there."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Left:
    """What knitter made in the region and is still there, by id."""

    instances: set[str]
    volumes: set[str]
    groups: set[str]
    snapshots: set[str]
    images: set[str]

    @property
    def fleeting(self) -> set[str]:
        return self.instances | self.volumes | self.groups


def find_left(ec2: Any, recipe: str) -> Left:
    """By its tag, as the cloud itself tells."""
    ours = [{"Name": "tag:knitter:recipe", "Values": [recipe]}]
    groups = ec2.describe_instances(Filters=ours)["Reservations"]
    instances = {
        one["InstanceId"]
        for group in groups
        for one in group["Instances"]
        if one["State"]["Name"] not in ("shutting-down", "terminated")
    }
    return Left(
        instances=instances,
        volumes={
            one["VolumeId"]
            for one in ec2.describe_volumes(Filters=ours)["Volumes"]
            if one["State"] != "deleting" and not _goes_with(one, instances)
        },
        groups={one["GroupId"] for one in ec2.describe_security_groups(Filters=ours)["SecurityGroups"]},
        snapshots={one["SnapshotId"] for one in ec2.describe_snapshots(Filters=ours)["Snapshots"]},
        images={one["ImageId"] for one in ec2.describe_images(Owners=["self"], Filters=ours)["Images"]},
    )


def _goes_with(volume: Any, instances: set[str]) -> bool:
    """Whether *volume* ends with one of *instances*."""
    return any(one["DeleteOnTermination"] and one["InstanceId"] in instances for one in volume["Attachments"])
