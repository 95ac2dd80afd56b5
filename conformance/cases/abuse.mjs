/**
 * What nobody sends by accident. Each case has `send`, or a `query`, and what must come of it:
 *
 *   refused  4xx, with `errors` and without `data` where the answer is GraphQL's
 *   ran      200 with `data`, be there errors of fields or not
 *   either   a limit or a setting decides, and both are sound
 */
import { gzipSync } from 'node:zlib';

import { message } from '../lib/raw.mjs';
import { RESPONSE_TYPE } from '../lib/server.mjs';

const JSON_TYPE = 'application/json';
const ask = (query, more) => JSON.stringify({ query, ...more });
const repeated = (count, make) => Array.from({ length: count }, (_, n) => make(n)).join(' ');
const NOBODY = 'artwork_01h455vb4pex5vsknk084sn02q';

/** Chains of fragments: the last has one field, each other spreads the next twice. */
function exploding(links) {
  const spreads = (n) => `...F${n} ...F${n}`;
  const fragments = Array.from(
    { length: links },
    (_, n) => `fragment F${n} on Query{${n + 1 < links ? spreads(n + 1) : '__typename'}}`,
  );
  return `{${spreads(0)}}${fragments.join('')}`;
}

function explodingFields(links) {
  const fragments = Array.from(
    { length: links },
    (_, n) => `fragment F${n} on User{${n + 1 < links ? `...F${n + 1} ...F${n + 1}` : 'id name'}}`,
  );
  return `{hotRanking{content{author{...F0}}}}${fragments.join('')}`;
}

const nested = (levels) => {
  let inner = 'name';
  for (let n = 0; n < levels; n += 1) inner = `ofType{${inner}}`;
  return `{__schema{types{fields{type{${inner}}}}}}`;
};
const circular = (levels) => {
  let inner = 'name';
  for (let n = 0; n < levels; n += 1) inner = `fields{type{${inner}}}`;
  return `{__type(name:"Query"){${inner}}}`;
};
const get = (query, more = '') => ({
  method: 'GET',
  target: `/graphql?query=${encodeURIComponent(query)}${more}`,
});
const LIKE = `mutation{like(contentId:"${NOBODY}"){changed}}`;

