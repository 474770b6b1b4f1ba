// A rendered formula: SVG to look at, MathML for screen readers.
import { make } from "./dom.js";
import { language, say } from "./locales.js";
import { problemInChinese } from "./locales/problems.zh.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const SVG = "http://www.w3.org/2000/svg";
const KEPT_ATTRIBUTES = /^(?!on|style$|href$|xlink)/i;

const SMALLEST = 0.5;

/** As large as the box allows; a formula that would be less than half its size is scrolled instead. */
function fit(picture) {
  const box = picture.parentElement;
  box.style.fontSize = "";
  const style = getComputedStyle(box);
  const available = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const width = picture.getBoundingClientRect().width;
  if (available > 0 && width > available) box.style.fontSize = `${parseFloat(style.fontSize) * Math.max(SMALLEST, (0.99 * available) / width)}px`;
}

window.addEventListener("resize", () => document.querySelectorAll(".formula > svg").forEach(fit));

export function showFormula(box, { svg, mathml, problem }) {
  box.style.fontSize = "";
  if (problem) {
    box.replaceChildren(problemText(problem));
  } else if (svg) {
    const picture = parsed(svg, SVG);
    picture.setAttribute("aria-hidden", "true");
    box.replaceChildren(picture);
    const accessible = mathml && parsed(mathml, MATHML);
    if (accessible) box.append(accessible);
    fit(picture);
  } else {
    box.replaceChildren(say(make("p", { class: "problem" }), "nothing.read"));
  }
}

/** Why a formula can't be drawn. */
function problemText(problem) {
  const text = language() === "zh" ? problemInChinese(problem) : problem;
  return say(make("p", { class: "problem" }), "undrawable", { problem: text });
}

/** Elements of one namespace alone, without what could act. */
function parsed(source, namespace) {
  const root = new DOMParser().parseFromString(source, "application/xml").documentElement;
  for (const node of [root, ...root.querySelectorAll("*")]) {
    if (node.namespaceURI !== namespace || node.localName === "script") return null;
    for (const { name, value } of [...node.attributes]) {
      const isOwnGlyph = node.localName === "use" && name === "href" && value.startsWith("#");
      if (!isOwnGlyph && !KEPT_ATTRIBUTES.test(name)) node.removeAttribute(name);
    }
  }
  return document.importNode(root, true);
}
