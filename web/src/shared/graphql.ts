import { GRAPHQL_PATH } from './endpoint';

/** The server answered, and the answer is "no". A server that cannot be reached is a TypeError. */
export class GraphQLFailure extends Error {
  readonly code: string | null;
  /** What the server says beside the message, the code included. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = typeof details.code === 'string' ? details.code : null;
    this.details = details;
  }

  get unauthenticated(): boolean {
    return this.code === 'UNAUTHENTICATED';
  }
}

interface Answer<Data> {
  data?: Data | null;
  errors?: { message: string; extensions?: Record<string, unknown> }[];
}

/** A phone that changes networks leaves requests that nobody answers any more. */
const ANSWER_WITHIN_MS = 15_000;

export function authorization(token: string | null): Record<string, string> {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

export async function request<Data>(
  query: string,
  variables: Record<string, unknown>,
  token: string | null,
): Promise<Data> {
  const response = await fetch(GRAPHQL_PATH, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...authorization(token) },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  // A 401 need not carry a GraphQL body, and a proxy's 502 carries HTML.
  const answer = (await response.json().catch(() => ({}))) as Answer<Data>;
  const error = answer.errors?.[0];
  if (response.status === 401)
    throw new GraphQLFailure('unauthenticated', { code: 'UNAUTHENTICATED' });
  if (error) throw new GraphQLFailure(error.message, error.extensions);
  if (!answer.data) throw new GraphQLFailure(`HTTP ${response.status}`);
  return answer.data;
}
