/** The tokens that a gateway may ask for: kept for this tab, forgotten with it. */

const WHY = {
  feed: "This gateway gives its market data to those who have a token.",
  figures: "This gateway shows its figures to those who have a token.",
};

const byId = (id) => document.getElementById(id);

export class Tokens {
  #dialog = byId("ask");
  #input = byId("ask-token");
  #button = byId("unlock");
  #given;
  #asking = null;
  #needed = new Set();
  #declined = new Set();

  /** @param {(kind: "feed" | "figures", token: string) => void} given */
  constructor(given) {
    this.#given = given;
    this.#dialog.addEventListener("close", () => this.#closed());
    byId("ask-later").addEventListener("click", () => this.#dialog.close());
    this.#button.addEventListener("click", () => {
      this.#declined.clear();
      this.#ask();
    });
  }

  /** @param {"feed" | "figures"} kind */
  get(kind) {
    return sessionStorage.getItem(`percolator ${kind}`) ?? undefined;
  }

  /** A token is needed, and none was given since: to ask the gateway would be in vain. */
  lacks(kind) {
    return this.#needed.has(kind);
  }

  /** Forget a token that is not good, and ask for one; a button stays for who would rather not. */
  need(kind) {
    sessionStorage.removeItem(`percolator ${kind}`);
    this.#needed.add(kind);
    this.#ask();
  }

  #ask() {
    this.#button.hidden = this.#needed.size === 0;
    const kind = [...this.#needed].find((each) => !this.#declined.has(each));
    if (this.#dialog.open || kind === undefined) return;
    this.#asking = kind;
    byId("ask-why").textContent = WHY[kind];
    this.#input.value = this.#dialog.returnValue = "";
    this.#dialog.showModal();
    this.#input.focus();
  }

  #closed() {
    const [kind, token] = [this.#asking, this.#input.value.trim()];
    this.#input.value = "";
    if (this.#dialog.returnValue === "ok" && token !== "") {
      sessionStorage.setItem(`percolator ${kind}`, token);
      this.#needed.delete(kind);
      this.#given(kind, token);
    } else {
      this.#declined.add(kind);
    }
    this.#ask();
  }
}
