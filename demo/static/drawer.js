// A checkpoint of Karlo's family -> pictures of prompts, the same as dalle2_runner/drawer.py draws, to 1e-4.

import { Text, enlarge, finite, layerNorm, linear, readWeights } from "./networks.js";
import { Noise } from "./noise.js";
import { Schedule, joined } from "./steps.js";
import { Tokenizer } from "./tokenizer.js";

const WEIGHTS = "weights"; // how the graphs call the file of their weights, which is made in memory

export class Drawer {
  // `runtime` is ONNX Runtime Web; `read(name)` promises an ArrayBuffer with a file of the exported folder.
  static async open(runtime, read) {
    const drawer = new Drawer(), json = async name => JSON.parse(new TextDecoder().decode(await read(name)));
    const about = drawer.about = await json("draw.json");
    Object.assign(drawer, { runtime, weights: {}, networks: {}, texts: new Map() });
    drawer.tokenizer = new Tokenizer(await json("tokenizer.json"));
    for (const part of about.parts) {
      drawer.weights[part] = readWeights(await read(`${part}.safetensors`));
      const graph = about.networks[part];
      if (graph) drawer.networks[part] = await network(runtime, await read(graph.file), graph.weights, drawer.weights[part]);
      // The session has its own copy. Of the others little is kept, such as how the prior's embeddings are scaled.
      for (const name of graph?.weights ?? []) drawer.weights[part].delete(name);
    }
    drawer.text = new Text(about.text_encoder, drawer.weights.text_encoder);
    return drawer;
  }

  // Pixels (3, size, size) in about -1..1. `told(stage, number, of)` hears of each step, and is waited for.
  async draw(prompt, seed, told = () => {}) {
    const settings = this.about.settings, noise = new Noise(seed), negative = settings.negative_prompt ?? "";
    const hear = stage => (number, of) => told(stage, number, of);
    const embedding = await this.embed(prompt, negative, noise, settings.prior, hear("prior"));
    const small = await this.decode(embedding, prompt, negative, noise, settings.decoder, hear("decoder"));
    return this.upsample(small.map(value => Math.min(Math.max(value, -1), 1)), noise, settings.upsampler, hear("upsampler"));
  }

  // The image embedding of a prompt, of some candidates the one that is nearest to the text.
  async embed(prompt, negative, noise, settings, told) {
    const count = settings.candidates ?? 1, schedule = new Schedule(this.about.prior_scheduler, settings);
    const texts = (settings.guidance_scale === 1 ? [prompt] : [negative, prompt]).map(text => this.read(text));
    const [wide, length] = [texts[0].embedding.length, texts[0].mask.length];
    const each = rows => rows.flatMap(row => Array(count).fill(row));
    const conditions = {
      proj_embedding: [each(texts.map(text => text.embedding)), [wide]],
      encoder_hidden_states: [each(texts.map(text => text.states)), [length, texts[0].states.length / length]],
      attention_mask: [each(texts.map(text => text.mask)), [length]],
    };
    const denoise = this.guided("prior", conditions, settings, schedule, [wide]);
    const drawn = await schedule.sample(denoise, Array(count).fill(noise), wide, told);
    const mean = this.weights.prior.get("clip_mean").data, deviation = this.weights.prior.get("clip_std").data;
    const text = texts.at(-1).embedding;
    const candidates = Array.from({ length: count }, (_, i) => drawn.slice(i * wide, (i + 1) * wide).map((value, j) => value * deviation[j] + mean[j]));
    const nearness = candidates.map(one => sum(one, (value, j) => value * text[j]) / Math.sqrt(sum(one, value => value ** 2)));
    return candidates[nearness.indexOf(Math.max(...nearness))];
  }

