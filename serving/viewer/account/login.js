// The page to which an identity provider sends the browser back.

import { setKey } from "../lib/api.js";
import { element } from "../lib/dom.js";
import { finishLogin } from "../lib/login.js";

try {
  const { token, back } = await finishLogin();
  setKey(token);
  location.replace(back);
} catch (error) {
  element("said").textContent = error.message;
}
