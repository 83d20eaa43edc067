// What draws in this browser, asked once and early: a drawing context is dear, and the graphics process answers late
// when it is at work on the page already. It imports nothing.

export interface Drawing {
  webgl: boolean;
  webgl2: boolean;
  maxTextureSize: number;
  renderer: string;
}

let known: Drawing | null = null;

/** What draws here; the engine asks this too. */
export function drawing(): Drawing {
  known ??= asked();
  return known;
}

function asked(): Drawing {
  const context = document.createElement("canvas").getContext("webgl2");
  if (!context) return { webgl: false, webgl2: false, maxTextureSize: 0, renderer: "" };
  const named = context.getExtension("WEBGL_debug_renderer_info");
  const found = {
    webgl: true,
    webgl2: true,
    maxTextureSize: Number(context.getParameter(context.MAX_TEXTURE_SIZE)) || 0,
    renderer: String(context.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : context.RENDERER) ?? ""),
  };
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return found;
}
