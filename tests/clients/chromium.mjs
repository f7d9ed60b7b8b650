// chromium.mjs - a headless Chromium, spoken to over a pipe.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const path = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((at) => existsSync(at));

const flags = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--no-first-run", "--remote-debugging-pipe", "--window-size=1280,1600",
];

export class Browser {
  #ids = 0;
  #waiting = new Map(); // id of a command -> its promise's ends
  #session;
  #got = "";
  events = []; // all of the page's, in order

  static async open() {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), "minuted-chromium-"));
    browser.process = spawn(path, [...flags, `--user-data-dir=${browser.profile}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    browser.process.stdio[4].on("data", (data) => browser.#read(data));
    const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network", "Audits"])
      await browser.send(`${domain}.enable`);
    return browser;
  }

  #read(data) {
    const messages = (this.#got + data).split("\0");
    this.#got = messages.pop();
    for (const text of messages) {
      const message = JSON.parse(text);
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (!waiting) this.events.push(message);
      else if (message.error) waiting.reject(new Error(message.error.message));
      else waiting.resolve(message.result);
    }
  }

  send(method, params = {}, sessionId = this.#session) {
    const id = ++this.#ids;
    const command = { id, method, params, sessionId };
    this.process.stdio[3].write(JSON.stringify(command) + "\0");
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true, userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
    return result.value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression, seconds = 20) {
    const end = Date.now() + seconds * 1000;
    while (!(await this.value(`Boolean(${expression})`))) {
      if (Date.now() > end) throw new Error(`never true: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async goto(url) {
    await this.send("Page.navigate", { url });
    await this.until(`location.href === ${JSON.stringify(url)} && document.readyState === "complete"`);
  }

  /** Types into the element of a selector, as a user does. */
  async type(selector, text) {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.send("Input.insertText", { text });
  }

  /** Clicks what a user could: what is there and can be seen. */
  async click(selector) {
    const visible = "checkVisibility({ visibilityProperty: true })";
    await this.until(`document.querySelector(${JSON.stringify(selector)})?.${visible}`);
    await this.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  async screenshot() {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  /** URLs that the page asked for. */
  requests() {
    return this.events
      .filter((event) => event.method === "Network.requestWillBeSent")
      .map((event) => event.params.request.url);
  }

  /** What the page complained of: errors, warnings, violations of its policy. */
  complaints() {
    const found = [];
    for (const { method, params } of this.events) {
      if (method === "Runtime.exceptionThrown") found.push(params.exceptionDetails);
      if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type))
        found.push(params.args.map((arg) => arg.value ?? arg.description));
      if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level))
        found.push(params.entry.text);
      if (method === "Audits.issueAdded" && params.issue.code === "ContentSecurityPolicyIssue")
        found.push(params.issue.details);
    }
    return found;
  }

  async close() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.#session = undefined;
    await this.send("Browser.close");
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}
