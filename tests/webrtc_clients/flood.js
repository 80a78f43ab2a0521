/**
 * Calls with libdatachannel and sends wrong commands as fast as the connection takes them: `node flood.js URL SECONDS`.
 *
 * Prints a line of JSON: the commands sent, the milliseconds until the server closed the channel (null: it did not), its
 * last message, and the connection's state half a second later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import rtc from 'node-datachannel';
import { call } from './call.js';

const [url, seconds] = process.argv.slice(2);
const MAX_UNSENT = 1 << 18;

const pc = new rtc.PeerConnection('flood', { iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true });
const video = new rtc.Video('0', 'SendRecv');
video.addH264Codec(96);
video.addSSRC(1000, 'camera', 'stream', 'track');
pc.addTrack(video);
const channel = pc.createDataChannel('commands');
await call(pc, `${url}/call`);
const begin = Date.now();
let sent = 0;
let closedAfter = null;
let last = '';
channel.onMessage((text) => { last = String(text); });
while (Date.now() - begin < Number(seconds) * 1000 && closedAfter === null) {
  for (let n = 0; n < 50 && channel.isOpen() && channel.bufferedAmount() < MAX_UNSENT; n++, sent++) {
    channel.sendMessage('['.repeat(4000));
  }
  await sleep(1);
  if (sent && !channel.isOpen()) closedAfter = Date.now() - begin;
}
await sleep(500);
const { sessions } = await (await fetch(`${url}/healthz`)).json(); // here, because the call ends with this program
console.log(JSON.stringify({ sent, closedAfter, last, state: pc.state(), sessions }));
pc.close();
rtc.cleanup();
