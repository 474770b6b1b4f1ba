"use strict";
// The report in Chinese: texts of the page are replaced by the table below, and put back for English. Data stay as is.
(() => {
  const TEXTS = {
    "Scores": "指标", "Training": "训练", "Run": "运行", "Rows": "逐行", "Light or dark": "浅色或深色",
    "lower is better": "越低越好", "95% interval, bootstrap over rows": "95% 区间（按行自助法）", "base": "基座", "adapter": "适配器",
    "How each score is defined": "各指标的定义", "Row by row": "逐行对照", "Show these rows": "显示这些行", "By domain": "按领域",
    "domain": "领域", "rows": "行数", "difference": "差", "What is read as what": "什么被读成什么", "reference": "参考", "read as": "读成",
    "Symbols substituted, left out or added, most frequent first. Braces and script marks are not counted.":
      "被替换、漏掉或多出的符号，按次数排列。不计花括号和上下标记号。",
    "What was run": "运行了什么", "Adapter coverage": "适配器覆盖", "group": "组", "modules": "模块", "of": "共",
    "trainable parameters": "训练参数", "Use of the experts": "专家的使用", "Where the rows went": "数据行的去向", "split": "划分",
    "used": "使用", "rejected": "拒绝", "Settings, as resolved": "实际生效的设置", "All": "全部", "All domains": "全部领域",
    "Both wrong": "都错", "Both right": "都对", "Worst first": "最差在前", "Best first": "最好在前",
    "Largest gain first": "进步最大在前", "Largest loss first": "退步最大在前", "By id": "按编号",
    "Search formulas and ids": "搜索公式和编号", "Search": "搜索", "Order": "排序", "Domain": "领域", "Filter by outcome": "按结果筛选",
    "another token": "不同的词元", "not in the reference": "参考里没有", "from the reading": "识别结果里漏掉", "read": "识别", "extra": "多出", "missing": "漏掉",
    "drawn in color: a mark without its match, as character detection matching (CDM) counts": "着色的记号：按字符检测匹配（CDM）没有配上",
    "the reference, what was missed colored": "参考，漏掉的部分着色", "exact": "一致", "same formula": "同一公式", "failed": "失败",
    "length limit": "超长截断", "loop": "重复", "image not embedded": "未嵌入图片", "to": "到",
    "Made by TexLens. This file holds everything it shows; nothing is fetched.": "由 TexLens 生成。所有内容都在这个文件里，不读取任何外部资源。",
    "A row without a text scores 0 and counts. Intervals are percentiles of 1,000 resamples of the rows; differences are paired, in percentage points.":
      "没有文本的行记 0 分并计入。区间是 1,000 次按行重抽样的分位数；差值成对计算，单位为百分点。",
    "Exact match": "完全匹配", "Within 1 token": "差 1 词元以内", "Within 2 tokens": "差 2 词元以内", "Within 3 tokens": "差 3 词元以内",
    "Edit similarity": "编辑相似度", "Length limit": "超长截断", "Repetition": "重复", "Raw match": "原文匹配", "Canonical match": "规范匹配",
    "Spaceless match": "去空格匹配", "Picture match": "图形匹配", "Char error rate": "字符错误率", "Valid": "有效",
    "CDM precision": "CDM 精确率", "CDM recall": "CDM 召回率", "CDM exact": "CDM 完全一致", "Caption BLEU-4": "描述 BLEU-4", "Caption ROUGE-L": "描述 ROUGE-L",
    "Base": "基座", "Model": "模型", "Adapter": "适配器", "Trained": "训练参数", "Trained on": "训练数据", "Prompt": "提示词", "Steps": "步数",
    "Time": "用时", "Peak memory": "峰值内存", "Hardware": "硬件", "Software": "软件", "Seed": "种子", "Date": "日期",
    "Loss": "损失", "Learning rate": "学习率", "Gradient norm": "梯度范数", "training": "训练", "validation": "验证",
  };
  const PATTERNS = [
    [/^Exact match on ([\d,]+) rows?$/, "$1 行的完全匹配"],
    [/^none of ([\d,]+) rows? shares an image or a label with train$/, "$1 行中没有一行与训练集有相同的图片或标签"],
    [/^([\d,]+) of ([\d,]+) rows? shares? an image or a label with train \(([\d,]+) an image, ([\d,]+) a label\)$/,
      "$2 行中有 $1 行与训练集有相同的图片或标签（图片 $3，标签 $4）"],
    [/^95% (.+) points, p (.+)$/, "95% 区间 $1 个百分点，p $2"],
    [/^Exact McNemar test on the rows where only one is right: p (.+)$/, "McNemar 精确检验（只有一方正确的行）：p $1"],
    [/^Only adapter right$/, "只有适配器对"], [/^Only base right$/, "只有基座对"], [/^Only (.+) right$/, "只有 $1 对"], [/^adapter right$/, "适配器对"], [/^adapter wrong$/, "适配器错"],
    [/^base right$/, "基座对"], [/^base wrong$/, "基座错"], [/^(\d+) edits?$/, "$1 处编辑"],
    [/^Rejected in (.+): ([\d,]+)$/, "$1 中拒绝：$2"], [/^([\d,]+) of ([\d,]+) rows?$/, "$1 / $2 行"], [/^([\d,]+) rows?$/, "$1 行"],
    [/^Show ([\d,]+) more$/, "再显示 $1 行"], [/^(.+), split (.+)$/, "$1，划分 $2"],
  ];
  const KEPT = "pre, dd, .card .tok, svg, script, .caption.math, td:not(.label)";
  const ATTRIBUTES = ["title", "placeholder", "aria-label", "alt"];
  const button = document.getElementById("language");
  const originals = new Map();

  function chinese(text) {
    const core = text.trim();
    if (Object.hasOwn(TEXTS, core)) return text.replace(core, TEXTS[core]);
    for (const [pattern, replacement] of PATTERNS) if (pattern.test(core)) return text.replace(core, core.replace(pattern, replacement));
    return text;
  }

  function translate(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.currentNode; node; node = walker.nextNode()) {
      if (node.nodeType === Node.ELEMENT_NODE) attributes(node);
      else if (!node.parentElement?.closest(KEPT)) replace(node, "data");
    }
  }

  function replace(node, property) {
    const text = node[property], target = chinese(text);
    if (target === text) return;
    originals.set(node, text);
    node[property] = target;
  }

  function attributes(node) {
    for (const name of ATTRIBUTES) {
      const text = node.getAttribute(name), target = text && chinese(text);
      if (text && target !== text) node.setAttribute(name, target), (node.dataset[`en${name.replace("-", "")}`] = text);
    }
  }

  const watcher = new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) translate(node);
  });

  function show(language) {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    button.textContent = language === "zh" ? "English" : "中文";
    if (language === "zh") {
      translate(document.body);
      watcher.observe(document.body, { childList: true, subtree: true });
      return;
    }
    watcher.disconnect();
    for (const [node, text] of originals) node.data = text;
    originals.clear();
    for (const name of ATTRIBUTES) {
      const key = `en${name.replace("-", "")}`;
      for (const node of document.querySelectorAll(`[data-${key}]`)) node.setAttribute(name, node.dataset[key]), delete node.dataset[key];
    }
  }

  function remembered() {
    try {
      return localStorage.getItem("texlens-language");
    } catch {
      return null; // storage is refused to some local files
    }
  }

  button.addEventListener("click", () => {
    const language = document.documentElement.lang === "en" ? "zh" : "en";
    show(language);
    try {
      localStorage.setItem("texlens-language", language);
    } catch {
      return;
    }
  });
  if ((remembered() ?? navigator.language.slice(0, 2)) === "zh") show("zh");
})();
