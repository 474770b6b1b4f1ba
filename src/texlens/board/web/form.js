// A form of all settings, made from their JSON schema. What is not set shows its default as a placeholder.
import { make } from "./dom.js";
import { language, say, word } from "./locales.js";

const HIDDEN = ["schema_version", "output"];
const OPEN = ["model", "data", "adapter", "train"];

/** `values` maps dotted keys to text as the reader wrote it; `changed(key)` is called after each change. */
export class Form {
  constructor({ schema, models, zh }, changed) {
    [this.schema, this.models, this.chinese, this.changed] = [schema, models, zh, changed];
    this.values = new Map();
    this.fields = new Map();
    this.root = make("div", { class: "form", id: "form" });
  }

  /** [["train.steps", 10], …] replaces everything; the parts of a mapping with one field become its value. */
  load(settings) {
    const chosen = settings.filter(([key, value]) => value !== null && !HIDDEN.includes(key));
    this.values = new Map(chosen.filter(([key]) => key === "adapter.kind"));
    this.draw();
    const mappings = new Map();
    for (const [key, value] of chosen) {
      const field = this.fields.has(key) ? key : [...this.fields.keys()].find((name) => key.startsWith(`${name}.`));
      if (!field || field === key) this.values.set(key, shown(value));
      else mappings.set(field, nested(mappings.get(field) ?? {}, key.slice(field.length + 1).split("."), value));
    }
    for (const [key, value] of mappings) this.values.set(key, JSON.stringify(value));
    this.draw();
  }

  /** As `--set` takes them. */
  get settings() {
    return [...this.values].map(([key, text]) => `${key}=${yaml(this.fields.get(key)?.kind ?? "raw", text)}`);
  }

  set(key, text) {
    if (text === "") this.values.delete(key);
    else this.values.set(key, text);
    if (key === "adapter.kind") this.chooseAdapter();
    this.count();
    this.changed(key);
  }

  /** Settings that the new kind does not have are dropped. */
  chooseAdapter() {
    const known = this.adapterSchema().properties;
    for (const key of [...this.values.keys()]) {
      const [branch, name] = key.split(".");
      if (branch === "adapter" && !(name in known)) this.values.delete(key);
    }
    this.draw();
  }

  draw() {
    const opened = new Set([...this.root.querySelectorAll("details[open]")].map((node) => node.dataset.branch));
    const isFirst = !this.root.children.length;
    this.fields.clear();
    const loose = make("div", { class: "fields" });
    const branches = [];
    for (const [name, part] of Object.entries(this.schema.properties)) {
      if (HIDDEN.includes(name)) continue;
      const resolved = name === "adapter" ? this.adapterSchema() : this.resolve(part);
      if (!resolved.properties) loose.append(this.field(name, name, part));
      else {
        const summary = make("summary", {}, make("b", {}, name), make("span", { class: "count small" }));
        const open = isFirst ? OPEN.includes(name) : opened.has(name);
        branches.push(make("details", { class: "panel", open, "data-branch": name }, summary, this.fieldsOf(name, resolved)));
      }
    }
    this.root.replaceChildren(loose, ...branches);
    this.count();
  }

  count() {
    for (const details of this.root.querySelectorAll("details[data-branch]")) {
      const set = [...this.values.keys()].filter((key) => key.startsWith(`${details.dataset.branch}.`)).length;
      const node = details.querySelector(".count");
      if (set) say(node, "new.set", { count: set });
      else node.textContent = "";
    }
  }

  fieldsOf(prefix, schema) {
    const box = make("div", { class: "fields" });
    if (prefix === "adapter") box.append(this.kindField());
    for (const [name, part] of Object.entries(schema.properties)) {
      const resolved = this.resolve(part);
      const key = `${prefix}.${name}`;
      if (resolved.const !== undefined) continue;
      if (resolved.properties) box.append(make("fieldset", {}, make("legend", {}, name), this.fieldsOf(key, resolved)));
      else box.append(this.field(key, name, part));
    }
    return box;
  }

  kindField() {
    const kinds = Object.keys(this.schema.properties.adapter.discriminator.mapping);
    return this.field("adapter.kind", "kind", { enum: kinds, default: "lora" });
  }

  adapterSchema() {
    const { mapping } = this.schema.properties.adapter.discriminator;
    return this.reference(mapping[this.values.get("adapter.kind") ?? "lora"] ?? mapping.lora);
  }

  field(key, name, part) {
    const schema = this.resolve(part);
    const kind = kindOf(schema);
    const standard = part.default ?? schema.default;
    const input = ["choice", "boolean"].includes(kind) ? choice(kind === "boolean" ? [true, false] : schema.enum, standard) : this.text(kind, key, standard, schema);
    input.id = `field-${key}`;
    input.value = this.values.get(key) ?? "";
    input.addEventListener(input.tagName === "SELECT" ? "change" : "input", () => {
      input.classList.toggle("set", input.value !== "");
      this.set(key, input.value);
    });
    input.classList.toggle("set", this.values.has(key));
    this.fields.set(key, { kind, input });
    const help = this.help(part.description ?? schema.description);
    return make("label", { class: "field", title: key }, make("span", { class: "name" }, name), input, help ? make("small", {}, help) : "");
  }

  /** What a setting or a recipe does, in the page's language. */
  help(description = "") {
    const line = description.replaceAll("\n", " ");
    return language() === "zh" ? this.chinese[line] ?? line : line;
  }

  text(kind, key, standard, schema) {
    const input = make("input", { type: "text", placeholder: shown(standard ?? ""), spellcheck: "false", autocomplete: "off" });
    if (kind === "number") input.inputMode = "decimal";
    const choices = key === "model.path" ? this.models : (schema.anyOf ?? []).flatMap((one) => one.enum ?? (one.const === undefined ? [] : [one.const]));
    if (!choices.length) return input;
    const list = make("datalist", { id: `choices-${key}` }, ...choices.map((value) => make("option", { value })));
    input.setAttribute("list", list.id);
    this.root.ownerDocument.getElementById(list.id)?.remove();
    document.body.append(list);
    return input;
  }

  /** A reference, or the only part of an optional one, resolved. */
  resolve(part) {
    if (part.$ref) return this.reference(part.$ref);
    const parts = part.anyOf?.filter((one) => one.type !== "null");
    return parts?.length === 1 ? this.resolve(parts[0]) : part;
  }

  reference(name) {
    return this.schema.$defs[name.split("/").at(-1)];
  }
}

function nested(tree, [first, ...more], value) {
  tree[first] = more.length ? nested(tree[first] ?? {}, more, value) : value;
  return tree;
}

function kindOf(schema) {
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.type === "string") return "string";
  if (schema.type === "array") return "list";
  return "raw";
}

function choice(values, standard) {
  const first = make("option", { value: "" }, `${shown(standard ?? "")} (${word("new.default")})`);
  return make("select", {}, first, ...values.map((value) => make("option", { value: String(value) }, String(value))));
}

function shown(value) {
  if (Array.isArray(value) && value.every((part) => typeof part === "string" && !part.includes(","))) return value.join(", ");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Text of a field as YAML: what is a string stays one, even where it looks like a number. */
function yaml(kind, text) {
  if (kind === "string" || kind === "choice") return JSON.stringify(text);
  if (kind === "list" && !text.trim().startsWith("[")) return JSON.stringify(text.split(",").map((part) => part.trim()).filter(Boolean));
  return text;
}
