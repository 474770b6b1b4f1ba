// The page's texts in the browser's language.
const WORDS = {
  en: {
    title: "A formula to LaTeX",
    about: "The model runs in this page. Images stay on this machine, and nothing is loaded from elsewhere.",
    choose: "Choose an image, drop one here, or paste one",
    picture: "the image that was read",
    loading: "Loading the model …",
    ready: "Ready.",
    reading: "Reading …",
    read: "Read in {} s.",
    cut: "The formula is longer than the model reads; this is its beginning.",
    copy: "Copy",
    copied: "Copied.",
    unloaded: "The model can't be loaded: {}. Serve this folder over HTTP, as its README says.",
    undecoded: "This file can't be shown as an image.",
    narrow: "{} pixels: too long for its width; crop it.",
  },
  zh: {
    title: "公式转 LaTeX",
    about: "模型在本页面里运行。图片不会离开本机，也不从别处加载任何东西。",
    choose: "选择图片，拖到这里，或粘贴",
    picture: "识别的图片",
    loading: "正在加载模型……",
    ready: "就绪。",
    reading: "正在识别……",
    read: "用时 {} 秒。",
    cut: "公式超出模型能识别的长度，这里只是开头。",
    copy: "复制",
    copied: "已复制。",
    unloaded: "无法加载模型：{}。请按 README 的说明通过 HTTP 提供本文件夹。",
    undecoded: "这个文件不能作为图片显示。",
    narrow: "{} 像素：相对宽度太长，请裁剪。",
  },
};

const chosen = navigator.language.startsWith("zh") ? "zh" : "en";

export function word(key, value = "") {
  return WORDS[chosen][key].replace("{}", value);
}

/** An error whose text is a word of the page. */
export class Refusal extends Error {
  constructor(key, value = "") {
    super(word(key, value));
  }
}

/** Fills in the elements that name a word. */
export function showWords() {
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  document.title = `TexLens: ${word("title")}`;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of document.querySelectorAll("[data-alt]")) node.alt = word(node.dataset.alt);
}
