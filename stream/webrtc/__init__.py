"""WebRTC by aiortc: peers, packets, viewers, congestion control."""
