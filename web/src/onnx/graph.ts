/** An ONNX file taken apart: its operators, constants, inputs, outputs and card; and put together again. */

import { type Field, fields, integer, message, nested, string, strings } from "./wire";

export const FLOAT = 1;
export const UINT8 = 2;
const INT64 = 7;
const GRAPH = 7;
const PROPERTY = 14;
const NODE = 1;
const INITIALIZER = 5;
const INPUT = 11;
const OUTPUT = 12;
const VALUE_INFO = 13;

export interface Node {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes: Field[];
}

export interface Named {
  name: string;
  raw: Uint8Array;
}

export class Graph {
  nodes: Node[] = [];
  constants: Named[] = [];
  inputs: Named[] = [];
  outputs: Named[] = [];
  readonly metadata = new Map<string, string>();
  private readonly model: Field[];
  private readonly rest: Field[];

  /** Throws RangeError for bytes that are no ONNX model. */
  constructor(file: Uint8Array) {
    this.model = fields(file);
    const graph = this.model.find((field) => field.number === GRAPH && field.kind === 2);
    if (!graph) throw new RangeError("no graph");
    const parts = fields(graph.value as Uint8Array);
    const all = (number: number) => parts.filter((part) => part.number === number).map((part) => part.value as Uint8Array);
    this.nodes = all(NODE).map(readNode);
    this.constants = all(INITIALIZER).map((raw) => ({ name: strings(fields(raw), 8)[0] ?? "", raw }));
    this.inputs = all(INPUT).map(readValue);
    this.outputs = all(OUTPUT).map(readValue);
    this.rest = parts.filter((part) => ![NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO].includes(part.number));
    for (const field of this.model.filter((one) => one.number === PROPERTY)) {
      const entry = fields(field.value as Uint8Array);
      this.metadata.set(strings(entry, 1)[0] ?? "", strings(entry, 2)[0] ?? "");
    }
  }

  /** The file again, without what nothing asks for. */
  bytes(): Uint8Array {
    const { nodes, constants } = this.used();
    const graph = [
      ...nodes.map((node) => nested(NODE, writeNode(node))),
      ...this.rest,
      ...constants.map((one) => ({ number: INITIALIZER, kind: 2, value: one.raw })),
      ...this.inputs.map((one) => ({ number: INPUT, kind: 2, value: one.raw })),
      ...this.outputs.map((one) => ({ number: OUTPUT, kind: 2, value: one.raw })),
    ];
    return message([...this.model.filter((field) => field.number !== GRAPH), nested(GRAPH, graph)]);
  }

  floats(name: string): Float32Array | undefined {
    const raw = this.constants.find((one) => one.name === name)?.raw;
    const parts = raw ? fields(raw) : [];
    const found = parts.find((part) => part.number === 9 || part.number === 4);
    return found ? new Float32Array((found.value as Uint8Array).slice().buffer) : undefined;
  }

  addFloat(name: string, value: number): void {
    const data = new Uint8Array(Float32Array.of(value).buffer);
    this.constants.push({ name, raw: message([integer(2, FLOAT), string(8, name), { number: 9, kind: 2, value: data }]) });
  }

  addIntegers(name: string, values: number[]): void {
    const data = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    const head = [integer(1, values.length), integer(2, INT64), string(8, name)];
    this.constants.push({ name, raw: message([...head, { number: 9, kind: 2, value: data }]) });
  }

  private used(): { nodes: Node[]; constants: Named[] } {
    const wanted = new Set(this.outputs.map((value) => value.name));
    const nodes: Node[] = [];
    for (const node of [...this.nodes].reverse()) {
      if (!node.outputs.some((name) => wanted.has(name))) continue;
      node.inputs.forEach((name) => wanted.add(name));
      nodes.unshift(node);
    }
    return { nodes, constants: this.constants.filter((one) => wanted.has(one.name)) };
  }
}

/** A tensor of floats: no dimensions, or [1, C, 1, 1]. */
export function floatValue(name: string, dimensions: (number | string)[]): Named {
  const shape = dimensions.map((one) => nested(1, [typeof one === "number" ? integer(1, one) : string(2, one)]));
  const type = nested(1, [integer(1, FLOAT), nested(2, shape)]);
  return { name, raw: message([string(1, name), nested(2, [type])]) };
}

export function node(op: string, inputs: string[], output: string, attributes: Field[] = []): Node {
  return { op, inputs, outputs: [output], attributes };
}

export function attribute(name: string, value: number): Field {
  return nested(5, [string(1, name), integer(3, value), integer(20, 2)]);
}

/** An attribute of an operator: an integer, or a float. */
export function read(of: Node, name: string): number | undefined {
  for (const field of of.attributes) {
    const parts = fields(field.value as Uint8Array);
    if (strings(parts, 1)[0] !== name) continue;
    const found = parts.find((part) => part.number === 3 || part.number === 2);
    if (!found || typeof found.value === "number") return found?.value as number | undefined;
    return new DataView(found.value.buffer, found.value.byteOffset).getFloat32(0, true);
  }
  return undefined;
}

function readNode(raw: Uint8Array): Node {
  const parts = fields(raw);
  const attributes = parts.filter((part) => part.number === 5);
  return { op: strings(parts, 4)[0] ?? "", inputs: strings(parts, 1), outputs: strings(parts, 2), attributes };
}

function writeNode(one: Node): Field[] {
  return [
    ...one.inputs.map((name) => string(1, name)),
    ...one.outputs.map((name) => string(2, name)),
    string(4, one.op),
    ...one.attributes,
  ];
}

function readValue(raw: Uint8Array): Named {
  return { name: strings(fields(raw), 1)[0] ?? "", raw };
}
