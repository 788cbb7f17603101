"""What an agent answers, as the MTConnect Standard has it, to be filled in."""

from __future__ import annotations

from typing import Final

MAPPING: Final = """
family = "rotating_machine"
model = "Lathe"
source = "made up for tests"
delta = true
[[channels]]
name = "speed"
path = "Rotary[C]/ROTARY_VELOCITY/ACTUAL"
unit = "/min"
[[channels]]
name = "motor_current"
path = "amps"
unit = "A"
[[channels]]
name = "nowhere"
path = "Linear/POSITION"
unit = "mm"
[job]
path = "Controller/EXECUTION"
words = { ACTIVE = "running", READY = "idle" }
"""
DEVICES: Final = """<?xml version="1.0"?>
<MTConnectDevices xmlns="urn:mtconnect.org:MTConnectDevices:1.4" xmlns:x="urn:tests:x">
 <Header creationTime="{now}" sender="test" instanceId="{instance}" version="1.4"/>
 <Devices><Device id="d1" name="Lathe" uuid="000">
  <Description manufacturer="Acme" model="L7" serialNumber="4711"/>
  <DataItems><DataItem category="EVENT" id="avail" type="AVAILABILITY"/></DataItems>
  <Components>
   <Axes id="ax"><Components>
    <Rotary id="c" name="C"><DataItems>
     <DataItem category="SAMPLE" id="c1" name="Sspeed" type="ROTARY_VELOCITY" subType="ACTUAL"
      units="REVOLUTION/MINUTE"/>
     <DataItem category="SAMPLE" id="c2" type="ROTARY_VELOCITY" subType="COMMANDED"/>
     <DataItem category="SAMPLE" id="c3" name="amps" type="AMPERAGE"/>
     <DataItem category="CONDITION" id="c4" type="TEMPERATURE"/>
     <DataItem category="SAMPLE" id="c5" type="TEMPERATURE"/>
     <DataItem category="SAMPLE" id="c6" type="x:STIFFNESS" subType="x:STATIC"/>
    </DataItems></Rotary>
    <Linear id="x" name="X"><DataItems>
     <DataItem category="SAMPLE" id="x1" type="POSITION"/></DataItems></Linear>
    <Linear id="z" name="Z"><DataItems>
     <DataItem category="SAMPLE" id="z1" type="POSITION"/></DataItems></Linear>
   </Components></Axes>
   <Controller id="cn"><DataItems>
    <DataItem category="EVENT" id="exec" type="EXECUTION"/></DataItems></Controller>
  </Components>
 </Device></Devices>
</MTConnectDevices>"""
STREAMS: Final = """<?xml version="1.0"?>
<MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:1.4">
 <Header creationTime="{now}" instanceId="{instance}" version="1.4" firstSequence="{first}"
  nextSequence="{following}" lastSequence="{last}" bufferSize="{size}"/>
 <Streams><DeviceStream name="Lathe" uuid="000">
  <ComponentStream component="Rotary" name="C" componentId="c">
   <Samples>{Samples}</Samples><Events>{Events}</Events><Condition>{Condition}</Condition>
  </ComponentStream></DeviceStream></Streams>
</MTConnectStreams>"""
ERROR: Final = """<?xml version="1.0"?>
<MTConnectError xmlns="urn:mtconnect.org:MTConnectError:1.4">
 <Header creationTime="{now}" instanceId="{instance}" version="1.4"/>
 <Errors><Error errorCode="{code}">sequence numbers</Error></Errors></MTConnectError>"""
TAGS: Final = {
    "c1": ("Samples", "RotaryVelocity"),
    "c3": ("Samples", "Amperage"),
    "x1": ("Samples", "Position"),
    "z1": ("Samples", "Position"),
    "exec": ("Events", "Execution"),
    "avail": ("Events", "Availability"),
}
NOISE: Final = (
    b"<MTConnectStreams><Header",
    b'{"MTConnectStreams": 1}',
    b"<html>busy</html>",
    b'<!DOCTYPE x [<!ENTITY a "1">]><MTConnectStreams/>',
)


HEAD: Final = """HTTP/1.1 200 OK\r
Content-Type: {kind}\r
Transfer-Encoding: chunked\r
Connection: close\r
\r
"""
PART: Final = "--{mark}{line}Content-type: text/xml{line}Content-length: {size}{line}{line}"
MARK: Final = "a1b2c3"
KINDS: Final = (f"multipart/x-mixed-replace;boundary={MARK}", f'multipart/mixed; boundary="{MARK}"')
"""Of a long answer, as the standard says it, and as newer agents do."""
