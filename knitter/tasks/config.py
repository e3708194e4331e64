"""The doit part of .doit.cfg.  doit itself never reads a file of that name, so dodo.py hands it over as DOIT_CONFIG."""

import configparser
from pathlib import Path
from typing import Any, Final

from doit.cmd_base import opt_backend, opt_check_file_uptodate, opt_codec, opt_depfile
from doit.cmd_clean import Clean
from doit.cmd_forget import Forget
from doit.cmd_list import List
from doit.cmd_run import Run
from doit.cmdparse import CmdOption, CmdParseError

from knitter.errors import KnitterError
from knitter.suggest import nearest

_GLOBAL: Final = (opt_depfile, opt_backend, opt_codec, opt_check_file_uptodate)
_COMMANDS: Final = {
    "list": List.cmd_options,
    "run": Run.cmd_options,
    "clean": Clean.cmd_options,
    "forget": Forget.cmd_options,
}


def read(path: Path) -> dict[str, Any]:
    """Options of all commands: [GLOBAL] and the commands' sections, as the types doit wants.  Raises KnitterError."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation says
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise KnitterError(f"{path} is not a settings file", details=str(error)) from None
    config: dict[str, Any] = {}
    for section in parser.sections():
        if section != "knitter":
            options = _options(path, section)
            config |= {key: _convert(f"{path} [{section}]", options, key, text) for key, text in parser.items(section)}
    return config


def _options(path: Path, section: str) -> dict[str, CmdOption]:
    if section == "GLOBAL":
        found = [*_GLOBAL, *(option for options in _COMMANDS.values() for option in options)]
    elif section in _COMMANDS:
        found = [*_COMMANDS[section]]
    else:
        allowed = ["GLOBAL", "knitter", *_COMMANDS]
        raise KnitterError(f"{path}: there is no section [{section}]", hint=nearest(section, allowed))
    return {option["name"]: CmdOption(option) for option in found}


def _convert(where: str, options: dict[str, CmdOption], key: str, text: str) -> Any:
    if key not in options:
        raise KnitterError(f"{where}: doit has no option {key!r} there", hint=nearest(key, options))
    try:
        return options[key].str2type(text)
    except CmdParseError as error:
        raise KnitterError(f"{where}: {key} = {text!r} cannot be used", details=str(error).strip()) from None
