// Lays a brotli and a gzip copy beside each file of the page that gets shorter by it. The gateway serves them as they are.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
for (const name of readdirSync(dist, { recursive: true })) {
  if (!/\.(html|css|js|svg)$/.test(name)) continue;
  const path = join(dist, name);
  const bytes = readFileSync(path);
  for (const [ending, short] of [["br", brotliCompressSync(bytes)], ["gz", gzipSync(bytes, { level: 9 })]]) {
    if (short.length < bytes.length) writeFileSync(`${path}.${ending}`, short);
  }
}
