// Two films side by side, over each other with a swipe, or blinking; zoom, pan and window are linked (Cornerstone3D).

import {
  Enums,
  RenderingEngine,
  cache,
  imageLoader,
  init as initCore,
  metaData,
  utilities,
  type Types,
} from "@cornerstonejs/core";
import {
  Enums as ToolEnums,
  PanTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
  addTool,
  init as initTools,
  synchronizers,
} from "@cornerstonejs/tools";
import { after, apply, laidOver, scaled, type Affine, type Point } from "./affine";
import { SIDES, type Film, type Geometry, type Side } from "./api";

export type Mode = "side" | "swipe" | "blink";
const GROUP = "films";
const BLINK = 700;
const WHITE = 65535;

export class Viewer {
  private readonly films = new Map<string, Film>();
  private readonly shown: Partial<Record<Side, Film>> = {};
  private readonly overlays: Record<Side, HTMLCanvasElement>;
  private engine!: RenderingEngine;
  private count = 0;
  private timer = 0;
  private map: number[][] | null = null;
  private geometries: Partial<Record<Side, Geometry>> = {};
  /** Prior as sent -> current as sent, used where the films lie over each other. */
  private matrix: Affine | null = null;
  private laid: Film | null = null;
  private laying: Promise<void> = Promise.resolve();

  constructor(private readonly root: HTMLElement) {
    const overlay = (side: Side): HTMLCanvasElement => this.pane(side).querySelector("canvas.map")!;
    this.overlays = { prior: overlay("prior"), current: overlay("current") };
  }

  private pane(side: Side): HTMLElement {
    return this.root.querySelector(`[data-side="${side}"]`)!;
  }

  private element(side: Side): HTMLDivElement {
    return this.pane(side).querySelector("div.viewport")!;
  }

