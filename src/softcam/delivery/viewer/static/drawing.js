// Pixels: the image through its window, the evidence in its colours, and what is marked on both.

import { between, bytesOf } from "./evidence.js";

const LUMA = [0.299, 0.587, 0.114];

/** An image as the server sends it: `channels` × 8 or 16 bits per pixel. */
export class View {
  constructor(answer) {
    Object.assign(this, { height: answer.height, width: answer.width, channels: answer.channels });
    const bytes = bytesOf(answer.pixels);
    this.samples = answer.bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
    this.greatest = 2 ** answer.bits - 1;
  }

  /** The image through a window, whose `level` and `width` are shares of the full range. */
  draw(canvas, { level, width, grey }) {
    Object.assign(canvas, { width: this.width, height: this.height });
    const context = canvas.getContext("2d");
    const data = context.createImageData(this.width, this.height);
    const shades = this.shades(level, width);
    const [red, green, blue] = this.channels === 3 ? [0, 1, 2] : [0, 0, 0];
    const { samples, channels } = this;
    for (let pixel = 0, at = 0; at < samples.length; pixel += 4, at += channels) {
      let [r, g, b] = [shades[samples[at + red]], shades[samples[at + green]], shades[samples[at + blue]]];
      if (grey) r = g = b = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
      data.data[pixel] = r;
      data.data[pixel + 1] = g;
      data.data[pixel + 2] = b;
      data.data[pixel + 3] = 255;
    }
    context.putImageData(data, 0, 0);
  }

  shades(level, width) {
    const low = level - width / 2;
    const table = new Uint8ClampedArray(this.greatest + 1);
    for (let value = 0; value <= this.greatest; value++) table[value] = (255 * (value / this.greatest - low)) / width;
    return table;
  }
}

/** Evidence in the colours of softcam.reporting.colours: strongest at ±`limit`; clear below `threshold` logits, and where erased. */
export function drawEvidence(canvas, map, erased, { rows, columns, height, width, smooth, limit, threshold, palette }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  const colours = new Uint32Array(palette.buffer);
  const pixels = new Uint32Array(data.data.buffer);
  const steps = (colours.length - 1) / 2;
  const [down, across] = [between(rows, height, smooth), between(columns, width, smooth)];
  const [cellDown, cellAcross] = [between(rows, height, false), between(columns, width, false)];
  for (let y = 0, at = 0; y < height; y++) {
    const [upper, lower, below] = down[y];
    for (let x = 0; x < width; x++, at++) {
      if (erased[cellDown[y][0] * columns + cellAcross[x][0]]) continue;
      const [left, right, beside] = across[x];
      const above = map[upper * columns + left] * (1 - beside) + map[upper * columns + right] * beside;
      const under = map[lower * columns + left] * (1 - beside) + map[lower * columns + right] * beside;
      const value = above * (1 - below) + under * below;
      if (Math.abs(value) < threshold) continue;
      const strength = Math.min(1, Math.max(-1, value / limit));
      pixels[at] = colours[Math.round(strength * steps) + steps];
    }
  }
  context.putImageData(data, 0, 0);
}

/**
 * Erased cells hatched and outlined, the cell that is looked at framed, the brush as a circle.
 *
 * `width` and `height` are those of the canvas; place and radius of the brush are shares of its width.
 */
export function drawMarks(canvas, { width, height, rows, columns, erased, cell, brush }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const [wide, tall] = [canvas.width / columns, canvas.height / rows];
  drawErased(context, erased, { rows, columns, wide, tall });
  if (cell) frame(context, cell.column * wide, cell.row * tall, wide, tall);
  if (brush) {
    context.beginPath();
    context.arc(brush.x * width, brush.y * width, Math.max(brush.radius * width, 3), 0, 2 * Math.PI);
    twice(context, () => context.stroke());
  }
}

function drawErased(context, erased, { rows, columns, wide, tall }) {
  const inside = new Path2D();
  const edge = new Path2D();
  const line = (x, y, toX, toY) => (edge.moveTo(x * wide, y * tall), edge.lineTo(toX * wide, toY * tall));
  const at = (row, column) => row >= 0 && row < rows && column >= 0 && column < columns && erased[row * columns + column];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!at(row, column)) continue;
      inside.rect(column * wide, row * tall, wide, tall);
      if (!at(row - 1, column)) line(column, row, column + 1, row);
      if (!at(row + 1, column)) line(column, row + 1, column + 1, row + 1);
      if (!at(row, column - 1)) line(column, row, column, row + 1);
      if (!at(row, column + 1)) line(column + 1, row, column + 1, row + 1);
    }
  }
  context.save();
  context.clip(inside);
  hatch(context);
  context.restore();
  twice(context, () => context.stroke(edge));
}

function hatch(context) {
  const { width, height } = context.canvas;
  context.beginPath();
  for (let start = -height; start < width; start += 8) {
    context.moveTo(start, height);
    context.lineTo(start + height, 0);
  }
  context.strokeStyle = "#ffffff55";
  context.lineWidth = 1;
  context.stroke();
}

function frame(context, x, y, wide, tall) {
  twice(context, () => context.strokeRect(x, y, wide, tall));
}

/** A light line on a dark one, which shows on any image. */
function twice(context, stroke) {
  for (const [colour, width] of [["#000b", 4], ["#f4f6f7", 1.6]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    stroke();
  }
}

/** The scale of colours, strongest evidence for the class on top. */
export function drawBar(canvas, palette) {
  const steps = palette.length / 4;
  Object.assign(canvas, { width: 1, height: steps });
  const context = canvas.getContext("2d");
  const data = context.createImageData(1, steps);
  for (let step = 0; step < steps; step++) {
    data.data.set(palette.subarray(4 * (steps - 1 - step), 4 * (steps - step)), 4 * step);
  }
  context.putImageData(data, 0, 0);
}
