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

const source = (name: string): string => new URL(`./src/${name}`, import.meta.url).pathname;

// A line of a library, replaced: the build fails where the library has changed.
function instead(name: string, file: string, replaced: string, by: string): Plugin {
  return {
    name,
    transform(code, id) {
      if (!id.endsWith(file)) return null;
      if (code.split(replaced).length !== 2) this.error(`${file} is not what it was: look at it again`);
      return code.replace(replaced, () => by);
    },
  };
}

// Cornerstone joins whatever two byte ranges are answered, an error's text too: both must be of the same representation.
const answered = "const response = await fetch(url, {\n        headers,\n        signal: undefined,\n    });";
const rangesOfOneRepresentation = instead(
  "ranges-of-one-representation",
  "/imageLoader/internal/rangeRequest.js",
  answered,
  `${answered}
    const tag = response.headers.get('ETag');
    if (!(response.status === 206 || (response.status === 200 && !encodedData)))
        throw new Error('The server answered ' + response.status + '.');
    if (encodedData && streamingData.tag !== tag)
        throw new Error('The image changed while it was loaded.');
    streamingData.tag = tag;`,
);

// To draw into a buffer of another size, all of it is made anew, and the page waits for that. One that is somewhat
// larger than what is drawn does as well: lines of the toolbar come and go, and cases follow on one another.
const sized = "        return {\n            width: maxWidth,\n            height: maxHeight,\n        };";
const buffersThatStay = instead(
  "buffers-that-stay",
  "/RenderingEngine/WebGLContextPool.js",
  sized,
  `        const held = this.contextMaxSizes.get(contextIndex);
        const fits = (size, wanted) => size >= wanted && (wanted === 0 || size <= 1.25 * wanted);
        if (held && fits(held.width, maxWidth) && fits(held.height, maxHeight)) return held;
${sized}`,
);

// Images and rays are drawn on one rectangle: four samples for each point of it show nothing more, and cost the time
// and the memory of four.
const oneSample = instead(
  "one-sample",
  "/Rendering/OpenGL/RenderWindow.js",
  "publicAPI.get3DContext = (options = {",
  "publicAPI.get3DContext = (options = { antialias: false,",
);

// Whoever shows what is in the buffer draws into it just before: to draw when its size is set shows nothing, and has
// a context made where none is needed.
const drawnWhenShown = instead(
  "drawn-when-shown",
  "/vtkClasses/vtkOffscreenMultiRenderWindow.js",
  "            invokeResize();\n            model.renderWindow.render();",
  "            invokeResize();",
);

// Which kinds of numbers the graphics card can hold is tried out by drawing: when somebody asks, which is for volumes.
const formats = `    let formats = useCache
        ? readCachedFormats(contextInfo.renderer, contextInfo.webgl2)
        : null;
    if (!formats) {
        const probed = getSupportedTextureFormats();
        if (probed) {
            writeCachedFormats(contextInfo.renderer, contextInfo.webgl2, probed);
        }
        formats = probed ?? { ...NO_GPU_FORMATS };
    }
    return {
        ...contextInfo,
        ...formats,
        softwareRasterizer: SOFTWARE_RASTERIZER_PATTERN.test(contextInfo.renderer),
    };`;
const formatsWhenAsked = instead(
  "formats-when-asked",
  "/utilities/renderingCapabilities.js",
  formats,
  `    let known = null;
    const formats = () => {
        known ??= useCache ? readCachedFormats(contextInfo.renderer, contextInfo.webgl2) : null;
        if (!known) {
            const probed = getSupportedTextureFormats();
            if (probed) writeCachedFormats(contextInfo.renderer, contextInfo.webgl2, probed);
            known = probed ?? { ...NO_GPU_FORMATS };
        }
        return known;
    };
    const told = {
        ...contextInfo,
        softwareRasterizer: SOFTWARE_RASTERIZER_PATTERN.test(contextInfo.renderer),
    };
    for (const name of Object.keys(NO_GPU_FORMATS))
        Object.defineProperty(told, name, { enumerable: true, get: () => formats()[name] });
    return told;`,
);

