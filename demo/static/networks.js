// What is computed of weights beside the networks that denoise: CLIP's text encoder, and what both stand on.
// The same as dalle2_runner/networks.py. Weights are a Map: name -> {data: Float32Array, shape}.

const SCALE = ".scale8"; // behind the name of a weight that is kept in eight bits: by how much each row is multiplied

// CLIP's text encoder: the ids of one text -> the states of its tokens, and the embedding at its end.
export class Text {
  constructor(config, weights) {
    Object.assign(this, { config, weights });
    this.width = weights.get("text_model.embeddings.token_embedding.weight").shape[1];
  }

  // ids (length) -> states (length, width).
  states(ids) {
    const tokens = this.weights.get("text_model.embeddings.token_embedding.weight").data;
    const places = this.weights.get("text_model.embeddings.position_embedding.weight").data;
    const { width } = this, x = new Float32Array(ids.length * width);
    for (let i = 0; i < x.length; i++) x[i] = tokens[ids[Math.floor(i / width)] * width + (i % width)] + places[i];
    for (let number = 0; number < this.config.num_hidden_layers; number++) {
      const layer = `text_model.encoder.layers.${number}.`;
      add(x, this.attend(this.norm(x, `${layer}layer_norm1`), `${layer}self_attn.`, ids.length));
      const hidden = linear(this.weights, `${layer}mlp.fc1`, this.norm(x, `${layer}layer_norm2`));
      for (let i = 0; i < hidden.length; i++) hidden[i] /= 1 + Math.exp(-1.702 * hidden[i]); // quick_gelu
      add(x, linear(this.weights, `${layer}mlp.fc2`, hidden));
    }
    return this.norm(x, "text_model.final_layer_norm");
  }

  // The state at the end (width) -> text embedding (dim).
  embed(state) {
    return linear(this.weights, "text_projection", state);
  }

  // Each token looks at itself and at what stands before it.
  attend(x, name, length) {
    const { width } = this, heads = this.config.num_attention_heads, size = width / heads;
    const [queries, keys, values] = ["q_proj", "k_proj", "v_proj"].map(part => linear(this.weights, name + part, x));
    const seen = new Float32Array(x.length);
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < length; row++) {
        const at = row * width + head * size, near = new Float64Array(row + 1);
        for (let other = 0; other <= row; other++)
          near[other] = dot(queries, at, keys, other * width + head * size, size) / Math.sqrt(size);
        const most = Math.max(...near), shares = near.map(value => Math.exp(value - most));
        const sum = shares.reduce((total, share) => total + share, 0);
        for (let other = 0; other <= row; other++)
          for (let i = 0; i < size; i++) seen[at + i] += shares[other] / sum * values[other * width + head * size + i];
      }
    return linear(this.weights, `${name}out_proj`, seen);
  }

  norm(x, name) {
    return layerNorm(this.weights, name, x, this.config.layer_norm_eps);
  }
}

// A linear layer's output (rows, out) of x (rows, in), with its bias where it has one.
export function linear(weights, name, x) {
  const { data, shape: [wide, narrow] } = weights.get(`${name}.weight`), bias = weights.get(`${name}.bias`)?.data;
  const rows = x.length / narrow, made = new Float32Array(rows * wide);
  for (let row = 0; row < rows; row++)
    for (let out = 0; out < wide; out++)
      made[row * wide + out] = dot(x, row * narrow, data, out * narrow, narrow) + (bias ? bias[out] : 0);
  return made;
}

// Rows of mean 0 and variance 1, scaled and moved.
export function layerNorm(weights, name, x, eps = 1e-5) {
  const scale = weights.get(`${name}.weight`).data, bias = weights.get(`${name}.bias`).data, width = scale.length;
  const made = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let mean = 0, variance = 0;
    for (let i = 0; i < width; i++) mean += x[start + i] / width;
    for (let i = 0; i < width; i++) variance += (x[start + i] - mean) ** 2 / width;
    for (let i = 0; i < width; i++) made[start + i] = (x[start + i] - mean) / Math.sqrt(variance + eps) * scale[i] + bias[i];
  }
  return made;
}

// A picture (3, side, side), resized to `size` by cubic interpolation, as torch does with antialias.
export function enlarge(small, size) {
  const side = Math.sqrt(small.length / 3), scale = side / size, widened = Math.max(scale, 1);
  const matrix = new Float64Array(size * side);
  for (let place = 0; place < size; place++) {
    const centre = scale * (place + 0.5);
    const first = Math.max(Math.trunc(centre - 2 * widened + 0.5), 0);
    const last = Math.min(Math.trunc(centre + 2 * widened + 0.5), side);
    const row = matrix.subarray(place * side, (place + 1) * side);
    for (let i = first; i < last; i++) row[i] = cubic(Math.abs((i - centre + 0.5) / widened));
    const sum = row.reduce((total, value) => total + value, 0);
    for (let i = first; i < last; i++) row[i] /= sum;
  }
  const large = new Float32Array(3 * size * size);
  for (let channel = 0; channel < 3; channel++) {
    const tall = new Float64Array(size * side); // higher, but not yet wider
    for (let y = 0; y < size; y++)
      for (let i = 0; i < side; i++)
        for (let x = 0; x < side; x++) tall[y * side + x] += matrix[y * side + i] * small[(channel * side + i) * side + x];
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) large[(channel * size + y) * size + x] = dot(tall, y * side, matrix, x * side, side);
  }
  return large;
}

function cubic(far) {
  if (far < 1) return (1.5 * far - 2.5) * far ** 2 + 1;
  return far < 2 ? ((-0.5 * far + 2.5) * far - 4) * far + 2 : 0;
}

function dot(a, from, b, start, length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[from + i] * b[start + i];
  return sum;
}

function add(x, more) {
  for (let i = 0; i < x.length; i++) x[i] += more[i];
}

// The tensors of a safetensors file, in float32; what is in eight bits has its scale beside it.
export function readWeights(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true)), read = new Map();
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [first, last] = entry.data_offsets.map(place => 8 + length + place);
    read.set(name, { data: KINDS[entry.dtype](buffer.slice(first, last)), shape: entry.shape });
  }
  for (const [name, { data }] of [...read]) {
    const scales = read.get(name + SCALE)?.data;
    if (scales) data.forEach((value, i) => { data[i] = value * scales[Math.floor(i / (data.length / scales.length))]; });
    if (name.endsWith(SCALE)) read.delete(name);
  }
  return read;
}

const KINDS = {
  F32: bytes => new Float32Array(bytes),
  F16: bytes => Float32Array.from(new Uint16Array(bytes), half => HALVES[half]),
  BF16: bytes => new Float32Array(Uint32Array.from(new Uint16Array(bytes), bits => bits << 16).buffer),
  I8: bytes => Float32Array.from(new Int8Array(bytes)),
  I64: bytes => Float32Array.from(new BigInt64Array(bytes), Number),
};

// What each of the 65,536 numbers of half precision is.
const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
});

// The values as they are; an error that names their source where one is NaN or infinite, which would be drawn silently.
export function finite(values, source) {
  if (!values.every(Number.isFinite))
    throw new Error(`the ${source} gave numbers that are not finite: its weights are damaged, or this browser computes wrongly`);
  return values;
}
