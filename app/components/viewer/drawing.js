// From stored values to pixels: unpacking, windowing, heat, outline, scale bar. No elements of the page are made here.

async function unpack(bytes) {
  const whole = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const copy = whole.slice().buffer;
  const length = new DataView(copy).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 4, length)));
  const packed = new Blob([new Uint8Array(copy, Math.ceil((4 + length) / 8) * 8, head.packed)]);
  const buffer = await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  let at = 0;
  const parts = head.sizes.map((size) => { const part = buffer.slice(at, at + size); at += size; return part; });
  const Kind = { u1: Uint8Array, i2: Int16Array, u2: Uint16Array }[head.kind];
  head.values = new Kind(parts.shift());
  if (head.heat) {
    head.heat.share = new Uint8Array(parts.shift());
    head.heat.colours = new Uint8Array(parts.shift());
  }
  if (head.mask) head.mask = new Uint8Array(parts.shift());
  if (head.marked) head.marked.on = new Uint8Array(parts.shift());
  head.least = head.kind === "i2" ? -32768 : 0;
  head.shades = new Uint8ClampedArray(head.kind === "u1" ? 256 : 65536);
  return head;
}

// Grey of every stored whole number: one table a window, so that a slice costs one look-up a pixel.
function shade(head, { level, width }) {
  const low = level - width / 2;
  for (let i = 0; i < head.shades.length; i++) {
    head.shades[i] = Math.round((255 * ((i + head.least) * head.slope + head.intercept - low)) / width);
  }
}

// Calls put(pixel, place) for each pixel of a slice in the order of the screen; place is its position in the stored array.
function each(head, plane, index, put) {
  const { dims } = head;
  const steps = [dims[1] * dims[2], dims[2], 1];
  const [a, b, c] = plane.order;
  const down = dims[b], across = dims[c];
  let k = 0;
  for (let y = 0; y < down; y++) {
    const line = index * steps[a] + (plane.flip[0] ? down - 1 - y : y) * steps[b];
    for (let x = 0; x < across; x++) put(k++, line + (plane.flip[1] ? across - 1 - x : x) * steps[c]);
  }
}

function sheet(width, height) {
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  return made;
}

function paint(canvas, fill) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  fill(image.data);
  pen.putImageData(image, 0, 0);
  return canvas;
}

function picture(head, plane, index) {
  const canvas = sheet(head.dims[plane.order[2]], head.dims[plane.order[1]]);
  const { shades, least, values } = head;
  return paint(canvas, (out) => each(head, plane, index, (k, place) => {
    for (let j = 0; j < 3; j++) out[4 * k + j] = shades[values[head.colour ? 3 * place + j : place] - least];
    out[4 * k + 3] = 255;
  }));
}

// The same rule as on the server: nothing at the low end, full opacity from the middle of the scale on.
function heatLayer(head, plane, index) {
  const canvas = sheet(head.dims[plane.order[2]], head.dims[plane.order[1]]);
  const { share, colours } = head.heat;
  return paint(canvas, (out) => each(head, plane, index, (k, place) => {
    const s = share[place];
    for (let j = 0; j < 3; j++) out[4 * k + j] = colours[3 * s + j];
    out[4 * k + 3] = Math.min(255, 2 * s);
  }));
}

// Edges between marked and unmarked pixels as a path in pixel units.
function outline(head, plane, index, marks) {
  const across = head.dims[plane.order[2]], down = head.dims[plane.order[1]];
  const on = new Uint8Array(across * down);
  each(head, plane, index, (k, place) => { on[k] = marks[place] ? 1 : 0; });
  const path = new Path2D();
  const at = (x, y) => x >= 0 && y >= 0 && x < across && y < down && on[y * across + x] === 1;
  for (let y = 0; y <= down; y++) {
    for (let x = 0; x <= across; x++) {
      if (at(x, y) !== at(x - 1, y)) { path.moveTo(x, y); path.lineTo(x, y + 1); }
      if (at(x, y) !== at(x, y - 1)) { path.moveTo(x, y); path.lineTo(x + 1, y); }
    }
  }
  return path;
}

// The longest of 1, 2, 5 x 10^k mm within `share` of `pixels` of `mm` each: as `core.imaging.orientation.scale_bar`.
function scaleBar(mm, pixels, share = 0.3) {
  const most = mm * pixels * share;
  const ten = 10 ** Math.floor(Math.log10(most));
  const long = ten * Math.max(...[1, 2, 5].filter((m) => m * ten <= most * (1 + 1e-9)));
  const round = (v) => Number(v.toPrecision(3)).toString();
  return { long, words: long >= 10 ? `${round(long / 10)} cm` : `${round(long)} mm` };
}

function short(value) {
  if (Math.abs(value) >= 100 || value === Math.round(value)) return value.toFixed(0);
  return Number(value.toPrecision(3)).toString();
}
