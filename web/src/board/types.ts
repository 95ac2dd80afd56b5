/** The part of the server's schema that the board speaks. */

export type Level = 'NEW' | 'COLD' | 'WARM' | 'HOT' | 'BLAZING';
export type ContentKind = 'ARTWORK' | 'VIDEO';
export type HotnessCause =
  | 'PUBLISHED'
  | 'UNPUBLISHED'
  | 'LIKED'
  | 'UNLIKED'
  | 'FAVORITED'
  | 'UNFAVORITED'
  | 'COMMENTED'
  | 'COMMENT_DELETED'
  | 'SHARED'
  | 'UNSHARED'
  | 'VIEWED'
  | 'COOLED'
  | 'RECALCULATED';

/** What a like or a favourite changes about a work. */
export interface Reactions {
  likeCount: number;
  favoriteCount: number;
  viewerHasLiked: boolean;
  viewerHasFavorited: boolean;
}

export interface Content extends Reactions {
  __typename: 'Artwork' | 'Video';
  id: string;
  title: string;
  author: { name: string } | null;
  coverUrl: string | null;
}

export interface RankingEntry {
  rank: number;
  score: number;
  level: Level;
  content: Content;
}

export interface HotnessChange {
  content: { id: string; title: string };
  level: Level;
  previousLevel: Level;
  score: number;
  previousScore: number;
  cause: HotnessCause;
}

export interface HotnessSettings {
  halfLifeHours: number;
  warmFrom: number;
  hotFrom: number;
  blazingFrom: number;
}
