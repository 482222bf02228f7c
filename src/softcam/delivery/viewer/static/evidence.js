// Arithmetic on evidence maps: the browser's half of softcam.model.evidence.

/**
 * The evidence of one model in one image.
 *
 * `maps` holds K maps of `height` × `width` cells one after another, in logits, without the bias, so that
 * `logits[k] = bias[k] + sum(maps of k) / cells`.
 */
export class Evidence {
  constructor(model, answer) {
    this.task = model.task;
    this.height = model.height;
    this.width = model.width;
    this.cells = model.height * model.width;
    this.bias = answer.bias;
    this.logits = answer.logits;
    this.probabilities = answer.probabilities;
    this.maps = new Float32Array(bytesOf(answer.maps).buffer);
    this.classes = this.bias.length;
  }

  /** The map of a class, alone or in contrast to the others, as a softmax sees it; erased cells are zero. */
  map(index, contrast, erased) {
    const found = new Float64Array(this.cells);
    for (let cell = 0; cell < this.cells; cell++) {
      found[cell] = erased?.[cell] ? 0 : this.value(index, cell, contrast);
    }
    return found;
  }

  /** What a cell says on a class, in logits before the mean. */
  value(index, cell, contrast) {
    const own = this.maps[index * this.cells + cell];
    if (!contrast || this.task !== "multiclass") return own;
    let total = 0;
    for (let other = 0; other < this.classes; other++) total += this.maps[other * this.cells + cell];
    const centred = own - total / this.classes;
    return this.classes === 2 ? 2 * centred : centred;
  }

  /** Logits that the remaining evidence gives: exact, because they are means of the maps. */
  remaining(erased) {
    return this.bias.map((bias, index) => {
      let total = 0;
      for (let cell = 0; cell < this.cells; cell++) {
        if (!erased[cell]) total += this.maps[index * this.cells + cell];
      }
      return bias + total / this.cells;
    });
  }

  /** Bias of a class as it belongs to a map. */
  constant(index, contrast) {
    if (!contrast || this.task !== "multiclass") return this.bias[index];
    const mean = this.bias.reduce((sum, each) => sum + each, 0) / this.classes;
    return (this.classes === 2 ? 2 : 1) * (this.bias[index] - mean);
  }
}

/** Softmax of logits, or their sigmoid, by the task. */
export function probabilities(logits, task) {
  if (task !== "multiclass") return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  const greatest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - greatest));
  const total = powers.reduce((sum, each) => sum + each, 0);
  return powers.map((power) => power / total);
}

/** Bytes from base64. */
export function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** Where one row or column of pixels lies between those of cells: first cell, second cell, share of the second. */
export function between(cells, pixels, smooth) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = ((pixel + 0.5) * cells) / pixels;
    if (!smooth) return [Math.floor(place), Math.floor(place), 0];
    const before = Math.min(Math.max(place - 0.5, 0), cells - 1);
    const first = Math.floor(before);
    return [first, Math.min(first + 1, cells - 1), before - first];
  });
}
