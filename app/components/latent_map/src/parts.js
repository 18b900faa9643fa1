// The parts around the points: reading the message, buttons, legend, labels on the map, the hover card. All words go in as text, never as markup.

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
  head.x = take(Float32Array, head.n);
  head.y = take(Float32Array, head.n);
  head.code = take(Float32Array, head.n);
  head.selected = take(Uint8Array, head.n);
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
  const tools = {
    lasso: button("Lasso", "Draw around points to select them; with Shift add, with Alt remove", () => map.setTool("lasso")),
    pan: button("Move", "Drag to move, wheel to zoom", () => map.setTool("pan")),
  };
  const modes = { set: "New", add: "Add", remove: "Remove" };
  const mode = button("New", "What a lasso does: a new selection, add to it, or remove from it", () => {
    const order = Object.keys(modes);
    map.mode = order[(order.indexOf(map.mode) + 1) % order.length];
    mode.textContent = modes[map.mode];
  });
  bar.append(tools.lasso, tools.pan, mode,
    button("Clear", "Clear the selection", () => map.send({ kind: "clear" })),
    button("Whole map", "Show the whole map again", () => map.plot.reset()));
  bar.mark = (tool) => Object.entries(tools).forEach(([name, b]) => b.setAttribute("aria-pressed", String(name === tool)));
  return bar;
}

export function legend(map, message) {
  const box = document.createElement("div");
  box.className = "lm-legend";
  if (message.kind === "amount") {
    const ramp = document.createElement("div");
    ramp.className = "lm-ramp";
    ramp.style.background = `linear-gradient(to right, ${message.scale.join(",")})`;
    const ends = document.createElement("div");
    ends.className = "lm-ends";
    for (const word of [message.low, message.title, message.high]) {
      const span = document.createElement("span");
      span.textContent = word;
      ends.append(span);
    }
    box.append(ramp, ends);
    return box;
  }
  message.names.slice(0, 14).forEach((name, code) => {
    const b = button("", `Select all ${message.counts[code]} of ${name}`, () => map.send({ kind: "category", code }));
    const dot = document.createElement("i");
    dot.style.background = message.palette[code];
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

export function overlay(root, labels) {
  const layer = document.createElement("div");
  layer.className = "lm-labels";
  const spans = labels.map((l) => {
    const span = document.createElement("span");
    span.textContent = l.text;
    layer.append(span);
    return span;
  });
  root.append(layer);
  return {
    remove: () => layer.remove(),
    place: (plot) => {
      const view = plot.get("cameraView"), canvas = plot.get("canvas").getBoundingClientRect();
      if (!view || !canvas.width) return;
      const ratio = canvas.width / canvas.height;
      spans.forEach((span, i) => {
        const x = (view[0] * labels[i].x + view[12]) / ratio, y = view[5] * labels[i].y + view[13];
        span.style.left = `${((x + 1) / 2) * canvas.width}px`;
        span.style.top = `${((1 - y) / 2) * canvas.height}px`;
        span.hidden = Math.abs(x) > 1 || Math.abs(y) > 1;
      });
    },
  };
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
