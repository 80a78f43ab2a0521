"""WebRTC with aiortc: peers, packets, viewers, congestion control."""