  async start(): Promise<void> {
    await initCore();
    await initTools();
    imageLoader.registerImageLoader("film", (id: string) => ({ promise: Promise.resolve(this.image(id)) }));
    metaData.addProvider((type: string, id: string) => this.metadata(type, id), 100);
    this.engine = new RenderingEngine("engine");
    this.engine.setViewports(
      SIDES.map((side) => ({
        viewportId: side,
        type: Enums.ViewportType.STACK,
        element: this.element(side),
        defaultOptions: { background: [0, 0, 0] as Types.Point3 },
      })),
    );
    for (const tool of [WindowLevelTool, PanTool, ZoomTool]) addTool(tool);
    const group = ToolGroupManager.createToolGroup(GROUP)!;
    const { Primary, Auxiliary, Secondary, Wheel } = ToolEnums.MouseBindings;
    const { Shift, Ctrl } = ToolEnums.KeyboardBindings;
    for (const tool of [WindowLevelTool, PanTool, ZoomTool]) group.addTool(tool.toolName);
    group.setToolActive(WindowLevelTool.toolName, { bindings: [{ mouseButton: Primary }] });
    group.setToolActive(PanTool.toolName, {
      bindings: [{ mouseButton: Auxiliary }, { mouseButton: Primary, modifierKey: Shift }, { numTouchPoints: 2 }],
    });
    group.setToolActive(ZoomTool.toolName, {
      bindings: [{ mouseButton: Secondary }, { mouseButton: Wheel }, { mouseButton: Primary, modifierKey: Ctrl }],
    });
    const links = [
      synchronizers.createZoomPanSynchronizer("zoom"),
      synchronizers.createVOISynchronizer("window", { syncInvertState: false, syncColormap: false }),
    ];
    for (const side of SIDES) {
      group.addViewport(side, this.engine.id);
      for (const link of links) link.add({ renderingEngineId: this.engine.id, viewportId: side });
      this.element(side).addEventListener(Enums.Events.IMAGE_RENDERED, () => this.draw(side));
      this.element(side).addEventListener("contextmenu", (event) => event.preventDefault());
    }
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  /** Show a film, or nothing, on one side. */
  async show(side: Side, film: Film | null): Promise<void> {
    this.evidence(null, {});
    await this.lay(null);
    this.pane(side).classList.toggle("empty", film === null);
    if (film === null) {
      delete this.shown[side];
      return;
    }
    this.shown[side] = film;
    await this.put(side, film);
    this.reset();
  }

  private async put(side: Side, film: Film): Promise<void> {
    const id = `film:${++this.count}`;
    this.films.set(id, film);
    await this.viewport(side).setStack([id]);
    const used = [...Object.values(this.shown), this.laid];
    for (const old of [...this.films.keys()]) {
      if (!used.includes(this.films.get(old)!)) {
        this.films.delete(old);
        if (cache.getImageLoadObject(old)) cache.removeImageLoadObject(old, { force: true });
      }
    }
  }

  /** Lay the prior over the current film in swipe and blink mode; null: as taken. */
  lay(matrix: Affine | null): Promise<void> {
    this.matrix = matrix;
    this.laying = this.laying.then(() => this.follow());
    return this.laying;
  }

  /** Put on the screen what mode and matrix ask for; the view stays. */
  private async follow(): Promise<void> {
    const { prior, current } = this.shown;
    const over = this.matrix !== null && this.root.dataset.mode !== "side" && prior && current;
    if (Boolean(over) === Boolean(this.laid) || !prior) return;
    const lead = this.viewport(current ? "current" : "prior");
    const [zoom, pan, { voiRange }] = [lead.getZoom(), lead.getPan(), lead.getProperties()];
    this.laid = over ? laidOver(prior, current!, this.matrix!) : null;
    await this.put("prior", this.laid ?? prior);
    const view = this.viewport("prior");
    view.resetCamera();
    view.setProperties({ voiRange });
    view.setZoom(zoom);
    view.setPan(pan);
    view.render();
  }

  private viewport(side: Side): Types.IStackViewport {
    return this.engine.getViewport(side) as Types.IStackViewport;
  }

  /** Whole films, whole range of greys. */
  reset(): void {
    for (const side of SIDES) {
      if (!this.shown[side]) continue;
      this.viewport(side).resetCamera();
      this.viewport(side).resetProperties();
      this.viewport(side).setProperties({ voiRange: { lower: 0, upper: WHITE } });
      this.viewport(side).render();
    }
  }

  /** For the keyboard: factor above 1 enlarges. */
  zoom(factor: number): void {
    const side = SIDES.find((each) => this.shown[each]);
    if (!side) return;
    this.viewport(side).setZoom(this.viewport(side).getZoom() * factor);
    this.viewport(side).render();
  }

  mode(mode: Mode): void {
    this.root.dataset.mode = mode;
    clearInterval(this.timer);
    this.root.classList.remove("off");
    if (mode === "blink") this.timer = window.setInterval(() => this.root.classList.toggle("off"), BLINK);
    this.resize();
    void this.lay(this.matrix);
  }

  /** How much of the prior is seen in swipe mode, 0 to 1. */
  swipe(part: number): void {
    this.root.style.setProperty("--swipe", `${100 * part}%`);
  }

  /** To the new sizes of the panes: zoom and pan relative to the whole film stay. */
  private resize(): void {
    const views = SIDES.filter((side) => this.shown[side]).map((side) => this.viewport(side));
    const kept = views.map((view) => [view.getZoom(), view.getPan()] as const);
    this.engine.resize(true, false);
    views.forEach((view, index) => {
      view.setZoom(kept[index][0]);
      view.setPan(kept[index][1]);
      view.render();
    });
    for (const side of SIDES) this.draw(side);
  }

  /** Lay a map in [0, 1] over both films; it is in the frame of the squares that the model was shown. */
  evidence(map: number[][] | null, geometries: Partial<Record<Side, Geometry>>): void {
    this.map = map;
    this.geometries = geometries;
    for (const side of SIDES) this.draw(side);
  }

  private draw(side: Side): void {
    const canvas = this.overlays[side];
    const { clientWidth: width, clientHeight: height } = this.element(side);
    canvas.width = width;
    canvas.height = height;
    const film = this.shown[side];
    const geometry = this.geometries[side];
    const context = canvas.getContext("2d");
    if (!film || !geometry || !this.map || !context) return;
    const cells = cellsOf(this.map);
    // Film as sent -> film on the screen -> canvas. The middle of the first pixel is at 0.
    const screen = side === "prior" && this.laid ? this.laid : film;
    let toScreen = scaled(screen.columns / screen.width, screen.rows / screen.height);
    if (side === "prior" && this.laid) toScreen = after(toScreen, this.matrix!);
    const place = (x: number, y: number): Point => {
      const [column, row] = apply(toScreen, [x, y]);
      return this.viewport(side).worldToCanvas([column - 0.5, row - 0.5, 0]) as Point;
    };
    context.beginPath();
    for (const [x, y] of [[0, 0], [film.width, 0], [film.width, film.height], [0, film.height]]) {
      context.lineTo(...place(x, y));
    }
    context.clip();
    // The map covers the square: film as sent = (square - offset) / scale.
    const left = -geometry.offset_x / geometry.scale;
    const top = -geometry.offset_y / geometry.scale;
    const length = Math.max(film.height, film.width);
    const [origin, right, down] = [place(left, top), place(left + length, top), place(left, top + length)];
    const across = (end: Point, count: number): Point => [(end[0] - origin[0]) / count, (end[1] - origin[1]) / count];
    context.setTransform(...across(right, cells.width), ...across(down, cells.height), ...origin);
    context.imageSmoothingQuality = "high";
    context.drawImage(cells, 0, 0);
  }

  private image(id: string): Types.IImage {
    const { rows, columns, pixels } = this.films.get(id)!;
    return {
      imageId: id,
      minPixelValue: 0,
      maxPixelValue: WHITE,
      slope: 1,
      intercept: 0,
      windowCenter: WHITE / 2,
      windowWidth: WHITE,
      voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
      getPixelData: () => pixels,
      getCanvas: () => document.createElement("canvas"),
      rows,
      columns,
      height: rows,
      width: columns,
      color: false,
      rgba: false,
      numberOfComponents: 1,
      columnPixelSpacing: 1,
      rowPixelSpacing: 1,
      invert: false,
      sizeInBytes: pixels.byteLength,
      dataType: "Uint16Array",
      voxelManager: utilities.VoxelManager.createImageVoxelManager({
        width: columns,
        height: rows,
        numberOfComponents: 1,
        scalarData: pixels,
      }),
    };
  }

  private metadata(type: string, id: string): unknown {
    const film = this.films.get(id);
    if (!film) return undefined;
    const { rows, columns } = film;
    const modules: Record<string, unknown> = {
      imagePixelModule: {
        bitsAllocated: 16,
        bitsStored: 16,
        highBit: 15,
        samplesPerPixel: 1,
        pixelRepresentation: 0,
        photometricInterpretation: "MONOCHROME2",
        rows,
        columns,
      },
      generalSeriesModule: { modality: "DX" },
      imagePlaneModule: {
        frameOfReferenceUID: "film",
        rows,
        columns,
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        imagePositionPatient: [0, 0, 0],
        pixelSpacing: [1, 1],
        rowPixelSpacing: 1,
        columnPixelSpacing: 1,
      },
      voiLutModule: { windowCenter: [WHITE / 2], windowWidth: [WHITE] },
      modalityLutModule: { rescaleSlope: 1, rescaleIntercept: 0 },
    };
    return modules[type];
  }
}

/** A map as an orange picture of one pixel a cell, relative to its own peak. */
function cellsOf(map: number[][]): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.height = map.length;
  canvas.width = map[0].length;
  const picture = new ImageData(canvas.width, canvas.height);
  const peak = Math.max(1e-6, ...map.flat());
  map.flat().forEach((value, index) => {
    picture.data.set([255, 120, 20, 110 * (value / peak) ** 1.5], 4 * index);
  });
  canvas.getContext("2d")!.putImageData(picture, 0, 0);
  return canvas;
}
