import { defineConfig, type Plugin } from "vite";

// Nothing is fetched from, and nothing runs from, anywhere but the page's own origin.
// `blob:` images are the previews of pictures the user dropped.
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Adds the policy to the built page only: the dev server injects inline styles and a socket. */
const contentSecurityPolicy = (): Plugin => ({
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
  ],
});

export default defineConfig({
  // Relative addresses: the built page works from any folder of any static host.
  base: "./",
  plugins: [contentSecurityPolicy()],
  // The generated module finds its .wasm by import.meta.url; pre-bundling would move it.
  optimizeDeps: { exclude: ["fixpoint"] },
  worker: { format: "es" },
  build: {
    target: "es2023",
    // A firmware image inlined as a data: address would be refused by connect-src.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      input: { index: "index.html", embed: "src/embed.ts" },
      // Other pages name this one: its address has to stay.
      output: { entryFileNames: ({ name }) => (name === "embed" ? "embed.js" : "assets/[name]-[hash].js") },
    },
  },
  // The prebuilt firmware and the package live beside this folder.
  server: { fs: { allow: [".."] }, strictPort: true },
  preview: { strictPort: true },
});
