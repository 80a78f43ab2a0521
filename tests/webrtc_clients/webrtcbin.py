"""Publishes or plays with GStreamer's webrtcbin, in the Python that has Debian's `gi`.

python3 webrtcbin.py publish|play URL FRAMES PARAMETERS

PARAMETERS are added to the caps of H.264, such as `,packetization-mode=(string)1`; empty ones are plain caps. Prints a
line of JSON: whether it connected, and how many frames it sent or received.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - after the versions are chosen

CAPS = "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000"
PUBLISH = (
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! identity name=count ! "
    "rtph264pay ! {caps} ! webrtcbin name=webrtc bundle-policy=max-bundle"
)
PLAY = "pipeline. ( webrtcbin name=webrtc bundle-policy=max-bundle )"
LIMIT_S = 20.0


class Call:
    """One call, from the offer to the end."""

    def __init__(self, mode: str, url: str, frames: int, parameters: str) -> None:
        caps = CAPS + parameters
        text = PUBLISH.format(caps=caps) if mode == "publish" else PLAY
        self._url, self._frames, self._seen = url, frames, 0
        self._loop = GLib.MainLoop()
        self._pipeline = Gst.parse_launch(text)
        self._webrtc = self._pipeline.get_by_name("webrtc")
        self._webrtc.connect("notify::ice-gathering-state", self._on_gathered)
        if mode == "publish":
            self._count(self._pipeline.get_by_name("count").get_static_pad("src"))
        else:
            direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            self._webrtc.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
            self._webrtc.connect("pad-added", self._on_pad)
        self._webrtc.connect("on-negotiation-needed", self._on_negotiation_needed)
        self._location = ""

    def _count(self, pad: Any) -> None:
        def see(_pad: Any, _info: Any) -> Any:
            if self._seen == self._frames:
                return Gst.PadProbeReturn.DROP
            if self._is_connected:
                self._seen += 1
                if self._seen == self._frames:
                    GLib.timeout_add(300, self._loop.quit)  # until the last one has arrived
            return Gst.PadProbeReturn.OK

        pad.add_probe(Gst.PadProbeType.BUFFER, see)

    @property
    def _is_connected(self) -> bool:
        state = self._webrtc.get_property("connection-state")
        return bool(state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED)

    def _on_pad(self, _webrtc: Any, pad: Any) -> None:
        chain = Gst.parse_bin_from_description("rtph264depay ! h264parse ! openh264dec name=decoder ! fakesink", True)
        if chain is None:
            return
        self._pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))
        self._count(chain.get_by_name("decoder").get_static_pad("src"))

    def _on_negotiation_needed(self, _webrtc: Any) -> None:
        def made(promise: Any, *_: Any) -> None:
            reply = promise.get_reply()  # the offer is part of it, and is freed with it
            offer = reply.get_value("offer")
            self._webrtc.emit("set-local-description", offer, Gst.Promise.new())

        self._webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def _on_gathered(self, webrtc: Any, _: Any) -> None:
        if webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        offer = webrtc.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self._url, offer.encode(), {"Content-Type": "application/sdp"})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
            self._location = urllib.parse.urljoin(self._url, response.headers["Location"])
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(answer, message)
        kind = GstWebRTC.WebRTCSDPType.ANSWER
        description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
        webrtc.emit("set-remote-description", description, Gst.Promise.new())

    def run(self) -> None:
        begin = time.monotonic()
        self._pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add(round(LIMIT_S * 1000), self._loop.quit)
        self._loop.run()
        is_connected = self._is_connected
        if self._location:
            request = urllib.request.Request(self._location, method="DELETE")
            urllib.request.urlopen(request, timeout=10).close()
        self._pipeline.set_state(Gst.State.NULL)
        seconds = round(time.monotonic() - begin, 1)
        print(json.dumps({"connected": is_connected, "frames": self._seen, "seconds": seconds}))


if __name__ == "__main__":
    Gst.init(None)
    Call(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]).run()
