// Bicubic resizing as Pillow does it: antialiased, weights in fixed point, columns first, rounded to bytes in between.
import { Refusal } from "./words.js";

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

function bicubic(x) {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

// For each of `size` outputs: the first input, and the fixed-point weights of that input and the next ones.
function filters(inputs, size) {
  const scale = inputs / size;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: size }, (_, output) => {
    const center = (output + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - 2 * stretch + 0.5));
    const last = Math.min(inputs, Math.trunc(center + 2 * stretch + 0.5));
    const weights = [];
    for (let input = first; input < last; input++) weights.push(bicubic((input - center + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const fixed = weights.map((weight) => (weight / sum) * 2 ** PRECISION);
    return { first, weights: fixed.map((weight) => Math.trunc(weight + (weight < 0 ? -0.5 : 0.5))) };
  });
}

// `lines` lines of `inputs` pixels; pixel i of a line is at line * lineStep + i * step.
function pass(source, target, lines, kernel, from, to) {
  for (let line = 0; line < lines; line++) {
    kernel.forEach(({ first, weights }, output) => {
      for (let channel = 0; channel < 3; channel++) {
        let sum = HALF;
        let place = line * from.line + first * from.step + channel;
        for (const weight of weights) {
          sum += source[place] * weight;
          place += from.step;
        }
        target[line * to.line + output * to.step + channel] = Math.min(255, Math.max(0, sum >> PRECISION));
      }
    });
  }
}

// RGB bytes [height, width, 3] as RGB bytes [newHeight, newWidth, 3].
export function resize(pixels, width, height, newWidth, newHeight) {
  let current = pixels;
  if (newWidth !== width) {
    const wide = new Uint8Array(newWidth * height * 3);
    pass(current, wide, height, filters(width, newWidth), { line: width * 3, step: 3 }, { line: newWidth * 3, step: 3 });
    current = wide;
  }
  if (newHeight === height) return current;
  const high = new Uint8Array(newWidth * newHeight * 3);
  pass(current, high, newWidth, filters(height, newHeight), { line: 3, step: newWidth * 3 }, { line: 3, step: newWidth * 3 });
  return high;
}

// Python's round: halves go to the even neighbor.
function roundHalfEven(x) {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 ? floor + 1 : floor;
}

// Width and height that an image is resized to: sides are multiples of `factor`, the area is within the budget.
export function targetSize(width, height, { factor, min_pixels, max_pixels, max_aspect }) {
  if (Math.max(width, height) > max_aspect * Math.min(width, height)) {
    throw new Refusal("narrow", `${width} × ${height}`);
  }
  let sides = [width, height].map((side) => roundHalfEven(side / factor) * factor);
  const area = sides[0] * sides[1];
  if (area > max_pixels) {
    const scale = Math.sqrt((width * height) / max_pixels);
    sides = [width, height].map((side) => Math.max(factor, Math.floor(side / scale / factor) * factor));
  } else if (area < min_pixels) {
    const scale = Math.sqrt(min_pixels / (width * height));
    sides = [width, height].map((side) => Math.ceil((side * scale) / factor) * factor);
  }
  return sides;
}
