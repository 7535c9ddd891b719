// From noise to clean rows: the noise levels of a stage, and the steps along them, as dalle2_runner/steps.py.
// Rows lie one after another in a Float32Array. A network answers with rows that may be twice as long: behind the
// clean numbers stands what the variance is made of.

const f32 = Math.fround; // where numpy computes in float32
const SCHEDULERS = ["unclip", "ddim", "unipc"];

export class Schedule {
  constructor(config, settings, toZero = false) {
    this.config = config;
    this.name = settings.scheduler;
    if (!SCHEDULERS.includes(this.name) || settings.eta || (settings.times ?? 1) !== 1)
      throw new Error(`Steps are taken by ${SCHEDULERS.join(", ")} alone, plainly, not by ${JSON.stringify(settings)}.`);
    const count = config.num_train_timesteps, steps = settings.num_inference_steps;
    const level = i => Math.cos(((i / count + 0.008) / 1.008) * Math.PI / 2) ** 2;
    this.betas = Float32Array.from({ length: count }, (_, i) => Math.min(1 - level(i + 1) / level(i), 0.999));
    let product = 1;
    this.signal = this.betas.map(beta => product *= f32(1 - beta));
    this.timesteps = toZero || this.name === "unclip"
      ? (steps > 1 ? spread(0, count - 1, steps).map(toEven).reverse() : [count - 1])
      : spread(count, 0, steps + 1).slice(0, -1).map(t => toEven(t) - 1);
    const [first, last] = settings.guidance_interval ?? [0, 1];
    this.guided = new Set(this.timesteps.filter((_, i) => first <= (i + 0.5) / steps && (i + 0.5) / steps <= last));
  }

  // `denoise(x, t)` promises the network's rows; `noise` has a generator for each row, of `length` numbers;
  // `told(number, of)` hears of each step, and is waited for.
  async sample(denoise, noise, length, told) {
    let x = joined(noise.map(one => one.normal(length)));
    const solver = new UniPC(this.signal, this.timesteps);
    for (const [index, t] of this.timesteps.entries()) {
      const answer = await denoise(x, t), there = this.timesteps[index + 1];
      const clean = this.clean(x, t, part(answer, noise.length, 0, length));
      if (this.timesteps.length === 1) x = clean;
      else if (this.name === "unipc") x = solver.step(clean, x);
      else if (this.name === "ddim") x = there === undefined ? clean : this.ddim(clean, x, t, there);
      else x = this.ancestral(clean, part(answer, noise.length, length), x, t, there, noise);
      await told(index + 1, this.timesteps.length);
    }
    return x;
  }

  clean(x, t, predicted) {
    const { prediction_type: kind, clip_sample: clips, clip_sample_range: most } = this.config, signal = this.signal[t];
    const noisy = f32(Math.sqrt(f32(1 - signal))), kept = f32(Math.sqrt(signal));
    const clean = kind === "epsilon" ? predicted.map((value, i) => (x[i] - noisy * value) / kept) : predicted;
    return clips ? clean.map(value => Math.min(Math.max(value, -most), most)) : clean;
  }

  ddim(clean, x, t, there) {
    const here = this.signal[t], next = this.signal[there];
    const noisy = Math.sqrt(1 - next) / Math.sqrt(1 - here), now = Math.sqrt(here), then = Math.sqrt(next);
    return clean.map((value, i) => then * value + noisy * (x[i] - now * value));
  }

  // One step of Karlo's: the posterior's mean, and noise of the variance that is fixed, or that was learned.
  ancestral(clean, variance, x, t, there, noise) {
    const before = there ?? t - 1, here = this.signal[t], next = before >= 0 ? this.signal[before] : 1;
    const beta = before === t - 1 ? this.betas[t] : f32(1 - f32(here / next));
    const ofClean = Math.sqrt(next) * beta / (1 - here), ofX = Math.sqrt(1 - beta) * (1 - next) / (1 - here);
    const mean = clean.map((value, i) => ofClean * value + ofX * x[i]);
    if (t === 0) return mean;
    const least = Math.log(Math.max((1 - next) / (1 - here) * beta, 1e-20)), most = Math.log(beta);
    const fresh = joined(noise.map(one => one.normal(x.length / noise.length)));
    return mean.map((value, i) => {
      const share = variance.length ? (variance[i] + 1) / 2 : 0;
      return value + Math.exp(0.5 * (share * most + (1 - share) * least)) * fresh[i];
    });
  }
}

// The solver UniPC (arXiv 2302.04867) of second order, B(h) = exp(h) - 1, for clean predictions.
class UniPC {
  constructor(signal, timesteps) {
    this.sigmas = [...timesteps.map(t => f32(Math.sqrt(f32(f32(1 - signal[t]) / signal[t])))), 0];
    this.index = this.order = 0;
    this.seen = []; // the last two clean predictions
    this.last = null;
  }

  step(clean, x) {
    if (this.last) x = this.move(this.last, this.index - 1, this.order, clean);
    this.seen = [...this.seen, clean].slice(-2);
    this.order = Math.min(2, this.sigmas.length - 1 - this.index, this.index + 1);
    this.last = x;
    return this.move(x, this.index++, this.order, null);
  }

  // From the noise level `start` to the next; corrected by the prediction `after` it, where that is known.
  move(x, start, order, after) {
    const [alpha, sigma, level] = this.at(start + 1), [, sigma0, level0] = this.at(start);
    const step = level - level0, now = this.seen.at(-1), earlier = this.seen.at(-2), grown = Math.expm1(-step);
    const ratio = order === 2 ? (this.at(start - 1)[2] - level0) / step : 1;
    const slope = order === 2 ? i => (earlier[i] - now[i]) / ratio : () => 0;
    let before = 0.5, behind = 0;
    if (after && order === 1) behind = 0.5;
    else if (after) {
      const first = grown / -step - 1, second = (first / -step - 0.5) * 2 / grown;
      before = (second - first / grown) / (ratio - 1);
      behind = first / grown - before;
    }
    const kept = sigma / sigma0, moved = alpha * grown;
    return x.map((value, i) => {
      const further = before * slope(i) + (after ? behind * (after[i] - now[i]) : 0);
      return kept * value - moved * (now[i] + further);
    });
  }

  at(index) {
    const sigma = this.sigmas[index], alpha = 1 / Math.sqrt(sigma ** 2 + 1);
    return [alpha, sigma * alpha, -Math.log(sigma)];
  }
}

// `count` numbers from first to last, as numpy spreads them.
function spread(first, last, count) {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : i * step + first));
}

// The nearest whole number, of two the even one.
function toEven(x) {
  return x % 1 === 0.5 && Math.floor(x) % 2 === 0 ? Math.floor(x) : Math.round(x);
}

export function joined(rows) {
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let place = 0;
  for (const row of rows) {
    all.set(row, place);
    place += row.length;
  }
  return all;
}

// Of each of `count` rows what stands from `first` on, up to `last`.
function part(rows, count, first, last = rows.length / count) {
  const length = rows.length / count;
  return joined(Array.from({ length: count }, (_, i) => rows.subarray(i * length + first, i * length + last)));
}
