"""The site's settings: section [knitter] of .doit.cfg, overridden by KNITTER_* in the environment."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from knitter.errors import KnitterError
from knitter.suggest import nearest
from knitter.units import parse_duration

Via = Literal["direct", "surrogate"]

_IMAGE: Final = r"^(ami-[0-9a-f]{8,17}|ssm:/\S+|name:[a-z0-9-]+/.+|recipe:[a-z0-9.-]+)?$"

Seconds = Annotated[int, BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value)]


def _table(value: Any) -> Any:
    """`a = b` lines to a dictionary: how an INI file writes one."""
    if not isinstance(value, str):
        return value
    lines = [line.strip() for line in value.splitlines() if line.strip()]
    if bad := [line for line in lines if "=" not in line]:
        raise ValueError(f"{bad[0]!r} is not of the form: prefix = replacement")
    return {key.strip(): text.strip() for key, _, text in (line.partition("=") for line in lines)}


def _words(value: Any) -> Any:
    """`a, b` or `a b` to a list: how an INI file writes one."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Settings(BaseModel):
    """Everything about the site; nothing about an image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloud: Literal["lab", "aws"] = "lab"
    """Where snapshots and AMIs go: the embedded cloud on this desk, or AWS."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    """AWS region; the lab pretends to be it."""
    profile: str = ""
    """Profile of ~/.aws/config.  Empty: boto3's usual order."""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s/]+/?)?$")] = ""
    """Another endpoint for every AWS service.  Empty: AWS's own, or the lab's."""
    via: Via = "direct"
    """How the disk becomes a snapshot: `direct` through the EBS direct APIs, `surrogate` through an EC2 instance that
    writes it to a volume.  A recipe may say otherwise."""
    encrypted: bool = False
    """Encrypt what is stored: the snapshot, and the volume it is made of."""
    kms_key: str = ""
    """Id, ARN or alias of the key.  Empty: the account's default."""
    build_directory: Path = Path("build")
    """Where stages leave their files; relative to .doit.cfg."""
    cache_directory: Path = Path("~/.cache/knitter")
    """Packages and bootstrapped roots, shared by all recipes."""
    mirrors: Annotated[dict[str, str], BeforeValidator(_table)] = {}
    """URL prefix -> replacement, one per line: `https://there/debian = https://here/debian`."""
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    """Of guests.  auto: KVM if a short trial shows that it works."""
    boot_check: bool = True
    """Boot the disk under QEMU before anything is uploaded."""
    refresh: Seconds = 86400
    """How old a packages.lock may grow before it is resolved anew; a recipe's own lock never is."""
    scratch: Literal["auto", "memory", "disk"] = "auto"
    """Where trees are built.  auto: in memory (tmpfs) if it is plentiful."""
    downloads: Annotated[int, Field(ge=1, le=64)] = 8
    """Package downloads at once."""
    uploads: Annotated[int, Field(ge=1, le=128)] = 64
    """Connections of one snapshot upload."""
    upload_rate: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Blocks of 512 KiB put each second, at most: AWS's quota per snapshot is 1,000."""
    upload_engine: Literal["http", "boto3"] = "http"
    """http: knitter's own signer, fast.  boto3: slower, for endpoints with unusual authentication."""
    volume_type: Literal["gp2", "gp3", "io1", "io2"] = "gp3"
    """Of the volume that a surrogate writes."""
    volume_iops: Annotated[int, Field(ge=0, le=256000)] = 0
    """0: the type's default."""
    volume_throughput: Annotated[int, Field(ge=0, le=2000)] = 0
    """MiB/s of a gp3 volume.  0: its default, 125."""
    keep_volume: bool = False
    """Keep the volume after it became a snapshot."""
    surrogate_image: Annotated[str, Field(pattern=_IMAGE)] = ""
    """`ami-...`, `ssm:/parameter`, `name:OWNER/PATTERN`, or `recipe:NAME`.
    Empty: Amazon Linux 2023; in the lab recipe:debian-12."""
    surrogate_user: str = ""
    """Who logs in.  Empty: by the image."""
    surrogate_types: Words = ()
    """Instance types, tried in this order.  Empty: small ones that write fast enough."""
    surrogate_spot: bool = False
    """Ask for spot capacity first."""
    surrogate_subnets: Words = ()
    """Tried in this order.  Empty: those of the default VPC."""
    surrogate_security_groups: Words = ()
    """Empty: a temporary one, which admits this host alone."""
    surrogate_sources: Words = ()
    """CIDR blocks that the temporary group admits.  Empty: this host's address, as AWS sees it."""
    allow_world: bool = False
    """Let surrogate_sources be everybody."""
    surrogate_profile: str = ""
    """Instance profile of surrogates.  Empty: none."""
    surrogate_tenancy: Literal["default", "dedicated"] = "default"
    """Of surrogates."""
    surrogate_ttl: Annotated[Seconds, Field(ge=300)] = 3600
    """How long a surrogate lives on once knitter has died."""
    surrogates: Annotated[int, Field(ge=1, le=16)] = 1
    """Of one architecture at once, at most."""
    ssh_interface: Literal["public_ip", "private_ip", "ipv6", "dns"] = "public_ip"
    """The address at which instances are reached."""
    ssh_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: 22; in the lab 2222."""
    ssh_proxy_command: str = ""
    """What carries the connection instead of a socket; {instance_id}, {address}, {region} and {port} are filled in."""
    on_failure: Literal["clean", "keep"] = "clean"
    """keep: leave the surrogate of a failed build on, for a look, until surrogate_ttl is over."""

    _overridden: frozenset[str] = PrivateAttr(frozenset())

    def is_overridden(self, name: str) -> bool:
        """Whether the environment, so the user of this one run, says what *name* is."""
        return name in self._overridden


PREFIX: Final = "KNITTER_"


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of the .doit.cfg at *path*, which may be missing; paths become absolute.  Raises KnitterError."""
    environment = os.environ if environ is None else environ
    overrides = _from_environment(environment)
    values = _section(path) | overrides
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _refused(path, values, environment, error) from None
    settings._overridden = frozenset(overrides)  # noqa: SLF001 (this module is its own)
    root = path.resolve().parent
    return settings.model_copy(
        update={
            "build_directory": root / settings.build_directory.expanduser(),
            "cache_directory": root / settings.cache_directory.expanduser(),
        }
    )


def _section(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise KnitterError(f"{path} is not a settings file", details=str(error)) from None
    return dict(parser["knitter"]) if parser.has_section("knitter") else {}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}


def _refused(path: Path, values: Mapping[str, str], environ: Mapping[str, str], error: ValidationError) -> KnitterError:
    lines, hint = [], ""
    for problem in error.errors():
        name = str(problem["loc"][0])
        where = f"{PREFIX}{name.upper()}" if PREFIX + name.upper() in environ else f"{path} [knitter]"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: there is no setting {name!r}")
            hint = hint or nearest(name, Settings.model_fields)
        else:
            lines.append(f"{where}: {name} = {values.get(name)!r}: {problem['msg'].removeprefix('Value error, ')}")
    return KnitterError(
        "the settings cannot be used", details="\n".join(lines), hint=hint or "README.md lists them all"
    )
