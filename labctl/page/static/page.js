// What the page does in the browser by itself: stop, sign in, pictures, and saying that it is there.
"use strict";

window.labctl = (() => {
  const OWN = {"X-Labctl-Page": "1", "Content-Type": "application/json"};
  const STALE_MS = 3000, ALIVE_MS = 500, TWICE_MS = 1000, FORGOTTEN_MS = 20000, SECOND_ROAD_MS = 1000;
  const shown = {};
  let beaten = performance.now(), inControl = false, escaped = -Infinity, stopping = false, forgetting = 0;

  const byId = (id) => document.getElementById(id);
  const tell = (text, kind) => {
    const told = byId("told");
    if (!told) return;
    told.textContent = text;
    told.className = kind;
    clearTimeout(forgetting);
    if (kind === "good") forgetting = setTimeout(() => tell("", ""), FORGOTTEN_MS);
  };

  // --- emergency stop: a request of its own, which needs nothing but the page's server and the bench ---------------

  const socketTo = (path) => new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);

  const stopByRequest = async (signal) =>
    (await fetch("/stop", {method: "POST", headers: OWN, body: "{}", signal})).json();

  // A browser has six connections for requests to a server, all tabs together; where pictures that are slow to come
  // hold them all, a request waits. A websocket does not.
  const stopBySocket = (signal) => new Promise((resolve, reject) => {
    if (signal.aborted) return;
    const socket = socketTo("/stop");
    socket.onmessage = (event) => resolve(JSON.parse(event.data));
    socket.onerror = socket.onclose = () => reject(new Error("no connection"));
    signal.addEventListener("abort", () => socket.close());
  });

  async function stop() {
    if (stopping) return;
    stopping = true;
    tell("stopping …", "under-way");
    const ending = new AbortController(), late = setTimeout(() => ending.abort(), 8000);
    const never = new Promise((_, reject) => ending.signal.addEventListener("abort", reject));
    try {
      const asked = stopByRequest(ending.signal);
      const due = new Promise((resolve) => { asked.catch(resolve); setTimeout(resolve, SECOND_ROAD_MS); });
      const told = await Promise.race([never, Promise.any([asked, due.then(() => stopBySocket(ending.signal))])]);
      tell(told.text, told.stopped ? "good" : "bad");
    } catch (error) {
      tell("NOT STOPPED: the page's server does not answer. Use the laser's own switch, or `labctl stop`.", "bad");
    } finally {
      clearTimeout(late);
      ending.abort();
      stopping = false;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat) return;
    byId("sign-in")?.close();
    const now = performance.now();
    if (now - escaped < TWICE_MS) {
      escaped = -Infinity;  // not 0: in the first second of a page that is one Escape ago
      stop();
    } else {
      escaped = now;
    }
  }, true);

  // --- who is here -------------------------------------------------------------------------------------------------

  async function signIn(form) {
    const field = form.elements.token, told = byId("sign-in-told");
    told.textContent = "";
    try {
      const answer = await fetch("/sign-in", {method: "POST", headers: OWN, body: JSON.stringify({token: field.value.trim()})});
      field.value = "";
      if (answer.ok) {
        location.reload();
        return;
      }
      told.textContent = (await answer.json()).text;
    } catch (error) {
      told.textContent = "the page's server does not answer";
    }
  }

  // Not modal: nothing on this page may be in the way of STOP.
  function askToken() {
    byId("sign-in").show();
    byId("token").focus();
  }

  async function signOut() {
    await fetch("/sign-out", {method: "POST", headers: OWN, body: "{}"});
    location.reload();
  }

  // The page's server has just spoken. Where it does not for a while, what is shown is old, and that is said.
  function beat(control) {
    beaten = performance.now();
    inControl = control;
  }
  setInterval(() => {
    const stale = performance.now() - beaten > STALE_MS;
    document.body.classList.toggle("stale", stale);
    if (inControl && !stale) emitEvent("alive", {});
  }, ALIVE_MS);

  // --- pictures ----------------------------------------------------------------------------------------------------

  let palettes = null;
  async function palette(name) {
    palettes ??= await (await fetch("/palettes.json")).json();
    const colours = palettes[name] ?? palettes.gray, table = new Uint32Array(256);
    for (let k = 0; k < 255; k++) {
      table[k] = (0xff << 24 | colours[k][2] << 16 | colours[k][1] << 8 | colours[k][0]) >>> 0;
    }
    table[255] = 0xffff00ff;  // saturated: magenta, which no palette has
    return table;
  }

  const number = (x, digits = 3) => x === undefined || x === null ? "" : String(Number(Number(x).toPrecision(digits)));

  class Viewer {
    constructor(root, device, options) {
      this.root = root;
      this.device = device;
      this.canvas = root.querySelector("canvas.picture");
      this.over = root.querySelector("canvas.over");
      this.bars = root.querySelector("canvas.histogram");
      this.words = root.querySelector(".words");
      this.wish = {most: Math.min(800, Math.max(240, Math.round(root.clientWidth))), stretch: options.stretch};
      this.times = [];
      this.drag = null;
      this.table = null;
      this.last = null;
      shown[device] = 0;
      this.colours(options.palette);
      if (options.region) this.listen();
      this.connect();
    }

    async colours(name) {
      this.table = await palette(name);
      if (this.last) this.draw(this.last);
    }

    stretch(on) {
      this.wish.stretch = on;
      this.socket.onclose = null;  // asked anew, since the picture may be one that stays
      this.socket.close();
      this.connect();
    }

    connect() {
      if (!this.root.isConnected) return;
      const socket = this.socket = socketTo(`/feed/${encodeURIComponent(this.device)}`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => this.ask();
      socket.onclose = () => {
        this.say({trouble: "no connection to the page's server"});
        if (this.root.isConnected) setTimeout(() => this.connect(), 1000);
      };
      socket.onmessage = (event) => {
        if (typeof event.data === "string") {
          this.say(JSON.parse(event.data));
          this.ask();
          return;
        }
        const length = new DataView(event.data).getUint32(0, true);
        const about = JSON.parse(new TextDecoder().decode(new Uint8Array(event.data, 4, length)));
        const picture = {about, levels: new Uint8Array(event.data, 4 + length)};
        // The next is asked for when this one is on the screen: a hidden tab, or a slow one, asks for less.
        requestAnimationFrame(() => {
          if (!this.root.isConnected) { socket.close(); return; }
          this.draw(picture);
          this.ask();
        });
      };
    }

    ask() {
      if (!this.root.isConnected) { this.socket.close(); return; }
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(this.wish));
    }

    draw(picture) {
      const {about, levels} = picture;
      if (!this.table) { this.last = picture; return; }
      if (this.canvas.width !== about.columns || this.canvas.height !== about.rows) {
        this.canvas.width = about.columns;
        this.canvas.height = about.rows;
        const stage = this.canvas.parentElement, shape = about.columns / about.rows;
        stage.style.aspectRatio = shape;  // exactly the picture's, since regions are drawn in it
        stage.style.maxWidth = `calc(66vh * ${shape})`;
      }
      const context = this.canvas.getContext("2d"), image = context.createImageData(about.columns, about.rows);
      const pixels = new Uint32Array(image.data.buffer), table = this.table;
      for (let k = 0; k < levels.length; k++) pixels[k] = table[levels[k]];
      context.putImageData(image, 0, 0);
      if (this.last !== picture) {
        shown[this.device]++;
        this.times.push(performance.now());
        if (this.times.length > 30) this.times.shift();
      }
      this.last = picture;
      this.caption(about);
      if (this.bars && about.histogram) this.histogram(about);
    }

    caption(about) {
      const rate = this.times.length > 1 ? 1000 * (this.times.length - 1) / (this.times.at(-1) - this.times[0]) : 0;
      const age = Date.now() / 1000 - about.seen_s;
      const words = [`${about.image_rows} × ${about.image_columns}` + (about.factor > 1 ? `, shown 1:${about.factor}` : "")];
      if (about.exposure_s !== undefined) words.push(`exposure ${number(1000 * about.exposure_s)} ms`);
      if (about.pattern_id !== undefined && about.pattern_id >= 0) words.push(`pattern ${about.pattern_id}`);
      if (about.patterns !== undefined) words.push(`last of ${about.patterns} patterns`);
      if (about.levels !== undefined) words.push(`${about.levels} levels, ${about.shown} in use`);
      if (about.lost_before > 0) words.push(`${about.lost_before} lost before`);
      words.push(age > 2 ? `${age.toFixed(0)} s old` : `${rate.toFixed(0)} shown per s`);
      const mark = about.saturated ?? 0;
      this.root.classList.toggle("saturated", mark > 0);
      this.words.textContent = words.join("  ·  ");
      const alarm = this.root.querySelector(".alarm");
      if (alarm) alarm.textContent = mark > 0 ? `SATURATED: ${mark} pixels` : "not saturated";
      this.root.dataset.number = about.number;
      this.root.dataset.saturated = mark;
      const level = this.root.querySelector(".level");
      if (level && about.peak !== undefined) {
        const full = about.histogram?.high, share = full ? about.peak / full : 0;
        level.querySelector("i").style.width = `${Math.min(100, 100 * share)}%`;
        level.querySelector("span").textContent = `brightest ${number(about.peak, 5)}, ${number(100 * share, 2)} % of full scale`;
      }
      const legend = this.root.querySelector(".legend");
      if (legend) legend.textContent = `black is ${number(about.low, 4)}, the brightest colour ${number(about.high, 5)}`;
    }

    say(note) {
      const text = note.trouble || note.note;
      if (text && !(this.last && !note.trouble && !note.patterns)) this.words.textContent = text;
      else if (this.last) this.caption(this.last.about);
    }

    histogram(about) {
      const {counts} = about.histogram, bars = this.bars, context = bars.getContext("2d");
      const most = Math.log1p(Math.max(...counts)), width = bars.width / counts.length;
      context.clearRect(0, 0, bars.width, bars.height);
      counts.forEach((count, k) => {
        const height = most > 0 ? bars.height * Math.log1p(count) / most : 0;
        context.fillStyle = k === counts.length - 1 && about.saturated > 0 ? "#ff00ff" : "#8fa3b5";
        context.fillRect(k * width, bars.height - height, Math.max(width - 1, 1), height);
      });
    }

    // A region is drawn with the mouse, a pen or a finger, and told in pixels of the sensor.
    listen() {
      const at = (event) => {
        const box = this.over.getBoundingClientRect();
        const clamp = (x) => Math.min(Math.max(x, 0), 1);
        return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
      };
      this.over.addEventListener("pointerdown", (event) => {
        if (!this.last || !this.last.about.roi) return;
        this.over.setPointerCapture(event.pointerId);
        this.drag = {from: at(event), to: at(event)};
      });
      this.over.addEventListener("pointermove", (event) => {
        if (!this.drag) return;
        this.drag.to = at(event);
        this.outline();
      });
      this.over.addEventListener("pointerup", (event) => {
        if (!this.drag) return;
        this.drag.to = at(event);
        const region = this.region();
        this.drag = null;
        if (region.rows > 1 && region.columns > 1) emitEvent("region", region);
        else this.clear();
      });
    }

    region() {
      const about = this.last.about, [row, column, rows, columns] = about.roi;
      const [x0, x1] = [this.drag.from[0], this.drag.to[0]].sort((a, b) => a - b);
      const [y0, y1] = [this.drag.from[1], this.drag.to[1]].sort((a, b) => a - b);
      return {
        row: row + Math.floor(y0 * rows), column: column + Math.floor(x0 * columns),
        rows: Math.round((y1 - y0) * rows), columns: Math.round((x1 - x0) * columns),
      };
    }

    outline() {
      const over = this.over, box = over.getBoundingClientRect(), context = over.getContext("2d");
      over.width = box.width;
      over.height = box.height;
      for (const [colour, width] of [["#000000", 5], ["#00e5ff", 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.strokeRect(
          this.drag.from[0] * box.width, this.drag.from[1] * box.height,
          (this.drag.to[0] - this.drag.from[0]) * box.width, (this.drag.to[1] - this.drag.from[1]) * box.height,
        );
      }
    }

    clear() { this.over.getContext("2d").clearRect(0, 0, this.over.width, this.over.height); }
  }

  const viewers = {};
  function view(id, device, options) {
    const root = byId(id);
    if (root) viewers[id] = new Viewer(root, device, options);
  }

  return {stop, askToken, signIn, signOut, beat, view, viewers, shown};
})();
