// The page /chat: an IRC client over WebSocket.
//
// Part 1 has pure functions: IRC lines, texts, times. They are exported; tests/web/test_chat_script.py runs them in node.
// Part 2 is the connection: WebSocket, registration, capabilities, reconnection.
// Part 3 is the page: rooms, members, messages, commands.
//
// All text of peers becomes text nodes. Nothing here uses innerHTML.

// ---------------------------------------------------------------------------------------------------------------------
// Part 1: pure functions
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();

/** Return the length of a text in bytes of UTF-8. */
export function byteLength(text) {
  return encoder.encode(text).length;
}

const TAG_ESCAPES = { ":": ";", s: " ", "\\": "\\", r: "\r", n: "\n" };

/** Decode the value of a tag (https://ircv3.net/specs/extensions/message-tags). */
export function unescapeTag(value) {
  return value.replace(/\\(.?)/gs, (_, letter) => TAG_ESCAPES[letter] ?? letter);
}

/** Encode the value of a tag. */
export function escapeTag(value) {
  return value.replace(
    /[; \\\r\n]/g,
    (found) => ({ ";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n" })[found],
  );
}

/**
 * Parse a line of IRC: {tags, source, nick, command, params}.
 *
 * `tags` is a Map; `source` is "" if there is none; `nick` is the source up to "!".
 */
export function parseLine(line) {
  let rest = line.replace(/[\r\n]+$/, "");
  const tags = new Map();
  if (rest.startsWith("@")) {
    const end = rest.indexOf(" ");
    for (const tag of rest.slice(1, end < 0 ? undefined : end).split(";")) {
      const equals = tag.indexOf("=");
      if (equals < 0) tags.set(tag, "");
      else tags.set(tag.slice(0, equals), unescapeTag(tag.slice(equals + 1)));
    }
    rest = end < 0 ? "" : rest.slice(end).trimStart();
  }
  let source = "";
  if (rest.startsWith(":")) {
    const end = rest.indexOf(" ");
    source = rest.slice(1, end < 0 ? undefined : end);
    rest = end < 0 ? "" : rest.slice(end).replace(/^ +/, "");
  }
  const params = [];
  while (rest) {
    if (rest.startsWith(":") && params.length) {
      params.push(rest.slice(1));
      break;
    }
    const end = rest.indexOf(" ");
    params.push(end < 0 ? rest : rest.slice(0, end));
    rest = end < 0 ? "" : rest.slice(end).replace(/^ +/, "");
    if (end >= 0 && !rest) break;
  }
  const command = (params.shift() ?? "").toUpperCase();
  return { tags, source, nick: source.split("!")[0], command, params };
}

/** Format a line of IRC, without its line end. CR, LF and NUL in parameters become blanks. */
export function formatLine(command, params = [], tags = {}) {
  const words = params.map((each) => String(each).replace(/[\r\n\0]/g, " "));
  if (words.length) {
    const last = words[words.length - 1];
    if (!last || last.startsWith(":") || last.includes(" ")) words[words.length - 1] = `:${last}`;
  }
  const named = Object.entries(tags).map(([name, value]) => (value === "" ? name : `${name}=${escapeTag(value)}`));
  return [...(named.length ? [`@${named.join(";")}`] : []), command, ...words].join(" ");
}

const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "grapheme" }) : null;

/** Yield the grapheme clusters of a text; one that is longer than `limit` bytes is yielded by code points. */
function* clusters(text, limit) {
  const found = segmenter ? Array.from(segmenter.segment(text), (each) => each.segment) : Array.from(text);
  for (const each of found) {
    if (byteLength(each) > limit) yield* each;
    else yield each;
  }
}

/**
 * Split a text into parts of at most `limit` bytes of UTF-8, at a blank where possible.
 *
 * A character is never cut, and a grapheme cluster only if it alone is longer than the limit.
 */
export function splitText(text, limit) {
  const parts = [];
  let part = "";
  let size = 0;
  for (const cluster of clusters(text, limit)) {
    const bytes = byteLength(cluster);
    if (size + bytes > limit) {
      const blank = part.lastIndexOf(" ");
      // a part shorter than half the limit wastes lines: rather cut the word
      const cut = blank > part.length / 2 ? blank : part.length;
      parts.push(part.slice(0, cut));
      part = part.slice(cut).trimStart();
      size = byteLength(part);
    }
    part += cluster;
    size += bytes;
  }
  if (part) parts.push(part);
  return parts;
}

/** Return the bytes of text that fit a line of 512 bytes, as others receive it from `source`. */
export function textLimit(source, command, target) {
  return 512 - 2 - byteLength(`:${source} ${command} ${target} :`);
}

const TOGGLES = {
  "\x02": "bold",
  "\x1d": "italic",
  "\x1f": "underline",
  "\x1e": "strike",
  "\x11": "mono",
  "\x16": "reverse",
};

/**
 * Split a text with IRC's formatting codes into runs: [{text, classes}].
 *
 * `classes` are names for the style sheet: bold, italic, underline, strike, mono, reverse, fg0 to fg15 and bg0 to bg15.
 * Colours 16 to 99 and hexadecimal colours are ignored. Other control characters become U+FFFD.
 */
export function parseFormatting(text) {
  const runs = [];
  let on = new Set();
  let fg = null;
  let bg = null;
  const pattern =
    /\x03(?:(\d{1,2})(?:,(\d{1,2}))?)?|\x04(?:[0-9a-f]{6}(?:,[0-9a-f]{6})?)?|[\x02\x0f\x11\x16\x1d-\x1f]/gi;
  const add = (piece) => {
    if (!piece) return;
    const classes = [...on];
    if (fg !== null) classes.push(`fg${fg}`);
    if (bg !== null) classes.push(`bg${bg}`);
    runs.push({ text: piece.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, "\ufffd"), classes });
  };
  const colour = (digits) => (Number(digits) < 16 ? Number(digits) : null);
  let done = 0;
  for (const found of text.matchAll(pattern)) {
    add(text.slice(done, found.index));
    done = found.index + found[0].length;
    const code = found[0][0];
    if (code in TOGGLES) {
      if (!on.delete(TOGGLES[code])) on.add(TOGGLES[code]);
    } else if (code === "\x0f") {
      on = new Set();
      fg = bg = null;
    } else if (code === "\x03") {
      if (found[1] === undefined) fg = bg = null;
      else fg = colour(found[1]);
      if (found[2] !== undefined) bg = colour(found[2]);
    }
  }
  add(text.slice(done));
  return runs;
}

const BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069";

/** Return a text without formatting codes, control and bidirectional characters: for the title and notifications. */
export function plainText(text) {
  const joined = parseFormatting(text)
    .map((run) => run.text)
    .join("");
  return joined.replace(new RegExp(`[${BIDI}\\ufffd]`, "g"), "");
}

