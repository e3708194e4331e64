"""What a run leaves in its cloud is named, and so is what could not be asked."""

from knitter.aws.session import Cloud
from knitter.surrogate.ledger import Ledger


def test_who_cannot_look_says_so() -> None:
    """A request may have made something though its answer never came."""
    ledger = Ledger(Cloud("eu-west-1", "eu-west-1", profile="there-is-none"))
    ledger.add("volume", "vol-1")
    told = [str(one) for one in ledger.close(lambda _: None)]
    assert [one.partition(": opening")[0] for one in told] == [
        "instance: whether this run has left one is not known",
        "volume: whether this run has left one is not known",
        "volume vol-1 is still there",
        "security group: whether this run has left one is not known",
    ]
    assert all("doit gc" in one for one in told if "not known" in one)
