// Level of detail: of more points than can be drawn fluently, those in view are thinned evenly, sparse places least; as one zooms in, more of them are
// drawn, at last all. Nothing is asked of the server for it.
const SIDE = 256; // cells a side of the grid over the map, [-1, 1] x [-1, 1]
const HARDWARE = 1500000, SOFTWARE = 50000; // points drawn at once
const MARGIN = 0.1; // of the view around it that is drawn too

// How many points are drawn at once: fewer where the processor draws.
export function mostDrawn() {
  const gl = document.createElement("canvas").getContext("webgl");
  const named = gl && gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl ? String(gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer) ? SOFTWARE : HARDWARE;
}

const cell = (v) => Math.min(SIDE - 1, Math.max(0, Math.floor(((v + 1) / 2) * SIDE)));

export class Detail {
  constructor(message, most) {
    this.message = message;
    this.most = most;
    const { x, y, n } = message, start = new Uint32Array(SIDE * SIDE + 1);
    for (let i = 0; i < n; i++) start[cell(y[i]) * SIDE + cell(x[i]) + 1]++;
    for (let c = 0; c < SIDE * SIDE; c++) start[c + 1] += start[c];
    const next = start.slice(), order = new Uint32Array(n);
    for (let i = 0; i < n; i++) order[next[cell(y[i]) * SIDE + cell(x[i])]++] = i;
    Object.assign(this, { start, order });
  }

  // The points to draw of a view [left, bottom, right, top] of the map: `index` of each in the message, and their arrays; `inView` how many there are.
  within([left, bottom, right, top]) {
    const w = (right - left) * MARGIN, h = (top - bottom) * MARGIN, { start, order, message: m } = this;
    const x0 = cell(left - w), x1 = cell(right + w), y0 = cell(bottom - h), y1 = cell(top + h);
    let inView = 0;
    for (let r = y0; r <= y1; r++) inView += start[r * SIDE + x1 + 1] - start[r * SIDE + x0];
    const share = Math.min(1, this.most / Math.max(1, inView)), found = [];
    for (let r = y0; r <= y1; r++) {
      for (let c = r * SIDE + x0; c <= r * SIDE + x1; c++) {
        const first = start[c], count = start[c + 1] - first, take = share < 1 ? Math.min(count, Math.max(1, Math.round(count * share))) : count;
        for (let k = 0; k < take; k++) if (count) found.push(order[first + Math.floor((k * count) / take)]);
      }
    }
    const index = Uint32Array.from(found), pick = (values) => Float32Array.from(index, (i) => values[i]);
    return { key: [x0, x1, y0, y1].join(), inView, index, x: pick(m.x), y: pick(m.y), code: pick(m.code), trust: pick(m.trust) };
  }
}
