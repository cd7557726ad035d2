// What the pages can do beyond being read: follow events and logs, copy a command, count the minutes. Everything that is
// shown is put in as text or comes from the server's own templates; without this file nothing is missing but the haste.
(() => {
  "use strict";
  const live = document.getElementById("live");
  const say = document.getElementById("say");
  const link = document.getElementById("link");
  const url = document.body.dataset.events;

  // ---- what every look at the page needs ----

  function dress() {
    for (const code of live.querySelectorAll("[data-copy]")) {
      if (code.nextElementSibling?.classList.contains("copy") || !navigator.clipboard) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy " + code.textContent);
      button.dataset.key = "copy " + code.textContent;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
      code.after(button);
    }
  }

  // As the server says it, so that nothing jumps when it speaks again.
  function span(ms) {
    const s = Math.floor(ms / 1000);
    const two = (a, au, b, bu) => (b ? `${a} ${au} ${b} ${bu}` : `${a} ${au}`);
    if (s < 10) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), "min", s < 600 ? s % 60 : 0, "s");
    if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
    return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
  }

  // Counted by the server's clock: this machine's may be wrong.
  const ahead = Date.parse(document.body.dataset.now) - Date.now() || 0;

  function tick() {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const ms = Date.now() + ahead - Date.parse(time.dateTime);
      if (!Number.isFinite(ms)) continue;
      const text = Math.abs(ms) < 1000 ? "just now" : ms < 0 ? `in ${span(-ms)}` : `${span(ms)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // ---- stop means stop ----

  // The first button of every page. What it does needs the token, which is asked for each time and kept nowhere.
  const halt = document.getElementById("halt");
  if (halt) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = halt.dataset.act === "resume" ? "Resume everything" : "Pause everything";
    button.addEventListener("click", async () => {
      const token = prompt(`${button.textContent}: the API token, the text of the file "token" beside the database`);
      if (!token) return;
      button.disabled = true;
      let why = "the server does not answer";
      try {
        const headers = { authorization: `Bearer ${token.trim()}`, "x-orch-actor": "local:dashboard" };
        const answer = await fetch(`/api/v1/${halt.dataset.act}`, { method: "POST", headers });
        if (answer.ok) return location.reload();
        why = (await answer.json()).error?.message ?? String(answer.status);
      } catch {
        // Said below.
      }
      button.disabled = false;
      link.hidden = false;
      link.textContent = `not done: ${why}`;
    });
    halt.replaceChildren(button);
  }

  // ---- the live part ----

  let asked = 0;
  let busy = false;

  function reading() {
    const selection = getSelection();
    return selection && !selection.isCollapsed && live.contains(selection.anchorNode);
  }

  async function look() {
    if (busy || reading()) return again(1500);
    busy = true;
    try {
      const address = new URL(location.href);
      address.searchParams.set("fragment", "1");
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      if (answer.ok) swap(await answer.text());
    } catch {
      // The event stream says when the server is back.
    }
    busy = false;
  }

  function again(wait) {
    clearTimeout(asked);
    asked = setTimeout(look, wait);
  }

  // Puts the new text in place and leaves the reader where they are: what is open stays open, what has the focus keeps
  // it, what is scrolled stays scrolled.
  function swap(html) {
    const open = new Map();
    for (const d of live.querySelectorAll("details[data-key]")) {
      open.set(d.dataset.key, { open: d.open, top: d.querySelector("pre")?.scrollTop ?? 0 });
    }
    const scrolled = live.querySelector(".columns")?.scrollLeft ?? 0;
    const active = document.activeElement;
    const inside = active && active !== live && live.contains(active);
    const key = inside ? active.dataset.key ?? active.closest("[data-key]")?.dataset.key : null;
    const was = inside && !key ? active.getAttribute("href") : null;
    const box = document.createElement("template");
    box.innerHTML = html;
    live.replaceChildren(box.content);
    for (const d of live.querySelectorAll("details[data-key]")) {
      const state = open.get(d.dataset.key);
      if (!state) continue;
      d.open = state.open;
      const pre = d.querySelector("pre");
      if (pre && state.open) pre.scrollTop = state.top;
    }
    const columns = live.querySelector(".columns");
    if (columns) columns.scrollLeft = scrolled;
    dress();
    tick();
    const place = key
      ? live.querySelector(`[data-key="${CSS.escape(key)}"]`)
      : was && live.querySelector(`a[href="${CSS.escape(was)}"]`);
    (place?.matches("details") ? place.querySelector("summary") : place)?.focus({ preventScroll: true });
    const words = live.querySelector("[data-say]")?.textContent.trim() ?? "";
    if (words && words !== told) say.textContent = words;
    told = words;
  }

  let told = live.querySelector("[data-say]")?.textContent.trim() ?? "";
  let source = null;
  let last = "";

  function listen() {
    if (!url || source || document.hidden) return;
    const address = new URL(url, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.addEventListener("open", () => {
      link.hidden = true;
    });
    source.addEventListener("journal", (event) => {
      last = event.lastEventId;
      again(150);
    });
    source.addEventListener("error", () => {
      link.hidden = false;
      link.textContent = "not connected, trying again";
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(listen, 5000);
      }
    });
  }

  // A page nobody sees holds no connection: browsers have only a few for each server.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (url) {
      listen();
      again(0);
    }
  });

  if (url) {
    listen();
    // What changes without an event: claims, draining, watchers.
    setInterval(() => document.hidden || again(0), 15000);
  }

  // ---- a run's log ----

  const PIECES = 400;
  const panel = live.querySelector("[data-log]");

  // Escape sequences and other controls out; the rest of a sequence that is cut comes with the next piece.
  // eslint-disable-next-line no-control-regex
  const ESCAPES = /\x1b\[[^\x40-\x7e\n]*[\x40-\x7e]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[()*+#%][^\n]|\x1b[^\[\]PX^_()*+#%\n]/g;
  // eslint-disable-next-line no-control-regex
  const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
  let rest = "";

  function plain(text) {
    text = rest + text;
    const cut = text.lastIndexOf("\x1b");
    rest = "";
    if (cut >= 0 && text.length - cut < 64 && !text.slice(cut).match(ESCAPES)) {
      rest = text.slice(cut);
      text = text.slice(0, cut);
    }
    return text.replace(ESCAPES, "").replace(/\r\n/g, "\n").replace(/\r/g, "\n").replace(CONTROLS, "");
  }

  function follow() {
    const log = document.getElementById("log");
    const note = document.getElementById("log-note");
    const decoder = new TextDecoder();
    let next = Number(panel.dataset.next);
    let paused = false;
    log.scrollTop = log.scrollHeight;
    if (panel.dataset.done === "true") return;
    const pause = document.createElement("button");
    pause.type = "button";
    pause.className = "quiet";
    pause.setAttribute("aria-pressed", "false");
    pause.textContent = "Pause";
    panel.querySelector(".grow").after(pause);
    note.textContent = "following";
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on" : "Pause";
      note.textContent = paused ? "paused" : "following";
      if (!paused) {
        log.scrollTop = log.scrollHeight;
        clearTimeout(timer);
        poll();
      }
    });
    let timer = 0;
    async function poll() {
      if (paused) return;
      let wait = 700;
      try {
        const answer = await fetch(`${panel.dataset.log}?offset=${next}`);
        if (!answer.ok) throw new Error(String(answer.status));
        const bytes = await answer.arrayBuffer();
        next = Number(answer.headers.get("x-log-next"));
        const done = answer.headers.get("x-log-done") === "true";
        const text = plain(decoder.decode(bytes, { stream: !done }));
        if (text) {
          // Whoever has scrolled up to read is not pulled down.
          const end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
          log.append(document.createTextNode(text));
          while (log.childNodes.length > PIECES) log.firstChild.remove();
          if (end) log.scrollTop = log.scrollHeight;
        }
        if (done) {
          note.textContent = "it has ended";
          pause.remove();
          const state = document.getElementById("run-state");
          if (state?.textContent === "running") location.reload();
          return;
        }
        note.textContent = "following";
        if (bytes.byteLength) wait = 150;
      } catch {
        note.textContent = "not connected, trying again";
        wait = 3000;
      }
      timer = setTimeout(poll, document.hidden ? 5000 : wait);
    }
    poll();
  }

  dress();
  tick();
  setInterval(tick, 1000);
  if (panel) follow();
})();
