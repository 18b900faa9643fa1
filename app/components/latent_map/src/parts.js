// The parts around the points: reading the message, buttons, legend, the hover card. All words go in as text, never as markup.
import { TOOLS } from "./drawing.js";

export const DOUBT = ["#E69F00", "#BDA66B", "#8F959E", "#6B7280"]; // of trust, from 0.7 and below to 1

export function unpack(bytes) {
  const whole = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  const copy = whole.slice().buffer;
  const length = new DataView(copy).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 4, length)));
  let at = Math.ceil((4 + length) / 8) * 8;
  const take = (Kind, count) => {
    const part = new Kind(copy, at, count);
    at = Math.ceil((at + part.byteLength) / 8) * 8;
    return part;
  };
  if (head.compact) {
    const places = (v) => v / 32767.5 - 1;
    head.x = Float32Array.from(take(Uint16Array, head.n), places);
    head.y = Float32Array.from(take(Uint16Array, head.n), places);
    head.code = Float32Array.from(take(Uint16Array, head.n), head.kind === "amount" ? (v) => v / 65535 : undefined);
  } else {
    head.x = take(Float32Array, head.n);
    head.y = take(Float32Array, head.n);
    head.code = take(Float32Array, head.n);
  }
  head.trust = head.faithful ? take(Float32Array, head.n) : new Float32Array(head.n);
  head.ids = head.linked ? take(Int32Array, head.n) : null;
  head.near = head.ties ? take(Int32Array, head.n * head.ties) : null;
  if (head.tile) {
    head.tiles = take(Int32Array, head.n);
    head.sprite = URL.createObjectURL(new Blob([take(Uint8Array, head.spriteBytes)], { type: "image/png" }));
  }
  if (head.backdropBytes) head.backdrop = URL.createObjectURL(new Blob([take(Uint8Array, head.backdropBytes)], { type: "image/png" }));
  return head;
}

function button(words, help, press) {
  const b = document.createElement("button");
  b.type = "button";
  b.textContent = words;
  b.title = help;
  b.setAttribute("aria-label", help);
  b.addEventListener("click", press);
  return b;
}

export function controls(map) {
  const bar = document.createElement("div");
  bar.className = "lm-bar";
  bar.setAttribute("role", "toolbar");
  const tools = Object.fromEntries(Object.entries({ ...TOOLS, pan: ["Move", "Drag to move, wheel to zoom"] })
    .map(([name, [words, help]]) => [name, button(words, help, () => map.setTool(name))]));
  const mode = document.createElement("select");
  mode.title = "What is drawn, or pressed in the legend, does to the selection";
  mode.setAttribute("aria-label", mode.title);
  for (const [value, words] of [["set", "New selection"], ["add", "Add to it"], ["remove", "Remove from it"], ["intersect", "Keep only these of it"]]) {
    mode.append(new Option(words, value));
  }
  mode.addEventListener("change", () => { map.mode = mode.value; });
  const doubt = button("Doubtful places", "Colour each point by how true its neighbours on the map are; again for the colours before", () => map.showDoubt(!map.doubt));
  bar.append(...Object.values(tools), mode,
    button("Invert", "Select what is not selected, and only that", () => map.send({ kind: "invert" })),
    button("Clear", "Clear the selection", () => map.send({ kind: "clear" })),
    button("A ○", "Keep the selection as set A (key A)", () => map.send({ kind: "keep", set: "A" })),
    button("B □", "Keep the selection as set B (key B)", () => map.send({ kind: "keep", set: "B" })),
    doubt,
    button("Whole map", "Show the whole map again", () => map.fit()));
  bar.mark = (tool) => Object.entries(tools).forEach(([name, b]) => b.setAttribute("aria-pressed", String(name === tool)));
  bar.doubt = (offered, on) => {
    doubt.hidden = !offered;
    doubt.setAttribute("aria-pressed", String(on));
  };
  return bar;
}

function ramp(box, scale, words) {
  const strip = document.createElement("div"), ends = document.createElement("div");
  strip.className = "lm-ramp";
  strip.style.background = `linear-gradient(to right, ${scale.join(",")})`;
  ends.className = "lm-ends";
  for (const word of words) {
    const span = document.createElement("span");
    span.textContent = word;
    ends.append(span);
  }
  box.append(strip, ends);
}

// How many cases lie where on the scale: each bar selects its cases.
function histogram(map, message) {
  const bars = document.createElement("div"), most = Math.max(1, ...message.bars.map((b) => b.n));
  bars.className = "lm-bars";
  message.bars.forEach(({ n, words }, bar) => {
    const b = button("", `Select the ${n} with ${message.title} ${words}`, (e) => map.send({ kind: "bar", bar, mode: map.modeOf(e) }));
    const fill = document.createElement("i");
    fill.style.height = `${n ? Math.max(2, (100 * n) / most) : 0}%`;
    fill.style.background = message.shown[Math.round((bar / (message.bars.length - 1)) * (message.shown.length - 1))];
    b.disabled = !n;
    b.append(fill);
    bars.append(b);
  });
  return bars;
}

export function legend(map, message) {
  const box = document.createElement("div");
  box.className = "lm-legend";
  if (map.doubt) {
    ramp(box, message.doubts, ["neighbours are false", "", "neighbours are true"]);
    return box;
  }
  if (message.kind === "amount") {
    box.append(histogram(map, message));
    ramp(box, message.shown, [message.low, message.title, message.high]);
    return box;
  }
  message.names.slice(0, 14).forEach((name, code) => {
    const b = button("", `Select all ${message.counts[code]} of ${name}`, (e) => map.send({ kind: "category", code, mode: map.modeOf(e) }));
    const dot = document.createElement("i");
    dot.style.background = message.shown[code];
    const words = document.createElement("span");
    words.textContent = `${name} (${message.counts[code]})`;
    b.append(dot, words);
    box.append(b);
  });
  if (message.names.length > 14) {
    const more = document.createElement("span");
    more.textContent = `and ${message.names.length - 14} more`;
    box.append(more);
  }
  return box;
}

export function tooltip(root) {
  const card = document.createElement("div");
  card.className = "lm-tip";
  card.hidden = true;
  const picture = document.createElement("div"), words = document.createElement("div");
  words.className = "lm-words";
  card.append(picture, words);
  root.append(card);
  return {
    hide: () => { card.hidden = true; },
    show: (e, text, sprite, tile, m) => {
      const box = root.getBoundingClientRect();
      words.textContent = text || "";
      picture.hidden = !sprite || tile < 0;
      if (!picture.hidden) {
        const zoom = 2;
        Object.assign(picture.style, { width: `${m.tile * zoom}px`, height: `${m.tile * zoom}px`, backgroundImage: `url(${sprite})`, imageRendering: "pixelated",
          backgroundSize: `${m.tile * m.columns * zoom}px auto`,
          backgroundPosition: `-${(tile % m.columns) * m.tile * zoom}px -${Math.floor(tile / m.columns) * m.tile * zoom}px` });
      }
      card.hidden = !text && picture.hidden;
      const x = e ? e.clientX - box.left : 0, y = e ? e.clientY - box.top : 0;
      card.style.left = `${Math.min(x + 14, box.width - 120)}px`;
      card.style.top = `${y > box.height - 140 ? y - 130 : y + 14}px`;
    },
  };
}
