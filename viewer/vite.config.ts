// Builds the workspace into the Python package. The page names the entry by the manifest.
import { defineConfig, type Plugin } from "vite";

// Cornerstone writes the style of its texts as an attribute, which our content security policy forbids; the
// same through the object model is allowed.
const stylesByObjectModel: Plugin = {
  name: "styles-by-object-model",
  transform(code, id) {
    if (!id.includes("@cornerstonejs/tools")) return null;
    return code.replace(/(\w+)\.setAttribute\('style', (\w+)\)/g, "$1.style.cssText = $2");
  },
};

export default defineConfig({
  base: "./",
  plugins: [stylesByObjectModel],
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
