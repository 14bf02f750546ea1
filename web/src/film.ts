/** Video files: every frame painted, sound kept, by WebCodecs and mediabunny; loaded only where a film is dropped. */

import { ALL_FORMATS, BlobSource, BufferTarget, Conversion, Input, Mp4OutputFormat, Output, VideoSampleSink } from "mediabunny";
import type { Engine } from "./engine/client";
import type { Look } from "./engine/protocol";

const LONGEST = 1920;

/** The first frame of a film; rejects with a readable line where it is none. */
export async function firstFrame(file: Blob): Promise<ImageBitmap> {
  if (!("VideoDecoder" in window)) throw new Error("This browser cannot decode videos here; Chrome, Edge, Safari and new Firefox can.");
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    const track = await input.getPrimaryVideoTrack();
    if (!track || !(await track.canDecode())) throw new Error("no picture");
    const sample = await new VideoSampleSink(track).getSample(await track.getFirstTimestamp());
    const canvas = new OffscreenCanvas(sample!.displayWidth, sample!.displayHeight);
    sample!.draw(canvas.getContext("2d")!, 0, 0);
    sample!.close();
    return canvas.transferToImageBitmap();
  } catch {
    throw new Error("This video cannot be read by the browser.");
  } finally {
    input.dispose();
  }
}

/** A film being painted; `stop` ends it. */
export class Film {
  private conversion: Conversion | undefined;
  private stopped = false;

  constructor(private readonly engine: Engine, private readonly file: Blob) {}

  /** An .mp4, or undefined where it was stopped. */
  async paint(look: Look, report: (share: number) => void): Promise<Blob | undefined> {
    const input = new Input({ source: new BlobSource(this.file), formats: ALL_FORMATS });
    const target = new BufferTarget();
    const output = new Output({ format: new Mp4OutputFormat({ fastStart: "in-memory" }), target });
    const canvas = new OffscreenCanvas(1, 1);
    this.conversion = await Conversion.init({
      input,
      output,
      video: {
        forceTranscode: true,
        process: async (sample) => {
          const share = Math.min(1, LONGEST / Math.max(sample.displayWidth, sample.displayHeight));
          // Encoders want even sides.
          const [width, height] = [sample.displayWidth, sample.displayHeight].map((side) => Math.max(2, 2 * Math.round((side * share) / 2)));
          [canvas.width, canvas.height] = [width!, height!];
          sample.draw(canvas.getContext("2d")!, 0, 0, width!, height!);
          const bitmap = canvas.transferToImageBitmap();
          const painted = await this.engine.ask("frame", { look, bitmap }, [bitmap]);
          canvas.getContext("2d")!.putImageData(new ImageData(painted.rgba, width!, height!), 0, 0);
          return canvas;
        },
      },
    });
    if (!this.conversion.isValid) throw new Error("This video cannot be written again by this browser.");
    this.conversion.onProgress = report;
    try {
      await this.conversion.execute();
    } catch (error) {
      if (this.stopped) return undefined;
      throw error;
    }
    return new Blob([target.buffer!], { type: "video/mp4" });
  }

  stop(): void {
    this.stopped = true;
    void this.conversion?.cancel();
  }
}
