/** The tokens that a gateway may require, kept until the tab is closed. */

const WHY = {
  feed: "This gateway needs a token.",
  stats: "The statistics of this gateway need a token.",
};

const byId = (id) => document.getElementById(id);

export class Tokens {
  #dialog = byId("ask");
  #input = byId("ask-token");
  #button = byId("unlock");
  #onToken;
  #askedFor = null;
  #needed = new Set();
  #declined = new Set();

  /** @param {(kind: "feed" | "stats", token: string) => void} onToken */
  constructor(onToken) {
    this.#onToken = onToken;
    this.#dialog.addEventListener("close", () => this.#closed());
    byId("ask-cancel").addEventListener("click", () => this.#dialog.close());
    this.#button.addEventListener("click", () => {
      this.#declined.clear();
      this.#ask();
    });
  }

  /** @param {"feed" | "stats"} kind */
  get(kind) {
    return sessionStorage.getItem(`percolator ${kind}`) ?? undefined;
  }

  /** A token is required and was not entered yet: a request would fail. */
  lacks(kind) {
    return this.#needed.has(kind);
  }

  /** Forget an invalid token and ask for one; after Cancel, a button asks again. */
  need(kind) {
    sessionStorage.removeItem(`percolator ${kind}`);
    this.#needed.add(kind);
    this.#ask();
  }

  #ask() {
    this.#button.hidden = this.#needed.size === 0;
    const kind = [...this.#needed].find((each) => !this.#declined.has(each));
    if (this.#dialog.open || kind === undefined) return;
    this.#askedFor = kind;
    byId("ask-why").textContent = WHY[kind];
    this.#input.value = this.#dialog.returnValue = "";
    this.#dialog.showModal();
    this.#input.focus();
  }

  #closed() {
    const [kind, token] = [this.#askedFor, this.#input.value.trim()];
    this.#input.value = "";
    if (this.#dialog.returnValue === "ok" && token !== "") {
      sessionStorage.setItem(`percolator ${kind}`, token);
      this.#needed.delete(kind);
      this.#onToken(kind, token);
    } else {
      this.#declined.add(kind);
    }
    this.#ask();
  }
}
