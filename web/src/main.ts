/** Puts the page together: what is shown, what is chosen, and what happens then. */

import { Camera } from "./camera";
import { Engine } from "./engine/client";
import type { Painted, Runtime } from "./engine/protocol";
import { keepForOffline } from "./offline";
import { Painting } from "./painting";
import { drawSample } from "./sample";
import { savePicture, withProgress } from "./saving";
import { Styles, fileName } from "./styles";
import { download, element, lineOf, say } from "./ui/elements";
import { takeFiles } from "./ui/intake";
import { Sliders } from "./ui/sliders";
import { Stage } from "./ui/stage";
import { Strip } from "./ui/strip";

const root = new URL("./", location.href).href;
const engine = new Engine();
const styles = new Styles(engine, root);
const stage = new Stage();
const strip = new Strip((key) => void choose(key));
const camera = new Camera(engine, stage);
const sliders = new Sliders(move);
let runtime: Runtime = { device: "WASM", threads: 1, files: [] };
let name = "sample";
let film: Blob | undefined;

const painting = new Painting(engine, styles, {
  painting: (painted) => {
    stage.showPainting(painted);
    status(painted);
  },
  thumb: (key, painted) => strip.show(key, painted),
  busy: (busy) => (stage.busy = busy),
  failed: (error) => say(lineOf(error)),
});

function status(painted: Painted, fps = 0): void {
  const threads = painted.device === "WASM" ? `, ${runtime.threads} thread${runtime.threads > 1 ? "s" : ""}` : "";
  const each = `${painted.ms.toFixed(0)}\u00a0ms a frame at ${painted.width} × ${painted.height}`;
  element("status").textContent = `${painted.device}${threads} · ${each}${fps ? ` · ${fps.toFixed(1)} frames a second` : ""}`;
}

async function choose(key: string): Promise<void> {
  const one = styles.listed.get(key)!;
  painting.key = key;
  strip.check(key);
  element("title").textContent = one.title;
  element("about").textContent = [one.painting, one.license].filter(Boolean).join(" · ");
  try {
    await fit();
    move();
  } catch (error) {
    say(lineOf(error));
  }
}

/** Let the sliders go as far as the style and the picture do. */
async function fit(): Promise<void> {
  const card = await styles.open(painting.key);
  sliders.fit(card, painting.moving || camera.open ? 0 : painting.longest);
  [painting.strength, painting.brush] = [sliders.strength, sliders.brush];
}

function move(): void {
  [painting.strength, painting.brush] = [sliders.strength, sliders.brush];
  if (!camera.open) painting.update();
}

/** Take a photo, or the first frame of a film, as the picture. Rejects with a readable line. */
async function show(source: Blob | ImageBitmap, called: string, theFilm?: Blob): Promise<void> {
  const own = source instanceof Blob ? await createImageBitmap(source).catch(() => undefined) : source;
  if (!own) throw new Error(`${called} is not a picture that the browser can read.`);
  const { width, height } = own;
  stage.showPhoto(own, width, height);
  if (source instanceof Blob) own.close();
  await engine.ask("photo", { source }, source instanceof Blob ? [] : [source]);
  [name, film] = [called.replace(/\.[^.]*$/, ""), theFilm];
  [painting.longest, painting.moving] = [Math.max(width, height), theFilm !== undefined];
  element("png").textContent = film ? "Save the video" : "Save as PNG";
  element("jpeg").hidden = film !== undefined;
  const pixels = (width * height) / 1e6;
  element("size").textContent = `${width} × ${height}${pixels >= 1 ? `, ${pixels.toFixed(1)} megapixels` : ""}`;
  if (painting.key) await fit();
}

async function take(file: File): Promise<void> {
  say("");
  try {
    if (/\.onnx$/i.test(file.name)) {
      const added = await styles.add(file);
      for (const one of added.toReversed()) strip.add(one.name, one.title, true);
      await choose(added[0]!.name);
      void painting.fillStrip();
      return;
    }
    closeCamera();
    const moving = file.type.startsWith("video/") || /\.(mp4|mov|mkv|webm)$/i.test(file.name);
    if (moving) await show(await (await import("./film")).firstFrame(file), file.name, file);
    else await show(file, file.name);
    settled();
  } catch (error) {
    say(lineOf(error));
  }
}

async function save(type: string): Promise<void> {
  say("");
  const called = `${name}-${fileName(painting.key)}`;
  const look = styles.look(painting.key, painting.strength);
  if (!film) return savePicture(engine, look, painting.first, called, type);
  const { Film } = await import("./film");
  const job = new Film(engine, film);
  await withProgress("Painting every frame", () => job.stop(), async (report) => {
    const made = await job.paint(look, report);
    if (made) download(made, `${called}.mp4`);
  });
}

async function openCamera(): Promise<void> {
  say("");
  setLive(true);
  painting.pause();
  try {
    await camera.start(() => styles.look(painting.key, painting.strength), (fps, painted) => status(painted, fps));
  } catch (error) {
    say(lineOf(error));
    leaveCamera();
  }
}

/** Back to the photo. */
function leaveCamera(): void {
  closeCamera();
  if (!painting.key) return; // the styles are still being loaded
  void fit();
  painting.update();
}

function closeCamera(): void {
  camera.close();
  setLive(false);
}

function setLive(live: boolean): void {
  for (const id of ["start", "save"]) element(id).hidden = live;
  element("live").hidden = !live;
  element("brushing").hidden ||= live;
}

async function snap(): Promise<void> {
  try {
    const picture = await camera.snap();
    closeCamera();
    await show(picture, "camera");
    settled();
  } catch (error) {
    say(lineOf(error));
  }
}

/** Somebody's own picture is there: paint it, and the strip. */
function settled(): void {
  element("start").classList.add("done");
  element("choose").textContent = "Another photo";
  painting.update();
  void painting.fillStrip();
}

function record(): void {
  const button = element("record");
  const recording = camera.recording;
  if (recording) camera.stopRecording();
  else {
    camera.record((made, extension) => {
      download(made, `camera-${fileName(painting.key)}.${extension}`);
      button.textContent = "Record";
      button.setAttribute("aria-pressed", "false");
    });
    button.textContent = "Stop recording";
  }
  button.setAttribute("aria-pressed", String(!recording));
}

function listen(): void {
  takeFiles((file) => void take(file));
  element("png").addEventListener("click", () => void save("image/png"));
  element("jpeg").addEventListener("click", () => void save("image/jpeg"));
  element("camera").addEventListener("click", () => void openCamera());
  element("snap").addEventListener("click", () => void snap());
  element("record").addEventListener("click", record);
  element("leave").addEventListener("click", leaveCamera);
  element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
}

async function begin(): Promise<void> {
  listen();
  const sample = drawSample();
  await show(sample.transferToImageBitmap(), "sample");
  const device = new URLSearchParams(location.search).get("device") ?? "auto";
  const [list] = await Promise.all([styles.load(), engine.ask("start", { root, device }).then((one) => (runtime = one))]);
  for (const one of list) strip.add(one.name, one.title);
  if (list[0]) await choose(list[0].name);
  await painting.fillStrip();
  document.documentElement.dataset["ready"] = "true";
  await keepForOffline(runtime.files);
}

begin().catch((error) => say(lineOf(error)));
