/** The shape of answers (specification, sections 6 and 7): order, nulls, merging, directives, serial mutations. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { data, post, session, someContents, unliked } from '../lib/server.mjs';

const { token, user } = await session();
const [ID] = await someContents(1);
/** Of the right form, and nobody's. */
const NOBODY = 'artwork_01h455vb4pex5vsknk084sn02q';

/** The text of `data`, which shows the order of fields. */
async function text(query, variables) {
  const answer = await post({ query, variables }, { token });
  assert.equal(answer.json?.errors, undefined, answer.text);
  const match = /^\s*\{"data":(.*)\}\s*$/s.exec(answer.text);
  assert.ok(match, answer.text);
  return match[1];
}

/** The whole answer to what ends in an error of a field. */
async function failing(query, variables) {
  const answer = await post({ query, variables }, { token });
  assert.equal(answer.status, 200, answer.text);
  assert.ok(answer.json.errors?.length > 0, answer.text);
  assert.ok('data' in answer.json, answer.text);
  return answer.json;
}

async function likes(id) {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Content { viewerHasLiked } } }';
  return (await data(query, { id }, { token })).node.viewerHasLiked;
}

describe('fields in the answer', () => {
  it('come in the order of the document', async () => {
    const answer = await text('{ hotRanking(first: 1) { score rank level } __typename }');
    assert.match(
      answer,
      /^\{"hotRanking":\[\{"score":[^,]+,"rank":1,"level":"[A-Z]+"\}\],"__typename":"Query"\}$/,
    );
    const turned = await text('{ __typename hotRanking(first: 1) { level rank } }');
    assert.match(
      turned,
      /^\{"__typename":"Query","hotRanking":\[\{"level":"[A-Z]+","rank":1\}\]\}$/,
    );
  });

  it('come where they stand first, when they repeat', async () => {
    assert.equal(
      await text('{ b: __typename a: __typename b: __typename }'),
      '{"b":"Query","a":"Query"}',
    );
  });

  it('come in the order of the fragments that bring them', async () => {
    const query = `{ z: __typename ...F a: __typename ... { m: __typename } }
      fragment F on Query { y: __typename ... on Query { x: __typename } }`;
    assert.deepEqual(Object.keys(JSON.parse(await text(query))), ['z', 'y', 'x', 'a', 'm']);
  });

  it('have the names of their aliases', async () => {
    assert.equal(
      await text('{ hotnessSettings: __typename me: hotRanking(first: 1) { id: rank } }'),
      '{"hotnessSettings":"Query","me":[{"id":1}]}',
    );
  });

  it('are merged, with what is inside them', async () => {
    const query = `{ r: hotRanking(first: 1) { content { id } } ...F
      r: hotRanking(first: 1) { rank content { __typename } } }
      fragment F on Query { r: hotRanking(first: 1) { content { likeCount } rank } }`;
    const [entry, ...more] = JSON.parse(await text(query)).r;
    assert.deepEqual(Object.keys(entry), ['content', 'rank']);
    assert.deepEqual(Object.keys(entry.content), ['id', 'likeCount', '__typename']);
    assert.equal(more.length, 0);
  });
});

describe('__typename', () => {
  it('is there on every type', async () => {
    const answer = await data(
      `query ($id: ID!) {
        __typename
        me { __typename user { __typename } }
        node(id: $id) { __typename }
        artworks(first: 1) { __typename edges { __typename node { __typename hotness { __typename } } } pageInfo { __typename } nodes { __typename } }
        hotRanking(first: 1) { __typename content { __typename } }
        hotnessSettings { __typename }
      }`,
      { id: ID },
      { token },
    );
    assert.equal(answer.__typename, 'Query');
    assert.equal(answer.me.__typename, 'Viewer');
    assert.equal(answer.me.user.__typename, 'User');
    assert.equal(answer.node.__typename, ID.startsWith('artwork') ? 'Artwork' : 'Video');
    assert.equal(answer.artworks.__typename, 'ArtworkConnection');
    assert.equal(answer.artworks.edges[0].__typename, 'ArtworkEdge');
    assert.equal(answer.artworks.edges[0].node.hotness.__typename, 'Hotness');
    assert.equal(answer.artworks.pageInfo.__typename, 'PageInfo');
    assert.match(answer.hotRanking[0].content.__typename, /^(Artwork|Video)$/);
  });

  it('is there on Mutation', async () => {
    assert.equal(await text('mutation { __typename }'), '{"__typename":"Mutation"}');
  });

  it('may have aliases and repeat', async () => {
    assert.equal(
      await text('{ a: __typename b: __typename __typename }'),
      '{"a":"Query","b":"Query","__typename":"Query"}',
    );
  });

  it('chooses fragments: of the type, of its interfaces, of no other', async () => {
    const kind = ID.startsWith('artwork') ? 'Artwork' : 'Video';
    const other = kind === 'Artwork' ? 'Video' : 'Artwork';
    const { node } = await data(
      `query ($id: ID!) { node(id: $id) {
        ... on ${kind} { a: title } ... on Content { b: title } ... on Node { c: id }
        ... on ${other} { d: title } ... on User { e: name } } }`,
      { id: ID },
    );
    assert.deepEqual(Object.keys(node), ['a', 'b', 'c']);
  });
});

