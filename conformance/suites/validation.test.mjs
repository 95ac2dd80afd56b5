/**
 * Which requests start, and which do not: the server's verdict against that of graphql-js. Cases by hand for every rule,
 * then generated ones: valid documents, and documents that were spoilt in one of many ways.
 *
 *   SEED=n  the same documents again        SOAK=n  n times as many
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Lexer, print, Source, TokenKind } from 'graphql';

import { documents, malformed, wellFormed } from '../cases/documents.mjs';
import { operations, variables } from '../cases/variables.mjs';
import { Generator } from '../lib/generator.mjs';
import { complains, contradiction, judge, send } from '../lib/judge.mjs';
import { spoilers } from '../lib/spoilers.mjs';
import { random, SEED } from '../lib/random.mjs';
import { session } from '../lib/server.mjs';

const SOAK = Math.max(1, Number(process.env.SOAK ?? 1));
const { token } = await session();

const asRequest = (item) => (typeof item === 'string' ? { query: item } : item);

/** Sends what graphql-js judged. What it finds valid must be a query: nothing here is to change anything. */
async function compare(request, expected) {
  const verdict = judge(request);
  if (expected !== undefined) {
    assert.equal(verdict.valid, expected, `graphql-js: ${verdict.why}`);
  }
  if (verdict.valid) assert.equal(verdict.kind, 'query', 'a valid one must be a query');
  const answer = await send(request, { token });
  const wrong = contradiction(verdict, answer);
  if (wrong) assert.fail(`${wrong}\n  ${JSON.stringify(request)}`);
  return answer;
}

describe('documents by hand', () => {
  for (const [rule, { invalid, valid }] of Object.entries(documents)) {
    for (const request of invalid.map(asRequest)) {
      it(`${rule} refuses ${request.query}`, async () => {
        assert.ok(complains(rule, request.query), `graphql-js has no ${rule} complaint`);
        await compare(request, false);
      });
    }
    for (const request of valid.map(asRequest)) {
      it(`${rule} lets pass ${request.query}`, () => compare(request, true));
    }
  }
  for (const query of malformed) {
    it(`does not parse: ${JSON.stringify(query)}`, () => compare({ query }, false));
  }
  for (const query of wellFormed) {
    it(`parses: ${JSON.stringify(query)}`, () => compare({ query }, true));
  }
});

describe('variables', () => {
  for (const [name, { query, ok = [], executed = [], refused = [] }] of Object.entries(variables)) {
    for (const variablesJson of ok) {
      it(`${name} takes ${variablesJson}`, async () => {
        const { json, text } = await compare({ query, variablesJson }, true);
        assert.equal(json.errors, undefined, text);
      });
    }
    for (const variablesJson of executed) {
      it(`${name} passes on ${variablesJson}`, () => compare({ query, variablesJson }, true));
    }
    for (const variablesJson of refused) {
      it(`${name} refuses ${variablesJson}`, () => compare({ query, variablesJson }, false));
    }
  }
});

describe('the operation that was named', () => {
  for (const request of operations.ok) {
    it(`runs ${JSON.stringify(request)}`, () => compare(request, true));
  }
  for (const request of operations.refused) {
    it(`refuses ${JSON.stringify(request)}`, () => compare(request, false));
  }
});

describe(`generated documents (SEED=${SEED})`, () => {
  it('valid ones run', async () => {
    const rng = random('valid');
    const requests = Array.from({ length: 100 * SOAK }, () =>
      new Generator(rng).request('query'),
    ).map(({ document, variables }) => ({ query: print(document), variables }));
    const valid = requests.filter((request) => judge(request).valid).length;
    assert.ok(valid > requests.length * 0.9, `only ${valid} of ${requests.length} are valid`);
    await compareAll(requests);
  });

  for (const [name, { spoil, kinds = ['query'] }] of Object.entries(spoilers)) {
    it(`spoilt: ${name}`, async () => {
      const rng = random(name);
      const wanted = 10 * SOAK;
      const requests = [];
      let invalid = 0;
      // Not every document can be spoilt in every way, and some spoilt ones are valid still.
      for (let tries = 0; tries < wanted * 100 && invalid < wanted; tries += 1) {
        const request = spoil(new Generator(rng).request(rng.pick(kinds)), rng);
        if (!request) continue;
        const verdict = judge(request);
        if (verdict.valid && verdict.kind !== 'query') continue;
        if (verdict.valid && requests.length - invalid >= wanted) continue;
        if (!verdict.valid) invalid += 1;
        requests.push(request);
      }
      assert.ok(invalid >= wanted, `only ${invalid} of ${requests.length} are invalid`);
      await compareAll(requests);
    });
  }
});

/** A document with one of each construct, and one that could change something: variants of it must be refused. */
const WHOLE = `query A($a: Int! = 1, $b: ID! = "artwork_01h455vb4pex5vsknk084sn02q", $i: ContentKind) {
  x: hotRanking(first: $a, kind: $i) @skip(if: false) { rank ...F ... on RankingEntry { level } }
  contents(ids: ["artwork_01h455vb4pex5vsknk084sn02q", $b]) { id }
  artworks(first: 1, after: null, orderBy: HOTTEST) { totalCount }
  __type(name: "Query") { name }
}
fragment F on RankingEntry { score }`;
const OBJECT =
  'mutation A { publishArtwork(input: { title: "t", width: 1, baseWeight: 1.5 }) { created } }';
const TOKENS = [
  ...[
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    ':',
    '!',
    '$',
    '@',
    '=',
    '|',
    '&',
    '...',
    '"',
    '"""',
    '\\',
    '%',
    '-',
  ],
  ...[
    '.',
    '?',
    '\u0000',
    '\u00e9',
    '"s"',
    '1',
    '1.5',
    'null',
    'true',
    'word',
    'on',
    'fragment',
    'query',
  ],
  ...['VIDEO', 'w:', '$a', '@skip(if: true)'],
];

/** The texts of a document's tokens. */
function lexed(text) {
  const lexer = new Lexer(new Source(text));
  const found = [];
  while (lexer.advance().kind !== TokenKind.EOF) {
    found.push(text.slice(lexer.token.start, lexer.token.end));
  }
  return found;
}

describe('every token', () => {
  for (const [name, text] of Object.entries({ 'a query': WHOLE, 'an input object': OBJECT })) {
    const tokens = lexed(text);
    const everywhere = (removed) =>
      tokens.flatMap((_, n) => TOKENS.map((put) => tokens.toSpliced(n, removed, put)));
    const variants = {
      'with another before it': everywhere(0),
      'replaced by another': everywhere(1),
      'left out': tokens.map((_, n) => tokens.toSpliced(n, 1)),
      'written twice': tokens.map((token, n) => tokens.toSpliced(n, 0, token)),
      'before its neighbour': tokens
        .slice(1)
        .map((next, n) => tokens.toSpliced(n, 2, next, tokens[n])),
    };
    for (const [change, found] of Object.entries(variants)) {
      it(`of ${name}, ${change}`, () => {
        const requests = found.map((each) => ({ query: each.join(' ') }));
        return compareAll(
          requests.filter((request) => {
            const { valid, kind } = judge(request);
            return !valid || kind === 'query';
          }),
        );
      });
    }
  }
});

async function compareAll(requests) {
  const wrong = [];
  const queue = [...requests];
  const work = async () => {
    for (let request = queue.pop(); request; request = queue.pop()) {
      await compare(request).catch((error) => wrong.push(error.message));
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} of ${requests.length}, with SEED=${SEED}:\n${wrong.slice(0, 5).join('\n')}`,
  );
}
