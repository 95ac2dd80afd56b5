/** What graphql-js, the reference implementation, says of a request before anything of it is executed. */
import { getOperationAST, getVariableValues, parse, specifiedRules, validate } from 'graphql';

import { post, schema } from './server.mjs';

/** How deep introspection may go is a limit of each implementation, not a rule of the specification. */
const RULES = specifiedRules.filter((rule) => rule.name !== 'MaxIntrospectionDepthRule');

/**
 * @param {{ query: string, variables?: object, variablesJson?: string, operationName?: string }} request
 * @returns {{ valid: boolean, why: string, kind?: string, undecided?: boolean }} `kind` of the operation that would
 *   run; `undecided` where both answers are right.
 */
export function judge({ query, variables, variablesJson, operationName }) {
  let document;
  try {
    document = parse(query);
  } catch (error) {
    return { valid: false, why: error.message };
  }
  // Descriptions of operations, fragments and variables came with a later edition than October 2021: a server may know
  // them.
  const described = (each) => each.description || each.variableDefinitions?.some(described);
  const undecided = document.definitions.some(described);
  if (undecided) return { undecided, valid: false, why: 'descriptions of executable definitions' };
  const errors = validate(schema, document, RULES);
  if (errors.length > 0) return { valid: false, why: errors[0].message };
  const operation = getOperationAST(document, operationName);
  if (!operation) return { valid: false, why: 'no operation of that name, or several and no name' };
  const given = variablesJson === undefined ? (variables ?? {}) : JSON.parse(variablesJson);
  const { errors: refused } = getVariableValues(
    schema,
    operation.variableDefinitions ?? [],
    given ?? {},
  );
  if (refused) return { valid: false, why: refused[0].message, kind: operation.operation };
  return { valid: true, why: 'valid', kind: operation.operation };
}

/** Whether one rule of graphql-js, by name, complains. */
export function complains(ruleName, query) {
  const rule = specifiedRules.find((each) => each.name === `${ruleName}Rule`);
  if (!rule) throw new Error(`graphql-js has no rule ${ruleName}`);
  return validate(schema, parse(query, { noLocation: true }), [rule]).length > 0;
}

/** Sends a request. `variablesJson` goes over the wire as it is written: 1.0 is not 1 there. */
export function send({ query, variables, variablesJson, operationName }, options) {
  const members = [`"query":${JSON.stringify(query)}`];
  if (variablesJson !== undefined) members.push(`"variables":${variablesJson}`);
  else if (variables !== undefined) members.push(`"variables":${JSON.stringify(variables)}`);
  if (operationName !== undefined) members.push(`"operationName":${JSON.stringify(operationName)}`);
  return post(`{${members.join(',')}}`, options);
}

/**
 * How an answer contradicts the verdict; null where it agrees. Refused is status 400 without a `data` entry; executed
 * is a 2xx status with one, be it null.
 */
export function contradiction({ valid, why, undecided }, { status, json, text }) {
  if (undecided) return null;
  const shown = `${status} ${text.slice(0, 300)}`;
  if (json === null || typeof json !== 'object') return `no JSON object: ${shown}`;
  if (valid) {
    return 'data' in json && status >= 200 && status < 300
      ? null
      : `valid, but was refused: ${shown}`;
  }
  if ('data' in json) return `invalid (${why}), but was executed: ${shown}`;
  if (status !== 400) return `invalid (${why}), but the status is not 400: ${shown}`;
  if (!Array.isArray(json.errors) || json.errors.length === 0) return `no errors: ${shown}`;
  const bad = json.errors.find(
    ({ message, extensions }) =>
      typeof message !== 'string' || typeof extensions?.code !== 'string',
  );
  return bad ? `an error without message or extensions.code: ${shown}` : null;
}
