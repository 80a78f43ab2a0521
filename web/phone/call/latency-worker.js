// @ts-check
/**
 * A worker that the camera's encoded frames pass through: it reports to the page when each frame was sent.
 *
 * The frames are unchanged.
 */

addEventListener('rtctransform', (event) => {
  const { readable, writable, options } = /** @type {any} */ (event).transformer;
  if (!options.report) return void readable.pipeTo(writable);
  const reporting = new TransformStream({
    transform(frame, controller) {
      controller.enqueue(frame);
      const { rtpTimestamp } = frame.getMetadata();
      postMessage({ rtp: rtpTimestamp ?? frame.timestamp, at: performance.timeOrigin + performance.now() });
    },
  });
  readable.pipeThrough(reporting).pipeTo(writable);
});
postMessage('ready');
