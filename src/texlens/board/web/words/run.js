export const run = {
  en: { "nav.run": "Run" },
  zh: { "nav.run": "训练" },
};
