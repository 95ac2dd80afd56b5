import type { AccountFigures, HistoryPage, Role, Transaction } from './types';

const transaction = `
  id
  sequence
  kind
  amount
  balanceAfter
  overdraftLimit
  reason
  createdAt
  actor { id name }
  rule
  reverses { sequence }
`;

const figures = `
  balance
  overdraftLimit
  transactionCount
`;

export const accountQuery = `
  query PointAccount(
    $userId: ID!, $first: Int, $after: String, $last: Int, $before: String,
    $kinds: [PointTransactionKind!], $actorId: ID, $from: DateTime, $to: DateTime
  ) {
    me { roles }
    pointAccount(userId: $userId) {
      ${figures}
      user { name }
      history(
        first: $first, after: $after, last: $last, before: $before,
        kinds: $kinds, actorId: $actorId, from: $from, to: $to
      ) {
        nodes { ${transaction} }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
`;
export interface AccountRead {
  me: { roles: Role[] } | null;
  pointAccount: AccountFigures & { user: { name: string } | null; history: HistoryPage };
}

export const rolesQuery = `
  query Roles {
    me { roles }
  }
`;
export interface RolesRead {
  me: { roles: Role[] } | null;
}

export const balanceAtQuery = `
  query BalanceAt($userId: ID!, $time: DateTime!) {
    pointAccount(userId: $userId) { balanceAt(time: $time) }
  }
`;
export interface BalanceAtRead {
  pointAccount: { balanceAt: AccountFigures['balance'] };
}

export const pointsChanged = `
  subscription PointsChanged($userId: ID!) {
    pointsChanged(userId: $userId) { ${transaction} }
  }
`;
export interface PointsChanged {
  pointsChanged: Transaction;
}

export const addPoints = `
  mutation AddPoints($input: AddPointsInput!) {
    addPoints(input: $input) {
      replayed
      transaction { ${transaction} }
      account { ${figures} }
    }
  }
`;
export interface PointsAdded {
  addPoints: {
    replayed: boolean;
    /** Null after a dry run only, which this page does not ask for. */
    transaction: Transaction;
    account: AccountFigures;
  };
}
