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

// To draw into a buffer of another size, all of it is made anew, and the page waits for that. One that is somewhat
// larger than what is drawn does as well: lines of the toolbar come and go, and cases follow on one another.
const buffersThatStay: Plugin = {
  name: "buffers-that-stay",
  transform(code, id) {
    if (!id.endsWith("/RenderingEngine/WebGLContextPool.js")) return null;
    const sized =
      "        return {\n            width: maxWidth,\n            height: maxHeight,\n        };";
    if (code.split(sized).length !== 2)
      this.error("WebGLContextPool.js is not what it was: look at it again");
    return code.replace(
      sized,
      `        const held = this.contextMaxSizes.get(contextIndex);
        const fits = (size, wanted) => size >= wanted && (wanted === 0 || size <= 1.25 * wanted);
        if (held && fits(held.width, maxWidth) && fits(held.height, maxHeight)) return held;
${sized}`,
    );
  },
};

// Images and rays are drawn on one rectangle: four samples for each point of it show nothing more, and cost the time
// and the memory of four.
const oneSample: Plugin = {
  name: "one-sample",
  transform(code, id) {
    if (!id.endsWith("/Rendering/OpenGL/RenderWindow.js")) return null;
    const asked = "publicAPI.get3DContext = (options = {";
    if (code.split(asked).length !== 2) this.error("RenderWindow.js is not what it was: look at it again");
    return code.replace(asked, `${asked} antialias: false,`);
  },
};

export default defineConfig({
  base: "./",
  plugins: [stylesByObjectModel, rangesOfOneRepresentation, buffersThatStay, oneSample],
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
