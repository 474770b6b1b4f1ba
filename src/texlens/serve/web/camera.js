// The camera: a live view, and a picture of it.
import { blobOf, canvasOf } from "./dom.js";
import { Refused } from "./requests.js";

export class Camera {
  constructor(video) {
    this.video = video;
    this.session = 0;
  }

  async start() {
    const session = (this.session += 1);
    if (!navigator.mediaDevices?.getUserMedia) throw new Refused("error.camera_none");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } },
      });
    } catch (error) {
      throw new Refused(error.name === "NotAllowedError" ? "error.camera_refused" : "error.camera_none");
    }
    if (session !== this.session) return stop(stream); // closed while the browser asked
    this.video.srcObject = stream;
    return this.video.play();
  }

  stop() {
    this.session += 1;
    stop(this.video.srcObject);
    this.video.srcObject = null;
  }

  async snap() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) throw new Refused("error.camera_none");
    const canvas = canvasOf(width, height);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    return blobOf(canvas, "image/jpeg");
  }
}

function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
