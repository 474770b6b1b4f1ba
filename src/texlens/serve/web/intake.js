// Images from the clipboard, from a drop and from files.
import { byId, isTyping } from "./dom.js";
import { Refused } from "./picture.js";

const firstImage = (list) => [...list].find((file) => file.type.startsWith("image/")) ?? [...list][0];

/** `take(blob, name)` gets each image, `refuse(error)` what was no image. */
export function watchIntake(take, refuse) {
  watchPaste(take, refuse);
  watchDrop(take);
  for (const [button, input] of [["pick", "file"], ["pick-other", "file"], ["photo", "capture"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
  }
  for (const input of [byId("file"), byId("capture")]) {
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = "";
      if (file) take(file, file.name);
    });
  }
}

function watchPaste(take, refuse) {
  document.addEventListener("paste", (event) => {
    const file = firstImage(event.clipboardData?.files ?? []);
    if (file) {
      event.preventDefault();
      take(file, file.name);
    } else if (!isTyping(event.target)) {
      refuse(new Refused("error.no_image"));
    }
  });
  const button = byId("paste");
  button.hidden = !navigator.clipboard?.read;
  button.addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((one) => one.startsWith("image/"));
        if (type) return take(await item.getType(type), "clipboard");
      }
    } catch {
      // not allowed, or nothing there: said alike
    }
    return refuse(new Refused("error.no_image"));
  });
}

function watchDrop(take) {
  const root = document.documentElement;
  let depth = 0;
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    root.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => carries(event) && mark(1));
  document.addEventListener("dragleave", (event) => carries(event) && mark(-1));
  document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    mark(-depth);
    if (!carries(event)) return;
    event.preventDefault();
    const file = firstImage(event.dataTransfer.files);
    if (file) take(file, file.name);
  });
}
