/** HTTP by hand, for requests that `fetch` would put right or refuse to send. */
import { connect } from 'node:net';

import { BASE, PATIENCE_MS } from './server.mjs';

const { hostname, port } = new URL(BASE);

/**
 * Writes `bytes` and reads until the server closes or has sent a whole answer.
 *
 * @returns {Promise<{ status: number, headers: Headers, text: string, json: any, ms: number }>} Status 0: the server
 *   closed without an answer.
 */
export function raw(bytes) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const socket = connect(Number(port), hostname);
    const chunks = [];
    const end = () => {
      socket.destroy();
      resolve(parsed(Buffer.concat(chunks), performance.now() - started));
    };
    socket.setTimeout(PATIENCE_MS, () => {
      socket.destroy();
      reject(new Error(`no answer within ${PATIENCE_MS} ms`));
    });
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (complete(Buffer.concat(chunks))) end();
    });
    socket.on('end', end);
    // A server that refuses early may reset the connection while the rest is still being sent.
    socket.on('error', end);
  });
}

function split(buffer) {
  const at = buffer.indexOf('\r\n\r\n');
  if (at < 0) return null;
  const [line, ...lines] = buffer.subarray(0, at).toString('latin1').split('\r\n');
  const headers = new Headers();
  for (const each of lines) {
    const colon = each.indexOf(':');
    headers.append(each.slice(0, colon), each.slice(colon + 1).trim());
  }
  return { status: Number(line.split(' ')[1]), headers, body: buffer.subarray(at + 4) };
}

/** The parts of a chunked body put together; null while the last is not there. */
function joined(body) {
  const parts = [];
  for (let at = 0; ;) {
    const end = body.indexOf('\r\n', at);
    if (end < 0) return null;
    const size = Number.parseInt(body.subarray(at, end).toString('latin1'), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
    if (at > body.length) return null;
  }
}

const isChunked = (headers) => headers.get('transfer-encoding') === 'chunked';

function complete(buffer) {
  const answer = split(buffer);
  if (answer && isChunked(answer.headers)) return joined(answer.body) !== null;
  const length = answer?.headers.get('content-length');
  return length !== null && length !== undefined && answer.body.length >= Number(length);
}

function parsed(buffer, ms) {
  const answer = split(buffer);
  if (!answer) return { status: 0, headers: new Headers(), text: '', json: undefined, ms };
  const body = isChunked(answer.headers) ? joined(answer.body) : answer.body;
  const text = (body ?? answer.body).toString('utf8');
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // The status says enough.
  }
  const { status, headers } = answer;
  return { status, headers, text, json, ms };
}

/** A request with a body, as text or bytes. */
export function message(method, target, headers = {}, body = '') {
  const bytes = Buffer.from(body);
  const lines = Object.entries({
    host: `${hostname}:${port}`,
    connection: 'close',
    ...(bytes.length > 0 && { 'content-length': bytes.length }),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    bytes,
  ]);
}
