// Readings kept in this browser: an IndexedDB store, or this visit's memory where the browser keeps nothing.

const MOST = 200;
const STORE = "readings";

export class History {
  /** Entries are { id, at, thumbnail, picture: { blob, width, height, name }, results: [{ reading, role, edited }] }. */
  static async open() {
    const made = new History();
    made.entries = new Map();
    try {
      made.database = await opened();
      for (const entry of await settled(made.store("readonly").getAll())) made.entries.set(entry.id, entry);
    } catch {
      made.database = null;
    }
    return made;
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
    for (const old of this.list().slice(MOST)) await this.remove(old.id);
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
