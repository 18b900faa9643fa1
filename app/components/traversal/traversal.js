// The traversal bench: a slider picks a picture that was decoded ahead; where it is let go is sent, and the pictures around that place come back.

const instances = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let bench = instances.get(parentElement);
  if (!bench) {
    bench = new Bench(parentElement);
    instances.set(parentElement, bench);
  }
  bench.send = (event) => setStateValue("event", { ...event, id: Date.now() });
  bench.take(data);
  return () => {
    bench.root.remove();
    bench.gone = true;
    instances.delete(parentElement);
  };
}

const CALM = 0.02; // changes below this share of the scale are noise of the picture's compression
const FULL = 0.5; // share of the scale at which a change has its full colour
const KNOBS = 6; // sliders shown before "more"

class Bench {
  constructor(parent) {
    this.root = element("div", "tv", { "data-testid": "traversal" });
    this.left = element("div", "tv-left");
    this.middle = element("div", "tv-middle");
    this.right = element("div", "tv-right");
    this.root.append(this.left, this.middle, this.right);
    parent.append(this.root);
    this.turn = 0;
  }

  async take(bytes) {
    const turn = ++this.turn;
    const whole = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
    let at = Math.ceil((4 + length) / 8) * 8;
    const pictures = head.sizes.map((size) => { const part = whole.slice(at, at + size); at += size; return new Blob([part], { type: "image/jpeg" }); });
    const [sheet, own] = await Promise.all(pictures.map((blob) => createImageBitmap(blob)));
    if (this.gone || turn !== this.turn) return; // a newer message came while this was unpacked
    const same = this.head && this.head.id === head.id && this.head.axes.length === head.axes.length;
    Object.assign(this, { head, sheet, own });
    this.root.classList.remove("tv-waits");
    if (!same) this.build();
    // a slider that is being moved on stays under the hand: what comes back for the place before is not what it shows
    for (const axis of head.axes) {
      const knob = this.knobs.get(axis.axis);
      knob.axis = axis;
      knob.input.max = axis.values.length - 1;
      if (!this.holds || this.held !== axis.axis) knob.input.value = axis.at;
      this.say(knob);
    }
    this.draw(this.holds ? this.knobs.get(this.held) : null);
    this.root.dataset.turn = turn;
  }

  build() {
    const { head } = this;
    this.root.classList.toggle("wide", head.tile[0] > 2 * head.tile[1]);
    const own = canvas(this.own.width, this.own.height, "The case");
    own.getContext("2d").drawImage(this.own, 0, 0);
    this.left.replaceChildren(element("h4", "", { text: "The case" }), own);
    if (head.compare) {
      this.change = canvas(head.tile[0], head.tile[1], "What changed, as coloured differences");
      this.left.append(element("h4", "", { text: "What changed" }), this.change, element("small", "", { text: "Orange: brighter than before. Blue: darker." }));
    }
    this.picture = canvas(head.tile[0], head.tile[1], "");
    this.far = element("div", "tv-far", { role: "img" });
    this.mark = element("i", "");
    this.far.append(this.mark);
    this.words = element("small", "", { "aria-live": "polite" });
    const ends = element("div", "tv-ends");
    ends.append(element("span", "", { text: "as real cases are" }), element("span", "", { text: "unlike anything seen" }));
    const title = element("h4", "", { text: "Reconstruction", title: "What the model makes of the case, at the place in latent space that is set." });
    this.middle.replaceChildren(title, this.picture);
    if (!head.compare) this.middle.append(element("small", "", { text: "Grey: at the case’s own place." }));
    this.middle.append(element("h4", "", { text: "Distance to real cases" }), this.far, ends, this.words);
    if (head.classes.length) {
      this.bars = element("div", "tv-bars", { "aria-live": "off" });
      this.middle.append(element("h4", "", { text: "What the model would predict" }), this.bars);
    }
    this.knobs = new Map();
    const top = element("div", "tv-top");
    const reset = element("button", "", { text: "Reset", type: "button", title: "Back to the case’s own place" });
    reset.onclick = () => this.post({}, null);
    top.append(element("h4", "", { text: "Latent axes, largest effect first" }), reset);
    this.right.replaceChildren(top);
    const more = element("details", "");
    more.append(element("summary", "", { text: "More axes" }));
    head.axes.forEach((axis, i) => (i < KNOBS ? this.right : more).append(this.knob(axis)));
    if (head.axes.length > KNOBS) this.right.append(more);
  }

