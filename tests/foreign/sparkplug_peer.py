"""A Sparkplug edge node that speaks as it is told, by a library that is not ours.

One JSON object a line on standard input says what to do; one a line on standard output says what
was heard. `pysparkplug` builds, encodes and decodes every message.
"""

import json
import sys

import pysparkplug as spb

BIRTHS = {"NBIRTH": spb.NBirth, "DBIRTH": spb.DBirth}
DATA = {"NDATA": spb.NData, "DDATA": spb.DData}


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Peer:
    def __init__(self, host, port, user, password, group, node):
        self.group, self.node = group, node
        self.client = spb.Client(client_id=f"{group}-{node}", username=user, password=password)
        self.address = (host, int(port))

    def topic(self, kind, device=None):
        return spb.Topic(
            message_type=spb.MessageType(kind),
            group_id=self.group,
            edge_node_id=self.node,
            device_id=device,
        )

    def connect(self, bd_seq, will=True):
        if will:
            death = spb.NDeath(timestamp=1, bd_seq_metric=metric("bdSeq", "INT64", bd_seq, ts=1))
            self.client.set_will(self.message("NDEATH", None, death))
        self.client.subscribe(
            self.topic("NCMD"),
            spb.QoS.AT_LEAST_ONCE,
            lambda _, heard: tell(
                heard="NCMD",
                metrics={m.name: m.value for m in heard.payload.metrics},
            ),
        )
        self.client.connect(
            self.address[0],
            port=self.address[1],
            callback=lambda _: tell(did="connect"),
        )

    def message(self, kind, device, payload):
        return spb.Message(
            topic=self.topic(kind, device),
            payload=payload,
            qos=spb.QoS.AT_MOST_ONCE,
            retain=False,
        )

    def say(self, kind, device=None, seq=None, ts=None, metrics=(), dtypes=True):
        built = tuple(metric(**m) for m in metrics)
        if kind in BIRTHS:
            payload = BIRTHS[kind](timestamp=ts, seq=seq, metrics=built)
        elif kind in DATA:
            payload = DATA[kind](timestamp=ts, seq=seq, metrics=built)
        elif kind == "DDEATH":
            payload = spb.DDeath(timestamp=ts, seq=seq)
        else:
            payload = spb.NDeath(timestamp=ts, bd_seq_metric=built[0])
        self.client.publish(self.message(kind, device, payload), include_dtypes=dtypes)
        tell(did=kind)

    def leave(self):
        self.client.disconnect()
        tell(did="leave")


def metric(name, datatype, value, ts, alias=None, historical=False):
    return spb.Metric(
        timestamp=ts,
        name=name,
        datatype=spb.DataType[datatype],
        value=value,
        alias=alias,
        is_historical=historical,
    )


class Library:
    """The library's own edge node, which numbers and orders by itself."""

    def __init__(self, host, port, user, password, group, node):
        client = spb.Client(client_id=f"{group}-{node}", username=user, password=password)
        self.node = spb.EdgeNode(
            group,
            node,
            metrics=[metric("Line/Speed", "INT32", -3, ts=spb.get_current_timestamp())],
            client=client,
        )
        pump = [metric("Temp", "DOUBLE", 20.5, ts=spb.get_current_timestamp())]
        self.node.register(spb.Device("pump", pump))
        self.address = (host, int(port))

    def connect(self):
        self.node.connect(self.address[0], port=self.address[1])
        tell(did="connect")

    def update(self, value):
        now = spb.get_current_timestamp()
        self.node.update_device("pump", [metric("Temp", "DOUBLE", value, ts=now)])
        tell(did="update")

    def leave(self):
        self.node.disconnect()
        tell(did="leave")


def main(kind, *address):
    peer = {"peer": Peer, "library": Library}[kind](*address)
    tell(did="start")
    for line in sys.stdin:
        order = json.loads(line)
        getattr(peer, order.pop("do"))(**order)


if __name__ == "__main__":
    main(*sys.argv[1:])
