import { createHash } from 'node:crypto';

/** What automatic persisted queries call a document. */
export const sha256 = (text) => createHash('sha256').update(text).digest('hex');
