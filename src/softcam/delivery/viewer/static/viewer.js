// The page: opens images, hands them to the panels, and answers pointer and keys.

import { View } from "./drawing.js";
import { bytesOf } from "./evidence.js";
import { Erasing, rangesOf } from "./erasing.js";
import { Pointer } from "./pointer.js";
import { Panel } from "./panel.js";
import { saveNumbers, savePicture } from "./saving.js";
import { Refused, askExplain, askSession, askVerify, keepToken, takeToken } from "./server.js";
import { Settings } from "./settings.js";
import { percent } from "./words.js";

const by = (id) => document.getElementById(id);

let session = null;
let panels = [];
let source = null;
let image = null;
let request = new AbortController();
let drawing = 0;

const erasing = new Erasing();
const settings = new Settings(by("controls"), draw);
const pointer = new Pointer({ settings, erasing, look, erased, say });

async function start() {
  takeToken();
  try {
    session = await askSession();
  } catch (error) {
    if (error.status === 401) return askToken(error.message);
    return complain(error);
  }
  by("version").textContent = `softcam ${session.version}`;
  const palette = bytesOf(session.palette);
  panels = session.models.map((model, number) => new Panel(model, number, palette, settings, draw));
  by("panels").classList.toggle("two", panels.length > 1);
  by("panels").replaceChildren(...panels.map((panel) => panel.element));
  panels.forEach((panel) => {
    pointer.attach(panel);
    panel.find(".empty").addEventListener("click", () => by("file").click());
  });
  listFolder(session.folder);
}

function askToken(problem) {
  const [dialog, field] = [by("login"), by("token")];
  by("login-problem").textContent = problem;
  by("login-problem").hidden = false;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => {
    keepToken(field.value.trim());
    field.value = "";
    start();
  }, { once: true });
  dialog.showModal();
}

function listFolder(names) {
  by("folder").hidden = names.length === 0;
  by("images").append(...names.map((name, index) => new Option(name, index)));
}

function complain(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refused)) console.error(error);
  by("problem").textContent = error instanceof Refused ? capital(error.message) : "The page failed; load it again.";
  by("problem").hidden = false;
}

const capital = (sentence) => sentence[0].toUpperCase() + sentence.slice(1);

/** Open a file of this machine, or an image of the folder by its number. */
async function open(wanted) {
  if (!session) return;
  if (wanted.file?.size > session.upload_bytes) {
    complain(new Refused(413, `the image has more than ${session.upload_bytes / 2 ** 20} MiB; reduce it to read it.`));
    return;
  }
  await waiting(async (signal) => {
    const answer = await askExplain(wanted, signal);
    source = wanted;
    ({ image } = answer);
    const view = new View(image.view);
    image = { ...image, view: undefined };
    erasing.clear();
    look(null);
    settings.resetWindow();
    panels.forEach((panel, index) => {
      panel.open(view, answer.models[index]);
      panel.erasing = erasing;
    });
    by("facts").textContent = `${image.format}, ${image.width} × ${image.height}, ${image.bit_depth} bit`;
    refresh();
    draw();
    say(panels.map((panel) => `${panel.model.name}: ${panel.className} ${percent(panel.evidence.probabilities[panel.chosen])}`).join(". "));
  });
}

/** Have the model look again, without the pixels below the erased cells. */
async function verify() {
  if (by("verify").disabled) return;
  await waiting(async (signal) => {
    const answer = await askVerify(source, panels.map((panel) => rangesOf(panel.erased)), signal);
    panels.forEach((panel, index) => (panel.verified = answer.models[index]));
    draw();
    say(panels.map((panel) => panel.outcome(panel.remaining).replaceAll("*", "")).join(" "));
  });
}

/** Do something that takes a while; what was under way before is given up. */
async function waiting(work) {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  by("problem").hidden = true;
  panels.forEach((panel) => (panel.busy = true));
  try {
    await work(signal);
  } catch (error) {
    complain(error);
  }
  if (!signal.aborted) panels.forEach((panel) => (panel.busy = false));
}

/** After something was erased, restored or taken back. */
function erased() {
  if (!image) return;
  request.abort();
  panels.forEach((panel) => {
    panel.busy = false;
    panel.erasing = erasing;
  });
  refresh();
  draw();
}

function refresh() {
  const any = panels.some((panel) => panel.erasedCells);
  by("undo").disabled = erasing.done.length === 0;
  by("redo").disabled = erasing.undone.length === 0;
  by("reset").disabled = !any;
  by("verify").disabled = !any;
  by("save-picture").disabled = by("save-numbers").disabled = !image;
}

function draw() {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => panels.forEach((panel) => panel.draw()));
}

function look(point) {
  panels.forEach((panel) => panel.look(point));
}

function say(sentence) {
  by("said").textContent = sentence;
}

function step(places) {
  const next = (source?.index ?? (places > 0 ? -1 : session.folder.length)) + places;
  if (next < 0 || next >= session.folder.length) return;
  by("images").value = next;
  open({ index: next });
}

const edits = {
  undo: () => erasing.undo(),
  redo: () => erasing.redo(),
  reset: () => erasing.reset(),
};
for (const [name, edit] of Object.entries(edits)) {
  by(name).addEventListener("click", () => {
    edit();
    erased();
    say(panels.map((panel) => panel.outcome(panel.remaining).replaceAll("*", "")).join(" "));
  });
}

by("open").addEventListener("click", () => by("file").click());
by("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  by("images").value = "";
  if (file) open({ file });
});
by("images").addEventListener("change", ({ target }) => target.value && open({ index: Number(target.value) }));
by("previous").addEventListener("click", () => step(-1));
by("next").addEventListener("click", () => step(1));
by("verify").addEventListener("click", verify);
by("save-picture").addEventListener("click", () => savePicture(panels, image, settings));
by("save-numbers").addEventListener("click", () => saveNumbers(panels, image, settings, session.version));
by("help").addEventListener("click", () => by("manual").showModal());

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const [file] = event.dataTransfer.files;
  if (file) open({ file });
});

const keys = {
  o: () => by("file").click(),
  "[": () => step(-1),
  "]": () => step(1),
  e: () => settings.toggle("shown"),
  v: verify,
  1: () => settings.use("look"),
  2: () => settings.use("erase"),
  3: () => settings.use("restore"),
  4: () => settings.use("window"),
  "?": () => by("manual").showModal(),
};
addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (document.querySelector("dialog[open]") || target.matches("select, input:not([type=range], [type=radio], [type=checkbox])")) return;
  if ((event.ctrlKey || event.metaKey) && ["z", "y"].includes(key.toLowerCase())) {
    by(key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo").click();
  } else if (by("shortcuts").checked && !event.ctrlKey && !event.metaKey && !event.altKey && Object.hasOwn(keys, key.toLowerCase())) {
    keys[key.toLowerCase()]();
  } else {
    return;
  }
  event.preventDefault();
});

start();
