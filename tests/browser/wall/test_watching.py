"""A real browser watches a session: without a camera, so that its candidates hide their addresses (`.local`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright

from tests.browser.camera import start_browser
from tests.browser.publishing import SIZE, published
from tests.support.servers.server_process import serving

pytestmark = pytest.mark.alone

WATCH = """async ([path, codec]) => {
  const pc = new RTCPeerConnection();
  const transceiver = pc.addTransceiver('video', {direction: 'recvonly'});
  const known = RTCRtpReceiver.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(known.filter(({mimeType}) => mimeType === `video/${codec}`));
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  window.watching = {pc, video, frames: 0, offer: '', status: 0, says: ''};
  pc.addEventListener('track', ({track}) => {
    video.srcObject = new MediaStream([track]);
    video.play();
    const count = () => { window.watching.frames += 1; video.requestVideoFrameCallback(count); };
    video.requestVideoFrameCallback(count);
  });
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== 'complete') {
    await new Promise((resolve) => pc.addEventListener('icegatheringstatechange', resolve, {once: true}));
  }
  const offer = pc.localDescription.sdp;
  const began = performance.now();
  const response = await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: offer});
  Object.assign(window.watching, {offer, status: response.status, says: await response.text()});
  window.watching.answered_ms = performance.now() - began;
  if (response.ok) await pc.setRemoteDescription({type: 'answer', sdp: window.watching.says});
}"""


@pytest.fixture
def bare_page(playwright: Playwright) -> Iterator[Page]:
    """A page of a browser whose user allows nothing."""
    browser = start_browser(playwright)
    yield browser.new_page()
    browser.close()


@pytest.mark.parametrize("stream", ["explained", pytest.param("camera", marks=pytest.mark.long)])
def test_a_browser_without_a_camera_watches_and_is_told_of_the_end(
    tmp_path: Path, bare_page: Page, stream: str
) -> None:
    page = bare_page
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(server.url)
        with published(server) as session_id:
            page.evaluate(WATCH, [f"/whep/{session_id}?stream={stream}", "H264"])
            watching = page.evaluate("() => ({...window.watching, pc: null, video: null})")
            assert watching["status"] == 201, watching["says"]
            candidates = [line for line in watching["offer"].splitlines() if line.startswith("a=candidate:")]
            assert candidates
            assert all(".local " in line for line in candidates)
            assert watching["answered_ms"] < 900  # a name in .local is looked up for longer
            page.wait_for_function("() => window.watching.frames >= 30", timeout=20_000)
            assert page.evaluate("() => [watching.video.videoWidth, watching.video.videoHeight]") == list(SIZE)
        # Chromium's `connectionState` follows some eight seconds later.
        ended = "() => window.watching.pc.getReceivers()[0].transport.state === 'closed'"
        page.wait_for_function(ended, timeout=5_000)


@pytest.mark.long
def test_a_browser_that_takes_another_codec_is_told(tmp_path: Path, bare_page: Page) -> None:
    page = bare_page
    with serving(tmp_path, arguments=["--no-record"]) as server, published(server) as session_id:
        page.goto(server.url)
        page.evaluate(WATCH, [f"/whep/{session_id}", "VP8"])
        assert page.evaluate("() => [window.watching.status, window.watching.says]") == [
            400,
            "This session's codec is H264, which the offer does not include.",
        ]
