import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// Relative addresses, so that the page works below any path. The client is compiled from its source beside us.
export default defineConfig({
  base: "./",
  resolve: { alias: { "@oddswire/client": fileURLToPath(new URL("../js/src/index.ts", import.meta.url)) } },
  build: { target: "es2022", cssTarget: ["chrome123", "firefox120", "safari17.5"], assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8080", ws: true } } },
});
