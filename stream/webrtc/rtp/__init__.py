"""RTP packets: received ones become frames, frames become packets, and how many bits each direction has."""
