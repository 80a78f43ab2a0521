/**
 * Publishes by WHIP with libwebrtc in node: `node roamhq.js URL TRIES SENT`. Prints a line of JSON for each try.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import wrtc from '@roamhq/wrtc';
import { standardCall } from './call.js';

const [url, tries, count] = process.argv.slice(2);
const [width, height] = [160, 120];

async function publish() {
  const pc = new wrtc.RTCPeerConnection({ iceServers: [] });
  const source = new wrtc.nonstandard.RTCVideoSource();
  const track = source.createTrack();
  pc.addTransceiver(track, { direction: 'sendonly' });
  const { connected, location } = await standardCall(pc, `${url}/whip`);
  let sent = 0;
  for (; connected && sent < Number(count); sent++) {
    const data = new Uint8ClampedArray((width * height * 3) / 2).fill(128);
    data.fill((sent * 8) % 256, 0, width * height);
    source.onFrame({ width, height, data });
    await sleep(1000 / 30);
  }
  const over = await fetch(location, { method: 'DELETE' });
  track.stop();
  pc.close();
  return { connected, sent, deleted: over.status };
}

for (let number = 0; number < Number(tries); number++) console.log(JSON.stringify(await publish()));
process.exit(0);
