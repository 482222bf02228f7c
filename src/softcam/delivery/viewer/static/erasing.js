// What has been painted out: strokes in pixels of the image, from which each model's grid takes its own cells.

export class Erasing {
  constructor() {
    this.done = [];
    this.undone = [];
  }

  /** Begin a stroke: `erases` or restores, with a radius in pixels of the image; radius 0 means the cell below. */
  begin(erases, radius, point) {
    this.done.push({ erases, radius, points: [point] });
    this.undone = [];
  }

  extend(point) {
    this.done.at(-1).points.push(point);
  }

  /** Take back all of it; a step that can itself be undone. */
  reset() {
    this.done.push({ reset: true });
    this.undone = [];
  }

  undo() {
    if (this.done.length) this.undone.push(this.done.pop());
  }

  redo() {
    if (this.undone.length) this.done.push(this.undone.pop());
  }

  /** Forget everything, for another image. */
  clear() {
    this.done = [];
    this.undone = [];
  }

  /** 1 for each erased cell of a grid of `rows` × `columns` over an image of `height` × `width` pixels. */
  mask(rows, columns, height, width) {
    const cells = new Uint8Array(rows * columns);
    const grid = { rows, columns, tall: height / rows, wide: width / columns };
    for (const stroke of this.done) {
      if (stroke.reset) cells.fill(0);
      else paint(cells, grid, stroke);
    }
    return cells;
  }
}

function paint(cells, grid, stroke) {
  const value = stroke.erases ? 1 : 0;
  stroke.points.forEach((point, index) => {
    const from = stroke.points[Math.max(index - 1, 0)];
    paintCellsBelow(cells, grid, from, point, value);
    paintCellsWithin(cells, grid, from, point, stroke.radius, value);
  });
}

/** The cells that the pointer itself passes, however thin the brush. */
function paintCellsBelow(cells, { rows, columns, tall, wide }, from, to, value) {
  const steps = Math.ceil((2 * Math.hypot(to.x - from.x, to.y - from.y)) / Math.min(tall, wide)) || 1;
  for (let step = 0; step <= steps; step++) {
    const column = Math.floor((from.x + ((to.x - from.x) * step) / steps) / wide);
    const row = Math.floor((from.y + ((to.y - from.y) * step) / steps) / tall);
    if (row >= 0 && row < rows && column >= 0 && column < columns) cells[row * columns + column] = value;
  }
}

/** The cells whose centre lies below the brush. */
function paintCellsWithin(cells, { rows, columns, tall, wide }, from, to, radius, value) {
  const top = Math.max(0, Math.floor((Math.min(from.y, to.y) - radius) / tall));
  const bottom = Math.min(rows - 1, Math.floor((Math.max(from.y, to.y) + radius) / tall));
  const left = Math.max(0, Math.floor((Math.min(from.x, to.x) - radius) / wide));
  const right = Math.min(columns - 1, Math.floor((Math.max(from.x, to.x) + radius) / wide));
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const centre = { x: (column + 0.5) * wide, y: (row + 0.5) * tall };
      if (distance(centre, from, to) <= radius) cells[row * columns + column] = value;
    }
  }
}

function distance(point, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((point.x - from.x) * dx + (point.y - from.y) * dy) / length)) : 0;
  return Math.hypot(point.x - from.x - along * dx, point.y - from.y - along * dy);
}

/** Ranges of marked cells, as the server reads them: "3-5,17-17". */
export function rangesOf(cells) {
  const ranges = [];
  for (let cell = 0; cell < cells.length; cell++) {
    if (!cells[cell]) continue;
    const first = cell;
    while (cells[cell + 1]) cell++;
    ranges.push(`${first}-${cell}`);
  }
  return ranges.join(",");
}
