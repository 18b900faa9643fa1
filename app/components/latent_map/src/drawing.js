// Selecting by drawing: a loop, a box or corners on a layer above the points, so that the points are not drawn again while the pointer moves.

export const TOOLS = {
  lasso: ["Lasso", "Draw around points to select them; with Shift add, with Alt remove"],
  box: ["Box", "Drag a box over points to select them; with Shift add, with Alt remove"],
  corners: ["Corners", "Click corner after corner around points, without dragging; the first corner, a double click or Enter closes, Esc gives up"],
};
const NEAR = 8, STILL = 4; // pixels: this near the first corner closes; less than this is a click

export class Drawing {
  // `stage` holds the canvas of points; `done(points in pixels, {shift, alt})` hears of each finished outline, `press()` of each click; `back` tells the place on the map of a point in pixels.
  constructor(stage, colour, done, press, back) {
    Object.assign(this, { stage, colour, done, press, back, tool: "lasso", points: [], places: [] });
    this.layer = document.createElement("canvas");
    this.layer.className = "lm-drawing";
    stage.append(this.layer);
    // Trap: in the capturing phase, before the map of points takes the press for a drag of the whole map.
    this.heard = [
      [stage, "mousedown", (e) => this.pressed(e)], [stage, "click", (e) => this.clicked(e)],
      [stage, "dblclick", (e) => this.tool === "corners" && (e.stopImmediatePropagation(), this.close(e))],
      [window, "mousemove", (e) => this.moved(e)], [window, "mouseup", (e) => this.released(e)],
      [window, "keydown", (e) => this.typed(e)],
    ];
    for (const [of, kind, hear] of this.heard) of.addEventListener(kind, hear, true);
  }

  use(tool) {
    this.tool = tool;
    this.clear();
    this.stage.classList.toggle("lm-draws", tool in TOOLS);
  }

  at(e) {
    const box = this.stage.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  }

  pressed(e) {
    this.began = this.at(e);
    this.drawn = false; // a drag that ended outside is followed by no click here
    if (!(this.tool in TOOLS) || e.button !== 0) return;
    e.stopImmediatePropagation();
    e.preventDefault();
    if (this.tool === "corners") return;
    this.down = this.at(e);
    this.points = [this.down];
  }

  moved(e) {
    if (!this.points.length) return;
    const here = this.at(e);
    if (this.down) {
      e.stopImmediatePropagation(); // what lies under the pointer is not looked up meanwhile
      if (this.tool === "box") {
        const [x, y] = this.down;
        this.points = [[x, y], [here[0], y], here, [x, here[1]]];
      } else this.points.push(here);
    }
    this.draw(this.tool === "corners" ? here : null);
  }

  released(e) {
    if (!this.down) return;
    const far = this.points.some(([x, y]) => Math.hypot(x - this.down[0], y - this.down[1]) > STILL);
    this.down = null;
    this.drawn = far;
    if (far) this.finish(e);
    else this.clear();
  }

  clicked(e) {
    e.stopImmediatePropagation();
    const here = this.at(e), first = this.points[0], drawn = this.drawn;
    this.drawn = false;
    if (drawn || (this.began && Math.hypot(here[0] - this.began[0], here[1] - this.began[1]) > STILL)) return; // the end of a drag
    if (this.tool !== "corners") {
      this.press();
      return;
    }
    if (e.detail > 1) return;
    if (this.points.length > 2 && Math.hypot(here[0] - first[0], here[1] - first[1]) < NEAR) this.close(e);
    else {
      if (!first) this.places = [];
      this.points.push(here);
      this.places.push(this.back(here));
      this.draw(here);
    }
  }

  // Trap: the button that was pressed last still has the focus, and Enter would press it again; what is typed into a field is not for here.
  typed(e) {
    const field = e.composedPath()[0].closest?.("input, textarea, [contenteditable]");
    if (!this.points.length || field) return;
    const closes = e.key === "Enter" && this.tool === "corners";
    if (!closes && e.key !== "Escape") return;
    e.preventDefault();
    e.stopImmediatePropagation();
    if (closes) this.close(e);
    else this.clear();
  }

  // Corners stay on the places they were set on while the map below is moved, zoomed or resized.
  follow(at) {
    if (this.tool !== "corners" || !this.points.length) return;
    this.points = this.places.map(([x, y]) => at.place(x, y));
    this.draw();
  }

  close(e) {
    if (this.points.length > 2) this.finish(e);
    else this.clear();
  }

  finish(e) {
    const points = this.points;
    this.clear();
    this.done(points, { shift: e.shiftKey, alt: e.altKey });
  }

  clear() {
    this.points = [];
    this.down = null;
    this.draw();
  }

  draw(next) {
    const { clientWidth: w, clientHeight: h } = this.stage, ratio = window.devicePixelRatio || 1;
    this.layer.width = w * ratio;
    this.layer.height = h * ratio;
    if (!this.points.length) return;
    const pen = this.layer.getContext("2d");
    pen.scale(ratio, ratio);
    pen.strokeStyle = pen.fillStyle = this.colour();
    pen.lineWidth = 2;
    pen.beginPath();
    for (const [x, y] of next ? [...this.points, next] : this.points) pen.lineTo(x, y);
    pen.closePath();
    pen.stroke();
    pen.globalAlpha = 0.1;
    pen.fill();
    pen.globalAlpha = 1;
    if (this.tool === "corners") for (const [x, y] of this.points) pen.fillRect(x - 3, y - 3, 6, 6);
  }

  destroy() {
    for (const [of, kind, hear] of this.heard) of.removeEventListener(kind, hear, true);
  }
}