  // An image embedding and its prompt -> the small picture (3, size, size).
  async decode(embedding, prompt, negative, noise, settings, told) {
    const project = this.weights.text_proj, [size, count] = this.about.decoder;
    const nothing = project.get("learned_classifier_free_guidance_embeddings").data;
    const pairs = settings.guidance_scale === 1 ? [[prompt, embedding]] : [[negative, nothing], [prompt, embedding]];
    const rows = pairs.map(([prompt, embedding]) => {
      const text = this.read(prompt), added = linear(project, "embedding_proj", text.embedding);
      const seen = linear(project, "clip_image_embeddings_project_to_time_embeddings", embedding);
      const extra = linear(project, "clip_extra_context_tokens_proj", embedding), width = extra.length / count;
      const turned = extra.map((_, i) => extra[(i % width) * count + Math.floor(i / width)]); // tokens, then numbers
      const states = layerNorm(project, "text_encoder_hidden_states_norm", linear(project, "encoder_hidden_states_proj", text.states));
      return {
        context: finite(joined([turned, states]), "text projection"), width,
        added: finite(added.map((value, i) => value + seen[i]), "text projection"),
        mask: Uint8Array.from([...Array(count).fill(1), ...text.mask]),
      };
    });
    const [{ width, mask: { length } }] = rows;
    const conditions = {
      encoder_hidden_states: [rows.map(row => row.context), [length, width]],
      class_labels: [rows.map(row => row.added), [rows[0].added.length]],
      attention_mask: [rows.map(row => row.mask), [length]],
    };
    const schedule = new Schedule(this.about.decoder_scheduler, settings);
    const denoise = this.guided("decoder", conditions, settings, schedule, [3, size, size]);
    return schedule.sample(denoise, [noise], 3 * size * size, told);
  }

  // The small picture -> the large one (3, size, size).
  upsample(small, noise, settings, told) {
    const { size } = this.about, large = enlarge(small, size);
    const schedule = new Schedule(this.about.super_res_scheduler, settings, true);
    const denoise = async (x, t) =>
      finite(await this.networks[t > 0 ? "super_res_first" : "super_res_last"]([joined([x, large]), [1, 6, size, size]], t), "upsampler");
    return schedule.sample(denoise, [noise], large.length, told);
  }

  // A text -> its embedding, its tokens' states, and which tokens are text.
  read(text) {
    if (!this.texts.has(text)) {
      const [start, end, pad, length] = this.about.tokens;
      const ids = [start, ...this.tokenizer.encode(text).slice(0, length - 2), end];
      const states = this.text.states([...ids, ...Array(length - ids.length).fill(pad)]), { width } = this.text;
      const embedding = this.text.embed(states.subarray((ids.length - 1) * width, ids.length * width));
      const mask = Uint8Array.from({ length }, (_, place) => Number(place < ids.length));
      if (this.texts.size > 100) this.texts.clear();
      this.texts.set(text, { states: finite(states, "text encoder"), embedding: finite(embedding, "text encoder"), mask });
    }
    return this.texts.get(text);
  }

  // The network under classifier-free guidance. A condition is [rows, their sizes], where the rows without the prompt
  // stand first, unless the scale is 1; `sizes` are those of a row of x.
  guided(name, conditions, settings, schedule, sizes) {
    const network = async (...given) => finite(await this.networks[name](...given), name), scale = settings.guidance_scale;
    const long = sizes.reduce((product, size) => product * size, 1);
    const given = (from, count) => Object.entries(conditions).map(([key, [rows, own]]) => [key, rows.slice(from), [count, ...own]]);
    return async (x, t) => {
      const count = x.length / long;
      if (scale === 1 || !schedule.guided.has(t))
        return network([x, [count, ...sizes]], t, given(scale === 1 ? 0 : count, count));
      const both = await network([joined([x, x]), [2 * count, ...sizes]], t, given(0, 2 * count));
      const half = both.length / 2, row = half / count; // a row may have the variance behind it, which is not guided
      return both.slice(half).map((value, i) => (i % row < long ? both[i] + scale * (value - both[i]) : value));
    };
  }
}

// A graph without weights, and these by name -> a function of x, the timestep and conditions, which promises rows.
async function network(runtime, graph, names, weights) {
  const data = new Uint8Array(joined(names.map(name => weights.get(name).data)).buffer);
  const options = { executionProviders: ["wasm"], externalData: [{ path: WEIGHTS, data }], logSeverityLevel: 3 };
  const session = await runtime.InferenceSession.create(new Uint8Array(graph), options);
  return async ([x, sizes], t, conditions = []) => {
    const feeds = {
      [session.inputNames[0]]: new runtime.Tensor("float32", x, sizes),
      timestep: new runtime.Tensor("int64", BigInt64Array.of(BigInt(t)), []),
    };
    for (const [key, rows, own] of conditions) feeds[key] = tensor(runtime, rows, own);
    return (await session.run(feeds))[session.outputNames[0]].data;
  };
}

function tensor(runtime, rows, sizes) {
  const yesOrNo = rows[0] instanceof Uint8Array;
  return new runtime.Tensor(yesOrNo ? "bool" : "float32", yesOrNo ? Uint8Array.from(rows.flatMap(row => [...row])) : joined(rows), sizes);
}

function sum(values, of) {
  return values.reduce((total, value, i) => total + of(value, i), 0);
}