  knob(axis) {
    const label = element("label", "", { title: axis.help });
    const words = element("span", "", { text: axis.name });
    const output = element("output", "");
    const input = element("input", "", { type: "range", min: 0, max: axis.values.length - 1, step: 1, "aria-label": axis.name });
    const knob = { axis, label, input, output };
    input.oninput = () => {
      this.holds = true;
      this.held = axis.axis;
      this.say(knob);
      this.draw(knob);
    };
    input.onchange = () => {
      this.holds = false;
      const place = Object.fromEntries([...this.knobs.values()].filter((k) => k === knob || k.axis.set).map((k) => [k.axis.axis, k.axis.values[+k.input.value]]));
      this.post(place, axis.axis);
    };
    label.append(words, output, input);
    this.knobs.set(axis.axis, knob);
    return label;
  }

  post(place, last) {
    this.root.classList.toggle("tv-waits", last === null || this.knobs.get(last).axis.first < 0);
    this.send({ place, last });
  }

  say({ axis, input, output, label }) {
    const value = axis.values[+input.value];
    output.textContent = value.toFixed(2);
    input.setAttribute("aria-valuetext", value.toFixed(2));
    label.classList.toggle("moved", axis.set || +input.value !== axis.at);
  }

  // Draws the place at which `knob` stands, the others as they were sent; null = the place that was sent.
  draw(knob) {
    const { head } = this;
    const ahead = knob && knob.axis.first >= 0;
    const axis = ahead ? knob.axis : head.axes.find((a) => a.distance.length);
    const step = ahead ? +knob.input.value : axis.at;
    const tile = ahead ? axis.first + step : head.now;
    const around = this.picture.getContext("2d", { willReadFrequently: true });
    this.tile(around, tile);
    this.picture.setAttribute("aria-label", ahead ? `Generated, at ${axis.name} ${axis.values[step].toFixed(2)}` : "Generated: the case at the place in latent space that is set");
    this.shown = tile;
    if (head.compare) this.compare(around);
    this.measure(axis.distance[step], axis.said[step]);
    if (head.classes.length) this.predict(axis.output[step]);
  }

  tile(context, i) {
    const [w, h] = this.head.tile;
    context.drawImage(this.sheet, (i % this.head.columns) * w, Math.floor(i / this.head.columns) * h, w, h, 0, 0, w, h);
  }

  compare(around) {
    const [w, h] = this.head.tile;
    const onto = this.change.getContext("2d", { willReadFrequently: true });
    this.tile(onto, this.head.here);
    const before = onto.getImageData(0, 0, w, h);
    const now = around.getImageData(0, 0, w, h).data;
    for (let i = 0; i < now.length; i += 4) {
      const by = (now[i] + now[i + 1] + now[i + 2] - before.data[i] - before.data[i + 1] - before.data[i + 2]) / 765;
      const share = Math.abs(by) < CALM ? 0 : Math.min(1, Math.abs(by) / FULL);
      const colour = by > 0 ? [230, 159, 0] : [0, 114, 178];
      for (let c = 0; c < 3; c++) before.data[i + c] = 40 + share * (colour[c] - 40);
    }
    onto.putImageData(before, 0, 0);
  }

  // 0 to 95, 95 to 99 and above take 80, 12 and 8 % of the scale: what matters lies at its end
  measure(percent, words) {
    const share = percent < 95 ? (percent / 95) * 80 : percent < 99 ? 80 + ((percent - 95) / 4) * 12 : 92 + Math.min(1, percent - 99) * 6;
    this.mark.style.left = `${share}%`;
    this.words.textContent = words;
    this.far.setAttribute("aria-label", words);
  }

  predict(shares) {
    this.bars.replaceChildren(...this.head.classes.flatMap((name, i) => {
      const bar = element("b", "");
      const full = element("i", "");
      full.style.width = `${100 * shares[i]}%`;
      bar.append(full);
      return [element("span", "", { text: name }), bar, element("span", "", { text: `${Math.round(100 * shares[i])} %` })];
    }));
  }
}

function canvas(w, h, words) {
  const made = element("canvas", "", { role: "img", "aria-label": words });
  made.width = w;
  made.height = h;
  return made;
}