/** Split a text into pieces: [{text, href}]; `href` is "" except for http and https links. */
export function findLinks(text) {
  const pieces = [];
  let done = 0;
  for (const found of text.matchAll(new RegExp(`https?://[^\\s<>"\\x00-\\x1f${BIDI}]+`, "gi"))) {
    let link = found[0].replace(/[.,;:!?'"*_]+$/, "");
    // a closing bracket belongs to the link only if it opens there too
    while (/[)\]}]$/.test(link) && !link.includes({ ")": "(", "]": "[", "}": "{" }[link.at(-1)])) {
      link = link.slice(0, -1).replace(/[.,;:!?'"*_]+$/, "");
    }
    let href = "";
    try {
      const url = new URL(link);
      if (url.protocol === "http:" || url.protocol === "https:") href = url.href;
    } catch {
      continue;
    }
    if (!href) continue;
    if (found.index > done) pieces.push({ text: text.slice(done, found.index), href: "" });
    pieces.push({ text: link, href });
    done = found.index + link.length;
  }
  if (done < text.length) pieces.push({ text: text.slice(done), href: "" });
  return pieces;
}

/** Fold a nickname or room name for comparison, as CASEMAPPING of 005 says. */
export function fold(name, mapping = "ascii") {
  if (mapping === "ascii") return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (mapping.startsWith("rfc1459")) {
    const folded = name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    return folded.replace(/[[\]\\~]/g, (found) => ({ "[": "{", "]": "}", "\\": "|", "~": "^" })[found]);
  }
  return name.normalize("NFC").toLowerCase();
}

/** Whether a text mentions a nickname as a word, ignoring case. */
export function mentions(text, nick) {
  if (!nick) return false;
  const quoted = nick.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const inName = "[\\p{L}\\p{N}\\p{M}_\\-\\[\\]{}|^`\\\\]";
  return new RegExp(`(?<!${inName})${quoted}(?!${inName})`, "iu").test(plainText(text));
}

/**
 * Return what Tab can make of the word before the cursor: {start, words}.
 *
 * A word with "/" at the start is a command, one with "#" a room, any other a nickname, which at the start is followed
 * by ": ".
 */
export function completions(before, { commands = [], rooms = [], nicks = [] }) {
  const start = before.search(/\S*$/);
  const word = before.slice(start).toLowerCase();
  if (!word) return { start, words: [] };
  const matching = (names) => names.filter((name) => name.toLowerCase().startsWith(word)).sort();
  if (start === 0 && word.startsWith("/"))
    return { start, words: matching(commands.map((each) => `/${each}`)).map((each) => `${each} `) };
  if (word.startsWith("#")) return { start, words: matching(rooms).map((each) => `${each} `) };
  return { start, words: matching(nicks).map((each) => (start === 0 ? `${each}: ` : `${each} `)) };
}

/** Split typed text: {command, argument}; `command` is "" for a message. "//" begins a message with "/". */
export function parseInput(text) {
  if (text.startsWith("//")) return { command: "", argument: text.slice(1) };
  const found = /^\/(\S+)\s*(.*)$/s.exec(text);
  return found ? { command: found[1].toLowerCase(), argument: found[2].trimEnd() } : { command: "", argument: text };
}

/** Return the milliseconds before the next attempt: 1 s doubled each time up to 60 s, half to one and a half of it. */
export function backoff(attempt, random = Math.random) {
  return Math.round(Math.min(60000, 1000 * 2 ** Math.min(attempt, 10)) * (0.5 + random()));
}

const two = (number) => String(number).padStart(2, "0");

/** Format a time of day. */
export function formatClock(time) {
  return `${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** Format a date. */
export function formatDay(time) {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/** Return the number, 0 to 7, of a nickname's colour. */
export function nickColour(nick) {
  let sum = 5381;
  for (const character of nick) sum = (Math.imul(sum, 33) ^ character.codePointAt(0)) >>> 0;
  return Math.imul(sum, 0x9e3779b1) >>> 29;
}

/** Parse the tokens of 005 into a Map. */
export function parseIsupport(params, known = new Map()) {
  for (const token of params.slice(1, -1)) {
    const equals = token.indexOf("=");
    if (token.startsWith("-")) known.delete(token.slice(1));
    else if (equals < 0) known.set(token, "");
    else known.set(token.slice(0, equals), token.slice(equals + 1));
  }
  return known;
}

/** Parse PREFIX of 005, such as (ohv)@%+: [[mode, prefix]], the highest first. */
export function parsePrefixes(token) {
  const found = /^\((\w+)\)(.+)$/.exec(token ?? "") ?? [null, "ov", "@+"];
  return [...found[1]].map((mode, index) => [mode, found[2][index]]);
}

/** Parse the changes of MODE: [{on, mode, argument}], as CHANMODES and the modes of PREFIX say. */
export function parseModes(words, chanmodes = "beI,k,l,imnst", prefixModes = "ohv") {
  const [lists, always, whenSet] = chanmodes.split(",");
  const changes = [];
  const rest = words.slice(1);
  let on = true;
  for (const mode of words[0] ?? "") {
    if (mode === "+" || mode === "-") on = mode === "+";
    else {
      const takes = (prefixModes + lists + (always ?? "")).includes(mode) || (on && (whenSet ?? "").includes(mode));
      changes.push({ on, mode, argument: takes ? (rest.shift() ?? "") : "" });
    }
  }
  return changes;
}

const RANKS = { "~": "founder", "&": "admin", "@": "operator", "%": "half-operator", "+": "voice" };

/** Errors in plain words. A function gets the parameters after the nickname. */
const ERRORS = {
  401: ([name]) => `There is no user or room ${name}.`,
  403: ([name]) => `There is no room ${name}.`,
  404: ([name]) => `You cannot send to ${name}: you are not in it, or may not speak there.`,
  405: ([name]) => `You are in too many rooms to join ${name}.`,
  406: ([name]) => `Nobody has used the nickname ${name} lately.`,
  407: () => "Too many recipients. Nothing was sent.",
  412: () => "The message is empty.",
  417: () => "The message is too long. Nothing was sent.",
  421: ([name]) => `The server does not know the command ${name}.`,
  431: () => "A nickname is missing.",
  432: ([name]) => `${name} is not a valid nickname. Choose another.`,
  433: ([name]) => `The nickname ${name} is in use. Choose another.`,
  437: ([name]) => `${name} is not available at the moment.`,
  441: ([name, room]) => `${name} is not in ${room}.`,
  442: ([room]) => `You are not in ${room}.`,
  443: ([name, room]) => `${name} is in ${room} already.`,
  461: ([command]) => `${command} needs more words. /help lists the commands.`,
  464: () => "The server's password is missing or wrong.",
  465: () => "You are banned from this server.",
  471: ([room]) => `${room} is full.`,
  473: ([room]) => `${room} can be joined by invitation only.`,
  474: ([room]) => `You are banned from ${room}.`,
  475: ([room]) => `${room} has a key. Join with /join ${room} KEY.`,
  476: ([room]) => `${room} is not a valid name of a room.`,
  482: ([room]) => `Only operators of ${room} can do this.`,
};

/** Explain an error numeric, or FAIL, WARN or NOTE, in plain words. Others give "". */
export function explain({ command, params }) {
  const last = params.at(-1) ?? "";
  if (command === "FAIL" || command === "WARN" || command === "NOTE") {
    const heads = { FAIL: `${params[0]} failed`, WARN: "Warning", NOTE: "Note" };
    return `${params[0] === "*" && command === "FAIL" ? "Failed" : heads[command]}: ${last}`;
  }
  if (!/^[45]\d\d$/.test(command) || command === "422") return "";
  return ERRORS[command]?.(params.slice(1)) ?? params.slice(1).join(" ");
}

/** Replies in plain words. A function gets the parameters after the nickname. */
const REPLIES = {
  301: ([nick, text]) => `${nick} is away: ${text}`,
  305: () => "You are no longer away.",
  306: () => "You are marked as away.",
  311: ([nick, user, host, , real]) => `${nick} is ${user}@${host}, ${real}`,
  312: ([nick, server, about]) => `${nick} is on ${server}, ${about}`,
  313: ([nick]) => `${nick} is a server operator.`,
  314: ([nick, user, host, , real]) => `${nick} was ${user}@${host}, ${real}`,
  315: () => "End of the list.",
  317: ([nick, idle, since]) =>
    `${nick} has been idle for ${idle} s, connected since ${new Date(since * 1000).toLocaleString()}.`,
  319: ([nick, rooms]) => `${nick} is in ${rooms}`,
  331: ([room]) => `${room} has no topic.`,
  335: ([nick]) => `${nick} is a bot.`,
  338: ([nick, address]) => `${nick} connects from ${address}.`,
  341: ([nick, room]) => `${nick} is invited to ${room}.`,
  352: ([, user, host, , nick, flags, real]) =>
    `${nick} (${flags}) ${user}@${host} ${(real ?? "").replace(/^\d+ /, "")}`,
  671: ([nick]) => `${nick} is connected over TLS.`,
};

/** Return a reply in plain words, or "" for numerics that this table does not have. */
export function describeReply({ command, params }) {
  return REPLIES[command]?.(params.slice(1)) ?? "";
}

// ---------------------------------------------------------------------------------------------------------------------
// Part 2: the connection
// ---------------------------------------------------------------------------------------------------------------------

const WANTED = [
  "away-notify",
  "batch",
  "chghost",
  "draft/chathistory",
  "draft/event-playback",
  "draft/message-redaction",
  "draft/read-marker",
  "echo-message",
  "extended-join",
  "labeled-response",
  "message-tags",
  "multi-prefix",
  "server-time",
  "setname",
  "standard-replies",
];
const SECONDS = 1000;
const CONNECT_TIMEOUT = 20 * SECONDS;
const SILENCE = 60 * SECONDS; // then a PING is sent
const PONG_TIMEOUT = 20 * SECONDS;

/**
 * A connection that registers a nickname, and reconnects when it is lost.
 *
 * `events` has the callbacks connecting(), ready(), line(line), lost(delay, reason), refused(text) and failed(text).
 */
class Connection {
  constructor(url, events) {
    this.url = url;
    this.events = events;
    this.nick = "";
    this.source = ""; // nick!user@host as the server sends it
    this.caps = new Set();
    this.offered = new Map();
    this.isupport = new Map();
    this.socket = null;
    this.isReady = false;
    this.attempt = 0;
    this.timer = 0;
    this.watch = 0;
    this.lastError = "";
    this.created = ""; // when the server started, as 003 says
    this.restarted = false; // since the last connection
  }

  /** Connect with a nickname, now. */
  start(nick) {
    this.nick = nick;
    this.attempt = 0;
    this.connect();
  }

  /** Connect now instead of at the end of the wait. */
  connect() {
    clearTimeout(this.timer);
    this.drop();
    this.caps.clear();
    this.offered.clear();
    this.isupport.clear();
    this.source = "";
    this.lastError = "";
    this.events.connecting();
    const socket = new WebSocket(this.url, ["text.ircv3.net"]);
    this.socket = socket;
    socket.onopen = () => {
      this.send("CAP", ["LS", "302"]);
      this.send("NICK", [this.nick]);
      this.send("USER", ["web", "0", "*", this.nick]);
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket || typeof event.data !== "string") return;
      if (this.isReady) this.expectTraffic();
      for (const line of event.data.split("\n")) if (line.trim()) this.receive(parseLine(line));
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lose();
    };
    this.watch = setTimeout(() => this.lose(), CONNECT_TIMEOUT);
  }

  /** Close for good: no reconnection. */
  quit(reason) {
    clearTimeout(this.timer);
    if (this.isReady) this.send("QUIT", [reason]);
    this.drop();
  }

  /** Send a line; return whether the connection is open. */
  send(command, params, tags) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(formatLine(command, params, this.caps.has("message-tags") ? tags : {}));
    return true;
  }

  /** Whether client-only tag `name`, without its "+", is relayed. */
  relaysTag(name) {
    if (!this.caps.has("message-tags")) return false;
    const denied = (this.isupport.get("CLIENTTAGDENY") ?? "").split(",");
    return denied.includes("*") ? denied.includes(`-${name}`) : !denied.includes(name);
  }

  drop() {
    clearTimeout(this.watch);
    const socket = this.socket;
    this.socket = null;
    this.isReady = false;
    socket?.close();
  }

  lose() {
    this.drop();
    const delay = backoff(this.attempt);
    this.attempt += 1;
    this.timer = setTimeout(() => this.connect(), delay);
    this.events.lost(delay, this.lastError);
  }

  expectTraffic() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      this.send("PING", ["page"]);
      this.watch = setTimeout(() => this.lose(), PONG_TIMEOUT);
    }, SILENCE);
  }

  receive(line) {
    const { command, params } = line;
    if (command === "PING") this.send("PONG", params);
    else if (command === "CAP") this.receiveCap(params);
    else if (command === "ERROR") this.lastError = params.at(-1) ?? "";
    else if (command === "001") this.nick = params[0];
    else if (command === "003") {
      const created = params.at(-1);
      this.restarted = this.created !== "" && created !== this.created;
      this.created = created;
    } else if (command === "005") parseIsupport(params, this.isupport);
    else if ((command === "376" || command === "422") && !this.isReady) {
      this.isReady = true;
      this.attempt = 0;
      this.expectTraffic();
      this.events.ready();
    } else if (!this.isReady && /^43[1237]$/.test(command)) {
      // the user has as long as the server waits for a registration
      clearTimeout(this.watch);
      this.events.refused(explain(line));
    } else if (!this.isReady && /^4[5-6]\d$/.test(command)) this.events.failed(explain(line));
    if (this.isReady || command === "NOTICE") this.events.line(line);
  }

  receiveCap([, subcommand, ...rest]) {
    const names = (rest.at(-1) ?? "").split(" ").filter(Boolean);
    if (subcommand === "LS" || subcommand === "NEW") {
      for (const name of names) this.offered.set(...name.split(/=(.*)/s, 2));
      if (subcommand === "LS" && rest[0] === "*") return;
      const wanted = WANTED.filter((name) => this.offered.has(name) && !this.caps.has(name));
      if (wanted.length) this.send("CAP", ["REQ", wanted.join(" ")]);
      else if (!this.isReady) this.send("CAP", ["END"]);
    } else if (subcommand === "ACK" || subcommand === "NAK") {
      if (subcommand === "ACK") names.forEach((name) => this.caps.add(name));
      if (!this.isReady) this.send("CAP", ["END"]);
    } else if (subcommand === "DEL") {
      names.forEach((name) => this.caps.delete(name));
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Part 3: the page
// ---------------------------------------------------------------------------------------------------------------------

const MAX_ROWS = 2000; // messages of a room in the page
const MAX_CONVERSATIONS = 100; // private ones; more are dropped, the oldest first
const MAX_MEMBERS = 1000; // shown in the list of members
const MAX_LISTED = 2000; // rooms in the answer to LIST
const MAX_PARTS = 20; // lines that one input may become
const MAX_LABELS = 100;
const MAX_BATCHES = 20;
const PAGE = 50; // messages a request for history
const HISTORY_TIMEOUT = 15 * SECONDS;
const TYPING_EVERY = 3 * SECONDS; // https://ircv3.net/specs/client-tags/typing
const TYPING_LASTS = 6 * SECONDS;
const MISSING = "Messages sent while you were disconnected may be missing here.";
const WHO_TOKEN = "770"; // of the page's own WHO

/** Make an element with classes and content; strings become text nodes. */
function make(name, classes = "", ...content) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}

/** Make a button. */
function makeButton(classes, action, ...content) {
  const button = make("button", classes, ...content);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

/** Render a text of a peer: formatting codes become classes, http and https links become links. */
function renderText(text) {
  const element = make("bdi", "text");
  element.dir = "auto";
  for (const run of parseFormatting(text)) {
    const pieces = findLinks(run.text).map(({ text: piece, href }) => {
      if (!href) return piece;
      const link = make("a", "", piece);
      link.href = href;
      link.rel = "noopener noreferrer nofollow ugc";
      link.referrerPolicy = "no-referrer";
      link.target = "_blank";
      return link;
    });
    if (run.classes.length) element.append(make("span", run.classes.join(" "), ...pieces));
    else element.append(...pieces);
  }
  return element;
}

/** Render a nickname or the name of a room. */
function renderName(name, classes = "") {
  const element = make("bdi", classes, plainText(name));
  element.dir = "auto";
  return element;
}

/** Read or write storage of the browser, which may be disabled. */
function stored(key, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(key) ?? localStorage.getItem(key) ?? "";
    sessionStorage.setItem(key, value);
    localStorage.setItem(key, value);
  } catch {
    // the page works without
  }
  return value ?? "";
}

/** Move the focus among the buttons of a list with arrow keys, Home and End. */
function moveFocus(event, list) {
  const buttons = [...list.querySelectorAll("button")];
  const here = buttons.indexOf(document.activeElement);
  const steps = {
    ArrowDown: here + 1,
    ArrowRight: here + 1,
    ArrowUp: here - 1,
    ArrowLeft: here - 1,
    Home: 0,
    End: buttons.length - 1,
  };
  if (here < 0 || !(event.key in steps)) return;
  event.preventDefault();
  buttons.forEach((each) => (each.tabIndex = -1));
  const next = buttons[(steps[event.key] + buttons.length) % buttons.length];
  next.tabIndex = 0;
  next.focus();
}

/** A room or a private conversation, and its messages in the page. */
class Room {
  constructor(name, isPrivate) {
    this.name = name;
    this.isPrivate = isPrivate;
    this.joined = isPrivate;
    this.topic = "";
    this.members = new Map(); // folded nickname -> {nick, prefixes, away}
    this.named = null; // members of a NAMES reply that has not ended
    this.typing = new Map(); // folded nickname -> {nick, timer}
    this.unread = 0;
    this.mentioned = 0;
    this.rows = new Map(); // msgid -> element
    this.request = null; // the open request for history
    this.resume = null; // the last message before a disconnection
    this.gap = null; // the marker where messages may be missing
    this.isPartial = false; // the gap has a marker already
    this.begun = false; // history has no earlier messages
    this.detached = false; // the latest messages are not in the page: they were dropped while older ones were read
    this.draft = "";
    this.log = make("div", "chat-log");
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-live", "polite");
    this.log.setAttribute("aria-label", `Messages in ${plainText(name)}`);
    this.log.tabIndex = 0;
    this.log.hidden = true;
  }

  get atEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
  }

  scrollToEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  /** Make the row of a message, event or error. */
  makeRow({ kind, time, nick = "", text, id = "", mention = false, own = false }) {
    const row = make("div", `row ${kind}${mention ? " mention" : ""}${own ? " own" : ""}`);
    const clock = make("time", "", formatClock(time));
    clock.dateTime = time.toISOString();
    clock.title = time.toLocaleString();
    row.append(clock, " ");
    const content = make("span", "content");
    if (nick)
      content.append(
        renderName(nick, `nick nick${nickColour(nick)}`),
        make("span", "says", kind === "action" ? " " : ": "),
      );
    content.append(renderText(text));
    row.append(content);
    row.dataset.time = time.toISOString();
    row.dataset.day = formatDay(time);
    if (id) {
      row.dataset.msgid = id;
      this.rows.set(id, row);
    }
    return row;
  }

  /** Add rows before an element (null: at the end), and drop rows from the far end: if older ones are read, the latest. */
  insert(rows, before, areOlder = false) {
    const atEnd = this.atEnd;
    const height = this.log.scrollHeight;
    const top = this.log.scrollTop;
    if (before) this.silence();
    for (const row of rows) this.log.insertBefore(row, before);
    for (const row of rows) this.showDay(row);
    if (before) this.showDay(before.dataset.day ? before : before.nextElementSibling);
    if (areOlder) this.log.scrollTop = top + this.log.scrollHeight - height;
    while (this.log.childElementCount > MAX_ROWS) {
      if (areOlder) {
        this.detached = true;
        this.forget(this.log.lastElementChild);
      } else {
        this.begun = false;
        const shown = this.log.scrollHeight;
        this.forget(this.log.firstElementChild);
        this.showDay(this.log.firstElementChild);
        if (!atEnd) this.log.scrollTop -= shown - this.log.scrollHeight;
      }
    }
    if (atEnd && !areOlder) this.scrollToEnd();
  }

  /** Do not announce the rows that are added now: history. */
  silence() {
    clearTimeout(this.silent);
    this.log.setAttribute("aria-live", "off");
    this.silent = setTimeout(() => this.log.setAttribute("aria-live", "polite"), SECONDS);
  }

  /** Show the date above a row if the row before is of another day. */
  showDay(row) {
    if (!row?.dataset.day) return;
    let previous = row.previousElementSibling;
    while (previous && !previous.dataset.day) previous = previous.previousElementSibling;
    row.classList.toggle("new-day", row.dataset.day !== (previous?.dataset.day ?? formatDay(new Date())));
  }

  forget(row) {
    if (this.rows.get(row.dataset.msgid) === row) this.rows.delete(row.dataset.msgid);
    if (row === this.gap) this.gap = null;
    row.remove();
  }

  /** Return the first or last message: {id, time}, or null. */
  edge(last) {
    const found = this.log.querySelectorAll(".message, .action, .notice");
    const row = last ? found[found.length - 1] : found[0];
    return row ? { id: row.dataset.msgid ?? "", time: row.dataset.time } : null;
  }

  /** Add a marker at the end, before which missing messages are inserted. */
  markGap(text) {
    this.gap?.remove();
    this.gap = make("div", "row marker", text);
    this.insert([this.gap], null);
  }

  clear() {
    this.log.replaceChildren();
    this.rows.clear();
    this.gap = null;
    this.detached = false;
    this.begun = false;
  }
}

/** Commands of the input: usage, help, and the action, which gets the page, the current room and the argument. */
const COMMANDS = {
  join: { usage: "#room [key]", help: "join a room", run: (chat, room, argument) => chat.join(argument) },
  part: {
    usage: "[reason]",
    help: "leave this room, or close this conversation",
    run: (chat, room, argument) => chat.part(room, argument),
  },
  nick: {
    usage: "name",
    help: "change your nickname",
    run: (chat, room, argument) => chat.command(room, "NICK", [argument]),
  },
  msg: {
    usage: "name [text]",
    help: "talk to one user",
    run(chat, room, argument) {
      const [, name, text] = /^(\S*)\s*(.*)$/s.exec(argument);
      if (!name) return chat.note(room, "error", "Whose conversation? /msg name text");
      const conversation = chat.isRoom(name) ? (chat.find(name) ?? room) : chat.open(name, true);
      chat.show(conversation);
      if (text) chat.say(conversation, text);
    },
  },
  me: {
    usage: "text",
    help: "say what you do: * ann waves",
    run: (chat, room, argument) => argument && chat.say(room, argument, true),
  },
  topic: {
    usage: "[text]",
    help: "show or change the topic",
    run(chat, room, argument) {
      if (argument) chat.command(room, "TOPIC", [room.name, argument]);
      else chat.note(room, "event", room.topic ? `The topic is: ${room.topic}` : "There is no topic.");
    },
  },
  who: {
    usage: "[name]",
    help: "list members, or users that match",
    run: (chat, room, argument) => chat.command(room, "WHO", [argument || room.name]),
  },
  whois: {
    usage: "name",
    help: "show who a user is",
    run: (chat, room, argument) => chat.command(room, "WHOIS", [argument || room.name]),
  },
  away: {
    usage: "[text]",
    help: "mark yourself as away, or without a text as back",
    run: (chat, room, argument) => chat.command(room, "AWAY", argument ? [argument] : []),
  },
  list: { usage: "", help: "show the rooms", run: (chat) => chat.openList() },
  help: {
    usage: "",
    help: "list the commands and keys",
    run(chat, room) {
      for (const [name, { usage, help }] of Object.entries(COMMANDS))
        chat.note(room, "event", `/${name} ${usage}`.trimEnd() + `: ${help}`);
      chat.note(
        room,
        "event",
        "Tab completes commands, rooms and nicknames. Alt with an arrow key changes the room. Escape returns to the input.",
      );
    },
  },
  quit: { usage: "[reason]", help: "disconnect", run: (chat, room, argument) => chat.quit(argument) },
};

/** The page: rooms, the current one, and what arrives for them. */
class Chat {
  constructor(root) {
    this.root = root;
    const part = (name) => root.querySelector(`.chat-${name}`);
    this.parts = {};
    for (const name of [
      "join",
      "nick",
      "join-error",
      "view",
      "status",
      "status-text",
      "retry",
      "rooms",
      "find",
      "notify",
      "title",
      "topic",
      "change-topic",
      "topic-form",
      "topic-input",
      "show-members",
      "hide-members",
      "logs",
      "latest",
      "typing",
      "form",
      "input",
      "members",
      "member-list",
      "member-count",
      "members-title",
      "list",
      "list-filter",
      "list-rows",
      "list-count",
      "list-close",
    ]) {
      this.parts[name] = part(name);
    }
    this.rooms = new Map(); // folded name -> Room
    this.current = null;
    this.labels = new Map(); // label -> Room
    this.labelled = 0;
    this.batches = new Map(); // name -> {type, params, parent, label, lines}
    this.listed = [];
    this.typed = []; // lines for the arrow keys
    this.typedAt = 0;
    this.completion = null;
    this.typingSent = { at: 0, room: null };
    this.hasRegistered = false;
    const url = new URL(root.dataset.irc || "/irc", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.connection = new Connection(url.href, {
      connecting: () => this.setStatus("Connecting …"),
      ready: () => this.ready(),
      line: (line) => this.receive(line),
      lost: (delay, reason) => this.lost(delay, reason),
      refused: (text) => this.askNick(text),
      failed: (text) => this.setStatus(text),
    });
    this.listen();
    this.parts.nick.value = stored("tcpd-chat-nick");
    this.parts.join.hidden = false;
    this.parts.nick.focus();
  }

  // -- the user's side

  listen() {
    const { parts } = this;
    parts.join.addEventListener("submit", (event) => {
      event.preventDefault();
      const nick = parts.nick.value.trim();
      if (!nick) return this.askNick("Type a nickname.");
      if (/[\s,:@!#]/.test(nick))
        return this.askNick(`${nick} is not a valid nickname: it may have no blanks and none of , : @ ! #`);
      stored("tcpd-chat-nick", nick);
      parts["join-error"].textContent = "";
      this.connection.nick = nick;
      if (this.connection.isReady || !this.connection.send("NICK", [nick])) this.connection.start(nick);
    });
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    parts.input.addEventListener("keydown", (event) => this.key(event));
    parts.input.addEventListener("input", () => {
      this.completion = null;
      this.sendTyping();
    });
    parts.retry.addEventListener("click", () => {
      this.connection.connect();
      parts.input.focus();
    });
    addEventListener("online", () => {
      if (this.connection.nick && !this.connection.socket) this.connection.connect();
    });
    addEventListener("pagehide", () => this.connection.quit("page closed"));
    addEventListener("pageshow", (event) => {
      if (event.persisted && this.hasRegistered) this.connection.start(this.connection.nick);
    });
    document.addEventListener("visibilitychange", () => this.current && this.markRead(this.current));
    parts.rooms.addEventListener("keydown", (event) => moveFocus(event, parts.rooms));
    parts["member-list"].addEventListener("keydown", (event) => moveFocus(event, parts["member-list"]));
    parts.view.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && event.target !== parts.input && !event.defaultPrevented) {
        parts["topic-form"].hidden = true;
        this.showMembers(false);
        parts.input.focus();
      } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
        event.preventDefault();
        this.step(event.key === "ArrowUp" ? -1 : 1);
      }
    });
    parts.find.addEventListener("click", () => this.openList());
    parts["list-close"].addEventListener("click", () => parts.list.close());
    parts["list-filter"].addEventListener("input", () => this.renderList());
    parts["change-topic"].addEventListener("click", () => {
      const isOpen = !parts["topic-form"].hidden;
      parts["topic-form"].hidden = isOpen;
      if (isOpen) return;
      parts["topic-input"].value = this.current.topic;
      parts["topic-input"].focus();
    });
    parts["topic-form"].addEventListener("submit", (event) => {
      event.preventDefault();
      this.command(this.current, "TOPIC", [this.current.name, parts["topic-input"].value]);
      parts["topic-form"].hidden = true;
      parts.input.focus();
    });
    parts["show-members"].addEventListener("click", () => this.showMembers(true));
    parts["hide-members"].addEventListener("click", () => {
      this.showMembers(false);
      parts["show-members"].focus();
    });
    parts.latest.addEventListener("click", () => {
      const room = this.current;
      if (room.detached) {
        room.clear();
        this.requestLatest(room);
      }
      room.scrollToEnd();
      parts.input.focus();
    });
    if (globalThis.Notification?.permission === "default") parts.notify.hidden = false;
    parts.notify.addEventListener("click", async () => {
      const answer = await Notification.requestPermission();
      parts.notify.hidden = answer !== "default";
      if (this.current)
        this.note(
          this.current,
          "event",
          answer === "granted" ? "Mentions are notified." : "The browser refused notifications.",
        );
      parts.input.focus();
    });
  }

  key(event) {
    const { input } = this.parts;
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Tab" && !event.shiftKey && !event.altKey && !event.ctrlKey) {
      if (this.complete()) event.preventDefault();
    } else if (event.key === "Escape" && this.completion) {
      input.value = this.completion.original;
      this.completion = null;
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && !event.altKey && !input.value.includes("\n")) {
      const next = this.typedAt + (event.key === "ArrowUp" ? -1 : 1);
      if (next < 0 || next > this.typed.length) return;
      event.preventDefault();
      this.typedAt = next;
      input.value = this.typed[next] ?? "";
    }
  }

  /** Complete the word before the cursor, or step to the next completion; return whether there is one. */
  complete() {
    const { input } = this.parts;
    if (!this.completion) {
      const cursor = input.selectionStart;
      const found = completions(input.value.slice(0, cursor), {
        commands: Object.keys(COMMANDS),
        rooms: [...this.rooms.values()].filter((room) => !room.isPrivate).map((room) => room.name),
        nicks: this.current.isPrivate
          ? [this.current.name]
          : [...this.current.members.values()].map((member) => member.nick),
      });
      if (!found.words.length) return false;
      this.completion = { ...found, original: input.value, rest: input.value.slice(cursor), index: -1 };
    }
    const { start, words, original, rest } = this.completion;
    this.completion.index = (this.completion.index + 1) % words.length;
    const done = original.slice(0, start) + words[this.completion.index];
    input.value = done + rest;
    input.setSelectionRange(done.length, done.length);
    return true;
  }

  submit() {
    const { input } = this.parts;
    const text = input.value;
    const room = this.current;
    if (!text.trim() || !room) return;
    const { command, argument } = parseInput(text);
    if (!command) {
      if (this.say(room, argument)) this.keepTyped(text);
      return;
    }
    const known = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : null;
    const isLocal = command === "help" || command === "quit";
    if (!known) {
      this.note(room, "error", `There is no command /${command}. /help lists them; // begins a message with /.`);
    } else if (!this.connection.isReady && !isLocal) {
      this.note(room, "error", "Not connected. Your text is still in the input.");
    } else {
      // first, as a command may change the room, which keeps the input as a draft
      this.keepTyped(text);
      known.run(this, room, argument);
    }
  }

  /** Clear the input; the arrow keys bring its text back. */
  keepTyped(text) {
    this.typed = [...this.typed, text].slice(-50);
    this.typedAt = this.typed.length;
    this.parts.input.value = "";
    this.completion = null;
    this.typingSent.room = null; // the message ends the notice
  }

  /** Send a text, in as many lines as it needs; return whether it was sent. */
  say(room, text, isAction = false) {
    const { connection } = this;
    const fail = (words) => {
      this.note(room, "error", words);
      return false;
    };
    if (!connection.isReady) return fail("Not connected. Your text is still in the input.");
    if (!room.joined) return fail(`You are not in ${room.name}. Type /join ${room.name}`);
    const limit = textLimit(this.ownSource(), "PRIVMSG", room.name) - (isAction ? byteLength("\x01ACTION \x01") : 0);
    const parts = text
      .split(/\r\n|\r|\n/)
      .filter((line) => line.trim())
      .flatMap((line) => splitText(line, limit));
    if (parts.length > MAX_PARTS)
      return fail(`The text is too long: it would be ${parts.length} messages, and ${MAX_PARTS} are allowed at once.`);
    for (const part of parts) {
      this.command(room, "PRIVMSG", [room.name, isAction ? `\x01ACTION ${part}\x01` : part]);
      if (!connection.caps.has("echo-message"))
        this.addMessage(room, {
          kind: isAction ? "action" : "message",
          nick: connection.nick,
          text: part,
          time: new Date(),
          own: true,
        });
    }
    room.scrollToEnd();
    return true;
  }

  /** Return nick!user@host of the user, or the longest it can be. */
  ownSource() {
    const { connection } = this;
    if (connection.source) return connection.source;
    const length = (name, or) => Number(connection.isupport.get(name)) || or;
    return `${connection.nick}!${"u".repeat(length("USERLEN", 18))}@${"h".repeat(length("HOSTLEN", 63))}`;
  }

  /** Send a line; errors in reply to it are shown in the room. */
  command(room, command, params) {
    const tags = {};
    const { caps } = this.connection;
    if (caps.has("labeled-response") && caps.has("batch")) {
      tags.label = String((this.labelled += 1));
      this.labels.set(tags.label, room);
      if (this.labels.size > MAX_LABELS) this.labels.delete(this.labels.keys().next().value);
    }
    this.connection.send(command, params, tags);
  }

  join(argument) {
    const [name, key] = argument.split(/\s+/);
    if (!name) return this.openList();
    const full = this.isRoom(name) ? name : `#${name}`;
    const room = this.find(full);
    if (room?.joined) return this.show(room);
    this.wanted = this.fold(full);
    this.command(this.current, "JOIN", key ? [full, key] : [full]);
  }

  part(room, reason) {
    if (room.isPrivate || !room.joined) this.close(room);
    else this.command(room, "PART", reason ? [room.name, reason] : [room.name]);
  }

  quit(reason) {
    this.connection.quit(reason || "quit");
    for (const room of [...this.rooms.values()]) this.close(room);
    this.hasRegistered = false;
    this.setStatus("");
    this.parts.view.hidden = true;
    this.parts.join.hidden = false;
    this.parts.nick.focus();
  }

  sendTyping() {
    const room = this.current;
    const text = this.parts.input.value;
    if (!room?.joined || !this.connection.isReady || !this.connection.relaysTag("typing")) return;
    const sent = this.typingSent;
    if (!text) {
      if (sent.room === room) this.connection.send("TAGMSG", [room.name], { "+typing": "done" });
      sent.room = null;
    } else if (!text.startsWith("/") && (sent.room !== room || Date.now() - sent.at >= TYPING_EVERY)) {
      this.typingSent = { at: Date.now(), room };
      this.connection.send("TAGMSG", [room.name], { "+typing": "active" });
    }
  }

  /** Show or hide the list of members, which in a narrow window covers the room. */
  showMembers(isShown) {
    this.parts.view.classList.toggle("with-members", isShown);
    this.parts["show-members"].setAttribute("aria-expanded", String(isShown));
    if (isShown) this.parts["member-list"].querySelector("button")?.focus();
  }

  // -- the state of the connection

  setStatus(text, canRetry = false) {
    this.parts["status-text"].textContent = text;
    this.parts.retry.hidden = !canRetry;
    this.parts.status.hidden = !text;
  }

  askNick(text) {
    this.setStatus(this.hasRegistered ? text : "");
    this.parts["join-error"].textContent = text;
    this.parts.nick.setAttribute("aria-invalid", "true");
    this.parts.join.hidden = false;
    this.parts.nick.focus();
    this.parts.nick.select();
  }

  ready() {
    const isFirst = !this.hasRegistered;
    this.hasRegistered = true;
    this.batches.clear();
    this.labels.clear();
    this.setStatus("");
    this.parts.join.hidden = true;
    this.parts.nick.removeAttribute("aria-invalid");
    this.parts.view.hidden = false;
    stored("tcpd-chat-nick", this.connection.nick);
    if (isFirst) {
      const lobby = this.open(this.root.dataset.lobby || "#lobby", false);
      this.show(lobby);
      this.connection.send("JOIN", [lobby.name]);
    } else {
      for (const room of this.rooms.values()) {
        if (room.isPrivate) this.fillGap(room);
        else if (room.rejoin) this.connection.send("JOIN", [room.name]);
      }
      if (this.current) this.note(this.current, "event", `Connected again as ${this.connection.nick}.`);
    }
    this.parts.input.focus();
  }

  lost(delay, reason) {
    for (const room of this.rooms.values()) {
      if (room.request) this.endRequest(room);
      if (!room.isPrivate && room.joined) {
        room.rejoin = true;
        room.joined = false;
      }
      // a second loss before the gap is filled keeps the first place
      if (!room.resume && !room.detached && (room.isPrivate || room.rejoin)) {
        room.resume = room.edge(true) ?? { id: "", time: "" };
        room.markGap("Disconnected.");
      }
      if (room.gap && room.resume) room.gap.textContent = "Disconnected.";
      for (const { timer } of room.typing.values()) clearTimeout(timer);
      room.typing.clear();
    }
    this.renderTyping();
    const at = new Date(Date.now() + delay);
    const seconds = Math.max(1, Math.round(delay / 1000));
    const why = reason ? ` (${plainText(reason)})` : "";
    const clock = `${formatClock(at)}:${two(at.getSeconds())}`;
    this.setStatus(`Disconnected${why}. Next attempt at ${clock}, in ${seconds} s.`, true);
  }

  // -- rooms

  fold(name) {
    return fold(name, this.connection.isupport.get("CASEMAPPING") ?? "ascii");
  }

  isRoom(name) {
    return name !== "" && (this.connection.isupport.get("CHANTYPES") ?? "#").includes(name[0]);
  }

  isMe(nick) {
    return this.fold(nick) === this.fold(this.connection.nick);
  }

  find(name) {
    return this.rooms.get(this.fold(name));
  }

  /** Return the room or conversation of a name; make it if there is none. */
  open(name, isPrivate) {
    const found = this.find(name);
    if (found) return found;
    const room = new Room(name, isPrivate);
    this.rooms.set(this.fold(name), room);
    this.parts.logs.append(room.log);
    room.log.addEventListener("scroll", () => this.scrolled(room));
    if (isPrivate) {
      const others = [...this.rooms.values()].filter(
        (each) => each.isPrivate && each !== this.current && each !== room,
      );
      if (others.length >= MAX_CONVERSATIONS) this.close(others[0]);
      if (this.connection.isReady && this.connection.caps.has("draft/chathistory")) this.requestLatest(room);
    }
    this.renderRooms();
    return room;
  }

  close(room) {
    if (room.request) this.endRequest(room);
    this.rooms.delete(this.fold(room.name));
    room.log.remove();
    if (this.current === room) {
      this.current = null;
      const [first] = this.rooms.values();
      if (first) this.show(first);
    }
    this.renderRooms();
  }

  show(room) {
    const { parts } = this;
    if (this.current && this.current !== room) {
      this.current.draft = parts.input.value;
      this.current.log.hidden = true;
      parts.input.value = room.draft;
    }
    const isOther = this.current !== room;
    this.current = room;
    this.completion = null;
    room.log.hidden = false;
    if (isOther) room.scrollToEnd();
    parts.title.replaceChildren(renderName(room.name));
    parts.input.setAttribute("aria-label", `Message to ${plainText(room.name)}`);
    parts["topic-form"].hidden = true;
    parts["change-topic"].hidden = room.isPrivate;
    parts["show-members"].hidden = room.isPrivate;
    this.renderTopic();
    this.renderMembers();
    this.renderTyping();
    this.scrolled(room);
    this.markRead(room);
    this.renderRooms();
  }

  /** Show the next or previous room. */
  step(by) {
    const all = [...this.rooms.values()];
    this.show(all[(all.indexOf(this.current) + by + all.length) % all.length]);
    this.parts.input.focus();
  }

  markRead(room) {
    if (document.hidden || room !== this.current) return;
    const last = room.edge(true);
    if (room.unread && last && this.connection.caps.has("draft/read-marker"))
      this.connection.send("MARKREAD", [room.name, `timestamp=${last.time}`]);
    room.unread = 0;
    room.mentioned = 0;
    this.renderRooms();
  }

  // -- messages

  note(room, kind, text, time = new Date(), id = "") {
    if (room.rows.has(id) || (room.detached && id)) return;
    room.insert([room.makeRow({ kind, text, time, id })], null);
  }

  addMessage(room, message) {
    if (message.id && room.rows.has(message.id)) return;
    this.stopTyping(room, message.nick);
    const mention = !message.own && mentions(message.text, this.connection.nick);
    if (!room.detached) room.insert([room.makeRow({ ...message, mention })], null);
    if (message.own) return;
    const isSeen = room === this.current && !document.hidden;
    if (!isSeen && message.kind !== "notice") {
      room.unread += 1;
      if (mention || room.isPrivate) room.mentioned += 1;
      this.renderRooms();
      if (mention || room.isPrivate) this.notify(room, message);
    }
    if (room === this.current) this.scrolled(room);
  }

  notify(room, { nick, text }) {
    if (globalThis.Notification?.permission !== "granted") return;
    const where = room.isPrivate ? "" : ` in ${plainText(room.name)}`;
    try {
      const shown = new Notification(`${plainText(nick)}${where}`, {
        body: plainText(text).slice(0, 200),
        tag: room.name,
      });
      shown.onclick = () => {
        focus();
        if (this.rooms.has(this.fold(room.name))) this.show(room);
        shown.close();
      };
    } catch {
      // some mobile browsers allow notifications of service workers only
    }
  }

  /** Turn PRIVMSG or NOTICE into a message: {kind, nick, text, time, id, own}. */
  readMessage(line) {
    let text = line.params[1] ?? "";
    let kind = line.command === "NOTICE" ? "notice" : "message";
    const ctcp = /^\x01(\S+) ?([^\x01]*)\x01?$/.exec(text);
    if (ctcp?.[1].toUpperCase() === "ACTION") [kind, text] = ["action", ctcp[2]];
    else if (ctcp) [kind, text] = ["notice", `(CTCP ${ctcp[1]}) ${ctcp[2]}`];
    return {
      kind,
      nick: line.nick,
      text,
      time: lineTime(line),
      id: line.tags.get("msgid") ?? "",
      own: this.isMe(line.nick),
    };
  }

  /** Describe JOIN, PART, QUIT, NICK, KICK, TOPIC and MODE, or return "". */
  describe({ command, nick, params }) {
    const because = (text) => (text ? `: ${text}` : "");
    if (command === "JOIN") return `${nick} joined`;
    if (command === "PART") return `${nick} left${because(params[1])}`;
    if (command === "QUIT") return `${nick} disconnected${because(params[0])}`;
    if (command === "NICK") return `${nick} is now ${params[0]}`;
    if (command === "KICK") return `${nick} removed ${params[1]}${because(params[2])}`;
    if (command === "TOPIC") return params[1] ? `${nick} set the topic: ${params[1]}` : `${nick} removed the topic`;
    if (command === "MODE") return `${nick} set the modes ${params.slice(1).join(" ")}`;
    return "";
  }

  // -- history

  /** Send CHATHISTORY; one request a room is open at a time. */
  requestHistory(room, kind, reference, count = 0) {
    const { connection } = this;
    if (room.request || !connection.isReady || !connection.caps.has("draft/chathistory")) return false;
    const limit = Math.min(PAGE, Number(connection.isupport.get("CHATHISTORY")) || PAGE);
    const request = { kind, reference, limit, count };
    request.timer = setTimeout(() => this.historyFailed(room), HISTORY_TIMEOUT);
    room.request = request;
    const words = { before: "BEFORE", after: "AFTER", latest: "LATEST" };
    connection.send("CHATHISTORY", [words[kind], room.name, reference, String(limit)]);
    return true;
  }

  requestLatest(room) {
    if (!room.gap) room.markGap("Loading messages …");
    if (!this.requestHistory(room, "latest", "*")) this.closeGap(room);
  }

  scrolled(room) {
    const { log } = room;
    if (room !== this.current || log.hidden) return;
    this.parts.latest.hidden = room.atEnd && !room.detached;
    if (log.scrollTop < 100 && !room.begun) {
      const first = room.edge(false);
      if (first) this.requestHistory(room, "before", first.id ? `msgid=${first.id}` : `timestamp=${first.time}`);
    }
    if (room.detached && room.atEnd) {
      const last = room.edge(true);
      if (last) this.requestHistory(room, "after", last.id ? `msgid=${last.id}` : `timestamp=${last.time}`);
      else room.detached = false;
    }
  }

  endRequest(room) {
    clearTimeout(room.request?.timer);
    room.request = null;
  }

  /** After a reconnection: request the messages since the last one, or mark that they are missing. */
  fillGap(room) {
    const since = room.resume;
    if (!since || room.detached) return;
    room.gap ??= room.log.querySelector(".marker:last-child");
    if (!room.gap) room.markGap("");
    room.gap.textContent = "Loading missed messages …";
    const reference = since.id ? `msgid=${since.id}` : since.time ? `timestamp=${since.time}` : "*";
    if (!this.requestHistory(room, reference === "*" ? "latest" : "after", reference)) this.closeGap(room, true);
  }

  /** Remove the marker of a gap, or leave it with a text. */
  closeGap(room, isMissing = false) {
    room.resume = null;
    room.isPartial = false;
    if (!room.gap) return;
    if (isMissing) room.gap.textContent = MISSING;
    else room.gap.remove();
    room.gap = null;
  }

  historyFailed(room) {
    const { request } = room;
    if (!request) return;
    this.endRequest(room);
    if (request.kind === "before") room.begun = true;
    else if (request.kind === "latest") this.closeGap(room, Boolean(room.resume));
    else if (room.detached) room.detached = false;
    else if (room.resume?.time && !room.isPartial && request.reference.startsWith("msgid=")) {
      // the server does not know the message, as after a restart: messages since that time follow a marker
      room.insert([make("div", "row marker", MISSING)], room.gap);
      room.isPartial = true;
      if (!this.requestHistory(room, "after", `timestamp=${room.resume.time}`)) this.closeGap(room);
    } else this.closeGap(room, !room.isPartial);
  }

  /** Insert the lines of a batch chathistory. */
  historyArrived(room, lines) {
    const { request } = room;
    if (!request) return;
    this.endRequest(room);
    const rows = [];
    let last = null;
    for (const line of lines) {
      const id = line.tags.get("msgid") ?? "";
      const isMessage = line.command === "PRIVMSG" || line.command === "NOTICE";
      if (isMessage) last = { id, time: lineTime(line).toISOString() };
      if (id && room.rows.has(id)) continue;
      if (isMessage) {
        const message = this.readMessage(line);
        rows.push(room.makeRow({ ...message, mention: !message.own && mentions(message.text, this.connection.nick) }));
      } else {
        const text = this.describe(line);
        if (text) rows.push(room.makeRow({ kind: "event", text, time: lineTime(line), id }));
      }
    }
    if (request.kind === "before") {
      if (rows.length) room.insert(rows, room.log.firstElementChild, true);
      else {
        room.begun = true;
        room.insert([make("div", "row marker", "The history begins here.")], room.log.firstElementChild, true);
      }
      return;
    }
    const wasAtEnd = room.atEnd;
    room.insert(rows, room.gap?.isConnected ? room.gap : null);
    const count = request.count + rows.length;
    if (request.kind === "after" && room.detached) {
      if (!rows.length || lines.length < request.limit) room.detached = false;
    } else if (request.kind === "after" && rows.length && count < MAX_ROWS) {
      if (room !== this.current) room.unread += rows.filter((row) => !row.matches(".own, .event")).length;
      const reference = last?.id ? `msgid=${last.id}` : `timestamp=${last?.time ?? rows.at(-1).dataset.time}`;
      this.requestHistory(room, "after", reference, count);
    } else {
      // a server that lost its history in a restart may reply with none
      const isMissing = request.kind === "after" && !count && this.connection.restarted && !room.isPartial;
      this.closeGap(room, isMissing || count >= MAX_ROWS);
    }
    if (wasAtEnd && room === this.current) room.scrollToEnd();
    this.renderRooms();
    if (room === this.current) this.markRead(room);
  }

  // -- lines of the server

  receive(line) {
    const { command, params, tags } = line;
    if (command === "BATCH") return this.receiveBatch(line);
    const batch = this.batches.get(tags.get("batch") ?? "");
    if (batch) {
      if (batch.type === "chathistory") {
        if (batch.lines.length < 1000) batch.lines.push(line);
        return;
      }
      line.label = batch.label;
    }
    line.label ??= tags.get("label");
    if (line.nick && this.isMe(line.nick) && line.source.includes("!")) this.connection.source = line.source;
    if (Object.hasOwn(RECEIVERS, command)) return RECEIVERS[command](this, line);
    const error = explain(line);
    if (error) {
      if (command === "FAIL" && params[0] === "CHATHISTORY") {
        const room =
          params
            .slice(2, -1)
            .map((name) => this.find(name))
            .find(Boolean) ?? [...this.rooms.values()].find((each) => each.request);
        if (room?.request) return this.historyFailed(room);
      }
      return this.showError(line, error);
    }
    const reply = describeReply(line) || (line.label && /^[23]\d\d$/.test(command) ? params.slice(1).join(" ") : "");
    if (reply) this.showReply(line, reply);
  }

  receiveBatch({ params, tags }) {
    if (!params[0]) return;
    const name = params[0].slice(1);
    if (params[0][0] === "+") {
      if (this.batches.size >= MAX_BATCHES) return;
      const parent = this.batches.get(tags.get("batch") ?? "");
      this.batches.set(name, {
        type: params[1],
        params: params.slice(2),
        label: tags.get("label") ?? parent?.label,
        lines: [],
      });
      return;
    }
    const batch = this.batches.get(name);
    this.batches.delete(name);
    if (batch?.type === "chathistory") {
      const room = this.find(batch.params[0] ?? "");
      if (room) this.historyArrived(room, batch.lines);
    }
  }

  /** Return the room to which a reply belongs. */
  roomOf(line) {
    const labelled = this.labels.get(line.label ?? "");
    if (labelled && this.rooms.has(this.fold(labelled.name))) return labelled;
    const named = line.params
      .slice(1, 3)
      .map((name) => this.find(name))
      .find(Boolean);
    return named ?? this.current;
  }

  showError(line, text) {
    const room = this.roomOf(line);
    const named = this.find(line.params[1] ?? "");
    if (named && /^(403|405|47\d)$/.test(line.command)) {
      if (named.resume) this.closeGap(named, true);
      named.rejoin = false;
    }
    if (!room) return this.setStatus(text);
    this.note(room, "error", text, lineTime(line));
  }

  showReply(line, text) {
    const room = this.roomOf(line);
    if (room) this.note(room, "event", text, lineTime(line));
  }

  setAway(nick, isAway) {
    for (const room of this.rooms.values()) {
      const member = room.members.get(this.fold(nick));
      if (member) member.away = isAway;
    }
    this.renderMembers();
  }

  startTyping(room, nick) {
    this.stopTyping(room, nick);
    if (room.typing.size >= 20) return;
    const timer = setTimeout(() => this.stopTyping(room, nick), TYPING_LASTS);
    room.typing.set(this.fold(nick), { nick, timer });
    this.renderTyping();
  }

  stopTyping(room, nick) {
    const found = room.typing.get(this.fold(nick));
    if (!found) return;
    clearTimeout(found.timer);
    room.typing.delete(this.fold(nick));
    this.renderTyping();
  }

  // -- rendering

  renderRooms() {
    clearTimeout(this.roomsTimer);
    this.roomsTimer = setTimeout(() => {
      const hadFocus = this.parts.rooms.contains(document.activeElement);
      const items = [...this.rooms.values()].map((room) => {
        const button = makeButton(
          "chat-room",
          () => {
            this.show(room);
            this.parts.input.focus();
          },
          renderName(room.name, "chat-room-name"),
        );
        button.classList.toggle("left", !room.joined);
        button.tabIndex = room === this.current ? 0 : -1;
        if (room === this.current) button.setAttribute("aria-current", "true");
        if (room.unread) {
          button.classList.toggle("mentioned", room.mentioned > 0);
          const words =
            room.mentioned && !room.isPrivate
              ? `${room.unread} unread, ${room.mentioned} mention you`
              : `${room.unread} unread`;
          const mark = make(
            "span",
            "chat-unread",
            make("span", "", String(room.unread)),
            make("span", "visually-hidden", ` ${words.replace(/^\d+ /, "")}`),
          );
          button.append(" ", mark);
        }
        return make("li", "", button);
      });
      this.parts.rooms.replaceChildren(...items);
      if (hadFocus) this.parts.rooms.querySelector('[tabindex="0"]')?.focus();
      const unread = [...this.rooms.values()].reduce((sum, room) => sum + room.mentioned, 0);
      const name = this.current ? plainText(this.current.name) : "Chat";
      document.title = `${unread ? `(${unread}) ` : ""}${name} - tcpd`;
    }, 20);
  }

  renderTopic() {
    const { topic } = this.current;
    this.parts.topic.replaceChildren(...(topic ? [renderText(topic)] : []));
  }

  renderMembers() {
    clearTimeout(this.membersTimer);
    this.membersTimer = setTimeout(() => {
      const room = this.current;
      if (!room) return;
      const order = parsePrefixes(this.connection.isupport.get("PREFIX")).map(([, prefix]) => prefix);
      const rank = ({ prefixes }) => (prefixes ? order.indexOf(prefixes[0]) : order.length);
      const members = [...room.members.values()].sort(
        (a, b) => rank(a) - rank(b) || (this.fold(a.nick) < this.fold(b.nick) ? -1 : 1),
      );
      const list = this.parts["member-list"];
      const hadFocus = list.contains(document.activeElement);
      const items = members.slice(0, MAX_MEMBERS).map((member, index) => {
        const symbol = member.prefixes[0] ?? "";
        const button = makeButton(`chat-member${member.away ? " away" : ""}`, () => {
          if (this.isMe(member.nick)) return;
          this.showMembers(false);
          this.show(this.open(member.nick, true));
          this.parts.input.focus();
        });
        const mark = make("span", "rank", symbol);
        mark.setAttribute("aria-hidden", "true");
        button.append(mark, renderName(member.nick, `nick nick${nickColour(member.nick)}`));
        const about = [RANKS[symbol], member.away ? "away" : "", this.isMe(member.nick) ? "you" : ""]
          .filter(Boolean)
          .join(", ");
        if (about) button.append(" ", make("span", "about", about));
        button.tabIndex = index ? -1 : 0;
        return make("li", "", button);
      });
      if (members.length > MAX_MEMBERS) items.push(make("li", "about", `and ${members.length - MAX_MEMBERS} more`));
      list.replaceChildren(...items);
      if (hadFocus) list.querySelector("button")?.focus();
      this.parts["member-count"].textContent = String(members.length);
      this.parts["members-title"].textContent = `Members: ${members.length}`;
    }, 50);
  }

  renderTyping() {
    const nicks = [...(this.current?.typing.values() ?? [])].map(({ nick }) => nick);
    const { typing } = this.parts;
    typing.replaceChildren();
    if (nicks.length > 3) typing.append(`${nicks.length} users are typing …`);
    else if (nicks.length) {
      nicks.forEach((nick, index) => typing.append(index ? ", " : "", renderName(nick)));
      typing.append(nicks.length > 1 ? " are typing …" : " is typing …");
    }
  }

  openList() {
    if (!this.connection.isReady) return;
    this.listed = [];
    this.parts["list-count"].textContent = "Loading …";
    this.parts["list-rows"].replaceChildren();
    this.connection.send("LIST", []);
    this.parts.list.showModal();
    this.parts["list-filter"].focus();
  }

  renderList() {
    const wanted = this.parts["list-filter"].value.trim().toLowerCase();
    const found = this.listed
      .filter(({ name, topic }) => `${name} ${topic}`.toLowerCase().includes(wanted))
      .slice(0, 200);
    const items = found.map(({ name, count, topic }) => {
      const button = makeButton(
        "chat-listed",
        () => {
          this.parts.list.close();
          this.join(name);
          this.parts.input.focus();
        },
        renderName(name, "chat-room-name"),
        " ",
        make("span", "about", `${count} member${count === "1" ? "" : "s"}`),
      );
      const item = make("li", "", button);
      if (topic) item.append(make("span", "chat-listed-topic", renderText(topic)));
      return item;
    });
    this.parts["list-rows"].replaceChildren(...items);
    this.parts["list-count"].textContent = `${found.length} of ${this.listed.length} rooms`;
  }
}

