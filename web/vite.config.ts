import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { HELLO } from "./src/engine/held";

const OUT = "../src/onestroke/page/dist";
const ORT = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded";
/** The runtime's builds, without WebGPU and with it. */
const BUILDS = { plain: ORT, webgpu: `${ORT}.asyncify` };
// What src/engine/held.ts waits for, from the runtime's threads.
const GREETING = `if (globalThis.self?.name?.startsWith("em-pthread")) postMessage("${HELLO}");\n`;
const BUNDLED = ["onnxruntime-web", "onnxruntime-common", "mediabunny"];

/** The runtime: its JavaScript beside the page, its WebAssembly packed for the wheel. */
function runtime(): Plugin {
  return {
    name: "runtime",
    closeBundle() {
      mkdirSync(`${OUT}/ort`, { recursive: true });
      for (const [name, build] of Object.entries(BUILDS)) {
        writeFileSync(`${OUT}/ort/${name}.mjs`, GREETING + readFileSync(`${build}.mjs`, "utf8"));
        execFileSync("python3", ["pack.py", `${build}.wasm`, `${OUT}/../ort/${name}.wasm.xz`]);
      }
      writeFileSync(`${OUT}/LICENSES`, licenses());
      stamp();
    },
  };
}

/** Give the service worker a version that changes with whatever it keeps. */
function stamp(): void {
  const names = readdirSync(`${OUT}/assets`).sort().join();
  const version = createHash("sha256").update(names).digest("hex").slice(0, 12);
  const worker = readFileSync("public/sw.js", "utf8").replace("VERSION_OF_THE_BUILD", version);
  writeFileSync(`${OUT}/sw.js`, worker);
}

function licenses(): string {
  const parts = BUNDLED.map((name) => {
    const folder = `node_modules/${name}`;
    const about = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file && existsSync(`${folder}/${file}`) ? readFileSync(`${folder}/${file}`, "utf8") : MIT;
    return `${name} ${about.version} (${about.license})\n\n${text.trim()}`;
  });
  return `The page itself is part of onestroke (Apache-2.0). It bundles:\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

// ONNX Runtime's packages name their license without holding its text.
const MIT = `MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

const conditions = ["onnxruntime-web-use-extern-wasm", "module", "browser", "import", "default"];

export default defineConfig({
  base: "./",
  resolve: { conditions },
  build: { outDir: OUT, emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  worker: { format: "es" },
  plugins: [runtime()],
});
