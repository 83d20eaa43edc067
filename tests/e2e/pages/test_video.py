"""Multi-frame images as video: a real browser plays them, each frame at its time."""

import base64

import numpy as np

from isocenter.imaging.video import encode_mp4

# Where the bright bar begins and ends at these moments, and what the video says of itself.
LOOK = """async ([data, moments]) => {
  const video = document.createElement("video");
  const next = name => new Promise((done, fail) => {
    video["on" + name] = done;
    video.onerror = () => fail(video.error.message);
  });
  const loaded = next("loadeddata");
  video.src = "data:video/mp4;base64," + data;
  await loaded;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const bars = [];
  for (const moment of moments) {
    const shown = new Promise(done => video.requestVideoFrameCallback(done));
    video.currentTime = moment;
    await shown;
    pen.drawImage(video, 0, 0);
    const row = pen.getImageData(0, 20, canvas.width, 1).data;
    const bright = [...Array(canvas.width).keys()].filter(x => row[4 * x] > 200);
    bars.push([bright[0], bright.at(-1)]);
  }
  return { length: video.duration, width: canvas.width, height: canvas.height, bars };
}"""


def test_a_browser_plays_every_frame_at_its_time(chromium):
    images = []
    for number in range(12):
        image = np.full((45, 161), 60, np.uint8)  # odd sizes, as images have them
        image[10:30, 10 * number : 10 * number + 40] = 255
        images.append(image)
    video = base64.b64encode(encode_mp4(images, frame_time_ms=50, quality=95)).decode()
    page = chromium.new_page()
    try:
        shown = page.evaluate(LOOK, [video, [0.275, 0.575, 0.125]])
    finally:
        page.close()
    assert shown == {
        "length": 0.6,
        "width": 161,
        "height": 45,
        "bars": [[50, 89], [110, 149], [20, 59]],
    }
