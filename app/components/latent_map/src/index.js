// The latent map: points on WebGL, a lasso that sends back its polygon, hover with a thumbnail. Python draws the selection.
import createScatterplot from "regl-scatterplot";
import { controls, legend, overlay, tooltip, unpack } from "./parts.js";

const instances = new WeakMap();

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
    this.controls = controls(this);
    this.root.append(this.controls, this.stage);
    this.tip = tooltip(this.root);
  }

  start() {
    const plot = createScatterplot({ canvas: this.canvas, width: "auto", height: "auto", pointSize: 4, lassoColor: this.accent(),
      pointColorActive: this.accent(), pointOutlineWidth: 1, pointSizeSelected: 1, deselectOnDblClick: false, deselectOnEscape: false,
      lassoMinDelay: 5, lassoMinDist: 2, opacityInactiveScale: 0.4, opacityInactiveMax: 0.4, showReticle: false });
    plot.subscribe("lassoEnd", ({ coordinates }) => this.lassoed(coordinates));
    plot.subscribe("pointOver", (i) => this.hovered(i));
    plot.subscribe("pointOut", () => this.tip.hide());
    plot.subscribe("view", () => this.placeLabels());
    this.canvas.addEventListener("pointerdown", (e) => { this.down = { x: e.clientX, y: e.clientY, shift: e.shiftKey, alt: e.altKey }; });
    this.canvas.addEventListener("click", (e) => this.clicked(e));
    this.canvas.addEventListener("pointermove", (e) => { this.at = e; });
    this.resized = new ResizeObserver(() => this.placeLabels());
    this.resized.observe(this.canvas);
    this.plot = plot;
  }

  placeLabels() {
    if (this.labels && !this.gone) this.labels.place(this.plot, this.message.labels);
  }

  accent() {
    return getComputedStyle(this.root).getPropertyValue("--st-primary-color").trim() || "#56B4E9";
  }

  async show(message) {
    this.message = message;
    this.root.style.height = `${message.height}px`;
    if (this.legend) this.legend.remove();
    this.legend = legend(this, message);
    this.root.append(this.legend);
    this.canvas.setAttribute("aria-label", message.alt);
    if (!this.plot) this.start();
    this.setTool(this.tool || "lasso");
    const amount = message.kind === "amount";
    const background = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim() || "#161616";
    this.plot.set({ backgroundColor: background, colorBy: "valueA", pointColor: amount ? message.scale : message.palette,
      pointSize: message.n > 50000 ? 2 : message.n > 5000 ? 3.5 : 6, opacityBy: message.n > 20000 ? "density" : null, opacity: 0.85,
      pointColorActive: amount ? message.scale : message.palette, pointColorHover: this.accent() });
    const under = message.backdrop ? await this.plot.createTextureFromUrl(await paint(message.backdrop, background)) : null;
    if (this.gone || message !== this.message) return;
    this.plot.set({ backgroundImage: under });
    const code = message.code;
    await this.plot.draw({ x: message.x, y: message.y, valueA: code, valueB: new Float32Array(message.n) },
      { zDataType: amount ? "continuous" : "categorical", preventFilterReset: true });
    if (this.gone || message !== this.message) return; // the page was left, or a newer message came, while the points went to the card
    const chosen = [];
    for (let i = 0; i < message.n; i++) if (message.selected[i]) chosen.push(i);
    if (chosen.length && chosen.length < message.n) this.plot.select(chosen, { preventEvent: true });
    else this.plot.deselect({ preventEvent: true });
    if (this.labels) this.labels.remove();
    this.labels = overlay(this.stage, message.labels);
    this.placeLabels();
    this.root.dataset.ready = message.stamp;
  }

  setTool(tool) {
    this.tool = tool;
    this.plot.set({ mouseMode: tool === "lasso" ? "lasso" : "panZoom" });
    this.controls.mark(tool);
  }

  modeOf(e) {
    return e && e.shift ? "add" : e && e.alt ? "remove" : this.mode;
  }

  lassoed(points) {
    if (points.length < 3) return;
    const step = Math.max(1, Math.floor(points.length / 400));
    const polygon = points.filter((_, i) => i % step === 0).map(([x, y]) => [Math.round(x * 1e5) / 1e5, Math.round(y * 1e5) / 1e5]);
    this.send({ kind: "lasso", polygon, mode: this.modeOf(this.down) });
  }

  clicked(e) {
    if (this.down && Math.hypot(e.clientX - this.down.x, e.clientY - this.down.y) > 4) return;
    if (this.over !== undefined) this.send({ kind: "click", index: this.over });
  }

  hovered(i) {
    this.over = i;
    const m = this.message;
    this.tip.show(this.at, m.words ? m.words[i] : m.names && m.kind === "category" ? m.names[m.code[i]] : "", m.sprite, m.tiles ? m.tiles[i] : -1, m);
  }

  destroy() {
    this.gone = true;
    if (this.resized) this.resized.disconnect();
    if (this.plot) this.plot.destroy();
    this.root.remove();
  }
}
