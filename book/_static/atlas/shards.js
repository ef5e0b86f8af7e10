/* Shards: the data of the atlas, each a classic script that calls plmbookAtlas.receive (src/plmbook/book/atlas.py writes
   them). A script element is the one way to data that also works from file://. */
"use strict";

const plmbookAtlas = (() => {
  const base = new URL("data/", document.currentScript.src);
  const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=:?@^_`{|}~";
  const digits = new Map([...letters].map((letter, value) => [letter, value]));
  const arrays = {
    int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, uint32: Uint32Array,
    float32: Float32Array,
  };
  const promises = new Map();
  const waiting = new Map();

  function receive(name, value) {
    waiting.get(name)?.(value);
    waiting.delete(name);
  }

  /** The value of a shard; each script is loaded once. */
  function load(name) {
    if (!promises.has(name)) {
      promises.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        const end = (fault) => {
          script.remove();
          if (!waiting.delete(name)) return; // received
          promises.delete(name); // so that the next choice tries again
          reject(new Error(`The file ${name}.js of the atlas ${fault}.`));
        };
        script.src = new URL(`${name}.js`, base).href;
        script.onerror = () => end("could not be read");
        script.onload = () => end("is damaged"); // cut, or another page in its place
        waiting.set(name, resolve);
        document.head.append(script);
      }));
    }
    return promises.get(name);
  }

  function fromBase85(text) {
    const bytes = new Uint8Array((text.length / 5) * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < text.length; i += 5) {
      let number = 0;
      for (let k = 0; k < 5; k++) number = number * 85 + digits.get(text[i + k]);
      view.setUint32((i / 5) * 4, number);
    }
    return bytes;
  }

  /** The bytes behind a zlib stream; a browser refuses one with more after its end. */
  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    try {
      return new Uint8Array(await new Response(stream).arrayBuffer());
    } catch {
      throw new Error("A file of the atlas is damaged.");
    }
  }

  /** Packed columns as typed arrays by name. */
  async function unpack(packed) {
    const raw = await inflate(fromBase85(packed.data).subarray(0, packed.deflated)); // without what base 85 pads
    const columns = {};
    let start = 0;
    for (const [name, kind, count] of packed.columns) {
      const size = arrays[kind].BYTES_PER_ELEMENT;
      const bytes = new Uint8Array(count * size);
      for (let b = 0; b < size; b++) for (let i = 0; i < count; i++) bytes[i * size + b] = raw[start + b * count + i];
      columns[name] = new arrays[kind](bytes.buffer);
      start += count * size;
    }
    return columns;
  }

  return { receive, load, unpack };
})();
