/** The camera, painted live, and recorded to a file. */

import type { Engine } from "./engine/client";
import type { Look, Painted } from "./engine/protocol";
import type { Stage } from "./ui/stage";

const SIDES = [256, 320, 448, 640, 960] as const;
const [SLOW, FAST] = [70, 22];
const FORMATS = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm"];

export class Camera {
  private readonly video = document.createElement("video");
  private stream: MediaStream | undefined;
  private recorder: MediaRecorder | undefined;
  private side = 2;

  constructor(private readonly engine: Engine, private readonly stage: Stage) {
    this.video.muted = true;
    this.video.playsInline = true;
  }

  get open(): boolean {
    return this.stream !== undefined;
  }

  /** Show painted frames until closed; rejects with a readable line where there is no camera. */
  async start(look: () => Look, told: (fps: number, painted: Painted) => void): Promise<void> {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    } catch (error) {
      const denied = error instanceof DOMException && error.name === "NotAllowedError";
      throw new Error(denied ? "The camera was not allowed; the browser's address bar can allow it." : "No camera was found.");
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    let fps = 0;
    let last = performance.now();
    while (this.stream) {
      const painted = await this.paint(look());
      if (!painted || !this.stream) break;
      const now = performance.now();
      fps = fps ? 0.9 * fps + (0.1 * 1000) / (now - last) : 1000 / (now - last);
      last = now;
      told(fps, painted);
    }
  }

  close(): void {
    this.recorder?.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  /** The frame that is seen now. */
  snap(): Promise<ImageBitmap> {
    return createImageBitmap(this.video);
  }

  get recording(): boolean {
    return this.recorder?.state === "recording";
  }

  /** Begin to record what is painted; `done` gets the film once `stopRecording` or `close` ends it. */
  record(done: (film: Blob, extension: string) => void): void {
    const type = FORMATS.find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
    const parts: Blob[] = [];
    const recorder = new MediaRecorder(this.stage.after.captureStream(), type ? { mimeType: type, videoBitsPerSecond: 8e6 } : {});
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => done(new Blob(parts, { type: recorder.mimeType }), recorder.mimeType.includes("mp4") ? "mp4" : "webm");
    recorder.start(1000);
    this.recorder = recorder;
  }

  stopRecording(): void {
    this.recorder?.stop();
  }

  private async paint(look: Look): Promise<Painted | undefined> {
    const { videoWidth: width, videoHeight: height } = this.video;
    const share = Math.min(1, SIDES[this.side]! / Math.max(width, height));
    const bitmap = await createImageBitmap(this.video, {
      resizeWidth: Math.round(width * share), resizeHeight: Math.round(height * share), resizeQuality: "medium",
    });
    const painted = await this.engine.ask("frame", { look, bitmap }, [bitmap]);
    if (!this.stream) return undefined;
    this.stage.showPhoto(this.video, width, height);
    this.stage.showPainting(painted);
    // A recording keeps its size.
    if (!this.recording) {
      if (painted.ms > SLOW) this.side = Math.max(0, this.side - 1);
      else if (painted.ms < FAST) this.side = Math.min(SIDES.length - 1, this.side + 1);
    }
    return painted;
  }
}
