from pathlib import Path

from knitter.command import command, script


def test_a_command_prints_as_a_shell_would_read_it() -> None:
    assert str(command("tar", "-C", Path("/a b"), "-cf", 1)) == "tar -C '/a b' -cf 1"


def test_secrets_are_never_printed() -> None:
    secret = command("curl", "--user", "me:hunter2", secrets=("hunter2",))
    assert str(secret) == "curl --user 'me:***'" or str(secret) == "curl --user me:***"
    assert secret.redact("401 for hunter2") == "401 for ***"


def test_a_script_goes_to_stdin_and_stops_at_the_first_failure() -> None:
    one = script('echo "$1"', "a b")
    assert one.argv == ("sh", "-eu", "-s", "-", "a b")
    assert one.stdin == b'echo "$1"'
