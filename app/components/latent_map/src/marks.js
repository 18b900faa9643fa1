// What lies on the points: names of classes that do not cover one another, and pictures of cases once few are in view.

const MOST = 60; // pictures shown at once
const SIDES = [26, 64]; // pixels: the least and the largest side of a picture

// From places on the map to pixels of `stage`, and back, as the map is moved and zoomed now; null before it was drawn.
export function screen(plot, stage) {
  const view = plot.get("cameraView"), width = stage.clientWidth, height = stage.clientHeight;
  if (!view || !width || !height) return null;
  const ratio = width / height;
  return {
    width, height,
    place: (x, y) => [(((view[0] * x + view[12]) / ratio + 1) / 2) * width, ((1 - (view[5] * y + view[13])) / 2) * height],
    back: (px, py) => [(((px / width) * 2 - 1) * ratio - view[12]) / view[0], (1 - (py / height) * 2 - view[13]) / view[5]],
  };
}

const LEAST = 1.8; // contrast of a point with what is behind it
const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const light = (rgb) => rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);

// Colours made for a dark page, as they can be seen on `background`: on a light one those that would fade are darker. An amount's keep their order: all
// of them are darker by the same share.
export function visible(colours, background, ordered) {
  const behind = light(parts(background));
  if (behind < 0.5) return colours;
  const share = (colour) => {
    let s = 1;
    while ((behind + 0.05) / (light(parts(colour).map((v) => v * s)) + 0.05) < LEAST) s -= 0.02;
    return s;
  };
  const least = ordered && Math.min(...colours.map(share));
  return colours.map((c) => `#${parts(c).map((v) => Math.round(v * (least || share(c))).toString(16).padStart(2, "0")).join("")}`);
}

function layer(stage, name) {
  const made = document.createElement("div");
  made.className = name;
  stage.append(made);
  return made;
}

export class Names {
  constructor(stage) {
    this.layer = layer(stage, "lm-labels");
    this.spans = [];
  }

  show(labels) {
    this.labels = labels;
    this.spans = labels.map((l) => {
      const span = document.createElement("span");
      span.textContent = l.text;
      return span;
    });
    this.layer.replaceChildren(...this.spans);
  }

  // The first, of the largest class, stands in its middle; a later one above or below that, or not at all where others stand.
  place(at) {
    const taken = [];
    this.spans.forEach((span, i) => {
      const [x, y] = at.place(this.labels[i].x, this.labels[i].y);
      span.hidden = x < 0 || y < 0 || x > at.width || y > at.height;
      if (span.hidden) return;
      const w = span.offsetWidth / 2 + 3, h = span.offsetHeight / 2 + 1;
      const free = (dy) => taken.every((t) => Math.abs(t.x - x) > t.w + w || Math.abs(t.y - y - dy) > t.h + h);
      const dy = [0, -1, 1, -2, 2, -3, 3].map((k) => k * (2 * h + 1)).find(free);
      span.hidden = dy === undefined;
      if (span.hidden) return;
      taken.push({ x, y: y + dy, w, h });
      span.style.left = `${x}px`;
      span.style.top = `${y + dy}px`;
    });
  }
}

export class Pictures {
  // `colour(i)` is what case i is drawn in now; `chosen` is null, or the set of cases that are selected: others step back, as points do.
  constructor(stage, colour) {
    this.colour = colour;
    this.chosen = null;
    this.layer = layer(stage, "lm-pictures");
  }

  show(message) {
    this.message = message;
    this.have = [];
    if (message.tiles) for (let i = 0; i < message.n; i++) if (message.tiles[i] >= 0) this.have.push(i);
    this.layer.replaceChildren();
  }

  clear() {
    this.have = [];
    this.layer.replaceChildren();
  }

  place(at) {
    const m = this.message, seen = [];
    for (const i of this.have) {
      const [x, y] = at.place(m.x[i], m.y[i]);
      if (x > 0 && y > 0 && x < at.width && y < at.height) seen.push([i, x, y]);
      if (seen.length > MOST) break;
    }
    if (seen.length > MOST || !seen.length) {
      this.layer.replaceChildren();
      return;
    }
    const side = Math.min(SIDES[1], Math.max(SIDES[0], 0.45 * Math.sqrt((at.width * at.height) / seen.length)));
    const zoom = side / m.tile;
    this.layer.replaceChildren(...seen.map(([i, x, y]) => {
      const picture = document.createElement("i"), tile = m.tiles[i];
      Object.assign(picture.style, { left: `${x}px`, top: `${y}px`, width: `${side}px`, height: `${side}px`, backgroundImage: `url(${m.sprite})`,
        backgroundSize: `${m.tile * m.columns * zoom}px auto`, borderColor: this.colour(i), opacity: this.chosen && !this.chosen.has(i) ? 0.35 : 1,
        backgroundPosition: `-${(tile % m.columns) * side}px -${Math.floor(tile / m.columns) * side}px` });
      return picture;
    }));
  }
}

