import re

import pytest

from knitter.lab import tokens
from knitter.lab.tokens import Tokens


def test_a_token_has_aws_s_form_and_opens_to_its_index() -> None:
    """Shape BlockToken of EBS direct's model: ^[A-Za-z0-9+/=]+$, at most 256 characters."""
    token = Tokens()
    made = token.make("block", "snap-1", 70000)
    assert re.fullmatch(r"[A-Za-z0-9+/=]{1,256}", made)
    assert token.open(made, "block", "snap-1") == 70000


def test_a_token_opens_nothing_else() -> None:
    token = Tokens()
    made = token.make("block", "snap-1", 7)
    assert token.open(made, "block", "snap-2") is None
    assert token.open(made, "page", "snap-1") is None
    assert Tokens().open(made, "block", "snap-1") is None
    for forged in ("", "AAAA", "no base64!", made[:-4] + "AAAA"):
        assert token.open(forged, "block", "snap-1") is None


def test_a_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    token = Tokens()
    made = token.make("page", "snap-1", 7)
    later = tokens.time.time() + 3601
    monkeypatch.setattr(tokens.time, "time", lambda: later)
    assert token.open(made, "page", "snap-1") is None
