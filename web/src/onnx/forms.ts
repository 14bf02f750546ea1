/**
 * The forms in which the page runs a model: whole pictures, the statistics of samples of a picture, and tiles that are told
 * those statistics. `webForm` does for a dropped file what onestroke/exporting/web.py does for the bundled ones.
 */

import { FLOAT, Graph, UINT8, attribute, floatValue, node, read, type Node } from "./graph";

const EPSILON = 1e-5;

/** What the page needs to know of a model; the fields of onestroke's card. */
export interface Card {
  name: string;
  painting: string;
  license: string;
  network: string;
  parameters: number;
  minimum: number;
  multiple: number;
  halo: number;
  solid: number;
  strongest: number;
  io: string;
  train_size: number;
  grain: number;
  styles: string[];
}

/** Throws Error with a readable line for a file that is no model of ours. */
export function open(file: Uint8Array, source: string): { graph: Graph; card: Card } {
  let graph: Graph;
  try {
    graph = new Graph(file);
  } catch {
    throw new Error(`${source} is not an ONNX model, or it is damaged.`);
  }
  if (!graph.metadata.has("onestroke_version")) {
    throw new Error(`${source} is an ONNX file, but not a onestroke model.`);
  }
  const card: Record<string, unknown> = { solid: 1, strongest: 1, io: "uint8", styles: [], train_size: 256, grain: 0, license: "" };
  try {
    for (const [key, value] of graph.metadata) card[key] = JSON.parse(value);
  } catch {
    throw new Error(`The card of ${source} is damaged; export the model again.`);
  }
  return { graph, card: card as unknown as Card };
}

/** Ask for `strength` and `styles`, move pixels as floats, and blend by arithmetic; in place. A graph of that form stays as it is. */
export function webForm(graph: Graph, source: string): void {
  graph.constants = graph.constants.filter((one) => one.name !== "strength" && one.name !== "styles");
  if (!graph.inputs.some((one) => one.name === "strength")) graph.inputs.push(floatValue("strength", []));
  if (!graph.nodes.some((one) => one.op === "If")) return;
  castFirst(graph.nodes);
  const solid = graph.floats("solid")?.[0];
  const back = graph.nodes.find((one) => one.op === "Cast" && read(one, "to") === UINT8);
  if (solid === undefined || !back) throw new Error(`${source} is built in a way this page does not know; export it again.`);
  graph.nodes = graph.nodes.filter((one) => one.op !== "If" && one !== back);
  for (const one of graph.nodes) {
    one.inputs = one.inputs.map((name) => (name === back.outputs[0] ? back.inputs[0]! : name));
  }
  graph.addFloat("web.solid", solid);
  graph.addFloat("web.one", 1);
  graph.addFloat("web.half", 0.5);
  graph.nodes.push(...blend());
}

function castFirst(nodes: Node[]): void {
  const turn = nodes.find((one) => one.op === "Transpose" && one.inputs[0] === "image");
  const cast = nodes.find((one) => one.op === "Cast" && one.inputs[0] === turn?.outputs[0]);
  if (!turn || !cast) return;
  [turn.op, cast.op] = [cast.op, turn.op];
  [turn.attributes, cast.attributes] = [cast.attributes, turn.attributes];
}

function blend(): Node[] {
  return [
    node("Div", ["strength", "web.solid"], "web.ratio"),
    node("Min", ["web.ratio", "web.one"], "web.share"),
    node("Sub", ["web.one", "web.share"], "web.rest"),
    node("Cast", ["image"], "web.photo", [attribute("to", FLOAT)]),
    node("Add", ["web.photo", "web.half"], "web.raised"),
    node("Sub", ["web.raised", "painted"], "web.change"),
    node("Mul", ["web.change", "web.rest"], "web.part"),
    node("Add", ["painted", "web.part"], "web.levels"),
    node("Cast", ["web.levels"], "stylized", [attribute("to", UINT8)]),
  ];
}

/** A graph whose norms measure a whole batch and put out what they found: `mean:i` and `variance:i`, [1, C, 1, 1]. */
export function measuringForm(file: Uint8Array): Uint8Array {
  return replaceNorms(file, (graph, norm, i) => {
    const [x, gain, bias] = norm.inputs as [string, string, string];
    const at = (part: string) => `norm:${i}:${part}`;
    graph.outputs.push(floatValue(`mean:${i}`, [1, `C${i}`, 1, 1]), floatValue(`variance:${i}`, [1, `C${i}`, 1, 1]));
    return [
      node("GlobalAveragePool", [x], at("each")),
      node("ReduceMean", [at("each"), "norm:axes"], `mean:${i}`),
      node("Sub", [x, `mean:${i}`], at("less")),
      node("Mul", [at("less"), at("less")], at("square")),
      node("GlobalAveragePool", [at("square")], at("squares")),
      node("ReduceMean", [at("squares"), "norm:axes"], `variance:${i}`),
      ...affine(i, gain, bias),
      node("Mul", [x, at("factor")], at("scaled")),
      node("Add", [at("scaled"), at("offset")], norm.outputs[0]!),
    ];
  });
}

/** A graph whose norms are told `mean:i` and `variance:i`, so that a tile is painted as a part of its picture. */
export function tileForm(file: Uint8Array): Uint8Array {
  return replaceNorms(file, (graph, norm, i) => {
    const [x, gain, bias] = norm.inputs as [string, string, string];
    graph.inputs.push(floatValue(`mean:${i}`, [1, `C${i}`, 1, 1]), floatValue(`variance:${i}`, [1, `C${i}`, 1, 1]));
    return [
      ...affine(i, gain, bias),
      node("Mul", [x, `norm:${i}:factor`], `norm:${i}:scaled`),
      node("Add", [`norm:${i}:scaled`, `norm:${i}:offset`], norm.outputs[0]!),
    ];
  });
}

function affine(i: number, gain: string, bias: string): Node[] {
  const at = (part: string) => `norm:${i}:${part}`;
  return [
    node("Add", [`variance:${i}`, at("epsilon")], at("safe")),
    node("Sqrt", [at("safe")], at("deviation")),
    node("Reshape", [gain, "norm:shape"], at("gain")),
    node("Reshape", [bias, "norm:shape"], at("bias")),
    node("Div", [at("gain"), at("deviation")], at("factor")),
    node("Mul", [`mean:${i}`, at("factor")], at("shift")),
    node("Sub", [at("bias"), at("shift")], at("offset")),
  ];
}

function replaceNorms(file: Uint8Array, made: (graph: Graph, norm: Node, i: number) => Node[]): Uint8Array {
  const graph = new Graph(file);
  graph.addIntegers("norm:axes", [0]);
  graph.addIntegers("norm:shape", [1, -1, 1, 1]);
  let count = 0;
  graph.nodes = graph.nodes.flatMap((one) => {
    if (one.op !== "InstanceNormalization") return [one];
    graph.addFloat(`norm:${count}:epsilon`, read(one, "epsilon") ?? EPSILON);
    return made(graph, one, count++);
  });
  return graph.bytes();
}
