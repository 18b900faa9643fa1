// The latent map: points on WebGL, outlines that are sent back as polygons, hover with a thumbnail. Python keeps the selection.
import createScatterplot from "regl-scatterplot";
import { Detail, mostDrawn } from "./detail.js";
import { Drawing } from "./drawing.js";
import { Looked, Names, Pictures, Ring, Sets, Ties, screen, visible } from "./marks.js";
import { controls, DOUBT, legend, tooltip, unpack } from "./parts.js";

const instances = new WeakMap();
const REFINE = 150; // milliseconds after the last move of the map until more points are drawn where one looks
const GLIDE_MOST = 100000; // points up to which a change of the map is animated

const WHOLE = [-1, -1, 1, 1]; // the map, see `Detail.within`
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

// By key: the map on the page and what is selected on it, whichever comes first (see ../selection.js).
function maps() {
  return (window.lightboxMaps ??= {});
}

export default function ({ data, parentElement, setStateValue }) {
  const message = unpack(data);
  let map = instances.get(parentElement);
  if (!map) {
    map = new LatentMap(parentElement);
    instances.set(parentElement, map);
  }
  map.send = (event) => setStateValue("event", { ...event, id: Date.now() });
  map.show(message);
  return () => {
    map.destroy();
    instances.delete(parentElement);
  };
}

// A picture laid on the colour of the page: the map draws what lies under the points without seeing through it.
async function paint(url, colour) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0);
  return canvas.toDataURL();
}

class LatentMap {
  constructor(parent) {
    this.root = document.createElement("div");
    this.root.className = "lm";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.stage = document.createElement("div");
    this.stage.className = "lm-stage";
    this.stage.append(this.canvas);
    parent.append(this.root);
    this.mode = "set";
    this.urls = [];
    this.doubt = false;
    this.controls = controls(this);
    this.root.append(this.controls, this.stage);
    this.pictures = new Pictures(this.stage, (i) => this.colourOf(i));
    this.names = new Names(this.stage);
    this.ring = new Ring(this.stage);
    this.looked = new Looked(this.stage);
    this.ties = new Ties(this.stage);
    this.sets = new Sets(this.stage, () => getComputedStyle(this.root).getPropertyValue("--st-text-color").trim());
    this.drawing = new Drawing(this.stage, () => this.accent(), (points, keys) => this.outlined(points, keys), () => this.clicked(),
      (point) => screen(this.plot, this.stage).back(...point));
    this.tip = tooltip(this.root);
    this.thinned = document.createElement("div");
    this.thinned.className = "lm-thinned";
    this.thinned.hidden = true;
    this.stage.append(this.thinned);
    this.stage.addEventListener("pointerdown", () => this.left());
    // the keys A and B keep the selection, while the pointer is on the map or the focus in it
    this.typed = (e) => {
      const from = e.composedPath(), field = from[0].closest?.("input, textarea, select, [contenteditable]");
      const here = from.includes(this.root) || this.root.matches(":hover");
      const name = e.key.toUpperCase();
      if (!here || field || e.ctrlKey || e.metaKey || e.altKey || e.repeat || !["A", "B"].includes(name)) return;
      e.preventDefault();
      this.send({ kind: "keep", set: name });
    };
    window.addEventListener("keydown", this.typed);
  }

  start() {
    const plot = createScatterplot({ canvas: this.canvas, width: "auto", height: "auto", pointSize: 4, mouseMode: "panZoom",
      pointColorActive: this.accent(), pointOutlineWidth: 1, pointSizeSelected: 1, deselectOnDblClick: false, deselectOnEscape: false,
      opacityInactiveScale: 0.4, opacityInactiveMax: 0.4, showReticle: false });
    plot.subscribe("pointOver", (i) => this.hovered(i));
    plot.subscribe("pointOut", () => { this.over = undefined; this.left(); });
    plot.subscribe("view", () => {
      this.placeMarks();
      clearTimeout(this.later);
      if (this.detail) this.later = setTimeout(() => this.refine(), REFINE);
    });
    // Zooming moves the points away from under the card; the map of points tells again of one only when another was in between.
    this.stage.addEventListener("wheel", () => { this.left(); this.zoomed = true; }, { passive: true, capture: true });
    this.canvas.addEventListener("pointermove", (e) => {
      this.at = e;
      if (this.zoomed) requestAnimationFrame(() => this.over !== undefined && this.told(this.over));
      this.zoomed = false;
    });
    this.resized = new ResizeObserver(() => this.placeMarks());
    this.resized.observe(this.canvas);
    this.plot = plot;
  }

