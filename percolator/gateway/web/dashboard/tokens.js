/** The tokens that a gateway may ask for: kept for this tab, forgotten with it. */

const WHY = {
  feed: "This gateway gives its market data to those who have a token.",
  figures: "This gateway shows its figures to those who have a token.",
};

export class Tokens {
  #dialog = document.getElementById("ask");
  #input = document.getElementById("ask-token");
  #given;
  #kind = null;
  #declined = new Set();

  /** @param {(kind: "feed" | "figures", token: string) => void} given */
  constructor(given) {
    this.#given = given;
    this.#dialog.addEventListener("close", () => this.#closed());
  }

  /** @param {"feed" | "figures"} kind */
  get(kind) {
    return sessionStorage.getItem(`percolator ${kind}`) ?? undefined;
  }

  /** Ask the reader, unless they were asked and would not say; `again` asks them all the same. */
  ask(kind, { again = false } = {}) {
    if (this.#dialog.open || (this.#declined.has(kind) && !again)) return;
    this.#kind = kind;
    document.getElementById("ask-why").textContent = WHY[kind];
    this.#input.value = "";
    this.#dialog.showModal();
    this.#input.focus();
  }

  /** Carry a token to a route. */
  headers(kind) {
    const token = this.get(kind);
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  #closed() {
    const token = this.#input.value.trim();
    this.#input.value = "";
    if (this.#dialog.returnValue !== "ok" || token === "") {
      this.#declined.add(this.#kind);
      return;
    }
    sessionStorage.setItem(`percolator ${this.#kind}`, token);
    this.#given(this.#kind, token);
  }
}
