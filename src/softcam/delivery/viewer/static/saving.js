// What is taken home: a picture, and the numbers behind it. Images are named by their hash, never by their file.

import { rangesOf } from "./erasing.js";
import { percent, signed } from "./words.js";

const SIDE = 900;
const MARGIN = 24;
const LINE = 22;
const HEADER = 4 * LINE + 8;

/** All panels side by side as they are on the screen, with captions and scale, as a PNG. */
export async function savePicture(panels, image, settings) {
  const sizes = panels.map(({ view }) => {
    const scale = SIDE / Math.max(view.height, view.width);
    return { width: Math.round(view.width * scale), height: Math.round(view.height * scale) };
  });
  const canvas = document.createElement("canvas");
  canvas.width = sizes.reduce((sum, each) => sum + Math.max(each.width, 520) + 90, MARGIN) + MARGIN;
  canvas.height = Math.max(...sizes.map((each) => each.height)) + HEADER + 2 * MARGIN + LINE;
  const context = canvas.getContext("2d");
  context.fillStyle = "#121416";
  context.fillRect(0, 0, canvas.width, canvas.height);
  let left = MARGIN;
  panels.forEach((panel, index) => {
    drawPanel(context, panel, settings, left, sizes[index]);
    left += Math.max(sizes[index].width, 520) + 90;
  });
  write(context, `image ${image.sha256.slice(0, 16)}…, softcam; not for diagnosis`, MARGIN, canvas.height - MARGIN / 2, "#a3abb2", 13);
  save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), "evidence.png");
}

function drawPanel(context, panel, settings, left, { width, height }) {
  captions(panel, settings).forEach((text, line) => {
    write(context, text, left, MARGIN + LINE * (line + 0.6), line ? "#a3abb2" : "#ffffff", line ? 15 : 18);
  });
  const top = MARGIN + HEADER;
  context.drawImage(panel.find(".image"), left, top, width, height);
  context.globalAlpha = settings.opacity;
  if (settings.shown) context.drawImage(panel.find(".evidence"), left, top, width, height);
  context.globalAlpha = 1;
  const marks = document.createElement("canvas");
  panel.markOn(marks, width);
  context.drawImage(marks, left, top);
  context.fillStyle = "#808080";
  context.fillRect(left + width + 12, top, 14, height);
  context.drawImage(panel.find(".bar"), left + width + 12, top, 14, height);
  [1, 0, -1].forEach((share) => {
    const place = top + 6 + ((1 - share) / 2) * (height - 8);
    write(context, share ? signed(share * panel.limit, 1) : "0", left + width + 32, place, "#a3abb2", 13);
  });
}

function captions(panel, { contrast }) {
  const index = panel.chosen;
  const kind = contrast && panel.model.task === "multiclass" ? `for ${panel.className} over ${panel.others}` : `of ${panel.className} alone`;
  const lines = [
    `${panel.className}: ${percent(panel.evidence.probabilities[index])}`,
    `${panel.model.name}; evidence ${kind}, in logits`,
  ];
  if (panel.erasedCells) {
    lines.push(`what if: ${percent(panel.remaining.probabilities[index])} without the evidence of ${panel.erasedCells} cells (hatched)`);
  }
  if (panel.verified) lines.push(`verified: ${percent(panel.verified.probabilities[index])} with these pixels removed`);
  return lines;
}

function write(context, text, x, y, colour, size) {
  context.fillStyle = colour;
  context.font = `${size}px system-ui, sans-serif`;
  context.fillText(text, x, y);
}

/** The same in numbers, as JSON. */
export function saveNumbers(panels, image, settings, version) {
  const numbers = {
    softcam: version,
    image,
    map: settings.contrast ? "contrast" : "raw",
    window: { level: settings.level, width: settings.width },
    models: panels.map(describe),
  };
  save(new Blob([JSON.stringify(numbers, null, 2)], { type: "application/json" }), "evidence.json");
}

function describe(panel) {
  const { model, evidence, limit, className } = panel;
  const { logits, probabilities, bias } = evidence;
  return {
    name: model.name,
    backbone: model.backbone,
    task: model.task,
    outputs: model.outputs,
    shown: className,
    limit,
    map_size: [model.height, model.width],
    logits,
    probabilities,
    bias,
    what_if: {
      erased: rangesOf(panel.erased),
      erased_cells: panel.erasedCells,
      ...panel.remaining,
    },
    verified: panel.verified,
  };
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
