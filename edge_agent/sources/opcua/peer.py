"""A source that subscribes to nodes of an OPC UA server (asyncua)."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final, Literal

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import UaError

from edge_agent.downlink.answers import fitting
from edge_agent.downlink.kinds import ANY, DIAGNOSTICS
from edge_agent.live.ages import Ages
from edge_agent.live.source import LiveConfig, LiveSource, Seconds
from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.opcua.nodes import browse, node_id, watched
from edge_agent.sources.opcua.status import server_status
from edge_agent.sources.opcua.words import (
    BAD,
    HEALTH_CHANNEL,
    UNCERTAIN,
    Node,
    Target,
    age_ms,
    health_of,
    plain,
    state_of,
    target,
    uris,
)
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
KEEP_ALIVE_S: Final = 1.0
"""After so long without a change the server says that it is there, if it grants it."""
SESSION_MS: Final = 60_000
"""The server forgets a session that says nothing for so long."""
OLD_MS: Final = 2_000
"""A reading that is older by its stamp has held since, or its stamp is of another clock."""
LIFETIMES: Final = 10
"""Keep-alives that may fail to be fetched before the server drops the subscription."""


class OpcUaConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the server, and what to prove to it."""

    url: str
    """`opc.tcp://HOST:4840/...`."""
    username: str | None = None
    password: str | None = None
    allow_clear: bool = False
    """Send the password without encryption, on a network that is trusted."""
    policy: Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] | None = None
    mode: Literal["Sign", "SignAndEncrypt"] = "SignAndEncrypt"
    certificate: str | None = None
    """Ours, and its key: files, PEM or DER."""
    private_key: str | None = None
    server_certificate: str | None = None
    """The server's own: another one is refused."""
    application_uri: str = "urn:foremend:edge-agent"
    """As our certificate has it."""
    publish_s: Seconds = 0.5
    """Between two samples, and two reports of what has changed."""
    timeout_s: Seconds = 5.0
    """How long an answer may take."""

    def __post_init__(self) -> None:
        files = (self.certificate, self.private_key, self.server_certificate)
        if self.policy is not None and None in files:
            raise ValueError("`policy` needs `certificate`, `private_key`, `server_certificate`")
        secret = self.policy is not None and self.mode == "SignAndEncrypt"
        if self.password is not None and not secret and not self.allow_clear:
            raise ValueError("a password needs a `policy` that encrypts, or `allow_clear`")


