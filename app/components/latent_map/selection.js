// Tells the latent map of the same key which of its points are selected, or which are in the sets A and B: messages of a bit a point, so that the points
// need not be sent again.

export default async function ({ data }) {
  const whole = data instanceof Uint8Array ? data.slice() : new Uint8Array(data);
  const length = new DataView(whole.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
  const packed = new Blob([whole.subarray(Math.ceil((4 + length) / 8) * 8)]);
  const of = ((window.lightboxMaps ??= {})[head.key] ??= {});
  if (head.sets) return keep(of, head, packed);
  of.newest = head.stamp;
  const bits = new Uint8Array(await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  if (of.newest !== head.stamp) return; // a newer one came while this was unpacked
  of.selection = { ...head, bits };
  if (of.map) of.map.mark(of.selection);
}

async function keep(of, head, packed) {
  const turn = (of.setsTurn = {});
  const bits = new Uint8Array(await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  if (of.setsTurn !== turn) return;
  const bytes = Math.ceil(head.n / 8);
  of.sets = { n: head.n, of: Object.fromEntries(head.sets.map((name, i) => [name, bits.subarray(i * bytes, (i + 1) * bytes)])) };
  if (of.map) of.map.keepSets(of.sets);
}
