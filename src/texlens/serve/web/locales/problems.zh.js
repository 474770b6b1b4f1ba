// Why a formula can't be drawn, in Chinese: patterns of the server's messages and their translations.

const PATTERNS = [
  [/^`([^]*)` closes nothing that is open; remove it, or add its `{`/, "“$1”没有对应的左括号；请删除它，或补上“{”"],
  [/^`([^]*)` is never closed/, "“$1”没有闭合"],
  [/^the argument of `([^]*)` is never closed/, "“$1”的参数没有闭合"],
  [/^math in text is never closed/, "文本中的公式没有闭合"],
  [/^the text is never closed/, "文本没有闭合"],
  [/^`([^]*)` lacks its argument/, "“$1”缺少参数"],
  [/^`([^]*)` lacks its `([^]*)`/, "“$1”缺少对应的“$2”"],
  [/^`([^]*)` needs a delimiter, not `([^]*)`/, "“$1”后需要定界符，而不是“$2”"],
  [/^`([^]*)` needs a delimiter/, "“$1”后需要定界符"],
  [/^`([^]*)` needs its columns in braces, such as ([^]*?)(?=, at character|$)/, "“$1”需要在花括号中写出各列，例如 $2"],
  [/^`([^]*)` needs columns such as `([^]*)`/, "“$1”需要列范围，例如“$2”"],
  [/^`([^]*)` is not a column type; there are ([^]*?)(?=, at character|$)/, "“$1”不是列类型；可用的有 $2"],
  [/^`([^]*)` is followed by `([^]*)`; put braces around its argument/, "“$1”后面是“$2”；请用花括号括住参数"],
  [/^a second `([^]*)` in one group; put braces around the first/, "同一组中出现第二个“$1”；请用花括号括住第一个"],
  [/^put braces around the text of `([^]*)`/, "请用花括号括住“$1”的文本"],
  [/^the width of `([^]*)` is `([^]*)`; give a length such as 2em/, "“$1”的宽度是“$2”；请写长度，例如 2em"],
  [/^`\\middle` without `\\left`/, "“\\middle”前没有“\\left”"],
  [/^`\\multicolumn` is not alone in its cell/, "“\\multicolumn”必须单独占一个单元格"],
  [/^`\\sideset` needs a large operator after its scripts, such as \\sum/, "“\\sideset”的角标后需要大型运算符，例如 \\sum"],
  [/^`([^]*)` takes scripts alone in its first two arguments, such as ([^]*?)(?=, at character|$)/, "“$1”的前两个参数只能是角标，例如 $2"],
  [/^`([^]*)` closes nothing that is open/, "“$1”没有对应的开始"],
  [/^unknown command `([^]*)`/, "未知命令“$1”"],
  [/^unknown environment `([^]*)`/, "未知环境“$1”"],
  [/^environment `([^]*)` is a diagram, which can't be drawn; write it as an array with arrows/, "环境“$1”是图表，无法绘制；请改写为带箭头的 array"],
  [/^`([^]*)` does not belong here; write ([^]*?) for the character/, "“$1”不能出现在这里；要输入该字符请写 $2"],
  [/^invisible character (U\+\w+) \([^]*?\); remove it/, "不可见字符 $1；请删除"],
  [/^more than (\d+) levels of nesting/, "嵌套超过 $1 层"],
  [/^the formula is nested too deeply[^]*?(?=, at character|$)/, "公式嵌套太深"],
  [/^no font with Chinese characters[^]*?(?=, at character|$)/, "没有含中文字符的字体"],
  [/^the picture would be (\d+) × (\d+) pixels; draw it smaller/, "图片将有 $1 × $2 像素；请缩小"],
];

/** The message in Chinese; an unknown one is introduced in Chinese and kept. */
export function problemInChinese(message) {
  for (const [pattern, text] of PATTERNS) {
    if (pattern.test(message)) return message.replace(pattern, text).replace(/, at character (\d+)$/, "（第 $1 个字符）");
  }
  return `无法识别的写法（${message.replace(/, at character (\d+)$/, "；第 $1 个字符")}）`;
}
