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
  /** Of the next frame, and of the one that is shown: their longer sides, as places in SIDES. */
  private side = 2;
  private shown = 2;
  /** Counts openings and closings: a camera that is allowed only after it was closed stays so. */
  private turn = 0;
  open = false;

  constructor(private readonly engine: Engine, private readonly stage: Stage) {
    this.video.muted = true;
    this.video.playsInline = true;
  }

  /** Show painted frames until closed; rejects with a readable line where there is no camera. */
  async start(look: () => Look, told: (fps: number, painted: Painted) => void): Promise<void> {
    const turn = ++this.turn;
    this.open = true;
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    } catch (error) {
      if (turn !== this.turn) return;
      const denied = error instanceof DOMException && error.name === "NotAllowedError";
      throw new Error(denied ? "The camera was not allowed; the browser's address bar can allow it." : "No camera was found.");
    }
    if (turn !== this.turn) return release(stream);
    this.stream = stream;
    this.stage.keep();
    this.video.srcObject = stream;
    await this.video.play().catch((error) => {
      if (turn === this.turn) throw error;
    });
    let fps = 0;
    let last = performance.now();
    while (turn === this.turn && stream.active) {
      const painted = await this.paint(look());
      if (!painted || turn !== this.turn) break;
      const now = performance.now();
      fps = fps ? 0.9 * fps + (0.1 * 1000) / (now - last) : 1000 / (now - last);
      last = now;
      told(fps, painted);
    }
    if (turn === this.turn) throw new Error("The camera is gone.");
  }

  close(): void {
    this.turn++;
    this.open = false;
    this.recorder?.stop();
    release(this.stream);
    this.stream = undefined;
    this.video.srcObject = null;
    this.stage.restore();
  }

  /** The frame that is seen now; rejects with a readable line where there is none yet. */
  async snap(): Promise<ImageBitmap> {
    if (!this.video.videoWidth) throw new Error("The camera shows nothing yet.");
    return createImageBitmap(this.video);
  }

  get recording(): boolean {
    return this.recorder?.state === "recording";
  }

  /** Begin to record what is painted; `done` gets the film once `stopRecording` or `close` ends it. */
  record(done: (film: Blob, extension: string) => void): void {
    const type = FORMATS.find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
    this.side = this.shown; // a recording keeps its size
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
    const side = this.side;
    const share = Math.min(1, SIDES[side]! / Math.max(width, height));
    const bitmap = await createImageBitmap(this.video, {
      resizeWidth: Math.round(width * share), resizeHeight: Math.round(height * share), resizeQuality: "medium",
    });
    const painted = await this.engine.ask("frame", { look, bitmap }, [bitmap]);
    if (!this.open) return undefined;
    const { width: wide, height: high } = this.stage.after;
    if (this.recording && (painted.width !== wide || painted.height !== high)) {
      if (side === this.shown) this.stopRecording(); // the camera was turned
      return painted;
    }
    this.shown = side;
    this.stage.showPhoto(this.video, width, height);
    this.stage.showPainting(painted);
    if (!this.recording) {
      if (painted.ms > SLOW) this.side = Math.max(0, this.side - 1);
      else if (painted.ms < FAST) this.side = Math.min(SIDES.length - 1, this.side + 1);
    }
    return painted;
  }
}

function release(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
