/**
 * Publishes by WHIP with werift, WebRTC in TypeScript: `node werift.js URL TRIES FRAMES SENT`.
 *
 * FRAMES is a file of encoded VP8 frames, each behind its length in 4 bytes. Prints a line of JSON for each try.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useVP8 } from 'werift';
import { framesOf, standardCall } from './call.js';

const [url, tries, file, count] = process.argv.slice(2);
const frames = framesOf(file);
const STEP = 3000;
const MAX_PAYLOAD = 1100;

/** @param {Buffer} frame @returns {Buffer[]} RTP payloads (RFC 7741): a descriptor of one byte, then a part of the frame */
function payloads(frame) {
  const parts = [];
  for (let at = 0; at < frame.length; at += MAX_PAYLOAD) {
    parts.push(Buffer.concat([Buffer.from([at ? 0x00 : 0x10]), frame.subarray(at, at + MAX_PAYLOAD)]));
  }
  return parts;
}

async function publish() {
  const pc = new RTCPeerConnection({ iceServers: [], codecs: { video: [useVP8()] } });
  const track = new MediaStreamTrack({ kind: 'video' });
  pc.addTransceiver(track, { direction: 'sendonly' });
  const { connected, location } = await standardCall(pc, `${url}/whip`);
  let sent = 0;
  let sequenceNumber = 1000;
  for (; connected && sent < Number(count); sent++) {
    const parts = payloads(frames[sent % frames.length]);
    parts.forEach((part, place) => {
      const header = new RtpHeader({
        version: 2, payloadType: 96, sequenceNumber: sequenceNumber++, timestamp: sent * STEP, marker: place === parts.length - 1,
      });
      track.writeRtp(new RtpPacket(header, part));
    });
    await sleep(1000 / 30);
  }
  const over = await fetch(location, { method: 'DELETE' });
  await pc.close();
  return { connected, sent, deleted: over.status };
}

for (let number = 0; number < Number(tries); number++) console.log(JSON.stringify(await publish()));
process.exit(0);
