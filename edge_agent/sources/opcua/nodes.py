"""Nodes of an OPC UA server: found by their path, and asked to be watched."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

if TYPE_CHECKING:
    from asyncua.client.client import Client

    from edge_agent.sources.opcua.words import Node, Step

LOG: Final = logging.getLogger(__name__)


def watched(handle: int, node: ua.NodeId, interval_ms: float) -> ua.MonitoredItemCreateRequest:
    """Ask for a node's value as it changes, the newest alone."""
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=handle, SamplingInterval=interval_ms, QueueSize=1, DiscardOldest=True
        ),
    )


def node_id(node: Node, indexes: dict[str, int]) -> ua.NodeId:
    """Give a node's id on a server whose namespaces have these indexes."""
    index = 0 if node.uri is None else indexes[node.uri]
    return ua.NodeId.from_string(f"ns={index};{node.identifier}")


async def browse(
    client: Client, browsed: dict[str, tuple[Step, ...]], indexes: dict[str, int]
) -> dict[str, ua.NodeId]:
    """Ask for the nodes at the ends of browse paths."""
    asked = [_browse_path(steps, indexes) for steps in browsed.values()]
    answers = await client.uaclient.translate_browsepaths_to_nodeids(asked) if asked else []
    found = {}
    for path, answer in zip(browsed, answers, strict=True):
        if answer.StatusCode.is_good() and answer.Targets:
            found[path] = answer.Targets[0].TargetId
        else:
            told = {"path": path, "status": answer.StatusCode.name}
            LOG.warning("a node cannot be found", extra=told)
    return found


def _browse_path(steps: tuple[Step, ...], indexes: dict[str, int]) -> ua.BrowsePath:
    elements = [
        ua.RelativePathElement(
            ReferenceTypeId=ua.NodeId(ua.Int32(ObjectIds.HierarchicalReferences)),
            IsInverse=False,  # type: ignore[arg-type]
            IncludeSubtypes=True,  # type: ignore[arg-type]
            TargetName=ua.QualifiedName(step.name, 0 if step.uri is None else indexes[step.uri]),
        )
        for step in steps
    ]
    root = ua.NodeId(ua.Int32(ObjectIds.RootFolder))
    return ua.BrowsePath(StartingNode=root, RelativePath=ua.RelativePath(Elements=elements))
