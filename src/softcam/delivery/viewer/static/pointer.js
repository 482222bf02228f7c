// Mouse, pen, finger and arrow keys on the image.

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Pointer {
  /** `page` has settings, erasing, and the functions look, erased, say and draw. */
  constructor(page) {
    this.page = page;
    this.last = null;
  }

  /** Listen to a panel. */
  attach(panel) {
    const { marks } = panel;
    const listen = (kind, answer) => marks.addEventListener(kind, (event) => panel.evidence && answer.call(this, panel, event));
    listen("pointerdown", this.press);
    listen("pointermove", this.move);
    listen("pointerup", this.release);
    listen("pointercancel", this.release);
    listen("pointerleave", this.leave);
    listen("keydown", this.key);
  }

  press(panel, event) {
    if (event.button !== 0) return;
    const { settings, erasing } = this.page;
    panel.marks.focus({ preventScroll: true });
    const point = place(panel, event);
    if (settings.tool !== "look") {
      panel.marks.setPointerCapture(event.pointerId);
      this.last = point;
    }
    if (settings.paints) {
      erasing.begin(settings.tool === "erase", settings.brush * panel.longest, point);
      this.page.erased();
    }
    this.page.look(point);
  }

  move(panel, event) {
    const { settings, erasing } = this.page;
    const point = place(panel, event);
    if (this.last && settings.paints) {
      erasing.extend(point);
      this.page.erased();
    } else if (this.last && settings.tool === "window") {
      const scale = 1 / panel.longest;
      settings.shiftWindow((this.last.y - point.y) * scale, (point.x - this.last.x) * scale);
      this.last = point;
    }
    this.page.look(point);
  }

  release(panel) {
    if (this.last && this.page.settings.paints) this.page.say(plain(panel.outcome(panel.remaining)));
    this.last = null;
  }

  leave(panel, event) {
    if (!this.last && event.pointerType === "mouse") this.page.look(null);
  }

  key(panel, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const cell = panel.cellAt(panel.point);
    if (event.key in ARROWS) {
      const next = cell ? beside(cell, ARROWS[event.key], panel.model) : middle(panel.model);
      this.page.look(panel.centreOf(next));
      this.page.say(plain(panel.describe(next)));
    } else if ((event.key === " " || event.key === "Enter") && cell) {
      const { erasing } = this.page;
      erasing.begin(!panel.erased[cell.row * panel.model.width + cell.column], 0, panel.centreOf(cell));
      this.page.erased();
      this.page.say(plain(panel.outcome(panel.remaining)));
    } else {
      return;
    }
    event.preventDefault();
  }
}

const plain = (text) => text.replaceAll("*", "");

/** Where on the image an event happens, in its pixels. */
function place(panel, event) {
  const box = panel.marks.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) / box.width) * panel.view.width,
    y: ((event.clientY - box.top) / box.height) * panel.view.height,
  };
}

function beside({ row, column }, [down, right], { height, width }) {
  return { row: clamp(row + down, height), column: clamp(column + right, width) };
}

const clamp = (value, end) => Math.min(Math.max(value, 0), end - 1);
const middle = ({ height, width }) => ({ row: height >> 1, column: width >> 1 });
