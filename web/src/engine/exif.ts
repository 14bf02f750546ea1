/**
 * EXIF: what a camera wrote into a JPEG, put into the JPEG that is painted from it. The photo's ICC profile stays behind:
 * browsers turn pictures to sRGB as they draw them, and in sRGB they are painted and saved.
 */

const START = 2;
const APP1 = 0xffe1;
const SCAN = 0xffda;
const NAME = [0x45, 0x78, 0x69, 0x66, 0, 0];
/** Of a file, in bytes: EXIF stands at its beginning, and is 64 kB at most. */
const HEAD = 1 << 18;
const LITTLE_ENDIAN = 0x4949;
const ENTRY = 12;
const [ORIENTATION, THUMBNAIL, THUMBNAIL_BYTES] = [0x0112, 0x0201, 0x0202];

/** The EXIF segment of a JPEG, for an upright picture; undefined where there is none, or a damaged one. */
export async function readExif(file: Blob): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const head = await file.slice(0, HEAD).arrayBuffer();
  const view = new DataView(head);
  try {
    if (view.getUint16(0) !== 0xffd8) return undefined;
    for (let at = START; view.getUint16(at) !== SCAN; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint16(at) !== APP1 || !NAME.every((letter, i) => view.getUint8(at + 4 + i) === letter)) continue;
      const segment = new Uint8Array(head.slice(at, at + 2 + view.getUint16(at + 2)));
      setUpright(new DataView(segment.buffer, 4 + NAME.length));
      return segment;
    }
  } catch {
    // A RangeError: the file ends, or points, where nothing is.
  }
  return undefined;
}

/** The JPEG with an EXIF segment right after its beginning, where the standard has it. */
export function withExif(jpeg: Blob, segment: Uint8Array<ArrayBuffer>): Blob {
  return new Blob([jpeg.slice(0, START), segment, jpeg.slice(START)], { type: jpeg.type });
}

/** Browsers show photos upright, and so they are painted; the thumbnail shows the photo, so it is wiped out. */
function setUpright(tiff: DataView): void {
  const little = tiff.getUint16(0) === LITTLE_ENDIAN;
  const tags = (directory: number) => {
    const count = tiff.getUint16(directory, little);
    return Array.from({ length: count }, (_, i) => directory + 2 + i * ENTRY);
  };
  const first = tiff.getUint32(4, little);
  const own = tags(first);
  for (const at of own) if (tiff.getUint16(at, little) === ORIENTATION) tiff.setUint16(at + 8, 1, little);
  const link = first + 2 + own.length * ENTRY;
  const second = tiff.getUint32(link, little);
  if (!second) return;
  const value = (tag: number) => tags(second).find((at) => tiff.getUint16(at, little) === tag);
  const [place, length] = [value(THUMBNAIL), value(THUMBNAIL_BYTES)].map((at) => (at ? tiff.getUint32(at + 8, little) : 0));
  new Uint8Array(tiff.buffer, tiff.byteOffset + place!, length!).fill(0);
  tiff.setUint32(link, 0, little);
}
