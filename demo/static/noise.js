// torch's noise on a CPU, made of its Mersenne twister: the same as dalle2_runner/noise.py.

const WORDS = 624, AHEAD = 397;

// The words that torch's generator and numpy's RandomState draw from a seed.
class Twister {
  constructor(seed) {
    this.words = new Uint32Array(WORDS);
    this.words[0] = seed;
    for (let i = 1; i < WORDS; i++) {
      const before = this.words[i - 1];
      this.words[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
    }
    this.place = WORDS;
  }

  next() {
    if (this.place === WORDS) this.turn();
    let word = this.words[this.place++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  turn() {
    const { words } = this;
    for (let i = 0; i < WORDS; i++) {
      const both = (words[i] & 0x80000000) | (words[(i + 1) % WORDS] & 0x7fffffff);
      words[i] = words[(i + AHEAD) % WORDS] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }
}

// torch's generator on a CPU: `normal` is `torch.randn` of 16 numbers or more.
export class Noise {
  constructor(seed) {
    this.twister = new Twister(seed % 2 ** 32);
  }

  // `count` numbers, each the one of torch to the last bits of a logarithm and a cosine.
  normal(count) {
    if (count < 16) throw new RangeError("fewer than 16 are drawn in another way");
    const numbers = this.uniform(count);
    for (let start = 0; start + 16 <= count; start += 16) gaussian(numbers.subarray(start, start + 16));
    if (count % 16) { // the last sixteen are drawn once more
      const last = this.uniform(16);
      gaussian(last);
      numbers.set(last, count - 16);
    }
    return numbers;
  }

  uniform(count) {
    return Float32Array.from({ length: count }, () => (this.twister.next() & 0xffffff) * 2 ** -24);
  }
}

// Sixteen uniform numbers -> normal ones, in place, by Box and Muller: eight radii, eight angles.
function gaussian(sixteen) {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - sixteen[i])), angle = Math.fround(2 * Math.PI) * sixteen[i + 8];
    sixteen[i] = radius * Math.cos(angle);
    sixteen[i + 8] = radius * Math.sin(angle);
  }
}
