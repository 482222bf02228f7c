// One model beside its image: the image with its evidence, the cell that is looked at, the decision.

import { drawBar, drawEvidence, drawMarks } from "./drawing.js";
import { Evidence, probabilities } from "./evidence.js";
import { contribution, percent, signed } from "./words.js";

const EVIDENCE_SIDE = 768;
const TICKS = [1, 0.5, 0, -0.5, -1];

export class Panel {
  /** `model` as the session describes it; `settings` are those of all panels; `changed` is called for a redraw. */
  constructor(model, number, palette, settings, changed) {
    Object.assign(this, { model, palette, settings, changed });
    this.element = document.getElementById("panel").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.element.querySelector(selector);
    this.stage = this.find(".stage");
    this.marks = this.find(".marks");
    this.limit = model.limit;
    this.why = model.limit === null ? "from the first image, kept for the others" : "one scale for all images";
    this.chosen = model.outputs.length === 2 && model.task === "multiclass" ? 1 : 0;
    this.erased = new Uint8Array(model.height * model.width);
    this.describeModel(number);
    this.buildTable(number);
    this.listenToLimit();
    drawBar(this.find(".bar"), palette);
    new ResizeObserver(() => this.drawMarks()).observe(this.stage);
    this.showLimit();
  }

  get className() {
    return this.model.outputs[this.chosen];
  }

  describeModel(number) {
    const { name, backbone, height, width, input } = this.model;
    const details = document.createElement("small");
    details.textContent = `${backbone}, ${input[0]} × ${input[1]} px, ${height} × ${width} cells`;
    this.find("h2").append(name, details);
    this.find("h2").id = `model-${number}`;
    this.element.setAttribute("aria-labelledby", `model-${number}`);
    this.marks.setAttribute("aria-label", `Evidence of ${name}. Arrow keys go from cell to cell, space erases or restores one.`);
  }

