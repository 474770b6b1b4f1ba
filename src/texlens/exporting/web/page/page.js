// The page: takes an image from a file, a drop or the clipboard, and shows the LaTeX that the reader writes.
import { Reader } from "./reader.js";
import { showWords, word } from "./words.js";

const at = (id) => document.getElementById(id);
let reader = null;
let newest = 0;

function say(text, wrong = false) {
  at("state").textContent = text;
  at("state").classList.toggle("wrong", wrong);
}

async function read(blob) {
  const number = ++newest;
  const picture = at("picture");
  if (picture.src) URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
  picture.hidden = false;
  at("latex").hidden = at("copy").hidden = true;
  say(word("reading"));
  const start = performance.now();
  try {
    const { text, stop } = await reader.read(blob, (part) => {
      if (number !== newest) return false;
      at("latex").value = part;
      at("latex").hidden = false;
      return true;
    });
    if (number !== newest) return;
    at("latex").value = text;
    at("latex").hidden = at("copy").hidden = false;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(stop === "end" ? word("read", seconds) : word("cut"));
  } catch (error) {
    if (number === newest) say(error.message, true);
  }
}

function take(files) {
  const image = [...files].find((file) => file.type.startsWith("image/"));
  if (image && reader) read(image);
}

at("file").addEventListener("change", (event) => take(event.target.files));
addEventListener("paste", (event) => take(event.clipboardData.files));
addEventListener("dragover", (event) => { event.preventDefault(); at("zone").classList.add("over"); });
addEventListener("dragleave", () => at("zone").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("zone").classList.remove("over");
  take(event.dataTransfer.files);
});
at("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(at("latex").value);
  say(word("copied"));
});

showWords();
try {
  reader = await Reader.open();
  say(word("ready"));
} catch (error) {
  say(word("unloaded", error.message), true);
}
document.documentElement.dataset.ready = "yes";
