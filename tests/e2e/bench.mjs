// The test bench: a server for the built page, a browser, and a page object with the page's verbs.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const out = fileURLToPath(new URL("out/", import.meta.url));
export const shared = process.env.FIXPOINT_SHARED ?? join(root, "../shared");

/** Thrown by a scenario that lacks what it needs. */
export class Skipped extends Error {}

export function needs(path, what) {
  if (!existsSync(path)) throw new Skipped(`${what} not there`);
  return path;
}

// The page lives in a folder of its own, as on a project's web space: absolute addresses would fail.
// `/strict/` adds a site's own policy to the page's; `/docs/` is a site that embeds the page.
const dist = join(root, "web/dist");
const strict = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; style-src 'self'; img-src 'self' data: blob:";
const mounts = {
  "/tools/fixpoint/": { folder: dist, headers: () => ({ "access-control-allow-origin": "*" }) },
  "/strict/": { folder: dist, headers: () => ({ "content-security-policy": strict }) },
  "/package/": { folder: join(root, "pkg") },
  "/docs/samples/": { folder: join(root, "web/public/samples") },
  "/docs/": {
    folder: fileURLToPath(new URL("pages", import.meta.url)),
    headers: (page) => ({
      "content-security-policy": `default-src 'none'; script-src ${page}; frame-src ${page}; connect-src 'self'; img-src data:`,
    }),
  },
};
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
};

const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export class Bench {
  static async start() {
    const server = createServer((request, response) => void answer(request, response));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const executablePath = process.env.CHROME ?? browsers.find(existsSync);
    const browser = await chromium.launch({
      ...(executablePath ? { executablePath } : { channel: "chrome" }),
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"],
    });
    return new Bench(server, browser);
  }

  constructor(server, browser) {
    this.server = server;
    this.browser = browser;
    this.origin = `http://127.0.0.1:${server.address().port}`;
    // The same server, and to a browser another site.
    this.otherOrigin = `http://localhost:${server.address().port}`;
  }

  /** Runs a scenario on a page of its own; anything on the console's error channel fails it. */
  async run(name, scenario) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
    context.setDefaultTimeout(60_000);
    const problems = [];
    const console = [];
    const page = await context.newPage();
    page.on("console", (message) => {
      console.push(`${message.type()}: ${message.text()}`);
      if (["error", "warning"].includes(message.type())) problems.push(`console ${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`page error: ${error.stack ?? error.message}`));
    page.on("request", (request) => {
      const url = request.url();
      const ours = [this.origin, this.otherOrigin].some((origin) => url.startsWith(`${origin}/`));
      if (!ours && !/^(blob|data):/.test(url)) problems.push(`outside request: ${url}`);
    });
    try {
      await scenario(new Page(page, this, problems));
      assert.deepEqual(problems, [], "errors in the browser");
    } catch (error) {
      if (!(error instanceof Skipped)) {
        await page.screenshot({ path: join(out, `failed-${name.replace(/\W+/g, "-")}.png`), fullPage: true }).catch(() => {});
        if (console.length > 0) error.stack += `\nconsole:\n${console.slice(-20).join("\n")}`;
        if (problems.length > 0) error.stack += `\nproblems:\n${problems.join("\n")}`;
      }
      throw error;
    } finally {
      await context.close();
    }
  }

  async stop() {
    await this.browser.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function answer(request, response) {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  const prefix = Object.keys(mounts).find((start) => path.startsWith(start));
  const mount = mounts[prefix];
  const file = mount && normalize(join(mount.folder, path.slice(prefix.length) || "index.html"));
  const page = `http://127.0.0.1:${request.socket.localPort}`;
  try {
    if (!file?.startsWith(mount.folder + sep)) throw new Error("outside");
    if (!(await stat(file)).isFile()) throw new Error("no file");
    const bytes = await readFile(file);
    response.writeHead(200, {
      "content-type": types[extname(file)] ?? "application/octet-stream",
      ...mount.headers?.(page),
    });
    response.end(prefix === "/docs/" ? bytes.toString().replaceAll("{{page}}", page) : bytes);
  } catch {
    response.writeHead(404).end();
  }
}

/** The page's verbs, in the words of its buttons. */
export class Page {
  constructor(page, { origin, otherOrigin }, problems) {
    this.page = page;
    this.origin = origin;
    this.otherOrigin = otherOrigin;
    this.problems = problems;
  }

  async open() {
    await this.page.goto(`${this.origin}/tools/fixpoint/`);
    await this.page.getByRole("heading", { name: "Fixpoint" }).waitFor();
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  section(name) {
    return this.page.getByRole("region", { name });
  }

  /** Through the file dialog of the button. */
  async choose(section, button, files) {
    const dialog = this.page.waitForEvent("filechooser");
    await this.section(section).getByRole("button", { name: button, exact: true }).click();
    await (await dialog).setFiles(files);
  }

  /** Drops files, given as {name, bytes}, on a zone. */
  async drop(zone, files) {
    const transfer = await this.page.evaluateHandle(
      (list) => {
        const data = new DataTransfer();
        for (const { name, base64 } of list) {
          const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          data.items.add(new File([bytes], name));
        }
        return data;
      },
      files.map(({ name, bytes }) => ({ name, base64: Buffer.from(bytes).toString("base64") })),
    );
    const target = this.page.getByRole("group", { name: zone });
    for (const type of ["dragenter", "dragover", "drop"]) await target.dispatchEvent(type, { dataTransfer: transfer });
  }

  async useSample() {
    await this.button("Use the sample").click();
    await this.page.getByText("Accuracy is measured on").waitFor();
  }

  /** Until there is a new result; a small model is done before "Cancel" can be seen. */
  async quantize() {
    const run = () => this.page.evaluate(() => Number(document.querySelector("#results")?.dataset.run ?? 0));
    const before = await run();
    await this.button("Quantize").click();
    await this.page.locator(`#results[data-run="${before + 1}"]`).waitFor();
    await this.button("Quantize").and(this.page.locator(":enabled")).waitFor();
  }

  text(selector) {
    return this.page.locator(selector).innerText();
  }

  /** The rows of a table, cell texts by column heading. */
  async table(id) {
    return this.page.locator(`#${id}`).evaluate((table) => {
      const heads = [...table.querySelectorAll("thead th")].map((th) => th.textContent.trim());
      return [...table.querySelectorAll("tbody tr")].map((tr) =>
        Object.fromEntries([...tr.children].map((cell, i) => [heads[i], cell.textContent.trim().replace(/\s+/g, " ")])),
      );
    });
  }

  async download(button) {
    const event = this.page.waitForEvent("download");
    await this.button(button).click();
    return readFile(await (await event).path());
  }

  /** Both widths, both schemes, the whole page; and no sideways scrolling at either. */
  async screenshots(name) {
    for (const width of [1280, 360]) {
      for (const colorScheme of ["light", "dark"]) {
        await this.page.setViewportSize({ width, height: 900 });
        await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await this.page.evaluate(() => scrollTo(0, 0));
        const wide = await this.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${name}: the page is ${wide} px wide in a window of ${width} px`);
        await this.page.screenshot({ path: join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
    await this.page.setViewportSize({ width: 1280, height: 900 });
    await this.page.emulateMedia({ colorScheme: "light" });
  }
}