/** Return the time of a line: its tag `time`, or now. */
function lineTime(line) {
  const time = new Date(line.tags.get("time") ?? Date.now());
  return Number.isNaN(time.getTime()) ? new Date() : time;
}

/** What the page does with a line, by command. */
const RECEIVERS = {
  PRIVMSG(chat, line) {
    const message = chat.readMessage(line);
    const target = (line.params[0] ?? "").replace(/^[@%+~&]+(?=#)/, "");
    if (!line.source.includes("!") && !chat.isRoom(target)) {
      if (chat.current) chat.note(chat.current, "event", `${line.nick}: ${message.text}`, message.time, message.id);
      return;
    }
    const room = chat.isRoom(target) ? chat.find(target) : chat.open(message.own ? target : line.nick, true);
    if (room) chat.addMessage(room, message);
  },

  NOTICE: (chat, line) => RECEIVERS.PRIVMSG(chat, line),

  TAGMSG(chat, { nick, params, tags }) {
    const state = tags.get("+typing");
    const room = chat.isRoom(params[0] ?? "") ? chat.find(params[0]) : chat.find(nick);
    if (!state || !room || chat.isMe(nick)) return;
    if (state === "active") chat.startTyping(room, nick);
    else chat.stopTyping(room, nick);
  },

  JOIN(chat, line) {
    const { nick, params, tags } = line;
    if (chat.isMe(nick)) {
      const isNew = !chat.find(params[0]);
      const room = chat.open(params[0], false);
      room.joined = true;
      room.rejoin = false;
      room.members.clear();
      room.members.set(chat.fold(nick), { nick, prefixes: "", away: false });
      if (isNew && chat.wanted === chat.fold(params[0])) chat.show(room);
      if (room.resume) chat.fillGap(room);
      else if (chat.connection.caps.has("draft/chathistory")) chat.requestLatest(room);
      if (chat.connection.isupport.has("WHOX")) chat.connection.send("WHO", [room.name, `%tnf,${WHO_TOKEN}`]);
      if (room === chat.current) chat.show(room);
      else chat.renderRooms();
      return;
    }
    const room = chat.find(params[0]);
    if (!room) return;
    room.members.set(chat.fold(nick), { nick, prefixes: "", away: false });
    chat.note(room, "event", chat.describe(line), lineTime(line), tags.get("msgid"));
    if (room === chat.current) chat.renderMembers();
  },

  PART(chat, line) {
    const room = chat.find(line.params[0]);
    if (!room) return;
    if (chat.isMe(line.nick)) return chat.close(room);
    RECEIVERS.leave(chat, room, line.nick, line);
  },

  KICK(chat, line) {
    const room = chat.find(line.params[0]);
    if (!room) return;
    if (chat.isMe(line.params[1] ?? "")) {
      room.joined = false;
      room.members.clear();
      chat.renderRooms();
      if (room === chat.current) chat.renderMembers();
      return chat.note(
        room,
        "error",
        `${line.nick} removed you from ${room.name}: ${line.params[2] ?? ""}`,
        lineTime(line),
      );
    }
    RECEIVERS.leave(chat, room, line.params[1] ?? "", line);
  },

  QUIT(chat, line) {
    for (const room of chat.rooms.values()) {
      if (room.members.has(chat.fold(line.nick))) RECEIVERS.leave(chat, room, line.nick, line);
    }
  },

  /** Not a command: a member leaves a room. */
  leave(chat, room, nick, line) {
    room.members.delete(chat.fold(nick));
    chat.stopTyping(room, nick);
    chat.note(room, "event", chat.describe(line), lineTime(line), line.tags.get("msgid"));
    if (room === chat.current) chat.renderMembers();
  },

  NICK(chat, line) {
    const [now] = line.params;
    const [from, to] = [chat.fold(line.nick), chat.fold(now)];
    const isOwn = chat.isMe(line.nick);
    if (isOwn) {
      chat.connection.nick = now;
      chat.connection.source = `${now}!${line.source.split("!")[1] ?? ""}`;
      stored("tcpd-chat-nick", now);
    }
    for (const room of chat.rooms.values()) {
      const member = room.members.get(from);
      if (!member) continue;
      room.members.delete(from);
      room.members.set(to, { ...member, nick: now });
      chat.stopTyping(room, line.nick);
      chat.note(room, "event", chat.describe(line), lineTime(line), line.tags.get("msgid"));
      if (room === chat.current) chat.renderMembers();
    }
    const conversation = chat.rooms.get(from);
    if (conversation?.isPrivate && !isOwn && (from === to || !chat.rooms.has(to))) {
      chat.rooms.delete(from);
      conversation.name = now;
      chat.rooms.set(to, conversation);
      if (conversation === chat.current) chat.show(conversation);
      chat.renderRooms();
    }
  },

  AWAY(chat, { nick, params }) {
    chat.setAway(nick, params.length > 0 && params[0] !== "");
  },

  CHGHOST(chat, { nick, params }) {
    if (chat.isMe(nick)) chat.connection.source = `${nick}!${params[0]}@${params[1]}`;
  },

  SETNAME() {},
  PONG() {},
  ACK() {},

  TOPIC(chat, line) {
    const room = chat.find(line.params[0]);
    if (!room) return;
    room.topic = line.params[1] ?? "";
    chat.note(room, "event", chat.describe(line), lineTime(line), line.tags.get("msgid"));
    if (room === chat.current) chat.renderTopic();
  },

  MODE(chat, line) {
    const room = chat.find(line.params[0]);
    if (!room) return;
    const prefixes = parsePrefixes(chat.connection.isupport.get("PREFIX"));
    const modes = prefixes.map(([mode]) => mode).join("");
    for (const { on, mode, argument } of parseModes(
      line.params.slice(1),
      chat.connection.isupport.get("CHANMODES"),
      modes,
    )) {
      const member = modes.includes(mode) ? room.members.get(chat.fold(argument)) : undefined;
      if (!member) continue;
      const has = (each) =>
        each === mode ? on : member.prefixes.includes(prefixes.find(([name]) => name === each)[1]);
      member.prefixes = prefixes
        .filter(([name]) => has(name))
        .map(([, prefix]) => prefix)
        .join("");
    }
    chat.note(room, "event", chat.describe(line), lineTime(line), line.tags.get("msgid"));
    if (room === chat.current) chat.renderMembers();
  },

  RENAME(chat, { params: [from, to, reason] }) {
    const room = chat.find(from);
    if (!room) return;
    chat.rooms.delete(chat.fold(from));
    room.name = to;
    chat.rooms.set(chat.fold(to), room);
    chat.note(room, "event", `${from} is now ${to}${reason ? `: ${reason}` : ""}`);
    if (room === chat.current) chat.show(room);
    chat.renderRooms();
  },

  REDACT(chat, { nick, params: [target, id] }) {
    const row = chat.find(target)?.rows.get(id);
    if (!row) return;
    row.classList.add("deleted");
    row.querySelector(".text").replaceChildren(`message deleted by ${plainText(nick)}`);
  },

  MARKREAD(chat, { params: [target, mark = ""] }) {
    const room = chat.find(target);
    const last = room?.edge(true);
    if (!last || mark.replace("timestamp=", "") < last.time) return;
    room.unread = room.mentioned = 0;
    chat.renderRooms();
  },

  INVITE(chat, { nick, params }) {
    if (chat.current) chat.note(chat.current, "event", `${nick} invites you to ${params[1]}. Type /join ${params[1]}`);
  },

  305(chat, line) {
    chat.setAway(chat.connection.nick, line.command === "306");
    chat.showReply(line, describeReply(line));
  },

  306: (chat, line) => RECEIVERS[305](chat, line),

  322(chat, { params: [, name, count, topic = ""] }) {
    if (chat.listed.length < MAX_LISTED) chat.listed.push({ name, count, topic });
  },

  323(chat) {
    chat.listed.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
    if (chat.parts.list.open) chat.renderList();
  },

  332(chat, { params: [, name, topic] }) {
    const room = chat.find(name);
    if (!room) return;
    room.topic = topic;
    if (room === chat.current) chat.renderTopic();
  },

  353(chat, { params }) {
    const room = chat.find(params[2]);
    if (!room) return;
    room.named ??= new Map();
    const symbols = parsePrefixes(chat.connection.isupport.get("PREFIX"))
      .map(([, prefix]) => prefix)
      .join("");
    for (const word of (params[3] ?? "").split(" ").filter(Boolean)) {
      let at = 0;
      while (symbols.includes(word[at])) at += 1;
      const nick = word.slice(at).split("!")[0];
      const away = room.members.get(chat.fold(nick))?.away ?? false;
      room.named.set(chat.fold(nick), { nick, prefixes: word.slice(0, at), away });
    }
  },

  354(chat, line) {
    const [, token, nick, flags] = line.params;
    if (token !== WHO_TOKEN) return chat.showReply(line, line.params.slice(1).join(" "));
    for (const room of chat.rooms.values()) {
      const member = room.members.get(chat.fold(nick));
      if (member) member.away = flags.startsWith("G");
    }
  },

  315(chat, line) {
    chat.renderMembers();
    if (line.label) chat.showReply(line, describeReply(line));
  },

  366(chat, { params }) {
    const room = chat.find(params[1]);
    if (!room?.named) return;
    room.members = room.named;
    room.named = null;
    if (room === chat.current) chat.renderMembers();
  },
};
for (const silent of ["001", "002", "003", "004", "005", "318", "321", "324", "329", "333", "369", "422"])
  RECEIVERS[silent] = () => {};

if (typeof document !== "undefined") {
  const root = document.querySelector("#chat");
  if (root) new Chat(root);
}
