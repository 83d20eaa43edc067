// Starts the workspace on its page. A browser that cannot draw it is sent to the page of rendered images.

import { Desk } from "./desk.ts";
import { the } from "./dom.ts";
import { canDraw, start } from "./engine.ts";
import { loadResampled } from "./resampled.ts";
import { askForText } from "./textdialog.ts";
import { arrowText } from "./toolgroups.ts";

async function main(): Promise<void> {
  const host = the("workspace");
  if (!canDraw()) {
    location.replace(host.dataset.plain ?? "?plain=true");
    return;
  }
  arrowText.ask = askForText;
  const engine = await start();
  loadResampled();
  await new Desk(engine).open();
}

main().catch((error: unknown) => {
  const status = the("status");
  status.textContent = `The workspace could not start: ${error instanceof Error ? error.message : error}. `;
  const plain = document.createElement("a");
  plain.href = the("workspace").dataset.plain ?? "?plain=true";
  plain.textContent = "Show rendered images instead";
  status.append(plain);
  status.classList.add("problem");
});
