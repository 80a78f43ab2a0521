// @ts-check
/**
 * A worker that the camera's encoded frames pass on their way out: it tells the page when each of them went.
 *
 * The frames themselves are not touched.
 */

addEventListener('rtctransform', (event) => {
  const { readable, writable, options } = /** @type {any} */ (event).transformer;
  if (!options.tell) return void readable.pipeTo(writable);
  const tell = new TransformStream({
    transform(frame, controller) {
      controller.enqueue(frame);
      const { rtpTimestamp } = frame.getMetadata();
      postMessage({ rtp: rtpTimestamp ?? frame.timestamp, at: performance.timeOrigin + performance.now() });
    },
  });
  readable.pipeThrough(tell).pipeTo(writable);
});
postMessage('ready');
