/** The wire format of protocol buffers, as far as ONNX files need it. */

export interface Field {
  number: number;
  kind: number;
  /** The payload: of a varint its value, of everything else its bytes. */
  value: number | Uint8Array;
}

const text = new TextDecoder("utf-8", { fatal: true });
const bytes = new TextEncoder();

/** The fields of a message, in order. Throws RangeError for what is none. */
export function fields(message: Uint8Array): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      if (at >= message.length) throw new RangeError("a field is cut off");
      const byte = message[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
      if (shift > 2 ** 63) throw new RangeError("a number is too long");
    }
  };
  const take = (count: number): Uint8Array => {
    if (at + count > message.length) throw new RangeError("a field is cut off");
    at += count;
    return message.subarray(at - count, at);
  };
  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    const kind = key % 8;
    if (number === 0 || ![0, 1, 2, 5].includes(kind)) throw new RangeError("no protocol buffer");
    const value = kind === 0 ? varint() : take(kind === 1 ? 8 : kind === 5 ? 4 : varint());
    found.push({ number, kind, value });
  }
  return found;
}

/** A message made of these fields. */
export function message(parts: Field[]): Uint8Array {
  const out: Uint8Array[] = [];
  for (const part of parts) {
    out.push(varint(part.number * 8 + part.kind));
    if (typeof part.value === "number") out.push(varint(part.value));
    else out.push(...(part.kind === 2 ? [varint(part.value.length), part.value] : [part.value]));
  }
  return joined(out);
}

export function string(number: number, value: string): Field {
  return { number, kind: 2, value: bytes.encode(value) };
}

export function nested(number: number, parts: Field[]): Field {
  return { number, kind: 2, value: message(parts) };
}

export function integer(number: number, value: number): Field {
  return { number, kind: 0, value };
}

/** The text of all fields of this number. */
export function strings(parts: Field[], number: number): string[] {
  return parts.filter((part) => part.number === number).map((part) => text.decode(part.value as Uint8Array));
}

export function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...out, rest]);
}
