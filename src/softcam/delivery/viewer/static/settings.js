// How evidence and image are shown: the state of the controls.

export class Settings {
  /** `form` holds the controls; `changed` is called for a redraw. */
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.show());
    this.field("window-reset").addEventListener("click", () => {
      this.resetWindow();
      this.show();
    });
    this.show();
  }

  field(name) {
    return this.form.elements[name];
  }

  share(name) {
    return Number(this.field(name).value) / 100;
  }

  get tool() {
    return this.field("tool").value;
  }

  get paints() {
    return this.tool === "erase" || this.tool === "restore";
  }

  get contrast() {
    return this.field("map").value === "contrast";
  }

  get shown() {
    return this.field("shown").checked;
  }

  get cells() {
    return this.field("cells").checked;
  }

  get grey() {
    return this.field("grey").checked;
  }

  /** Radius as a share of the longer side of the image. */
  get brush() {
    return this.share("brush");
  }

  get opacity() {
    return this.share("opacity");
  }

  /** Share of the full colour below which evidence is hidden. */
  get threshold() {
    return this.share("threshold");
  }

  get level() {
    return this.share("level");
  }

  get width() {
    return this.share("width");
  }

  use(tool) {
    this.field("tool").value = tool;
    this.show();
  }

  toggle(name) {
    this.field(name).checked = !this.field(name).checked;
    this.show();
  }

  /** Change level and width by shares of the full range. */
  shiftWindow(level, width) {
    this.field("level").value = 100 * (this.level + level);
    this.field("width").value = 100 * (this.width + width);
    this.show();
  }

  resetWindow() {
    this.field("level").value = 50;
    this.field("width").value = 100;
  }

  show() {
    for (const output of this.form.querySelectorAll("output")) {
      const value = this.field(output.htmlFor.value).value;
      output.textContent = output.htmlFor.value === "brush" && Number(value) === 0 ? "one cell" : `${Number(value)} %`;
    }
    this.changed();
  }
}
