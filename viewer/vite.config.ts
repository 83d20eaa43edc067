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

// Cornerstone joins whatever two byte ranges are answered, an error's text too: both must be of the same representation.
const rangesOfOneRepresentation: Plugin = {
  name: "ranges-of-one-representation",
  transform(code, id) {
    if (!id.endsWith("/imageLoader/internal/rangeRequest.js")) return null;
    const answered =
      "const response = await fetch(url, {\n        headers,\n        signal: undefined,\n    });";
    if (code.split(answered).length !== 2) this.error("rangeRequest.js is not what it was: look at it again");
    return code.replace(
      answered,
      `${answered}
    const tag = response.headers.get('ETag');
    if (!(response.status === 206 || (response.status === 200 && !encodedData)))
        throw new Error('The server answered ' + response.status + '.');
    if (encodedData && streamingData.tag !== tag)
        throw new Error('The image changed while it was loaded.');
    streamingData.tag = tag;`,
    );
  },
};

export default defineConfig({
  base: "./",
  plugins: [stylesByObjectModel, rangesOfOneRepresentation],
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
