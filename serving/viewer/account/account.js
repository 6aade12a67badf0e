// Who is logged in, as which project they work, and log-out.

import { actingProject, here, json, leave, post, setProject } from "../lib/api.js";
import { element, make } from "../lib/dom.js";
import { findProvider, goToProvider } from "../lib/login.js";
import { toast } from "../lib/toast.js";

const MAY = { read: "see", score: "bring and score slides, review", admin: "administer" };
let me = null;

async function showWho() {
  me = await json(here("/v1/me"));
  const name = me.name || (me.shown === "machine" ? "this machine" : me.id);
  element("account-open").textContent = me.project ? `${name} · ${me.project.name}` : name;
  element("account-open").hidden = false;
  element("account-who").textContent = `${name}, ${me.id}. May ${me.scopes.map((scope) => MAY[scope]).join(", ")}.`;
  const own = new Option(me.scopes.includes("admin") ? "everybody's slides" : "my own slides", "");
  element("account-project").replaceChildren(own, ...me.projects.map(({ id, name: called, role }) => new Option(`${called} (${role})`, id)));
  element("account-project").value = actingProject();
  element("account-logout").hidden = !sessionStorage.length || me.shown === "machine";
  await showMembers();
}

async function showMembers() {
  const project = me.project ? await json(here(`/v1/projects/${me.project.id}`)) : null;
  element("account-members").replaceChildren(...(project?.members ?? []).map(({ principal, role }) => make("li", { textContent: `${principal}: ${role}` })));
  element("account-add").hidden = project?.role !== "manager";
}

/** Work as another project: the page begins anew, so that nothing of the one before is left on it. */
function workAs(project) {
  setProject(project);
  location.assign(here("/"));
  location.reload();
}

const say = (error) => toast(error.message);
element("account-open").addEventListener("click", () => {
  element("account").showModal();
  showWho().catch(say);
});
element("account-close").addEventListener("click", () => element("account").close());
element("account-project").addEventListener("change", () => workAs(element("account-project").value));
element("account-new").addEventListener("click", () => {
  const name = element("account-name").value.trim();
  if (name) post(here("/v1/projects"), { name }).then(({ id }) => workAs(id), say);
});
element("account-member-add").addEventListener("click", () => {
  const address = here(`/v1/projects/${me.project.id}/members/${encodeURIComponent(element("account-member").value.trim())}`);
  const body = JSON.stringify({ role: element("account-role").value });
  json(address, { method: "PUT", headers: { "Content-Type": "application/json" }, body }).then(showMembers, say);
});
element("account-logout").addEventListener("click", async () => {
  const provider = me.shown === "token" ? await findProvider() : null;
  leave();
  if (provider?.end_session_endpoint) location.assign(`${provider.end_session_endpoint}?${new URLSearchParams({ client_id: provider.client_id, post_logout_redirect_uri: location.origin + here("/") })}`);
  else location.assign(here("/"));
  if (!provider?.end_session_endpoint) location.reload();
});
findProvider().then((provider) => {
  element("key-provider").hidden = !provider;
  element("key-provider").addEventListener("click", () => goToProvider(provider).catch(say));
});
showWho().catch(say);
