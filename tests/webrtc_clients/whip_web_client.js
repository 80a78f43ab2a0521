/**
 * Publishes a browser's camera by WHIP with @eyevinn/whip-web-client. A page gets it as one file, which esbuild makes.
 */
import { WHIPClient } from '@eyevinn/whip-web-client';

const CONNECT_MS = 10_000;
/** It waits this long for candidates in each call, because it listens for an event that no browser sends. */
const GATHER_MS = 100;

/**
 * Publishes until so many frames are sent and ends the call; returns whether it connected, and how many were sent.
 *
 * @param {string} endpoint
 * @param {number} frames
 * @param {string} [token] sent as bearer token
 */
export async function publish(endpoint, frames, token) {
  const opts = { iceServers: [], timeout: GATHER_MS, authkey: token };
  const client = new WHIPClient({ endpoint, opts });
  if (token !== undefined) await client.setIceServersFromEndpoint();
  await client.ingest(await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } }));
  const { peer } = client;
  const isConnected = await within(CONNECT_MS, () => peer.connectionState === 'connected');
  if (isConnected) await within(CONNECT_MS, async () => (await sending(peer)).framesSent >= frames);
  const { framesSent = 0, codec } = isConnected ? await sending(peer) : {};
  if (client.resource) await client.destroy(); // it waits for ever if the server refused the call
  else peer.close();
  return { connected: isConnected, sent: framesSent, codec };
}

/** The frames that were sent, and the codec's MIME type. @param {RTCPeerConnection} peer */
async function sending(peer) {
  const stats = await peer.getStats();
  const video = [...stats.values()].find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
  return { framesSent: video?.framesSent ?? 0, codec: stats.get(video?.codecId)?.mimeType };
}

/** Whether a condition is true in time. @param {number} ms @param {() => boolean | Promise<boolean>} condition */
async function within(ms, condition) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return true;
    await new Promise((done) => setTimeout(done, 10));
  }
  return false;
}
