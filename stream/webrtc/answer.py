"""Answers an offer: what it is checked for beyond its size, and how the connection is set up for the answer."""

from __future__ import annotations

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.sdp import SessionDescription

from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.amplification_limit import Allowance
from whycam.stream.webrtc.ice.config import IceConfig, ice_server
from whycam.stream.webrtc.sdp import OfferError, bundle_of

_KINDS = ("audio", "video", "application")
"""Of sections that can be answered."""


def new_connection(media: IceConfig) -> RTCPeerConnection:
    """A connection without an offer yet."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[ice_server(url) for url in media.ice_servers]))
    aiortc_patches.use_certificate(pc)
    return pc


async def take_offer(pc: RTCPeerConnection, offer: str) -> None:
    """Apply an offer to a connection; raises `OfferError`."""
    try:
        names = {part.rtp.muxId for part in SessionDescription.parse(offer).media if part.kind in _KINDS}
        offer = bundle_of(offer, names)
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await pc.createAnswer()  # it raises for some offers, too; `give_answer` makes the real one
    except OfferError:
        raise
    except OperationError as error:
        raise OfferError("The offer has a section with no codec that the server supports.") from error
    except Exception as error:  # the parser raises many kinds of errors for invalid text
        raise OfferError(f"The offer cannot be read ({type(error).__name__}: {error}).") from error


async def give_answer(pc: RTCPeerConnection, media: IceConfig, offered: int) -> None:
    """Make the answer, with its candidates, to an offer of `offered` bytes.

    Raises `OfferError`, or `OSError` if no UDP port is free.
    """
    aiortc_patches.set_dtls_roles(pc)
    publishes = all(each.direction in ("recvonly", "inactive") for each in pc.getTransceivers())
    aioice_patches.bind_media(pc, media.addresses, media.ports, Allowance(offered), media.admits, publishes=publishes)
    if not media.ice_servers:  # with one, the way in may have to be opened from here
        aioice_patches.hold_checks_back(pc)
    try:
        await pc.setLocalDescription(await pc.createAnswer())
    except ValueError as error:  # aiortc compares its answer with the offer, whose sections may share a name
        raise OfferError(f"The offer's sections cannot be answered ({error}).") from error


def deactivate_audio(pc: RTCPeerConnection) -> None:
    """Answer audio sections as inactive: they stay in the bundle, without packets."""
    for transceiver in pc.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.direction = "inactive"