export const abuse = {
  'load of documents': [
    { name: '101 aliases', query: `{${repeated(101, (n) => `a${n}:__typename`)}}`, refused: true },
    {
      name: '101 aliases of a costly field',
      query: `{${repeated(101, (n) => `a${n}:hotRanking(first:100){content{title}}`)}}`,
      refused: true,
    },
    {
      name: '500 times the same field',
      query: `{${repeated(500, () => '__typename')}}`,
      refused: true,
    },
    {
      name: '500 times the same field, with a selection',
      query: `{${repeated(500, () => 'me{user{id}}')}}`,
      refused: true,
    },
    {
      name: '10 repeated directives',
      query: `{__typename${repeated(10, () => '@skip(if:false)')}}`,
      refused: true,
    },
    {
      name: '10 unknown directives',
      query: `{__typename${repeated(10, (n) => `@aa${n}`)}}`,
      refused: true,
    },
    {
      name: '1,000 directives',
      query:
        `{${repeated(20, (n) => `...@include(if:true){...@skip(if:false){b${n}:__typename}}`)}}`.repeat(
          25,
        ),
      refused: true,
    },
    { name: 'introspection in a circle, 10 deep', query: circular(10), refused: true },
    { name: 'introspection in a circle, 100 deep', query: circular(100), refused: true },
    { name: 'types inside types, 200 deep', query: nested(200), refused: true },
    {
      name: '25 fragments, each spreading the next twice',
      query: exploding(25),
      refused: true,
      under: 2048,
    },
    {
      name: '30 such fragments below a list',
      query: explodingFields(30),
      refused: true,
      under: 2048,
    },
    { name: '60 such fragments', query: exploding(60), refused: true },
    {
      name: 'a page of pages',
      query:
        `{artworks(first:100){nodes{hotness{history(first:100){score level calculatedAt}} author{id name}}}}`.replace(
          /^\{/,
          `{${repeated(9, (n) => `x${n}:hotRanking(first:100){content{hotness{history(first:100){score level}}}}`)}`,
        ),
      refused: true,
    },
    {
      name: 'selections 5,000 deep',
      query: `${'{a'.repeat(5_000)}${'}'.repeat(5_000)}`,
      refused: true,
    },
    {
      name: 'inline fragments 1,000 deep',
      query: `${'{...'.repeat(1_000)}{__typename}${'}'.repeat(1_000)}`,
      refused: true,
    },
    {
      name: 'a list 10,000 deep',
      query: `{contents(ids:${'['.repeat(10_000)}${']'.repeat(10_000)}){id}}`,
      refused: true,
    },
    {
      name: 'an object 10,000 deep',
      query: `{contents(ids:${'{a:'.repeat(10_000)}1${'}'.repeat(10_000)}){id}}`,
      refused: true,
    },
    {
      name: 'a type of a variable 10,000 deep',
      query: `query($a:${'['.repeat(10_000)}Int${']'.repeat(10_000)}){__typename}`,
      refused: true,
    },
    {
      name: 'a list 100,000 deep that never ends',
      query: `{contents(ids:${'['.repeat(100_000)}`,
      refused: true,
    },
    { name: '20,000 tokens', query: `{${'__typename '.repeat(20_000)}}`, refused: true },
    { name: '20,000 commas', query: `{__typename${','.repeat(20_000)}}`, either: true },
    { name: '100,000 braces', query: '{'.repeat(100_000), refused: true },
    { name: '1 MB of a comment', query: `#${'x'.repeat(1_000_000)}\n{__typename}`, either: true },
    { name: 'a name of 900,000 characters', query: `{${'a'.repeat(900_000)}}`, refused: true },
    {
      name: 'an alias of 900,000 characters',
      query: `{${'a'.repeat(900_000)}:__typename}`,
      refused: true,
    },
    {
      name: 'a string of 900,000 characters',
      query: `{artwork(id:"${'a'.repeat(900_000)}"){id}}`,
      either: true,
    },
    {
      name: 'an integer of 900,000 digits',
      query: `{hotRanking(first:${'9'.repeat(900_000)}){rank}}`,
      refused: true,
    },
    {
      name: 'a float of 10,000 digits for an input',
      query: `{hotRanking(first:0.${'9'.repeat(10_000)}){rank}}`,
      refused: true,
    },
    {
      name: '5,000 operations',
      query: repeated(5_000, (n) => `query A${n}{__typename}`),
      operationName: 'A1',
      either: true,
    },
    {
      name: '2,000 fragments',
      query: `{${repeated(2_000, (n) => `...F${n}`)}}${repeated(2_000, (n) => `fragment F${n} on Query{__typename}`)}`,
      either: true,
    },
    {
      name: '2,000 variables',
      query: `query(${repeated(2_000, (n) => `$a${n}:Int`)}){__typename}`,
      refused: true,
    },
    {
      name: '1,001 ids',
      query: `{contents(ids:[${repeated(1_001, () => `"${NOBODY}"`)}]){id}}`,
      either: true,
    },
    {
      name: '100 overlapping fields with arguments',
      query: `{${repeated(100, (n) => `a:hotRanking(first:${n}){rank}`)}}`,
      refused: true,
    },
    {
      name: 'overlapping fields, nested to explode',
      query: `{${repeated(20, () => 'a:node(id:"x"){...on Artwork{b:author{c:id}}...on Video{b:author{c:id}}}')}}`,
      either: true,
    },
  ],

  values: [
    {
      name: 'an integer of 400 digits',
      body: `{"query":"query($n:Int!){hotRanking(first:$n){rank}}","variables":{"n":${'9'.repeat(400)}}}`,
      refused: true,
    },
    {
      name: '1e999',
      body: '{"query":"query($n:Int!){hotRanking(first:$n){rank}}","variables":{"n":1e999}}',
      refused: true,
    },
    {
      name: 'NaN',
      body: '{"query":"query($n:Int!){hotRanking(first:$n){rank}}","variables":{"n":NaN}}',
      refused: true,
    },
    {
      name: 'a list of variables 10,000 deep',
      body: `{"query":"query($a:[ID!]!){contents(ids:$a){id}}","variables":{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}}`,
      refused: true,
    },
    {
      name: 'an object of variables 10,000 deep',
      body: `{"query":"{__typename}","variables":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
      either: true,
    },
    {
      name: 'NUL in a variable',
      query: 'query($i:ID!){artwork(id:$i){id}}',
      variables: { i: 'a\u0000b' },
      ran: true,
    },
    { name: 'NUL in a literal', query: '{artwork(id:"a\\u0000b"){id}}', ran: true },
    { name: 'NUL in a cursor', query: '{artworks(after:"a\\u0000b"){totalCount}}', ran: true },
    {
      name: 'NUL in an external id',
      query: '{contents(externalIds:["a\\u0000b"]){id}}',
      ran: true,
    },
    {
      name: 'half a surrogate pair in a variable',
      body: '{"query":"query($i:ID!){artwork(id:$i){id}}","variables":{"i":"\\ud800"}}',
      either: true,
    },
    {
      name: 'SQL in an id',
      query: 'query($i:ID!){artwork(id:$i){id}}',
      variables: { i: "' OR 1=1; DROP TABLE contents; --" },
      ran: true,
    },
    {
      name: 'SQL in an external id',
      query: 'query($e:[String!]){contents(externalIds:$e){id}}',
      variables: { e: ["'; DROP TABLE contents; --"] },
      ran: true,
    },
    {
      name: 'an id of another kind',
      query: '{artwork(id:"user_01h455vb4pex5vsknk084sn02q"){id}}',
      ran: true,
    },
    { name: 'an id with a digit too many', query: `{artwork(id:"${NOBODY}0"){id}}`, ran: true },
    {
      name: 'an id beyond 128 bits',
      query: '{artwork(id:"artwork_8zzzzzzzzzzzzzzzzzzzzzzzzz"){id}}',
      ran: true,
    },
    { name: 'an empty id', query: '{artwork(id:""){id}}', ran: true },
    {
      name: 'an id of 100,000 characters',
      query: 'query($i:ID!){artwork(id:$i){id}}',
      variables: { i: 'a'.repeat(100_000) },
      ran: true,
    },
    {
      name: "a cursor that is nobody's",
      query: '{artworks(after:"AAAA"){totalCount nodes{id}}}',
      ran: true,
    },
    { name: 'first below zero', query: '{artworks(first:-1){nodes{id}}}', either: true },
    {
      name: 'first beyond the most',
      query: '{artworks(first:2147483647){nodes{id}}}',
      either: true,
    },
    { name: 'first and last', query: '{artworks(first:1,last:1){nodes{id}}}', ran: true },
    {
      name: '__proto__ among the variables',
      body: '{"query":"{__typename}","variables":{"__proto__":{"a":1},"constructor":{}}}',
      ran: true,
    },
    {
      name: '__proto__ in the request',
      body: '{"query":"{__typename}","__proto__":{"query":"x"},"constructor":1}',
      ran: true,
    },
    { name: '__proto__ as a field', query: '{__proto__}', refused: true },
    { name: 'constructor as a field', query: '{constructor}', refused: true },
    {
      name: '__proto__ as an operation',
      query: '{__typename}',
      operationName: '__proto__',
      refused: true,
    },
    {
      name: 'an error message with markup',
      query: '{artwork(id:"<script>alert(1)</script>"){id}}',
      ran: true,
    },
  ],

  bodies: [
    { name: 'nothing', body: '', refused: true },
    { name: 'null', body: 'null', refused: true },
    { name: 'a number', body: '7', refused: true },
    { name: 'a text', body: '"{__typename}"', refused: true },
    { name: 'true', body: 'true', refused: true },
    { name: 'an empty object', body: '{}', refused: true },
    { name: 'half an object', body: '{"query":"{__typename}"', refused: true },
    {
      name: 'two objects',
      body: '{"query":"{__typename}"}{"query":"{__typename}"}',
      refused: true,
    },
    { name: 'a trailing comma', body: '{"query":"{__typename}",}', refused: true },
    { name: 'single quotes', body: "{'query':'{__typename}'}", refused: true },
    {
      name: 'query twice',
      body: '{"query":"{__typename}","query":"{a:__typename}"}',
      either: true,
    },
    {
      name: 'a variable twice',
      body: '{"query":"query($n:Int!){hotRanking(first:$n){rank}}","variables":{"n":1,"n":2}}',
      either: true,
    },
    { name: 'a query that is a list', body: '{"query":["{__typename}"]}', refused: true },
    { name: 'a query that is null', body: '{"query":null}', refused: true },
    {
      name: 'variables that are a text',
      body: '{"query":"{__typename}","variables":"{}"}',
      refused: true,
    },
    {
      name: 'variables that are a list',
      body: '{"query":"{__typename}","variables":[]}',
      refused: true,
    },
    {
      name: 'an operation name that is a number',
      body: '{"query":"{__typename}","operationName":1}',
      refused: true,
    },
    {
      name: 'extensions that are a text',
      body: '{"query":"{__typename}","extensions":"x"}',
      refused: true,
    },
    {
      name: 'a hash of another document',
      body: ask('{__typename}', {
        extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } },
      }),
      refused: true,
    },
    {
      name: 'a hash that nobody knows',
      body: JSON.stringify({
        extensions: { persistedQuery: { version: 1, sha256Hash: 'f'.repeat(64) } },
      }),
      refused: true,
      anyStatus: true,
    },
    {
      name: 'a hash that is none',
      body: JSON.stringify({ extensions: { persistedQuery: { version: 1, sha256Hash: "'; --" } } }),
      refused: true,
      anyStatus: true,
    },
    {
      name: 'a hash in an object of another form',
      body: JSON.stringify({ extensions: { persistedQuery: 7 } }),
      refused: true,
    },
    {
      name: 'a document id with a path',
      body: JSON.stringify({ documentId: '../../Cargo.toml' }),
      refused: true,
      anyStatus: true,
    },
    { name: '100,000 brackets', body: '['.repeat(100_000), refused: true },
    { name: '100,000 objects inside each other', body: '{"a":'.repeat(100_000), refused: true },
    { name: '2 MB', body: ask(`#${'x'.repeat(2 * 1024 * 1024)}\n{__typename}`), refused: true },
    {
      name: 'broken UTF-8',
      body: Buffer.from([
        ...Buffer.from('{"query":"{a'),
        0xff,
        0xfe,
        ...Buffer.from(':__typename}"}'),
      ]),
      refused: true,
    },
    { name: 'UTF-16', body: Buffer.from(ask('{__typename}'), 'utf16le'), refused: true },
    { name: 'a byte order mark', body: `\ufeff${ask('{__typename}')}`, either: true },
    { name: 'an empty batch', body: '[]', refused: true },
    {
      name: 'a batch of 11',
      body: JSON.stringify(Array(11).fill({ query: '{__typename}' })),
      refused: true,
    },
    {
      name: 'a batch of 5,000',
      body: JSON.stringify(Array(5_000).fill({ query: '{__typename}' })),
      refused: true,
    },
    {
      name: 'a batch of batches',
      body: JSON.stringify([[{ query: '{__typename}' }]]),
      either: true,
    },
    { name: 'a batch of nothing useful', body: '[null,1,"a"]', either: true },
    {
      name: 'a batch of 10 with one that is wrong',
      body: JSON.stringify([...Array(9).fill({ query: '{__typename}' }), { query: '{' }]),
      batch: 10,
    },
    {
      name: 'gzip',
      body: gzipSync(ask('{__typename}')),
      headers: { 'content-encoding': 'gzip' },
      refused: true,
      status: 415,
    },
    {
      name: 'says gzip and is none',
      body: ask('{__typename}'),
      headers: { 'content-encoding': 'gzip' },
      refused: true,
      status: 415,
    },
    {
      name: 'an unknown encoding',
      body: ask('{__typename}'),
      headers: { 'content-encoding': 'sdch' },
      refused: true,
      status: 415,
    },
  ],

  'cross-site requests': [
    {
      name: 'a form',
      body: `query=${encodeURIComponent(LIKE)}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      refused: true,
      status: 415,
    },
    {
      name: 'text/plain',
      body: ask(LIKE),
      headers: { 'content-type': 'text/plain' },
      refused: true,
      status: 415,
    },
    {
      name: 'multipart',
      body: '--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"{__typename}"}\r\n--x--',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      refused: true,
      status: 415,
    },
    {
      name: 'application/graphql',
      body: '{__typename}',
      headers: { 'content-type': 'application/graphql' },
      refused: true,
      status: 415,
    },
    {
      name: 'application/jsonp',
      body: ask('{__typename}'),
      headers: { 'content-type': 'application/jsonp' },
      refused: true,
      status: 415,
    },
    {
      name: 'text/plain that mentions JSON',
      body: ask('{__typename}'),
      headers: { 'content-type': 'text/plain; application/json' },
      refused: true,
      status: 415,
    },
    {
      name: 'JSON in another charset',
      body: ask('{__typename}'),
      headers: { 'content-type': 'application/json; charset=utf-16' },
      either: true,
    },
    { name: 'a mutation by GET', ...get(LIKE), refused: true, status: 405 },
    {
      name: 'a mutation by GET, behind a query',
      ...get(`query A{__typename} ${LIKE.replace('mutation', 'mutation B')}`, '&operationName=B'),
      refused: true,
      status: 405,
    },
    { name: 'a subscription by GET', ...get('subscription{hotnessChanged{score}}'), refused: true },
    { name: 'a subscription by POST', query: 'subscription{hotnessChanged{score}}', refused: true },
    { name: 'GET without a query', method: 'GET', target: '/graphql', refused: true },
    {
      name: 'GET with variables that are no JSON',
      ...get('{__typename}', '&variables=%7B'),
      refused: true,
    },
    {
      name: 'GET with variables that are a list',
      ...get('{__typename}', '&variables=[]'),
      refused: true,
    },
    {
      name: 'GET with a query twice',
      ...get('{__typename}', '&query=%7Ba:__typename%7D'),
      either: true,
    },
    {
      name: 'GET with a broken escape',
      method: 'GET',
      target: '/graphql?query=%7B__typename%7',
      either: true,
    },
    {
      name: 'GET with bytes that are no UTF-8',
      method: 'GET',
      target: '/graphql?query=%ff%fe',
      refused: true,
    },
    {
      name: 'GET with 60,000 characters',
      ...get(`{${'__typename '.repeat(5_000)}}`),
      refused: true,
    },
    {
      name: 'accepts nothing that there is',
      query: '{__typename}',
      headers: { accept: 'image/png' },
      either: true,
    },
  ],

  methods: [
    ...['PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'BREW'].map((method) => ({
      name: method,
      raw: message(method, '/graphql', { 'content-type': JSON_TYPE }, ask('{__typename}')),
      refused: true,
    })),
    { name: 'HEAD', raw: message('HEAD', '/graphql'), either: true, noBody: true },
    {
      name: 'OPTIONS',
      raw: message('OPTIONS', '/graphql', {
        origin: 'https://elsewhere.example',
        'access-control-request-method': 'POST',
      }),
      either: true,
      noCors: true,
    },
    {
      name: 'a query of another origin',
      raw: message(
        'POST',
        '/graphql',
        { origin: 'https://elsewhere.example', 'content-type': JSON_TYPE },
        ask('{__typename}'),
      ),
      either: true,
      noCors: true,
    },
    { name: 'CONNECT', raw: message('CONNECT', '127.0.0.1:22'), refused: true, mayHangUp: true },
    {
      name: 'a method of 10,000 characters',
      raw: message('A'.repeat(10_000), '/graphql'),
      refused: true,
      mayHangUp: true,
    },
  ],

  'HTTP by hand': [
    {
      name: 'CR and LF in the operation name',
      query: '{__typename}',
      operationName: 'A\r\nSet-Cookie: a=1',
      refused: true,
      noCookie: true,
    },
    {
      name: 'CR and LF in the address',
      raw: message(
        'GET',
        '/graphql?query=%7B__typename%7D&operationName=A%0d%0aSet-Cookie:%20a=1',
        { accept: RESPONSE_TYPE },
      ),
      refused: true,
      noCookie: true,
    },
    {
      name: 'CR and LF in the request id',
      raw: message(
        'POST',
        '/graphql',
        { 'content-type': JSON_TYPE, 'x-request-id': 'a%0d%0aSet-Cookie: a=1' },
        ask('{__typename}'),
      ),
      ran: true,
      noCookie: true,
    },
    {
      name: 'a request id of 10,000 characters',
      query: '{__typename}',
      headers: { 'x-request-id': 'a'.repeat(10_000) },
      either: true,
    },
    {
      name: 'no host',
      raw: Buffer.from('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'),
      either: true,
      mayHangUp: true,
    },
    {
      name: 'a host of somebody else',
      raw: message('GET', '/healthz', { host: 'elsewhere.example' }),
      either: true,
    },
    {
      name: 'two lengths',
      raw: Buffer.from(
        `POST /graphql HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: ${JSON_TYPE}\r\ncontent-length: 24\r\ncontent-length: 5\r\n\r\n${ask('{__typename}')}`,
      ),
      refused: true,
      mayHangUp: true,
    },
    {
      name: 'a length and chunks',
      raw: Buffer.from(
        `POST /graphql HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: ${JSON_TYPE}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n18\r\n${ask('{__typename}')}\r\n0\r\n\r\n`,
      ),
      either: true,
      mayHangUp: true,
    },
    {
      name: 'a length below zero',
      raw: Buffer.from(
        `POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\nconnection: close\r\n\r\n`,
      ),
      refused: true,
      mayHangUp: true,
    },
    {
      name: 'a length of 1 TB',
      raw: message(
        'POST',
        '/graphql',
        { 'content-type': JSON_TYPE, 'content-length': 10 ** 12 },
        'x',
      ),
      refused: true,
      mayHangUp: true,
    },
    {
      name: '200 headers',
      raw: message(
        'GET',
        '/healthz',
        Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-${n}`, 'a'])),
      ),
      either: true,
      mayHangUp: true,
    },
    {
      name: 'a header of 1 MB',
      raw: message('GET', '/healthz', { 'x-a': 'a'.repeat(1_000_000) }),
      refused: true,
      mayHangUp: true,
    },
    { name: 'no HTTP at all', raw: Buffer.from('hello\r\n\r\n'), refused: true, mayHangUp: true },
    {
      name: 'a TLS handshake',
      raw: Buffer.from('16030100c8010000c40303', 'hex'),
      refused: true,
      mayHangUp: true,
      halfSent: true,
    },
    {
      name: 'an upgrade to an unknown protocol',
      raw: message('GET', '/graphql', { connection: 'upgrade', upgrade: 'h2c' }),
      refused: true,
    },
    {
      name: 'a socket without a key',
      raw: message('GET', '/graphql', {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': 13,
      }),
      refused: true,
    },
    {
      name: 'a socket of version 1',
      raw: message('GET', '/graphql', {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': 1,
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      }),
      refused: true,
    },
  ],

  tokens: [
    ...[
      'nonsense',
      'Bearer',
      'Bearer ',
      'Bearer a.b.c',
      'Basic dTpw',
      `Bearer ${'a'.repeat(5_000)}`,
    ].map((authorization) => ({
      name: JSON.stringify(authorization.slice(0, 20)),
      query: '{__typename}',
      headers: { authorization },
      refused: true,
      status: 401,
    })),
    {
      name: 'a token that nobody signed',
      query: '{__typename}',
      headers: {
        authorization: `Bearer ${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${Buffer.from('{"sub":"root","roles":["ADMIN"],"exp":4102444800}').toString('base64url')}.`,
      },
      refused: true,
      status: 401,
    },
    {
      name: 'a like without a token',
      query: `mutation{like(contentId:"${NOBODY}"){changed}}`,
      ran: true,
      code: 'UNAUTHENTICATED',
    },
  ],

  paths: [
    ...[
      '/assets/../../Cargo.toml',
      '/assets/%2e%2e/%2e%2e/Cargo.toml',
      '/assets/..%2f..%2fCargo.toml',
      '/assets/%252e%252e/Cargo.toml',
      '/..\\..\\Cargo.toml',
      '/%5c..%5cCargo.toml',
      '/../../../../etc/passwd',
      '//etc/passwd',
      '/assets//etc/passwd',
      '/.git/config',
      '/.env',
      '/data/demo.db',
      '/Cargo.toml',
      '/index.html%00.js',
      '/graphql/../graphiql/../.env',
      '/%ff%fe',
      `/${'a/'.repeat(2_000)}`,
    ].map((target) => ({ name: target.slice(0, 60), raw: message('GET', target), notFound: true })),
    { name: 'POST to a page', raw: message('POST', '/graphiql', {}, 'a=1'), refused: true },
  ],
};