  buildTable(number) {
    this.rows = this.model.outputs.map((name, index) => {
      const row = this.find("tbody").insertRow();
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: `class-${number}`, value: index });
      input.checked = index === this.chosen;
      input.addEventListener("change", () => {
        this.chosen = index;
        this.changed();
      });
      label.append(input, name);
      row.insertCell().append(label);
      const cells = ["probability", "logit", "whatif", "verified"].map((kind) => {
        const cell = row.insertCell();
        cell.className = kind;
        return [kind, cell];
      });
      return { row, input, ...Object.fromEntries(cells) };
    });
  }

  listenToLimit() {
    this.find(".limit input").addEventListener("change", (event) => {
      const value = Number(event.target.value);
      if (value > 0) {
        this.limit = value;
        this.why = "set by you";
      }
      this.showLimit();
      this.changed();
    });
  }

  /** Show what the model says of an image. */
  open(view, answer) {
    this.view = view;
    this.evidence = new Evidence(this.model, answer);
    this.decision = answer.decision;
    this.verified = null;
    if (this.limit === null) this.limit = answer.limit;
    if (this.model.outputs.length > 2 || this.model.task === "multilabel") this.choose(argmax(answer.probabilities));
    this.stage.style.setProperty("--ratio", view.width / view.height);
    this.find(".empty").hidden = true;
    this.showLimit();
  }

  choose(index) {
    this.chosen = index;
    this.rows[index].input.checked = true;
  }

  /** Wait, or not. */
  set busy(waiting) {
    this.find(".busy").hidden = !waiting;
    this.element.setAttribute("aria-busy", waiting);
  }

  set erasing(erasing) {
    this.erased = erasing.mask(this.model.height, this.model.width, this.view.height, this.view.width);
    this.verified = null;
  }

  get erasedCells() {
    return this.erased.reduce((sum, each) => sum + each, 0);
  }

  /** Logits and probabilities of the evidence that is left. */
  get remaining() {
    const logits = this.evidence.remaining(this.erased);
    return { logits, probabilities: probabilities(logits, this.model.task) };
  }

  draw() {
    if (!this.evidence) return;
    this.drawImage();
    this.drawEvidence();
    this.drawMarks();
    this.showDecision();
    this.showCell(this.point);
  }

  drawImage() {
    const { level, width, grey, shown } = this.settings;
    this.view.draw(this.find(".image"), { level, width, grey: grey && shown });
  }

  drawEvidence() {
    const { contrast, opacity, threshold, cells, shown } = this.settings;
    const canvas = this.find(".evidence");
    canvas.hidden = !shown;
    canvas.style.opacity = opacity;
    const scale = EVIDENCE_SIDE / Math.max(this.view.height, this.view.width);
    drawEvidence(canvas, this.evidence.map(this.chosen, contrast, this.erased), this.erased, {
      rows: this.model.height,
      columns: this.model.width,
      height: Math.round(this.view.height * scale),
      width: Math.round(this.view.width * scale),
      smooth: !cells,
      limit: this.limit,
      threshold: threshold * this.limit,
      palette: this.palette,
    });
  }

  drawMarks() {
    if (!this.view) return;
    this.stage.dataset.tool = this.settings.tool;
    const brush = this.settings.paints && this.settings.brush ? this.point : null;
    const cell = brush ? null : this.cellAt(this.point);
    const { x, y } = brush ?? {};
    const { width } = this.view;
    const radius = (this.settings.brush * this.longest) / width;
    this.markOn(this.marks, this.stage.clientWidth * devicePixelRatio, cell, brush && { x: x / width, y: y / width, radius });
  }

  /** Mark the erased cells on a canvas of a width; and a cell and the brush, if they are given. */
  markOn(canvas, width, cell, brush) {
    const { height: rows, width: columns } = this.model;
    const height = (width * this.view.height) / this.view.width;
    const size = { width: Math.round(width), height: Math.round(height) };
    drawMarks(canvas, { ...size, rows, columns, erased: this.erased, cell, brush });
  }

  get longest() {
    return Math.max(this.view.height, this.view.width);
  }

  /** The cell below a point of the image. */
  cellAt(point) {
    if (!point) return null;
    const column = Math.floor((point.x * this.model.width) / this.view.width);
    const row = Math.floor((point.y * this.model.height) / this.view.height);
    const inside = row >= 0 && row < this.model.height && column >= 0 && column < this.model.width;
    return inside ? { row, column } : null;
  }

  /** Where a cell lies in the image. */
  centreOf({ row, column }) {
    return { x: ((column + 0.5) * this.view.width) / this.model.width, y: ((row + 0.5) * this.view.height) / this.model.height };
  }

  /** Look at the cell below a point; null looks away. */
  look(point) {
    this.point = point;
    if (!this.evidence) return;
    this.drawMarks();
    this.showCell(point);
  }

  showCell(point) {
    const cell = this.cellAt(point);
    this.find(".readout").replaceChildren(...(cell ? marked(this.describe(cell)) : []));
  }

  /** What a cell adds to the decision, with the number between asterisks. */
  describe({ row, column }) {
    const index = row * this.model.width + column;
    const place = `Row ${row + 1}, column ${column + 1}`;
    if (this.erased[index]) return `${place}: erased, adds *nothing*`;
    const { cells } = this.evidence;
    const own = this.evidence.value(this.chosen, index, false) / cells;
    const contrast = this.evidence.value(this.chosen, index, true) / cells;
    if (this.model.task !== "multiclass" || !this.settings.contrast) {
      return `${place} adds *${contribution(own)}* to the logit of ${this.className}`;
    }
    return `${place} adds *${contribution(contrast)}* for ${this.className} over ${this.others} (${contribution(own)} to its own logit)`;
  }

  get others() {
    const { outputs } = this.model;
    return outputs.length === 2 ? outputs[1 - this.chosen] : "the other classes";
  }

  showDecision() {
    const { logits, probabilities: certain } = this.evidence;
    const [left, erases] = [this.remaining, this.erasedCells > 0];
    this.rows.forEach((row, index) => {
      row.row.className = index === this.chosen ? "chosen" : "";
      row.probability.replaceChildren(percent(certain[index]), bar(certain[index]));
      row.logit.textContent = signed(logits[index]);
      row.whatif.textContent = erases ? percent(left.probabilities[index]) : "";
      row.verified.textContent = this.verified ? percent(this.verified.probabilities[index]) : "";
    });
    this.find("table").classList.toggle("erased", erases);
    this.find("table").classList.toggle("checked", this.verified !== null);
    this.showSum();
    this.find(".outcome").replaceChildren(...marked(erases ? this.outcome(left) : ""));
  }

  showSum() {
    const contrast = this.settings.contrast && this.model.task === "multiclass";
    const evidence = this.evidence.map(this.chosen, contrast).reduce((sum, each) => sum + each, 0) / this.evidence.cells;
    const bias = this.evidence.constant(this.chosen, contrast);
    const result = contrast ? `for ${this.className} over ${this.others}` : `logit of ${this.className}`;
    this.find(".sum").replaceChildren(
      ...marked(`Evidence *${signed(evidence)}*, bias *${signed(bias)}*: together *${signed(evidence + bias)}*, the ${contrast ? "balance " : ""}${result}.`),
    );
  }

  /** What erasing does, in a sentence. */
  outcome(left) {
    const before = percent(this.evidence.probabilities[this.chosen]);
    const after = percent(left.probabilities[this.chosen]);
    const share = percent(this.erasedCells / this.evidence.cells);
    const sentence = `Without the evidence of ${this.erasedCells} cells (${share} of the map), ${this.className} is at *${after}* instead of ${before}.`;
    if (!this.verified) return sentence;
    return `${sentence} With the pixels removed as well, the model says *${percent(this.verified.probabilities[this.chosen])}*.`;
  }

  showLimit() {
    const input = this.find(".limit input");
    input.value = this.limit === null ? "" : String(Number(this.limit.toPrecision(4)));
    input.disabled = this.limit === null;
    this.find(".why").textContent = this.limit === null ? "set by the first image" : this.why;
    const ticks = this.limit === null ? [] : TICKS.map((share) => tick(share, this.limit));
    this.find(".ticks").replaceChildren(...ticks);
  }
}

function tick(share, limit) {
  const label = document.createElement("span");
  label.textContent = share ? `${share > 0 ? "+" : "−"}${Number(Math.abs(share * limit).toPrecision(3))}` : "0";
  label.style.top = `${50 * (1 - share)}%`;
  return label;
}

function bar(share) {
  const [outer, inner] = [document.createElement("span"), document.createElement("i")];
  outer.className = "bar";
  inner.style.width = `${100 * share}%`;
  outer.append(inner);
  return outer;
}

/** Text with what stands between asterisks in bold. */
function marked(text) {
  return text.split("*").map((part, index) => {
    if (index % 2 === 0) return document.createTextNode(part);
    return Object.assign(document.createElement("b"), { textContent: part });
  });
}

const argmax = (values) => values.indexOf(Math.max(...values));
