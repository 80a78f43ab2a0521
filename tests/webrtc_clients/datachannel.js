/**
 * Publishes by WHIP with libdatachannel, the stack of OBS: `node datachannel.js URL TRIES FRAMES SENT`.
 *
 * FRAMES is a file of encoded H.264 frames, each behind its length in 4 bytes; SENT of them are sent in each try. Prints
 * a line of JSON for each try: whether it connected, how many frames were sent, and the status of the DELETE.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import rtc from 'node-datachannel';
import { call, framesOf } from './call.js';

const [url, tries, file, count] = process.argv.slice(2);
const STEP = 3000;

const frames = framesOf(file);

/** @param {number} number */
async function publish(number) {
  const pc = new rtc.PeerConnection(`try ${number}`, { iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true });
  const video = new rtc.Video('0', 'SendOnly');
  video.addH264Codec(96);
  video.addSSRC(1000 + number, 'camera', 'stream', 'track');
  const track = pc.addTrack(video);
  const open = new Promise((done) => track.onOpen(() => done(true)));
  const config = new rtc.RtpPacketizationConfig(1000 + number, 'camera', 96, 90_000);
  track.setMediaHandler(new rtc.H264RtpPacketizer('StartSequence', config, 1100));
  const { connected, location } = await call(pc, `${url}/whip`);
  if (connected) await open;
  let sent = 0;
  for (; connected && sent < Number(count); sent++) {
    config.timestamp = sent * STEP;
    track.sendMessageBinary(frames[sent % frames.length]);
    await sleep(1000 / 30);
  }
  const over = await fetch(location, { method: 'DELETE' });
  pc.close();
  return { connected, sent, deleted: over.status };
}

for (let number = 0; number < Number(tries); number++) console.log(JSON.stringify(await publish(number)));
rtc.cleanup();
