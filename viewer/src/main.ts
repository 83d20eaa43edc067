// The first script of the page. It asks for what the first image needs, then loads the workspace: while its code
// comes and is compiled, the server is at work, and what draws here is found out.

import "./workspace.css";
import { drawing } from "./drawing.ts";
import { askEarly, openStorage } from "./early.ts";

askEarly();
const page = import("./page.ts");
drawing();
openStorage(); // the engine's loggers look into it
page.catch((error: unknown) => {
  const status = document.getElementById("status");
  if (status) status.textContent = `The workspace could not be loaded: ${String(error)}`;
});