describe('@skip and @include', () => {
  const both = '{ a: __typename @skip(if: %s) @include(if: %i) b: __typename }';
  for (const [skip, include] of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ]) {
    it(`skip ${skip}, include ${include}`, async () => {
      const expected = !skip && include ? { a: 'Query', b: 'Query' } : { b: 'Query' };
      const query = both.replace('%s', skip).replace('%i', include);
      assert.deepEqual(JSON.parse(await text(query)), expected);
      const withVariables = `query ($s: Boolean!, $i: Boolean!) ${both.replace('%s', '$s').replace('%i', '$i')}`;
      assert.deepEqual(JSON.parse(await text(withVariables, { s: skip, i: include })), expected);
    });
  }

  it('leave an empty object where everything is skipped', async () => {
    assert.equal(await text('{ __typename @skip(if: true) }'), '{}');
    assert.equal(
      await text('{ hotnessSettings { version @include(if: false) } }'),
      '{"hotnessSettings":{}}',
    );
    assert.equal(
      await text('query ($b: Boolean!) { me { user { id @skip(if: $b) } } }', { b: true }),
      '{"me":{"user":{}}}',
    );
    assert.equal(
      await text('{ hotRanking(first: 1) { rank @skip(if: true) } }'),
      '{"hotRanking":[{}]}',
    );
    assert.equal(await text('{ ... @include(if: false) { __typename } }'), '{}');
  });

  it('hold for fragments', async () => {
    const query = `query ($b: Boolean!) { a: __typename ...F @skip(if: $b) ... @include(if: $b) { c: __typename } }
      fragment F on Query { b: __typename }`;
    assert.equal(await text(query, { b: true }), '{"a":"Query","c":"Query"}');
    assert.equal(await text(query, { b: false }), '{"a":"Query","b":"Query"}');
  });

  it('take defaults of variables', async () => {
    assert.equal(
      await text('query ($b: Boolean = true) { a: __typename @skip(if: $b) b: __typename }'),
      '{"b":"Query"}',
    );
    assert.equal(
      await text('query ($b: Boolean! = false) { a: __typename @include(if: $b) b: __typename }'),
      '{"b":"Query"}',
    );
  });

  it('show a field that is skipped once and asked for once', async () => {
    assert.equal(await text('{ a: __typename @skip(if: true) a: __typename }'), '{"a":"Query"}');
  });

  it('keep a skipped mutation from running', async () => {
    const id = await unliked(token);
    const query =
      'mutation ($id: ID!) { like(contentId: $id) @skip(if: true) { changed } __typename }';
    assert.equal(await text(query, { id }), '{"__typename":"Mutation"}');
    assert.equal(await likes(id), false);
  });
});