  placeMarks() {
    const at = this.drawn && !this.gone && screen(this.plot, this.stage);
    if (!at) return;
    this.names.place(at);
    this.pictures.place(at);
    this.ring.place(at);
    this.looked.place(at);
    this.sets.place(at);
    this.drawing.follow(at);
  }

  // The whole map as large as the canvas allows: a wide one need not fit a square.
  fit() {
    this.fitted = true;
    const m = this.message, reach = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0.05) / 0.95;
    const w = reach(m.x), h = reach(m.y);
    if (m.backdrop) this.plot.reset();
    else this.plot.zoomToArea({ x: -w, y: -h, width: 2 * w, height: 2 * h });
  }

  accent() {
    return getComputedStyle(this.root).getPropertyValue("--st-primary-color").trim() || "#56B4E9";
  }

  // The colour of the page, as #rrggbb: this is called again when the theme changes.
  behind() {
    const named = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim();
    return /^#[0-9a-f]{6}$/i.test(named) ? named : "#161616";
  }

  async show(message) {
    const moved = !this.message || !["x", "y"].every((of) => this.message[of].length === message.n && this.message[of].every((v, i) => v === message[of][i]));
    this.fitted &&= !moved; // other points stand elsewhere than where one had zoomed in
    const background = this.behind();
    message.shown = visible(message.kind === "amount" ? message.scale : message.palette, background, message.kind === "amount");
    message.doubts = visible(DOUBT, background, true);
    // the same cases on another map: each is seen to go where it now stands
    const glide = moved && this.drawn && this.message.cases !== undefined && this.message.cases === message.cases && message.n === this.message.n
      && message.n <= GLIDE_MOST && !message.backdrop && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.message = message;
    this.urls.push(...[message.sprite, message.backdrop].filter(Boolean));
    this.drawn = false;
    this.root.style.height = `${message.height}px`;
    this.canvas.setAttribute("aria-label", message.alt);
    if (!this.plot) this.start();
    this.setTool(this.tool || "lasso");
    this.plot.set({ backgroundColor: background, pointSize: message.n > 50000 ? 2 : message.n > 5000 ? 3.5 : 6,
      opacityBy: message.n > 20000 ? "density" : null, opacity: 0.85 });
    this.showDoubt(this.doubt && message.faithful);
    const under = message.backdrop ? await this.plot.createTextureFromUrl(await paint(message.backdrop, background)) : null;
    if (this.gone || message !== this.message) return;
    this.plot.set({ backgroundImage: under });
    if (glide) {
      this.names.show([]);
      this.pictures.clear();
      if (!this.fitted) this.fit();
    }
    this.detail = message.n > (this.most ??= mostDrawn()) ? new Detail(message, this.most) : null;
    const part = this.detail ? this.detail.within(WHOLE) : { ...message, index: null };
    await this.plot.draw(...this.points(part, glide));
    if (this.gone || message !== this.message) return; // the page was left, or a newer message came, while the points went to the card
    this.drawn = true;
    this.take(part);
    if (!this.fitted) this.fit();
    this.names.show(message.labels);
    this.pictures.show(message);
    this.ring.show(message, () => this.drawn && !this.gone && screen(this.plot, this.stage));
    this.left();
    this.release([message.sprite, message.backdrop]);
    this.placeMarks();
    this.waiting = maps()[message.key] ??= {};
    this.waiting.map = this;
    this.mark(this.waiting.selection);
    this.keepSets(this.waiting.sets);
  }

  // What the map of points is given: arrays as of a message, and how they are drawn.
  points({ x, y, code, trust }, glide) {
    return [{ x, y, valueA: code, valueB: trust },
      { zDataType: this.message.kind === "amount" ? "continuous" : "categorical", wDataType: "continuous", preventFilterReset: true, transition: glide, transitionDuration: 900 }];
  }

  // Which points are drawn now; what is left out is said.
  take(part) {
    this.part = part;
    this.thinned.hidden = !part.index || part.index.length >= part.inView;
    if (!this.thinned.hidden) {
      this.thinned.textContent = `${part.index.length.toLocaleString("en")} of ${part.inView.toLocaleString("en")} points in view are drawn; zoom in to see all. A selection takes all.`;
    }
    this.root.dataset.drawn = part.index ? part.index.length : this.message.n;
  }

  // More points where one looks now, at last all of them.
  async refine() {
    const at = this.drawn && !this.gone && this.detail && screen(this.plot, this.stage), message = this.message;
    if (!at || this.refining) return;
    const [left, top] = at.back(0, 0), [right, bottom] = at.back(at.width, at.height);
    const part = this.detail.within([left, bottom, right, top]);
    if (part.key === this.part.key) return;
    this.refining = true;
    await this.plot.draw(...this.points(part, false));
    this.refining = false;
    if (this.gone || message !== this.message) return;
    this.take(part);
    this.mark(this.waiting && this.waiting.selection);
    this.refine(); // the view may have moved on meanwhile
  }

  // Frees the pictures of messages before, all but those to `keep`.
  release(keep) {
    for (const url of this.urls) if (!keep.includes(url)) URL.revokeObjectURL(url);
    this.urls = this.urls.filter((url) => keep.includes(url));
  }

  // Colours and the legend: of the column, or of how true each point's neighbours on the map are.
  showDoubt(on) {
    const message = this.message, colours = on ? message.doubts : message.shown;
    this.doubt = on;
    this.plot.set({ colorBy: on ? "valueB" : "valueA", pointColor: colours, pointColorActive: colours, pointColorHover: this.accent() });
    this.controls.doubt(message.faithful, on);
    if (this.legend) this.legend.remove();
    this.legend = legend(this, message);
    this.root.append(this.legend);
    this.placeMarks();
  }

  colourOf(i) {
    const m = this.message, along = (colours, share) => colours[Math.round(share * (colours.length - 1))];
    return this.doubt ? along(m.doubts, m.trust[i]) : m.kind === "amount" ? along(m.shown, m.code[i]) : m.shown[m.code[i]];
  }

  // Which points are selected, told by a message of its own: the points are not sent again for it.
  mark(selection) {
    if (!selection || !this.drawn || selection.n !== this.message.n) return;
    const has = (i) => selection.bits[i >> 3] & (128 >> (i & 7)), chosen = [], index = this.part.index;
    for (let k = 0; k < (index ? index.length : selection.n); k++) if (has(index ? index[k] : k)) chosen.push(k);
    const many = index ? selection.bits.reduce((sum, byte) => sum + BITS[byte], 0) : chosen.length;
    const some = many && many < selection.n;
    if (some) this.plot.select(chosen, { preventEvent: true });
    else this.plot.deselect({ preventEvent: true });
    this.looked.show(this.message, selection.looked ?? -1);
    this.pictures.chosen = some && this.message.tiles ? new Set(index ? chosen.map((k) => index[k]) : chosen) : null;
    this.placeMarks();
    this.root.dataset.ready = selection.stamp;
  }

  // Which points are in the sets A and B, likewise.
  keepSets(sets) {
    if (!this.drawn) return;
    this.sets.show(this.message, sets && sets.n === this.message.n ? sets.of : {});
    this.placeMarks();
  }

  setTool(tool) {
    this.tool = tool;
    this.drawing.use(tool);
    this.controls.mark(tool);
  }

  modeOf(keys) {
    return keys && (keys.shift || keys.shiftKey) ? "add" : keys && (keys.alt || keys.altKey) ? "remove" : this.mode;
  }

  outlined(points, keys) {
    const at = screen(this.plot, this.stage), step = Math.max(1, Math.floor(points.length / 400));
    if (!at || points.length < 3) return;
    const polygon = points.filter((_, i) => i % step === 0).map(([x, y]) => at.back(x, y).map((v) => Math.round(v * 1e5) / 1e5));
    this.send({ kind: "lasso", polygon, mode: this.modeOf(keys) });
  }

  clicked() {
    if (this.over !== undefined) this.send({ kind: "click", index: this.over });
  }

  // `at`: which of the points that are drawn.
  hovered(at) {
    this.told(this.part.index ? this.part.index[at] : at);
  }

  // `i`: which case.
  told(i) {
    this.over = i;
    this.ring.tell(i);
    this.ties.draw(this.message, i, screen(this.plot, this.stage));
    if (this.drawing.points.length) return;
    const m = this.message;
    this.tip.show(this.at, m.words ? m.words[i] : m.names && m.kind === "category" ? m.names[m.code[i]] : "", m.sprite, m.tiles ? m.tiles[i] : -1, m);
  }

  // Nothing of a case under the mouse is shown any more.
  left() {
    this.tip.hide();
    this.ring.tell();
    this.ties.draw(this.message);
  }

  destroy() {
    this.gone = true;
    clearTimeout(this.later);
    if (this.waiting && this.waiting.map === this) delete this.waiting.map;
    window.removeEventListener("keydown", this.typed);
    this.drawing.destroy();
    this.ring.destroy();
    this.release([]);
    if (this.resized) this.resized.disconnect();
    if (this.plot) this.plot.destroy();
    this.root.remove();
  }
}
