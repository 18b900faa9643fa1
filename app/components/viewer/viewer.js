// The viewer: a canvas with what belongs on it as text, and its controls. Values stay here; only choices for all pictures go back to the server.

const instances = new WeakMap();
const remembered = new Map(); // what a case was left at, by its id
const liking = { heat: true, opacity: 0.4, outline: true, line: false }; // for all cases of this page

export default function ({ data, parentElement, setStateValue }) {
  let viewer = instances.get(parentElement);
  if (!viewer) {
    viewer = new Viewer(parentElement);
    instances.set(parentElement, viewer);
  }
  viewer.send = (event) => setStateValue("event", { ...event, id: Date.now() });
  unpack(data).then((head) => viewer.show(head));
  return () => {
    viewer.destroy();
    instances.delete(parentElement);
  };
}

class Viewer {
  constructor(parent) {
    this.root = element("div", "vw", { "data-testid": "viewer" });
    this.stage = element("div", "vw-stage", { tabindex: "0", role: "application", "data-testid": "viewer-stage" });
    this.canvas = element("canvas", "", { "aria-hidden": "true" });
    this.stage.append(this.canvas);
    this.words = {};
    for (const name of ["left", "right", "top", "bottom", "slice", "window", "scale", "side"]) {
      this.words[name] = element("div", `vw-${name}`, { "data-testid": `viewer-${name}` });
      this.stage.append(this.words[name]);
    }
    this.bar = element("div", "vw-bar");
    this.root.append(this.stage, this.bar);
    parent.append(this.root);
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.stage);
    this.heard = (e) => this.looked(e.detail);
    document.addEventListener("lightbox-look", this.heard);
    this.listen();
  }

  destroy() {
    this.gone = true;
    this.resized.disconnect();
    document.removeEventListener("lightbox-look", this.heard);
    this.root.remove();
  }

  show(head) {
    if (this.gone) return;
    const same = this.head && this.head.id === head.id;
    this.head = head;
    this.at = remembered.get(head.id) || (same && this.at) || { plane: 0, index: {}, zoom: 1, x: 0, y: 0 };
    remembered.set(head.id, this.at);
    if (remembered.size > 200) remembered.delete(remembered.keys().next().value);
    if (this.at.first !== `${head.first}/${head.before}`) { this.at.first = `${head.first}/${head.before}`; if (head.apart) this.at.index[0] = head.first; }
    if (head.start && this.at.start !== head.start.join()) { // asked for from outside; later scrolling stays
      const plane = head.planes.radiological.findIndex((p) => p.order[0] === head.start[0]);
      this.at.start = head.start.join();
      if (plane >= 0) { this.at.plane = plane; this.at.index[plane] = head.start[1]; }
    }
    this.root.style.height = `${head.height}px`;
    this.stage.setAttribute("aria-label", `${head.title}. Arrow keys: slices. W: next window. H: heat. Plus, minus: zoom. Shift and arrows: move. 0: as at first.${head.steps ? ` Values ${head.steps}.` : ""}`);
    this.choice = null;
    this.layers = {};
    this.controls();
    this.looked(globalThis.lightboxLook || { window: "", side: "radiological" });
    const busy = document.activeElement;
    const typing = busy?.matches("textarea, input:not([role=combobox])");
    if (head.reading && !typing && (!same || !busy || busy === document.body)) this.stage.focus({ preventScroll: true });
  }

  // -- what is chosen for all pictures ------------------------------------------------------------------------------------------------
  looked(look) {
    if (!this.head || this.gone) return;
    const side = this.head.planes[look.side] ? look.side : "radiological";
    const mine = !look.of || look.of === this.of; // numbers of other data would show a black picture
    const wanted = mine ? look.window || "" : this.choice || "";
    if (side === this.side && wanted === this.choice) return;
    if (side !== this.side) this.layers = {};
    this.side = side;
    this.choose(wanted, false);
  }

  get of() { return this.head.id.split("-")[0]; }

  window(choice) {
    const { presets, usual } = this.head;
    if (choice.includes(",")) {
      const [level, width] = choice.split(",").map(Number);
      if (Number.isFinite(level) && width > 0) return { id: "", level, width };
    }
    return presets.find((p) => p.id === choice) || presets.find((p) => p.id === usual) || presets[0];
  }

  choose(choice, tell = true) {
    this.choice = choice;
    this.now = this.window(choice);
    shade(this.head, this.now);
    this.layers.picture = null;
    this.draw();
    if (tell) this.tell({ window: choice });
  }

  // The other viewers of the page hear of it at once, the server next.
  tell(change) {
    const look = { window: this.choice, side: this.side, of: this.of };
    globalThis.lightboxLook = look;
    document.dispatchEvent(new CustomEvent("lightbox-look", { detail: look }));
    this.send(change);
  }

  turn(side) {
    this.side = side;
    this.layers = {};
    this.draw();
    this.tell({ side });
  }

  reset() {
    Object.assign(this.at, { zoom: 1, x: 0, y: 0 });
    this.choose("");
  }

  // -- slices -------------------------------------------------------------------------------------------------------------------------
  get plane() {
    const planes = this.head.planes[this.side];
    return planes[Math.min(this.at.plane, planes.length - 1)];
  }

  get many() { return this.head.dims[this.plane.order[0]]; }

  get index() {
    const kept = this.at.index[this.at.plane];
    return Math.min(this.many - 1, Math.max(0, kept === undefined ? (this.head.apart ? this.head.first : Math.floor(this.many / 2)) : kept));
  }

  go(by) { this.goto(this.index + by); }

  goto(index) {
    const to = Math.min(this.many - 1, Math.max(0, index));
    if (to === this.index && this.head.total > this.many && this.head.apart) { // beyond what was sent: ask for the part around it
      const wanted = this.head.before + index;
      if (wanted >= 0 && wanted < this.head.total && index !== to) this.send({ slice: wanted });
    }
    if (to === this.index) return;
    this.at.index[this.at.plane] = to;
    this.layers = {};
    this.draw();
  }

  // -- drawing ------------------------------------------------------------------------------------------------------------------------
  draw() {
    const box = this.stage.getBoundingClientRect();
    if (!this.head || this.gone || !this.now || box.width < 2 || box.height < 2) return;
    const { head, plane, index, layers } = this;
    layers.picture ||= picture(head, plane, index);
    const sharp = window.devicePixelRatio || 1;
    const { canvas } = this;
    canvas.width = Math.round(box.width * sharp);
    canvas.height = Math.round(box.height * sharp);
    const pen = canvas.getContext("2d");
    const [, down, across] = plane.mm || [1, 1, 1];
    const high = layers.picture.height * down, wide = layers.picture.width * across;
    const unit = Math.min(box.width / wide, box.height / high) * this.at.zoom; // screen pixels a millimetre
    pen.setTransform(sharp * unit * across, 0, 0, sharp * unit * down, sharp * (box.width / 2 + this.at.x - (unit * wide) / 2), sharp * (box.height / 2 + this.at.y - (unit * high) / 2));
    pen.imageSmoothingEnabled = head.smooth;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(layers.picture, 0, 0);
    if (head.heat && this.hot) {
      pen.globalAlpha = liking.opacity;
      pen.drawImage((layers.heat ||= heatLayer(head, plane, index)), 0, 0);
      pen.globalAlpha = 1;
    }
    const stroke = (path, colour) => {
      const drawn = new Path2D();
      drawn.addPath(path, pen.getTransform());
      pen.save();
      pen.resetTransform();
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5 * sharp;
      pen.stroke(drawn);
      pen.restore();
    };
    if (head.marked && this.lined) stroke((layers.line ||= outline(head, plane, index, head.marked.on)), "#E69F00");
    if (head.mask && liking.outline) stroke((layers.outline ||= outline(head, plane, index, head.mask)), "#56B4E9");
    this.print(unit, box);
    this.follow();
  }

  // In the reading room heat is asked for, case by case.
  get liked() { return this.head.reading ? Boolean(this.at.hot) : liking.heat; }
  set liked(on) { this.head.reading ? (this.at.hot = on) : (liking.heat = on); }

  // The line tells what the heat tells, so in the reading room it waits for it.
  get lined() { return liking.line && (!this.head.reading || this.liked); }

  get hot() { return this.held ? !this.liked : this.liked; }

  print(unit, box) {
    const { head, plane, words } = this;
    for (const edge of ["left", "right", "top", "bottom"]) words[edge].textContent = plane.edges[edge] || "";
    const number = head.apart ? head.before + this.index + 1 : this.index + 1;
    const of = head.apart ? head.total : this.many;
    const away = head.apart && this.index !== head.first ? ` (the case is ${head.before + head.first + 1})` : "";
    words.slice.textContent = of > 1 ? `${head.word} ${number}/${of}${away}` : "";
    const ends = plane.through && of > 1 ? `, ${plane.through[0]} to ${plane.through[1]}` : "";
    words.slice.append(ends);
    words.window.textContent = `W ${short(this.now.width)} L ${short(this.now.level)}${head.unit ? ` ${head.unit}` : ""}`;
    const known = Object.keys(plane.edges).length > 0;
    const side = head.colour && !known ? "" : known ? this.side + (head.oblique ? `, tilted ${head.oblique}°` : "") : "orientation unknown";
    words.side.textContent = side;
    words.scale.replaceChildren();
    if (plane.mm) {
      const { long, words: said } = scaleBar(1 / unit, box.width);
      const line = element("i", "");
      line.style.width = `${long * unit}px`;
      words.scale.append(element("span", "", { text: said }), line);
    } else if (!head.colour || known) words.scale.append(element("span", "", { text: "scale unknown" }));
    if (head.note) words.side.append(element("br", ""), head.note);
  }

  // -- controls -----------------------------------------------------------------------------------------------------------------------
  button(text, help, press, name = "") {
    const made = element("button", "", { type: "button", title: help, "aria-label": help, text, "data-name": name });
    made.addEventListener("click", press);
    this.buttons.push(made);
    return made;
  }

  number(text, help, name) {
    const label = element("label", "vw-number", { title: help, text });
    const made = element("input", "", { type: "number", step: "any", "aria-label": help, "data-testid": `viewer-${name}` });
    made.addEventListener("change", () => {
      const value = { level: this.now.level, width: this.now.width, [name]: Number(made.value) };
      if (Number.isFinite(value[name]) && value.width > 0) this.choose(`${value.level},${value.width}`);
      else this.follow();
    });
    label.append(made);
    return [label, made];
  }

  group(name, ...parts) {
    const made = element("div", "vw-group", { role: "group", "aria-label": name });
    made.append(...parts);
    this.bar.append(made);
  }

  controls() {
    const { head } = this;
    this.buttons = [];
    this.bar.replaceChildren();
    const planes = head.planes.radiological;
    if (planes.length > 1) this.group("Plane", ...planes.map((p, i) => this.button(p.plane, `Show the ${p.plane} plane`, () => { this.at.plane = i; this.layers = {}; this.draw(); }, `plane ${i}`)));
    if (Math.max(...planes.map((p) => head.dims[p.order[0]])) > 1) {
      this.slider = element("input", "vw-slices", { type: "range", min: "0", "aria-label": head.word, title: "Scroll: wheel over the picture, arrow keys, page up and down" });
      this.slider.addEventListener("input", () => this.goto(Number(this.slider.value)));
      this.group("Slices", this.slider);
    } else this.slider = null;
    this.group("Window", ...head.presets.map((p) => this.button(p.label, `${p.help} (key W: next)`, () => this.choose(p.id), `window ${p.id}`)));
    const [wide, width] = this.number("W", `Width of the window: values from black to white${head.steps ? ` (${head.steps})` : ""}`, "width");
    const [middle, level] = this.number("L", "Level of the window: the value drawn mid grey", "level");
    this.boxes = { width, level };
    const turn = planes.some((p) => Object.keys(p.edges).length);
    this.group("Values and view", wide, middle,
      this.button("−", "Smaller (key minus)", () => this.zoom(1 / 1.25)), this.button("+", "Larger (key plus, or Ctrl and wheel)", () => this.zoom(1.25)),
      ...(turn ? [this.button("R ⇄ L", "Neurological display: the patient's right at the right edge. Off: radiological, right at the left edge", () => this.turn(this.side === "radiological" ? "neurological" : "radiological"), "side")] : []),
      this.button("Reset", "Window and zoom as at first (double click, key 0)", () => this.reset()));
    if (head.heat) {
      this.opacity = element("input", "vw-opacity", { type: "range", min: "0.1", max: "1", step: "0.05", "aria-label": "Opacity of the heat", title: "Opacity of the heat" });
      this.opacity.value = liking.opacity;
      this.opacity.addEventListener("input", () => { liking.opacity = Number(this.opacity.value); this.draw(); });
      const ramp = paint(sheet(256, 1), (out) => {
        for (let i = 0; i < 256; i++) {
          const a = 0.8 * Math.min(1, i / 128);
          for (let j = 0; j < 3; j++) out[4 * i + j] = head.heat.colours[3 * i + j] * a + 90 * (1 - a);
          out[4 * i + 3] = 255;
        }
      });
      const line = element("div", "vw-ramp", { title: head.heat.words });
      line.append(element("span", "", { text: head.heat.low }), ramp, element("span", "", { text: head.heat.high }));
      this.group("Heat", this.button("Heat", "Show where it is unusual (key H; hold to compare)", () => { this.liked = !this.liked; this.draw(); }, "heat"), this.opacity, line,
        element("small", "", { text: head.heat.words }));
    }
    if (head.marked) this.group("Line at the threshold", this.button("At the threshold", `Orange line: ${head.marked.words}`, () => { liking.line = !liking.line; this.draw(); }, "line"));
    if (head.mask) this.group("Outline", this.button("Marked truth", "Show the outline a person drew, in blue", () => { liking.outline = !liking.outline; this.draw(); }, "outline"));
  }

  // Controls say what is the case.
  follow() {
    const chosen = this.now.id;
    const on = { heat: this.hot, outline: liking.outline, line: liking.line, side: this.side === "neurological", [`plane ${this.at.plane}`]: true, [`window ${chosen}`]: Boolean(chosen) };
    for (const b of this.buttons) {
      const name = b.dataset.name;
      if (name) b.setAttribute("aria-pressed", String(Boolean(on[name])));
    }
    for (const [name, box] of Object.entries(this.boxes)) if (this.root.getRootNode().activeElement !== box) box.value = Number(this.now[name].toPrecision(5));
    if (this.slider) {
      this.slider.max = this.many - 1;
      this.slider.value = this.index;
      this.slider.setAttribute("aria-valuetext", this.words.slice.textContent);
    }
  }

  zoom(by) {
    this.at.zoom = Math.min(20, Math.max(0.25, this.at.zoom * by));
    this.draw();
  }

  move(x, y) {
    this.at.x += x;
    this.at.y += y;
    this.draw();
  }

  // -- mouse and keys -----------------------------------------------------------------------------------------------------------------
  listen() {
    const { stage } = this;
    let rolled = 0;
    stage.addEventListener("wheel", (e) => {
      if (!this.head || (!e.ctrlKey && this.many < 2)) return;
      e.preventDefault();
      if (e.ctrlKey) return this.zoom(e.deltaY < 0 ? 1.1 : 1 / 1.1);
      rolled += e.deltaMode ? e.deltaY * 40 : e.deltaY;
      const by = Math.trunc(rolled / 40);
      rolled -= by * 40;
      if (by) this.go(Math.abs(by) < 4 ? Math.sign(by) : Math.trunc(by / 3)); // one notch of a wheel is one slice
    }, { passive: false });
    let from = null;
    stage.addEventListener("pointerdown", (e) => {
      if (e.button > 1 || !this.now) return;
      from = { x: e.clientX, y: e.clientY, pan: e.shiftKey || e.button === 1, level: this.now.level, width: this.now.width, moved: false };
      stage.setPointerCapture(e.pointerId);
    });
    stage.addEventListener("pointermove", (e) => {
      if (!from) return;
      const dx = e.clientX - from.x, dy = e.clientY - from.y;
      if (!from.moved && Math.hypot(dx, dy) < 3) return;
      from.moved = true;
      if (from.pan) {
        this.move(dx, dy);
        from.x = e.clientX;
        from.y = e.clientY;
      } else {
        const step = from.width / 200; // of the window as it was: fine for narrow, coarse for wide ones
        const width = Math.max(from.width / 1000, from.width + dx * step), level = from.level - dy * step;
        const round = (v) => Number(v.toPrecision(4));
        this.choose(`${round(level)},${round(width)}`, false);
      }
    });
    const done = () => {
      if (from && from.moved && !from.pan) this.choose(this.choice);
      from = null;
    };
    stage.addEventListener("pointerup", done);
    stage.addEventListener("pointercancel", done);
    stage.addEventListener("dblclick", () => this.reset());
    stage.addEventListener("keydown", (e) => this.pressed(e));
    stage.addEventListener("keyup", (e) => {
      if (e.key.toLowerCase() !== "h" || !this.held) return;
      if (performance.now() - this.held < 350) this.liked = !this.liked; // a tap turns it on or off, holding only compares
      this.held = 0;
      this.draw();
    });
    stage.addEventListener("blur", () => { if (this.held) { this.held = 0; this.draw(); } });
  }

  pressed(e) {
    if (!this.head || e.ctrlKey || e.metaKey || e.altKey) return;
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const pans = { ArrowUp: [0, 30], ArrowDown: [0, -30], ArrowLeft: [30, 0], ArrowRight: [-30, 0] };
    const presets = this.head.presets;
    const does = {
      ArrowUp: () => this.go(-1), ArrowDown: () => this.go(1), PageUp: () => this.go(-10), PageDown: () => this.go(10), Home: () => this.goto(0), End: () => this.goto(this.many - 1),
      w: () => this.choose(presets[(presets.findIndex((p) => p.id === this.now.id) + 1) % presets.length].id),
      h: () => { if (this.head.heat && !e.repeat) { this.held = performance.now(); this.draw(); } },
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(1 / 1.25), 0: () => this.reset(),
    }[key];
    const act = e.shiftKey && pans[key] ? () => this.move(...pans[key]) : does;
    if (!act) return;
    e.preventDefault();
    e.stopPropagation();
    act();
  }
}