// What draws here is asked once, in a script that is there before the engine is.
const drawingAskedOnce = instead(
  "drawing-asked-once",
  "/utilities/renderingCapabilities.js",
  "let cachedCapabilities = null;\nfunction getWebGLContextInfo() {\n",
  `import { drawing } from ${JSON.stringify(source("drawing.ts"))};
let cachedCapabilities = null;
function getWebGLContextInfo() {
    return drawing();
`,
);

// Previews have fewer points than their images: they are enlarged on their way into a volume's texture.
const slices = "import cache from '../../cache/cache.js';\n";
const enlargedPreviews: Plugin[] = [
  ["enlarge", slices, `${slices}import { enlarged } from ${JSON.stringify(source("enlarge.ts"))};\n`],
  [
    "enlarged",
    "let data = image.voxelManager.getScalarData();",
    "let data = enlarged(image.voxelManager.getScalarData(), image, { columns: model.width, rows: model.height });",
  ],
].map(([name = "", replaced = "", by = ""]) =>
  instead(name, "/vtkClasses/vtkStreamingOpenGLTexture.js", replaced, by),
);

// Of the engine's kinds of viewports, only stacks, planes and solids are used here; the others are a tenth of its code.
const usedViewports: Plugin = {
  name: "used-viewports",
  transform(code, id) {
    if (!id.endsWith("/helpers/viewportTypeToViewportClass.js")) return null;
    const from = code.indexOf("    registerViewportType({\n        type: ViewportType.WHOLE_SLIDE,\n");
    const to = code.indexOf("}\nexport function registerViewportType");
    if (from < 0 || to < from)
      this.error("the kinds of viewports are not listed as they were: look at it again");
    return code.slice(0, from) + code.slice(to);
  },
};

// A viewport that is no more shows nothing: one with its name may have taken its place, and what is still loaded for the
// one would be drawn in the other.
const arrived = `    successCallback(imageId, image) {
        const imageIdIndex = this.imageIds.indexOf(imageId);
        if (`;
const nothingInDisabled = instead(
  "nothing-in-disabled",
  "/RenderingEngine/StackViewport.js",
  arrived,
  `${arrived}this.isDisabled || `,
);

// A decoder lives outside of what is collected as garbage: each frame left its own there, with the frame in it. What
// it has decoded is copied once, not twice.
const decoded = "    const decoder = new local.codec.HTJ2KDecoder();\n";
const copied = `    const imageFrame = new Uint8Array(decodedBufferInWASM.length);
    imageFrame.set(decodedBufferInWASM);
`;
const freedDecoders: () => Plugin[] = () => [
  instead(
    "decoder-given-back",
    "/decoders/decodeHTJ2K.js",
    `async function decodeAsync(compressedImageFrame, imageInfo) {\n    await initialize();\n${decoded}`,
    `async function decodeAsync(compressedImageFrame, imageInfo) {
    await initialize();
    const decoder = new local.codec.HTJ2KDecoder();
    try {
        return decodeBy(decoder, compressedImageFrame, imageInfo);
    } finally {
        decoder.delete();
    }
}
function decodeBy(decoder, compressedImageFrame, imageInfo) {
`,
  ),
  instead("decoded-once", "/decoders/decodeHTJ2K.js", copied, ""),
];

// vtk.js draws by WebGPU as well, which nothing here asks it to.
const withoutWebGpu: Plugin = {
  name: "without-webgpu",
  load: (id) => (id.includes("/vtk.js/Rendering/WebGPU/Profiles/") ? "export default null;" : null),
};

export default defineConfig({
  base: "./",
  plugins: [
    stylesByObjectModel,
    rangesOfOneRepresentation,
    buffersThatStay,
    oneSample,
    drawnWhenShown,
    formatsWhenAsked,
    drawingAskedOnce,
    enlargedPreviews,
    nothingInDisabled,
    usedViewports,
    withoutWebGpu,
  ],
  worker: { format: "es", plugins: freedDecoders },
  resolve: {
    // vtk.js reads XML scenes with it, we never do: 310 kB less to load before the first image.
    alias: { xmlbuilder2: source("absent.ts") },
  },
  build: {
    target: "es2022",
    outDir: "../src/isocenter/gateways/web/static/viewer",
    emptyOutDir: true,
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 8000,
    rollupOptions: {
      input: "src/main.ts",
      // What of it the page does not use are decoders, which work in the workers.
      treeshake: { moduleSideEffects: (id) => !id.includes("/dicom-image-loader/") },
    },
  },
});
