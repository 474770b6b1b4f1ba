// Greedy reading with the pair of ONNX files. Legend: L = new tokens, S = tokens in the cache, V = image tokens.
import * as ort from "./ort.wasm.min.mjs";
import { resize, targetSize } from "./resize.js";
import { Refusal } from "./words.js";

ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
ort.env.wasm.numThreads = 1;
// 8-bit weights become float32 once, when the session opens, and not in every step.
const OPTIONS = { executionProviders: ["wasm"], extra: { session: { disable_quant_qdq: "1" } } };

const int64 = (values, shape) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);

export class Reader {
  static async open() {
    const [answer, encoder, decoder] = await Promise.all([
      fetch(new URL("./reader.json", import.meta.url)),
      ort.InferenceSession.create(new URL("./image_encoder.onnx", import.meta.url).href, OPTIONS),
      ort.InferenceSession.create(new URL("./text_decoder.onnx", import.meta.url).href, OPTIONS),
    ]);
    if (!answer.ok) throw new Error(`reader.json: HTTP ${answer.status}`);
    return new Reader(await answer.json(), encoder, decoder);
  }

  constructor(settings, encoder, decoder) {
    Object.assign(this, { settings, encoder, decoder });
    this.past = decoder.inputMetadata.filter(({ name }) => name.startsWith("past."));
    this.featureShape = decoder.inputMetadata.find(({ name }) => name === "features").shape;
    this.tokenBytes = settings.token_bytes.map((text) => Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
    this.busy = Promise.resolve();
  }

  // One reading at a time: {text, tokens, stop}. `onText` gets the text so far; false from it ends the reading.
  read(blob, onText = () => true) {
    const reading = this.busy.then(() => this.readNow(blob, onText));
    this.busy = reading.catch(() => {});
    return reading;
  }

  async readNow(blob, onText) {
    const image = await this.pixels(blob);
    const { features } = await this.encoder.run({ image });
    const [height, width] = image.dims;
    let { logits, cache, position } = await this.prefill(features, height / this.settings.factor, width / this.settings.factor);
    const decoder = new TextDecoder();
    const tokens = [];
    let text = "";
    while (true) {
      const token = largest(logits);
      tokens.push(token);
      if (this.settings.end_tokens.includes(token)) return { text: text + decoder.decode(), tokens, stop: "end" };
      text += decoder.decode(this.tokenBytes[token] ?? new Uint8Array(), { stream: true });
      if (!onText(text)) return { text, tokens, stop: "stop" };
      if (tokens.length === this.settings.max_new_tokens) return { text: text + decoder.decode(), tokens, stop: "length" };
      ({ logits, cache } = await this.run([token], [position, position, position], this.noFeatures(), cache));
      position += 1;
    }
  }

  // The image on white as a uint8 tensor [height, width, 3], resized as in training.
  async pixels(blob) {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => {
      throw new Refusal("undecoded");
    });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, bitmap.width, bitmap.height);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    const rgb = new Uint8Array((data.length / 4) * 3);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      rgb[to++] = data[from];
      rgb[to++] = data[from + 1];
      rgb[to++] = data[from + 2];
    }
    const [width, height] = targetSize(bitmap.width, bitmap.height, this.settings);
    return new ort.Tensor("uint8", resize(rgb, bitmap.width, bitmap.height, width, height), [height, width, 3]);
  }

  // The prompt around the image. An image token's position is that of the image plus its row and column.
  prefill(features, rows, columns) {
    const { before_image: before, after_image: after, image_token } = this.settings;
    const count = rows * columns;
    const ids = [...before, ...Array(count).fill(image_token), ...after];
    const start = before.length;
    const next = start + Math.max(rows, columns);
    const axis = (ofImage) => [
      ...before.keys(),
      ...Array.from({ length: count }, (_, number) => start + ofImage(number)),
      ...Array.from(after, (_, number) => next + number),
    ];
    const positions = [
      ...axis(() => 0),
      ...axis((number) => Math.floor(number / columns)),
      ...axis((number) => number % columns),
    ];
    const empty = this.past.map(({ name, shape }) => [name, new ort.Tensor("float32", [], [shape[0], 0, shape[2]])]);
    return this.run(ids, positions, features, Object.fromEntries(empty), next + after.length);
  }

  // Logits after the last of L tokens, and the cache of S + L tokens.
  async run(ids, positions, features, past, position) {
    const inputs = { token_ids: int64(ids, [ids.length]), positions: int64(positions, [3, ids.length]), features, ...past };
    const outputs = await this.decoder.run(inputs);
    const cache = Object.fromEntries(this.past.map(({ name }) => [name, outputs[name.replace("past.", "present.")]]));
    return { logits: outputs.logits.data, cache, position };
  }

  noFeatures() {
    return new ort.Tensor("float32", [], [this.featureShape[0], 0, this.featureShape[2]]);
  }
}

function largest(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}