describe('arguments and variables', () => {
  it('an argument that is left out has its default', async () => {
    assert.equal(JSON.parse(await text('{ hotRanking { rank } }')).hotRanking.length, 20);
  });

  it('so has one whose nullable variable is absent', async () => {
    const query = 'query ($n: Int) { hotRanking(first: $n) { rank } }';
    assert.equal(JSON.parse(await text(query)).hotRanking.length, 20);
    assert.equal(JSON.parse(await text(query, {})).hotRanking.length, 20);
    assert.equal(JSON.parse(await text(query, { n: 2 })).hotRanking.length, 2);
  });

  it('a null in the variable of a non-null argument with a default is an error of the field', async () => {
    const { data: found, errors } = await failing(
      'query ($n: Int) { __typename hotRanking(first: $n) { rank } }',
      { n: null },
    );
    assert.equal(found, null);
    assert.deepEqual(errors[0].path, ['hotRanking']);
  });

  it('the default of a variable goes before that of the argument, and a value before both', async () => {
    const query = 'query ($n: Int! = 3) { hotRanking(first: $n) { rank } }';
    assert.equal(JSON.parse(await text(query)).hotRanking.length, 3);
    assert.equal(JSON.parse(await text(query, { n: 1 })).hotRanking.length, 1);
  });

  it('an enum arrives by variable and by literal', async () => {
    const query =
      'query ($k: ContentKind) { a: hotRanking(first: 3, kind: $k) { content { __typename } } b: hotRanking(first: 3, kind: VIDEO) { content { __typename } } }';
    const answer = JSON.parse(await text(query, { k: 'ARTWORK' }));
    assert.deepEqual(
      new Set(answer.a.map((each) => each.content.__typename)),
      new Set(['Artwork']),
    );
    assert.deepEqual(new Set(answer.b.map((each) => each.content.__typename)), new Set(['Video']));
  });

  it('a single value is a list of one', async () => {
    const query =
      'query ($ids: [ID!]) { a: contents(ids: $ids) { id } b: contents(ids: "%") { id } }'.replace(
        '%',
        ID,
      );
    assert.deepEqual(JSON.parse(await text(query, { ids: ID })), {
      a: [{ id: ID }],
      b: [{ id: ID }],
    });
  });

  it('1.0 is an Int', async () => {
    const body =
      '{"query":"query ($n: Int!) { hotRanking(first: $n) { rank } }","variables":{"n":1.0}}';
    const { json } = await post(body);
    assert.deepEqual(json, { data: { hotRanking: [{ rank: 1 }] } });
  });
});

describe('nulls and errors', () => {
  it('what is not there is null, and no error', async () => {
    assert.equal(await text(`{ artwork(id: "${NOBODY}") { id } }`), '{"artwork":null}');
    assert.equal(
      await text(`{ contents(ids: ["${NOBODY}", "${ID}"]) { id } }`),
      `{"contents":[null,{"id":"${ID}"}]}`,
    );
  });

  it('the error of a nullable field leaves null there, and its neighbours alone', async () => {
    const { data: found, errors } = await failing(
      '{ a: artwork(id: "nonsense") { id } __typename }',
    );
    assert.deepEqual(found, { a: null, __typename: 'Query' });
    assert.equal(errors.length, 1);
    assert.deepEqual(errors[0].path, ['a']);
    assert.equal(errors[0].locations.length, 1);
    assert.equal(errors[0].locations[0].line, 1);
    assert.equal(typeof errors[0].extensions.code, 'string');
  });

  it('the error of a non-null field takes the nearest parent that may be null', async () => {
    const { data: found, errors } = await failing(
      '{ __typename contents(ids: ["nonsense"]) { id } }',
    );
    assert.equal(found, null);
    assert.deepEqual(errors[0].path, ['contents']);
  });

  it('an error deep inside has its whole path, with indices', async () => {
    const { data: found, errors } = await failing(
      'query ($ids: [ID!]) { list: contents(ids: $ids) { id hotness { h: history(first: 101) { score } } } }',
      { ids: [ID] },
    );
    assert.deepEqual(found, { list: [null] });
    assert.deepEqual(errors[0].path, ['list', 0, 'hotness', 'h']);
  });

  it('an error in each of two fields is two errors', async () => {
    const { data: found, errors } = await failing(
      '{ a: artwork(id: "x") { id } b: video(id: "y") { id } }',
    );
    assert.deepEqual(found, { a: null, b: null });
    assert.deepEqual(errors.map((error) => error.path).sort(), [['a'], ['b']]);
  });

  it('a request that is refused has no path', async () => {
    const { json } = await post({ query: '{ nothing }' });
    assert.ok(!('data' in json));
    assert.equal(json.errors[0].path, undefined);
  });
});

