// Signing in, where the console is reachable from beyond its own machine.
import { signIn } from "./api.js";
import { attempt, el, field } from "./elements.js";

export const login = (root, signedIn) => {
  const password = el(
    "input",
    { type: "password", autocomplete: "current-password", required: true, maxlength: 1000 },
  );
  const place = el("div");
  const submit = el("button.primary", { type: "submit" }, "Sign in");
  const form = el("form.card.narrow.login", {},
    // A password store wants a user name to keep the password under.
    el(
      "input.unseen",
      {
        type: "text",
        autocomplete: "username",
        value: "vadistill",
        tabindex: -1,
        "aria-hidden": "true",
        readonly: true,
      },
    ),
    field("Password", password), place, el("div.row.end", {}, submit));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const done = await attempt(submit, place, () => signIn(password.value));
    if (done?.signed_in) signedIn();
    else {
      password.value = "";
      password.focus();
    }
  };
  root.replaceChildren(el("h1", { tabindex: -1 }, "Sign in"), form);
  password.focus();
};
