// Pixels -> a PNG file that says how it was made, as dalle2_runner and dalle2/images.py write it. A canvas would do,
// but for its alpha, and for browsers that change what is read from one.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let i = 0; i < 8; i++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

// https://cv.iptc.org/newscodes/digitalsourcetype: XMP that says that a trained model made the picture.
const XMP = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
  + '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
  + 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="'
  + 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>';

// Pixels (3, size, size) in -1..1 and the picture's record -> a Blob.
export async function png(pixels, record) {
  const size = Math.sqrt(pixels.length / 3), rows = new Uint8Array(size * (1 + 3 * size)), text = new TextEncoder();
  for (let i = 0; i < pixels.length; i++) {
    const [channel, place] = [Math.floor(i / size ** 2), i % size ** 2];
    rows[Math.floor(place / size) * (1 + 3 * size) + 1 + 3 * (place % size) + channel] = level(pixels[i]);
  }
  const head = new Uint8Array(13);
  new DataView(head.buffer).setUint32(0, size);
  new DataView(head.buffer).setUint32(4, size);
  head.set([8, 2, 0, 0, 0], 8); // eight bits, three colours
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  return new Blob([
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    ...chunk("IHDR", head),
    ...chunk("tEXt", text.encode(`parameters\0${ascii(record)}`)),
    ...chunk("iTXt", text.encode(`XML:com.adobe.xmp\0\0\0\0\0${XMP}`)),
    ...chunk("IDAT", new Uint8Array(await packed.arrayBuffer())),
    ...chunk("IEND", new Uint8Array()),
  ], { type: "image/png" });
}

function level(value) {
  if (!Number.isFinite(value)) throw new Error("The pixels hold numbers that are not finite: no picture can be made of them.");
  return Math.round(Math.min(Math.max(value * 0.5 + 0.5, 0), 1) * 255);
}

function ascii(record) {
  return JSON.stringify(record).replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function chunk(kind, data) {
  const whole = new Uint8Array([...new TextEncoder().encode(kind), ...data]), length = new DataView(new ArrayBuffer(4)), sum = new DataView(new ArrayBuffer(4));
  length.setUint32(0, data.length);
  sum.setUint32(0, ~whole.reduce((crc, byte) => TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), -1) >>> 0);
  return [length, whole, sum];
}
