import { readFileSync } from 'node:fs';
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
  const { answer, location } = await signalled(url, pc.localDescription()?.sdp);
  pc.setRemoteDescription(answer, 'answer');
  const state = await Promise.race([settled, sleep(CONNECT_MS, 'waiting')]);
  return { connected: state === 'connected', location };
}

/**
 * The same with a connection that has the standard's methods.
 *
 * @param {RTCPeerConnection} pc
 * @param {string} url
 */
export async function standardCall(pc, url) {
  await pc.setLocalDescription(await pc.createOffer());
  const end = Date.now() + CONNECT_MS;
  while (pc.iceGatheringState !== 'complete' && Date.now() < end) await sleep(5);
  const { answer, location } = await signalled(url, pc.localDescription.sdp);
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  while (pc.connectionState !== 'connected' && Date.now() < end) await sleep(5);
  return { connected: pc.connectionState === 'connected', location };
}

/** @param {string} url @param {string | undefined} offer @returns {Promise<{answer: string, location: string}>} */
async function signalled(url, offer) {
  const headers = { 'Content-Type': 'application/sdp' };
  const response = await fetch(url, { method: 'POST', headers, body: offer });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(answer);
  await sleep(READ_MS);
  return { answer, location: new URL(response.headers.get('Location') ?? '', url).href };
}

/** Frames of a file, each behind its length in 4 bytes. @param {string} path */
export function framesOf(path) {
  const data = readFileSync(path);
  const frames = [];
  for (let at = 0; at < data.length; ) {
    const length = data.readUInt32BE(at);
    frames.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}
