// Readings kept in this browser: an IndexedDB store, or memory for this visit where the browser stores nothing.

const MAX_ENTRIES = 200;
const STORE = "readings";

export class History {
  /** Entries are { id, at, thumbnail, picture: { blob, width, height, name }, results: [{ reading, role, edited }] }. */
  static async open() {
    const history = new History();
    history.entries = new Map();
    try {
      history.database = await opened();
      for (const entry of await settled(history.store("readonly").getAll())) history.entries.set(entry.id, entry);
    } catch {
      history.database = null;
    }
    return history;
  }

  get lasting() {
    return Boolean(this.database);
  }

  store(mode) {
    return this.database.transaction(STORE, mode).objectStore(STORE);
  }

  /** The latest first. */
  list() {
    return [...this.entries.values()].sort((a, b) => b.at - a.at);
  }

  async put(entry) {
    this.entries.set(entry.id, entry);
    if (this.lasting) await settled(this.store("readwrite").put(entry)).catch(() => (this.database = null));
    for (const old of this.list().slice(MAX_ENTRIES)) await this.remove(old.id);
  }

  async remove(id) {
    this.entries.delete(id);
    if (this.lasting) await settled(this.store("readwrite").delete(id));
  }

  async clear() {
    this.entries.clear();
    if (this.lasting) await settled(this.store("readwrite").clear());
  }
}

function opened() {
  const request = indexedDB.open("texlens", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return settled(request);
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
