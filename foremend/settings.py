"""Settings of the servers: `FOREMEND_` variables over a TOML file over these defaults.

Nothing reads them at import; each composition root calls `load` once.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from foremend.errors import ConfigurationError

CONFIG_VARIABLE: Final = "FOREMEND_CONFIG"


class Settings(BaseSettings):
    """Everything a server can be told from outside."""

    model_config = SettingsConfigDict(env_prefix="FOREMEND_", extra="forbid", frozen=True)

    data_dir: Path = Field(default=Path("var"), description="where all state lives")
    tenant: str = Field(default="demo", description="the tenant that local tools work for")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="postgresql:// URL of the runtime role"
    )
    owner_url: SecretStr = Field(
        default=SecretStr(""), description="postgresql:// URL of the migration role"
    )
    broker_host: str = "127.0.0.1"
    broker_port: int = Field(default=1883, ge=1, le=65535)
    broker_user: str | None = None
    broker_password: SecretStr | None = None
    broker_tls: bool = Field(default=False, description="TLS, with the system's authorities")
    device_broker: str = Field(
        default="", description="HOST:PORT that enrolled devices are told; default the broker's"
    )
    gate_url: SecretStr = Field(
        default=SecretStr(""), description="nats:// URL by which the gate answers the broker"
    )
    gate_system_url: SecretStr = Field(
        default=SecretStr(""), description="nats:// URL of its system account, to cut devices off"
    )
    gate_files: Path | None = Field(
        default=None, description="folder of Mosquitto's password and access files for devices"
    )
    ingest_leased: bool = Field(
        default=False, description="share the partitions among several ingest workers"
    )
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8420, ge=0, le=65535)
    sparkplug: bool = Field(default=False, description="serve Sparkplug B edge nodes as well")
    sparkplug_host_id: str = Field(
        default="foremend",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="whose STATE edge nodes may wait for; unique at the broker",
    )
    sparkplug_groups: dict[str, str] = Field(
        default_factory=dict, description="tenant of each group; empty: all belong to `tenant`"
    )
    sparkplug_family: str = Field(
        default="sparkplug",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="family of devices whose births tell none",
    )
    sparkplug_reorder_s: float = Field(
        default=2.0, gt=0, le=60, description="how long a missing Sparkplug message is awaited"
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_json: bool = Field(default=False, description="one JSON object a line, for machines")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: no metrics server")
    trust_keys: Path | None = Field(
        default=None, description="folder of Ed25519 public keys; default DATA_DIR/keys/trusted"
    )
    allow_private_destinations: bool = Field(
        default=False, description="webhooks may go to loopback and private addresses"
    )
    verify_hours: float = Field(
        default=6.0, gt=0, description="hours a device must run after a repair before it counts"
    )
    keep_frames_days: float = Field(
        default=0, ge=0, description="drop frames of this age on their timeline; 0 keeps for ever"
    )
    keep_minutes_days: float = Field(default=0, ge=0, description="likewise rollups per minute")
    keep_hours_days: float = Field(default=0, ge=0, description="likewise rollups per hour")
    compress_days: float = Field(
        default=7, ge=0, description="compress frames of this age, where that is possible; 0 never"
    )
    truth_file: Path | None = Field(
        default=None, description="a simulation's truth, for the console's comparison page only"
    )

    @property
    def trusted_keys_dir(self) -> Path:
        """The folder whose public keys may sign models."""
        return self.trust_keys or self.data_dir / "keys" / "trusted"

    @property
    def signatures_dir(self) -> Path:
        """The folder of signature libraries of one's own, over those that ship."""
        return self.data_dir / "signatures"

    @property
    def command_keys_dir(self) -> Path:
        """The folder whose public keys devices are told to obey, when they enrol."""
        return self.data_dir / "keys" / "commands"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, file."""
        file = os.environ.get(CONFIG_VARIABLE)
        toml = TomlConfigSettingsSource(settings_cls, Path(file)) if file else None
        return (init_settings, env_settings, *([toml] if toml else []))


def load(**overrides: object) -> Settings:
    """Read the settings once.

    Raises:
        ConfigurationError: a value is wrong or unknown; names each.
    """
    file = os.environ.get(CONFIG_VARIABLE)
    if file and not Path(file).is_file():
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {file}, which is not a file")
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise ConfigurationError(f"settings: {wrong}") from error
