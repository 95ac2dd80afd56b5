/** A few contents and users, and what resolves the fields of the schema over them. */
import { EventEmitter, on } from 'node:events';

import { GraphQLError } from 'graphql';

const refusal = (message, code) => new GraphQLError(message, { extensions: { code } });
const suffix = (n) => `01h455vb4pex5vsknk08${String(n).padStart(6, '0')}`;
const now = '2024-05-01T08:00:00.000Z';

export const users = new Map(
  Array.from({ length: 50 }, (_, i) => {
    const number = String(i + 1);
    const id = `user_${suffix(i)}`;
    return [number, { number, id, name: `Demo ${number}`, externalId: null, createdAt: now }];
  }),
);
const user = (id) => [...users.values()].find((each) => each.id === id) ?? null;

const contents = new Map();
for (let i = 0; i < 120; i += 1) {
  const kind = i % 3 === 2 ? 'video' : 'artwork';
  const id = `${kind}_${suffix(1000 + i)}`;
  contents.set(id, {
    id,
    kind: kind.toUpperCase(),
    title: `Content ${i}`,
    externalId: `external-${i}`,
    status: 'PUBLISHED',
    publishedAt: now,
    author: users.get('1'),
    likes: new Set(),
    favorites: new Set(),
    coverUrl: null,
    commentCount: 0,
    shareCount: 0,
    viewCount: 0,
    prompt: null,
    model: null,
    width: null,
    height: null,
    imageUrl: null,
    source: null,
    itemId: null,
    videoUrl: '/v.mp4',
    durationMs: null,
    likeCount() {
      return this.likes.size;
    },
    favoriteCount() {
      return this.favorites.size;
    },
    comments({ first, last }) {
      if (first != null && last != null) throw refusal('first or last', 'INVALID_INPUT');
      size('first', first ?? last ?? 20);
      const pageInfo = { hasNextPage: false, hasPreviousPage: false };
      return { edges: [], nodes: [], pageInfo, totalCount: 0 };
    },
    viewerHasLiked(_, { user: viewer }) {
      return this.likes.has(viewer?.id);
    },
    viewerHasFavorited(_, { user: viewer }) {
      return this.favorites.has(viewer?.id);
    },
    hotness() {
      return {
        score: this.likes.size,
        level: 'NEW',
        rank: 1,
        updatedAt: now,
        levelChangesAt: null,
        history: ({ first }) => (size('first', first), []),
      };
    },
  });
}
const all = (kind) => [...contents.values()].filter((each) => !kind || each.kind === kind);

function size(name, value) {
  if (value < 0 || value > 100) throw refusal(`${name} must be from 0 to 100`, 'INVALID_INPUT');
  return value;
}

/** A TypeID of one of these kinds. */
function checked(id, ...kinds) {
  const [, kind] = /^([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}$/.exec(id) ?? [];
  if (!kinds.includes(kind))
    throw refusal(`expected an id of ${kinds.join(' or ')}`, 'INVALID_INPUT');
  return id;
}

function page(kind) {
  return ({ first, last, after, before, authorId }) => {
    if (authorId != null) checked(authorId, 'user');
    for (const cursor of [after, before]) {
      if (cursor != null && !contents.has(cursor)) throw refusal('not a cursor', 'INVALID_INPUT');
    }
    if (first != null && last != null) throw refusal('first or last', 'INVALID_INPUT');
    const found = all(kind).slice(0, size('first', first ?? last ?? 20));
    return {
      edges: found.map((node) => ({ node, cursor: node.id })),
      nodes: found,
      pageInfo: {
        hasNextPage: true,
        hasPreviousPage: false,
        startCursor: found[0]?.id,
        endCursor: found.at(-1)?.id,
      },
      totalCount: all(kind).length,
    };
  };
}

function ranking({ first, kind }) {
  return all(kind)
    .slice(0, size('first', first))
    .map((content, i) => ({ rank: i + 1, score: content.likes.size, level: 'NEW', content }));
}

const changes = new EventEmitter().setMaxListeners(0);

function act(set, adds) {
  return ({ contentId }, { user: viewer }) => {
    if (!viewer) throw refusal('a token is needed', 'UNAUTHENTICATED');
    const content = contents.get(checked(contentId, 'artwork', 'video'));
    if (!content) throw refusal('there is no such content', 'NOT_FOUND');
    const before = content[set].size;
    content[set][adds ? 'add' : 'delete'](viewer.id);
    const changed = content[set].size !== before;
    if (changed) setImmediate(() => changes.emit('change', content));
    return { content, changed };
  };
}

const forbidden = () => {
  throw refusal('not here', 'FORBIDDEN');
};

export const root = {
  me: (_, { user: viewer }) => viewer && { user: viewer, roles: ['USER'] },
  node: ({ id }) => contents.get(checked(id, 'artwork', 'video', 'user')) ?? user(id),
  user: ({ id }) => user(checked(id, 'user')),
  artwork: ({ id }) => contents.get(checked(id, 'artwork')) ?? null,
  video: ({ id }) => contents.get(checked(id, 'video')) ?? null,
  contents({ ids, externalIds }) {
    if ((ids == null) === (externalIds == null)) throw refusal('one of both', 'INVALID_INPUT');
    const wanted = ids ?? externalIds;
    if (wanted.length < 1 || wanted.length > 1000) throw refusal('1 to 1,000', 'INVALID_INPUT');
    if (ids) return ids.map((id) => contents.get(checked(id, 'artwork', 'video')) ?? null);
    return externalIds.map((id) => all().find((each) => each.externalId === id) ?? null);
  },
  artworks: page('ARTWORK'),
  videos: page('VIDEO'),
  hotRanking: ranking,
  hotnessSettings: () => ({
    version: 1,
    halfLifeHours: 72,
    likeWeight: 2,
    favoriteWeight: 5,
    commentWeight: 3,
    shareWeight: 8,
    viewWeight: 0.1,
    publishWeight: 10,
    warmFrom: 20,
    hotFrom: 50,
    blazingFrom: 100,
  }),
  like: act('likes', true),
  unlike: act('likes', false),
  favorite: act('favorites', true),
  unfavorite: act('favorites', false),
  comment: forbidden,
  deleteComment: forbidden,
  share: forbidden,
  recordViews: forbidden,
  ensureUser: forbidden,
  publishArtwork: forbidden,
  publishVideo: forbidden,
  republishContent: forbidden,
  unpublishContent: forbidden,
};

/** The source of a subscription. */
export async function* listen(name, args) {
  const source = on(changes, 'change');
  if (name === 'hotRankingChanged') {
    const state = () => ({ kind: args.kind, changedAt: now, entries: ranking(args) });
    yield state();
    for await (const _ of source) yield state();
    return;
  }
  for await (const [content] of source) {
    if (args.contentIds && !args.contentIds.includes(content.id)) continue;
    const score = content.likes.size;
    yield { content, score, level: 'NEW', previousScore: 0, previousLevel: 'NEW', cause: 'LIKED' };
  }
}