// A mark on one case, position `at` in the message; -1 = on none.
class Mark {
  constructor(stage, look) {
    this.layer = layer(stage, look);
    this.layer.hidden = true;
    this.at = -1;
  }

  place(at) {
    this.layer.hidden = this.at < 0 || !at;
    if (this.layer.hidden) return;
    const [x, y] = at.place(this.message.x[this.at], this.message.y[this.at]);
    this.layer.style.left = `${x}px`;
    this.layer.style.top = `${y}px`;
    this.layer.dataset.index = this.at;
  }
}

// Rings the case that is under the mouse on another map of the page.
export class Ring extends Mark {
  constructor(stage) {
    super(stage, "lm-ring");
    this.heard = (e) => this.ring(e.detail);
    document.addEventListener("lightbox-hover", this.heard);
  }

  // `place()` is where points stand on the screen now, see `screen`.
  show(message, place) {
    this.message = message;
    this.where = message.ids && new Map(Array.from(message.ids, (row, i) => [row, i]));
    this.now = place;
  }

  tell(i) {
    if (!this.where) return;
    document.dispatchEvent(new CustomEvent("lightbox-hover", { detail: { from: this, row: i === undefined ? null : this.message.ids[i] } }));
  }

  ring({ from, row }) {
    if (!this.where || from === this) return;
    this.at = this.where.get(row) ?? -1;
    this.place(this.now());
  }

  destroy() {
    document.removeEventListener("lightbox-hover", this.heard);
  }
}

// A ring with four strokes around the case that is looked at, wherever the page shows it.
export class Looked extends Mark {
  constructor(stage) {
    super(stage, "lm-looked");
    this.layer.setAttribute("title", "The case that is looked at");
  }

  // `i`: which case, -1 = none.
  show(message, i) {
    this.message = message;
    this.at = i >= 0 && i < message.n ? i : -1;
  }
}

// Lines from the case under the mouse to those that are nearest to it in the latent space, wherever the map has put them.
export class Ties {
  constructor(stage) {
    this.layer = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.layer.setAttribute("class", "lm-ties");
    this.layer.setAttribute("aria-hidden", "true");
    stage.append(this.layer);
  }

  // `at` as `screen` gives it; `i` undefined = none.
  draw(message, i, at) {
    if (i === undefined || !message.near || !at) return this.layer.replaceChildren();
    const [x, y] = at.place(message.x[i], message.y[i]);
    this.layer.replaceChildren(...Array.from(message.near.subarray(i * message.ties, (i + 1) * message.ties), (j) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line"), [x2, y2] = at.place(message.x[j], message.y[j]);
      for (const [name, value] of Object.entries({ x1: x, y1: y, x2, y2 })) line.setAttribute(name, value);
      line.dataset.to = j;
      return line;
    }));
  }
}

const CELL = 14; // pixels: of points nearer to each other than a ring is wide one is ringed, so that points stay to be seen
const LOOKED = 100000; // of each set looked at while the map moves, evenly taken

// Rings the cases of two sets that were kept: A by circles, B by squares, so that they are told apart without colour.
export class Sets {
  constructor(stage, colour) {
    this.colour = colour;
    this.layer = document.createElement("canvas");
    this.layer.className = "lm-drawing lm-sets";
    stage.append(this.layer);
    this.members = {};
  }

  // `bits` by name of the set, a bit a point of `message`.
  show(message, bits) {
    this.message = message;
    this.members = {};
    for (const [name, of] of Object.entries(bits)) {
      const found = [];
      for (let i = 0; i < message.n; i++) if (of[i >> 3] & (128 >> (i & 7))) found.push(i);
      this.members[name] = found;
    }
    const sizes = Object.entries(this.members).map(([name, found]) => `${name} ${found.length}`);
    this.layer.dataset.sets = sizes.join(", ");
    for (const [name, found] of Object.entries(this.members)) {
      const every = Math.ceil(found.length / LOOKED);
      if (every > 1) this.members[name] = found.filter((_, i) => i % every === 0);
    }
  }

  place(at) {
    const ratio = window.devicePixelRatio || 1, some = Object.values(this.members).some((of) => of.length);
    if (!some && !this.layer.width) return;
    this.layer.width = some ? at.width * ratio : 0;
    this.layer.height = some ? at.height * ratio : 0;
    if (!some) return;
    const pen = this.layer.getContext("2d"), m = this.message;
    pen.scale(ratio, ratio);
    for (const [name, found] of Object.entries(this.members)) {
      const taken = new Set();
      pen.strokeStyle = this.colour();
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (const i of found) {
        const [x, y] = at.place(m.x[i], m.y[i]), cell = Math.floor(x / CELL) * 10000 + Math.floor(y / CELL);
        if (x < 0 || y < 0 || x > at.width || y > at.height || taken.has(cell)) continue;
        taken.add(cell);
        if (name === "A") {
          pen.moveTo(x + 6, y);
          pen.arc(x, y, 6, 0, 2 * Math.PI);
        } else pen.rect(x - 5, y - 5, 10, 10);
      }
      pen.stroke();
    }
  }
}
