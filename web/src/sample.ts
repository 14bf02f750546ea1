/** The picture that greets: a lake among hills, drawn here so that it is nobody else's. */

const WIDTH = 1200;
const HEIGHT = 800;
const SHORE = 520;

/** Draw it, [WIDTH, HEIGHT]; always the same. */
export function drawSample(): OffscreenCanvas {
  const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const random = numbers(7);
  sky(context, random);
  hills(context, random);
  reflect(context, canvas, random);
  shore(context, random);
  boat(context);
  grain(context, random);
  return canvas;
}

/** As a photo has it: a network that is shown nothing paints its own pixel grid. */
function grain(context: Context, random: () => number): void {
  const image = context.getImageData(0, 0, WIDTH, HEIGHT);
  for (let at = 0; at < image.data.length; at += 4) {
    const change = 12 * (random() + random() - 1);
    for (let c = at; c < at + 3; c++) image.data[c] = image.data[c]! + change;
  }
  context.putImageData(image, 0, 0);
}

function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Context = OffscreenCanvasRenderingContext2D;

function sky(context: Context, random: () => number): void {
  const light = context.createLinearGradient(0, 0, 0, SHORE);
  for (const [at, color] of [[0, "#2d5c96"], [0.45, "#7fa9c9"], [0.75, "#f3c98b"], [1, "#f7a65f"]] as const) {
    light.addColorStop(at, color);
  }
  context.fillStyle = light;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  const glow = context.createRadialGradient(830, 330, 20, 830, 330, 330);
  glow.addColorStop(0, "rgb(255 244 205 / 95%)");
  glow.addColorStop(0.18, "rgb(255 226 150 / 60%)");
  glow.addColorStop(1, "rgb(255 200 120 / 0%)");
  context.fillStyle = glow;
  context.fillRect(0, 0, WIDTH, SHORE);
  context.fillStyle = "#fff3cf";
  disc(context, 830, 330, 46);
  for (let i = 0; i < 90; i++) {
    const band = Math.floor(random() * 5);
    const x = ((band * 331) % WIDTH) + (random() - 0.5) * 330;
    const y = 70 + band * 42 + (random() - 0.5) * 34;
    context.fillStyle = `rgb(255 ${235 + band * 3} ${225 - band * 10} / ${10 + random() * 18}%)`;
    context.beginPath();
    context.ellipse(x, y, 40 + random() * 75, 10 + random() * 17, 0, 0, 2 * Math.PI);
    context.fill();
  }
}

function hills(context: Context, random: () => number): void {
  const layers = [["#7d93b5", 330, 95], ["#5d7a94", 390, 75], ["#426a62", 440, 60], ["#2d5140", 485, 36]] as const;
  layers.forEach(([color, level, rise], layer) => {
    const phase = random() * 9;
    context.fillStyle = color;
    context.beginPath();
    context.moveTo(0, SHORE);
    for (let x = 0; x <= WIDTH; x += 4) context.lineTo(x, level - rise * ridge(x / 190 + phase + layer));
    context.lineTo(WIDTH, SHORE);
    context.fill();
  });
  for (let i = 0; i < 70; i++) pine(context, random() * WIDTH, SHORE + 2, 26 + random() * 46, `hsl(${145 + random() * 25} 34% ${13 + random() * 12}%)`);
}

function ridge(x: number): number {
  return 0.55 * Math.sin(x) + 0.3 * Math.sin(2.3 * x + 1) + 0.12 * Math.sin(6.1 * x) + 0.05 * Math.sin(17 * x);
}

function reflect(context: Context, canvas: OffscreenCanvas, random: () => number): void {
  for (let y = 0; y < HEIGHT - SHORE; y++) {
    const shift = 5 * Math.sin(y / 5 + 3 * Math.sin(y / 31)) * (0.3 + y / 200);
    context.drawImage(canvas, 0, Math.max(0, SHORE - 1 - y * 1.6), WIDTH, 1, shift, SHORE + y, WIDTH, 1);
  }
  const depth = context.createLinearGradient(0, SHORE, 0, HEIGHT);
  depth.addColorStop(0, "rgb(20 50 70 / 15%)");
  depth.addColorStop(1, "rgb(12 36 58 / 72%)");
  context.fillStyle = depth;
  context.fillRect(0, SHORE, WIDTH, HEIGHT - SHORE);
  for (let i = 0; i < 420; i++) {
    const y = SHORE + 6 + random() ** 1.4 * (HEIGHT - SHORE);
    const near = (y - SHORE) / (HEIGHT - SHORE);
    const x = i % 2 ? 830 + (random() - 0.5) * (120 + 330 * near) : random() * WIDTH;
    context.fillStyle = i % 2 ? `rgb(255 225 160 / ${25 + random() * 50}%)` : `rgb(190 220 235 / ${8 + random() * 16}%)`;
    context.fillRect(x, y, 8 + random() * 46 * (0.4 + near), 1 + 2.4 * near);
  }
}

function shore(context: Context, random: () => number): void {
  context.fillStyle = "#1f3325";
  context.beginPath();
  context.moveTo(0, HEIGHT);
  for (let x = 0; x <= 520; x += 5) context.lineTo(x, 690 + x * 0.22 + 14 * ridge(x / 60));
  context.lineTo(520, HEIGHT);
  context.fill();
  for (const [x, height] of [[70, 470], [165, 380], [255, 300], [20, 360]] as const) pine(context, x, 745, height, "#16281e");
  for (let i = 0; i < 420; i++) {
    const x = random() * 500;
    const y = 715 + x * 0.2 + random() * 60;
    context.strokeStyle = `hsl(${75 + random() * 60} 45% ${20 + random() * 26}%)`;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + (random() - 0.5) * 18, y - 12 - random() * 26);
    context.stroke();
    if (i % 9 === 0) {
      context.fillStyle = ["#e8b23f", "#d9573c", "#f1e4d2"][i % 3]!;
      disc(context, x, y - 22, 3 + random() * 3);
    }
  }
}

function pine(context: Context, x: number, foot: number, height: number, color: string): void {
  context.fillStyle = color;
  context.fillRect(x - height * 0.02, foot - height * 0.2, height * 0.04, height * 0.2);
  for (let tier = 0; tier < 6; tier++) {
    const top = foot - height + tier * height * 0.14;
    const half = height * (0.05 + tier * 0.028);
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x + half, top + height * 0.24);
    context.lineTo(x - half, top + height * 0.24);
    context.fill();
  }
}

function boat(context: Context): void {
  context.fillStyle = "#f4ead6";
  triangle(context, [[706, 476], [706, 590], [768, 584]]);
  context.fillStyle = "#d24a32";
  triangle(context, [[698, 496], [698, 590], [654, 586]]);
  context.fillStyle = "#5b2d1e";
  context.beginPath();
  context.moveTo(640, 598);
  context.quadraticCurveTo(706, 632, 782, 596);
  context.lineTo(640, 598);
  context.fill();
  context.fillStyle = "rgb(30 20 25 / 35%)";
  context.beginPath();
  context.ellipse(712, 622, 78, 8, 0, 0, 2 * Math.PI);
  context.fill();
}

function triangle(context: Context, corners: [number, number][]): void {
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.fill();
}

function disc(context: Context, x: number, y: number, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
