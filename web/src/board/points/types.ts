/** The part of the server's schema that the page of points speaks. */

/** The schema's BigInt: a number while it is exact in JSON, else its digits. */
export type Whole = number | string;

export const kinds = [
  'ADD_POINTS',
  'DEDUCT_POINTS',
  'REDEEM',
  'ADJUSTMENT',
  'REVERSAL',
  'OVERDRAFT_LIMIT',
] as const;
export type Kind = (typeof kinds)[number];

/** What addPoints may do; the last one is for administrators. */
export const addKinds = ['ADD_POINTS', 'DEDUCT_POINTS', 'REDEEM', 'ADJUSTMENT'] as const;
export type AddKind = (typeof addKinds)[number];

export type Role = 'USER' | 'TEACHER' | 'SERVICE' | 'OPERATOR' | 'ADMIN';

/** What somebody did to a content of the account's owner. */
export type Rule = 'LIKE' | 'FAVORITE' | 'COMMENT' | 'SHARE';

export interface Transaction {
  id: string;
  sequence: Whole;
  kind: Kind;
  amount: Whole;
  balanceAfter: Whole;
  overdraftLimit: Whole;
  reason: string;
  createdAt: string;
  /** Null once the user is gone, and of what a rule did. */
  actor: { id: string; name: string } | null;
  rule: Rule | null;
  reverses: { sequence: Whole } | null;
}

export interface AccountFigures {
  balance: Whole;
  overdraftLimit: Whole;
  transactionCount: Whole;
}

export interface HistoryPage {
  nodes: Transaction[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
}

/** What addPoints is asked for; the amount as its digits, which JSON keeps at any size. */
export interface AddPointsInput {
  userId: string;
  kind: AddKind;
  amount: string;
  reason: string;
  idempotencyKey: string;
}
