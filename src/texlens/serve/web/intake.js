// Images from the clipboard, from a drop and from files.
import { byId, isTyping } from "./dom.js";
import { Refused } from "./requests.js";

/** The images of a list of files; where there is none, all of them, so that each is refused by name. */
const imagesOf = (list) => {
  const files = [...list];
  const images = files.filter((file) => file.type.startsWith("image/"));
  return images.length ? images : files;
};

/** `takeFiles(files)` and `takeBlob(blob, name)` get images, `refuse(error)` an error. */
export function watchIntake({ takeBlob, takeFiles, refuse }) {
  watchPaste(takeBlob, takeFiles, refuse);
  watchDrop(takeFiles);
  for (const [button, input] of [["pick", "file"], ["pick-other", "file"], ["photo", "capture"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
  }
  for (const input of [byId("file"), byId("capture")]) {
    input.addEventListener("change", () => {
      const files = imagesOf(input.files);
      input.value = "";
      if (files.length) takeFiles(files);
    });
  }
}

function watchPaste(takeBlob, takeFiles, refuse) {
  document.addEventListener("paste", (event) => {
    const files = imagesOf(event.clipboardData?.files ?? []);
    if (files.length) {
      event.preventDefault();
      takeFiles(files);
    } else if (!isTyping(event.target)) {
      refuse(new Refused("error.no_image"));
    }
  });
  const button = byId("paste");
  button.hidden = !navigator.clipboard?.read;
  button.addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((name) => name.startsWith("image/"));
        if (type) return takeBlob(await item.getType(type), "clipboard");
      }
    } catch {
      // not allowed, or nothing there: the same notice
    }
    return refuse(new Refused("error.no_image"));
  });
}

function watchDrop(takeFiles) {
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
    const files = imagesOf(event.dataTransfer.files);
    if (files.length) takeFiles(files);
  });
}
