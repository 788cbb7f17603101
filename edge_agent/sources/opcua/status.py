"""What an OPC UA server says of itself: its object ServerStatus (OPC 10000-5, chapter 12.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError

from foremend.errors import Unavailable

if TYPE_CHECKING:
    from asyncua.client.client import Client


async def server_status(client: Client) -> dict[str, object]:
    """Give product, version, state and since when it runs.

    Raises:
        Unavailable: the server does not answer, or does not let us read it.
    """
    node = client.get_node(ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus)))
    try:
        status: ua.ServerStatusDataType = await node.read_value()
    except (UaError, TimeoutError, ConnectionError) as error:
        raise Unavailable(str(error) or type(error).__name__) from error
    build = status.BuildInfo
    return {
        "manufacturer": build.ManufacturerName,
        "product": build.ProductName,
        "software": build.SoftwareVersion,
        "build": build.BuildNumber,
        "state": status.State.name,
        "running_since": f"{status.StartTime:%Y-%m-%d %H:%M:%SZ}" if status.StartTime else None,
        "shuts_down_in_s": status.SecondsTillShutdown or None,
        "shutdown_reason": status.ShutdownReason.Text if status.ShutdownReason else None,
    }
