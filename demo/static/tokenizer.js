// CLIP's tokenizer, from the file tokenizer.json that transformers writes: a prompt -> ids, without special tokens.

// As GPT-2 has it, which byte-level encoding uses below CLIP's own division.
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+/gu;

export class Tokenizer {
  constructor({ model, pre_tokenizer: division }) {
    this.ids = new Map(Object.entries(model.vocab));
    const pairs = model.merges.map(pair => (typeof pair === "string" ? pair : pair.join(" ")));
    this.ranks = new Map(pairs.map((pair, rank) => [pair, rank]));
    this.end = model.end_of_word_suffix ?? "";
    this.unknown = this.ids.get(model.unk_token);
    const pattern = division.pretokenizers.find(one => one.type === "Split").pattern.Regex;
    this.pieces = new RegExp(pattern.replaceAll("\\s", "\\p{White_Space}"), "gu"); // JavaScript's \s has U+FEFF too
    this.letters = letters();
    this.known = new Map();
  }

  encode(text) {
    const plain = text.normalize("NFC").replace(/\p{White_Space}+/gu, " ");
    // Letter by letter: a whole word in capitals would end in another sigma.
    const small = Array.from(plain, letter => letter.toLowerCase()).join("");
    const words = (small.match(this.pieces) ?? []).flatMap(piece => piece.match(WORDS) ?? []);
    return words.flatMap(word => this.word(word));
  }

  word(word) {
    if (!this.known.has(word)) this.known.set(word, this.merged(word));
    return this.known.get(word);
  }

  merged(word) {
    const parts = Array.from(new TextEncoder().encode(word), byte => this.letters[byte]);
    parts[parts.length - 1] += this.end;
    for (;;) {
      let best = Infinity, place = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (rank < best) [best, place] = [rank, i];
      }
      if (place < 0) return parts.map(part => this.ids.get(part) ?? this.unknown);
      parts.splice(place, 2, parts[place] + parts[place + 1]);
    }
  }
}

// A letter for each byte: its own where that can be seen, else one from U+0100 on.
function letters() {
  let further = 256;
  const seen = byte => (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(seen(byte) ? byte : further++));
}
