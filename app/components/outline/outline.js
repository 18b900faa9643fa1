// Drawing around a region: drag by hand, or click corner after corner; arrows move a cross and Enter sets a corner.

const instances = new WeakMap();
const APART = 2; // pixels of the screen between two corners of a line drawn by hand

export default function ({ data, parentElement, setStateValue }) {
  let drawing = instances.get(parentElement);
  if (!drawing) {
    drawing = new Drawing(parentElement);
    instances.set(parentElement, drawing);
  }
  drawing.send = (event) => setStateValue("event", event);
  drawing.take(data);
  return () => {
    drawing.root.remove();
    instances.delete(parentElement);
  };
}

class Drawing {
  constructor(parent) {
    this.corners = [];
    this.root = element("div", "ol", { "data-testid": "outline" });
    this.canvas = element("canvas", "", { tabindex: "0", role: "application",
      "aria-label": "Draw around the region: drag, or click corner after corner; with the keyboard, arrows move the cross, Enter sets a corner, Backspace takes it back" });
    const row = element("div", "ol-row");
    this.back = element("button", "", { text: "Take corner back", type: "button" });
    this.clear = element("button", "", { text: "Clear", type: "button" });
    this.words = element("span", "", { "aria-live": "polite" });
    row.append(this.back, this.clear, this.words);
    this.root.append(this.canvas, row);
    parent.append(this.root);
    this.back.onclick = () => this.set(this.corners.slice(0, -1));
    this.clear.onclick = () => this.set([]);
    this.canvas.onpointerdown = (event) => this.down(event);
    this.canvas.onpointermove = (event) => this.move(event);
    this.canvas.onpointerup = this.canvas.onpointercancel = () => this.up();
    this.canvas.onkeydown = (event) => this.key(event);
  }

  async take(bytes) {
    const whole = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
    const picture = await createImageBitmap(new Blob([whole.slice(Math.ceil((4 + length) / 8) * 8)], { type: "image/png" }));
    if (!this.head || this.head.id !== head.id) {
      this.corners = [];
      this.cross = null;
    }
    Object.assign(this, { head, picture });
    const times = Math.max(1, Math.round(512 / head.size[0]));
    this.canvas.width = head.size[0] * times;
    this.canvas.height = Math.round(head.size[1] * times * head.aspect);
    this.draw();
  }

  // The place under the mouse in pixels of the picture, the middle of the first at 0, 0.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.head.size[0] - 0.5,
      ((event.clientY - box.top) / box.height) * this.head.size[1] - 0.5,
    ];
  }

  down(event) {
    if (!this.head || event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.cross = null;
    this.last = [event.clientX, event.clientY];
    this.corners.push(this.place(event));
    this.draw();
  }

  move(event) {
    if (!this.last || Math.hypot(event.clientX - this.last[0], event.clientY - this.last[1]) < APART) return;
    this.last = [event.clientX, event.clientY];
    this.corners.push(this.place(event));
    this.draw();
  }

  up() {
    if (!this.last) return;
    this.last = null;
    this.set(this.corners);
  }

  key(event) {
    if (!this.head) return;
    const [w, h] = this.head.size;
    const step = event.shiftKey ? 5 : 1;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (ways[event.key]) {
      const [x, y] = this.cross ?? [Math.floor(w / 2), Math.floor(h / 2)];
      this.cross = [Math.min(w - 1, Math.max(0, x + ways[event.key][0])), Math.min(h - 1, Math.max(0, y + ways[event.key][1]))];
      this.draw();
    } else if (event.key === "Enter" && this.cross) this.set([...this.corners, this.cross]);
    else if (event.key === "Backspace") this.set(this.corners.slice(0, -1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  set(corners) {
    this.corners = corners;
    this.draw();
    this.send({ of: this.head.id, corners: corners.map((c) => c.map((v) => Math.round(v * 100) / 100)) });
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.picture, 0, 0, width, height);
    const at = ([x, y]) => [((x + 0.5) / this.head.size[0]) * width, ((y + 0.5) / this.head.size[1]) * height];
    if (this.corners.length) {
      const path = new Path2D();
      this.corners.forEach((corner, i) => (i ? path.lineTo(...at(corner)) : path.moveTo(...at(corner))));
      path.closePath();
      pen.fillStyle = "rgba(204, 121, 167, 0.25)";
      pen.fill(path, "evenodd");
      pen.lineWidth = Math.max(2, width / 256);
      pen.strokeStyle = "#cc79a7";
      pen.stroke(path);
    }
    if (this.cross) {
      const [x, y] = at(this.cross), reach = width / 40;
      pen.strokeStyle = "#ffffff";
      pen.lineWidth = Math.max(1, width / 512);
      pen.strokeRect(x - 1, y - 1, 2, 2);
      pen.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + (dx * reach) / 4, y + (dy * reach) / 4);
        pen.lineTo(x + dx * reach, y + dy * reach);
      }
      pen.stroke();
    }
    const many = this.corners.length;
    this.back.disabled = this.clear.disabled = !many;
    this.words.textContent = many > 2 ? "Closed from the last corner to the first." : "Drag around it, or click corner after corner.";
  }
}
