// Builds the workspace into the Python package. The page names the entry by the manifest.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  worker: { format: "es" },
  resolve: {
    // vtk.js reads XML scenes with it, we never do: 310 kB less to load before the first image.
    alias: { xmlbuilder2: new URL("./src/absent.ts", import.meta.url).pathname },
  },
  build: {
    target: "es2022",
    outDir: "../src/isocenter/gateways/web/static/viewer",
    emptyOutDir: true,
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 8000,
    rollupOptions: { input: "src/main.ts" },
  },
});
