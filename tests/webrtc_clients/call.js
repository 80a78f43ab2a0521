import { setTimeout as sleep } from 'node:timers/promises';

const CONNECT_MS = 10_000;
/** From the answer's arrival until it is applied, as a program with other work needs. */
const READ_MS = 20;

/**
 * Sends a connection's offer and applies the answer; returns the URL that ends the call, when it is connected.
 *
 * @param {import('node-datachannel').PeerConnection} pc
 * @param {string} url
 */
export async function call(pc, url) {
  const gathered = new Promise((done) => pc.onGatheringStateChange((state) => {
    if (state === 'complete') done(state);
  }));
  const settled = new Promise((done) => pc.onStateChange((state) => {
    if (['connected', 'failed', 'closed'].includes(state)) done(state);
  }));
  pc.setLocalDescription('offer');
  await gathered;
  const headers = { 'Content-Type': 'application/sdp' };
  const response = await fetch(url, { method: 'POST', headers, body: pc.localDescription()?.sdp });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(answer);
  await sleep(READ_MS);
  pc.setRemoteDescription(answer, 'answer');
  const state = await Promise.race([settled, sleep(CONNECT_MS, 'waiting')]);
  return { connected: state === 'connected', location: new URL(response.headers.get('Location') ?? '', url).href };
}