class OpcUaPeer:
    """Subscribes to the nodes of a mapping, each time anew."""

    def __init__(self, config: OpcUaConfig, site: Site) -> None:
        mapping = config.device()
        self._config, self._site = config, site
        self._job = mapping.job.path if mapping.job else None
        self._health = {c.path for c in mapping.channels if c.name == HEALTH_CHANNEL}
        paths = [c.path for c in mapping.channels] + ([self._job] if self._job else [])
        self._targets: dict[str, Target] = {path: target(path) for path in paths}
        self._present: Client | None = None
        self._lacking: set[str] = set()
        """Paths that the server of now does not let us read."""
        self._known: dict[str, str] = {}
        """The health and the state told last, by path; a reconnect tells none of them again."""

    async def listen(self) -> AsyncGenerator[Word]:
        """Tell what the server reports until the connection is lost."""
        client = self._client()
        reports: asyncio.Queue[ua.PublishResult] = asyncio.Queue()
        try:
            await self._secure(client)
            await client.connect()
            paths = await self._subscribe(client, reports)
            self._present = client
            ages = Ages(most_ms=max(OLD_MS, round(4000 * self._config.publish_s)))
            while True:
                for word in self._read(await reports.get(), paths, ages):
                    yield word
        except TimeoutError as error:
            raise Unavailable("the server does not answer") from error
        except UaError as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        finally:
            self._present = None
            await self._leave(client)

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do: nothing that writes."""
        return {DIAGNOSTICS: ANY}

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - there is but one
        """Tell how the server is, and which nodes it does not let us read."""
        if self._present is None:
            raise Unavailable("the server is not connected")
        return fitting(
            {
                **await server_status(self._present),
                "nodes": len(self._targets),
                "nodes_not_read": ", ".join(sorted(self._lacking)),
            }
        )

    def _client(self) -> Client:
        config = self._config
        client = Client(config.url, timeout=config.timeout_s, watchdog_intervall=config.timeout_s)
        client.name = client.description = "foremend edge agent"
        client.application_uri = config.application_uri
        client.session_timeout = SESSION_MS
        if config.username is not None:
            client.set_user(config.username)
            client.set_password(config.password or "")
        return client

    async def _secure(self, client: Client) -> None:
        config = self._config
        if config.policy is None:
            return
        assert config.certificate is not None  # noqa: S101 - the configuration has all three
        assert config.private_key is not None  # noqa: S101
        await client.set_security(
            getattr(security_policies, f"SecurityPolicy{config.policy}"),
            config.certificate,
            config.private_key,
            server_certificate=config.server_certificate,
            mode=ua.MessageSecurityMode[config.mode],
        )

    async def _subscribe(
        self, client: Client, reports: asyncio.Queue[ua.PublishResult]
    ) -> dict[int, str]:
        """Subscribe to all nodes that the server has; gives the path behind each handle."""
        interval_ms = 1000 * self._config.publish_s
        keep_alive = max(1, math.ceil(KEEP_ALIVE_S * 1000 / interval_ms))
        granted = await client.uaclient.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=interval_ms,
                RequestedMaxKeepAliveCount=keep_alive,
                RequestedLifetimeCount=LIFETIMES * keep_alive,
            ),
            reports.put_nowait,
        )
        nodes = await self._nodes(client)
        paths = dict(enumerate(nodes))
        results = await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=granted.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[watched(n, nodes[path], interval_ms) for n, path in paths.items()],
            )
        )
        self._lacking = set(self._targets) - set(nodes)
        for path, result in zip(nodes, results, strict=True):
            if not result.StatusCode.is_good():
                self._lacking.add(path)
                told = {"path": path, "status": result.StatusCode.name}
                LOG.warning("a node cannot be read", extra=told)
        return paths

    async def _nodes(self, client: Client) -> dict[str, ua.NodeId]:
        """Find the nodes of all paths; one that the server has not is logged and left out."""
        named = uris(list(self._targets.values()))
        known = await client.get_namespace_array()
        indexes = {uri: known.index(uri) for uri in named if uri in known}
        for uri in sorted(named - set(indexes)):
            LOG.warning("the server has no such namespace", extra={"uri": uri})
        there = {path: each for path, each in self._targets.items() if uris([each]) <= set(indexes)}
        nodes = {
            path: node_id(each, indexes) for path, each in there.items() if isinstance(each, Node)
        }
        browsed = {path: each for path, each in there.items() if not isinstance(each, Node)}
        return nodes | await browse(client, browsed, indexes)

    def _read(self, report: ua.PublishResult, paths: dict[int, str], ages: Ages) -> Iterator[Word]:
        """Turn a report into words; one without any change says that nothing has."""
        message = report.NotificationMessage
        if not message.NotificationData:
            yield Told()
        for notice in message.NotificationData or ():
            if isinstance(notice, ua.StatusChangeNotification):
                raise Unavailable(f"the server ends the subscription: {notice.Status.name}")
            for item in getattr(notice, "MonitoredItems", None) or ():
                if (path := paths.get(item.ClientHandle)) is not None:
                    age = age_ms(message.PublishTime, item.Value.SourceTimestamp)
                    now_ms = self._site.steady_ms()
                    yield from self._tell(path, item.Value, ages.settle(path, age, now_ms=now_ms))

    def _tell(self, path: str, told: ua.DataValue, age: int) -> Iterator[Word]:
        status = told.StatusCode.value if told.StatusCode else 0
        held = None if status & BAD else told.Value
        value = None if held is None else plain(held.Value)
        yield Told(values={path: value}, age_ms=age, doubtful=bool(status & UNCERTAIN))
        if value is not None and not status & UNCERTAIN:
            yield from self._changes(path, value, self._site.now_ms() - age)

    def _changes(self, path: str, value: object, ts_ms: int) -> Iterator[Happening]:
        """Tell a device's health and a machine's state as events, where they have changed."""
        if path in self._health and (health := health_of(value)) is not None:
            before, self._known[path] = self._known.get(path, "normal"), health[0]
            if before != health[0]:
                yield Happening(ts_ms=ts_ms, code=f"health_{health[0]}", severity=health[1])
        if path == self._job:
            was, self._known[path] = self._known.get(path), state_of(value)
            if was is not None and was != self._known[path]:
                details = {"state": self._known[path][:256], "before": was[:256]}
                yield Happening(ts_ms=ts_ms, code="state_changed", details=details)

    async def _leave(self, client: Client) -> None:
        """Close the session as far as the server still answers, and the socket in any case."""
        publishing = client.uaclient._publish_task  # noqa: SLF001 - else it outlives its session
        try:
            if client.uaclient.has_session:
                async with asyncio.timeout(self._config.timeout_s):
                    await client.disconnect()
        except TimeoutError:
            LOG.debug("the server does not say goodbye")
        finally:
            client.disconnect_socket()
            if publishing is not None:
                publishing.cancel()


def make(config: OpcUaConfig, site: Site) -> LiveSource:
    """Make a source; raises ConfigurationError where a path of its mapping is none."""
    return LiveSource(OpcUaPeer(config, site), config, site)


KIND: Final = SourceKind(config=OpcUaConfig, make=make)
