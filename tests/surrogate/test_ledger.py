"""The ledger at the end of a run: what is removed, what is to stay, and what a second Ctrl-C leaves."""

import pytest

from knitter.aws.session import Cloud
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from knitter.surrogate.ledger import Ledger

INSTANCE, VOLUME, GROUP = "i-0123456789abcdef0", "vol-0123456789abcdef0", "sg-0123456789abcdef0"
"""Nothing of these is in the cloud: that counts as removed."""


@pytest.fixture
def ledger(endpoint: str) -> Ledger:
    made = Ledger(Cloud("lab", "ap-south-2", endpoint=endpoint, keys=(ACCESS_KEY, SECRET_KEY)))
    made.add("security group", GROUP)
    made.add("instance", INSTANCE)
    made.add("volume", VOLUME)
    return made


@pytest.mark.lab
def test_a_second_interrupt_ends_the_removal_and_names_all_that_is_left(ledger: Ledger) -> None:
    told: list[str] = []

    def interrupted(text: str) -> None:
        told.append(text)
        raise KeyboardInterrupt

    left = [str(one) for one in ledger.close(interrupted)]
    assert told == [f"removing instance {INSTANCE}"]
    assert [one.splitlines()[1].strip() for one in left] == [
        f"aws ec2 terminate-instances --instance-ids {INSTANCE} --region ap-south-2",
        f"aws ec2 delete-volume --volume-id {VOLUME} --region ap-south-2",
        f"aws ec2 delete-security-group --group-id {GROUP} --region ap-south-2",
    ]


@pytest.mark.lab
def test_what_is_to_stay_is_told_with_its_reason_unless_it_was_asked_for(ledger: Ledger) -> None:
    ledger.leave(INSTANCE, "for a look")
    ledger.leave(VOLUME, "")
    told: list[str] = []
    [left] = ledger.close(told.append)
    assert f"instance {INSTANCE} is still there: for a look" in str(left)
    assert told == [f"removing security group {GROUP}"]


def test_who_cannot_look_says_so() -> None:
    """A request may have made something though its answer never came."""
    ledger = Ledger(Cloud("eu-west-1", "eu-west-1", profile="there-is-none"))
    ledger.add("volume", VOLUME)
    told = [str(one) for one in ledger.close(lambda _: None)]
    assert [one.partition(": opening")[0] for one in told] == [
        "instance: whether this run has left one is not known",
        "volume: whether this run has left one is not known",
        f"volume {VOLUME} is still there",
        "security group: whether this run has left one is not known",
    ]
    assert all("doit gc" in one for one in told if "not known" in one)
