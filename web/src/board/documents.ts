import type { HotnessChange, HotnessSettings, RankingEntry, Reactions } from './types';

const reactions = `
  likeCount
  favoriteCount
  viewerHasLiked
  viewerHasFavorited
`;

// History is left out on purpose: this is sent up to ten times a second to every board, and the
// points after the first look are exactly the scores it carries. See trails.ts.
export const rankingChanged = `
  subscription HotRankingChanged($kind: ContentKind) {
    hotRankingChanged(kind: $kind, first: 20) {
      entries {
        rank
        score
        level
        content {
          __typename
          id
          title
          coverUrl
          author { name }
          ${reactions}
        }
      }
    }
  }
`;
export interface RankingChanged {
  hotRankingChanged: { entries: RankingEntry[] };
}

export const hotnessChanged = `
  subscription HotnessChanged {
    hotnessChanged {
      content { id title }
      level
      previousLevel
      score
      previousScore
      cause
    }
  }
`;
export interface HotnessChanged {
  hotnessChanged: HotnessChange;
}

export const histories = `
  query Histories($ids: [ID!]!) {
    contents(ids: $ids) {
      id
      hotness { history(first: 20) { score calculatedAt } }
    }
  }
`;
export interface Histories {
  contents: ({
    id: string;
    hotness: { history: { score: number; calculatedAt: string }[] };
  } | null)[];
}

export const settings = `
  query Settings {
    hotnessSettings { halfLifeHours warmFrom hotFrom blazingFrom }
  }
`;
export interface Settings {
  hotnessSettings: HotnessSettings;
}

export type ReactionMutation = 'like' | 'unlike' | 'favorite' | 'unfavorite';

export function reactionMutation(name: ReactionMutation): string {
  return `
    mutation React($id: ID!) {
      reaction: ${name}(contentId: $id) { content { id ${reactions} } }
    }
  `;
}
export interface Reacted {
  reaction: { content: { id: string } & Reactions };
}
