// docs.test.mjs - the documentation page in a browser: it loads, it is whole, it
// asks nobody else, and a call can be tried on it.  SHOTS=folder keeps pictures.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import test from "node:test";

import { Browser, path } from "./chromium.mjs";

const url = process.env.MINUTED_URL;
const skip = path ? false : "there is no Chromium here (Debian's package chromium)";

async function shot(browser, name) {
  if (process.env.SHOTS)
    writeFileSync(`${process.env.SHOTS}/${name}.png`, await browser.screenshot());
}

/** A browser with the page open and drawn. */
async function open(t, at) {
  const browser = await Browser.open();
  t.after(() => browser.close());
  await browser.goto(url + at);
  await browser.until(`document.querySelectorAll(".opblock-tag").length > 5`);
  return browser;
}

test("a violation of the page's policy would be seen", { skip }, async (t) => {
  const browser = await open(t, "/api-docs");
  await browser.value(`document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>")`);
  await browser.value(`fetch("http://127.0.0.1:9/").catch(() => {})`);
  const found = JSON.stringify(browser.complaints());
  assert.match(found, /style-src/);
  assert.match(found, /connect-src/);
});

function checkQuiet(browser) {
  assert.deepEqual(browser.complaints(), []);
  for (const asked of browser.requests())
    assert.ok(asked.startsWith(url + "/") || asked.startsWith("data:"), asked);
}

for (const at of ["/api", "/api-docs", "/api/docs"]) {
  test(`${at} shows every family, from this host alone`, { skip }, async (t) => {
    const browser = await open(t, at);
    await shot(browser, at.slice(1).replace("/", "-"));
    const tags = await browser.value(
      `[...document.querySelectorAll(".opblock-tag")].map((tag) => tag.dataset.tag)`,
    );
    const { tags: documented } = await (await fetch(url + "/openapi.json")).json();
    assert.deepEqual(tags, documented.map((tag) => tag.name));
    checkQuiet(browser);
  });
}

test("a reader can log in and try a call", { skip }, async (t) => {
  const browser = await open(t, "/api-docs");
  await browser.click(".btn.authorize");
  await browser.until(`document.querySelector(".auth-container input")`);
  assert.equal(await browser.value(`document.querySelector(".modal-ux-content").scrollTop`), 0);
  await shot(browser, "authorize");
  await browser.type(".auth-container input", process.env.MINUTED_TOKEN);
  await browser.click(".auth-btn-wrapper .authorize");
  await browser.until(`document.querySelector(".auth-container .auth-btn-wrapper").textContent.includes("Logout")`);
  await browser.click(".auth-btn-wrapper .btn-done");

  await browser.click(`.opblock-tag[data-tag="gateway"] button`);
  await browser.click("#operations-gateway-listModels .opblock-summary-control");
  const answer = "#operations-gateway-listModels .live-responses-table";
  await browser.click("#operations-gateway-listModels .execute");
  await browser.until(`document.querySelector("${answer}")`);
  const status = await browser.value(
    `document.querySelector("${answer} tbody .response-col_status").textContent`,
  );
  const body = await browser.value(
    `document.querySelector("${answer} .highlight-code, ${answer} .microlight").textContent`,
  );
  await browser.value(`document.querySelector("#operations-gateway-listModels").scrollIntoView()`);
  await shot(browser, "tried");
  assert.match(status, /^200/);
  assert.match(body, /"echo"/);
  checkQuiet(browser);
});

test("every operation can be opened", { skip }, async (t) => {
  const browser = await open(t, "/api-docs");
  const tags = await browser.value(`document.querySelectorAll(".opblock-tag").length`);
  for (let i = 0; i < tags; i++)
    await browser.value(`document.querySelectorAll(".opblock-tag button")[${i}].click()`);
  const { paths } = await (await fetch(url + "/openapi.json")).json();
  const methods = new Set(["get", "put", "post", "delete", "patch"]);
  const count = Object.values(paths).flatMap(Object.keys).filter((key) => methods.has(key)).length;
  await browser.until(`document.querySelectorAll(".opblock").length === ${count}`);
  await shot(browser, "open");
  for (const operation of ["gateway-createChatCompletion", "chats-addMessage", "playground-playgroundStream"]) {
    await browser.click(`#operations-${operation} .opblock-summary-control`);
    await browser.until(`document.querySelector("#operations-${operation} .responses-table")`);
    await browser.value(`document.querySelector("#operations-${operation}").scrollIntoView()`);
    await shot(browser, operation);
  }
  const text = await browser.value("document.body.innerText");
  assert.doesNotMatch(text, /could not resolve reference|failed to load|unknown type/i);
  checkQuiet(browser);
});
