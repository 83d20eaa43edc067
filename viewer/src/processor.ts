// Where there is no graphics card, plain grey images of a stack are drawn without one being feigned: the same points
// for a fraction of the time. Only the drawing is replaced; the engine's cameras, windows and positions are its own,
// and whatever is more than one grey image with a linear window is left to it.

import * as core from "@cornerstonejs/core";
import { drawGrey, type Placing, type Ramp, type Raster } from "./grey.ts";

/** Of the engine, what is relied on here: these are its own. */
interface Implementation {
  renderViewportUsingCustomOrVtkPipeline(viewport: core.Types.IViewport): unknown;
}
type Node = [value: number, red: number, green: number, blue: number, middle: number, sharpness: number];
interface Slice {
  isA(name: string): boolean;
  getVisibility(): boolean;
  getMapper(): { getInputData(): Input; getNumberOfClippingPlanes(): number };
  getProperty(): {
    getRGBTransferFunction(component: number): {
      getSize(): number;
      getNodeValue(index: number, into: number[]): void;
    } | null;
    getPiecewiseFunction(component: number): unknown;
    getOpacity(): number;
    getInterpolationType(): number;
  };
}
interface Input {
  getDimensions(): [number, number, number];
  worldToIndex(point: core.Types.Point3): number[];
  getPointData(): { getScalars(): { getNumberOfComponents(): number; getData(): ArrayLike<number> } };
}
type Stack = core.StackViewport & {
  sWidth: number;
  sHeight: number;
  getRenderPasses(): unknown[] | null;
  getWidgets?(): unknown[];
};

const NEAREST = 0; // among vtk.js's kinds of interpolation
const FAR = 1000; // points: a step is measured over many
const screens = new WeakMap<HTMLCanvasElement, ImageData>();

/** Draw plain grey images by the processor from now on. */
export function drawByProcessor(engine: core.RenderingEngine): void {
  // Nothing is seen through an image: the page does not blend it with what is under it.
  core.setCanvasCreator((width: number, height: number) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d", { alpha: false });
    return canvas;
  });
  const { _implementation: implementation } = engine as unknown as { _implementation: Implementation };
  const drawByGraphics = implementation.renderViewportUsingCustomOrVtkPipeline.bind(implementation);
  implementation.renderViewportUsingCustomOrVtkPipeline = (viewport) =>
    (viewport instanceof core.StackViewport && draw(viewport as Stack)) || drawByGraphics(viewport);
}

/** What the engine tells of a drawn viewport; null where it is to draw that itself. */
function draw(viewport: Stack): object | null {
  const { canvas, sWidth: width, sHeight: height } = viewport;
  const slice = plainSlice(viewport);
  const ramp = slice && rampOf(slice);
  if (!slice || !ramp || !canvas.clientWidth || !canvas.clientHeight || width < 2 || height < 2) return null;
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
    canvas.style.aspectRatio = `${width} / ${height}`;
  }
  const pencil = canvas.getContext("2d");
  if (!pencil) return null;
  let held = screens.get(canvas);
  if (held?.width !== width || held.height !== height) {
    held = new ImageData(width, height);
    screens.set(canvas, held);
  }
  const input = slice.getMapper().getInputData();
  const points = new Uint32Array(held.data.buffer);
  const interpolated = slice.getProperty().getInterpolationType() !== NEAREST;
  drawGrey({ width, height, points }, rasterOf(input), placingOf(viewport, input), ramp, interpolated);
  pencil.putImageData(held, 0, 0);
  const { element, suppressEvents, id: viewportId, renderingEngineId, viewportStatus } = viewport;
  return { element, suppressEvents, viewportId, renderingEngineId, viewportStatus };
}

/** The one grey image that the viewport shows; null where there is more to it. */
function plainSlice(viewport: Stack): Slice | null {
  const actors = viewport.getActors();
  const slice = actors[0]?.actor as unknown as Slice | undefined;
  if (actors.length !== 1 || !slice?.isA("vtkImageSlice") || !slice.getVisibility()) return null;
  const property = slice.getProperty();
  const mapper = slice.getMapper();
  const background = viewport.defaultOptions.background ?? [0, 0, 0];
  const plain =
    mapper.getInputData().getPointData().getScalars().getNumberOfComponents() === 1 &&
    mapper.getNumberOfClippingPlanes() === 0 &&
    mapper.getInputData().getDimensions()[2] === 1 &&
    property.getOpacity() === 1 &&
    !property.getPiecewiseFunction(0) &&
    !viewport.getRenderPasses()?.length &&
    !viewport.getWidgets?.().length &&
    background.every((each) => each === 0);
  return plain ? slice : null;
}

/** The window, where it is one straight line between black and white. PS3.3 C.11.2.1.2 */
function rampOf(slice: Slice): Ramp | null {
  const shades = slice.getProperty().getRGBTransferFunction(0);
  if (shades?.getSize() !== 2) return null;
  const [low, high] = [0, 1].map((index) => {
    const node: number[] = [];
    shades.getNodeValue(index, node);
    return node as Node;
  }) as [Node, Node];
  const isGrey = ([, red, green, blue]: Node) => red === green && green === blue;
  const isStraight = low[4] === 0.5 && low[5] === 0;
  if (!isGrey(low) || !isGrey(high) || !isStraight || low[1] + high[1] !== 1 || low[0] === high[0])
    return null;
  if (low[1] === 0) return { black: low[0], white: high[0] };
  return low[1] === 1 ? { black: high[0], white: low[0] } : null;
}

function rasterOf(input: Input): Raster {
  const [columns, rows] = input.getDimensions();
  return { columns, rows, values: input.getPointData().getScalars().getData() };
}

/** Affine: three places say where every point is. */
function placingOf(viewport: Stack, input: Input): Placing {
  const ratio = devicePixelRatio || 1;
  const at = (x: number, y: number): [number, number] => {
    const [column = 0, row = 0] = input.worldToIndex(
      viewport.canvasToWorld([(x + 0.5) / ratio, (y + 0.5) / ratio]),
    );
    return [column, row];
  };
  const [first, right, down] = [at(0, 0), at(FAR, 0), at(0, FAR)];
  const step = (to: [number, number]): [number, number] => [
    (to[0] - first[0]) / FAR,
    (to[1] - first[1]) / FAR,
  ];
  return { first, right: step(right), down: step(down) };
}
