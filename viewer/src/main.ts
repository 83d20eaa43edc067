// The first script of the page. It asks for what the first image needs, then loads the workspace: while its code
// comes and is compiled, the server is at work.

import "./workspace.css";
import { askEarly } from "./early.ts";

askEarly();
import("./page.ts").catch((error: unknown) => {
  const status = document.getElementById("status");
  if (status) status.textContent = `The workspace could not be loaded: ${String(error)}`;
});