describe('mutations', () => {
  const like = 'like(contentId: $id) { changed content { viewerHasLiked } }';
  const unlike = 'unlike(contentId: $id) { changed content { viewerHasLiked } }';

  it('run one after the other, in the order of the document', async () => {
    const id = await unliked(token);
    const query = `mutation ($id: ID!) { a: ${like} b: ${like} c: ${unlike} d: ${like} e: ${unlike} f: ${unlike} }`;
    const answer = JSON.parse(await text(query, { id }));
    assert.deepEqual(Object.keys(answer), ['a', 'b', 'c', 'd', 'e', 'f']);
    assert.deepEqual(
      Object.values(answer).map((each) => [each.changed, each.content.viewerHasLiked]),
      [
        [true, true],
        [false, true],
        [true, false],
        [true, true],
        [true, false],
        [false, false],
      ],
    );
  });

  it('that are one by merging run once', async () => {
    const id = await unliked(token);
    const query =
      'mutation ($id: ID!) { like(contentId: $id) { changed } like(contentId: $id) { content { id } } }';
    assert.deepEqual(JSON.parse(await text(query, { id })), {
      like: { changed: true, content: { id } },
    });
    await data('mutation ($id: ID!) { unlike(contentId: $id) { changed } }', { id }, { token });
  });

  /** Each is refused for its last part; the first part must not have run. */
  const refused = {
    'a variable is missing': [
      'mutation ($id: ID!, $n: ID!) { a: %LIKE b: favorite(contentId: $n) { changed } }',
      {},
    ],
    'a variable is null': [
      'mutation ($id: ID!, $n: ID!) { a: %LIKE b: favorite(contentId: $n) { changed } }',
      { n: null },
    ],
    'a variable is of another type': [
      'mutation ($id: ID!, $n: ID!) { a: %LIKE b: favorite(contentId: $n) { changed } }',
      { n: { x: 1 } },
    ],
    'a variable lacks a field': [
      'mutation ($id: ID!, $i: PublishArtworkInput!) { a: %LIKE b: publishArtwork(input: $i) { created } }',
      { i: {} },
    ],
    'a variable has a field too many': [
      'mutation ($id: ID!, $i: PublishArtworkInput!) { a: %LIKE b: publishArtwork(input: $i) { created } }',
      { i: { title: 't', nothing: 1 } },
    ],
    'a variable inside an object may be null': [
      'mutation ($id: ID!, $t: String) { a: %LIKE b: publishArtwork(input: { title: $t }) { created } }',
      {},
    ],
    'a later field does not exist': ['mutation ($id: ID!) { a: %LIKE b: nothing }', {}],
    'a later argument is missing': ['mutation ($id: ID!) { a: %LIKE b: favorite { changed } }', {}],
    'the document is cut off': ['mutation ($id: ID!) { a: %LIKE', {}],
    'the operation has another name': ['mutation A($id: ID!) { a: %LIKE }', {}, 'B'],
  };
  for (const [name, [template, variables, operationName]] of Object.entries(refused)) {
    it(`do not begin when ${name}`, async () => {
      const id = await unliked(token);
      const query = template.replace('%LIKE', like);
      const answer = await post(
        { query, variables: { id, ...variables }, operationName },
        { token },
      );
      const liked = await likes(id);
      await data('mutation ($id: ID!) { unlike(contentId: $id) { changed } }', { id }, { token });
      assert.equal(liked, false, `the like has happened: ${answer.text}`);
      assert.equal(answer.status, 400, answer.text);
      assert.ok(!('data' in answer.json), answer.text);
    });
  }

  it('stand, when a later one fails', async () => {
    const id = await unliked(token);
    const query = `mutation ($id: ID!) { a: ${like} b: favorite(contentId: "${NOBODY}") { changed } }`;
    const answer = await post({ query, variables: { id } }, { token });
    assert.equal(answer.json.data, null);
    assert.deepEqual(answer.json.errors[0].path, ['b']);
    assert.equal(answer.json.errors[0].extensions.code, 'NOT_FOUND');
    assert.equal(await likes(id), true);
    await data('mutation ($id: ID!) { unlike(contentId: $id) { changed } }', { id }, { token });
  });
});

describe('introspection', () => {
  it('describes the schema that is committed', async () => {
    const { buildClientSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } =
      await import('graphql');
    const { schema } = await import('../lib/server.mjs');
    const query = getIntrospectionQuery({ inputValueDeprecation: true });
    const served = buildClientSchema(await data(query));
    const printed = (each) => printSchema(lexicographicSortSchema(each));
    assert.equal(printed(served), printed(schema));
  });

  it('knows types by name, and says null of others', async () => {
    assert.equal(
      await text('{ __type(name: "HotLevel") { kind name } }'),
      '{"__type":{"kind":"ENUM","name":"HotLevel"}}',
    );
    assert.equal(await text('{ __type(name: "Nothing") { kind } }'), '{"__type":null}');
  });

  it('names the viewer', async () => {
    assert.deepEqual(JSON.parse(await text('{ me { user { id } } }')), {
      me: { user: { id: user.id } },
    });
  });
});
