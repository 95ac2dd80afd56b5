/**
 * Coercion of variables (specification, 6.1.2): `ok` are to be executed without an error, `executed` may end in errors
 * of fields, `refused` must not start. `json` is the text of `variables` on the wire.
 */
const ID = 'artwork_01h455vb4pex5vsknk084sn02q';
const first = 'query ($n: Int!) { hotRanking(first: $n) { rank } }';
const firstDefault = 'query ($n: Int! = 1) { hotRanking(first: $n) { rank } }';
const firstNullable = 'query ($n: Int) { artworks(first: $n) { totalCount } }';
const kind = 'query ($k: ContentKind) { hotRanking(first: 1, kind: $k) { rank } }';
const kindRequired = 'query ($k: ContentKind!) { hotRanking(first: 1, kind: $k) { rank } }';
const id = 'query ($id: ID!) { artwork(id: $id) { id } }';
const ids = 'query ($ids: [ID!]!) { contents(ids: $ids) { id } }';
const idsNullable = 'query ($ids: [ID!]) { contents(ids: $ids) { id } }';
const external = 'query ($e: [String!]) { contents(externalIds: $e) { id } }';
const flag = 'query ($b: Boolean!) { me @skip(if: $b) { __typename } }';
const text = 'query ($t: String) { artworks(first: 1, after: $t) { totalCount } }';
/** Never runs: the like before it would be seen. */
const publish = 'mutation ($i: PublishArtworkInput!) { publishArtwork(input: $i) { created } }';
const base = (more) => `{"i":{"title":"t",${more}}}`;

export const variables = {
  'Int!': {
    query: first,
    ok: ['{"n":1}', '{"n":0}', '{"n":1.0}', '{"n":1e0}', '{"n":1,"unknown":"ignored"}', '{"n":-0}'],
    executed: ['{"n":2147483647}', '{"n":-2147483648}', '{"n":-1}'],
    refused: [
      undefined,
      'null',
      '{}',
      '{"n":null}',
      '{"n":"1"}',
      '{"n":""}',
      '{"n":1.5}',
      '{"n":true}',
      '{"n":[1]}',
      '{"n":[]}',
      '{"n":{}}',
      '{"n":2147483648}',
      '{"n":-2147483649}',
      '{"n":1e10}',
      '{"n":12345678901234567890123}',
      '{"N":1}',
    ],
  },
  'Int! with a default': {
    query: firstDefault,
    ok: [undefined, 'null', '{}', '{"n":2}'],
    refused: ['{"n":null}', '{"n":"1"}', '{"n":[2]}'],
  },
  'Int, nullable': {
    query: firstNullable,
    ok: [undefined, '{}', '{"n":null}', '{"n":3}'],
    refused: ['{"n":"3"}', '{"n":false}', '{"n":0.5}'],
  },
  'an enum': {
    query: kind,
    ok: [undefined, '{}', '{"k":null}', '{"k":"VIDEO"}', '{"k":"ARTWORK"}'],
    refused: [
      '{"k":"video"}',
      '{"k":"NOTHING"}',
      '{"k":""}',
      '{"k":1}',
      '{"k":true}',
      '{"k":["VIDEO"]}',
      '{"k":{"VIDEO":1}}',
    ],
  },
  'an enum, required': {
    query: kindRequired,
    ok: ['{"k":"VIDEO"}'],
    refused: [undefined, '{}', '{"k":null}', '{"k":"VIDEO "}'],
  },
  'ID!': {
    query: id,
    ok: [`{"id":"${ID}"}`],
    // A number is an ID for GraphQL; that it is not one of tally's is for the field to say.
    executed: ['{"id":7}', '{"id":"7"}', '{"id":""}', '{"id":-1}'],
    refused: [
      undefined,
      '{}',
      '{"id":null}',
      '{"id":true}',
      '{"id":1.5}',
      `{"id":["${ID}"]}`,
      '{"id":{}}',
    ],
  },
  '[ID!]!': {
    query: ids,
    ok: [`{"ids":["${ID}"]}`, `{"ids":["${ID}","${ID}"]}`, `{"ids":"${ID}"}`],
    executed: ['{"ids":[]}', '{"ids":[1]}', '{"ids":1}', '{"ids":["a","b"]}'],
    refused: [
      undefined,
      '{"ids":null}',
      '{"ids":[null]}',
      `{"ids":["${ID}",null]}`,
      `{"ids":[["${ID}"]]}`,
      '{"ids":[true]}',
      '{"ids":true}',
      '{"ids":{}}',
      '{"ids":[{}]}',
      '{"ids":1.5}',
    ],
  },
  '[ID!]': {
    query: idsNullable,
    ok: [`{"ids":"${ID}"}`],
    executed: [undefined, '{"ids":null}', '{"ids":[]}'],
    refused: ['{"ids":[null]}', '{"ids":false}'],
  },
  '[String!]': {
    query: external,
    ok: ['{"e":["a"]}', '{"e":"a"}', '{"e":["a","热度"]}'],
    refused: ['{"e":[1]}', '{"e":1}', '{"e":[null]}', '{"e":[["a"]]}', '{"e":{"0":"a"}}'],
  },
  'Boolean!': {
    query: flag,
    ok: ['{"b":true}', '{"b":false}'],
    refused: [
      undefined,
      '{"b":null}',
      '{"b":"true"}',
      '{"b":1}',
      '{"b":0}',
      '{"b":[true]}',
      '{"b":{}}',
    ],
  },
  String: {
    query: text,
    ok: [undefined, '{"t":null}'],
    executed: ['{"t":"x"}', '{"t":""}'],
    refused: ['{"t":1}', '{"t":true}', '{"t":["x"]}', '{"t":{}}', '{"t":1.5}'],
  },
  'an input object': {
    query: publish,
    refused: [
      undefined,
      '{}',
      '{"i":null}',
      '{"i":{}}',
      '{"i":"t"}',
      '{"i":1}',
      '{"i":{"title":null}}',
      '{"i":{"title":1}}',
      '{"i":{"title":["t"]}}',
      '{"i":{"Title":"t"}}',
      '{"i":[{"title":"t"},{"title":"u"}]}',
      base('"nothing":1'),
      base('"nothing":null'),
      base('"__proto__":{}'),
      base('"width":"1","height":1'),
      base('"width":1.5,"height":1'),
      base('"width":2147483648,"height":1'),
      base('"baseWeight":"1"'),
      base('"baseWeight":true'),
      base('"baseWeight":[1]'),
      base('"clientKey":7'),
      base('"authorId":true'),
      base('"authorId":{"id":"x"}'),
      base('"prompt":{"text":"x"}'),
    ],
  },
};

/** Which operation of a document. */
const two = 'query A { a: __typename } query B { b: __typename }';
export const operations = {
  ok: [
    { query: two, operationName: 'A' },
    { query: two, operationName: 'B' },
    { query: '{ __typename }', operationName: null },
    { query: 'query A { __typename }', operationName: 'A' },
    { query: 'query A { __typename }' },
    { query: 'query A { __typename }', operationName: null },
  ],
  refused: [
    { query: two },
    { query: two, operationName: null },
    { query: two, operationName: 'C' },
    { query: two, operationName: 'a' },
    { query: 'query A { __typename }', operationName: 'B' },
    { query: '{ __typename }', operationName: 'A' },
    { query: 'fragment F on Query { __typename }' },
  ],
};
